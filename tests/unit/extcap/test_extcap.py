"""Calls of the extcap protocol -> their answers, and the command that captures."""

import json
import os
import re
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from capture.errors import SinkError, SpecError, TargetError
from capture.extcap import install, wireshark_list
from capture.extcap.__main__ import Call, answer
from capture.extcap.answers import options, sentence
from capture.extcap.arguments import arguments, cluster_arguments, words_of
from capture.extcap.captured import command, run
from capture.extcap.controls import ADD, KEEP, LOG, RULE, SET, ControlMessage, decoded
from capture.extcap.wait_for_trouble import IncidentCopy
from capture.extcap.wait_for_trouble import command as waits
from capture.request.document import Document
from capture.request.fields import OUTPUT, RECORD, fields


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two interfaces and a pod."""
    monkeypatch.setattr(wireshark_list, "local_interfaces", lambda: ["eth0", "lo"])
    monkeypatch.setattr(wireshark_list, "pods", lambda: ["shop/web-0.a"])
    monkeypatch.setattr(wireshark_list, "has_cluster", lambda: False)


def lines(*words: str) -> list[str]:
    return list(answer(Call.parse(words)))


def test_interfaces_are_pods_and_local_ones_and_a_free_choice() -> None:
    found = lines("--extcap-interfaces", "--extcap-version=4.0")
    assert re.fullmatch(r"extcap \{version=[^}]+\}\{display=bicap\}", found[0])
    assert found[1:6] == [
        "interface {value=bicap}{display=bicap: choose pods or interfaces by options}",
        "interface {value=bicap-wait}{display=bicap: wait for trouble, and show the last 30 s when a button or a "
        "rule says so}",
        "interface {value=bicap_pod_shop_web-0.a}{display=bicap: pod shop/web-0.a}",
        "interface {value=bicap-if-eth0}{display=bicap: eth0, both directions on one clock}",
        "interface {value=bicap-if-lo}{display=bicap: lo, both directions on one clock}",
    ]
    assert [line.partition("{display")[0] for line in found[6:]] == [
        "control {number=1}{type=button}{role=control}",
        "control {number=2}{type=string}",
        "control {number=0}{type=button}{role=logger}",
    ]


def test_packets_are_ethernet() -> None:
    assert lines("--extcap-interface", "bicap-if-lo", "--extcap-dlts") == [
        "dlt {number=1}{name=EN10MB}{display=Ethernet}"
    ]


def test_options_are_those_of_the_request_document() -> None:
    found = lines("--extcap-interface", "bicap", "--extcap-config")
    calls = {match[1] for line in found if (match := re.match(r"arg .*?\{call=([^}]+)\}", line))}
    declared = {
        one.declared.option.name
        for one in fields(Document)
        if one.declared.option and one.group not in (OUTPUT, RECORD) and not one.declared.option.stands_alone
    }
    assert declared < calls
    assert calls - declared == {
        "--source", "--destination", "--protocol", "--family", "--tcp-flags", "--answer-tcp-flags", "--icmp-type",
        "--answer-icmp-type", "--sudo",
    }  # fmt: skip
    assert all(re.fullmatch(r"(arg|value) (\{\w+=[^{}]*\})+", line) for line in found)
    numbers = [int(match[1]) for line in found if (match := re.match(r"arg \{number=(\d+)\}", line))]
    assert numbers == list(range(len(numbers)))


@pytest.mark.parametrize(
    "line",
    [
        "arg {number=N}{call=--count}{display=Count}{tooltip=End after writing this many packets.}{type=string}"
        "{group=Limits}{placeholder=PACKETS}{validation=^[0-9]+$}",
        "value {arg=N}{value=default}{display=(both)}{default=true}",
        "value {arg=N}{value=forward}{display=forward}{default=false}",
    ],
)
def test_an_option_is_shown_with_its_help_unit_and_choices(line: str) -> None:
    found = [
        re.sub(r"(number|arg)=\d+", r"\1=N", one)
        for one in lines("--extcap-interface", "bicap-if-lo", "--extcap-config")
    ]
    assert line in found


def test_an_entry_that_says_where_asks_for_no_place() -> None:
    calls = {one.call for one in arguments(False, {})}
    assert {"--hook", "--source", "--count", "--sudo"} <= calls
    assert not calls & {"--interface", "--pod", "--all-pods", "--netns"}


def test_pods_can_be_listed_again() -> None:
    found = lines("--extcap-interface", "bicap", "--extcap-config", "--extcap-reload-option", "pod")
    assert [re.sub(r"arg=\d+", "", one) for one in found] == [
        "value {}{value=default}{display=(none)}{default=true}",
        "value {}{value=shop/web-0.a}{display=shop/web-0.a}{default=false}",
    ]


@pytest.mark.parametrize(("expression", "expected"), [("tcp port 80", 0), ("", 0), ("tcp prt 80", 1)])
def test_a_capture_filter_is_checked_as_it_is_typed(expression: str, expected: int) -> None:
    found = lines("--extcap-interface", "bicap-if-lo", "--extcap-capture-filter", expression)
    assert len(found) == expected


def captured(*words: str) -> list[str]:
    call = Call.parse(["--capture", "--fifo", "/tmp/f", *words])
    made = command(call.protocol, call.others)
    assert made[:5] == [sys.executable, "-P", "-m", "capture.cli.main", "capture"]
    return made[5:]


def test_what_wireshark_gives_becomes_words_of_bicap_capture() -> None:
    assert captured("--extcap-interface", "bicap-if-eth0") == ["-i", "eth0", "-w", "/tmp/f", "-q"]
    assert captured(
        "--extcap-interface", "bicap_pod_shop_web-0.a", "--extcap-capture-filter", "tcp port 80", "--headers-only",
        "--direction", "default", "--hook", "tcx", "--count", "9", "--sudo",
    ) == ["--pod", "shop/web-0.a", "--headers-only", "--hook", "tcx", "--count", "9", "-w", "/tmp/f", "-q", "--",
          "tcp port 80"]  # fmt: skip
    assert captured("--extcap-interface", "bicap", "--pod=shop/web-0", "--extcap-control-out", "/tmp/c")[:2] == [
        "--pod", "shop/web-0"]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--extcap-interface", "eth0", "--extcap-dlts"], "eth0 is not an interface of bicap; see `tshark -D`"),
        (["--extcap-interface", "bicap_pod_shop", "--extcap-dlts"], "bicap_pod_shop is not an interface of bicap"),
        (["--extcap-interface", "bicap"], "called by Wireshark; `bicap extcap --install` makes it known there"),
        ([], "called by Wireshark; `bicap extcap --install` makes it known there"),
        (["eth0"], "'eth0' is not an option of the extcap protocol"),
    ],
)
def test_a_wrong_call_is_one_line(words: list[str], message: str) -> None:
    with pytest.raises(SpecError, match=re.escape(message)):
        lines(*words)


def test_a_wrong_capture_is_one_line() -> None:
    with pytest.raises(SpecError, match="--capture needs --fifo"):
        command({"--extcap-interface": "bicap"}, [])
    with pytest.raises(SpecError, match="the option --nothing, which bicap does not know; install the extcap again"):
        words_of([("--nothing", "1")], arguments(True, {}))


def test_text_cannot_break_a_sentence() -> None:
    assert sentence("arg", number=1, tooltip="a {b}\nc", default=None) == "arg {number=1}{tooltip=a (b) c}"
    assert len(options([])) == 0


def test_messages_of_the_toolbar_are_read_as_they_are_written_however_they_are_cut() -> None:
    messages = [ControlMessage(LOG, ADD, "lost 0\n"), ControlMessage(KEEP, SET), ControlMessage(RULE, SET, "größer")]
    data = b"".join(message.encode() for message in messages)
    assert data.startswith(b"T\x00\x00\x09\x00\x02lost 0\n")
    for cut in range(len(data)):
        first, rest = decoded(data[:cut])
        second, left = decoded(rest + data[cut:])
        assert (first + second, left) == (messages, b"")
    with pytest.raises(ValueError, match="not a message"):
        decoded(b"GET / HTTP")


def test_the_entry_that_waits_asks_for_what_a_recorder_takes() -> None:
    found = lines("--extcap-interface", "bicap-wait", "--extcap-config")
    calls = {match[1] for line in found if (match := re.match(r"arg .*?\{call=([^}]+)\}", line))}
    assert {"--interface", "--pod", "--before", "--after", "--memory", "--trigger", "--reasons", "--sudo"} <= calls
    assert not calls & {"--incidents", "--max-incidents", "--count", "--buffer", "--on-pressure"}


def test_waiting_is_a_recorder_whose_rules_are_those_of_the_toolbar_if_it_has_one() -> None:
    given = [("--interface", "eth0"), ("--before", "5s"), ("--trigger", "rst>0"), ("--hook", "default")]
    before = [sys.executable, "-P", "-m", "capture.cli.main", "record", "--interface", "eth0", "--before", "5s"]
    after = ["--cooldown", "1s", "--incidents", "/tmp/i", "--ready-file", "/tmp/i/ready"]
    assert waits(given, "/tmp/i", None, "tcp") == [*before, "--trigger", "rst>0", *after, "--", "tcp"]
    assert waits(given, "/tmp/i", "dns=failed", None) == [*before, *after, "--trigger", "dns=failed"]


def test_incidents_are_copied_as_they_grow_one_after_the_other(tmp_path: Path) -> None:
    read, write = os.pipe()
    copy = IncidentCopy(tmp_path, write)
    first, second = tmp_path / "incident-1.pcapng", tmp_path / "incident-2.pcapng"
    try:
        for content, complete, expected in ((b"ab", "", b"ab"), (b"abc", "", b"c"), (b"abcd", "over", b"d12")):
            first.write_bytes(content)
            (tmp_path / "incident-1.pcapng.json").write_text(json.dumps({"end_reason": complete}))
            second.write_bytes(b"12")
            copy.copy()
            assert os.read(read, 100) == expected
        assert not first.exists()
        second.write_bytes(b"123")
        copy.copy()
        assert os.read(read, 100) == b"3"
    finally:
        os.close(read)
        os.close(write)


NEW = """Temp:\t/tmp
Personal Extcap path:\t/home/a/.local/lib/wireshark/extcap
Global Extcap path:\t/usr/libexec/wireshark/extcap
"""


@pytest.mark.parametrize(
    ("listing", "expected"),
    [
        (
            "Extcap path:\t/usr/lib/x86_64-linux-gnu/wireshark/extcap\n",
            ["/usr/lib/x86_64-linux-gnu/wireshark/extcap"],
        ),
        (NEW, ["/home/a/.local/lib/wireshark/extcap", "/usr/libexec/wireshark/extcap"]),
    ],
    ids=["4.0", "4.6"],
)
def test_folders_are_those_that_wireshark_names(listing: str, expected: list[str]) -> None:
    assert install.parsed(listing) == expected


def test_no_folder_and_no_tshark_are_one_line_each() -> None:
    with pytest.raises(TargetError, match="no extcap folder here; give the folder with --folder"):
        install.parsed("Temp: /tmp")
    with pytest.raises(TargetError, match="give the folder with --folder"):
        install.folders("/no/such/tshark")
    with pytest.raises(SinkError, match=r"cannot write /proc/none/bicap: .*; run as root, or give your own folder"):
        install.install("/proc/none")


@pytest.mark.slow
def test_the_starter_runs_this_bicap_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "capture").mkdir()  # a folder of that name must not be taken for the package
    starter = install.install(str(tmp_path / "extcap"))
    assert stat.S_IMODE(starter.stat().st_mode) == 0o755
    words = [str(starter), "--extcap-interface", "bicap-if-lo", "--extcap-dlts"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("dlt {number=1}{name=EN10MB}{display=Ethernet}\n", "")


def test_nothing_heavy_is_imported_before_a_capture() -> None:
    code = (
        "import sys, runpy; sys.argv = ['x', '--extcap-interface', 'bicap-if-lo', '--extcap-config']; "
        "runpy.run_module('capture.extcap', run_name='__main__'); "
        "heavy = {'numpy', 'numba', 'bcc', 'click', 'pyroute2', 'grpc', 'rich'}; "
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("arg {number=0}")
    assert done.stderr == "\n"


def test_a_cluster_is_listed_where_kubectl_has_the_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not any("bicap-cluster" in line for line in lines("--extcap-interfaces"))
    monkeypatch.setattr(wireshark_list, "has_cluster", lambda: True)
    assert lines("--extcap-interfaces")[3] == (
        "interface {value=bicap-cluster}{display=bicap: pods of the cluster, on all their nodes, by options}"
    )


def test_a_cluster_asks_for_pods_by_workload_and_for_no_interface_and_no_sudo() -> None:
    found = lines("--extcap-interface", "bicap-cluster", "--extcap-config")
    calls = {match[1] for line in found if (match := re.match(r"arg .*?\{call=([^}]+)\}", line))}
    assert {"--target", "--namespace", "--to", "--context", "--count", "--direction"} <= calls
    assert not calls & {"--interface", "--pod", "--sudo", "--netns"}


def test_a_capture_in_a_cluster_is_one_of_kubectl() -> None:
    call = Call.parse(
        ["--capture", "--fifo=/tmp/f", "--extcap-interface=bicap-cluster", "--extcap-capture-filter=tcp port 80",
         "--target", "deploy/web  svc/bank", "--namespace", "shop", "--count", "9", "--direction", "default"]
    )  # fmt: skip
    assert command(call.protocol, call.others) == [
        "kubectl", "bicap", "capture", "deploy/web", "svc/bank", "--namespace", "shop", "--count", "9", "-w", "-",
        "--", "tcp port 80",
    ]  # fmt: skip


def test_a_target_cannot_be_an_option_of_kubectl() -> None:
    with pytest.raises(SpecError, match="'--as=admin' does not name pods"):
        words_of([("--target", "deploy/web --as=admin")], cluster_arguments())


def test_what_kubectl_writes_is_what_wireshark_reads_and_what_it_says_fails_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    kubectl = tmp_path / "kubectl"
    kubectl.write_text('#!/bin/sh\nprintf "%s " "$@"\necho "bicap: no such deployment" >&2\nexit 3\n')
    kubectl.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    target = tmp_path / "pipe"
    call = Call.parse(["--capture", f"--fifo={target}", "--extcap-interface=bicap-cluster", "--target=deploy/web"])
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    try:
        assert run(call.protocol, call.others) == 3
    finally:
        for number, handler in zip((signal.SIGTERM, signal.SIGINT), before, strict=True):
            signal.signal(number, handler)
    assert target.read_text() == "bicap capture deploy/web -w - "
    assert capfd.readouterr().err == "bicap: no such deployment\n"
