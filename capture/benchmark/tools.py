"""Capture tools as they are compared: each is started on interfaces, becomes ready, is stopped, and is counted.

Same interfaces, snaplen and ring memory for all (64 MiB); the tool on the first CPU that we may use, the sender on
the second.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from capture.analysis.packets.reading import CaptureFile
from capture.benchmark.process import BICAP, Process

RING_MIB = 64
_CPUS = sorted(os.sched_getaffinity(0))
TOOL_CPU, SENDER_CPU = _CPUS[0], _CPUS[:2][-1]


@dataclass(frozen=True)
class ToolResult:
    """What one run of a tool cost and caught."""

    written: int
    file_bytes: int
    cpu_seconds: float
    peak_rss_mib: float


@dataclass(frozen=True)
class Tool:
    """A command line; `{file}`, `{ready}`, `{interface}` and `{snaplen}` are filled in.

    A word `{listen}` becomes `-i NAME` for each interface, or `-i any` for several if the tool takes only one.
    """

    name: str
    command: Sequence[str]
    ready: Callable[[str], bool]
    brings_xdp: bool = False
    """It puts an XDP program of its own on the interface, and wants none there before."""
    takes_one: bool = False
    """It takes the option -i only once."""

    @property
    def takes_several(self) -> bool:
        """True if it can listen at several interfaces at once."""
        return "{listen}" in self.command

    def start(
        self, netns: str, interfaces: Sequence[str], file: str, snaplen: int, cpu: int | None = TOOL_CPU
    ) -> "Running":
        listened = ["any"] if self.takes_one and len(interfaces) > 1 else interfaces
        listen = [word for name in listened for word in ("-i", name)]
        for stale in (file, f"{file}.ready", f"{file}.log"):
            Path(stale).unlink(missing_ok=True)
        words = [
            filled.format(file=file, ready=f"{file}.ready", interface=interfaces[0], snaplen=snaplen)
            for word in self.command
            for filled in (listen if word == "{listen}" else [word])
        ]
        return Running(self, netns, words, file, cpu)


class Running:
    """A tool that captures until it is stopped, or a `with` block ends."""

    def __init__(self, tool: Tool, netns: str, words: Sequence[str], file: str, cpu: int | None) -> None:
        self._file = file
        self._process = Process(netns, words, f"{file}.log", lambda _: tool.ready(file), cpu=cpu)
        self._process.__enter__()
        self._stopped = False
        time.sleep(0.2)
        self._before = self._process.cpu_seconds()

    def __enter__(self) -> "Running":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._stopped:
            self._process.__exit__(kind, error, trace)

    def stop(self) -> ToolResult:
        """Let it finish what it has; its cost from ready to stopped."""
        time.sleep(0.5)
        used, peak = self._process.cpu_seconds() - self._before, self._process.peak_rss_bytes() / (1 << 20)
        self._stopped = True
        self._process.__exit__(None, None, None)
        return ToolResult(_packets_in(self._file), os.path.getsize(self._file), used, peak)


def _packets_in(file: str) -> int:
    """Counted by capinfos, which knows nothing of bicap; on a node without it, by ourselves."""
    if shutil.which("capinfos"):
        counted = subprocess.run(["capinfos", "-Mrc", "-T", file], capture_output=True, text=True, check=False)
        return int(counted.stdout.split()[1])
    with CaptureFile(file) as capture:
        return sum(len(batch.packets) for batch in capture)


def log_says(words: str) -> Callable[[str], bool]:
    """True for a file beside which a tool's log has these words."""
    return lambda file: words in Path(f"{file}.log").read_text()


def bicap(name: str = "bicap", options: str = "", expression: str = "") -> Tool:
    """bicap as a tool, with options of its own."""
    ours = f"-q --buffer {RING_MIB}MiB --ready-file {{ready}} {options} -w {{file}}"
    return Tool(
        name,
        [*f"{BICAP} capture {{listen}} -s {{snaplen}} {ours}".split(), *([expression] if expression else [])],
        lambda file: os.path.exists(f"{file}.ready"),
        brings_xdp="--hook xdp" in options,
    )


def tools(expression: str = "") -> list[Tool]:
    """bicap and the tools that it is compared with on any node, with the same filter."""
    words = [expression] if expression else []
    where = "{listen} -s {snaplen}"
    tcpdump = f"tcpdump {where} -p -n --time-stamp-precision=nano -B {RING_MIB * 1024} -Z root -w {{file}}"
    dumpcap = f"dumpcap {where} -q -p -B {RING_MIB} -w {{file}}"
    return [
        bicap(expression=expression),
        Tool("tcpdump", [*tcpdump.split(), *words], log_says("listening on"), takes_one=True),
        Tool("dumpcap", [*dumpcap.split(), *(["-f", *words] if words else [])], log_says("File:")),
    ]


def installed(name: str) -> bool:
    """True if the tool of that name is on this machine."""
    return name == "bicap" or shutil.which(name) is not None


def machine() -> dict[str, str]:
    """What a result depends on: commit of the sources ("" where they are in no repository), kernel, CPU."""
    describe = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    commit = (
        subprocess.run(describe, capture_output=True, text=True, check=False).stdout if shutil.which("git") else ""
    )
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "commit": commit.strip(),
        "kernel": os.uname().release,
        "cpu": f"{os.cpu_count()} x {model[1] if model else os.uname().machine}",
    }
