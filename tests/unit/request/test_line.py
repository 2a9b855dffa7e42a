"""The words of a command line, with and without a file -> one spec."""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from capture.errors import SpecError
from capture.filters.podname import PodName
from capture.recording import RecordingSpec
from capture.sampling.levels import OnPressure
from capture.sampling.parse import parse_sampler
from capture.sampling.sampler import Sampling
from capture.selection.labels import parse_selector
from capture.selection.selection import PodEnd, Selection
from capture.spec import BUFFER_DEFAULT, SNAPLEN_MAX, CaptureSpec, Hook
from capture.storage import MinFree, Storage, StoreOptions
from capture.wire.direction import Direction
from tests.unit.request.asked import ALL_NAMES, DocumentValues, line

S = 10**9


def asked(words: str, file: Path | None = None) -> CaptureSpec:
    """The spec for these options, separated by spaces."""
    return request(["-i", "eth0", *words.split(), *(["-f", str(file)] if file else [])]).spec()


def request(words: list[str]) -> DocumentValues:
    return DocumentValues(line(*words))


def samplers(*words: str) -> Sampling:
    return Sampling(samplers=tuple(parse_sampler(word) for word in words))


WORDS: list[tuple[str, str, Any]] = [
    # options, a field of the spec, its value
    ("", "sampling", Sampling()),
    ("", "storage", Storage()),
    ("", "on_pressure", ()),
    ("--sample flow:1/10 --sample reverse=first:5", "sampling", samplers("flow:1/10", "reverse=first:5")),
    ("--sample-seed 7", "sampling", Sampling(seed=7)),
    ("--no-keep-control", "sampling", Sampling(keep_control=False)),
    ("--headers-only", "sampling", Sampling(headers_only=True)),
    ("--on-pressure truncate,sample", "on_pressure", (OnPressure.TRUNCATE, OnPressure.SAMPLE)),
    ("--on-pressure sample --on-pressure truncate", "on_pressure", (OnPressure.SAMPLE, OnPressure.TRUNCATE)),
    ("-c 5", "count", 5),
    ("--count-forward 5", "count_forward", 5),
    ("--count-reverse 5", "count_reverse", 5),
    ("--max-bytes 1.5MB", "max_bytes", 1_500_000),
    ("--duration 90", "duration_ns", 90 * S),
    ("-C 100", "storage", Storage(file_bytes=100_000_000)),
    ("-C 64MiB -W 3", "storage", Storage(file_bytes=64 << 20, files_kept=3)),
    ("-G 60", "storage", Storage(file_ns=60 * S)),
    ("-G 1h30m", "storage", Storage(file_ns=5400 * S)),
    ("--compress zstd --user nobody", "storage", Storage(compress="zstd", user="nobody")),
    ("--min-free 5%", "storage", Storage(min_free=MinFree(percent=5))),
    ("--min-free 2GiB", "storage", Storage(min_free=MinFree(bytes=2 << 30))),
    ("--no-bidirectional", "direction", Direction.FORWARD),
    ("--bidirectional --direction both", "direction", Direction.BOTH),
    ("", "direction", Direction.BOTH),
    ("", "snaplen", SNAPLEN_MAX),
    ("-s 0", "snaplen", SNAPLEN_MAX),
    ("-s 128", "snaplen", 128),
    ("", "buffer_bytes", BUFFER_DEFAULT),
    ("--buffer 1MiB", "buffer_bytes", 1 << 20),
    ("", "hook", Hook.AUTO),
    ("--hook clsact", "hook", Hook.CLSACT),
    ("", "icmp_errors", True),
    ("--no-icmp-errors", "icmp_errors", False),
    ("", "pods", None),
]


@pytest.mark.parametrize(("words", "field", "value"), WORDS, ids=[case[0] or case[1] for case in WORDS])
def test_options_become_fields(words: str, field: str, value: object) -> None:
    assert getattr(asked(words), field) == value


FILE = """
direction: reverse
sample: ["flow:1/10", "first:20"]
sampleSeed: 7
keepControl: false
headersOnly: true
rules: [{protocol: udp}]
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "rules.yaml").write_text(FILE)
    return tmp_path / "rules.yaml"


def test_a_file_alone_is_enough(file: Path) -> None:
    spec = asked("", file)
    assert spec.direction is Direction.REVERSE
    assert [str(rule) for rule in spec.rules] == ["udp any > any"]
    found = samplers("flow:1/10", "first:20").samplers
    assert spec.sampling == Sampling(samplers=found, seed=7, keep_control=False, headers_only=True)


LINE_BEATS_FILE: list[tuple[str, str, object]] = [
    # options besides the file, a field of sampling, its value
    ("--sample-seed 8", "seed", 8),
    ("--sample-seed 0", "seed", 0),
    ("--keep-control", "keep_control", True),
    ("--no-keep-control", "keep_control", False),
    ("--headers-only", "headers_only", True),
]


@pytest.mark.parametrize(("words", "field", "value"), LINE_BEATS_FILE)
def test_the_command_line_overrides_the_file(file: Path, words: str, field: str, value: object) -> None:
    assert getattr(asked(words, file).sampling, field) == value


def test_the_direction_of_the_command_line_overrides_the_files(file: Path) -> None:
    assert asked("--direction both", file).direction is Direction.BOTH
    assert asked("--bidirectional", file).direction is Direction.BOTH


def test_samplers_and_rules_of_both_are_added_up(file: Path) -> None:
    spec = asked("--sample first:5 --protocol tcp", file)
    assert spec.sampling.samplers == samplers("first:5", "flow:1/10", "first:20").samplers
    assert [str(rule) for rule in spec.rules] == ["tcp any > any", "udp any > any"]


def test_a_sampler_of_a_file_is_refused_with_the_name_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text("sample: [flow]")
    with pytest.raises(SpecError, match=f"^rule file {tmp_path}/f.yaml: sample 'flow' is not understood"):
        asked("", tmp_path / "f.yaml")


def test_a_time_of_day_to_stop_at_is_the_next_one_after_the_start() -> None:
    start = datetime(2030, 6, 15, 12).astimezone()
    later, earlier = start + timedelta(minutes=1), start - timedelta(minutes=1)
    for time_of_day, expected in ((later, later), (earlier, earlier + timedelta(days=1))):
        spec = asked(f"--start-at {start.isoformat()} --stop-at {time_of_day:%H:%M:%S}")
        assert spec.start_at_ns == start.timestamp() * S
        assert spec.stop_at_ns == expected.timestamp() * S


def test_a_time_of_day_to_stop_at_without_a_start_is_the_next_one() -> None:
    soon = datetime.now().astimezone().replace(microsecond=0) + timedelta(minutes=2)
    assert asked(f"--stop-at {soon:%H:%M:%S}").stop_at_ns == soon.timestamp() * S


@pytest.mark.parametrize(
    "option", ["-C", "-G", "-f", "--conversations", "--max-bytes", "--duration", "--start-at", "--stop-at",
               "--min-free", "--user", "--sample", "--on-pressure", "--pod", "--namespace", "--selector",
               "--container", "--cri-socket"]
)  # fmt: skip
def test_an_empty_value_is_refused(option: str) -> None:
    """An empty variable of a shell must not drop a limit silently."""
    with pytest.raises(SpecError):
        request(["-i", "eth0", option, ""]).spec()


WEB, API = PodName("shop", "web-0"), PodName("bank", "api-0")

WHERE: list[tuple[str, Selection | None]] = [
    # options, where to capture
    ("--pod shop/web-0 --pod bank/api-0", Selection(pods=(WEB, API))),
    ("--pod web-0", Selection(pods=(PodName("default", "web-0"),))),
    ("--pod web-0 --namespace shop", Selection(pods=(WEB,))),
    ("--pod web-0 --pod bank/api-0 --namespace shop", Selection(pods=(WEB, API))),
    ("--namespace shop --namespace bank", Selection(namespaces=("shop", "bank"))),
    ("-l app=web,tier!=db", Selection(labels=parse_selector("app=web,tier!=db"))),
    ("-l app --namespace shop", Selection(labels=parse_selector("app"), namespaces=("shop",))),
    ("--container nginx --container containerd://0123456789ab", Selection(containers=("nginx", "0123456789ab"))),
    ("--container nginx --namespace shop", Selection(containers=("nginx",), namespaces=("shop",))),
    ("--container nginx --pod web-0 --namespace shop",
     Selection(containers=("nginx",), pods=(WEB,), namespaces=("shop",))),
    ("--pid 7 --pid 8", Selection(processes=(7, 8))),
    ("--all-pods --wait", Selection(everything=True, wait=True)),
    ("--self", Selection(own=True)),
    ("--pod shop/web-0 --cri-socket /run/a --cri-socket /run/b",
     Selection(pods=(WEB,), sockets=("/run/a", "/run/b"))),
    ("--source shop/web-0 --point source --wait", Selection(point=PodEnd.SOURCE, wait=True)),
    ("--source shop/web-0 --destination bank/api-0 --point both", Selection(point=PodEnd.BOTH)),
    # As Antrea's capturePoint, where nothing else says where.
    ("--source shop/web-0 --destination bank/api-0:80", Selection(point=PodEnd.SOURCE)),
    ("--destination bank/api-0:80", Selection(point=PodEnd.DESTINATION)),
    ("--source 10.0.0.1 --destination bank/api-0 --cri-socket /run/a",
     Selection(point=PodEnd.DESTINATION, sockets=("/run/a",))),
    ("--source shop/web-0 --source 10.0.0.1", Selection(point=PodEnd.SOURCE)),
    # Where something else does, rules only say what.
    ("--destination bank/api-0 --pod shop/web-0", Selection(pods=(WEB,))),
    ("--destination bank/api-0 --pid 7", Selection(processes=(7,))),
    ("--destination bank/api-0 -i eth0", Selection()),
    ("--destination bank/api-0 -i eth0 --cri-socket /run/a", Selection(sockets=("/run/a",))),
    ("--destination bank/api-0 -i eth0 --point destination", Selection(point=PodEnd.DESTINATION)),
]  # fmt: skip


@pytest.mark.parametrize(("words", "pods"), WHERE, ids=[case[0] for case in WHERE])
def test_where_to_capture(words: str, pods: Selection | None) -> None:
    assert request(words.split()).spec().pods == pods


NOWHERE: list[tuple[str, str]] = [
    # options, what is said
    ("", "no interface given; name one with -i"),
    ("--wait", "wait is for pods, but none is selected; name one with --pod"),
    ("-i eth0 --wait", "wait is for pods, but none is selected"),
    ("--pid 7 --wait", "wait is for pods, but none is selected"),
    ("-i eth0 --cri-socket /run/a", "cri-socket is for pods, but none is selected"),
    ("--point source", "point source needs a rule whose source is a pod"),
    ("--source 10.0.0.1 --point both", "point both needs a rule whose source is a pod"),
    ("--source shop/web-0 --point destination",
     "rule 1 (any shop/web-0 > any) names a pod, but not as its destination"),
    ("--source shop/web-0 --destination any --source any --destination bank/api-0",
     "rule 2 (any any > bank/api-0) names a pod, but not as its source, where the capture is; give --point both"),
    ("--pod web-0 --namespace shop --namespace bank", "--pod web-0 may be in shop or bank; write --pod shop/web-0"),
    ("--pod shop/web-0 --namespace shop", "namespace shop does not combine with pod"),
    ("--pod shop/web-0 -l app", "pod and selector do not combine"),
    ("--pod shop/Web", "--pod 'shop/Web': 'Web' is not a pod name"),
    ("--namespace Shop", "--namespace 'Shop' is not a namespace name"),
    ("-l =web", "--selector '=web': '=web' is not understood"),
    ("--pid 0", "pid 0 does not exist"),
    ("--self -i eth0", "--self is all interfaces of bicap's own namespace; leave -i out"),
    ("--self --pod shop/web-0", "self is the namespace that bicap runs in"),
    ("--all-pods --namespace shop", "all-pods means those of all namespaces"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "said"), NOWHERE, ids=[case[0] for case in NOWHERE])
def test_options_without_a_place_to_capture_are_refused(words: str, said: str) -> None:
    with pytest.raises(SpecError) as refused:
        request(words.split()).spec()
    assert str(refused.value).startswith(said)


MANIFEST = """
apiVersion: bicap.io/v1alpha1
kind: PacketCapture
metadata: {name: pc, namespace: shop}
spec:
  direction: SourceToDestination
  target: {pods: [{name: web-0}], point: Source, wait: true}
  rules: [{source: {pod: {name: web-0}}, destination: {ports: [80]}, protocol: TCP}]
  icmpErrors: false
  sampling: {samplers: ["flow:1/10"], seed: 7, keepControl: false, snaplen: 128, onPressure: [truncate]}
  limits: {packets: 5, bytes: 1Mi, duration: 1m, startAt: 2030-06-15T12:00:00Z, buffer: 1Mi}
  storage: {path: file.pcapng, fileSize: 1Mi, filesKept: 3, compress: zstd, user: nobody, minFree: 5%}
"""

OVER_A_MANIFEST: list[tuple[str, str, Any]] = [
    # options besides MANIFEST, a field of what is asked for, its value
    ("", "pods", Selection(pods=(WEB,), point=PodEnd.SOURCE, wait=True)),
    ("--point both", "pods", Selection(pods=(WEB,), point=PodEnd.BOTH, wait=True)),
    ("--cri-socket /run/a", "pods", Selection(pods=(WEB,), point=PodEnd.SOURCE, wait=True, sockets=("/run/a",))),
    ("--pod bank/api-0", "pods", Selection(pods=(API,))),
    ("--pid 7 --wait", "pods", Selection(processes=(7,), wait=True)),
    ("-i eth0", "interfaces", ("eth0",)),
    ("-i eth0", "pods", None),
    ("--direction both", "direction", Direction.BOTH),
    ("--icmp-errors", "icmp_errors", True),
    ("--inner", "inner", True),
    ("--sample first:5", "samplers", samplers("first:5", "flow:1/10").samplers),
    ("--sample-seed 0", "sample_seed", 0),
    ("--keep-control", "keep_control", True),
    ("--headers-only", "headers_only", True),
    ("-s 64", "snaplen", 64),
    ("-s 0", "snaplen", SNAPLEN_MAX),
    ("--on-pressure lose", "on_pressure", (OnPressure.LOSE,)),
    ("-c 7", "count", 7),
    ("--max-bytes 2MiB", "max_bytes", 2 << 20),
    ("--duration 5", "duration_ns", 5 * S),
    ("--buffer 2MiB", "buffer_bytes", 2 << 20),
    ("-w line.pcapng", "output", "line.pcapng"),
    ("-C 5", "file_bytes", 5_000_000),
    ("-G 5", "file_ns", 5 * S),
    ("-W 9", "files_kept", 9),
    ("--user root", "user", "root"),
    ("--min-free 1MiB", "min_free", MinFree(bytes=1 << 20)),
    ("--hook tcx", "hook", Hook.TCX),
]


@pytest.mark.slow
@pytest.mark.parametrize(("words", "field", "value"), OVER_A_MANIFEST, ids=[case[0] for case in OVER_A_MANIFEST])
def test_one_option_changes_one_field_of_a_manifest(tmp_path: Path, words: str, field: str, value: Any) -> None:
    (tmp_path / "pc.yaml").write_text(MANIFEST)
    file, both = (request(["-f", str(tmp_path / "pc.yaml"), *more]) for more in ([], words.split()))
    assert getattr(both, field) == value
    where = {"interfaces", "pods"} if field in ("interfaces", "pods") else {field}
    same = ALL_NAMES - where
    assert {name: getattr(both, name) for name in same} == {name: getattr(file, name) for name in same}


def test_rules_of_the_command_line_are_added_to_a_manifests(tmp_path: Path) -> None:
    (tmp_path / "pc.yaml").write_text(MANIFEST)
    spec = request(["-f", str(tmp_path / "pc.yaml"), "--destination", ":53"]).spec()
    assert [str(rule) for rule in spec.rules] == ["any any > :53", "tcp shop/web-0 > :80"]


def test_a_time_of_day_to_stop_at_is_the_next_one_after_a_manifests_start(tmp_path: Path) -> None:
    (tmp_path / "pc.yaml").write_text(MANIFEST)
    start = datetime(2030, 6, 15, 12, tzinfo=UTC).astimezone()
    words = ["-f", str(tmp_path / "pc.yaml"), "--stop-at", f"{start + timedelta(minutes=1):%H:%M:%S}"]
    assert request(words).spec().stop_at_ns == (start + timedelta(minutes=1)).timestamp() * S


def test_every_field_of_a_spec_has_a_declaration() -> None:
    """Every field of CaptureSpec, Sampling, Storage and Recording has a field of its own in the declaration."""
    of_spec = {one.name for one in dataclasses.fields(CaptureSpec)} - {"sampling", "storage", "recording"}
    of_storage = {one.name for part in (Storage, StoreOptions, RecordingSpec) for one in dataclasses.fields(part)}
    assert (
        of_spec | of_storage - {"store"} | {"samplers", "sample_seed", "keep_control", "headers_only", "output"}
        == ALL_NAMES
    )
