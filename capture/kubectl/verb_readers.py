"""`kubectl bicap sessions`, `diagnose`, `legs`, `web`: a capture is fetched, and the bicap command reads it here."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import click

from capture.cli.groups import GroupedCommand
from capture.errors import PartialError, SpecError, TargetError
from capture.kubectl.cluster_captures import CaptureApi
from capture.kubectl.cluster_options import capture_name, cluster_options
from capture.kubectl.kubectl_command import Kubectl
from capture.kubectl.on_terminal import tell
from capture.kubectl.progress_lines import is_over
from capture.kubectl.retrieved import retrieve

_READERS = ("numba", "numpy")
_ENDINGS = (".pcapng", ".pcapng.zst")


def _reader(verb: str, help: str, split: bool = False) -> click.Command:
    @click.command(
        verb, cls=GroupedCommand, help=help, context_settings={"ignore_unknown_options": True}, short_help=help
    )
    @click.argument("name")
    @click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[OPTION OF bicap]...")
    @cluster_options
    def read(kubectl: Kubectl, name: str, words: Sequence[str], cluster: bool) -> None:
        command = reading_command(verb)
        api = CaptureApi(kubectl)
        found = capture_name(api, name, cluster)
        capture = api.read(found)
        if not is_over(capture.status):
            raise TargetError(f"{found} still runs; kubectl bicap stop {name} ends it")
        with tempfile.TemporaryDirectory(prefix="bicap-") as folder:
            output = str(Path(folder) / (found.name if split else f"{found.name}.pcapng"))
            got = retrieve(kubectl, found, capture, output, split)
            for one in got.missing:
                tell(f"warning: not here: {one}")
            files = [str(one.path) for one in got.files if one.path.name.endswith(_ENDINGS)] if split else [output]
            code = subprocess.run([*command, *words, *files], check=False).returncode
        if code == 0 and got.missing:
            raise PartialError(f"{found} was read without {len(got.missing)} of its files or nodes")
        raise SystemExit(code)

    return read


def reading_command(verb: str) -> list[str]:
    """Return the command of bicap that reads files. Raises SpecError where its readers are not installed."""
    if all(importlib.util.find_spec(name) for name in _READERS):
        return [sys.executable, "-m", "capture.cli.main", verb]
    elsewhere = shutil.which("bicap")
    if elsewhere is None:
        raise SpecError(
            f"{verb} needs bicap's readers, which are not installed here; pip install bicap, or fetch the file and "
            "read it elsewhere"
        )
    return [elsewhere, verb]


sessions = _reader("sessions", "Show the conversations of a capture; options are those of bicap sessions.")
diagnose = _reader("diagnose", "Say what goes wrong in a capture; options are those of bicap diagnose.")
legs = _reader("legs", "Compare what both ends saw: delay and loss between nodes.", split=True)
web = _reader("web", "Show the conversations of a capture in the browser.")
