"""A document -> the values of its fields -> a CaptureSpec. An invalid value is a SpecError."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from capture.errors import SpecError
from capture.filters.rule import Rule
from capture.filters.rulewords import agreed_direction
from capture.recording import RecordingSpec
from capture.request.document import Document
from capture.request.fields import fields
from capture.request.forms import check_conversations
from capture.request.kubernetes import DIRECTIONS
from capture.request.naming import Naming, in_object
from capture.sampling.sampler import Sampling
from capture.selection.selection import PodEnd, Selection
from capture.spec import CaptureSpec
from capture.storage import Storage, StoreOptions


def spec_of(document: Document) -> CaptureSpec:
    """Return the spec of the requested capture; files that the document names are read. Raises SpecError."""
    values = meanings(one_direction(document, "spec.bidirectional and spec.direction"), in_object)
    parts: dict[str, dict[str, Any]] = defaultdict(dict)
    for meaning, value in values.items():
        part, _, name = meaning.rpartition(".")
        parts[part][name] = value
    return CaptureSpec(
        pods=_pods(parts["pods"], bool(document.target.interfaces), values.get("rules", ())),
        sampling=Sampling(**parts["sampling"]),
        storage=Storage(store=StoreOptions(**parts["storage.store"]), **parts["storage"]),
        recording=RecordingSpec(**parts["recording"]) if parts["recording"] else None,
        **parts[""],
    )


def check(document: Document, naming: Naming) -> Document:
    """Return the document if all its values are valid; no file is read.

    Raises SpecError, which names fields by `naming`.
    """
    if document.conversations is not None:
        field = next(field for field in fields(Document) if field.path == ("conversations",))
        check_conversations(document.conversations, naming(field))
    selection_of(meanings(msgspec.structs.replace(document, conversations=None), naming))
    return document


def one_direction(document: Document, name: str) -> Document:
    """Return the document with `direction` in place of `bidirectional`, which is another form of it.

    Raises SpecError that begins with `name` if the two contradict each other.
    """
    if document.bidirectional is None:
        return document
    direction = agreed_direction(
        DIRECTIONS[document.direction] if document.direction else None, document.bidirectional, name
    )
    word = next(word for word, value in DIRECTIONS.items() if value is direction)
    return msgspec.structs.replace(document, bidirectional=None, direction=word)


def meanings(document: Document, naming: Naming) -> dict[str, Any]:
    """Return the values that are given, by their attribute in CaptureSpec, like "sampling.seed"."""
    values = {}
    for field in fields(Document):
        value, declared = field.of(document), field.declared
        if declared.meaning is None or value is None or value == []:
            continue
        if declared.reads is not None:
            values[declared.meaning] = declared.reads(value, naming(field))
        else:
            values[declared.meaning] = tuple(value) if field.is_list else value
    return values


def selection_of(values: Mapping[str, Any]) -> Selection | None:
    """Return the pods that are selected by `meanings`; None without any."""
    selection = Selection(**{name[5:]: value for name, value in values.items() if name.startswith("pods.")})
    return None if selection == Selection() else selection


def _pods(selected: Mapping[str, Any], interfaces: bool, rules: tuple[Rule, ...]) -> Selection | None:
    """Return the pods, also those at one end of rules that name pods, if nothing else says where to capture."""
    naming = [rule for rule in rules if rule.names_pods]
    pods = Selection(**selected)
    if pods == Selection() and not naming:
        return None
    if naming and not (interfaces or pods.chooses):
        if pods.point is None:
            # Like Antrea's default for capturePoint.
            at_source = any(rule.source.pod for rule in naming)
            pods = replace(pods, point=PodEnd.SOURCE if at_source else PodEnd.DESTINATION)
        _check_ends(rules, pods.point)
    for name in ("wait", "sockets", "listed"):
        if getattr(pods, name) and not (naming or pods.asks_runtime):
            option = {"sockets": "cri-socket", "listed": "pods-file"}.get(name, name)
            raise SpecError(f"{option} is for pods, but none is selected; name one with --pod (see `bicap pods`)")
    return pods


def _check_ends(rules: tuple[Rule, ...], point: PodEnd | None) -> None:
    for number, rule in enumerate(rules, start=1):
        ends = {PodEnd.SOURCE: rule.source.pod, PodEnd.DESTINATION: rule.destination.pod}
        if rule.names_pods and point in ends and ends[point] is None:
            raise SpecError(
                f"rule {number} ({rule}) names a pod, but not as its {point.value}, where the capture is; "
                "give --point both, or say where with --pod"
            )
