"""Options of `kubectl bicap capture`, and its targets -> the spec of a PacketCapture, or a ClusterPacketCapture.

The options are those of the one document that declares a capture; those that mean something on one node only, or in
an object nothing, are left out. Limits of time and size hold on each node.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from capture.cli.groups import option
from capture.cli.line import group_rules
from capture.cli.options import field_options
from capture.cluster.admission import admitted, checked_spec
from capture.errors import SpecError
from capture.filters.conversations import read_conversations
from capture.filters.rule import Rule
from capture.filters.rulewords import parse_endpoint
from capture.kubectl.chosen_pods import Resolved, pairs, target_part
from capture.kubectl.target_words import TargetWord, not_a_target, split_words, target_word
from capture.request.document import Document, as_json
from capture.request.fields import OUTPUT, RECORD, Field
from capture.request.given import document_of
from capture.request.manifest import read_file
from capture.request.naming import on_line
from capture.request.overlay import overlay
from capture.request.own import CLUSTER_KIND, KIND
from capture.request.parts import RulePart
from capture.request.rules import plain_rule

_NOT_HERE = {("target", "namespaces"), ("expression",)}
"""-n and the words behind the targets are in their place."""
Resolve = Callable[[TargetWord, str, bool], Resolved]


def is_of_a_cluster(field: Field) -> bool:
    """True if an object in a cluster can have the field."""
    declared = field.declared
    refused = declared.refused or declared.refused_in_cluster
    return not refused and field.group != RECORD and field.path not in _NOT_HERE


def request_options(command: Any) -> Any:
    """Add the options of the fields that an object in a cluster can have, and --store: there it is a name."""
    store = option(OUTPUT, "--store", "named_store", metavar="NAME", help="CaptureStore to upload to, by its name.")
    return field_options(is_of_a_cluster)(store(command))


@dataclass(frozen=True, slots=True)
class CaptureRequest:
    """A capture to create: its spec, the beginning of its name, and things that a user may not expect."""

    kind: str
    spec: dict[str, Any]
    stem: str
    remarks: tuple[str, ...] = ()


def capture_request(
    order: Sequence[str],
    options: Mapping[str, Any],
    words: Sequence[str],
    to: Sequence[str],
    namespace: str,
    cluster: bool,
    resolve: Resolve,
) -> CaptureRequest:
    """Return what to create. `resolve` gets a target, the namespace of words without
    one, and True if its pods are needed. Raises BicapError.
    """
    targets, expression = split_words(words)
    file = read_file(options["filename"]) if options.get("filename") is not None else Document()
    given = dict(options) | {"expression": tuple(expression)}
    if given.get("target_pods"):
        given["target_namespaces"] = (namespace,)
    line = document_of(given, on_line, rules=group_rules(order, options), start=file.limits.start_at)
    spec = as_json(_with_conversations(overlay(line, file)))
    ends, addresses = _other_ends(to)
    elsewhere = next((one for one in (*targets, *ends) if one.namespace not in ("", namespace)), None)
    if not cluster and (elsewhere or any(one.kind == "namespace" and one.name != namespace for one in targets)):
        raise SpecError(
            f"a PacketCapture is about pods of its own namespace, {namespace}; give -n, or --cluster for a capture "
            "across namespaces"
        )
    if options.get("named_store"):
        spec["store"] = {"name": options["named_store"]}
    between = bool(ends)
    resolved = [resolve(one, namespace, between) for one in targets]
    remarks = []
    if between:
        if not targets or expression:
            raise SpecError("--to another pod needs a target on this side, and no expression")
        rules = pairs(resolved, [resolve(one, namespace, True) for one in ends])
        spec["target"] = {"point": "Both"} | spec.get("target", {})
        if any(one.word.kind not in ("pod", "statefulset") for one in resolved):
            remarks.append("conversations are between the pods of now; those that come later are not captured")
    else:
        rules = []
        if resolved:
            spec["target"] = spec.get("target", {}) | target_part(resolved, cluster)
    if between and addresses:
        raise SpecError("--to is either pods or addresses; start two captures for both")
    rules += [_to_json(RulePart(destination=plain_rule(Rule(destination=end)).destination)) for end in addresses]
    if rules:
        if expression or spec.get("rules"):
            raise SpecError("--to makes the rules; leave --source, --destination and expressions out")
        spec["rules"] = rules
    kind = CLUSTER_KIND if cluster else KIND
    if not (spec.get("target") or spec.get("rules")):
        raise SpecError("no target is given; name one, like deploy/web or pod/client, or labels with -l")
    checked_spec(admitted(kind, "capture", "" if cluster else namespace, spec))
    return CaptureRequest(kind, spec, _stem(targets), tuple(remarks))


def _other_ends(words: Sequence[str]) -> tuple[list[TargetWord], list[Any]]:
    """Return the targets and the addresses that --to names."""
    targets, addresses = [], []
    for word in words:
        target = target_word(word)
        if target is not None:
            targets.append(target)
        elif any(letter in word for letter in ".:"):
            addresses.append(parse_endpoint(word, "--to"))
        else:
            raise not_a_target(word)
    return targets, addresses


def _with_conversations(document: Document) -> Document:
    """Return the document with the five-tuples of its file, which the cluster does not have."""
    listed = document.conversations
    if listed is None or listed.file is None:
        return document
    tuples = [str(one.rule).replace(" > ", " ") for one in read_conversations(listed.file).conversations]
    return msgspec.structs.replace(document, conversations=msgspec.structs.replace(listed, file=None, tuples=tuples))


def _to_json(rule: RulePart) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(rule)
    return plain


def _stem(targets: Sequence[TargetWord]) -> str:
    """Return the beginning of a name for the object."""
    return f"{targets[0].name[:40]}-" if targets else "capture-"
