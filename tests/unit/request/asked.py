"""A document -> the values of its spec, field by field, as tests compare them."""

from typing import Any

import click

from capture.cli.groups import ORDER
from capture.cli.line import read_request
from capture.cli.main import cli
from capture.cli.plan import plan
from capture.request.convert import meanings, selection_of, spec_of
from capture.request.document import Document
from capture.request.fields import fields
from capture.request.manifest import parse_document as document_of
from capture.request.manifest import parse_file as document_of_text
from capture.request.manifest import read_file as document_of_file
from capture.request.naming import in_object
from capture.request.overlay import overlay
from capture.spec import CaptureSpec

NAMES = {
    meaning: {"sampling.seed": "sample_seed"}.get(meaning, "pods" if meaning.startswith("pods.") else meaning).split(
        "."
    )[-1]
    for meaning in (field.declared.meaning for field in fields(Document))
    if meaning
}
"""Attribute of CaptureSpec -> the name here."""
ALL_NAMES = frozenset(NAMES.values()) | {"output"}
LISTS = ("interfaces", "rules", "samplers")


def line(*words: str) -> Document:
    """The document of a command line, over the file that it names."""
    with line_context(*words) as context:
        return read_request(context.meta[ORDER], context.params)


def line_context(*words: str) -> click.Context:
    """A call of bicap plan that has not begun."""
    group = click.Context(cli, info_name="bicap", **cli.context_settings)  # a command keeps the -h of its first group
    return plan.make_context("plan", list(words), parent=group)


class DocumentValues:
    """The values of a document, None or () where it says nothing."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def __getattr__(self, name: str) -> Any:
        if name not in ALL_NAMES:
            raise AttributeError(name)
        found = meanings(self.document, in_object)
        values = {NAMES[meaning]: value for meaning, value in found.items()}
        values |= {"pods": selection_of(found), "output": self.document.storage.path}
        return values.get(name, () if name in LISTS else None)

    def over(self, file: "DocumentValues") -> "DocumentValues":
        """Both, this one first."""
        return DocumentValues(overlay(self.document, file.document))

    def spec(self) -> CaptureSpec:
        """The capture that is asked for."""
        return spec_of(self.document)


def parse_document(path: str, found: Any) -> DocumentValues:
    """Return the request of a file that YAML has parsed."""
    return DocumentValues(document_of(path, found))


def parse_file(path: str, text: bytes) -> DocumentValues:
    """The text of a file."""
    return DocumentValues(document_of_text(path, text))


def read_file(path: str) -> DocumentValues:
    """A file."""
    return DocumentValues(document_of_file(path))
