"""Classic BPF -> C that accepts the same packets as libpcap's bpf_filter(), instruction by instruction.

A load beyond the end of the packet rejects the packet; so does a division by zero. Jumps go forward, except those of
`protochain`, whose loop is bounded here, because the kernel's verifier needs a bound.
"""

from collections.abc import Callable, Iterator, Sequence

from capture.errors import FilterError
from capture.filters.libpcap import Instruction

LOOPS_MAX = 6
"""Most headers that `protochain` follows; the verifier's work grows with a power of this number."""

# Fields of an instruction's code: include/uapi/linux/bpf_common.h.
_LD, _LDX, _ST, _STX, _ALU, _JMP, _RET, _MISC = range(8)
_SIZES = {0x00: 4, 0x08: 2, 0x10: 1}
_IMM, _ABS, _IND, _MEM, _LEN, _MSH = 0x00, 0x20, 0x40, 0x60, 0x80, 0xA0
_OPERATORS = {
    0x00: "+",
    0x10: "-",
    0x20: "*",
    0x30: "/",
    0x40: "|",
    0x50: "&",
    0x60: "<<",
    0x70: ">>",
    0x90: "%",
    0xA0: "^",
}
_NEGATE, _DIVIDE, _MODULO, _LEFT, _RIGHT = 0x80, 0x30, 0x90, 0x60, 0x70
_JA, _RELATIONS = 0x00, {0x10: "A == {0}", 0x20: "A > {0}", 0x30: "A >= {0}", 0x40: "A & {0}"}
_X, _A, _TXA = 0x08, 0x10, 0x80
_ANCILLARY = 0xFFFFF000  # SKF_AD_OFF: properties that are not bytes of the packet, for `inbound` and `outbound`


def c_function(name: str, program: Sequence[Instruction], text: str) -> str:
    """Return a C function that is true for the packets that `program` accepts; `text` is its expression."""
    targets = {target for at, step in enumerate(program) for target in _targets(at, step)}
    used = {
        step.k
        for step in program
        if step.code & 7 in (_ST, _STX) or (step.code & 7 in (_LD, _LDX) and _mode(step) == _MEM)
    }
    loops = {target for at, step in enumerate(program) for target in _targets(at, step) if target <= at}
    lines = ["u32 A = 0, X = 0;", *(f"u32 M{k} = 0;" for k in sorted(used))]
    lines += [f"u32 loops{target} = 0;" for target in sorted(loops)]
    for at, step in enumerate(program):
        if at in targets:
            lines.append(f"L{at}:;")
        if any(target <= at for target in _targets(at, step)):
            # Make all iterations look alike to the verifier, or it would follow every combination of header lengths.
            names = ["A", "X", *(f"M{k}" for k in sorted(used))]
            lines += [f"{name} ^= unknown_zero(ctx); opaque({name});" for name in names]
        lines += _statement(at, step)
    body = "\n".join("    " + line for line in lines)
    return (
        f"/* {text.replace('*/', '* /')} */\n"
        f"static __always_inline bool {name}(CONTEXT *ctx, const u8 *head, u32 length) {{\n{body}\n}}\n"
    )


def _mode(step: Instruction) -> int:
    return step.code & 0xE0


def _targets(at: int, step: Instruction) -> Iterator[int]:
    if step.code & 7 != _JMP:
        return
    if step.code & 0xF0 == _JA:
        yield at + 1 + (step.k if step.k < 1 << 31 else step.k - (1 << 32))
    else:
        yield at + 1 + step.jt
        yield at + 1 + step.jf


def _statement(at: int, step: Instruction) -> list[str]:
    kinds: dict[int, Callable[[int, Instruction], list[str]]] = {
        _LD: lambda _, step: _load("A", step),
        _LDX: lambda _, step: _load("X", step),
        _ST: lambda _, step: [f"M{step.k} = A;"],
        _STX: lambda _, step: [f"M{step.k} = X;"],
        _ALU: lambda _, step: _compute(step),
        _JMP: _jump,
        _RET: lambda _, step: [f"return {'A != 0' if step.code & 0x18 == _A else str(step.k != 0).lower()};"],
        _MISC: lambda _, step: ["A = X;" if step.code & 0xF8 == _TXA else "X = A;"],
    }
    return kinds[step.code & 7](at, step)


def _load(register: str, step: Instruction) -> list[str]:
    mode, size = _mode(step), _SIZES.get(step.code & 0x18, 4)
    if mode == _IMM:
        return [f"{register} = {step.k}u;"]
    if mode == _MEM:
        return [f"{register} = M{step.k};"]
    if mode == _LEN:
        return [f"{register} = length;"]
    if mode == _MSH:
        return [f"if (!read(ctx, head, length, {step.k}u, 1, &X))", "    return false;", "X = (X & 0xf) << 2;"]
    if step.k >= _ANCILLARY:
        raise FilterError("inbound and outbound are not supported in an expression; use --direction")
    offset = f"{step.k}u" if mode == _ABS else f"(u64)X + {step.k}u"
    return [f"if (!read(ctx, head, length, {offset}, {size}, &{register}))", "    return false;"]


def _compute(step: Instruction) -> list[str]:
    operation, by_x = step.code & 0xF0, step.code & _X
    operand = "X" if by_x else f"{step.k}u"
    if operation == _NEGATE:
        return ["A = -A;"]
    if by_x and operation in (_DIVIDE, _MODULO):
        return ["if (X == 0)", "    return false;", f"A = A {_OPERATORS[operation]} X;"]
    if by_x and operation in (_LEFT, _RIGHT):
        return [f"A = X < 32 ? A {_OPERATORS[operation]} X : 0;"]
    return [f"A = A {_OPERATORS[operation]} {operand};"]


def _jump(at: int, step: Instruction) -> list[str]:
    then, *otherwise = _targets(at, step)
    if not otherwise:
        bound = [] if then > at else [f"if (++loops{then} > {LOOPS_MAX})", "    return false;"]
        return [*bound, f"goto L{then};"]
    condition = _RELATIONS[step.code & 0xF0].format("X" if step.code & _X else f"{step.k}u")
    return [f"if ({condition})", f"    goto L{then};", f"goto L{otherwise[0]};"]
