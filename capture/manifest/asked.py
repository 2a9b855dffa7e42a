"""What a command line asks for, over what a file asks for -> one CaptureSpec.

The command line goes before the file where both say what can only be one thing; rules and samplers add up. Where to
capture is one thing: a choice of interfaces or pods on the command line takes the place of the file's.
"""

from dataclasses import dataclass, fields, replace
from typing import Any

from capture.errors import SpecError
from capture.filters.conversations import ConversationList
from capture.filters.expression import Expression
from capture.filters.rule import Direction, Rule
from capture.sampling.pressure import Measure
from capture.sampling.sampler import Sampler, Sampling
from capture.selection.selection import Point, Selection
from capture.spec import CaptureSpec, Hook
from capture.storage import MinFree, Storage

_ADDED_UP = ("rules", "samplers")
_WHERE = ("interfaces", "pods")
_OF_PARTS = ("pods", "sampling", "storage")
"""Fields of a CaptureSpec that are put together here; the others are taken as they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The fields of a CaptureSpec and its parts, and `output`, a path or "-"; None is not said.

    `pods` may say no more than how to find the pods that something else names (point, wait, sockets).
    """

    interfaces: tuple[str, ...] = ()
    pods: Selection | None = None
    netns: str | None = None
    rules: tuple[Rule, ...] = ()
    conversations: ConversationList | None = None
    expression: Expression | None = None
    direction: Direction | None = None
    inner: bool | None = None
    icmp_errors: bool | None = None
    samplers: tuple[Sampler, ...] = ()
    sample_seed: int | None = None
    keep_control: bool | None = None
    headers_only: bool | None = None
    snaplen: int | None = None
    on_pressure: tuple[Measure, ...] | None = None
    count: int | None = None
    count_forward: int | None = None
    count_reverse: int | None = None
    max_bytes: int | None = None
    duration_ns: int | None = None
    start_at_ns: int | None = None
    stop_at_ns: int | None = None
    buffer_bytes: int | None = None
    hook: Hook | None = None
    file_bytes: int | None = None
    file_ns: int | None = None
    files_kept: int | None = None
    compress: str | None = None
    user: str | None = None
    min_free: MinFree | None = None
    output: str | None = None

    def over(self, file: "Asked") -> "Asked":
        """This, and what it does not say from `file`."""
        both: dict[str, Any] = {name: getattr(self, name) + getattr(file, name) for name in _ADDED_UP}
        for name in (field.name for field in fields(self) if field.name not in (*_ADDED_UP, *_WHERE)):
            own = getattr(self, name)
            both[name] = getattr(file, name) if own is None else own
        interfaces, pods = self._where_over(file)
        return Asked(interfaces=interfaces, pods=pods, **both)

    def _where_over(self, file: "Asked") -> tuple[tuple[str, ...], Selection | None]:
        if self.interfaces or (self.pods and self.pods.chooses):
            return self.interfaces, self.pods
        if self.pods is None or file.pods is None:
            return file.interfaces, self.pods or file.pods
        found = replace(
            file.pods,
            point=self.pods.point or file.pods.point,
            wait=self.pods.wait or file.pods.wait,
            sockets=self.pods.sockets or file.pods.sockets,
        )
        return file.interfaces, found

    def spec(self) -> CaptureSpec:
        """The capture that is asked for. Raises SpecError."""
        names = [field.name for field in fields(CaptureSpec) if field.name not in _OF_PARTS]
        said = {name: value for name in names if (value := getattr(self, name)) is not None}
        sampling: dict[str, Any] = {"seed": self.sample_seed}
        sampling |= {"keep_control": self.keep_control, "headers_only": self.headers_only}
        return CaptureSpec(
            pods=self._pods(),
            sampling=Sampling(samplers=self.samplers, **{k: v for k, v in sampling.items() if v is not None}),
            storage=Storage(**{field.name: getattr(self, field.name) for field in fields(Storage)}),
            **said,
        )

    def _pods(self) -> Selection | None:
        """Also where rules name pods: at one end of their conversations, if nothing else says where."""
        naming = [rule for rule in self.rules if rule.names_pods]
        pods = self.pods or (Selection() if naming else None)
        if pods is None:
            return None
        if naming and not (self.interfaces or pods.chooses):
            if pods.point is None:
                # As Antrea's default for capturePoint.
                at_source = any(rule.source.pod for rule in naming)
                pods = replace(pods, point=Point.SOURCE if at_source else Point.DESTINATION)
            _check_ends(self.rules, pods.point)
        for name in ("wait", "sockets"):
            if getattr(pods, name) and not (naming or pods.asks_runtime):
                option = {"sockets": "cri-socket"}.get(name, name)
                raise SpecError(
                    f"{option} is for pods, and none is asked for; name one with --pod (see `bicap pods`)"
                )
        return pods


def _check_ends(rules: tuple[Rule, ...], point: Point | None) -> None:
    for number, rule in enumerate(rules, start=1):
        ends = {Point.SOURCE: rule.source.pod, Point.DESTINATION: rule.destination.pod}
        if rule.names_pods and point in ends and ends[point] is None:
            raise SpecError(
                f"rule {number} ({rule}) names a pod, but not as its {point.value}, where is captured; "
                "give --point both, or say where with --pod"
            )
