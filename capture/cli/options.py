"""The options that say what to capture, shared by the commands that capture and that plan."""

from collections.abc import Callable
from typing import Any

import click

from capture.cli.groups import option
from capture.cli.rules import rule_options
from capture.filters.rule import Direction
from capture.selection.selection import Point
from capture.spec import BUFFER_DEFAULT, Hook
from capture.storage import COMPRESSIONS

WHERE, WHAT, SAMPLING, LIMITS, OUTPUT, PLAN = "Where", "What", "Sampling", "Limits", "Output", "Plan"
LOOK_DEFAULT = "1s"

_Declarations = list[Callable[[Any], Any]]

_PODS: _Declarations = [
    option(
        WHERE,
        "--pod",
        "pods",
        multiple=True,
        metavar="[NAMESPACE/]NAME",
        help="All interfaces of this pod, now and when it is made again; may be repeated.",
    ),
    option(
        WHERE,
        "--namespace",
        "namespaces",
        multiple=True,
        metavar="NAMESPACE",
        help="All pods of it; with --selector or --container those in it, with --pod NAME where that one is.  "
        "[default for --pod: default]",
    ),
    option(
        WHERE,
        "-l",
        "--selector",
        metavar="LABELS",
        help="Pods by their labels, as for kubectl: app=web,tier!=db, env in (prod,stage), canary, !old.",
    ),
    option(
        WHERE,
        "--container",
        "containers",
        multiple=True,
        metavar="NAME|ID",
        help="Pods that have this container; may be repeated.",
    ),
]
_RUNTIME: _Declarations = [
    option(
        WHERE,
        "--cri-socket",
        "cri_sockets",
        multiple=True,
        metavar="PATH",
        help="Socket of the container runtime; may be repeated.  [default: where containerd and CRI-O have it]",
    ),
    option(WHERE, "--netns", metavar="NAME|PATH", help="Network namespace in which the interfaces live."),
]
_OPTIONS: _Declarations = [
    option(
        WHERE, "-i", "--interface", "interfaces", multiple=True, metavar="NAME", help="Interface; may be repeated."
    ),
    *_PODS,
    option(
        WHERE,
        "--pid",
        "pids",
        multiple=True,
        type=int,
        metavar="PID",
        help="The network namespace of this process; may be repeated.",
    ),
    option(WHERE, "--all-pods", is_flag=True, help="All pods of this node."),
    option(WHERE, "--self", "own", is_flag=True, help="The pod that bicap runs in itself."),
    option(
        WHERE,
        "--point",
        type=click.Choice([point.value for point in Point]),
        help="Capture at the pods that rules name as source, destination, or both.  "
        "[default, where nothing else says where: source, if a rule's source is a pod]",
    ),
    option(WHERE, "--wait", is_flag=True, help="Wait for the first such pod, if there is none yet."),
    *_RUNTIME,
    option(
        WHERE,
        "--hook",
        type=click.Choice([hook.value for hook in Hook]),
        help="Where the programs sit; xdp is for what an interface receives, with tc for what it sends.  "
        "[default: auto]",
    ),
    rule_options(WHAT),
    option(
        WHAT,
        "-f",
        "--filename",
        metavar="FILE",
        help="A file of rules, or a PacketCapture of ours or Antrea's; what is given here goes before it.",
    ),
    option(
        WHAT,
        "--conversations",
        aliases=["--sessions"],
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
        default=None,
        help="Keep ICMP errors about a matching packet.  [default: icmp-errors]",
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
        metavar="BYTES",
        help="Keep this much of a packet.  [default: all]",
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
        help=f"Memory of all rings together.  [default: {BUFFER_DEFAULT >> 20}MiB]",
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
    option(
        PLAN,
        "--costs",
        metavar="FILE",
        help="What packets cost, as `bicap bench --calibrate` wrote it.  [default: what it measured here, if it did]",
    ),
]


def _declared(declarations: _Declarations, command: Any) -> Any:
    for declare in reversed(declarations):
        command = declare(command)
    return command


def pod_options(command: Any) -> Any:
    """Those that choose pods by what the runtime knows of them."""
    return _declared([*_PODS, *_RUNTIME], command)


def capture_options(command: Any) -> Any:
    """All of them, in this order."""
    return click.argument("expression", nargs=-1)(_declared(_OPTIONS, command))
