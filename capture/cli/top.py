"""`bicap top`: options -> the sessions of now in a terminal, or as plain lines."""

import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from capture.cli.groups import ORDER, OWN_PROCESS, GroupedCommand, option
from capture.cli.line import positive_time, read_request
from capture.cli.options import refuse_not_recorded, top_options
from capture.errors import SpecError
from capture.recording import RecordingSpec
from capture.request.convert import spec_of
from capture.request.fields import OUTPUT

if TYPE_CHECKING:
    from capture.live.recorder import Recorder

TOP_MEMORY = 64 << 20
"""Bytes of memory for packets, unless --memory is given."""
KEY_NS = 100_000_000
"""Time until a picture shows what a key has changed, ns."""


@click.command(cls=GroupedCommand, short_help="Show the sessions of now, and what goes wrong with them.")
@top_options
@option(
    OUTPUT,
    "--sort",
    default="byte_rate",
    show_default=True,
    metavar="COLUMN",
    help="The largest first: byte_rate, packet_rate, or a column of `bicap sessions`.",
)
@option(OUTPUT, "--filter", "filters", multiple=True, metavar="CONDITION", help="As for `bicap sessions`.")
@option(
    OUTPUT, "--rows", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="Sessions to show."
)
@option(OUTPUT, "--interval", default="1s", show_default=True, metavar="TIME", help="Time between two pictures.")
@option(OUTPUT, "-n", "numeric", is_flag=True, help="Show addresses, not names of pods.")
@option(OUTPUT, "--json", "as_json", is_flag=True, help="Print a JSON object for each picture.")
@click.pass_context
def top(
    context: click.Context,
    /,
    sort: str,
    filters: tuple[str, ...],
    rows: int,
    interval: str,
    numeric: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Show the sessions of now: who talks how much, round trips, retransmissions, and what goes wrong.

    Takes what `bicap record` takes to choose packets, and writes nothing. In a terminal the picture stays in its
    place: q ends, p pauses, s orders by the next column, / takes a filter, arrows and Enter follow one session. Into
    a pipe or file each picture is plain lines. The packets wait in memory (--memory, 64 MiB if not given) as for a
    recorder; what cannot be followed is counted.
    """
    request = read_request(context.meta[ORDER], options)
    refuse_not_recorded(request)
    spec = spec_of(request)
    recording = spec.recording or RecordingSpec(memory_bytes=TOP_MEMORY)
    spec = replace(spec, recording=replace(recording, folder=None))
    every_ns = positive_time(interval, "--interval") or 10**9
    from capture.kernel.privileges import drop_unused
    from capture.run.planning import plan_capture

    own_process = context.obj == OWN_PROCESS
    if own_process:
        drop_unused()
    from capture.analysis.query.columns import COLUMNS, WORDS
    from capture.analysis.query.conditions import Filter, nearest
    from capture.live.live_sessions import RATES

    if sort not in RATES and (sort not in COLUMNS or sort in WORDS):
        raise SpecError(f"--sort {sort}: there is no such column of numbers{nearest(sort, (*RATES, *COLUMNS))}")
    conditions = [Filter(text) for text in filters]
    plan = plan_capture(spec)
    from capture.cli.top_screen import TopScreen
    from capture.live.live_sessions import LiveSessions
    from capture.live.recorder import Recorder
    from capture.run import own_process as process

    sessions = LiveSessions()
    recorder = Recorder(
        plan,
        on_attached=lambda attached: process.give_up_privileges(attached, ()) if own_process else None,
        onlooker=sessions.feed,
    )
    process.end_on_signals(recorder)
    with recorder, TopScreen(sys.stdout, sort, recorder.stop, as_json) as screen:

        def picture(running: "Recorder") -> None:
            now = time.monotonic_ns()
            if not screen.due(now, every_ns):
                return
            view = sessions.view(now, screen.controls.order, rows, (*conditions, *screen.conditions))
            interfaces = [interface.name for interface in running.roster.interfaces]
            screen.show(view, interfaces, running.missed, {} if numeric else running.names)

        recorder.run(picture, min(every_ns, KEY_NS if screen.in_place else 10**9))
