"""`namespace/name` -> the name of a pod, checked by Kubernetes' rules."""

import re
from dataclasses import dataclass

from capture.errors import SpecError

DEFAULT_NAMESPACE = "default"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""A label of RFC 1123: the name of a namespace, and each part of a pod's name."""
_NAME_MAX = 253


@dataclass(frozen=True, slots=True, order=True)
class PodName:
    """The name of a pod; a pod that is deleted and made anew has the same."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_pod_name(text: str, field: str, namespace: str = DEFAULT_NAMESPACE) -> PodName:
    """Turn `NAMESPACE/NAME` or `NAME` into a PodName. Raises SpecError."""
    before, slash, name = text.rpartition("/")
    namespace = check_namespace(before if slash else namespace, f"{field} {text!r}:")
    if len(name) > _NAME_MAX or not all(_LABEL.fullmatch(part) for part in name.split(".")):
        raise SpecError(f"{field} {text!r}: {name!r} is not a pod name; write NAMESPACE/NAME, like shop/web-0")
    return PodName(namespace, name)


def check_namespace(text: str, field: str) -> str:
    """Return the name of a Kubernetes namespace unchanged. Raises SpecError if it is not valid."""
    if not _LABEL.fullmatch(text):
        raise SpecError(f"{field} {text!r} is not a namespace name: lower-case letters, digits and '-'")
    return text
