"""`bicap record`: options -> a recorder that keeps packets in memory and writes an incident for each trigger."""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from capture.cli.groups import ORDER, OWN_PROCESS, GroupedCommand, option
from capture.cli.line import read_request
from capture.cli.options import record_options, refuse_not_recorded
from capture.errors import SpecError
from capture.recording import RecordingSpec
from capture.request.convert import spec_of
from capture.request.fields import OUTPUT, RECORD
from capture.units import format_count

if TYPE_CHECKING:
    from capture.live.recorder import Recorder
    from capture.live.trigger_rules import TriggerRule


@click.command(cls=GroupedCommand, short_help="Keep packets in memory, and write those around a trigger.")
@record_options
@option(
    RECORD,
    "--socket",
    "socket_path",
    metavar="PATH",
    help="Socket for `bicap trigger`.  [default: trigger.socket in the folder of incidents]",
)
@option(OUTPUT, "--ready-file", metavar="PATH", help="Create this file when packets are being caught.")
@option(OUTPUT, "-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors.")
@click.pass_context
def record(
    context: click.Context,
    /,
    socket_path: str | None,
    ready_file: str | None,
    quiet: bool,
    **options: Any,
) -> None:
    """Keep the latest packets in memory, and write those before and after a trigger into a file: an incident.

    Takes what `bicap capture` takes to choose packets. Programs in the kernel write them into memory, over the
    oldest, until a trigger fires: a rule of --trigger, SIGUSR2, or `bicap trigger FOLDER`. Each incident is a pcapng
    file and its FILE.json in the folder of --incidents; `bicap incidents FOLDER` lists them. Without rules nobody
    reads the memory meanwhile, which costs no CPU.

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
        from capture.run import own_process as process
        from capture.sink.place import make_way, write_beside

    if ready_file:
        make_way(ready_file)
    say = (lambda _: None) if quiet else _note
    inside = os.path.join(folder, SOCKET_NAME)
    recorder = Recorder(
        plan,
        rules,
        on_event=say,
        on_attached=lambda attached: (
            process.give_up_privileges(attached, (inside, ready_file)) if own_process else None
        ),
    )
    process.end_on_signals(recorder)
    with recorder:
        doorbell = Doorbell(socket_path or inside, recorder.fire)
        try:
            doorbell.start()
            signal.signal(signal.SIGUSR2, lambda *_: _ring(recorder))
            if ready_file:
                write_beside(ready_file, "")
            say(
                f"recording on {', '.join(i.name for i in recorder.roster.present)}; `bicap trigger {doorbell.path}` "
                f"or SIGUSR2 to {os.getpid()} writes an incident, Ctrl-C ends"
            )
            recorder.run(lambda running: _tell_reach(running, quiet))
        finally:
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            process.ignore_signals()
            doorbell.close()
    say(_closing(recorder))


def _rules(texts: Sequence[str]) -> list["TriggerRule"]:
    if not texts:
        return []
    from capture.live.trigger_rules import parse_rule

    return [parse_rule(text) for text in texts]


def _ring(recorder: "Recorder") -> None:
    from capture.live.cause import Cause

    recorder.ring(Cause(rule="signal", at_ns=time.monotonic_ns(), reason="SIGUSR2"))


def _tell_reach(recorder: "Recorder", quiet: bool) -> None:
    news = None if recorder.reach is None else recorder.reach.news(recorder.recording)
    if news and not quiet:
        _note(news)


def _closing(recorder: "Recorder") -> str:
    written = format_count(len(recorder.incidents), "incident")
    missed = f"; rules did not see {format_count(recorder.missed, 'packet')}" if recorder.missed else ""
    return f"{written} in {recorder.recording.folder}: {recorder.end_reason}{missed}"


def _note(line: str) -> None:
    click.echo(f"bicap: {line}", err=True)
