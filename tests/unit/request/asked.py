"""A document -> what it asks for, field by field, as tests compare it."""

from typing import Any

from capture.request.convert import meanings, selection_of, spec_of
from capture.request.declaration import fields
from capture.request.document import Document
from capture.request.files import parse_document as document_of
from capture.request.files import parse_file as document_of_text
from capture.request.files import read_file as document_of_file
from capture.request.overlay import overlay
from capture.request.places import in_object
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


class Asked:
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

    def over(self, file: "Asked") -> "Asked":
        """Both, this one first."""
        return Asked(overlay(self.document, file.document))

    def spec(self) -> CaptureSpec:
        """The capture that is asked for."""
        return spec_of(self.document)


def parse_document(path: str, found: Any) -> Asked:
    """What YAML made of a file."""
    return Asked(document_of(path, found))


def parse_file(path: str, text: bytes) -> Asked:
    """The text of a file."""
    return Asked(document_of_text(path, text))


def read_file(path: str) -> Asked:
    """A file."""
    return Asked(document_of_file(path))
