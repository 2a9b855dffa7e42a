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
from capture.extcap.arguments import SUDO, arguments_of, words_of
from capture.extcap.toolbar import CONTROL_OUT, toolbar_of
from capture.extcap.wireshark_list import CLUSTER, words_for

_STATS_INTERVAL = "2s"
"""Time between two reports in the toolbar's log."""
LINES_SHOWN = 5
"""Last lines of what a failed capture said, which Wireshark shows in a dialog."""


def fifo_of(protocol: Mapping[str, str]) -> str:
    """Return the pipe to write packets into. Raises SpecError."""
    fifo = protocol.get("--fifo")
    if not fifo:
        raise SpecError("--capture needs --fifo, the pipe to write into; Wireshark gives it")
    return fifo


def command(protocol: Mapping[str, str], others: Sequence[tuple[str, str]]) -> list[str]:
    """Return the command that captures. Raises SpecError."""
    fifo, entry = fifo_of(protocol), protocol.get("--extcap-interface", "")
    expression = protocol.get("--extcap-capture-filter")
    filter = ["--", expression] if expression else []
    given = words_of(others, arguments_of(entry))
    if entry == CLUSTER:
        return ["kubectl", "bicap", "capture", *given, "-w", "-", *filter]
    words = [*words_for(entry), *given, "-w", fifo]
    words += ["--stats-interval", _STATS_INTERVAL] if CONTROL_OUT in protocol else ["-q"]
    return [*prefix(others), "capture", *words, *filter]


def prefix(others: Sequence[tuple[str, str]]) -> list[str]:
    """Return the words that run bicap, by sudo if that was chosen."""
    sudo = ["sudo", "-n"] if any(name == SUDO for name, _ in others) and os.geteuid() else []
    return [*sudo, sys.executable, "-P", "-m", "capture.cli.main"]


def start(words: Sequence[str], output: IO[bytes] | None = None) -> "subprocess.Popen[str]":
    """Start the command. Raises SpecError.

    It has a session of its own: sudo relays no signal that comes from its own process group, and Ctrl-C in tshark is
    relayed once.
    """
    try:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    except OSError as error:
        sudo = "leave Use sudo out, or " if words[0] == "sudo" else ""
        raise SpecError(f"{words[0]} cannot be run: {error.strerror}; {sudo}install it") from None


@contextmanager
def _output(protocol: Mapping[str, str]) -> Iterator[IO[bytes] | None]:
    """Yield what the command's standard output is: in a cluster Wireshark's pipe, else our own."""
    if protocol.get("--extcap-interface") != CLUSTER:
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
    with toolbar_of(protocol) as toolbar:
        words = command(protocol, others)
        toolbar.enable(waits=False)
        with _output(protocol) as output:
            child = start(words, output)

        def end(number: int, _: FrameType | None) -> None:
            with suppress(ProcessLookupError):
                child.send_signal(number)

        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        assert child.stderr is not None
        lines: list[str] = []
        with child.stderr:
            for line in child.stderr:
                lines = [*lines[-LINES_SHOWN + 1 :], line]
                toolbar.log(line.rstrip())
        code = child.wait()
    if code > 0:
        show_failure(lines, protocol["--fifo"])
    return max(code, 0)


def show_failure(lines: Sequence[str], fifo: str) -> None:
    """Print the last lines of a command that failed, which Wireshark shows, and let its pipe end.

    A capture that cannot start has not opened the pipe, and tshark would wait for its end.
    """
    print("".join(lines), end="", file=sys.stderr, flush=True)
    with suppress(OSError):
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
