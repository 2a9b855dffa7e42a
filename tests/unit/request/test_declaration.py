"""A field is declared once: a new one in the declaration is in every form, in the CRD, the pages and the JSON."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]

FIELD = """
    patience: Annotated[
        Count | None,
        field(
            "Wait for so many packets before giving up.",
            "patience",
            option("--patience", unit="PACKETS"),
            default=3,
        ),
    ] = None
"""
ATTRIBUTE = "    patience: int = 3\n"

REPORT = """
import json, sys
from click.testing import CliRunner
from capture.cli.main import cli
from capture.cli.groups import ORDER
from capture.cli.plan import plan
from capture.cli.line import read_request
from capture.errors import SpecError
from capture.request.convert import spec_of
from capture.request.document import as_json
from capture.request.spec_json import spec_as_json
from scripts import gen_cli_docs, gen_crd

def request(*words):
    try:
        with plan.make_context("plan", ["-i", "eth0", *words]) as context:
            return read_request(context.meta[ORDER], context.params)
    except SpecError as error:
        return str(error)

def spec(*words):
    return spec_as_json(spec_of(request(*words)))["patience"]

json.dump({
    "capture --help": CliRunner().invoke(cli, ["capture", "--help"]).output,
    "plan --help": CliRunner().invoke(cli, ["plan", "--help"]).output,
    "docs/cli.md": gen_cli_docs.page(),
    "crd": gen_crd.definitions()["PacketCapture"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        ["properties"]["spec"]["properties"]["limits"]["properties"]["patience"],
    "docs/packetcapture.md": gen_crd.page(),
    "document": as_json(request("--patience", "7")),
    "specs": [spec(), spec("--patience", "7"), spec("-f", "rules.yaml"), spec("-f", "pc.yaml"),
              spec("-f", "pc.yaml", "--patience", "7")],
    "refused": [request("--patience", "0"), request("-f", "zero.yaml"), request("-f", "pc-zero.yaml"),
                request("-f", "antrea.yaml")],
}, sys.stdout)
"""
OBJECT = "apiVersion: bicap.io/v1alpha1\nkind: PacketCapture\nmetadata: {name: pc}\n"
ANTREA = OBJECT.replace("bicap.io", "crd.antrea.io")
FILES = {
    "rules.yaml": "patience: 5\n",
    "zero.yaml": "patience: 0\n",
    "pc.yaml": OBJECT + "spec: {limits: {patience: 6}}\n",
    "pc-zero.yaml": OBJECT + "spec: {limits: {patience: 0}}\n",
    "antrea.yaml": ANTREA + "spec: {patience: 6, captureConfig: {firstN: {number: 5}}}\n",
}


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the output of a copy of bicap with one more field."""
    copy = tmp_path_factory.mktemp("copy")
    for folder in ("capture", "scripts"):
        shutil.copytree(ROOT / folder, copy / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for folder in ("docs", "deploy", "bpf"):
        (copy / folder).symlink_to(ROOT / folder)
    insert(copy / "capture/request/document.py", FIELD, before="    buffer: Annotated[\n")
    insert(copy / "capture/spec.py", ATTRIBUTE, before="    hook: Hook = Hook.AUTO\n")
    for name, text in FILES.items():
        (copy / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", REPORT],
        cwd=copy,
        env=os.environ | {"PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def insert(file: Path, text: str, before: str) -> None:
    whole = file.read_text()
    assert whole.count(before) == 1
    file.write_text(whole.replace(before, text.lstrip("\n") + before))


@pytest.mark.parametrize("page", ["capture --help", "plan --help", "docs/cli.md"])
def test_a_new_field_is_an_option_with_its_unit_and_help(found: dict[str, Any], page: str) -> None:
    words = " ".join(found[page].split())
    assert "--patience PACKETS Wait for so many packets before giving up. --buffer SIZE" in words


def test_the_new_field_is_in_the_crd_with_its_range_and_default(found: dict[str, Any]) -> None:
    assert found["crd"] == {
        "description": "Wait for so many packets before giving up.", "type": "integer", "minimum": 1, "default": 3,
    }  # fmt: skip


def test_the_new_field_is_in_the_table_of_fields(found: dict[str, Any]) -> None:
    row = "| `spec.limits.patience` | integer, from 1 | `3` | Wait for so many packets before giving up. |\n"
    assert row in found["docs/packetcapture.md"]


def test_the_new_field_is_in_the_document(found: dict[str, Any]) -> None:
    assert found["document"] == {"target": {"interfaces": ["eth0"]}, "limits": {"patience": 7}}


def test_the_spec_of_a_summary_has_the_values_of_line_rule_file_and_object(found: dict[str, Any]) -> None:
    assert found["specs"] == [3, 7, 5, 6, 7]


def test_each_form_refuses_a_value_out_of_range(found: dict[str, Any]) -> None:
    line, rule_file, our_object, _ = found["refused"]
    assert line == "--patience 0 is not at least 1"
    assert rule_file == "rule file zero.yaml: patience 0 is not at least 1"
    assert our_object == "PacketCapture pc-zero.yaml: Expected `int` >= 1 - at `$.spec.limits.patience`"


def test_antreas_object_is_refused_with_the_option_that_has_the_field(found: dict[str, Any]) -> None:
    assert found["refused"][3] == (
        "PacketCapture antrea.yaml: Object contains unknown field `patience` - at `$.spec`; Antrea's PacketCapture "
        "does not have it, give --patience on the command line"
    )
