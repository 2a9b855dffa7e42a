"""Rules about an object's spec, in CEL, for the CRDs: what an API server refuses before the controller sees it.

`admission.py` refuses all of this as well, because servers before Kubernetes 1.25 drop these rules. It alone decides
about texts with a grammar of their own (durations, sizes, samplers, expressions), and whether a pod is of the
object's own namespace, which a CRD's rule cannot know.

A rule walks only lists whose length has a limit (`admission.MOST_ITEMS`): the server bounds its cost by that.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from capture.cluster.admission import NOT_OF_A_RECORDER, RECORD_EMPTY, is_of_a_capture_only, refusal
from capture.request.document import Document
from capture.request.fields import WHERE, Field, fields
from capture.request.own import CLUSTER_KIND, KIND


@dataclass(frozen=True, slots=True)
class Validation:
    """A CEL expression that is true for `self`, the value at a path; [] in a path is any item of a list."""

    path: str
    rule: str
    message: str
    kinds: tuple[str, ...] = (KIND, CLUSTER_KIND)


def _given(name: str) -> str:
    """Return an expression that is true if a list has items."""
    return f"(has(self.{name}) && size(self.{name}) > 0)"


def _true(name: str) -> str:
    """Return an expression that is true if a switch is on."""
    return f"(has(self.{name}) && self.{name})"


def _any_end(side: str) -> str:
    """Return an expression that is true if a pod is this side of a rule."""
    return f"(has(self.rules) && self.rules.exists(r, has(r.{side}) && has(r.{side}.pod)))"


_CHOSEN = " || ".join(
    f"(has(self.target) && {chosen})"
    for chosen in (
        _given("target.pods"),
        _given("target.namespaces"),
        _given("target.containers"),
        "has(self.target.selector)",
        _true("target.allPods"),
    )
)
_INTERFACES = f"(has(self.target) && {_given('target.interfaces')})"
_NAMED = f"({_any_end('source')} || {_any_end('destination')})"
_POINT = "(has(self.target) && has(self.target.point))"
_AT_SOURCE = f"({_POINT} ? self.target.point == 'Source' : {_any_end('source')})"
_BOTH = f"({_POINT} && self.target.point == 'Both')"
_NAMES = "((has(r.source) && has(r.source.pod)) || (has(r.destination) && has(r.destination.pod)))"
_BACK_ONLY = "has(self.direction) && self.direction == 'DestinationToSource'"
_FORTH_ONLY = (
    "(has(self.direction) && self.direction == 'SourceToDestination') "
    "|| (has(self.bidirectional) && !self.bidirectional)"
)
_FIELDS_OF_A_RECORDER = " || ".join(
    f"has(self.record.{field.json_path[-1]})" for field in fields(Document) if field.path[0] == "record"
)
_RECORDER = f"((has(self.record) && ({_FIELDS_OF_A_RECORDER})) || {_given('triggers')})"
_NAMESPACE = "__namespace__"
"""How Kubernetes has a field `namespace`, which is a reserved word of CEL."""
_NAMESPACE_MISSING = "the namespace of a pod must be given: a ClusterPacketCapture has no namespace of its own"


def validations(kind: str) -> tuple[Validation, ...]:
    """Return the rules about a kind of objects."""
    return tuple(one for one in (*_ALL, *_refused()) if kind in one.kinds)


def _refused() -> Iterator[Validation]:
    """Make a rule for each field that objects of a cluster, or those of a namespace, do not have."""
    for field in fields(Document):
        *parents, name = field.json_path
        unset = _unset(field, name)
        if refusal(field):
            yield Validation(".".join(("spec", *parents)), unset, f"{name}: {refusal(field)}")
        if field.group == WHERE and name in ("allPods", "interfaces", "netns"):
            message = f"{name}: more than pods of a namespace; ask for a ClusterPacketCapture"
            yield Validation("spec.target", unset, message, (KIND,))
    others = [field for field in fields(Document) if is_of_a_capture_only(field)]
    names = ", ".join(".".join(field.json_path) for field in others)
    unset = " && ".join(f"({_unset_within(field)})" for field in others)
    yield Validation("spec", f"!{_RECORDER} || ({unset})", f"a recorder has none of {names}: {NOT_OF_A_RECORDER}")


def _unset_within(field: Field) -> str:
    """Return the same of a field in a part of `self`."""
    (parent, name) = field.json_path
    return f"!has(self.{parent}) || {_unset(field, f'{parent}.{name}')}"


def _unset(field: Field, name: str) -> str:
    """Return an expression that is true if a field has the value that the API server fills in, or none."""
    default = field.declared.default
    if field.is_list:
        return f"!{_given(name)}"
    if isinstance(default, bool):
        return f"!has(self.{name}) || self.{name} == {str(default).lower()}"
    if isinstance(default, str):
        return f"!has(self.{name}) || string(self.{name}) == '{default}'"
    return f"!has(self.{name})"


_ALL = (
    Validation(
        "spec",
        f"{_CHOSEN} || {_INTERFACES} || {_NAMED}",
        "spec.target chooses no pods; give pods, a selector, or rules that name pods",
    ),
    Validation(
        "spec",
        f"!has(self.expression) || !({_given('rules')} || has(self.conversations))",
        "rules and an expression do not combine; write the rules into the expression",
    ),
    Validation(
        "spec",
        f"!has(self.expression) || !{_true('inner')}",
        "inner is for rules; an expression reaches into tunnels itself (vxlan, geneve, mpls)",
    ),
    Validation(
        "spec",
        "!has(self.bidirectional) || !has(self.direction) || self.bidirectional == (self.direction == 'Both')",
        "bidirectional and direction contradict each other; give one of them",
    ),
    Validation(
        "spec",
        f"!(has(self.limits) && has(self.limits.forwardPackets) && {_BACK_ONLY})",
        "limits.forwardPackets is never reached: only packets of the other direction are captured",
    ),
    Validation(
        "spec",
        f"!(has(self.limits) && has(self.limits.reversePackets) && ({_FORTH_ONLY}))",
        "limits.reversePackets is never reached: only packets of the other direction are captured",
    ),
    Validation(
        "spec",
        f"!({_true('inner')} && has(self.sampling) && ({_true('sampling.headersOnly')} "
        "|| (has(self.sampling.onPressure) && self.sampling.onPressure.exists(m, m == 'truncate'))))",
        "inner keeps whole packets; it does not combine with headersOnly or onPressure truncate",
    ),
    Validation(
        "spec",
        f"!{_POINT} || self.target.point == 'Destination' || {_any_end('source')}",
        "target.point needs a rule whose source is a pod",
    ),
    Validation(
        "spec",
        f"!{_POINT} || self.target.point == 'Source' || {_any_end('destination')}",
        "target.point needs a rule whose destination is a pod",
    ),
    Validation(
        "spec",
        f"{_CHOSEN} || {_INTERFACES} || {_BOTH} || !has(self.rules) || "
        f"self.rules.all(r, !{_NAMES} || ({_AT_SOURCE} ? has(r.source) && has(r.source.pod) "
        ": has(r.destination) && has(r.destination.pod)))",
        "a rule names a pod, but not at the end where the capture is; give target.point Both, or target.pods",
    ),
    Validation(
        "spec",
        f"!(has(self.target) && {_true('target.wait')}) || {_CHOSEN} || {_POINT} || {_NAMED}",
        "target.wait is for pods, but none is selected",
        (CLUSTER_KIND,),
    ),
    Validation("spec", f"!has(self.record) || {_RECORDER}", RECORD_EMPTY),
    Validation(
        "spec.target",
        f"!({_given('pods')} || {_given('containers')}) || !(has(self.selector) || {_true('allPods')})",
        "name pods or containers, or select pods by their labels, not both",
    ),
    Validation(
        "spec.target",
        f"!{_given('namespaces')} || !{_given('pods')} || {_given('containers')}",
        "namespaces does not combine with pods, which are in one already; leave it out",
    ),
    Validation(
        "spec.target",
        f"!{_true('allPods')} || !{_given('namespaces')}",
        "allPods means those of all namespaces; leave it out, or namespaces",
        (CLUSTER_KIND,),
    ),
    Validation(
        "spec.target",
        "!has(self.interfaces) || self.interfaces.all(a, self.interfaces.exists_one(b, a == b))",
        "an interface is given twice",
        (CLUSTER_KIND,),
    ),
    Validation(
        "spec.target.selector",
        f"(has(self.matchLabels) && size(self.matchLabels) > 0) || {_given('matchExpressions')}",
        "the selector is empty, and selects every pod; name namespaces",
    ),
    Validation(
        "spec.target.selector.matchExpressions[]",
        f"(self.operator == 'In' || self.operator == 'NotIn') == {_given('values')}",
        "In and NotIn need values, Exists and DoesNotExist have none",
    ),
    *(
        Validation(
            f"spec.rules[].{side}",
            "(has(self.pod) ? 1 : 0) + (has(self.ip) ? 1 : 0) + (has(self.cidr) ? 1 : 0) <= 1",
            "pod, ip and cidr do not combine; give one of them",
        )
        for side in ("source", "destination")
    ),
    *(
        Validation(path, f"has(self.{_NAMESPACE})", _NAMESPACE_MISSING, (CLUSTER_KIND,))
        for path in ("spec.target.pods[]", "spec.rules[].source.pod", "spec.rules[].destination.pod")
    ),
    Validation(
        "spec.conversations",
        "!has(self.file)",
        "file: a cluster has no such file; list them in spec.conversations.tuples",
    ),
    Validation(
        "spec.conversations",
        f"has(self.file) || {_given('tuples')}",
        "conversations is empty; give tuples",
    ),
    Validation(
        "spec.sampling",
        "!has(self.onPressure) || self.onPressure.all(a, self.onPressure.exists_one(b, a == b))",
        "onPressure has a measure twice",
    ),
    Validation(
        "spec.sampling",
        "!has(self.onPressure) || !self.onPressure.exists(m, m == 'lose') || "
        "self.onPressure[size(self.onPressure) - 1] == 'lose'",
        "onPressure: lose must be the last measure",
    ),
    Validation(
        "spec.limits",
        "!has(self.startAt) || !has(self.stopAt) || self.startAt < self.stopAt",
        "stopAt is not after startAt",
    ),
    Validation(
        "spec.storage",
        "!has(self.filesKept) || has(self.fileSize) || has(self.fileTime)",
        "filesKept needs fileSize or fileTime, at which the next file begins",
    ),
)
