"""Every kind of program that bicap can load, by name, as data."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from capture.filters.conversations import ConversationList, parse_conversations
from capture.filters.expression import parse_expression
from capture.filters.filter_h import FilterProgram, filter_program
from capture.filters.ruletext import RuleText
from capture.sampling.levels import OnPressure
from capture.sampling.parse import parse_sampler
from capture.sampling.sampler import Sampling
from capture.sampling.sampling_h import SamplingProgram, sampling_program
from capture.wire.direction import Direction


@dataclass(frozen=True)
class Variant:
    """A program to compile, and how to load it. `steady`: its verdicts depend only on the packets."""

    wanted: FilterProgram
    sampling: SamplingProgram
    defines: Mapping[str, int] = field(default_factory=dict)
    shared: bool = False
    xdp: bool = False
    steady: bool = True
    runs: bool = True
    """True if packets are run through it on every kernel; else it is only loaded."""
    slot: int = 0


def rules(*texts: Mapping[str, str], **more: Any) -> FilterProgram:
    return filter_program([RuleText(**text).rule() for text in texts], **more)


def conversations(count: int) -> ConversationList:
    lines = [f"tcp 10.0.{n >> 8}.{n & 255}:{1000 + n} > 10.1.0.1:80" for n in range(count)]
    lines += ["tcp 10.0.0.1:1000 > 10.0.0.2:80", "udp fd00::1:53 > fd00::2:80"]
    return parse_conversations("list", lines[:count])


WEB = {"source": "10.0.0.0/24", "destination": ":80", "protocol": "tcp"}
FILTERS: dict[str, dict[str, Any]] = {
    "exact": {"rules": [{"source": "10.0.0.1:1000", "destination": "10.0.0.2:80", "protocol": "tcp"}]},
    "ports and networks": {"rules": [WEB, {"source": "fd00::/61", "destination": ":80,443,8000-8050"}]},
    "TCP flags": {"rules": [{**WEB, "tcp_flags": "syn,!ack"}]},
    "ICMP types": {"rules": [{"protocol": "icmp", "icmp_type": "echo-request"}]},
    "IPv6": {"rules": [{"source": "fd00::1", "destination": "[fd00::2]:80", "protocol": "tcp"}]},
    "a hundred rules": {"rules": [{"source": f"10.1.{n}.0/24", "destination": f":{1000 + n}"} for n in range(100)]},
    "ten exact rules": {
        "rules": [
            {"source": f"10.0.0.1:{n}", "destination": "10.0.0.2:80", "protocol": "tcp"} for n in range(995, 1005)
        ]
    },
    "pods": {"rules": [{"source": "shop/web-0", "destination": "bank/api-0:80"}]},
    "one direction": {"rules": [WEB], "direction": Direction.REVERSE},
    "no ICMP errors": {"rules": [WEB], "icmp_errors": False},
    "inner": {"rules": [WEB], "inner": True},
    "inner of a hundred rules": {
        "rules": [{"source": f"10.1.{n}.0/24", "destination": f":{1000 + n}"} for n in range(100)],
        "inner": True,
    },
    "a thousand conversations": {"conversations": 1000},
    "conversations and rules": {"conversations": 1000, "rules": [WEB], "inner": True},
    "shared interface": {"rules": [WEB], "shared": True},
    "everything on a shared interface": {"shared": True},
}
EXPRESSIONS = {
    "host and port": "src host 10.0.0.1 and udp dst port 53",
    "TCP payload": "tcp[((tcp[12:1] & 0xf0) >> 2):1] = 0x47",
    "arithmetic": "ip[2:2] - ((ip[0] & 0xf) << 2) > 20",
    "VLAN": "vlan 42 and ip",
    "protochain": "ip6 protochain 6",
    "no text for its mirror": "ip[14:4] = 0x00010a00 or udp[0:2] = 53",
    "long": " or ".join(f"(src host 10.0.{n}.1 and tcp dst port {n + 1000})" for n in range(40)),
    "fields": "tcp[tcpflags] & 2 != 0 or icmp[icmptype] = icmp-echo or ip6[8:4] = 0xfd000000 or len > 100",
}
SAMPLERS = {
    "flow": (["flow:10%"], True),
    "packet": (["packet:1%"], False),
    "first": (["first:10"], True),
    "packets per second": (["rate:1000pps"], False),
    "bits per second": (["rate:10mbit"], False),
    "first and rate": (["first:20", "rate:1000pps"], False),
    "all": (["flow:1/2", "packet:50%", "first:20", "rate:1000pps", "rate:1gbit"], False),
}
BASES: dict[str, dict[str, Any]] = {
    "everything": {},
    "rules": FILTERS["ports and networks"],
    "inner": FILTERS["inner"],
    "expression": {"expression": EXPRESSIONS["host and port"]},
    "conversations": FILTERS["a thousand conversations"],
}
"""Filters to combine with samplers."""


def variants() -> dict[str, Variant]:
    """Return all variants, by names that a table can show."""
    return dict(_variants())


def _variants() -> Iterator[tuple[str, Variant]]:
    nothing = Sampling()
    yield "everything", _variant({}, nothing)
    yield "everything, unbatched", _variant({}, nothing, defines={"BATCHING": 0})
    yield "everything, snaplen 64, slot 7", _variant({}, nothing, defines={"SNAPLEN": 64}, slot=7)
    for name, fields in FILTERS.items():
        yield f"rules: {name}", _variant(fields, nothing, shared=fields.get("shared", False))
    for name, text in EXPRESSIONS.items():
        yield f"expression: {name}", _variant({"expression": text}, nothing)
    for base, fields in BASES.items():
        runs = base in ("rules", "inner")
        for name, (words, steady) in SAMPLERS.items():
            samplers = tuple(parse_sampler(word) for word in words)
            yield (
                f"{base}, sampled by {name}",
                _variant(fields, Sampling(samplers=samplers), steady=steady, runs=runs),
            )
        yield f"{base}, headers only", _variant(fields, Sampling(headers_only=True), runs=runs)
        measures = (OnPressure.TRUNCATE, OnPressure.SAMPLE)
        yield f"{base}, all measures under pressure", _variant(fields, nothing, measures, runs=runs)
    flows = Sampling(samplers=(parse_sampler("flow:10%"), parse_sampler("first:20")), keep_control=False)
    yield "rules, sampled, control packets too", _variant(BASES["rules"], flows)
    for base in ("everything", "rules", "inner", "expression"):
        yield f"XDP: {base}", _variant(BASES[base], nothing, xdp=True)
    recorded = {"CHUNK_BYTES": 1 << 20}
    for base in ("everything", "rules", "inner", "expression"):
        yield f"recorder: {base}", _variant(BASES[base], nothing, defines=recorded, runs=False)
    yield "recorder: XDP, rules", _variant(BASES["rules"], nothing, defines=recorded, xdp=True, runs=False)
    first = Sampling(samplers=(parse_sampler("first:20"),), headers_only=True)
    yield "recorder: rules, headers of first packets", _variant(BASES["rules"], first, defines=recorded, runs=False)
    yield "XDP: rules, first and rate", _variant(
        BASES["rules"], Sampling(samplers=(parse_sampler("first:20"), parse_sampler("rate:1000pps"))), xdp=True,
        steady=False,
    )  # fmt: skip


def _variant(
    fields: Mapping[str, Any], sampling: Sampling, measures: tuple[OnPressure, ...] = (), **loaded: Any
) -> Variant:
    program = sampling_program(sampling, measures)
    words = dict(fields)
    listed = words.pop("conversations", 0)
    expression = words.pop("expression", "")
    wanted = rules(
        *words.pop("rules", ()),
        conversations=conversations(listed) if listed else None,
        expression=parse_expression(expression) if expression else None,
        asks_flow=program.asks_flow,
        asks_control=program.asks_control,
        asks_headers=program.asks_headers,
        **words,
    )
    return Variant(wanted, program, **loaded)
