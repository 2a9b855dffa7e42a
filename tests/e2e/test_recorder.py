"""A recorder between two pods: what is around a trigger is in a file, and nothing else is."""

import http.server
import json
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest

from testbed.patience import wait_until
from testbed.recorder_process import RecorderProcess
from testbed.tool import BICAP, bicap, check_with_readers, read_pcapng
from testbed.two_pods import PlainNode

SEND = """
import socket, sys, time
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for number in range(int(sys.argv[2])):
    out.sendto(b"%s %d " % (sys.argv[3].encode(), number) + bytes(int(sys.argv[4])), (sys.argv[1], 9))
"""


def send(node: PlainNode, count: int, name: str, size: int = 0) -> None:
    words = ["python3", "-c", SEND, node.server.ip4, str(count), name, str(size)]
    subprocess.run(node.client.exec(*words), check=True)


def numbers(file: Path, name: str) -> list[int]:
    """The numbers of the datagrams of one `send` in a file, in its order."""
    found = [data[42:] for data in read_pcapng(file).data if data[42:].startswith(name.encode())]
    return [int(payload.split()[1]) for payload in found]


def adds_up(incident: Any) -> None:
    account = incident["account"]
    assert account["seen"] == account["unmatched"] + account["matched"]
    assert account["matched"] == sum(
        account[name] for name in ("written", "sampled_out", "over_limit", "lost", "overwritten", "outside")
    )
    assert account["written"] == incident["packets"]
    assert account["outside"] >= 0


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "incidents"


RULE = ("-i", "veth-client", "--protocol", "udp", "--destination", ":9", "--no-icmp-errors")


def test_an_incident_has_the_packets_before_and_after_its_trigger_and_adds_up(node: PlainNode, folder: Path) -> None:
    words = (*RULE, "--before", "1m", "--after", "1s", "--cooldown", "0")
    with RecorderProcess(folder, *words, within=node.exec()) as recorder:
        send(node, 50, "before")
        # A signal, because the end of a command may be noticed later than a second after what it did.
        recorder.process.send_signal(signal.SIGUSR2)
        send(node, 50, "after")
        (incident,) = recorder.await_complete(1)
        send(node, 50, "too-late")
        done = bicap("trigger", str(folder), "--reason", "checkout is slow")
        assert (done.code, done.stderr) == (0, "")
        _, second = recorder.await_complete(2)
        assert done.stdout == f"{recorder.files[1]}\n"
    assert numbers(recorder.files[0], "before") == numbers(recorder.files[0], "after") == list(range(50))
    assert numbers(recorder.files[0], "too-late") == []
    assert numbers(recorder.files[1], "too-late") == list(range(50))
    for file, summary in zip(recorder.files, recorder.summaries, strict=True):
        check_with_readers(file, summary["packets"])
        adds_up(summary)
        times = read_pcapng(file).times
        assert (times[1:] >= times[:-1]).all()
        assert summary["began_ns"] <= times[0] <= times[-1] <= summary["ended_ns"]
    assert (second["rule"], second["reason"], second["end_reason"]) == (
        "socket", "checkout is slow", "time after the trigger over",
    )  # fmt: skip
    assert incident["before_short"] == "the recorder had just begun"
    assert 0 < incident["before_had_ns"] < incident["before_asked_ns"] == 60 * 10**9
    assert incident["rule"] == "signal"
    assert "2 incidents in" in recorder.log()
    listed = bicap("incidents", str(folder)).stdout.splitlines()
    assert [line.rpartition("  ")[2].partition(":")[0] for line in listed] == [
        "signal (SIGUSR2)", "socket (checkout is slow)",
    ]  # fmt: skip
    assert [
        json.loads(line)["packets"] for line in bicap("incidents", "--json", str(folder)).stdout.splitlines()
    ] == [summary["packets"] for summary in recorder.summaries]
    assert not (folder / "trigger.socket").exists()
    assert "the capture lost nothing" in bicap("diagnose", str(recorder.files[0])).stdout


def test_a_memory_that_is_too_small_says_so_and_counts_what_it_forgot(node: PlainNode, folder: Path) -> None:
    words = (*RULE, "--memory", "4MiB", "--before", "1h", "--after", "0s")
    with RecorderProcess(folder, *words, within=node.exec()) as recorder:
        send(node, 10_000, "flood", 1400)
        bicap("trigger", str(folder))
        (incident,) = recorder.await_complete(1)
    assert incident["before_short"] == "the memory was full"
    found = numbers(recorder.files[0], "flood")
    assert found == list(range(10_000 - len(found), 10_000))
    assert 500 < len(found) < 3000
    adds_up(incident)
    assert incident["account"]["outside"] + incident["account"]["overwritten"] == 10_000 - len(found)


def test_a_hundred_triggers_in_a_second_are_one_incident(node: PlainNode, folder: Path) -> None:
    words = (*RULE, "--before", "1m", "--after", "1s", "--cooldown", "1h")

    def ring(number: int) -> Any:
        with socket.socket(socket.AF_UNIX) as bell:
            bell.connect(str(folder / "trigger.socket"))
            bell.sendall(b'{"reason": "%d"}\n' % number)
            return json.loads(bell.makefile().readline())

    with RecorderProcess(folder, *words, within=node.exec()) as recorder:
        send(node, 10, "some")
        with ThreadPoolExecutor(8) as threads:
            answers = list(threads.map(ring, range(100)))
        (incident,) = recorder.await_complete(1)
        refused = ring(101)
        wrong = socket.socket(socket.AF_UNIX)
        with wrong:
            wrong.connect(str(folder / "trigger.socket"))
            wrong.sendall(b"GET / HTTP/1.1\n")
            assert json.loads(wrong.makefile().readline())["answer"] == "error"
    assert [answer["answer"] for answer in answers].count("began") == 1
    assert {answer["answer"] for answer in answers} == {"began", "prolonged"}
    assert (incident["prolonged"], len(incident["triggers"])) == (99, 100)
    assert refused["answer"] == "refused"
    assert "--cooldown goes on for" in refused["reason"]
    assert numbers(recorder.files[0], "some") == list(range(10))


def test_a_recorder_that_is_killed_leaves_a_valid_file_that_says_it_is_unfinished(
    node: PlainNode, folder: Path
) -> None:
    with RecorderProcess(folder, *RULE, "--after", "1h", within=node.exec()) as recorder:
        send(node, 20, "some")
        bicap("trigger", str(folder))
        deadline = time.monotonic() + 60
        while len(numbers(recorder.files[0], "some")) < 20 and time.monotonic() < deadline:
            time.sleep(0.05)
        recorder.process.kill()
        recorder.process.wait()
    check_with_readers(recorder.files[0], 20)
    assert recorder.summaries[0]["complete"] is False
    assert bicap("incidents", str(folder)).stdout.rstrip().endswith("unfinished")
    done = bicap("trigger", str(folder))
    assert done.code == 3
    assert "no recorder answers at" in done.stderr


REFUSED = [
    (("-i", "veth-client"), 2, "no folder for incidents given; name one with --incidents"),
    (("-i", "veth-client", "--incidents", "/proc/x"), 6, "cannot make /proc/x"),
    (("-i", "veth-client", "--incidents", "INC", "--memory", "1MiB"), 2, "memory 1.0 MiB is less than 4.0 MiB"),
    (("-i", "veth-client", "--incidents", "INC", "-f", "FILE"), 2, "spec.limits.packets is for bicap capture"),
    (("-i", "no-such", "--incidents", "INC"), 3, "interface no-such does not exist"),
]


@pytest.mark.parametrize(("words", "code", "said"), REFUSED, ids=[case[2] for case in REFUSED])
def test_what_a_recorder_cannot_do_is_one_line(
    node: PlainNode, tmp_path: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    (tmp_path / "rules.yaml").write_text("count: 5\n")
    places = {"INC": str(tmp_path / "incidents"), "FILE": str(tmp_path / "rules.yaml")}
    done = bicap("record", *(places.get(word, word) for word in words), within=node.exec())
    assert (done.code, len(done.stderr.splitlines())) == (code, 1)
    assert said in done.stderr
    assert not list(tmp_path.glob("**/incident-*"))


REFUSE = "import socket; s = socket.socket(); s.settimeout(5); s.connect_ex(('{ip}', 81))"
UNANSWERED = "import socket; s = socket.socket(); s.settimeout(3); s.connect_ex(('10.77.0.9', 80))"
NXDOMAIN = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("", 53))
print("ready", flush=True)
query, peer = server.recvfrom(1000)
server.sendto(query[:2] + bytes([0x81, 0x83]) + query[4:], peer)
"""
ASK = """
import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(bytes.fromhex("123401000001000000000000") + b"\\3web\\4shop\\0\\0\\1\\0\\1", ("{ip}", 53))
s.recv(1000)
"""
STAGED = {
    "handshake=refused": REFUSE,
    "handshake=unanswered": UNANSWERED,
    "dns=failed": ASK,
    "rate(packets)>300": None,
}


def test_rules_fire_on_what_conversations_do_and_old_captures_say_the_same(node: PlainNode, folder: Path) -> None:
    subprocess.run(
        ["ip", "-n", node.client.netns, "neigh", "replace", "10.77.0.9", "lladdr", "02:77:00:00:00:09", "dev", "eth0",
         "nud", "permanent"], check=True,
    )  # fmt: skip
    words = [word for rule in STAGED for word in ("--trigger", rule)]
    words += ["-i", "veth-client", "--before", "1h", "--after", "300ms", "--cooldown", "0"]
    with RecorderProcess(folder, *words, within=node.exec()) as recorder:
        subprocess.run(node.client.exec("ping", "-c", "3", "-i", "0.1", "-q", node.server.ip4), check=True)
        time.sleep(0.5)
        assert recorder.files == []
        for number, (rule, code) in enumerate(STAGED.items(), start=1):
            resolver = None
            if code == ASK:
                resolver = subprocess.Popen(node.server.exec("python3", "-c", NXDOMAIN), stdout=subprocess.PIPE)
                assert resolver.stdout is not None
                resolver.stdout.readline()
            if code is None:
                send(node, 1000, "flood")
            else:
                subprocess.run(node.client.exec("python3", "-c", code.format(ip=node.server.ip4)), check=True)
            if resolver is not None:
                resolver.wait()
                assert resolver.stdout is not None
                resolver.stdout.close()
            incident = recorder.await_complete(number)[-1]
            assert incident["rule"] == rule, recorder.log()
            assert incident["noticed_ns"] - incident["fired_ns"] < 2 * 10**9  # 100 ms on a calm machine
            if incident["packet_ns"] is not None:
                times = read_pcapng(recorder.files[-1]).times
                assert times[incident["packet"] - 1] == incident["packet_ns"]
    for file, rule in zip(recorder.files, STAGED, strict=True):
        tried = bicap("trigger", "--try", rule, "--json", str(file))
        assert tried.code == 0, tried
        last = json.loads(tried.stdout.splitlines()[-1])
        (summary,) = [one for one in recorder.summaries if one["file"] == str(file)]
        assert last["rule"] == rule
        assert last["session"] == summary["session"]
        if summary["packet_ns"] is not None:
            assert abs(last["packet_ns"] - summary["packet_ns"]) < 10**8


def test_a_wrong_rule_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    done = bicap("record", "-i", "lo", "--incidents", str(tmp_path / "x"), "--trigger", "retransmited>=5")
    assert (done.code, len(done.stderr.splitlines())) == (2, 1)
    assert "do you mean retransmitted?" in done.stderr
    assert not (tmp_path / "x").exists()


ALERTS = {
    "version": "4",
    "status": "firing",
    "alerts": [
        {"status": "firing", "labels": {"alertname": "Slow", "pod": "web-0"}, "annotations": {"summary": "p99 > 1s"}},
        {"status": "resolved", "labels": {"alertname": "Gone"}},
    ],
}


class Webhook(http.server.BaseHTTPRequestHandler):
    found: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        self.found.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_an_alert_fires_and_others_are_told(tmp_path: Path, folder: Path) -> None:
    hook = http.server.HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = f"cp --target-directory={tmp_path}"
    words = [
        "-i",
        "lo",
        "--source",
        "192.0.2.1",
        "--after",
        "200ms",
        "--cooldown",
        "0",
        "--http",
        f"127.0.0.1:{port}",
    ]
    words += ["--on-incident", command, "--webhook", f"http://127.0.0.1:{hook.server_port}/"]

    def post(body: Any, token: str, host: str = "127.0.0.1", path: str = "/trigger") -> tuple[int, Any]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {token}", "Host": f"{host}:{port}"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    try:
        with RecorderProcess(folder, *words) as recorder:
            token = (folder / "http.token").read_text().strip()
            assert (folder / "http.token").stat().st_mode & 0o77 == 0
            assert post(ALERTS, "wrong")[0] == 401
            assert post(ALERTS, token, host="evil.example")[0] == 403
            assert post(ALERTS, token, path="/other")[0] == 404
            assert post(b"{", token)[0] == 400
            assert post({"alerts": [{"status": "resolved"}]}, token) == (200, {"replies": []})
            assert recorder.files == []
            status, answer = post(ALERTS, token)
            assert (status, [one["answer"] for one in answer["replies"]]) == (200, ["began"])
            (incident,) = recorder.await_complete(1)
            wait_until(lambda: Webhook.found and (tmp_path / recorder.files[0].name).exists(), recorder.log)
    finally:
        hook.shutdown()
        hook.server_close()
    assert (incident["rule"], incident["reason"]) == ("alertmanager", "p99 > 1s")
    assert incident["labels"] == {"alertname": "Slow", "pod": "web-0"}
    assert Webhook.found[0]["file"] == str(recorder.files[0])
    assert Webhook.found[0]["complete"] is True


def test_top_shows_the_sessions_of_now_and_their_trouble(node: PlainNode) -> None:
    words = ["top", "-i", "veth-client", "--json", "--interval", "300ms", "--sort", "packets"]
    process = subprocess.Popen(node.exec(BICAP, *words), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        pictures: list[Any] = []
        while not pictures or "failed-handshake" not in [one["kind"] for one in pictures[-1]["findings"]]:
            if pictures:  # programs are attached
                send(node, 50, "some")
                subprocess.run(node.client.exec("python3", "-c", REFUSE.format(ip=node.server.ip4)), check=True)
            pictures.append(json.loads(process.stdout.readline()))
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    last = pictures[-1]
    first = last["shown"][0]
    assert (first["protocol"], first["server_port"], first["interface"]) == ("udp", 9, "veth-client")
    assert first["packets"] >= 50
    assert last["missed"] == 0
    # IPv6 says something by itself when an interface is new.
    words = ["top", "-i", "veth-client", "--protocol", "udp"]
    plain = subprocess.Popen(node.exec(BICAP, *words), stdout=subprocess.PIPE, text=True)
    assert plain.stdout is not None
    try:
        assert plain.stdout.readline().startswith("0 sessions, 0 packets/s")
        plain.stdout.close()  # as `| head -1` does
        plain.send_signal(signal.SIGINT)
        assert plain.wait(60) == 0
    finally:
        plain.kill()
        plain.wait()
