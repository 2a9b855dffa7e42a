"""Classic BPF -> C that decides the same of a packet, load by load, as libpcap's bpf_filter() does.

A load that goes beyond the packet rejects it; so does a division by zero. Jumps go forward, but for those of
`protochain`, whose loop is bounded here, as the kernel's verifier wants.
"""

from collections.abc import Callable, Iterator, Sequence

from capture.errors import FilterError
from capture.filters.libpcap import Instruction

LOOPS_MAX = 6
"""So many headers `protochain` follows; the verifier's work grows with a power of it."""

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
_ANCILLARY = 0xFFFFF000  # SKF_AD_OFF: facts beside the packet, which `inbound` and `outbound` ask for


def c_function(name: str, program: Sequence[Instruction], text: str) -> str:
    """A C function that says whether a packet is one of those."""
    targets = {target for at, one in enumerate(program) for target in _targets(at, one)}
    used = {
        one.k
        for one in program
        if one.code & 7 in (_ST, _STX) or (one.code & 7 in (_LD, _LDX) and _mode(one) == _MEM)
    }
    loops = {target for at, one in enumerate(program) for target in _targets(at, one) if target <= at}
    lines = ["u32 A = 0, X = 0;", *(f"u32 M{k} = 0;" for k in sorted(used))]
    lines += [f"u32 loops{target} = 0;" for target in sorted(loops)]
    for at, one in enumerate(program):
        if at in targets:
            lines.append(f"L{at}:;")
        if any(target <= at for target in _targets(at, one)):
            # All iterations look alike to the verifier, which would else follow every combination of header lengths.
            names = ["A", "X", *(f"M{k}" for k in sorted(used))]
            lines += [f"{name} ^= unknown_zero(ctx); opaque({name});" for name in names]
        lines += _statement(at, one)
    body = "\n".join("    " + line for line in lines)
    return (
        f"/* {text.replace('*/', '* /')} */\n"
        f"static __always_inline bool {name}(CONTEXT *ctx, const u8 *head, u32 length) {{\n{body}\n}}\n"
    )


def _mode(one: Instruction) -> int:
    return one.code & 0xE0


def _targets(at: int, one: Instruction) -> Iterator[int]:
    if one.code & 7 != _JMP:
        return
    if one.code & 0xF0 == _JA:
        yield at + 1 + (one.k if one.k < 1 << 31 else one.k - (1 << 32))
    else:
        yield at + 1 + one.jt
        yield at + 1 + one.jf


def _statement(at: int, one: Instruction) -> list[str]:
    kinds: dict[int, Callable[[int, Instruction], list[str]]] = {
        _LD: lambda _, one: _load("A", one),
        _LDX: lambda _, one: _load("X", one),
        _ST: lambda _, one: [f"M{one.k} = A;"],
        _STX: lambda _, one: [f"M{one.k} = X;"],
        _ALU: lambda _, one: _compute(one),
        _JMP: _jump,
        _RET: lambda _, one: [f"return {'A != 0' if one.code & 0x18 == _A else str(one.k != 0).lower()};"],
        _MISC: lambda _, one: ["A = X;" if one.code & 0xF8 == _TXA else "X = A;"],
    }
    return kinds[one.code & 7](at, one)


def _load(register: str, one: Instruction) -> list[str]:
    mode, size = _mode(one), _SIZES.get(one.code & 0x18, 4)
    if mode == _IMM:
        return [f"{register} = {one.k}u;"]
    if mode == _MEM:
        return [f"{register} = M{one.k};"]
    if mode == _LEN:
        return [f"{register} = length;"]
    if mode == _MSH:
        return [f"if (!read(ctx, head, length, {one.k}u, 1, &X))", "    return false;", "X = (X & 0xf) << 2;"]
    if one.k >= _ANCILLARY:
        raise FilterError("inbound and outbound cannot be asked for in an expression; use --direction")
    offset = f"{one.k}u" if mode == _ABS else f"(u64)X + {one.k}u"
    return [f"if (!read(ctx, head, length, {offset}, {size}, &{register}))", "    return false;"]


def _compute(one: Instruction) -> list[str]:
    operation, by_x = one.code & 0xF0, one.code & _X
    operand = "X" if by_x else f"{one.k}u"
    if operation == _NEGATE:
        return ["A = -A;"]
    if by_x and operation in (_DIVIDE, _MODULO):
        return ["if (X == 0)", "    return false;", f"A = A {_OPERATORS[operation]} X;"]
    if by_x and operation in (_LEFT, _RIGHT):
        return [f"A = X < 32 ? A {_OPERATORS[operation]} X : 0;"]
    return [f"A = A {_OPERATORS[operation]} {operand};"]


def _jump(at: int, one: Instruction) -> list[str]:
    then, *otherwise = _targets(at, one)
    if not otherwise:
        bound = [] if then > at else [f"if (++loops{then} > {LOOPS_MAX})", "    return false;"]
        return [*bound, f"goto L{then};"]
    condition = _RELATIONS[one.code & 0xF0].format("X" if one.code & _X else f"{one.k}u")
    return [f"if ({condition})", f"    goto L{then};", f"goto L{otherwise[0]};"]
