"""An error is one line with the right exit code, and a capture that cannot start changes no file."""

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import capture.kernel.compiler
import capture.kernel.kept
from capture.cli.main import main
from capture.errors import CompileError, VerifierError
from capture.filters.filter_h import FilterProgram
from testbed.patience import PATIENCE
from testbed.tool import BICAP, Finished, bicap
from testbed.two_pods import PlainNode, run
from tests.e2e.users import NO_BCC, PYPI_BCC, nobody, with_bcc

WRONG_REQUEST, NO_TARGET, KERNEL, OUTPUT = 2, 3, 4, 6
EARLIER = b"an earlier capture"


@dataclass(frozen=True)
class Case:
    """Words of the command line that cannot work; `{here}` is the test's folder, the file is f.pcapng in it."""

    what: str
    words: str
    code: int
    says: str
    """The line on stderr has all of these, separated by |."""

    def __str__(self) -> str:
        return self.what


REQUESTS = [
    Case("no interface", "-w {here}/f.pcapng", WRONG_REQUEST, "no interface given|-i"),
    Case("an interface twice", "-i lo -i lo -w {here}/f.pcapng", WRONG_REQUEST, "lo is given twice"),
    Case("no output", "-i lo", WRONG_REQUEST, "no output given|-w"),
    Case("an output without a name", "-i lo -w ''", WRONG_REQUEST, "has no name|-w"),
    Case("both on stdout", "-i lo -w - --json", WRONG_REQUEST, "--json|-w -|standard output"),
    Case("a bad address", "-i lo --source 10.0.0", WRONG_REQUEST, "source|'10.0.0'|write 10.0.0.1"),
    Case("an address too much", "-i lo --destination 10.0.0.256", WRONG_REQUEST, "destination|'10.0.0.256'"),
    Case("no address at all", "-i lo --source ''", WRONG_REQUEST, "source is empty"),
    Case("a bad IPv6 address", "-i lo --source 2001:db8::1::2", WRONG_REQUEST, "source|'2001:db8::1::2'"),
    Case("an IPv6 address not closed", "-i lo --source [::1", WRONG_REQUEST, "source|'[::1'|[2001:db8::1]:443"),
    Case("a port too large", "-i lo --source 10.0.0.1:65536", WRONG_REQUEST, "source|port|'65536'|65535"),
    Case("a port that is a word", "-i lo --destination :x-y", WRONG_REQUEST, "destination|port|x-y"),
    Case("a bad CIDR", "-i lo --source 10.0.0.0/33", WRONG_REQUEST, "source|'10.0.0.0/33'|10.0.0.0/8"),
    Case("two families", "-i lo --source 10.0.0.1 --destination ::1", WRONG_REQUEST, "famil|10.0.0.1|::1"),
    Case("a bad protocol", "-i lo --protocol tpc", WRONG_REQUEST, "protocol 'tpc'|tcp, udp"),
    Case("a port of a protocol without ports", "-i lo --protocol icmp --source :80", WRONG_REQUEST, "icmp|port"),
    Case("forward and both", "-i lo --direction forward --bidirectional", WRONG_REQUEST, "forward|contradict"),
    Case("both and one", "-i lo --direction both --no-bidirectional", WRONG_REQUEST, "both|contradict"),
    Case("a bad expression", "-i lo host", WRONG_REQUEST, "'host'|syntax error"),
    Case("a bad duration", "-i lo --duration 5x", WRONG_REQUEST, "--duration '5x'|30s"),
    Case("an empty duration", "-i lo --duration ''", WRONG_REQUEST, "--duration ''|30s"),
    Case("no duration", "-i lo --duration 0s", WRONG_REQUEST, "--duration is not longer than 0"),
    Case("a bad interval", "-i lo --stats-interval often", WRONG_REQUEST, "--stats-interval 'often'|30s"),
    Case("no interval", "-i lo --stats-interval 0", WRONG_REQUEST, "--stats-interval is not longer than 0"),
    Case("a bad size", "-i lo --buffer much", WRONG_REQUEST, "--buffer 'much'|64MiB"),
    Case("a buffer too small", "-i lo -w {here}/f.pcapng --buffer 4KiB", WRONG_REQUEST, "buffer 4.0 KiB|at least"),
    Case("a snaplen too small", "-i lo -s 17", WRONG_REQUEST, "snaplen 17|18"),
    Case("a snaplen too large", "-i lo -s 262145", WRONG_REQUEST, "snaplen 262145|262144"),
    Case("a negative snaplen", "-i lo -s -1", WRONG_REQUEST, "snaplen -1"),
    Case("no packets", "-i lo -c 0", WRONG_REQUEST, "count 0"),
    Case("no packets forward", "-i lo --count-forward 0", WRONG_REQUEST, "count-forward 0|at least 1"),
    Case("a count of what is not captured", "-i lo --no-bidirectional --count-reverse 5", WRONG_REQUEST,
         "count-reverse is never reached|forward"),
    Case("a bad limit", "-i lo --max-bytes 1e6", WRONG_REQUEST, "--max-bytes '1e6'|64MiB"),
    Case("a limit below any file", "-i lo --max-bytes 100", WRONG_REQUEST, "max-bytes 100|4096"),
    Case("a limit that is empty", "-i lo --max-bytes ''", WRONG_REQUEST, "--max-bytes ''"),
    Case("a bad time to start", "-i lo --start-at 25:00", WRONG_REQUEST, "--start-at '25:00'|18:30"),
    Case("a bad time to stop", "-i lo --stop-at tomorrow", WRONG_REQUEST, "--stop-at 'tomorrow'|18:30"),
    Case("a time beyond all zones", "-i lo --start-at 9999-12-31T23:59-12:00", WRONG_REQUEST, "--start-at '9999"),
    Case("a stop before the start", "-i lo --start-at 2090-01-02T00:00 --stop-at 2090-01-01T00:00", WRONG_REQUEST,
         "stop-at is not after start-at"),
    Case("a stop in the past", "-i lo -w {here}/none/f.pcapng --stop-at 2020-01-01T00:00", WRONG_REQUEST,
         "stop-at is in the past"),
    Case("a bad sampler", "-i lo --sample flow", WRONG_REQUEST, "--sample 'flow'|flow:1/10, packet:1%, first:20"),
    Case("an unknown sampler", "-i lo --sample host:1/10", WRONG_REQUEST, "--sample 'host:1/10'|flow:1/10"),
    Case("bps", "-i lo --sample rate:10mbps", WRONG_REQUEST, "--sample 'rate:10mbps'|rate:10mbit"),
    Case("more than all", "-i lo --sample packet:101%", WRONG_REQUEST, "packet:101/100|above 0 and at most 1"),
    Case("nothing of it", "-i lo --sample first:0", WRONG_REQUEST, "first:0|below 1"),
    Case("half of conversations", "-i lo --sample reverse=flow:1/2", WRONG_REQUEST, "reverse=flow:1/2|leave it out"),
    Case("a negative seed", "-i lo --sample-seed -1", WRONG_REQUEST, "sample seed -1|from 0"),
    Case("a bad measure", "-i lo --on-pressure drop", WRONG_REQUEST, "--on-pressure 'drop'|truncate, sample, lose"),
    Case("a measure twice", "-i lo --on-pressure sample,sample", WRONG_REQUEST, "sample,sample|twice"),
    Case("a measure after the last", "-i lo --on-pressure lose,sample", WRONG_REQUEST, "lose must be the last"),
    Case("headers of tunnels", "-i lo --inner --headers-only", WRONG_REQUEST, "inner|headers-only"),
    Case("tunnels cut", "-i lo --inner --on-pressure truncate", WRONG_REQUEST, "inner|on-pressure truncate"),
    Case("a bad size of files", "-i lo -C big", WRONG_REQUEST, "-C 'big'|64MiB"),
    Case("a size of files that is empty", "-i lo -C ''", WRONG_REQUEST, "-C ''"),
    Case("files of nothing", "-i lo -C 0", WRONG_REQUEST, "-C|at least one byte"),
    Case("a bad time of files", "-i lo -G 5x", WRONG_REQUEST, "-G '5x'|30s"),
    Case("files of no time", "-i lo -G 0", WRONG_REQUEST, "-G|longer than 0"),
    Case("a ring of one file", "-i lo -W 5", WRONG_REQUEST, "-W|-C|-G"),
    Case("a ring of no file", "-i lo -C 1 -W 0", WRONG_REQUEST, "-W|0|at least 1"),
    Case("more than all is free", "-i lo --min-free 150%", WRONG_REQUEST, "min-free 150%|between 0% and 100%"),
    Case("a bad share", "-i lo --min-free 5%%", WRONG_REQUEST, "--min-free '5%%'|5% or 2GiB"),
    Case("files on standard output", "-i lo -w - -C 1", WRONG_REQUEST, "-C, -G|-w - is a stream"),
    Case("times on standard output", "-i lo -w - -G 1", WRONG_REQUEST, "-C, -G|-w - is a stream"),
    Case("room on standard output", "-i lo -w - --min-free 5%", WRONG_REQUEST, "--min-free|-w - is a stream"),
    Case("an owner of standard output", "-i lo -w - --user root", WRONG_REQUEST, "--user|-w - is a stream"),
    Case("files in a device", "-i lo -w /dev/null --min-free 5%", WRONG_REQUEST, "--min-free|/dev/null is a stream"),
    Case("an unknown user", "-i lo -w {here}/none/f.pcapng --user nobody-such", WRONG_REQUEST,
         "user nobody-such does not exist|getent passwd"),
    Case("a user without a name", "-i lo -w {here}/f.pcapng --user ''", WRONG_REQUEST, "--user"),
    Case("a look without a plan", "-i lo -w {here}/f.pcapng --look 1s", WRONG_REQUEST, "--look|--dry-run|bicap plan"),
    Case("a load without a plan", "-i lo --assume 1kpps,64B", WRONG_REQUEST, "--assume|--dry-run|bicap plan"),
    Case("a look and a load", "-i lo --dry-run --look 1s --assume 1kpps,64B", WRONG_REQUEST, "--look and --assume"),
    Case("no look at all", "-i lo --dry-run --look 0s", WRONG_REQUEST, "--look is not longer than 0"),
    Case("an empty look", "-i lo --dry-run --look ''", WRONG_REQUEST, "--look ''"),
    Case("a bad load", "-i lo --dry-run --assume much", WRONG_REQUEST, "--assume 'much'|100kpps,800B"),
    Case("a file of rules that is not there", "-i lo -f {here}/none.yaml", WRONG_REQUEST, "{here}/none.yaml|No such"),
    Case("a file with a bad sampler", "-i lo -f {here}/rules.yaml", WRONG_REQUEST,
         "rule file {here}/rules.yaml: sample 'flow:5' is not understood"),
]  # fmt: skip

PLACES = [
    Case("an unknown interface", "-i eth77 -w {here}/f.pcapng", NO_TARGET, "eth77 does not exist|there are: lo"),
    Case("a name no interface can have", f"-i {'e' * 40} -w {{here}}/f.pcapng", NO_TARGET, "does not exist"),
    Case("an empty name", "-i '' -w {here}/f.pcapng", NO_TARGET, "does not exist|there are: lo"),
    Case("a name of two lines", "-i 'lo\nlo' -w {here}/f.pcapng", NO_TARGET, "lo lo does not exist"),
    Case("an unknown namespace", "-i lo --netns nowhere", NO_TARGET, "nowhere does not exist|ip netns"),
    Case("an unknown path", "-i lo --netns /nowhere/ns", NO_TARGET, "/nowhere/ns does not exist"),
    Case("a path through a file", "-i lo --netns /proc/version/ns", NO_TARGET, "/proc/version/ns|Not a directory"),
    Case("a file that is no namespace", "-i lo --netns /proc/version", NO_TARGET, "/proc/version is not a network"),
    Case("a namespace of another kind", "-i lo --netns /proc/self/ns/mnt", NO_TARGET, "mnt is not a network"),
    Case("no directory", "-i lo -w {here}/no/ne/f.pcapng", OUTPUT, "{here}/no/ne/f.pcapng|directory does not exist"),
    Case("no directory for files", "-i lo -C 1 -w {here}/no/ne/f", OUTPUT, "{here}/no/ne/f|directory does not exist"),
    Case("no room from the start", "-i lo -w {here}/none/f.pcapng --min-free 99.999%", OUTPUT,
         "{here}/none/f.pcapng|must stay free (--min-free)"),
    Case("no room for files", "-i lo -w {here}/earlier -C 1 --min-free 900TiB", OUTPUT, "{here}/earlier|900.0 TiB"),
    Case("a directory as the file", "-i lo -w {here}", OUTPUT, "{here}|it is a directory"),
    Case("a file as the directory", "-i lo -w {here}/earlier/f.pcapng", OUTPUT, "Not a directory"),
    Case("a symbolic link as the file", "-i lo -w {here}/link", OUTPUT, "{here}/link|symbolic link|not followed"),
    Case("a directory that takes no files", "-i lo -w /sys/f.pcapng", OUTPUT, "/sys/f.pcapng: not allowed"),
    Case(
        "no directory for the ready file",
        "-i lo -w {here}/f.pcapng --ready-file {here}/none/ready",
        OUTPUT,
        "{here}/none/ready|directory does not exist",
    ),
]  # fmt: skip

# What click finds: a usage line, a hint, an empty line and the error.
USAGE = [
    Case("an unknown option", "-i lo --nothing", WRONG_REQUEST, "No such option|--nothing"),
    Case("a number that is none", "-i lo -s all", WRONG_REQUEST, "--snaplen|'all' is not a valid integer"),
    Case("an unknown direction", "-i lo --direction up", WRONG_REQUEST, "--direction|'up'|'forward'"),
    Case("an unknown compression", "-i lo --compress gzip", WRONG_REQUEST, "--compress|'gzip'|zstd"),
    Case("a seed that is none", "-i lo --sample-seed abc", WRONG_REQUEST, "--sample-seed|'abc'"),
    Case("a number of files that is none", "-i lo -C 1 -W 1.5", WRONG_REQUEST, "-W|'1.5'"),
]


def files(folder: Path) -> dict[str, bytes | None]:
    """Everything below a folder."""
    found = sorted(folder.rglob("*"))
    return {str(path): path.read_bytes() if path.is_file() and not path.is_symlink() else None for path in found}


def assert_refused(done: Finished, code: int, says: str) -> None:
    """It ended with this code, and with one line that has all the words."""
    assert "Traceback" not in done.stderr, done.stderr
    assert done.code == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("bicap: "), done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith("\n")
    for words in says.split("|"):
        assert words in done.stderr


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with an earlier capture and a symbolic link to it, where nobody may write."""
    (tmp_path / "earlier").write_bytes(EARLIER)
    (tmp_path / "link").symlink_to("earlier")
    (tmp_path / "rules.yaml").write_text("sample: ['flow:5']")
    tmp_path.chmod(0o777)
    return tmp_path


@pytest.mark.parametrize("case", [*REQUESTS, *PLACES], ids=str)
def test_refused_in_one_line(here: Path, case: Case) -> None:
    before = files(here)
    done = bicap("capture", *shlex.split(case.words.format(here=here)))
    assert_refused(done, case.code, case.says.format(here=here))
    assert files(here) == before


@pytest.mark.parametrize("case", USAGE, ids=str)
def test_refused_with_the_usage(here: Path, case: Case) -> None:
    done = bicap("capture", *shlex.split(case.words.format(here=here)))
    assert done.code == case.code
    assert done.stderr.startswith("Usage: bicap capture ")
    assert len(done.stderr.splitlines()) == 4
    for words in case.says.split("|"):
        assert words in done.stderr.splitlines()[-1]


def test_a_read_only_file_system(here: Path) -> None:
    disk = here / "disk"
    disk.mkdir()
    run("mount", "-t", "tmpfs", "-o", "ro", "bicap-test", str(disk))
    try:
        assert_refused(bicap("capture", "-i", "lo", "-w", f"{disk}/f.pcapng"), OUTPUT, "read-only|f.pcapng")
    finally:
        run("umount", str(disk))


def test_a_stream_to_a_terminal_is_refused(here: Path) -> None:
    controller, terminal = os.openpty()
    try:
        done = subprocess.run(
            [BICAP, "capture", "-i", "lo", "-w", "-"],
            stdout=terminal,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(terminal)
        os.close(controller)
    assert_refused(Finished(done.returncode, "", done.stderr), OUTPUT, "standard output is a terminal|tshark -i -")


def test_a_stream_to_a_closed_standard_output_is_refused() -> None:
    closed = ["sh", "-c", 'exec "$@" >&-', "sh"]
    done = bicap("capture", "-i", "lo", "-w", "-", within=closed)
    assert_refused(done, OUTPUT, "standard output is closed")


PRIVILEGES = [
    # capabilities of a user who is not root, more words, what is said
    ("", "", "CAP_BPF and CAP_NET_ADMIN and CAP_PERFMON|run as root"),
    ("net_admin perfmon ipc_lock", "", "needs CAP_BPF;|run as root"),
    ("bpf perfmon ipc_lock", "", "needs CAP_NET_ADMIN;|run as root"),
    ("bpf net_admin ipc_lock", "", "needs CAP_PERFMON;|run as root"),
    ("bpf net_admin perfmon", "", "locked memory is limited|CAP_IPC_LOCK|smaller --buffer"),
    ("bpf net_admin perfmon ipc_lock", "--netns {netns}", "entering|{netns}|needs CAP_SYS_ADMIN|run as root"),
]


@pytest.mark.parametrize(("held", "words", "says"), PRIVILEGES, ids=[case[0] or "none" for case in PRIVILEGES])
def test_not_root(here: Path, node: PlainNode, held: str, words: str, says: str) -> None:
    before = files(here)
    more = words.format(netns=node.netns).split()
    done = bicap("capture", "-i", "lo", "-w", f"{here}/f.pcapng", *more, within=nobody(*held.split()))
    assert_refused(done, KERNEL, says.format(netns=node.netns))
    assert files(here) == before


def test_a_directory_of_somebody_else(here: Path) -> None:
    here.chmod(0o755)
    done = bicap("capture", "-i", "lo", "-w", f"{here}/f.pcapng", within=nobody())
    assert_refused(done, OUTPUT, "f.pcapng: not allowed; choose another place")


def test_files_for_another_user_need_the_right_to_give_them_away(here: Path) -> None:
    before = files(here)
    for more in ([], ["-C", "1"]):
        words = ["-i", "lo", "-w", f"{here}/none/f.pcapng", "--user", "root", *more]
        done = bicap("capture", *words, within=nobody("bpf", "net_admin", "perfmon", "ipc_lock"))
        assert_refused(done, OUTPUT, f"{here}/none/f.pcapng: not permitted")
        assert files(here) == before


@pytest.mark.parametrize(
    ("source", "says"), [(PYPI_BCC, "is PyPI's, an unrelated project"), (NO_BCC, "No module named 'bcc'")]
)
def test_bcc_is_missing(here: Path, tmp_path_factory: pytest.TempPathFactory, source: str, says: str) -> None:
    env = with_bcc(tmp_path_factory.mktemp("python"), source)
    before = files(here)
    done = bicap("capture", "-i", "lo", "-w", f"{here}/f.pcapng", env=env)
    assert_refused(done, KERNEL, f"{says}|python3-bpfcc")
    done = bicap("capture", "-i", "lo", "-w", f"{here}/earlier", env=env)
    assert_refused(done, KERNEL, f"{says}|python3-bpfcc")
    assert files(here) == before


# The program's entry point with something before it.
ENTRY = """
static __always_inline int rest(struct __sk_buff *skb);
#define packet_passes(argument) packet_passes(struct __sk_buff *skb) { %s return rest(skb); } \\
    static __always_inline int rest(argument)
"""

SPOILED = [
    # what is wrong, what filter.h gets, the error, what it says
    ("no C", "this is not C\n", CompileError, "clang rejects the program: |filter.h (generated):|unknown type name"),
    (
        "a stack read out of bounds",
        ENTRY % 'u64 read; asm volatile("%0 = *(u64 *)(r10 + 8)" : "=r"(read));',
        VerifierError,
        "the kernel rejects from_pod: |invalid read from stack",
    ),
    (
        "a loop without end",
        ENTRY % 'asm volatile("if r1 != 0 goto -1");',
        VerifierError,
        "the kernel rejects from_pod: |infinite loop detected",
    ),
]


@pytest.fixture
def spoil(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Append text to the filter header of all programs that this process compiles."""

    def install(text: str) -> None:
        compiled_once = capture.kernel.kept.compiled_once

        def spoiled(wanted: FilterProgram, *more: Any) -> capture.kernel.compiler.Compiled:
            return compiled_once(replace(wanted, header=f"{wanted.header}\n{text}"), *more)

        monkeypatch.setattr(capture.kernel.kept, "compiled_once", spoiled)

    return install


@pytest.mark.parametrize(("what", "text", "error", "says"), SPOILED, ids=[case[0] for case in SPOILED])
@pytest.mark.parametrize("name", ["f.pcapng", "earlier"])
def test_a_program_that_is_refused(
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    spoil: Callable[[str], None],
    name: str,
    what: str,
    text: str,
    error: type[CompileError],
    says: str,
) -> None:
    before = files(here)
    spoil(text)
    monkeypatch.setattr(sys, "argv", ["bicap", "capture", "-i", "lo", "--duration", "2s", "-w", f"{here}/{name}"])
    with pytest.raises(SystemExit) as ended:
        main(own_process=False)
    stdout, stderr = capfd.readouterr()
    assert isinstance(ended.value.code, int)
    assert_refused(Finished(ended.value.code, stdout, stderr), KERNEL, says)
    cause = ended.value.__cause__
    assert type(cause) is error
    assert isinstance(cause, CompileError)
    assert says.split("|")[-1] in cause.log
    assert len(cause.log.splitlines()) > 1
    assert files(here) == before


def test_an_interface_that_refuses_leaves_the_earlier_file(here: Path, node: PlainNode) -> None:
    run("tc", "-n", node.netns, "qdisc", "add", "dev", node.client.veth, "ingress")
    before = files(here)
    for name in ("f.pcapng", "earlier", "none/f.pcapng"):
        words = ["-i", node.client.veth, "--netns", node.netns, "--hook", "clsact", "-w", f"{here}/{name}"]
        assert_refused(bicap("capture", *words), KERNEL, f"{node.client.veth} has an ingress qdisc|--hook tcx")
    assert files(here) == before
