"""A tcpdump expression -> C that tests a packet and its mirror, and the text of both tests.

The mirror of a packet is the packet with its two ends exchanged; an answer matches an expression if its mirror does.
In most cases another expression tests the mirror (filters.mirror), and is compiled beside the first. If there is
none, the program exchanges the bytes of the packet.
"""

from dataclasses import dataclass, field

from capture.filters import cbpf, libpcap
from capture.filters.mirror import mirror_text
from capture.wire.direction import Direction
from capture.wire.protocols import ICMP, ICMP_ANSWERS, ICMPV6


@dataclass(frozen=True, slots=True)
class Expression:
    """An expression that libpcap compiled; `mirrored` is None if no expression tests the mirror."""

    source: str
    program: tuple[libpcap.Instruction, ...] = field(repr=False)
    mirrored: str | None
    mirror_program: tuple[libpcap.Instruction, ...] = field(repr=False)

    @property
    def symmetric(self) -> bool:
        """True if answers match the expression, too, so that it does not determine a direction."""
        return self.program == self.mirror_program

    def text(self, direction: Direction) -> str:
        """Return the tcpdump expression for the directions, or a remark if there is none for the mirror."""
        reverse = self.mirrored or f"[no expression says it: the packet's mirror matches {self.source!r}]"
        if self.symmetric or direction is Direction.FORWARD:
            return self.source
        return reverse if direction is Direction.REVERSE else f"({self.source}) or ({reverse})"

    def code(self, direction: Direction) -> str:
        """Return C: the function expression_directions(), and the functions that it calls."""
        forward = cbpf.c_function("expression_forward", self.program, self.source)
        call = "expression_{}(ctx, head, length) ? {} : 0"
        ways = []
        if self.symmetric:
            ways.append(call.format("forward", "FORWARD | REVERSE"))
        else:
            if direction is not Direction.REVERSE:
                ways.append(call.format("forward", "FORWARD"))
            if direction is not Direction.FORWARD and self.mirrored is not None:
                forward += cbpf.c_function("expression_reverse", self.mirror_program, self.mirrored)
                ways.append(call.format("reverse", "REVERSE"))
        lines = ["u32 directions = 0;", *(f"directions |= {way};" for way in ways)]
        if direction is not Direction.FORWARD and self.mirrored is None:
            forward = _icmp_answers() + forward
            lines += [
                "if (mirror_head(ctx, head, length))",
                f"    directions |= {call.format('forward', 'REVERSE')};",
            ]
        body = "\n".join(f"    {line}" for line in [*lines, "return directions;"])
        parameters = "CONTEXT *ctx, u8 *head, u32 length"
        return f"{forward}static __always_inline u32 expression_directions({parameters}) {{\n{body}\n}}\n"


def parse_expression(text: str) -> Expression:
    """Compile an expression and its mirror. Raises FilterError."""
    program = libpcap.compile_expression(text)
    mirrored = mirror_text(text)
    if mirrored == text:
        mirror_program = program
    else:
        mirror_program = libpcap.compile_expression(mirrored) if mirrored is not None else ()
    cbpf.c_function("checked", program, text)
    return Expression(text, program, mirrored, mirror_program)


def _icmp_answers() -> str:
    """Return C: the functions for ICMP types that answer each other, for bpf/lib/mirror.h."""

    def cases(protocol: int) -> str:
        return "".join(f"    case {kind}: return {answer};\n" for kind, answer in ICMP_ANSWERS[protocol].items())

    return "".join(
        f"static __always_inline u8 {name}(u8 type) {{\n    switch (type) {{\n{cases(protocol)}"
        "    default: return type;\n    }\n}\n"
        for name, protocol in (("icmp_answer", ICMP), ("icmpv6_answer", ICMPV6))
    )
