"""A capture into a ring of files, without a kernel: files in a folder, and what was counted before each of them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capture.plan import CapturePlan, Interface, make_plan, place_of
from capture.recording import RecordingSpec
from capture.run.account import Account, DirectionAccount
from capture.run.file_start import FileStart
from capture.run.roster import Roster
from capture.spec import CaptureSpec, Hook
from capture.storage import Storage
from capture.stream.clock import WallClock

MIB, S = 1 << 20, 10**9
WALL = 1_700_000_000 * S


def account(matched: int, written: int) -> Account:
    return Account(seen=matched + 5, unmatched=5, forward=DirectionAccount(matched=matched, written=written))


@dataclass
class RunningRing:
    """The capture of a ring: files in a folder, and what was counted before each."""

    folder: Path
    recording: RecordingSpec
    clock: WallClock = field(default_factory=lambda: WallClock(WALL, "synchronised"))
    files: list[FileStart] = field(default_factory=list)
    counted: int = 0

    def __post_init__(self) -> None:
        spec = CaptureSpec(
            interfaces=("va",), recording=self.recording, storage=Storage(file_bytes=MIB, files_kept=9)
        )
        self.plan: CapturePlan = make_plan(spec, [place_of(Interface("va", 1, 2))], Hook.TCX, [0], batching=True)
        self.roster = Roster()
        self.roster.add(self.plan.interfaces[0], 0)

    def begin_file(self, at_s: int, packets: int, ordered: bool = False) -> FileStart:
        """Begin a file, after so many packets more."""
        self.counted += packets
        path = self.folder / f"ring_{len(self.files) + 1:05d}_20261130190000.pcapng"
        path.write_bytes(bytes(1000))
        start = FileStart(
            path=str(path),
            began_ns=at_s * S,
            offset_ns=WALL,
            accounts=self.accounts() if self.files else [],
            events=0,
            late=0,
            ordered=ordered,
        )
        self.files.append(start)
        return start

    def accounts(self) -> list[Account]:
        return [account(self.counted, self.counted)]

    def events(self) -> int:
        return 0

    def late(self) -> int:
        return 0

    def reasons_as_json(self) -> Any:
        return None
