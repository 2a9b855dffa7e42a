"""Words for pods as people say them, like deploy/web, pod/client, svc/web or bank/pod/vault -> what they name."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from capture.errors import SpecError
from capture.filters.podname import check_namespace

_KINDS = {
    "pod": ("pod", "pods", "po"),
    "deployment": ("deployment", "deployments", "deploy"),
    "statefulset": ("statefulset", "statefulsets", "sts"),
    "daemonset": ("daemonset", "daemonsets", "ds"),
    "replicaset": ("replicaset", "replicasets", "rs"),
    "job": ("job", "jobs"),
    "service": ("service", "services", "svc"),
    "namespace": ("namespace", "namespaces", "ns"),
}
KIND_OF = {word: kind for kind, words in _KINDS.items() for word in words}
_KNOWN = ", ".join(f"{words[-1]}/NAME" for words in _KINDS.values())
_WORD = re.compile(r"(?:([a-z0-9-]+)/)?([a-z]+)/([a-z0-9][-a-z0-9.]*)(:[0-9,-]+)?")


@dataclass(frozen=True, slots=True)
class TargetWord:
    """One thing that was named: kind, name and namespace ("" for the current one), and ports of it."""

    kind: str
    name: str
    namespace: str = ""
    ports: str = ""

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


def target_word(text: str) -> TargetWord | None:
    """Return what a word names; None if it is not a target: then it may be a part of an expression."""
    found = _WORD.fullmatch(text)
    if found is None or found[2] not in KIND_OF:
        return None
    if found[1]:
        check_namespace(found[1], text)
    return TargetWord(KIND_OF[found[2]], found[3], found[1] or "", (found[4] or "")[1:])


def split_words(words: Sequence[str]) -> tuple[list[TargetWord], list[str]]:
    """Return the targets at the beginning, and the words behind them, which are a tcpdump expression."""
    targets: list[TargetWord] = []
    for number, word in enumerate(words):
        target = target_word(word)
        if target is None:
            return targets, list(words[number:])
        if target.ports:
            raise SpecError(f"{word}: ports belong to --to, or into an expression: {target} tcp port {target.ports}")
        targets.append(target)
    return targets, []


def not_a_target(word: str) -> SpecError:
    """Return the error about a word that should name a target."""
    return SpecError(f"{word!r} is not a target; write {_KNOWN}")
