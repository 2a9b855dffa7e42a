"""A YAML file -> rules, or one line that says where it is wrong."""

import re

import pytest

from capture.errors import SpecError
from capture.sampling.parse import parse_sampler
from capture.wire.direction import Direction
from tests.unit.request.asked import parse_file


def test_a_file_of_rules() -> None:
    found = parse_file(
        "f.yaml",
        b"""
direction: forward
rules:
  - source: 10.0.0.0/8
    destination: ":80,443"
    protocol: tcp
    tcpFlags: syn,!ack
  - protocol: icmp
    icmpType: 8
  - {}
""",
    )
    assert found.direction is Direction.FORWARD
    assert [str(rule) for rule in found.rules] == [
        "tcp 10.0.0.0/8 > :80,443 [syn,!ack]", "IPv4 icmp any > any [8]", "any any > any",
    ]  # fmt: skip


def test_a_file_may_have_samplers() -> None:
    found = parse_file(
        "f.yaml",
        b"""
sample: ["flow:1/10", "reverse=first:5"]
sampleSeed: 7
keepControl: false
headersOnly: true
""",
    )
    assert found.rules == ()
    assert found.samplers == (parse_sampler("flow:1/10"), parse_sampler("reverse=first:5"))
    assert (found.sample_seed, found.keep_control, found.headers_only) == (7, False, True)


def test_a_file_without_samplers_leaves_sampling_to_the_command_line() -> None:
    found = parse_file("f.yaml", b"rules: [{protocol: tcp}]")
    assert found.samplers == ()
    assert (found.direction, found.sample_seed, found.keep_control, found.headers_only) == (None, None, None, None)


REFUSED = [
    (b"sample: flow:1/10\n", "rule file f.yaml: Expected `array`, got `str` - at `$.sample`"),
    (b"sample: [1]\n", "Expected `str`, got `int` - at `$.sample[0]`"),
    (b"sampleSeed: x\n", "Expected `int | null`, got `str` - at `$.sampleSeed`"),
    (b"keepControl: 2\n", "Expected `bool | null`, got `int` - at `$.keepControl`"),
    (b"sample_seed: 2\n", "Object contains unknown field `sample_seed`"),
    (b"rules:\n  - sorce: 10.0.0.1\n", "rule file f.yaml: Object contains unknown field `sorce` - at `$.rules[0]`"),
    (b"rules: 5\n", "Expected `array`, got `int` - at `$.rules`"),
    (b"direction: up\nrules: []\n", "Invalid enum value 'up' - at `$.direction`"),
    (b"rules: [\n", "file f.yaml is not one YAML document: while parsing"),
    (
        b"rules:\n  - protocol: tcp\n  - destination: ':70000'\n",
        "rule file f.yaml: rule 2: destination ':70000': port '70000'",
    ),
    (b"", "Expected `object`, got `null`"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[case[1] for case in REFUSED])
def test_an_error_names_its_place(text: bytes, said: str) -> None:
    with pytest.raises(SpecError, match=re.escape(said)) as caught:
        parse_file("f.yaml", text)
    assert "\n" not in str(caught.value)
