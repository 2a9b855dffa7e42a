"""`bicap read`, `sessions` and `latency` as commands: every form of a file, every form of output, and bad input."""

import contextlib
import csv
import gzip
import io
import json
import os
import random
import re
import subprocess
import termios
from pathlib import Path

import pyarrow.parquet
import pytest
import zstandard

from testbed import generate, packets
from testbed.sessions_file import write
from testbed.tool import BICAP, bicap

PER_SESSION = 30


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Ten sessions of 30 packets."""
    write(tmp_path / "ten.pcapng", 10, group=5)
    return tmp_path / "ten.pcapng"


def pcap_of(path: Path, frames: list[bytes], link: int = 1) -> Path:
    """A pcap file of frames."""
    header = b"".join(number.to_bytes(size, "little") for number, size in ((0xA1B2C3D4, 4), (2, 2), (4, 2), (0, 8)))
    header += (1 << 18).to_bytes(4, "little") + link.to_bytes(4, "little")
    records = [
        b"".join(number.to_bytes(4, "little") for number in (1000 + i, 0, len(frame), len(frame))) + frame
        for i, frame in enumerate(frames)
    ]
    path.write_bytes(header + b"".join(records))
    return path


def test_packets_are_numbered_and_counted_and_those_of_one_session_picked_out(file: Path) -> None:
    lines = bicap("read", str(file)).stdout.splitlines()
    assert len(lines) == 10 * PER_SESSION
    assert len(bicap("read", "-c", "7", str(file)).stdout.splitlines()) == 7
    chosen = [json.loads(line) for line in bicap("read", "--json", "--session", "3", str(file)).stdout.splitlines()]
    assert len(chosen) == PER_SESSION
    assert {packet["session"] for packet in chosen} == {3}
    assert [lines[packet["number"] - 1].split()[0] for packet in chosen] == [str(p["number"]) for p in chosen]


def test_a_line_is_the_same_as_tcpdumps(file: Path) -> None:
    theirs = subprocess.run(["tcpdump", "-nn", "-r", str(file)], capture_output=True, text=True, check=True).stdout
    ours = bicap("read", str(file)).stdout
    pairs = zip(theirs.splitlines(), ours.splitlines(), strict=True)
    compared = 0
    for number, (their, our) in enumerate(pairs, start=1):
        if "Flags [S.]" in their:  # tcpdump does not count its acknowledgment from the SYN
            their, our = (re.sub(r"ack \d+", "ack", line) for line in (their, our))
        clock, what = their.removesuffix(": HTTP").split(" ", 1)
        shown = re.fullmatch(rf" *{number} {clock}[0-9]{{3}} bench0 #[0-9]+ (.*)", our)
        assert shown, our
        assert shown[1] == re.sub(r"options \[nop,nop,(.*?)\]", r"\1", what)
        compared += 1
    assert compared == 10 * PER_SESSION


def test_all_outputs_have_the_same_rows(file: Path, tmp_path: Path) -> None:
    as_json = [json.loads(line) for line in bicap("sessions", "--json", str(file)).stdout.splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(bicap("sessions", "--csv", str(file)).stdout)))
    assert bicap("sessions", "--parquet", str(tmp_path / "out.parquet"), str(file)).code == 0
    as_parquet = pyarrow.parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert len(as_json) == 10
    for number, row in enumerate(as_parquet):  # NULL is none
        assert {
            name: value for name, value in as_json[number].items() if value not in (0, -1, "")
        }.items() <= row.items()
    assert as_csv == [{name: str(value) for name, value in row.items()} for row in as_json]
    assert len(bicap("sessions", str(file)).stdout.splitlines()) == 1 + 10


def test_no_session_is_a_parquet_file_without_rows(file: Path, tmp_path: Path) -> None:
    assert bicap("sessions", "--filter", "port=1", "--parquet", str(tmp_path / "out.parquet"), str(file)).code == 0
    found = pyarrow.parquet.read_table(tmp_path / "out.parquet")
    assert (found.num_rows, str(found.schema.field("client").type)) == (0, "string")


def test_compressed_and_piped_files_are_read_like_plain_ones(file: Path, tmp_path: Path) -> None:
    plain = bicap("sessions", "--json", str(file)).stdout
    (tmp_path / "z").write_bytes(gzip.compress(file.read_bytes()))
    assert bicap("sessions", "--json", str(tmp_path / "z")).stdout == plain
    two_frames = [zstandard.compress(part) for part in (file.read_bytes()[:5000], file.read_bytes()[5000:])]
    (tmp_path / "z").write_bytes(b"".join(two_frames))
    assert bicap("sessions", "--json", str(tmp_path / "z")).stdout == plain
    piped = subprocess.run(
        [BICAP, "sessions", "--json", "-"], input=file.read_bytes(), capture_output=True, check=True
    )
    assert piped.stdout.decode() == plain


def test_a_reader_that_closes_the_pipe_early_is_not_an_error(file: Path) -> None:
    done = subprocess.run(f"{BICAP} read {file} | head -n 1", shell=True, capture_output=True, text=True, check=True)
    assert (len(done.stdout.splitlines()), done.stderr) == (1, "")


def test_reading_a_long_file_shows_its_progress_on_a_terminal(tmp_path: Path) -> None:
    file = tmp_path / ("folder" * 12) / "long.pcapng"  # a path that is as wide as the terminal
    file.parent.mkdir()
    write(file, 900_000, first=1)  # sessions that stay open take long
    controller, terminal = os.openpty()
    command = [BICAP, "latency", str(file)]
    said = b""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=terminal) as process:
        os.close(terminal)
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal any more
            while more := os.read(controller, 4096):
                said += more
    os.close(controller)
    assert process.returncode == 0
    assert b"reading long.pcapng" in said
    percentages = [int(number) for number in re.findall(rb"(\d+)%", said)]
    assert percentages == sorted(percentages)
    assert any(0 < number < 100 for number in percentages)


def test_packets_of_an_expression_keep_their_numbers_and_sessions(file: Path) -> None:
    whole = bicap("read", str(file)).stdout.splitlines()
    chosen = bicap(
        "read", "--packets", "tcp port 10003 and tcp[tcpflags] & tcp-push != 0", str(file)
    ).stdout.splitlines()
    assert chosen == [line for line in whole if ".10003 " in line.replace(":", " ") and "[P.]" in line]
    assert len(chosen) == 15
    assert len(bicap("read", "--packets", "port 10003", "-c", "4", str(file)).stdout.splitlines()) == 4


@pytest.mark.parametrize("expression", ["port 10003 or port 10007", "tcp src port 10003 or tcp src port 10007"])
def test_sessions_of_which_a_packet_matches_have_all_their_packets(expression: str, file: Path) -> None:
    whole = [json.loads(line) for line in bicap("sessions", "--json", str(file)).stdout.splitlines()]
    done = bicap("sessions", "--json", "--packets", expression, str(file))
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert found == [session for session in whole if session["client_port"] in (10003, 10007)]
    assert len(found) == 2
    diagnosis = json.loads(bicap("diagnose", "--json", "--packets", expression, str(file)).stdout)
    assert (diagnosis["sessions"], diagnosis["findings"]) == (2, [])
    measures = json.loads(bicap("latency", "--json", "--packets", expression, str(file)).stdout)["measures"]
    assert [row["count"] for row in measures if row["measure"] == "handshake"] == [2, 2]


def test_latency_by_a_column_is_that_of_the_sessions_with_each_value(file: Path) -> None:
    report = json.loads(bicap("latency", "--json", "--by", "client_port", "-c", "3", str(file)).stdout)
    assert [(group["value"], group["sessions"]) for group in report["groups"]] == [(10000 + i, 1) for i in range(3)]
    assert report["others"]["sessions"] == 7
    parts = [*report["groups"], report["others"]]
    whole = json.loads(bicap("latency", "--json", str(file)).stdout)
    for side in ("client", "server"):
        assert sum(part["wait_ns"][side] for part in parts) == whole["wait_ns"][side]
    ports = json.loads(bicap("latency", "--json", "--packets", "port 10003", str(file)).stdout)
    (group,) = json.loads(
        bicap("latency", "--json", "--packets", "port 10003", "--by", "protocol", str(file)).stdout
    )["groups"]
    assert group == {"value": "tcp", "sessions": 1, **ports}
    text = bicap("latency", "--by", "server_name", str(file)).stdout
    assert text == "server_name (none): 10 sessions\n" + bicap("latency", str(file)).stdout


def test_chosen_packets_become_a_file_that_answers_for_itself(file: Path, tmp_path: Path) -> None:
    done = bicap("read", str(file), "--session", "2", "--session", "9", "-w", str(tmp_path / "out.pcapng"))
    assert (done.code, done.stdout) == (0, "")
    assert done.stderr == f"60 packets in {tmp_path / 'out.pcapng'}\n"
    found = [
        json.loads(line) for line in bicap("sessions", "--json", str(tmp_path / "out.pcapng")).stdout.splitlines()
    ]
    assert [(one["client_port"], one["packets"], one["handshake"]) for one in found] == [
        (10001, 30, "complete"),
        (10008, 30, "complete"),
    ]
    piped = subprocess.run([BICAP, "read", str(file), "--session", "2", "-w", "-"], capture_output=True, check=True)
    shown = subprocess.run(["tcpdump", "-nn", "-r", "-"], input=piped.stdout, capture_output=True, check=True)
    assert len(shown.stdout.splitlines()) == 30


def test_the_sessions_of_a_finding_can_be_written(tmp_path: Path) -> None:
    frames = []
    for port in (4001, 4002, 4003):
        frames.append(packets.tcp("10.0.0.1", port, "10.0.0.2", 80, flags=packets.SYN))
        if port == 4002:
            frames.append(
                packets.tcp("10.0.0.2", 80, "10.0.0.1", port, flags=packets.RST | packets.ACK, acknowledgment=2)
            )
    source = pcap_of(tmp_path / "file", frames)
    findings = json.loads(bicap("diagnose", "--json", str(source)).stdout)["findings"]
    for number, finding in enumerate(findings, start=1):
        shown = bicap("read", "--json", "--finding", str(number), str(source)).stdout.splitlines()
        assert {json.loads(line)["session"] for line in shown} == {one["session"] for one in finding["evidence"]}
    assert len(findings) == 2
    done = bicap("read", "--finding", "3", str(source))
    assert (done.code, done.stderr.count("\n")) == (2, 1)
    assert "there is no finding 3: `bicap diagnose` has 2 findings" in done.stderr


def test_a_file_is_not_replaced_by_its_own_packets(file: Path) -> None:
    content = file.read_bytes()
    done = bicap("read", str(file), "-w", str(file))
    assert (done.code, done.stderr.count("\n")) == (2, 1)
    assert "is one of the files to read" in done.stderr
    assert file.read_bytes() == content


def test_a_set_of_files_answers_as_one_file(file: Path, tmp_path: Path) -> None:
    content, cut = file.read_bytes(), 0
    at = content.index(b"\6\0\0\0")  # the first packet's block
    header, parts, start = content[:at], tmp_path / "set", at
    parts.mkdir()
    while at < len(content):
        at += int.from_bytes(content[at + 4 : at + 8], "little")
        if at - start > 50_000 or at == len(content):
            cut += 1
            (parts / f"ten_{cut:05d}_20260101000000.pcapng").write_bytes(header + content[start:at])
            start = at
    assert cut > 2
    for words in (["read", "--json"], ["sessions", "--json"], ["latency", "--json"], ["diagnose", "--json"]):
        one, several = bicap(*words, str(file)), bicap(*words, str(parts))
        assert (several.code, several.stderr) == (0, "")
        assert several.stdout == one.stdout
    assert bicap("follow", str(parts), "7").stdout == bicap("follow", str(file), "7").stdout


def test_evidence_names_the_part_that_has_the_packet(tmp_path: Path) -> None:
    syn = packets.tcp("10.0.0.1", 4000, "10.0.0.2", 80, flags=packets.SYN)
    refused = packets.tcp("10.0.0.2", 80, "10.0.0.1", 4000, flags=packets.RST | packets.ACK, acknowledgment=2)
    pcap_of(tmp_path / "web.pcap1", [packets.arp(), syn])
    pcap_of(tmp_path / "web.pcap2", [refused])
    path = tmp_path / "web.pcap2"
    path.write_bytes(path.read_bytes()[:24] + (2000).to_bytes(4, "little") + path.read_bytes()[28:])
    assert (
        "   see session 1, packet 3 (packet 1 of web.pcap2)" in bicap("diagnose", str(tmp_path)).stdout.splitlines()
    )
    (finding,) = json.loads(bicap("diagnose", "--json", str(tmp_path)).stdout)["findings"]
    (evidence,) = finding["evidence"]
    assert (evidence["packet"], evidence["part"], evidence["part_packet"]) == (3, str(path), 1)


@pytest.mark.parametrize("words", ["read FILE", "sessions FILE", "follow FILE 1", "legs OTHER FILE"])
def test_a_file_that_is_not_in_order_of_time_is_noted(words: str, tmp_path: Path) -> None:
    ends = ("10.0.0.1", 40_000, "10.0.0.2", 80)
    frames = [packets.tcp(*ends, packets.ACK, bytes([n]), sequence=n, acknowledgment=1) for n in range(3)]
    file = pcap_of(tmp_path / "file", frames)
    content, size = file.read_bytes(), 16 + len(frames[0])
    file.write_bytes(content[: -2 * size] + content[-size:] + content[-2 * size : -size])
    other = pcap_of(tmp_path / "other", frames)
    done = bicap(*words.replace("FILE", str(file)).replace("OTHER", str(other)).split())
    assert done.code == 0
    note = f"note: {file}: 1 packet stands behind younger ones, so the file is not in order of time"
    assert done.stderr.splitlines() == [note]


@pytest.mark.parametrize("command", ["read", "sessions", "latency"])
def test_a_file_that_was_cut_off_is_shown_up_to_there_with_one_line_about_it(command: str, file: Path) -> None:
    whole = bicap(command, str(file)).stdout.splitlines()
    file.write_bytes(file.read_bytes()[:-10])
    done = bicap(command, str(file))
    assert done.code == 5
    assert done.stderr.count("\n") == 1
    assert "is damaged at byte" in done.stderr
    assert f"the {10 * PER_SESSION - 1} packets before it were read" in done.stderr
    assert len(done.stdout.splitlines()) >= len(whole) - 1


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress])
def test_a_compressed_file_that_was_cut_off_is_read_up_to_there(compress: object, file: Path) -> None:
    assert callable(compress)
    content = compress(file.read_bytes())
    file.write_bytes(content[: len(content) * 2 // 3])
    done = bicap("read", str(file))
    assert done.code == 5
    assert done.stderr.count("\n") == 1


BAD = [
    # words, the file's bytes (None: there is no file), exit code, what is said
    (["sessions", "FILE"], None, 3, "cannot be read: No such file or directory"),
    (["read", "/proc/self/fdinfo"], b"", 3, "/proc/self/fdinfo has no capture files"),
    (["read", "FILE"], b"", 5, "not a pcap or pcapng file"),
    (["latency", "FILE"], b"GET / HTTP/1.1\r\n\r\n", 5, "not a pcap or pcapng file"),
    (["sessions", "FILE"], bytes(100), 5, "not a pcap or pcapng file"),
    (["diagnose", "FILE"], bytes(100), 5, "not a pcap or pcapng file"),
    (["sessions", "--filter", "colour=red", "FILE"], b"", 2, "there is no column colour"),
    (["sessions", "--sort", "colour", "FILE"], b"", 2, "is not a column of numbers"),
    (["sessions", "--json", "--csv", "FILE"], b"", 2, "give one of them"),
    (["read", "FILE*"], None, 3, "no file matches"),
    (["latency", "--packets", "tcp", "-"], b"", 2, "give a file instead of standard input"),
    (["latency", "--by", "server", "-"], b"", 2, "give a file instead of standard input"),
    (["latency", "--by", "colour", "FILE"], b"", 2, "--by: there is no column 'colour'"),
    (["latency", "-c", "3", "FILE"], b"", 2, "name the column with --by"),
]


@pytest.mark.parametrize(("words", "content", "code", "said"), BAD, ids=[" ".join(case[0]) for case in BAD])
def test_bad_input_is_one_line(words: list[str], content: bytes | None, code: int, said: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    if content is not None:
        path.write_bytes(content)
    done = bicap(*(word.replace("FILE", str(path)) for word in words))
    assert done.code == code
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_an_unknown_link_type_is_reported(tmp_path: Path) -> None:
    done = bicap("read", str(pcap_of(tmp_path / "file", [bytes(100)], link=127)))
    assert (done.code, done.stdout, done.stderr.count("\n")) == (5, "", 1)
    assert (
        "has packets of link type IEEE 802.11 plus radiotap radio header (127), which is not supported; "
        in done.stderr
    )


def test_a_parquet_file_that_cannot_be_written_is_reported(file: Path) -> None:
    done = bicap("sessions", "--parquet", "/proc/none/file", str(file))
    assert (done.code, done.stderr.count("\n")) == (6, 1)


def test_addresses_and_ports_of_random_packets_are_tsharks(tmp_path: Path) -> None:
    """Ordinary and adversarial packets. tshark speaks of the outermost IP header that it understands, as we do."""
    chance = random.Random(17)
    frames = [generate.packet(chance, i) for i in range(1500)]
    file = pcap_of(tmp_path / "file", frames)
    ours = [json.loads(line) for line in bicap("read", "--json", str(file)).stdout.splitlines()]
    names = (
        "ip.src",
        "ip.dst",
        "ipv6.src",
        "ipv6.dst",
        "tcp.srcport",
        "udp.srcport",
        "sctp.srcport",
        "_ws.malformed",
    )
    done = subprocess.run(
        ["tshark", "-n", "-r", str(file), "-T", "fields", "-E", "occurrence=f", "-o", "ip.defragment:FALSE"]
        + ["-o", "ipv6.defragment:FALSE"]
        + [word for name in names for word in ("-e", name)],
        capture_output=True,
        text=True,
        check=True,
    )
    compared = 0
    for frame, packet, line in zip(frames, ours, done.stdout.splitlines(), strict=True):
        theirs = dict(zip(names, line.split("\t"), strict=True))
        if theirs["_ws.malformed"] or packet["kind"] & 8 or not packet["family"]:
            continue
        version = "ip" if frame[packets_ip(frame)] >> 4 == 4 else "ipv6"
        if not theirs[f"{version}.src"]:  # it refuses some headers that we take
            continue
        assert (packet["source"], packet["destination"]) == (theirs[f"{version}.src"], theirs[f"{version}.dst"])
        ports = {6: "tcp.srcport", 17: "udp.srcport", 132: "sctp.srcport"}
        if packet["protocol"] in ports and not packet["kind"] & 4 and theirs[ports[packet["protocol"]]]:
            assert packet["source_port"] == int(theirs[ports[packet["protocol"]]])
        compared += 1
    assert compared > 800


def packets_ip(frame: bytes) -> int:
    """Where the IP header of an Ethernet frame begins."""
    at = 12
    while frame[at : at + 2] in (b"\x81\x00", b"\x88\xa8", b"\x91\x00"):
        at += 4
    return at + 2


def on_terminal(columns: int, *words: str) -> list[str]:
    """Return the lines that bicap prints on a terminal of this width."""
    controller, terminal = os.openpty()
    termios.tcsetwinsize(terminal, (50, columns))
    said = b""
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    with subprocess.Popen([BICAP, *words], stdout=terminal, env=environment) as process:
        os.close(terminal)
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal any more
            while more := os.read(controller, 4096):
                said += more
    os.close(controller)
    assert process.returncode == 0
    return said.decode().splitlines()


def test_rows_fit_the_terminal_and_are_whole_in_a_pipe(file: Path) -> None:
    whole = bicap("sessions", str(file)).stdout.splitlines()
    shown = on_terminal(100, "sessions", str(file))
    assert len(shown) == len(whole) == 11
    assert max(map(len, shown)) <= 100 < max(map(len, whole))
    assert on_terminal(300, "sessions", str(file)) == whole
    named = bicap("sessions", "--columns", "session,client_port,bytes", str(file)).stdout.splitlines()
    assert [line.split()[1] for line in named[1:]] == [str(10_000 + at) for at in range(10)]


def test_tables_have_the_columns_that_were_named_in_their_order(file: Path, tmp_path: Path) -> None:
    names = "handshake_words,client_port"
    first = bicap("sessions", "--csv", "--columns", names, str(file)).stdout.splitlines()[:2]
    assert first == [names, '"complete (packets 1, 6, 11)",10000']
    assert bicap("sessions", "--parquet", str(tmp_path / "out.parquet"), "--columns", names, str(file)).code == 0
    assert pyarrow.parquet.read_table(tmp_path / "out.parquet").column_names == names.split(",")


def test_times_can_be_seconds_since_the_first_packet(file: Path) -> None:
    shown = bicap("read", "--time", "relative", "--packets", "port 10003", "-c", "1", str(file)).stdout
    assert shown.split()[:2] == ["4", "0.000004687"]
    assert bicap("sessions", "--time", "epoch", str(file)).stdout.splitlines()[1].split()[1] == "1700000000.000000"
    assert ", 22:13:20" in bicap("follow", "--time", "utc", str(file), "1").stdout.splitlines()[1]


@pytest.mark.parametrize("command", ["sessions", "latency", "diagnose", "summary"])
def test_a_file_that_is_mostly_in_tunnels_names_the_option_that_opens_them(command: str, tmp_path: Path) -> None:
    inside = packets.udp("10.0.0.1", 4000, "10.0.0.2", 5000)
    path = str(pcap_of(tmp_path / "file", [packets.vxlan(("172.16.0.1", "172.16.0.2"), inside)] * 3))
    done = bicap(command, path)
    assert (done.code, done.stderr) == (0, "bicap: 100 % of the packets are in VXLAN; --inner shows what is inside\n")
    assert bicap(command, "--inner", path).stderr == ""
