"""`bicap record`: options -> a recorder, in memory or in a ring of files, and an incident for each trigger."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from capture.cli.groups import ORDER, OWN_PROCESS, GroupedCommand, option
from capture.cli.line import read_request
from capture.cli.options import record_options, refuse_not_recorded
from capture.errors import SinkError, SpecError
from capture.recording import RecordingSpec
from capture.request.convert import spec_of
from capture.request.fields import OUTPUT, RECORD
from capture.units import format_count

if TYPE_CHECKING:
    from capture.live.recorder import Recorder
    from capture.live.ring_recorder import RingRecorder
    from capture.live.trigger_rules import TriggerRule
    from capture.run.summary import Summary

    AnyRecorder = Recorder | RingRecorder


@click.command(cls=GroupedCommand, short_help="Keep the latest packets, and those around a trigger for good.")
@record_options
@option(
    RECORD,
    "--socket",
    "socket_path",
    metavar="PATH",
    help="Socket for `bicap trigger`.  [default: trigger.socket in the folder of incidents]",
)
@option(
    RECORD,
    "--http",
    metavar="ADDRESS",
    help="Take POST /trigger on this loopback address, like 127.0.0.1:9099, from Alertmanager or others; with the "
    "token that is in http.token in the folder of incidents.",
)
@option(
    RECORD,
    "--on-incident",
    "command",
    metavar="COMMAND",
    help="Run this with the path of each complete incident, or with the paths of its files if it has several; "
    "without a shell.",
)
@option(RECORD, "--webhook", metavar="URL", help="POST the JSON of each complete incident to this URL.")
@option(OUTPUT, "--ready-file", metavar="PATH", help="Create this file when packets are being caught.")
@option(OUTPUT, "-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors.")
@click.pass_context
def record(
    context: click.Context,
    /,
    socket_path: str | None,
    http: str | None,
    command: str | None,
    webhook: str | None,
    ready_file: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Keep the latest packets in memory, and write those before and after a trigger into a file: an incident.

    Takes what `bicap capture` takes to choose packets. Programs in the kernel write them into memory, over the
    oldest, until a trigger fires: a rule of --trigger, SIGUSR2, or `bicap trigger FOLDER`. Each incident is a pcapng
    file and its FILE.json in the folder of --incidents; `bicap incidents FOLDER` lists them. Without rules nobody
    reads the memory meanwhile, which costs no CPU.

    With -w, -C and -W packets are kept in a ring of files instead, for hours: an incident is then hard links to the
    files of the ring from --before to --after, in a folder on the same file system.

    Ctrl-C ends the recorder; an incident that is being written is completed.
    """
    request = read_request(context.meta[ORDER], options)
    refuse_not_recorded(request)
    spec = spec_of(request)
    spec = replace(spec, recording=spec.recording or RecordingSpec())
    assert spec.recording is not None
    folder = spec.recording.folder
    if folder is None:
        raise SpecError("no folder for incidents given; name one with --incidents")
    from capture.kernel.privileges import drop_unused
    from capture.live.http_door import HttpDoor, make_token, parse_address
    from capture.live.tell import Messenger, check_url, command_words

    address = None if http is None else parse_address(http)
    words, url = command and command_words(command), webhook and check_url(webhook)
    from capture.kernel.program import compiling_ahead
    from capture.run.planning import plan_capture

    own_process = context.obj == OWN_PROCESS
    if own_process:
        drop_unused()
    rules = _rules(spec.recording.triggers)
    if any(rule.reason is not None for rule in rules):
        spec = replace(spec, reasons=True)
    plan = plan_capture(spec)
    with compiling_ahead(plan):
        from capture.live.doorbell import SOCKET_NAME, Doorbell
        from capture.live.recorder import Recorder
        from capture.live.ring_recorder import RingRecorder
        from capture.run import own_process as process
        from capture.sink.place import make_way, write_beside

    if ready_file:
        make_way(ready_file)
    say = (lambda _: None) if quiet else _note
    messenger = Messenger(words or None, url, _note)
    inside = os.path.join(folder, SOCKET_NAME)
    ring = request.storage.path

    def attached(running: "AnyRecorder") -> None:
        if own_process:
            process.give_up_privileges(running, (inside, ready_file, ring))

    recorder: AnyRecorder
    if ring is None:
        recorder = Recorder(plan, rules, on_event=say, on_attached=attached, on_incident=messenger.tell)
    else:
        recorder = RingRecorder(plan, ring, rules, on_event=say, on_attached=attached, on_incident=messenger.tell)
    process.end_on_signals(recorder)
    try:
        with recorder:
            doorbell = Doorbell(socket_path or inside, recorder.fire)
            door = None
            try:
                doorbell.start()
                messenger.start()
                if address is not None:
                    door = HttpDoor(address, make_token(folder), recorder.fire)
                    door.start()
                signal.signal(signal.SIGUSR2, lambda *_: _ring(recorder))
                if ready_file:
                    write_beside(ready_file, "")
                say(
                    f"recording on {', '.join(i.name for i in recorder.roster.present)}; `bicap trigger "
                    f"{doorbell.path}` or SIGUSR2 to {os.getpid()} writes an incident, Ctrl-C ends"
                )
                recorder.run(lambda running: _tell_reach(running, quiet))
            finally:
                signal.signal(signal.SIGUSR2, signal.SIG_IGN)
                process.ignore_signals()
                doorbell.close()
                if door is not None:
                    door.close()
    finally:
        # Also if writing failed: what was caught until then is complete and accounted for.
        if isinstance(recorder, RingRecorder) and recorder.summary is not None:
            _report(recorder.summary, say, failed=sys.exception() is not None)
    messenger.close()
    say(_closing(recorder))


def _report(summary: "Summary", say: Callable[[str], None], failed: bool) -> None:
    """Say what the capture of a ring says at its end, and write its FILE.json."""
    from capture.run.own_process import write_summary

    for line in summary.lines():
        say(line)
    try:
        write_summary(summary)
    except SinkError as error:
        if not failed:  # if the output failed, that is the error to report
            raise
        _note(str(error))


def _rules(texts: Sequence[str]) -> list["TriggerRule"]:
    if not texts:
        return []
    from capture.live.trigger_rules import parse_rule

    return [parse_rule(text) for text in texts]


def _ring(recorder: "AnyRecorder") -> None:
    from capture.live.cause import Cause

    recorder.ring(Cause(rule="signal", at_ns=time.monotonic_ns(), reason="SIGUSR2"))


def _tell_reach(recorder: "AnyRecorder", quiet: bool) -> None:
    news = None if recorder.reach is None else recorder.reach.news(recorder.recording)
    if news and not quiet:
        _note(news)


def _closing(recorder: "AnyRecorder") -> str:
    written = format_count(len(recorder.incidents), "incident")
    missed = f"; rules did not see {format_count(recorder.missed, 'packet')}" if recorder.missed else ""
    return f"{written} in {recorder.recording.folder}: {recorder.end_reason}{missed}"


def _note(line: str) -> None:
    click.echo(f"bicap: {line}", err=True)
