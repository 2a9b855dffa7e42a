"""A filter that is too large for a program is an error in one line with a remedy; the process never ends."""

import dataclasses

import pytest

from capture.errors import CompileError, VerifierError
from capture.filters.filter_h import FilterProgram, filter_program
from capture.filters.ruletext import RuleText
from capture.kernel.compiler import compile_programs
from capture.kernel.counters import possible_cpus
from capture.kernel.program import Module
from tests.kernel.harness import EVERYTHING, Programs


def program_with(body: str) -> FilterProgram:
    """Return a rule's program with `body` in place of its comparisons."""
    rules = filter_program([RuleText(source="10.0.0.1").rule()])
    function = "static __always_inline u32 match_rules(CONTEXT *ctx, const struct tuple *tuple, u32 detail)"
    header = f"#define WANTED (FORWARD | REVERSE)\n{function} {{\n{body}\n}}\n"
    return dataclasses.replace(rules, header=header + f"/* {'as long as many rules ' * 4000} */")


def test_a_filter_for_which_llvm_ends_its_process_is_refused() -> None:
    body = "    u64 big[90];\n    for (int i = 0; i < 90; i++) { big[i] = tuple->low.low * i; opaque(big[i]); }\n"
    body += "    u64 sum = 0;\n    for (int i = 0; i < 90; i++) { sum += big[(i * 7 + tuple->low.port) % 90]; }\n"
    with pytest.raises(CompileError, match="BPF stack limit") as caught:
        Programs(program_with(body + "    return sum;"))
    assert "\n" not in str(caught.value)


def test_a_filter_with_too_many_steps_for_the_verifier_is_refused() -> None:
    body = "    u32 sum = 0;\n    for (u32 i = 0; i < 400000; i++) { sum ^= i; opaque(sum); }\n    return sum;"
    sizes = {
        "SNAPLEN": 64,
        "ROWS": 2,
        "CPUS": possible_cpus(),
        "BATCHING": 1,
        "RING_BYTES": 1 << 20,
        "OVERFLOW_BYTES": 0,
    }
    module = Module(compile_programs(program_with(body), EVERYTHING, sizes))
    try:
        with pytest.raises(VerifierError, match=r"too large.*ask for less, or give exact conversations") as caught:
            module.load("from_pod", 0)
    finally:
        module.close()
    assert caught.value.log


def test_rules_by_the_hundred_and_long_expressions_load() -> None:
    rules = [RuleText(source=f"10.1.{n}.0/24", destination=f":{1000 + n}").rule() for n in range(100)]
    with Programs(filter_program(rules, inner=True)):
        pass
