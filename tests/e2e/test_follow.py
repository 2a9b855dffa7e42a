"""Real connections over a wire with known faults -> `bicap follow` shows the data of both sides, as tshark does."""

import base64
import json
import random
import re
import socket
import subprocess
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from testbed.patience import PATIENCE
from testbed.relay import ADDRESSES, CLIENT, PASSES, SERVER, Fate, Policy, Wire, payload_bytes, wire
from testbed.tool import BICAP, bicap

PORT = 7000
DELAYS_S = (0.002, 0.005)
SIDES = ("client", "server")
Turn = tuple[int, bytes]
"""Who says what."""


def talk(on: Wire, turns: Sequence[Turn]) -> None:
    """One connection, on which both sides say their part in turn and listen to the other's."""

    def speak(side: int, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(20)
            for who, said in turns:
                if who == side:
                    connection.sendall(said)
                else:
                    left = len(said)
                    while left:
                        left -= len(connection.recv(left))

    def serve() -> None:
        connection, _ = listener.accept()
        speak(SERVER, connection)

    with on.namespaces[SERVER].run(lambda: socket.create_server((ADDRESSES[SERVER], PORT))) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        here = on.namespaces[CLIENT].run(
            lambda: socket.create_connection((ADDRESSES[SERVER], PORT), timeout=PATIENCE)
        )
        speak(CLIENT, here)
        thread.join()


def said(turns: Sequence[Turn], side: int) -> bytes:
    return b"".join(words for who, words in turns if who == side)


def raw(file: Path, side: int, session: str = "1") -> bytes:
    words = [BICAP, "follow", str(file), session, "--as", "raw", "--side", SIDES[side]]
    return subprocess.run(words, capture_output=True, check=True).stdout


def parts(file: Path, *words: str) -> tuple[list[Any], Any]:
    """Return the objects of --json: the parts, and the session at the end."""
    done = bicap("follow", "--json", str(file), *words)
    assert (done.code, done.stderr) == (0, "")
    *listed, session = map(json.loads, done.stdout.splitlines())
    return listed, session


def tsharks(file: Path) -> tuple[bytes, bytes]:
    """Both streams of the first connection, as tshark follows them."""
    words = ["tshark", "-n", "-r", str(file), "-q", "-z", "follow,tcp,raw,0"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    hexes = [line for line in lines if re.fullmatch(r"\t?[0-9a-f]+", line)]
    client, server = (
        b"".join(bytes.fromhex(line) for line in hexes if line.startswith("\t") == bool(side)) for side in (0, 1)
    )
    return client, server


def troubled(seed: int) -> Policy:
    """One in seven segments with payload, of both sides, is lost, repeated or overtaken."""
    chance = random.Random(seed)
    kinds = [Fate(lost_before=True), Fate(lost_after=True), Fate(repeated=True), Fate(held_before_s=0.004)]
    return lambda frame, *_: chance.choice(kinds) if payload_bytes(frame) and chance.random() < 0.15 else PASSES


def conversation(seed: int) -> list[Turn]:
    random_bytes = random.Random(seed).randbytes
    return [
        (CLIENT, random_bytes(200)),
        (SERVER, random_bytes(60_000)),
        (CLIENT, random_bytes(40_000)),
        (SERVER, b"bye"),
    ]


@pytest.mark.parametrize("seed", range(3))
def test_streams_are_what_the_applications_sent_and_tsharks(seed: int, tmp_path: Path) -> None:
    turns = conversation(seed)
    with wire(tmp_path / "file", troubled(seed), DELAYS_S) as on:
        talk(on, turns)
    assert on.counts
    ours = raw(tmp_path / "file", CLIENT), raw(tmp_path / "file", SERVER)
    assert ours == (said(turns, CLIENT), said(turns, SERVER)) == tsharks(tmp_path / "file")
    listed, session = parts(tmp_path / "file", "1")
    order = [part["side"] for part in listed]
    assert [side for i, side in enumerate(order) if i == 0 or order[i - 1] != side] == [
        SIDES[who] for who, _ in turns
    ]
    assert (session["complete"], session["why_incomplete"], session["close"]) == (True, [], "fin")
    for side in (CLIENT, SERVER):
        counts = session[SIDES[side]]
        assert counts["bytes"] == counts["acknowledged"] == len(said(turns, side))


def test_exactly_the_bytes_that_the_capture_missed_are_gaps(tmp_path: Path) -> None:
    """Frames that reached the other side and are not in the file: the acknowledgments give them away."""
    turns = conversation(7)
    unseen = {CLIENT: 0, SERVER: 0}

    def hide(frame: bytes, side: int, number: int) -> Fate:
        if payload_bytes(frame) and number % 7 == 5:
            unseen[side] += payload_bytes(frame)
            return Fate(unseen=True)
        return PASSES

    with wire(tmp_path / "file", hide, DELAYS_S) as on:
        talk(on, turns)
    assert min(unseen.values()) > 0
    listed, session = parts(tmp_path / "file", "1")
    for side in (CLIENT, SERVER):
        sent, name = said(turns, side), SIDES[side]
        assert session[name]["missing"] == {"not-captured": unseen[side]}
        upto = 0
        for part in (part for part in listed if part["side"] == name):
            assert part["offset"] == upto
            if part["type"] == "said":
                assert base64.b64decode(part["data"]) == sent[upto : upto + part["size"]]
            upto += part["size"]
        assert upto == len(sent)
    assert session["complete"] is False
    assert f"{unseen[SERVER]:,} bytes of the server are missing: not captured" in " ".join(session["why_incomplete"])


def test_bytes_cut_off_by_a_snap_length_are_a_gap_of_their_size(tmp_path: Path) -> None:
    turns = [(CLIENT, b"c" * 100), (SERVER, b"s" * 5000)]
    with wire(tmp_path / "file") as on:
        talk(on, turns)
    subprocess.run(["editcap", "-s", "96", str(tmp_path / "file"), str(tmp_path / "cut")], check=True)
    listed, session = parts(tmp_path / "cut", "1")
    headers = 14 + 20 + 32  # with the timestamps option
    assert (session["client"]["bytes"], session["client"]["missing"]) == (30, {"cut": 70})
    assert session["server"]["bytes"] + session["server"]["missing"]["cut"] == 5000
    assert all(part["size"] == 96 - headers for part in listed if part["type"] == "said")


def test_text_shows_turns_and_gaps_and_no_control_characters(tmp_path: Path) -> None:
    turns = [(CLIENT, b"GET /\r\n\x1b[31m\xff\r\n"), (SERVER, "grüße\n".encode()), (CLIENT, b"no end of line")]
    with wire(tmp_path / "file") as on:
        talk(on, turns)
    done = bicap("follow", str(tmp_path / "file"), "1")
    assert (done.code, done.stderr) == (0, "")
    shown = re.sub(r"\d\d:\d\d:\d\d\.\d+ \(\+.*?\), packet \d+", "TIME", done.stdout)
    shown = re.sub(r":\d{5}|packets 1 to \d+|in \d+ packets|\d{4}-.*?s, ", "*", shown)
    assert shown == (
        "tcp 10.78.0.1* > 10.78.0.2:7000\n"
        "-- client, TIME\n"
        "GET /\n"
        ".[31m\N{REPLACEMENT CHARACTER}\n"
        "-- server, TIME\n"
        "grüße\n"
        "-- client, TIME\n"
        "no end of line\n"
        "== session 1: tcp, **, fin\n"
        "== client 10.78.0.1*: 29 B *\n"
        "== server 10.78.0.2:7000: 8 B *\n"
        "== complete\n"
    )


def test_every_datagram_is_a_part(tmp_path: Path) -> None:
    """UDP, and one that IP had to cut: what is in its later fragments is a gap."""
    words = [b"one", b"", b"x" * 3000]
    with wire(tmp_path / "file") as on:
        there, here = (
            on.namespaces[side].run(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for side in (1, 0)
        )
        with there, here:
            there.bind((ADDRESSES[SERVER], PORT))
            there.settimeout(5)
            here.connect((ADDRESSES[SERVER], PORT))
            for word in words:
                here.send(word)
                _, client = there.recvfrom(5000)
            there.sendto(b"two", client)
            here.recv(10)
    five_tuple = f"udp {ADDRESSES[SERVER]}:{PORT} > {ADDRESSES[CLIENT]}:{client[1]}"
    listed, session = parts(tmp_path / "file", five_tuple)
    assert [(part["side"], part["type"], part["size"]) for part in listed] == [
        ("client", "said", 3),
        ("client", "said", 0),
        ("client", "said", 1472),
        ("client", "gap", 1528),
        ("server", "said", 3),
    ]
    assert (session["complete"], session["client"]["missing"]) == (False, {"fragments": 1528})


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["2"], 2, r"there is no session 2; the file has 1 session: see `bicap sessions`"),
        (["tcp 10.0.0.1:1 10.0.0.2:2"], 2, r"there is no session tcp 10\.0\.0\.1:1 \S+; the file has 1 session\b.*"),
        (["first"], 2, r"session: 'first' is not: protocol source destination; write a number .*"),
        (["1", "--as", "raw"], 2, r"--as raw writes the bytes of one side; give --side client or --side server"),
    ],
)
def test_a_wrong_request_is_one_line(words: list[str], code: int, says: str, tmp_path: Path) -> None:
    with wire(tmp_path / "file") as on:
        talk(on, [(CLIENT, b"x")])
    done = bicap("follow", str(tmp_path / "file"), *words)
    assert (done.code, done.stdout) == (code, "")
    assert re.fullmatch(f"bicap: {says}\n", done.stderr), done.stderr


def test_a_damaged_file_is_shown_as_far_as_it_can_be_read(tmp_path: Path) -> None:
    with wire(tmp_path / "file") as on:
        talk(on, [(CLIENT, b"first"), (SERVER, b"second")])
    whole = (tmp_path / "file").read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) // 2])
    done = bicap("follow", str(tmp_path / "cut"), "1", "--as", "hex")
    assert done.code == 5
    assert re.fullmatch(r"bicap: .*cut is damaged at byte .*\n", done.stderr)
    assert "66 69 72 73 74" in done.stdout
    assert "== not complete" in done.stdout
