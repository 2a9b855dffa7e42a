"""The documentation holds: it is current, its links lead somewhere, and the program accepts what it shows."""

import argparse
import contextlib
import io
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import pytest

from capture.cli.main import cli
from capture.errors import SpecError
from capture.kubectl.main import plugin
from scripts import gen_cli_docs
from testbed.patience import PATIENCE

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("[a-z]*/README.md")])
FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Shown:
    """Something a page shows in a fence."""

    page: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def fences(*languages: str) -> Iterator[Shown]:
    for page in PAGES:
        text = page.read_text()
        for fence in FENCE.finditer(text):
            if fence[2] in languages:
                line = text.count("\n", 0, fence.start()) + 1
                yield Shown(page, line, textwrap.dedent(fence[3]))


def command_lines() -> Iterator[Shown]:
    """What a reader would type: lines after a prompt in console blocks, all lines of sh blocks."""
    for fence in fences("console", "sh"):
        lines = fence.text.replace("\\\n", " ").splitlines()
        prompted = [line[2:] for line in lines if line[:2] in ("$ ", "# ")]
        for line in prompted if prompted else lines:
            yield Shown(fence.page, fence.line, line)


def _is_plugin(call: list[str], position: int) -> bool:
    return position > 0 and call[position - 1] == "kubectl"


def bicap_calls(line: str) -> list[list[str]]:
    """The arguments of each call of bicap in a line of shell, pipes and redirections understood."""
    words = shlex.shlex(line, posix=True, punctuation_chars="|&;<>()")
    words.whitespace_split = True
    calls: list[list[str]] = [[]]
    for word in words:
        if set(word) <= set("|&;()"):
            calls.append([])
        else:
            calls[-1].append(word)
    found = []
    for call in calls:
        programs = [position for position, word in enumerate(call) if Path(word).name == "bicap"]
        if programs and not _is_plugin(call, programs[0]):
            end = next((position for position, word in enumerate(call) if set(word) <= set("<>")), len(call))
            found.append(call[programs[0] + 1 : end])
    return found


TARGETS = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
ELSEWHERE = {"tshark", "wireshark", "nsenter", "ip"}
"""Programs of others; tests/e2e/test_readme.py runs what can be run."""


def without_comment(line: str) -> list[str]:
    """The words of a line, without variables set before the program."""
    words = shlex.split(line, comments=True)
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        del words[0]
    return words


def module_calls() -> Iterator[tuple[Shown, str, list[str]]]:
    """Each `python -m MODULE WORDS` of a page, in a fence or in a sentence."""
    for shown in command_lines():
        words = without_comment(shown.text)
        if len(words) > 2 and Path(words[0]).name == "python" and words[1] == "-m":
            yield shown, words[2], words[3:]
    for page in PAGES:
        for said in re.finditer(r"`python -m (\S+?)( [^`]+)?`", page.read_text()):
            line = page.read_text().count("\n", 0, said.start()) + 1
            yield Shown(page, line, said[0]), said[1], shlex.split(said[2] or "")


CALLS = [(shown, call) for shown in command_lines() for call in bicap_calls(shown.text)]


class PlanReachedError(Exception):
    """The call was understood as far as it can be without a look at the machine."""


FILES = {
    "--conversations": "tcp 10.0.0.1:4000 10.0.0.2:80\n",
    "-f": """{apiVersion: bicap.io/v1alpha1, kind: PacketCapture, metadata: {name: shown},
              spec: {target: {allPods: true}, storage: {path: shown.pcapng}}}""",
}


@pytest.fixture
def accept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[list[str]], None]:
    """Let the real commands take their words; a capture ends before it is planned. Raises what a user would see."""

    def planned(_: object) -> None:
        raise PlanReachedError

    monkeypatch.setattr("capture.run.planning.plan_capture", planned)
    monkeypatch.chdir(tmp_path)

    def take(words: list[str]) -> None:
        for option, name in pairwise(words):
            if option in FILES and name != "-":
                Path(name).write_text(FILES[option])
        monkeypatch.setattr("sys.stdin", io.StringIO(FILES["--conversations"]))
        with contextlib.suppress(PlanReachedError, click.exceptions.Exit):  # --help and --version exit
            group = cli.make_context("bicap", list(words))
            name, command, rest = cli.resolve_command(group, words)
            assert command is not None
            with command.make_context(name, rest, parent=group) as context:
                if name == "capture":
                    command.invoke(context)

    return take


def test_cli_page_is_current() -> None:
    assert gen_cli_docs.TARGET.exists(), "run make docs"
    assert gen_cli_docs.TARGET.read_text() == gen_cli_docs.page(), "docs/cli.md is not current: run make docs"
    assert gen_cli_docs.PLUGIN_TARGET.read_text() == gen_cli_docs.plugin_page(), "run make docs"


PLUGIN_CALL = re.compile(r"kubectl bicap ([a-z][^|\n`]*)")


def plugin_calls() -> Iterator[tuple[Shown, list[str]]]:
    """The words of each call of `kubectl bicap` in a fence."""
    for fence in fences("text", "console", "sh"):
        if fence.page != gen_cli_docs.PLUGIN_TARGET:
            for call in PLUGIN_CALL.finditer(fence.text.replace("\\\n", " ")):
                yield fence, shlex.split(call[1], comments=True)


@pytest.mark.parametrize(
    "words", [pytest.param(words, id=f"{shown} {shlex.join(words)}") for shown, words in plugin_calls()]
)
def test_the_plugin_accepts_the_shown_call(words: list[str]) -> None:
    group = plugin.make_context("kubectl bicap", list(words))
    name, command, rest = plugin.resolve_command(group, words)
    assert command is not None
    command.make_context(name, rest, parent=group)


def test_every_option_of_the_plugin_says_what_it_does() -> None:
    for name, command, _ in gen_cli_docs.commands(plugin, "kubectl bicap"):
        assert command.help, f"{name} has no help"
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{name} {option.opts[0]} has no help"


def test_every_command_and_option_says_what_it_does_and_a_page_speaks_of_it() -> None:
    for name, command, _ in gen_cli_docs.commands():
        assert command.help, f"{name} has no help"
        for option in command.params:
            if isinstance(option, click.Option) and not option.hidden:
                assert option.help, f"{name} {option.opts[0]} has no help"
        pages = [page for page in PAGES if page != gen_cli_docs.TARGET and f"`{name}" in page.read_text()]
        assert pages, f"no page but docs/cli.md speaks of {name}"


@pytest.mark.parametrize("words", [pytest.param(call, id=f"{shown} {shlex.join(call)}") for shown, call in CALLS])
def test_program_accepts_the_shown_call(accept: Callable[[list[str]], None], words: list[str]) -> None:
    accept(words)


class ParsedError(Exception):
    """The words were understood; nothing has been done yet."""


@pytest.fixture
def only_parse(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, list[str]], None]:
    """Let a module take its words, and do nothing. SystemExit where it refuses them."""
    parse = argparse.ArgumentParser.parse_args

    def parsed(parser: argparse.ArgumentParser, *words: Any) -> None:
        parse(parser, *words)
        raise ParsedError

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)

    def run(module: str, words: list[str]) -> None:
        monkeypatch.setattr("sys.argv", [module, *words])
        runpy.run_module(module, run_name="__main__")

    return run


@pytest.mark.parametrize(
    ("module", "words"),
    [pytest.param(module, words, id=f"{shown} {module}") for shown, module, words in module_calls()],
)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules")  # runpy, where a test has imported it before
def test_a_shown_module_takes_the_shown_words(
    only_parse: Callable[[str, list[str]], None], module: str, words: list[str], tmp_path: Path
) -> None:
    words = [str(tmp_path) if word == "FOLDER" else word for word in words]
    if words == ["--help"]:
        with pytest.raises(SystemExit, match=r"^0$"):
            only_parse(module, words)
    else:
        with pytest.raises(ParsedError):
            only_parse(module, words)


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_a_wrong_word_for_a_module_would_be_noticed(only_parse: Callable[[str, list[str]], None]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        only_parse("bench", ["--no-such-option"])


def test_each_shown_line_is_of_a_program_that_a_test_knows() -> None:
    for shown in command_lines():
        words = without_comment(shown.text)
        if not words or bicap_calls(shown.text):
            continue
        program, *rest = (Path(word).name for word in words)
        if program == "make":
            assert set(rest) <= TARGETS, f"{shown}: {shown.text}"
        elif program == "python":
            assert rest[0] == "-m", f"{shown}: {shown.text}"
        else:
            assert program in ELSEWHERE, f"{shown}: {shown.text}"


RUNNABLE = sorted(
    file
    for folder in ("bench", "scripts", "fuzz")
    for file in (ROOT / folder).glob("*.py")
    if re.search(r"^main\(\)|__name__ == .__main__.", file.read_text(), re.MULTILINE)
)


HELP_OF_EACH = """
import os, runpy, sys
import capture.analysis.sessions.tracker, capture.benchmark.result_table  # what most of them import
folder, *modules = sys.argv[1:]
for module in modules:
    if os.fork() == 0:
        for descriptor, name in ((1, "stdout"), (2, "stderr")):
            os.dup2(os.open(f"{folder}/{module}.{name}", os.O_CREAT | os.O_WRONLY), descriptor)
        path = module.replace(".", "/") + ".py"
        sys.argv, sys.path[0] = [path, "--help"], os.getcwd()
        if module.startswith("fuzz."):
            runpy.run_path(path, run_name="__main__")
        else:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        sys.exit()
    print(module, os.waitstatus_to_exitcode(os.wait()[1]))
"""
"""Forks a process for each module, which is run as `python -m` runs it."""


@pytest.mark.slow
def test_a_module_that_can_be_run_says_what_it_is_and_does_nothing_else(tmp_path: Path) -> None:
    modules = [".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__") for file in RUNNABLE]
    before = [page.read_bytes() for page in PAGES]
    words = [sys.executable, "-c", HELP_OF_EACH, str(tmp_path), *modules]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout.splitlines() == [f"{module} 0" for module in modules]
    for module in modules:
        stdout, stderr = ((tmp_path / f"{module}.{name}").read_text() for name in ("stdout", "stderr"))
        assert stderr == ""
        assert stdout.startswith("usage: python "), module
        assert module.rpartition(".")[2] in stdout.partition("[-h]")[0]
    assert [page.read_bytes() for page in PAGES] == before


def test_calls_are_found_in_pipes_and_after_sudo() -> None:
    line = "sudo A=b .venv/bin/bicap capture -i 'eth 0' -w - | tshark -i - && bicap doctor > out"
    assert bicap_calls(line) == [["capture", "-i", "eth 0", "-w", "-"], ["doctor"]]


@pytest.mark.parametrize(
    "call",
    [
        "capture -i eth0 --no-such-option",
        "no-such-command",
        "capture -i eth0 --duration 5q",
        "capture -i eth0 --source 10.0.0",
        "doctor eth0",
    ],
)
def test_a_wrong_call_would_be_noticed(accept: Callable[[list[str]], None], call: str) -> None:
    with pytest.raises((click.UsageError, SpecError)):
        accept(call.split())


@pytest.mark.parametrize("shown", list(fences("python")), ids=str)
def test_shown_python_compiles(shown: Shown) -> None:
    compile(shown.text, str(shown), "exec")


def anchors(page: Path) -> set[str]:
    """The fragments that headings of a page answer to, by GitHub's rule."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    for link in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, fragment = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), f"{link} is dead"
        assert not fragment or fragment in anchors(file), f"{link}: no such heading"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, to_read = set(), [ROOT / "README.md"]
    while to_read:
        page = to_read.pop()
        if page in reached:
            continue
        reached.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(page.read_text()))
        to_read += [(page.parent / link).resolve() for link in links if link.endswith(".md") and ":" not in link]
    assert set(PAGES) - reached == set()


VAGRANT = """
class Recorder
  def respond_to_missing?(*) = true
  def method_missing(name, *words, **settings)
    puts [name, *words, settings].inspect
    yield self if block_given?
    self
  end
end
module Vagrant
  def self.configure(version) = yield(Recorder.new)
end
load ARGV[0]
"""


def test_vagrantfile_makes_a_debian_12_that_runs_the_demo() -> None:
    ruby = shutil.which("ruby")
    if ruby is None:
        pytest.skip("needs ruby (apt-get install ruby)")
    run = subprocess.run(
        [ruby, "-w", "-e", VAGRANT, ROOT / "Vagrantfile"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert '[:box=, "debian/bookworm64"' in run.stdout
    assert re.search(r"\[:provision, \"shell\".*make demo", run.stdout)
