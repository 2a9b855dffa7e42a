"""The user's request as frozen values, without kernel terms; the machine is not read.

Equal specs are the same request. The constructor checks all fields and raises a SpecError that names the wrong one.
"""

from dataclasses import dataclass
from enum import Enum

from capture.errors import SpecError
from capture.filters.conversations import ConversationList
from capture.filters.expression import Expression
from capture.filters.podname import PodName
from capture.filters.rule import Rule
from capture.recording import RecordingSpec
from capture.sampling.levels import OnPressure
from capture.sampling.sampler import Sampling
from capture.selection.selection import PodEnd, Selection
from capture.storage import Storage
from capture.units import format_size
from capture.wire.direction import Direction

SNAPLEN_MAX = 262_144
"""Bytes of one packet that every reader of pcapng accepts; also the default."""
SNAPLEN_MIN = 18
"""Bytes of an Ethernet header with its VLAN tag."""
MAX_BYTES_MIN = 4096
BUFFER_DEFAULT = 64 << 20
RING_NEEDS = "a recorder's ring of files (-w) needs -C, the size of a file, and -W, the number of files that are kept"


class Hook(Enum):
    """Attachment points of programs: tcx links (Linux 6.6), filters of a clsact qdisc, XDP for received packets."""

    AUTO = "auto"
    TCX = "tcx"
    CLSACT = "clsact"
    XDP = "xdp"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureSpec:
    """A requested capture. Sizes are bytes, times nanoseconds (since 1970 for `_at`); None is no limit.

    Where: on `interfaces` of `netns`, and on the interfaces of `pods`; `netns` is also the namespace of their node.
    Which packets match: those that fit any of `rules` or `conversations`, or those that fit `expression`; with none
    of the three, every packet. `inner` also matches the content of tunnels, `icmp_errors` also errors about a
    conversation. `sampling` chooses which matching packets are kept. The limit that is reached first ends the
    capture; `max_bytes` counts all files, before compression. `on_pressure` lists the measures taken while rings
    fill, in order. With `recording` packets are kept until a trigger, in memory or in a ring of files (capture.live).
    `reasons` records why the kernel drops packets of these conversations, and why it resets them.
    """

    interfaces: tuple[str, ...] = ()
    pods: Selection | None = None
    netns: str | None = None
    rules: tuple[Rule, ...] = ()
    conversations: ConversationList | None = None
    expression: Expression | None = None
    direction: Direction = Direction.BOTH
    inner: bool = False
    icmp_errors: bool = True
    snaplen: int = SNAPLEN_MAX
    sampling: Sampling = Sampling()  # noqa: RUF009 - frozen
    count: int | None = None
    count_forward: int | None = None
    count_reverse: int | None = None
    max_bytes: int | None = None
    duration_ns: int | None = None
    start_at_ns: int | None = None
    stop_at_ns: int | None = None
    storage: Storage = Storage()  # noqa: RUF009 - frozen
    on_pressure: tuple[OnPressure, ...] = ()
    buffer_bytes: int = BUFFER_DEFAULT
    hook: Hook = Hook.AUTO
    recording: RecordingSpec | None = None
    reasons: bool = False

    def __post_init__(self) -> None:
        if not self.interfaces and self.pods is None:
            raise SpecError(
                "no interface given; name one with -i (`ip -br link` lists them), or pods with --pod, --selector, "
                "--all-pods (`bicap pods` lists them)"
            )
        repeated = {name for name in self.interfaces if self.interfaces.count(name) > 1}
        if repeated:
            raise SpecError(f"interface {repeated.pop()} is given twice")
        if not SNAPLEN_MIN <= self.snaplen <= SNAPLEN_MAX:
            raise SpecError(f"snaplen {self.snaplen} is not from {SNAPLEN_MIN} to {SNAPLEN_MAX}")
        self._check_limits()
        self._check_matching()
        self._check_pods()
        self._check_ring()

    def _check_limits(self) -> None:
        for name in ("count", "count_forward", "count_reverse"):
            limit = getattr(self, name)
            if limit is not None and limit < 1:
                raise SpecError(f"{name.replace('_', '-')} {limit} is not at least 1")
        for way, limit in ((Direction.FORWARD, self.count_forward), (Direction.REVERSE, self.count_reverse)):
            if limit and self.direction not in (way, Direction.BOTH):
                raise SpecError(
                    f"count-{way.value} is never reached: only {self.direction.value} packets are captured"
                )
        if self.max_bytes is not None and self.max_bytes < MAX_BYTES_MIN:
            raise SpecError(f"max-bytes {self.max_bytes} is less than a file without packets has ({MAX_BYTES_MIN})")
        if self.duration_ns is not None and self.duration_ns <= 0:
            raise SpecError("duration is not longer than 0")
        if self.start_at_ns is not None and self.stop_at_ns is not None and self.stop_at_ns <= self.start_at_ns:
            raise SpecError("stop-at is not after start-at")
        if self.inner and (self.sampling.headers_only or OnPressure.TRUNCATE in self.on_pressure):
            raise SpecError(
                "inner keeps whole packets; it does not combine with headers-only or on-pressure truncate"
            )

    def _check_matching(self) -> None:
        if self.expression and (self.rules or self.conversations):
            raise SpecError("rules and a tcpdump expression do not combine; write the rules into the expression")
        if self.expression and self.inner:
            raise SpecError("inner is for rules; an expression reaches into tunnels itself (vxlan, geneve, mpls)")
        if self.direction is Direction.BOTH:
            numbers = {rule: number for number, rule in enumerate(self.rules, start=1)}
            for number, rule in enumerate(self.rules, start=1):
                other = numbers.get(rule.mirror, number)
                if other < number:
                    raise SpecError(
                        f"rule {number} ({rule}) is the reverse of rule {other}, which finds both directions; "
                        "leave one of them out"
                    )

    @property
    def in_memory(self) -> bool:
        """True if packets are kept in memory until a trigger."""
        return self.recording is not None and not self.storage.rotates

    def _check_ring(self) -> None:
        storage = self.storage
        if self.recording is None or not storage.rotates:
            return
        if storage.file_bytes is None or storage.files_kept is None:
            raise SpecError(RING_NEEDS)
        if self.recording.size < 2 * storage.file_bytes:
            raise SpecError(
                f"incidents-size {format_size(self.recording.size)} has no room for two files of "
                f"{format_size(storage.file_bytes)} (-C)"
            )

    @property
    def follows(self) -> bool:
        """True if interfaces may be added and deleted, and addresses of pods may change, while the capture runs."""
        return bool((self.pods and self.pods.asks_runtime) or any(rule.names_pods for rule in self.rules))

    @property
    def ends(self) -> frozenset[PodName]:
        """The pods at whose interfaces the conversations of the rules are captured."""
        point = self.pods.point if self.pods else None
        sides = {
            PodEnd.SOURCE: ("source",),
            PodEnd.DESTINATION: ("destination",),
            PodEnd.BOTH: ("source", "destination"),
        }
        named = (getattr(rule, side).pod for rule in self.rules for side in (sides[point] if point else ()))
        return frozenset(pod for pod in named if pod is not None)

    def _check_pods(self) -> None:
        point = self.pods.point if self.pods else None
        for side in ("source", "destination"):
            named = any(getattr(rule, side).pod for rule in self.rules)
            if point and point.value in (side, "both") and not named:
                raise SpecError(f"point {point.value} needs a rule whose {side} is a pod, like shop/web-0")
