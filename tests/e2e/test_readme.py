"""README's first capture, run as it is written there, shows what is shown there."""

import json
import re
import shlex
import signal
import subprocess
from pathlib import Path
from typing import Any

from testbed.foreign_blocks import interface, section
from testbed.patience import PATIENCE, wait_until
from testbed.tool import BICAP
from testbed.two_pods import PlainNode, run, serve, talk

ROOT = Path(__file__).parents[2]
README_VETH = "veth-client"
PROMPT = "# "


def first_capture() -> list[tuple[str, list[str]]]:
    """The commands of README's first capture, each with the output shown below it."""
    blocks = re.findall(r"^```console\n(.*?)^```$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
    block = next(block for block in blocks if "bicap capture" in block)
    steps = [part.splitlines() for part in re.split(rf"^{re.escape(PROMPT)}", block, flags=re.MULTILINE) if part]
    return [(command, output) for command, *output in steps]


def in_words(lines: list[str]) -> list[str]:
    """Lines without what differs from run to run: numbers with their units, and alignment."""
    text = [re.sub(r"\d[\d,.]*( ?(B|KiB|MiB|[nµm]?s)\b)?", "#", line.replace("^C", "")) for line in lines]
    return [" ".join(line.split()) for line in text if line.strip()]


def run_first_capture(node: PlainNode, folder: Path) -> list[tuple[list[str], str]]:
    """Run the commands in a folder; per command the output shown and the output seen."""
    (capture, shown), *rest = first_capture()
    words = shlex.split(capture.replace(README_VETH, node.client.veth))
    assert words[0] == "bicap"
    bicap = [BICAP, *words[1:], "--ready-file", "ready"]
    server = subprocess.Popen(serve(node.server), stdout=subprocess.PIPE, text=True)
    process = subprocess.Popen(node.exec(*bicap), cwd=folder, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        assert server.stdout.readline() == "serving\n"

        def ready() -> bool:
            assert process.poll() is None, process.communicate()
            return (folder / "ready").exists()

        wait_until(ready)
        subprocess.run(talk(node.client, node.server.ip4), check=True)
        process.send_signal(signal.SIGINT)
        _, seen = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    finally:
        for started in (process, server):
            started.kill()
            started.communicate()
    results = [(shown, seen)]
    for command, output in rest:
        done = subprocess.run(shlex.split(command), cwd=folder, capture_output=True, text=True, check=True)
        results.append((output, done.stdout))
    return results


def test_first_capture_shows_what_the_readme_shows_and_its_summary_is_documented(
    node: PlainNode, tmp_path: Path
) -> None:
    results = run_first_capture(node, tmp_path)
    for shown, seen in results:
        assert in_words(shown) == in_words(seen.splitlines())
    assert len(results) > 1
    summary = json.loads((tmp_path / "web.pcapng.json").read_text())
    named = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "formats.md").read_text()))
    assert keys(summary) - named == set(), "docs/formats.md does not name these fields of FILE.json"


def keys(value: Any) -> set[str]:
    """Every name in a JSON value, whatever it is nested in."""
    if isinstance(value, list):
        return set().union(*map(keys, value))
    if not isinstance(value, dict):
        return set()
    return set(value).union(*map(keys, value.values()))


def test_the_shown_commands_find_the_veth_of_a_pod(node: PlainNode) -> None:
    readme = (ROOT / "README.md").read_text()
    (first, second) = re.findall(r"^(nsenter --net --target PID .*|ip .*NUMBER:.*)$", readme, re.MULTILINE)
    with subprocess.Popen(node.client.exec("sleep", "1000")) as process:
        try:
            wait_until(lambda: run("ip", "netns", "pids", node.client.netns).strip())
            said = run("sh", "-c", first.replace("PID ", f"{process.pid} "))
        finally:
            process.kill()
    (number,) = re.findall(r"eth0@if(\d+)", said)
    assert node.client.veth in run(*node.exec("sh", "-c", second.replace("NUMBER", number)))


def _tsharks(text: str) -> list[str]:
    """Shown commands that read a file; test_wireshark has those that capture."""
    return re.findall(r"^[$#] (tshark -(?![iD]).*)$", text, re.MULTILINE)


def test_the_shown_tshark_reads_a_capture(tmp_path: Path) -> None:
    (tmp_path / "web.pcapng").write_bytes(section("<") + interface("<"))
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    lines = [line for page in pages for line in _tsharks(page.read_text())]
    assert len(lines) > 1
    for line in lines:
        done = subprocess.run(["sh", "-c", line], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}: {done.stderr}"
