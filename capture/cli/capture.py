"""`bicap capture`: options -> a CaptureSpec -> one running Capture."""

import json
import signal
import sys
import threading
from contextlib import ExitStack, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from capture.cli.groups import ORDER, OWN_PROCESS, GroupedCommand, option
from capture.cli.line import positive_time, read_request
from capture.cli.live_answers import TELL_SECONDS, LiveAnswers, check_followed
from capture.cli.metrics import REFRESH_SECONDS, bound, each, shown_by
from capture.cli.options import capture_options, refuse_recording
from capture.cli.uploading import TICK_SECONDS, begin_upload, check_store, check_uploaded, finish_upload
from capture.errors import BicapError, SinkError, SpecError
from capture.filters.conversations import ConversationList, read_conversations
from capture.request.convert import spec_of
from capture.request.fields import OUTPUT
from capture.units import format_count

if TYPE_CHECKING:
    from capture.metrics.serving import MetricsServer
    from capture.run.capture import Capture
    from capture.run.summary import Summary
    from capture.store.capture_upload import CaptureUpload


@click.command(cls=GroupedCommand, short_help="Capture both directions of chosen conversations into pcapng.")
@capture_options
@option(OUTPUT, "--dry-run", is_flag=True, help="Print what would be loaded where, and what to expect; load nothing.")
@option(OUTPUT, "--stats-interval", metavar="TIME", help="Show counters this often on stderr.")
@option(
    OUTPUT,
    "--diagnose",
    "diagnosed",
    is_flag=True,
    help="Show live sessions and what goes wrong on stderr while the capture writes, and at the end what `bicap "
    "diagnose` says: a picture as of `bicap top` in a terminal, else plain lines each 10 s, or --stats-interval.",
)
@option(
    OUTPUT,
    "--metrics",
    metavar="ADDRESS",
    help="Serve counters, verdicts and round trips to Prometheus at this address while the capture runs: PORT on "
    "loopback, or HOST:PORT. Needs prometheus-client.",
)
@option(OUTPUT, "--ready-file", metavar="PATH", help="Create this file when packets are being caught.")
@option(OUTPUT, "-q", "--quiet", is_flag=True, help="No closing report on stderr.")
@click.pass_context
def capture(
    context: click.Context,
    /,
    dry_run: bool,
    stats_interval: str | None,
    diagnosed: bool,
    metrics: str | None,
    as_json: bool,
    ready_file: str | None,
    quiet: bool,
    look: str | None,
    assume: str | None,
    costs: str | None,
    **options: Any,
) -> None:
    """Capture both directions of chosen conversations into pcapng.

    EXPRESSION is a tcpdump filter (man pcap-filter); rules and lists of conversations can be given instead. A rule
    option that is given again begins the next rule. Without any of them every packet of the interfaces is kept.

    Ctrl-C ends the capture; the file is then complete, and FILE.json beside it accounts for every packet.
    """
    request = read_request(context.meta[ORDER], options)
    refuse_recording(request)
    spec, output = spec_of(request), request.storage.path
    if as_json and output == "-":
        raise SpecError("--json and -w - both write to standard output; write to a file, its summary is in FILE.json")
    if not (look is assume is costs is None or dry_run):
        raise SpecError("--look, --assume and --costs are for an estimate; give --dry-run too, or use bicap plan")
    interval = positive_time(stats_interval, "--stats-interval")
    check_store(request, spec)
    if diagnosed:
        check_followed(spec, output)
    from capture.kernel.privileges import drop_unused
    from capture.kernel.program import compiling_ahead
    from capture.run.planning import plan_capture

    own_process = context.obj == OWN_PROCESS
    # Before privileges are dropped: it becomes another user.
    upload = None if dry_run or output is None else begin_upload(spec, output, quiet)
    if own_process:
        drop_unused()
    plan = plan_capture(spec)
    if dry_run:
        from capture.cli.plan import look_ahead, plan_report

        click.echo(plan_report(plan, look_ahead(plan, output, look, assume, costs), as_json))
        return
    if output is None:
        raise SpecError("no output given; name a file with -w, or -w - for a live stream")
    with compiling_ahead(plan):
        from capture.run import own_process as process
        from capture.run.capture import Capture
        from capture.sink.open import open_sink
        from capture.sink.place import make_way, summary_path, write_beside
        from capture.stream.compiled import portions

        portions.compiled()

    if ready_file:
        make_way(ready_file)
    answers: LiveAnswers | None = None
    with bound(metrics) as server, ExitStack() as stack:
        if diagnosed:
            answers = LiveAnswers(spec.storage.user, interval, summary_path(output))
            stack.callback(answers.close)
        running = Capture(
            plan,
            open_sink(output, spec.storage),
            on_event=(lambda _: None) if quiet else _note,
            on_attached=lambda attached: (
                process.give_up_privileges(attached, (output, ready_file)) if own_process else None
            ),
        )
        if spec.start_at_ns and not quiet:
            _note(f"begins at {datetime.fromtimestamp(spec.start_at_ns / 1e9):%Y-%m-%d %H:%M:%S}")
        process.end_on_signals(running)
        try:
            with running:
                _reread_on_hangup(running, spec.conversations)
                if ready_file:
                    write_beside(ready_file, "")
                if server is not None:
                    server.start()
                _run(running, interval, server, upload, answers, quiet)
        finally:
            process.ignore_signals()
            # Also if writing failed: what was caught until then is complete and accounted for.
            if running.summary is not None:
                _report(running.summary, upload, answers, quiet, as_json, failed=sys.exception() is not None)


def _run(
    running: "Capture",
    interval: int | None,
    server: "MetricsServer | None",
    upload: "CaptureUpload | None",
    answers: LiveAnswers | None,
    quiet: bool,
) -> None:
    """Run a capture, upload its files, and show its counters or its sessions where they were asked for."""
    with nullcontext() if server is None else shown_by(server) as show:
        ticks = [] if show is None else [(REFRESH_SECONDS, show)]
        if answers is not None:
            ticks.append((TELL_SECONDS, answers.tell))
        if upload is not None:
            ticks.append((TICK_SECONDS, lambda capture: upload.finished(file.path for file in capture.files[:-1])))
        if interval is None or answers is not None:
            if not quiet:
                _note(f"capturing on {', '.join(i.name for i in running.roster.present)}; Ctrl-C ends")
            running.run(*each(ticks))
            return
        from capture.cli.show import LiveCounters

        with LiveCounters(sys.stderr) as live:
            running.run(*each([*ticks, (interval / 1e9, live.show)]))


def _report(
    summary: "Summary",
    upload: "CaptureUpload | None",
    answers: LiveAnswers | None,
    quiet: bool,
    as_json: bool,
    failed: bool,
) -> None:
    from capture.run.own_process import write_summary

    failure: BicapError | None = None
    try:
        write_summary(summary, None if upload is None else upload.as_json())
    except SinkError as error:
        failure = error
    if not quiet:
        for line in summary.lines():
            _note(line)
    if answers is not None:
        answers.finish(summary)
    uploaded: dict[str, Any] = {}
    if upload is not None:
        try:
            uploaded = {"store": finish_upload(upload, summary, quiet)}
            check_uploaded(upload)
            if not quiet:
                _note(upload.line())
        except BicapError as error:
            failure = failure or error
            if failed:
                _note(str(error))
    if as_json:
        click.echo(json.dumps(summary.as_json() | uploaded))
    if failure is not None and not failed:  # if the output failed, that is the error to report
        raise failure


def _reread_on_hangup(running: "Capture", conversations: ConversationList | None) -> None:
    if conversations is None or conversations.name in (None, "-"):
        return
    file = conversations.name

    def reread() -> None:
        try:
            added, removed = running.replace_conversations(read_conversations(file).conversations)
            _note(f"{file} read again: {format_count(added, 'conversation')} added, {removed:,} removed")
        except BicapError as error:
            _note(f"{error}; the capture continues with its present conversations")

    # In a thread of its own: reading a long list takes a second, and packets do not wait.
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=reread, name="conversations").start())


def _note(line: str) -> None:
    click.echo(f"bicap: {line}", err=True)
