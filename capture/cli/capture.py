"""`bicap capture`: options -> a CaptureSpec -> one running Session."""

import json
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

import click

from capture.cli.groups import ORDER, GroupedCommand, option
from capture.cli.rules import RULE_OPTIONS, group_rules, rule_options
from capture.errors import BicapError, SpecError
from capture.filters.expression import parse_expression
from capture.filters.rule import Direction
from capture.filters.sessions import SessionList, read_sessions
from capture.spec import BUFFER_DEFAULT, SNAPLEN_MAX, CaptureSpec, Hook
from capture.units import parse_duration, parse_size

if TYPE_CHECKING:
    from capture.session import Session
    from capture.summary import Summary

_ENDING = (signal.SIGINT, signal.SIGTERM)
WHERE, WHAT, HOW_MUCH, OUTPUT = "Where", "What", "How much", "Output"


@click.command(cls=GroupedCommand, short_help="Capture both directions of chosen conversations into pcapng.")
@option(WHERE, "-i", "--interface", "interfaces", multiple=True, metavar="NAME", help="Interface; may be repeated.")
@option(WHERE, "--netns", metavar="NAME|PATH", help="Network namespace in which the interfaces live.")
@option(
    WHERE,
    "--hook",
    type=click.Choice([hook.value for hook in Hook]),
    default=Hook.AUTO.value,
    show_default=True,
    help="Where the programs sit.",
)
@rule_options(WHAT)
@option(WHAT, "-f", "--rules", "rule_file", metavar="FILE", help="Rules from a YAML file, besides those given here.")
@option(
    WHAT,
    "--sessions",
    metavar="FILE",
    help="Exact five-tuples, one a line (tcp 10.0.0.1:4000 10.0.0.2:80), or - for stdin; SIGHUP reads FILE again.",
)
@option(
    WHAT,
    "--direction",
    type=click.Choice([direction.value for direction in Direction]),
    help="From source to destination, back, or both.  [default: both]",
)
@option(WHAT, "--bidirectional/--no-bidirectional", default=None, help="--direction both, or forward.")
@option(WHAT, "--inner", is_flag=True, help="Match also the packet inside VXLAN, Geneve, GRE and IP in IP.")
@option(
    WHAT,
    "--icmp-errors/--no-icmp-errors",
    default=True,
    show_default=True,
    help="Keep ICMP errors about a matching packet.",
)
@option(
    HOW_MUCH, "-s", "--snaplen", type=int, default=SNAPLEN_MAX, metavar="BYTES", help="Keep this much of a packet."
)
@option(HOW_MUCH, "-c", "--count", type=int, metavar="PACKETS", help="End after writing this many.")
@option(HOW_MUCH, "--duration", metavar="TIME", help="End after this long: 30s, 5m, 1h.")
@option(
    HOW_MUCH,
    "--buffer",
    metavar="SIZE",
    default=f"{BUFFER_DEFAULT >> 20}MiB",
    show_default=True,
    help="Memory of all rings together.",
)
@option(OUTPUT, "-w", "--write", "output", metavar="FILE", help="pcapng file, or - for a live stream on stdout.")
@option(OUTPUT, "--dry-run", is_flag=True, help="Print what would be loaded where, and load nothing.")
@option(OUTPUT, "--stats-interval", metavar="TIME", help="Show counters this often on stderr.")
@option(OUTPUT, "--json", "as_json", is_flag=True, help="Print the final summary (or the plan) as JSON on stdout.")
@option(OUTPUT, "--ready-file", metavar="PATH", help="Create this file when packets are being caught.")
@option(OUTPUT, "-q", "--quiet", is_flag=True, help="No closing report on stderr.")
@click.argument("expression", nargs=-1)
@click.pass_context
def capture(
    context: click.Context,
    /,
    output: str | None,
    dry_run: bool,
    stats_interval: str | None,
    as_json: bool,
    ready_file: str | None,
    quiet: bool,
    **asked: Any,
) -> None:
    """Capture both directions of chosen conversations into pcapng.

    EXPRESSION is a tcpdump filter (man pcap-filter); instead of it, rules and lists of sessions can be given. A rule
    option that is given again begins the next rule. With none of them every packet of the interfaces is kept.

    Ctrl-C ends the capture; the file is then complete and FILE.json beside it holds the accounts.
    """
    spec = build_spec(context.meta[ORDER], **asked)
    if as_json and output == "-":
        raise SpecError("--json and -w - both want standard output; write to a file, its summary is in FILE.json")
    interval = _positive(stats_interval, "--stats-interval")
    from capture.session import Session, plan_capture
    from capture.sink.file import make_way, open_sink, write_beside

    plan = plan_capture(spec)
    if dry_run:
        from capture.cli.show import plan_text
        from capture.plan import describe

        click.echo(json.dumps(describe(plan), indent=2) if as_json else plan_text(plan))
        return
    if output is None:
        raise SpecError("no output given; name a file with -w, or -w - for a live stream")

    if ready_file:
        make_way(ready_file)
    session = Session(plan, open_sink(output))
    try:
        with session:
            _end_on_signals(session)
            _reread_on_hangup(session, spec.sessions)
            if ready_file:
                write_beside(ready_file, "")
            if interval is None:
                if not quiet:
                    _note(f"capturing on {', '.join(i.name for i in plan.interfaces)}; Ctrl-C ends")
                session.run()
            else:
                from capture.cli.show import LiveCounters

                with LiveCounters(sys.stderr) as live:
                    session.run(live.show, interval / 1e9)
    finally:
        for number in _ENDING:  # what remains is short, and a second Ctrl-C must not cut it
            signal.signal(number, signal.SIG_IGN)
        # Also when writing failed: what was caught until then is complete, and is accounted for.
        if session.summary is not None:
            _report(session.summary, quiet, as_json)


def _report(summary: "Summary", quiet: bool, as_json: bool) -> None:
    from capture.sink.file import summary_path, write_beside

    if summary.output != "-" and os.path.isfile(summary.output):  # nothing goes beside a pipe or a device
        write_beside(summary_path(summary.output), json.dumps(summary.as_json(), indent=2) + "\n")
    if not quiet:
        for line in summary.lines():
            _note(line)
    if as_json:
        click.echo(json.dumps(summary.as_json()))


def build_spec(
    order: list[str],
    *,
    interfaces: tuple[str, ...],
    netns: str | None,
    hook: str,
    rule_file: str | None,
    sessions: str | None,
    direction: str | None,
    bidirectional: bool | None,
    inner: bool,
    icmp_errors: bool,
    snaplen: int,
    count: int | None,
    duration: str | None,
    buffer: str,
    expression: tuple[str, ...],
    **words: tuple[str, ...],
) -> CaptureSpec:
    """The words of the command line as a spec; `order` has the name of each option given. Raises SpecError."""
    rules = group_rules(order, {name: words[name] for name in RULE_OPTIONS})
    asked = _direction(direction, bidirectional)
    if rule_file:
        from capture.filters.rulefile import read_rules

        file = read_rules(rule_file)
        rules = (*rules, *file.rules)
        asked = asked or file.direction
    return CaptureSpec(
        interfaces=interfaces,
        netns=netns,
        rules=rules,
        sessions=read_sessions(sessions) if sessions else None,
        expression=parse_expression(" ".join(expression)) if expression else None,
        direction=asked or Direction.BOTH,
        inner=inner,
        icmp_errors=icmp_errors,
        snaplen=snaplen or SNAPLEN_MAX,
        count=count,
        duration_ns=_positive(duration, "--duration"),
        buffer_bytes=parse_size(buffer, "--buffer"),
        hook=Hook(hook),
    )


def _positive(text: str | None, option: str) -> int | None:
    """A time in nanoseconds, None if the option was not given."""
    time = None if text is None else parse_duration(text, option)
    if time == 0:
        raise SpecError(f"{option} is not longer than 0")
    return time


def _direction(direction: str | None, bidirectional: bool | None) -> Direction | None:
    if direction is None:
        return None if bidirectional is None else Direction.BOTH if bidirectional else Direction.FORWARD
    if bidirectional is not None and bidirectional != (direction == Direction.BOTH.value):
        switch = "--bidirectional" if bidirectional else "--no-bidirectional"
        raise SpecError(f"--direction {direction} and {switch} contradict each other; give one of them")
    return Direction(direction)


def _end_on_signals(session: "Session") -> None:
    for number in _ENDING:
        signal.signal(number, lambda received, _: session.stop(f"ended by {signal.Signals(received).name}"))


def _reread_on_hangup(session: "Session", sessions: SessionList | None) -> None:
    if sessions is None or sessions.name == "-":
        return

    def reread() -> None:
        try:
            come, gone = session.replace_conversations(read_sessions(sessions.name).conversations)
            _note(f"{sessions.name} read again: {come:,} conversations came, {gone:,} went")
        except BicapError as error:
            _note(f"{error}; the capture goes on with the conversations it had")

    # In a thread of its own: a long list takes a second, and packets do not wait.
    signal.signal(signal.SIGHUP, lambda *_: threading.Thread(target=reread, name="sessions").start())


def _note(line: str) -> None:
    click.echo(f"bicap: {line}", err=True)
