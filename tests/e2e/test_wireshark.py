"""tshark starts captures by itself: bicap is among its interfaces, and both directions come through its pipe."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from capture.extcap.install import folders
from testbed.patience import PATIENCE
from testbed.sessions_file import write
from testbed.tool import bicap
from testbed.two_pods import PlainNode

PROFILE = Path(__file__).parents[2] / "wireshark" / "bicap"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Wireshark's own folder for extcaps, with a folder of this test mounted over it, in this run's namespace.

    As root, tshark looks nowhere else, whatever the environment says.
    """
    place = Path(folders()[0])
    (tmp_path / "extcap").mkdir()
    subprocess.run(["mount", "--bind", str(tmp_path / "extcap"), str(place)], check=True)
    try:
        done = bicap("extcap", "--install")
        assert done.stderr == f"bicap: {place / 'bicap'} written; Wireshark and tshark -D list bicap now\n"
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def tshark(node: PlainNode, *words: str) -> subprocess.CompletedProcess[str]:
    # Without -n tshark asks a name server, which the node does not have.
    command = node.exec("tshark", "-n", *words)
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


@pytest.mark.kernel
def test_tshark_lists_bicap_and_captures_both_directions_by_it(node: PlainNode, folder: Path, tmp_path: Path) -> None:
    listed = tshark(node, "-D").stdout
    assert "bicap-if-veth-client (bicap: veth-client, both directions on one clock)" in listed
    ping = subprocess.Popen(node.client.exec("ping", "-q", "-i", "0.2", node.server.ip4), stdout=subprocess.DEVNULL)
    try:
        words = ["-i", "bicap-if-veth-client", "-f", "icmp", "-c", "6", "-w", str(tmp_path / "web.pcapng")]
        done = tshark(node, *words)
    finally:
        ping.kill()
        ping.wait()
    assert done.returncode == 0, done.stderr
    fields = ["-T", "fields", "-e", "icmp.type", "-e", "frame.packet_flags_direction", "-e", "frame.interface_name"]
    read = tshark(node, "-r", str(tmp_path / "web.pcapng"), *fields)
    rows = [line.split("\t") for line in read.stdout.splitlines()]
    assert len(rows) == 6
    assert {(kind, int(way, 0)) for kind, way, _ in rows} == {("8", 2), ("0", 1)}
    assert {name for _, _, name in rows} == {"veth-client"}


@pytest.mark.kernel
def test_tshark_says_what_bicap_says_where_it_cannot_capture(node: PlainNode, folder: Path) -> None:
    done = tshark(node, "-i", "bicap", "-c", "1")
    assert not done.stdout
    assert "no interface given; name one with -i" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_profile_has_columns_and_filters_that_wireshark_knows(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "bicap").symlink_to(PROFILE)
    env = os.environ | {"WIRESHARK_CONFIG_DIR": str(tmp_path)}
    write(tmp_path / "ten.pcapng", 10, group=5)
    words = ["tshark", "-C", "bicap", "-r", str(tmp_path / "ten.pcapng"), "-c", "1"]
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    assert "bench0" in done.stdout.split()
    assert "bicap" not in done.stderr, done.stderr
    filters = [line.split("@")[2] for line in (PROFILE / "colorfilters").read_text().splitlines() if line[0] == "@"]
    buttons = (PROFILE / "dfilter_buttons").read_text().splitlines()
    filters += [line.split('","')[2].replace(r"\x22", '"') for line in buttons]  # as Wireshark writes a quote there
    assert len(filters) == 9 + 7
    for one in filters:
        words = ["tshark", "-r", str(tmp_path / "ten.pcapng"), "-c", "1", "-Y", one]
        checked = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr
