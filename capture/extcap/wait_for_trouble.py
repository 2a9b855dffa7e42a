"""A call that waits for trouble -> `bicap record` as a process, and its incidents in Wireshark's pipe.

The recorder keeps packets in memory. An incident begins when the toolbar's button is pressed, or when the rule in the
toolbar becomes true; its file is copied into the pipe while it grows, as a section of its own. All that happens comes
through one queue, from threads that only read.
"""

import json
import os
import queue
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType

from capture.errors import SinkError
from capture.extcap.arguments import arguments_of, words_of
from capture.extcap.captured import LINES_SHOWN, fifo_of, prefix, show_failure, start
from capture.extcap.controls import INITIALIZED, KEEP, RULE, SET, WARNING, ControlMessage
from capture.extcap.toolbar import CONTROL_IN, Toolbar, toolbar_of
from capture.extcap.wireshark_list import WAIT
from capture.pcapng.blocks import section_header

_TURN_SECONDS = 0.1
"""Time between two looks at the folder of incidents."""
_TOOLBAR_SECONDS = 2.0
"""Longest wait for the values of the toolbar, before the recorder starts without them."""
_END_SECONDS = 10.0
_COOLDOWN = ("--cooldown", "1s")
"""A person who presses the button again means it."""
_COPIED = 1 << 20
_READY = "ready"
"""File that is there when the recorder takes signals: before, SIGUSR2 would end it."""

_Event = ControlMessage | str | None
"""A message of the toolbar, a line of the recorder, or its end."""


class IncidentCopy:
    """The incidents in a folder, copied into a pipe in their order; each is removed when it is complete."""

    def __init__(self, folder: Path, pipe: int) -> None:
        self._folder, self._pipe = folder, pipe
        self._at: dict[str, int] = {}

    def copy(self) -> None:
        """Copy what was added to the oldest incident, and go on with the next if it is complete. Raises OSError."""
        for path in sorted(self._folder.glob("incident-*.pcapng")):
            summary = path.with_name(f"{path.name}.json")
            complete = _is_complete(summary)  # before the rest is read
            with path.open("rb") as file:
                file.seek(self._at.get(path.name, 0))
                while data := file.read(_COPIED):
                    view = memoryview(data)
                    while view:
                        view = view[os.write(self._pipe, view) :]
                self._at[path.name] = file.tell()
            if not complete:
                return
            path.unlink()
            summary.unlink(missing_ok=True)


def _is_complete(summary: Path) -> bool:
    try:
        return bool(json.loads(summary.read_text())["end_reason"])
    except (OSError, ValueError, KeyError):  # it is written beside, and renamed
        return False


def command(others: Sequence[tuple[str, str]], folder: str, rule: str | None, expression: str | None) -> list[str]:
    """Return the command that records; with `rule`, that of the toolbar, those of the dialog are left out.

    Raises SpecError.
    """
    given = [(call, value) for call, value in others if call != "--trigger" or rule is None]
    words = words_of(given, arguments_of(WAIT))
    if "--cooldown" not in words:
        words += _COOLDOWN
    words += ["--incidents", folder, "--ready-file", os.path.join(folder, _READY)]
    words += ["--trigger", rule] if rule is not None else []
    runs = prefix(others)
    if runs[0] == "sudo":
        words += ["--user", str(os.getuid())]
    return [*runs, "record", *words, *(["--", expression] if expression else [])]


class Waiting:
    """A recorder that can be started again with another rule."""

    def __init__(
        self,
        protocol: Mapping[str, str],
        others: Sequence[tuple[str, str]],
        toolbar: Toolbar,
        events: "queue.SimpleQueue[_Event]",
    ) -> None:
        self._others, self._toolbar, self._events = others, toolbar, events
        self._expression = protocol.get("--extcap-capture-filter")
        self._has_toolbar = CONTROL_IN in protocol
        self._rule: str | None = None
        self._ending = self._pressed = False
        self._child: subprocess.Popen[str] | None = None
        self.lines: list[str] = []
        """The last lines of the recorder."""

    def end(self, number: int, _: FrameType | None) -> None:
        """End the recorder, which completes an incident that it is writing; a signal handler."""
        self._ending = True
        if self._child is not None:
            with suppress(ProcessLookupError):
                self._child.send_signal(number)

    def wait(self) -> None:
        """Wait for the end of the recorder, whose folder is removed then."""
        if self._child is not None:
            with suppress(subprocess.TimeoutExpired):
                self._child.wait(_END_SECONDS)

    def run(self, folder: str, pipe: int) -> int:
        """Record until Wireshark ends it; return the exit code. Raises SpecError, OSError if the pipe is closed."""
        incidents = IncidentCopy(Path(folder), pipe)
        if self._has_toolbar:
            self._read_initial_values()
        works: str | None = None
        while True:
            rule = self._rule
            code = self._record(folder, incidents)
            if code is None:
                works = rule
            elif code == 0 or self._ending or rule == works:
                return code
            else:  # the rule is refused: go on with the one of before
                self._toolbar.send(ControlMessage(RULE, WARNING, "".join(self.lines)))
                self._rule = works

    def _read_initial_values(self) -> None:
        with suppress(queue.Empty):
            while (event := self._events.get(timeout=_TOOLBAR_SECONDS)) is not None:
                if isinstance(event, ControlMessage):
                    if event.command == INITIALIZED:
                        return
                    if event.control == RULE:
                        self._rule = event.payload.strip() or None
                    self._pressed = self._pressed or event.control == KEEP

    def _record(self, folder: str, incidents: IncidentCopy) -> int | None:
        """Run a recorder to its end; return its exit code, None if another one is wanted, with another rule."""
        ready = Path(folder, _READY)
        ready.unlink(missing_ok=True)
        child = self._child = start(command(self._others, folder, self._rule, self._expression))
        if self._ending:
            child.terminate()
        threading.Thread(target=self._read_lines, args=(child,), name="recorder", daemon=True).start()
        again, lines = False, list[str]()
        while True:
            if self._pressed and ready.exists():
                self._pressed = False
                child.send_signal(signal.SIGUSR2)
            with suppress(queue.Empty):
                event = self._events.get(timeout=_TURN_SECONDS)
                if event is None:
                    break
                if isinstance(event, str):
                    lines = [*lines[-LINES_SHOWN + 1 :], event]
                    self._toolbar.log(event.rstrip())
                elif event.control == KEEP and event.command == SET:
                    self._pressed = True
                elif event.control == RULE and event.command == SET and event.payload.strip() != (self._rule or ""):
                    self._rule, again = event.payload.strip() or None, True
                    child.terminate()
            incidents.copy()
        incidents.copy()
        code, self.lines = child.wait(), lines
        if code < 0 and not (again or self._ending):
            lines.append(f"bicap: the recorder was ended by {signal.Signals(-code).name}\n")
            return 1
        return None if again and not self._ending and code <= 0 else max(code, 0)

    def _read_lines(self, child: "subprocess.Popen[str]") -> None:
        assert child.stderr is not None
        with child.stderr as lines:
            for line in lines:
                self._events.put(line)
        self._events.put(None)


def run(protocol: Mapping[str, str], others: Sequence[tuple[str, str]]) -> int:
    """Wait, and write incidents, until Wireshark ends it; return the exit code. Raises SpecError, SinkError."""
    events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
    folder = tempfile.mkdtemp(prefix="bicap-wireshark-")
    try:
        with toolbar_of(protocol, events.put) as toolbar:
            fifo = fifo_of(protocol)
            command(others, "", None, None)  # a wrong option is said before the pipe is waited for
            toolbar.enable(waits=True)
            waiting = Waiting(protocol, others, toolbar, events)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, waiting.end)
            try:
                pipe = os.open(fifo, os.O_WRONLY)
            except OSError as error:
                raise SinkError(f"cannot write {fifo}: {error.strerror}") from None
            try:
                # Wireshark says that a capture has begun when something comes.
                os.write(pipe, section_header(hardware="", os="", application="bicap", comment=""))
                code = waiting.run(folder, pipe)
            except BrokenPipeError:  # Wireshark has ended the capture
                waiting.end(signal.SIGTERM, None)
                waiting.wait()
                code = 0
            finally:
                os.close(pipe)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if code > 0:
        show_failure(waiting.lines, fifo)
    return code
