"""Whatever step of a start fails, one line says so, and nothing of it is left in process, kernel and folder."""

import contextlib
import errno
import os
import pkgutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from capture import Capture, CaptureSpec, open_sink, plan_capture
from capture.benchmark.veth_pair import VethPair
from capture.errors import BicapError, CompileError, KernelError, SinkError, SpecError, VerifierError
from capture.filters.conversations import Conversation, ConversationList
from capture.kernel import kept
from capture.kernel.program import module_of
from capture.sampling.levels import OnPressure
from capture.selection.selection import Selection
from capture.spec import Hook
from testbed.fake_runtime import FakeRuntime
from tests.e2e.kernel_objects import held_by, left_of

NOWHERE = Path("/proc/no/folder")
NO_FILES = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
NO_MEMORY = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
FULL_DISK = SinkError("cannot write f: the disk is full")
LISTED = ConversationList("list", (Conversation(4, 6, (1, 4000), (2, 80)),))


@dataclass(frozen=True)
class Step:
    """A step of the start: the function that fails there, at which of its calls, with what."""

    function: str
    call: int = 1
    error: Exception = NO_FILES
    said: str = "the capture cannot start, .* failed: Too many open files"
    kind: type[BicapError] = KernelError
    spec: dict[str, Any] = field(default_factory=dict)
    compiles: bool = False
    """The programs are compiled; else they are kept from before."""

    def __str__(self) -> str:
        return f"{self.function} {self.call} {' '.join(self.spec)}"


REFUSED = VerifierError("the kernel rejects it", "log")
CLANG = CompileError("clang rejects it", "log")
STEPS = [
    Step("capture.run.ending.os.eventfd"),
    Step("capture.run.start.Namespace", error=KernelError("no namespace"), said="no namespace"),
    Step("capture.run.start.module_of", error=CLANG, said="clang rejects it", kind=CompileError),
    Step("capture.kernel.compiler._compile", 2, CLANG, "clang rejects", CompileError, {"hook": Hook.XDP}, True),
    Step("capture.kernel.compiler.with_maps", 1, CLANG, "clang rejects", CompileError, {"hook": Hook.XDP}, True),
    Step("capture.kernel.syscall.map_create", 1, NO_MEMORY, "refuses the map .*: Cannot allocate memory"),
    Step("capture.kernel.syscall.map_create", 3, NO_MEMORY, "refuses the map .*: Cannot allocate memory"),
    Step("capture.kernel.frozen.with_maps", 1, CLANG, "clang rejects", CompileError),
    Step("capture.run.start.portions.compiled", error=NO_MEMORY, said="Cannot allocate memory"),
    Step("capture.kernel.rings.select.epoll"),
    Step("capture.kernel.syscall.open_output_event", 1, said="no ring of .* Too many open files"),
    Step("capture.kernel.syscall.open_output_event", 2, said="no ring of .* Too many open files"),
    Step("capture.kernel.syscall.mmap", 1, NO_MEMORY, "no ring of .* Cannot allocate memory"),
    Step("capture.kernel.syscall.mmap", 3, NO_MEMORY, "no ring of .* Cannot allocate memory"),
    Step("capture.kernel.program.Module.load", 1, REFUSED, "rejects", VerifierError),
    Step("capture.kernel.batches.mmap.mmap", 1, NO_MEMORY, "making rings failed: Cannot allocate memory"),
    Step(
        "capture.kernel.batches.mmap.mmap", 3, NO_MEMORY, "making rings failed: Cannot allocate memory",
        spec={"on_pressure": (OnPressure.TRUNCATE,)},
    ),
    Step("capture.run.start.Counters", error=NO_MEMORY, said="making rings failed: Cannot allocate memory"),
    Step("capture.kernel.rings.Rings.watch", 1),
    Step("capture.kernel.entries.Entries.replace", spec={"conversations": LISTED}),
    Step("capture.run.lineup.allow_descriptors"),
    Step("capture.kernel.program.Module.load", 2, REFUSED, "rejects", VerifierError),
    Step("capture.kernel.program.Module.load", 3, REFUSED, "rejects", VerifierError),
    Step("capture.run.start.await_time", error=SpecError("stop-at is in the past"), said="past", kind=SpecError),
    Step("capture.kernel.attachments.LinkWatch"),
    Step("capture.kernel.rings.Rings.watch", 2),
    *(
        Step("capture.kernel.attachments.attach", call, KernelError("vb refuses"), "vb refuses", spec={"hook": hook})
        for hook in (Hook.TCX, Hook.CLSACT, Hook.XDP)
        for call in (1, 2)
    ),
    Step("capture.run.start.offset_samples", error=KernelError("no clock"), said="no clock"),
    Step("capture.run.start.Output", error=KernelError("no output"), said="no output"),
    Step("capture.kernel.cost.KernelCost.start", error=KernelError("no cost"), said="no cost"),
    Step("capture.sink.files.FileSink.write", error=FULL_DISK, said="the disk is full", kind=SinkError),
]  # fmt: skip
FOLLOWING = [
    Step("capture.run.lineup.Finder"),
    Step("capture.run.lineup.GroupsMap"),
    Step("capture.kernel.groups_map.GroupsMap.replace", error=SpecError("too many"), said="too many", kind=SpecError),
    Step("capture.targets.follower.threading.Thread.start", 1, NO_MEMORY, "Cannot allocate memory"),
    Step("capture.targets.follower.threading.Thread.start", 2, NO_MEMORY, "Cannot allocate memory"),
    Step("capture.kernel.attachments.attach", 1, KernelError("vb refuses"), "vb refuses"),
    Step("capture.run.start.clock_state", error=KernelError("no clock"), said="no clock"),
]


@pytest.fixture(scope="module")
def link() -> Iterator[VethPair]:
    with VethPair(xdp=False) as link:
        yield link


@dataclass
class Held:
    """Resources of this process, and programs on the link."""

    descriptors: list[str]
    threads: list[str]
    mapped: int
    filters: str

    @classmethod
    def now(cls, link: VethPair) -> "Held":
        kernel = ("anon_inode:[perf_event]", "anon_inode:bpf-map")
        filters = [
            subprocess.run(["tc", "-n", link.netns, *words], capture_output=True, text=True, check=True).stdout
            for words in (["qdisc"], ["filter", "show", "dev", "vb", "ingress"])
        ]
        return cls(
            descriptors=sorted(_descriptors()),
            threads=sorted(t.name for t in threading.enumerate() if not t.name.startswith("ThreadPoolExecutor")),
            mapped=sum(line.endswith(kernel) for line in Path("/proc/self/maps").read_text().splitlines()),
            filters="".join(filters),
        )


def _descriptors() -> Iterator[str]:
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing
            yield os.readlink(f"/proc/self/fd/{descriptor}").split(":")[0]


def fail_at(patch: pytest.MonkeyPatch, step: Step, meanwhile: Callable[[], None]) -> None:
    """Let the step fail from now on; `meanwhile` is called just before."""
    place, _, name = step.function.rpartition(".")
    holder = pkgutil.resolve_name(place)
    real, calls = getattr(holder, name), 0

    def failing(*args: Any, **kwargs: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == step.call:
            meanwhile()
            raise step.error
        return real(*args, **kwargs)

    patch.setattr(holder, name, failing)


def start_fails(link: VethPair, spec: CaptureSpec, step: Step, folder: Path) -> None:
    """Start a capture of which a step fails; check what is told, and that nothing is left."""
    plan = plan_capture(spec)
    module_of(plan).close()
    before = Held.now(link)
    file = folder / "new" / "f.pcapng"
    objects: set[tuple[str, int]] = set()
    held_before = held_by(os.getpid())
    reached = []

    def look() -> None:
        reached.append(step)
        objects.update(held_by(os.getpid()) - held_before)

    capture = Capture(plan, open_sink(str(file)))
    with pytest.MonkeyPatch.context() as patch:
        if step.compiles:
            patch.setattr(kept, "folder", lambda: kept.Folder(NOWHERE))
        fail_at(patch, step, look)
        with pytest.raises(step.kind, match=step.said) as caught:
            capture.__enter__()
    assert reached, "the start does not come to this step"
    assert str(caught.value)
    assert "\n" not in str(caught.value)
    assert capture.summary is None
    capture.stop("too late")  # harmless: what it would wake is gone
    del capture, caught
    deadline = time.monotonic() + 5
    while (after := Held.now(link)) != before and time.monotonic() < deadline:  # gRPC closes in threads of its own
        time.sleep(0.02)
    assert after == before
    assert left_of(objects) == set()
    assert [file for file in folder.rglob("*") if file.is_file() and file.stat().st_size] == []


@pytest.mark.parametrize("step", STEPS, ids=str)
def test_a_step_of_the_start_fails_and_nothing_is_left(link: VethPair, tmp_path: Path, step: Step) -> None:
    spec = CaptureSpec(interfaces=("vb",), netns=link.netns, buffer_bytes=1 << 20, **step.spec)
    start_fails(link, spec, step, tmp_path)


def test_a_step_fails_while_pods_are_followed_and_no_thread_is_left(link: VethPair, tmp_path: Path) -> None:
    socket = tmp_path / "runtime.sock"
    with FakeRuntime(socket):
        pods = Selection(everything=True, sockets=(str(socket),))
        spec = CaptureSpec(interfaces=("vb",), netns=link.netns, pods=pods, buffer_bytes=1 << 20)
        plan_capture(spec)  # the first use of gRPC opens what it keeps
        for step in FOLLOWING:
            start_fails(link, spec, step, tmp_path)


def test_a_capture_that_is_never_entered_holds_nothing(link: VethPair, tmp_path: Path) -> None:
    plan = plan_capture(CaptureSpec(interfaces=("vb",), netns=link.netns))
    sink = open_sink(str(tmp_path / "f.pcapng"))
    before = Held.now(link)
    captures = [Capture(plan, sink) for _ in range(3)]
    captures[0].stop("before it began")
    with pytest.raises(RuntimeError, match="is not running"):
        captures[0].accounts()
    assert Held.now(link) == before
    sink.close()


def test_a_capture_that_was_stopped_before_it_began_ends_at_once_with_a_complete_file(
    link: VethPair, tmp_path: Path
) -> None:
    capture = Capture(plan_capture(CaptureSpec(interfaces=("vb",), netns=link.netns)), open_sink(str(tmp_path / "f")))
    capture.stop("before it began")
    with capture:
        capture.run()
    assert capture.summary is not None
    assert (capture.summary.end_reason, capture.summary.complete) == ("before it began", True)


def test_an_error_in_the_callback_for_attached_programs_ends_the_start(link: VethPair, tmp_path: Path) -> None:
    def refuses(capture: Capture) -> None:
        assert capture.accounts()[0].seen >= 0
        raise KernelError("privileges cannot be given up")

    plan = plan_capture(CaptureSpec(interfaces=("vb",), netns=link.netns))
    before = Held.now(link)
    with pytest.raises(KernelError, match="privileges cannot be given up"):
        Capture(plan, open_sink(str(tmp_path / "f")), on_attached=refuses).__enter__()
    assert Held.now(link) == before
