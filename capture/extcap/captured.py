"""A call that captures -> `bicap capture` as a process, its errors for Wireshark, its account in the toolbar.

In a cluster it is `kubectl bicap capture`, which writes a live stream on its standard output only.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import IO

from capture.errors import SinkError, SpecError
from capture.extcap.answers import log_message
from capture.extcap.arguments import SUDO, words_of
from capture.extcap.wireshark_list import CLUSTER, words_for

_STATS_INTERVAL = "2s"
"""Time between two reports in the toolbar's log."""
_LINES_SHOWN = 5
"""Last lines of what a failed capture said, which Wireshark shows in a dialog."""


def command(protocol: Mapping[str, str], others: Sequence[tuple[str, str]]) -> list[str]:
    """Return the command that captures. Raises SpecError."""
    fifo = protocol.get("--fifo")
    if not fifo:
        raise SpecError("--capture needs --fifo, the pipe to write into; Wireshark gives it")
    expression = protocol.get("--extcap-capture-filter")
    if _in_cluster(protocol):
        filter = ["--", expression] if expression else []
        return ["kubectl", "bicap", "capture", *words_of(others, in_cluster=True), "-w", "-", *filter]
    words = [*words_for(protocol.get("--extcap-interface", "")), *words_of(others), "-w", fifo]
    words += ["--stats-interval", _STATS_INTERVAL] if "--extcap-control-out" in protocol else ["-q"]
    if expression:
        words += ["--", expression]
    sudo = ["sudo", "-n"] if any(name == SUDO for name, _ in others) and os.geteuid() else []
    return [*sudo, sys.executable, "-P", "-m", "capture.cli.main", "capture", *words]


def _in_cluster(protocol: Mapping[str, str]) -> bool:
    return protocol.get("--extcap-interface") == CLUSTER


@contextmanager
def _output(protocol: Mapping[str, str]) -> Iterator[IO[bytes] | None]:
    """Yield what the command's standard output is: in a cluster Wireshark's pipe, else our own."""
    if not _in_cluster(protocol):
        yield None
        return
    try:
        pipe = open(protocol["--fifo"], "wb", buffering=0)  # noqa: SIM115 - closed below
    except OSError as error:
        raise SinkError(f"cannot write {protocol['--fifo']}: {error.strerror}") from None
    try:
        yield pipe
    finally:
        pipe.close()


def run(protocol: Mapping[str, str], others: Sequence[tuple[str, str]]) -> int:
    """Capture until Wireshark ends it; return the exit code. Raises SpecError, SinkError."""
    words = command(protocol, others)
    with _log(protocol.get("--extcap-control-out")) as log:
        try:
            with _output(protocol) as output:
                child = subprocess.Popen(
                    words, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.PIPE, text=True
                )
        except OSError as error:
            sudo = "leave Use sudo out, or " if words[0] == "sudo" else ""
            raise SpecError(f"{words[0]} cannot be run: {error.strerror}; {sudo}install it") from None

        def end(number: int, _: FrameType | None) -> None:
            with suppress(ProcessLookupError):
                child.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        assert child.stderr is not None
        said: list[str] = []
        with child.stderr:
            for line in child.stderr:
                said = [*said[-_LINES_SHOWN + 1 :], line]
                if log is not None:
                    _show(log, line.rstrip())
        code = child.wait()
    if code > 0:
        print("".join(said), end="", file=sys.stderr, flush=True)
        _end(protocol["--fifo"])
    return max(code, 0)


def _end(fifo: str) -> None:
    """Let the reader of the pipe see its end: a capture that cannot start has not opened it, and tshark waits."""
    with suppress(OSError):
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))


def _show(log: IO[bytes], line: str) -> None:
    with suppress(OSError):  # the toolbar may be gone, and the capture goes on
        log.write(log_message(line))


@contextmanager
def _log(path: str | None) -> Iterator[IO[bytes] | None]:
    """Yield the pipe of the toolbar's controls, None where there is no toolbar (tshark)."""
    if not path:
        yield None
        return
    try:
        pipe = open(path, "wb", buffering=0)  # noqa: SIM115 - closed below
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error.strerror}") from None
    try:
        yield pipe
    finally:
        with suppress(OSError):
            pipe.close()
