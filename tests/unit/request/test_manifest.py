"""A file's apiVersion and kind choose its reader; any error is one line."""

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.errors import SpecError
from tests.unit.request.asked import DocumentValues, parse_document, parse_file, read_file

OURS = "apiVersion: bicap.io/v1alpha1\nkind: PacketCapture\n"
NAMED = OURS + "metadata: {name: pc}\n"

WRONG: list[tuple[str, str]] = [
    # a file, what is said
    ("a: [", "file f.yaml is not one YAML document: while parsing a flow node"),
    ("a: 1\n---\nb: 2\n", "file f.yaml is not one YAML document: expected a single document"),
    ("\x00", "file f.yaml is not one YAML document: unacceptable character"),
    ("a: 2026-13-45", "file f.yaml is not one YAML document: month must be in 1..12"),
    ("a: !!bool x", "file f.yaml is not one YAML document: 'x'"),
    ("a: !!python/object:os.system x", "file f.yaml is not one YAML document: could not determine a constructor"),
    ("{[]: 1}", "file f.yaml is not one YAML document: while constructing a mapping"),
    ("rules: []\nsample: []\nrules: []\n", "file f.yaml is not one YAML document: found 'rules' twice in"),
    ("[" * 5000, "file f.yaml is not one YAML document: "),
    ("[" * 5000 + "]" * 5000, "file f.yaml is not one YAML document: maximum recursion depth"),
    ("", "rule file f.yaml: Expected `object`, got `null`"),
    ("- rules\n", "rule file f.yaml: Expected `object`, got `array`"),
    ("5", "rule file f.yaml: Expected `object`, got `int`"),
    ("kind: PacketCapture\n",
     "PacketCapture f.yaml: apiVersion None with kind PacketCapture is not known; known are"),
    ("apiVersion: v1\nkind: List\n", "PacketCapture f.yaml: apiVersion v1 with kind List is not known"),
    ("apiVersion: projectcalico.org/v3\nkind: PacketCapture\n",
     "PacketCapture f.yaml: apiVersion projectcalico.org/v3 with kind PacketCapture is not known; known are "
     "apiVersion bicap.io/v1alpha1 with kind PacketCapture or apiVersion bicap.io/v1alpha1 with kind ClusterPacket"),
    ("apiVersion: [a]\nkind: {b: c}\n", "PacketCapture f.yaml: apiVersion ['a'] with kind {'b': 'c'} is not known"),
    (OURS, "PacketCapture f.yaml: Object missing required field `metadata`"),
    (OURS + "metadata: {namespace: shop}\nspec: {}\n", "PacketCapture f.yaml: Object missing required field `name`"),
    (OURS + "metadata: {name: ''}\nspec: {}\n", "PacketCapture f.yaml: Expected `str` of length >= 1"),
    (NAMED, "PacketCapture f.yaml: Object missing required field `spec`"),
    (NAMED + "spec:\n", "PacketCapture f.yaml: Object missing required field `spec`"),
    (NAMED + "spec: {}\nsepc: {}\n", "PacketCapture f.yaml: Object contains unknown field `sepc`"),
    (NAMED + "spec: {5: 6}\n", "PacketCapture f.yaml: Expected `str` - at `key` in `$.spec`"),
    (NAMED + "spec: &a {rules: [*a]}\n", "PacketCapture f.yaml contains itself"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("text", "said"), WRONG, ids=[case[1] for case in WRONG])
def test_what_is_wrong_is_one_line(text: str, said: str) -> None:
    with pytest.raises(SpecError, match=f"^{re.escape(said)}") as refused:
        parse_file("f.yaml", text.encode())
    assert "\n" not in str(refused.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "none.yaml", "No such file or directory"), (tmp_path, "Is a directory")):
        with pytest.raises(SpecError, match=f"^file {path} cannot be read: {reason}$"):
            read_file(str(path))


def test_null_counts_as_not_given() -> None:
    text = NAMED + "spec:\n  target:\n  rules: [{source: , protocol: tcp}]\n  limits: {packets: }\nstatus: {a: [b]}\n"
    assert [str(rule) for rule in parse_file("f.yaml", text.encode()).rules] == ["tcp any > any"]


def test_a_name_that_looks_like_a_date_is_a_name() -> None:
    text = OURS + "metadata: {name: 2026-11-24}\nspec: {target: {pods: [{name: 2026-11-24}]}}\n"
    assert str(parse_file("f.yaml", text.encode()).pods) == "pod default/2026-11-24"


@given(st.text(st.sampled_from("apiVersion: -[]{}!&*|>'\"#%@?,\\n 0x1:2026-01-01T.~<\x00\x85\ud7ff"), max_size=40))
def test_any_text_is_accepted_or_refused_in_one_line(text: str) -> None:
    with contextlib.suppress(SpecError):
        assert isinstance(parse_file("f.yaml", text.encode()), DocumentValues)


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
KNOWN = """apiVersion kind metadata spec name rules source pod ip packet captureConfig target limits startAt duration
buffer fileSize fileTime minFree conversations selector namespace pid snaplen direction inner expression write"""
KEYS = st.sampled_from(KNOWN.split()) | st.text(max_size=4)
TREES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=20
)


@given(TREES, st.sampled_from(["bicap.io/v1alpha1", "crd.antrea.io/v1alpha1", ""]))
def test_any_document_is_accepted_or_refused_in_one_line(tree: object, version: str) -> None:
    if version:
        tree = {"apiVersion": version, "kind": "PacketCapture", "metadata": {"name": "pc"}, "spec": tree}
    try:
        found = parse_document("f.yaml", tree)
    except SpecError as error:
        assert "f.yaml" in str(error)  # noqa: PT017
    else:
        assert isinstance(found, DocumentValues)
