"""Real connections over a wire that is captured at both ends and in the middle -> which leg delays, which loses."""

import json
import random
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.relay import CLIENT, PASSES, POINTS, SERVER, Fate, Wire, wire
from testbed.tool import CaptureProcess, bicap
from testbed.two_pods import PlainNode, serve
from testbed.two_pods import talk as pod_talk
from tests.e2e.test_analysis import tshark_count
from tests.e2e.test_follow import talk

DELAYS_S = (0.004, 0.016)
TURNS = [(CLIENT, bytes(300_000)), (SERVER, bytes(600_000)), (CLIENT, b"bye")]


def compared(*words: str | Path) -> Any:
    """Return the values of --json."""
    done = bicap("legs", "--json", *map(str, words))
    assert (done.code, done.stderr) == (0, "")
    return json.loads(done.stdout)


def legs(*words: str | Path) -> dict[tuple[str, str], Any]:
    """The legs, by the interfaces that they are between."""
    return {(leg["source"]["interface"], leg["target"]["interface"]): leg for leg in compared(*words)["legs"]}


class Loser:
    """Loses a share of what one side sends on one half of the wire, and knows how many that were."""

    def __init__(self, share: float, side: int, **how: bool) -> None:
        self._chance, self._share, self._side, self._how = random.Random(1), share, side, how
        self.lost = 0

    def __call__(self, frame: bytes, side: int, number: int) -> Fate:
        if side != self._side or number < 3 or self._chance.random() >= self._share:
            return PASSES
        self.lost += 1
        return Fate(**self._how)

    def talk(self, on: Wire) -> None:
        """Have two talk; lose no more at the end: of what comes last nobody knows whether it would have arrived."""
        talk(on, TURNS)
        time.sleep(0.1)
        self._share = 0.0
        talk(on, [(CLIENT, b"bye")])


@pytest.mark.parametrize(
    ("side", "how", "leg"),
    [
        (SERVER, {"lost_before": True}, ("server", "middle")),
        (SERVER, {"lost_after": True}, ("middle", "client")),
        (CLIENT, {"lost_after": True}, ("middle", "server")),
    ],
)
def test_a_leg_that_drops_2_percent_is_named_and_every_packet_counted(
    side: int, how: dict[str, bool], leg: tuple[str, str], tmp_path: Path
) -> None:
    policy = Loser(0.02, side, **how)
    with wire(tmp_path / "file", policy, (0.001, 0.001), ends=True) as on:
        policy.talk(on)
    assert policy.lost > 0
    found = legs(tmp_path / "file")
    assert {way: one["lost"] for way, one in found.items() if one["lost"]} == {leg: policy.lost}
    for one in found.values():
        assert [one[name] for name in ("doubtful", "early", "unplaced", "resegmented", "not_captured")] == [0] * 5
    said = bicap("legs", "--lost", str(tmp_path / "file")).stdout
    numbers = ", ".join(map(str, found[leg]["lost_packets"]))
    assert re.search(rf"{' > '.join(leg)}: .*\n  LOST {policy.lost} \(.*%\): packets {numbers} of {leg[0]}\n", said)


def test_a_known_delay_is_found_on_its_leg_within_5_percent_with_loss_present(tmp_path: Path) -> None:
    with wire(tmp_path / "file", Loser(0.02, SERVER, lost_after=True), DELAYS_S, ends=True) as on:
        talk(on, TURNS)
    for (source, target), leg in legs(tmp_path / "file").items():
        known = DELAYS_S["server" in (source, target)] * 1e9
        assert leg["clock"] is None
        assert leg["delay_ns"]["median"] == pytest.approx(known, rel=0.05)
        assert leg["delay_ns"]["min"] >= known


def point_of(file: Path, point: str, shifted_s: float = 0.0) -> Path:
    """The packets of one point alone, by a clock that is ahead."""
    alone, shifted = file.with_name(f"{point}-here"), file.with_name(point)
    words = ["-Y", f"frame.interface_name == {point}", "-w", str(alone)]
    subprocess.run(["tshark", "-n", "-r", str(file), *words], check=True, capture_output=True)
    subprocess.run(["editcap", "-t", str(shifted_s), str(alone), str(shifted)], check=True)
    return shifted


@pytest.mark.parametrize("ahead_s", [37.123456, -3600.0])
def test_the_offset_of_two_clocks_is_found_and_delays_have_its_uncertainty(ahead_s: float, tmp_path: Path) -> None:
    policy = Loser(0.02, SERVER, lost_before=True)
    with wire(tmp_path / "file", policy, DELAYS_S, ends=True) as on:
        policy.talk(on)
    here, there = point_of(tmp_path / "file", "client"), point_of(tmp_path / "file", "server", ahead_s)
    found = legs(here, there)
    assert set(found) == {("client", "server"), ("server", "client")}
    for (source, _), leg in found.items():
        ahead = ahead_s * 1e9 * (1 if source == "client" else -1)
        uncertain = leg["clock"]["uncertainty_ns"]
        assert abs(leg["clock"]["offset_ns"] - ahead) <= uncertain
        # Nothing can tell how the way there and the way back share what both take together, 40 ms.
        assert uncertain == pytest.approx(sum(DELAYS_S) * 1e9, rel=0.1)
        assert abs(leg["delay_ns"]["median"] - sum(DELAYS_S) * 1e9) <= uncertain
    assert found["server", "client"]["lost"] == policy.lost
    said = bicap("legs", str(here), str(there)).stdout
    assert said.count("each ± 2") == 2
    assert said.count(" ahead)") == said.count(" behind)") == 1


def test_both_ends_of_a_real_capture(node: PlainNode, tmp_path: Path) -> None:
    """Two pods' interfaces on a bridge; TCP in large segments, UDP, pings, fragments: all but multicast pair."""
    server = subprocess.Popen(serve(node.server), stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "serving\n"
        both = ["-i", node.client.veth, "-i", node.server.veth]
        with CaptureProcess(tmp_path / "both.pcapng", *both, within=node.exec()) as capture:
            subprocess.run(pod_talk(node.client, node.server.ip4, node.server.ip6), check=True)
    finally:
        server.kill()
        server.communicate()
    found = legs(tmp_path / "both.pcapng")
    assert set(found) == {(node.client.veth, node.server.veth), (node.server.veth, node.client.veth)}
    pairs = sum(leg["paired"] for leg in found.values())
    left_out = compared(tmp_path / "both.pcapng")["left_out"]
    assert 2 * pairs + left_out == capture.summary["account"]["written"]
    assert left_out == tshark_count(tmp_path / "both.pcapng", "ipv6.dst == ff00::/8")
    assert sum(leg["lost"] + leg["doubtful"] + leg["early"] for leg in found.values()) == 0
    assert all(0 < leg["delay_ns"]["median"] < 1e7 for leg in found.values())


@pytest.mark.parametrize("point", POINTS[:1])
def test_one_point_alone_is_refused(point: str, tmp_path: Path) -> None:
    with wire(tmp_path / "file", ends=True) as on:
        talk(on, TURNS[-1:])
    done = bicap("legs", str(point_of(tmp_path / "file", point)))
    assert (done.code, done.stdout) == (2, "")
    assert re.fullmatch(r"bicap: .* has packets of 1 interface, but two are needed; .*\n", done.stderr)
