"""The options that say what to capture, shared by the commands that capture and that plan."""

from collections.abc import Callable
from typing import Any

import click

from capture.cli.groups import option
from capture.cli.rules import rule_options
from capture.filters.rule import Direction
from capture.spec import BUFFER_DEFAULT, SNAPLEN_MAX, Hook
from capture.storage import COMPRESSIONS

WHERE, WHAT, SAMPLING, LIMITS, OUTPUT, PLAN = "Where", "What", "Sampling", "Limits", "Output", "Plan"
LOOK_DEFAULT = "1s"

_OPTIONS: list[Callable[[Any], Any]] = [
    option(
        WHERE, "-i", "--interface", "interfaces", multiple=True, metavar="NAME", help="Interface; may be repeated."
    ),
    option(WHERE, "--netns", metavar="NAME|PATH", help="Network namespace in which the interfaces live."),
    option(
        WHERE,
        "--hook",
        type=click.Choice([hook.value for hook in Hook]),
        default=Hook.AUTO.value,
        show_default=True,
        help="Where the programs sit.",
    ),
    rule_options(WHAT),
    option(
        WHAT,
        "-f",
        "--rules",
        "rule_file",
        metavar="FILE",
        help="Rules and samplers from a YAML file, besides those given here.",
    ),
    option(
        WHAT,
        "--sessions",
        metavar="FILE",
        help="Exact five-tuples, one a line (tcp 10.0.0.1:4000 10.0.0.2:80), - is stdin; SIGHUP reads FILE again.",
    ),
    option(
        WHAT,
        "--direction",
        type=click.Choice([direction.value for direction in Direction]),
        help="From source to destination, back, or both.  [default: both]",
    ),
    option(WHAT, "--bidirectional/--no-bidirectional", default=None, help="--direction both, or forward."),
    option(WHAT, "--inner", is_flag=True, help="Match also the packet inside VXLAN, Geneve, GRE and IP in IP."),
    option(
        WHAT,
        "--icmp-errors/--no-icmp-errors",
        default=True,
        show_default=True,
        help="Keep ICMP errors about a matching packet.",
    ),
    option(
        SAMPLING,
        "--sample",
        "samplers",
        multiple=True,
        metavar="SAMPLER",
        help="Keep flow:1/10 or flow:10% of conversations, packet:1/100 of packets, first:20 of each conversation "
        "and direction, rate:1000pps or rate:10mbit; all given must agree. For one direction: reverse=first:5.",
    ),
    option(
        SAMPLING,
        "--sample-seed",
        type=int,
        metavar="NUMBER",
        help="Captures with one seed choose the same conversations, on any node.  [default: 0]",
    ),
    option(
        SAMPLING,
        "--keep-control/--no-keep-control",
        default=None,
        help="Keep SYN, FIN, RST and ICMP errors whatever samplers say.  [default: keep-control]",
    ),
    option(SAMPLING, "--headers-only", is_flag=True, help="Keep headers up to the transport layer, and no payload."),
    option(
        SAMPLING,
        "-s",
        "--snaplen",
        type=int,
        default=SNAPLEN_MAX,
        metavar="BYTES",
        help="Keep this much of a packet.",
    ),
    option(
        SAMPLING,
        "--on-pressure",
        "measures",
        multiple=True,
        metavar="MEASURES",
        help="While rings fill, in this order: truncate (no payload), sample (fewer conversations), lose.  "
        "[default: lose]",
    ),
    option(LIMITS, "-c", "--count", type=int, metavar="PACKETS", help="End after writing this many."),
    option(
        LIMITS, "--count-forward", type=int, metavar="PACKETS", help="End after so many of the forward direction."
    ),
    option(
        LIMITS, "--count-reverse", type=int, metavar="PACKETS", help="End after so many of the reverse direction."
    ),
    option(LIMITS, "--max-bytes", metavar="SIZE", help="End before the output has more, before compression: 500MB."),
    option(LIMITS, "--duration", metavar="TIME", help="End after this long: 30s, 5m, 1h."),
    option(LIMITS, "--start-at", metavar="TIME", help="Begin at 18:30, or 2026-11-24T18:30:00."),
    option(LIMITS, "--stop-at", metavar="TIME", help="End at that time."),
    option(
        LIMITS,
        "--buffer",
        metavar="SIZE",
        default=f"{BUFFER_DEFAULT >> 20}MiB",
        show_default=True,
        help="Memory of all rings together.",
    ),
    option(OUTPUT, "-w", "--write", "output", metavar="FILE", help="pcapng file, or - for a live stream on stdout."),
    option(
        OUTPUT, "-C", "file_size", metavar="SIZE", help="Begin another file before one has more: 100 (MB), 64MiB."
    ),
    option(OUTPUT, "-G", "file_time", metavar="TIME", help="Begin another file after this long: 60 (seconds), 1h."),
    option(OUTPUT, "-W", "files_kept", type=int, metavar="FILES", help="Keep the last so many files."),
    option(
        OUTPUT,
        "--compress",
        type=click.Choice(COMPRESSIONS),
        help="Compress files; Wireshark reads them as they are.",
    ),
    option(OUTPUT, "--user", metavar="NAME", help="Owner of the files.  [default: who runs bicap]"),
    option(OUTPUT, "--min-free", metavar="SHARE|SIZE", help="End before the disk has less room: 5%, 2GiB."),
    option(
        OUTPUT, "--json", "as_json", is_flag=True, help="Print the final summary (or the plan) as JSON on stdout."
    ),
    option(
        PLAN,
        "--look",
        metavar="TIME",
        help=f"Estimate from the counters of the interfaces, watched for so long.  [default: {LOOK_DEFAULT}]",
    ),
    option(
        PLAN,
        "--assume",
        metavar="LOAD",
        help="Estimate from this load, both ways together: 100kpps,800B or 10mbit,800B or 100kpps,10mbit.",
    ),
]


def capture_options(command: Any) -> Any:
    """All of them, in this order."""
    for declare in reversed(_OPTIONS):
        command = declare(command)
    return click.argument("expression", nargs=-1)(command)
