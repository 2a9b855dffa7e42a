"""A packet of a session -> Wireshark's tree of it as text lines, if tshark is installed.

tshark gets the one session as a small file: asked for a packet of the whole file, it would read all of it. It runs
only when the page asks, without a shell, for TIMEOUT_S at most, and resolves no names.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterable

from capture.errors import SpecError, TargetError

TIMEOUT_S = 20
_LINES = 2000


def tree(blocks: Iterable[bytes], place: int) -> list[str]:
    """Return the lines for the packet at this place, from 1, of the file that the blocks make.

    Raises SpecError if there is no tshark, TargetError if it fails.
    """
    tshark = shutil.which("tshark")
    if tshark is None:
        raise SpecError("tshark is not installed here: apt-get install tshark shows the whole tree of a packet")
    with tempfile.NamedTemporaryFile(prefix="bicap-web-", suffix=".pcapng") as file:
        for block in blocks:
            file.write(block)
        file.flush()
        command = [tshark, "-n", "-2", "-r", file.name, "-c", str(place), "-Y", f"frame.number == {place}", "-V"]
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise TargetError(f"tshark took more than {TIMEOUT_S} s for this session") from None
    if not done.stdout:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise TargetError(f"tshark failed: {last[0] if last else 'it said nothing'}")
    return done.stdout.decode("utf-8", "replace").splitlines()[:_LINES]
