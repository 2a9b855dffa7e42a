"""`namespace/name` -> a pod's name, as Kubernetes allows it."""

import re
from dataclasses import dataclass

from capture.errors import SpecError

DEFAULT_NAMESPACE = "default"
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
"""RFC 1123: what a namespace is, and each part of a pod's name."""
_NAME_MAX = 253


@dataclass(frozen=True, slots=True, order=True)
class PodName:
    """A pod by its name; one that is deleted and made again has the same."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def parse_pod_name(text: str, field: str, namespace: str = DEFAULT_NAMESPACE) -> PodName:
    """Turn `NAMESPACE/NAME` or `NAME` into a PodName. Raises SpecError."""
    before, slash, name = text.rpartition("/")
    namespace = check_namespace(before if slash else namespace, f"{field} {text!r}:")
    if len(name) > _NAME_MAX or not all(_LABEL.fullmatch(part) for part in name.split(".")):
        raise SpecError(f"{field} {text!r}: {name!r} is no name of a pod; write NAMESPACE/NAME, like shop/web-0")
    return PodName(namespace, name)


def check_namespace(text: str, field: str) -> str:
    """The name of a Kubernetes namespace. Raises SpecError."""
    if not _LABEL.fullmatch(text):
        raise SpecError(f"{field} {text!r} is no name of a namespace: lower-case letters, digits and '-'")
    return text
