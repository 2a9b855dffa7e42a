"""bpf/abi.h as numpy sees it and as the C compiler does."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from capture import abi
from capture.abi import parse_enums, parse_structs

HEADER = (abi.BPF_FOLDER / "abi.h").read_text()


def by_the_compiler(header: str, folder: Path) -> dict[str, int]:
    """Name -> number as gcc has it: sizeof and offsetof of all structs, and the constants of all enums."""
    structs: dict[str, Any] = {name: dtype.fields or {} for name, dtype in parse_structs(header).items()}
    asked = {f"sizeof {name}": f"sizeof(struct {name})" for name in structs}
    asked |= {f"{s}.{field}": f"offsetof(struct {s}, {field})" for s, fields in structs.items() for field in fields}
    asked |= {
        f"sizeof {s}.{field}": f"sizeof(((struct {s} *)0)->{field})"
        for s, fields in structs.items()
        for field in fields
    }
    asked |= {constant: constant for enum in parse_enums(header).values() for constant in enum}
    prints = "\n".join(f'    printf("%zu {name}\\n", (size_t)({value}));' for name, value in asked.items())
    types = "".join(f"typedef uint{bits}_t u{bits};\n" for bits in (8, 16, 32, 64))
    includes = "#include <stddef.h>\n#include <stdint.h>\n#include <stdio.h>\n"
    program = f"{includes}{types}{header}\nint main(void) {{\n{prints}\n}}\n"
    (folder / "layout.c").write_text(program)
    subprocess.run(["gcc", "-o", str(folder / "layout"), str(folder / "layout.c")], check=True)
    said = subprocess.run([str(folder / "layout")], capture_output=True, text=True, check=True).stdout
    return {name: int(number) for number, name in (line.split(" ", 1) for line in said.splitlines())}


def by_numpy(header: str) -> dict[str, int]:
    """The same as parsed here."""
    found: dict[str, int] = {}
    for name, dtype in parse_structs(header).items():
        found[f"sizeof {name}"] = dtype.itemsize
        for field, (kind, offset, *_) in (dtype.fields or {}).items():
            found[f"{name}.{field}"], found[f"sizeof {name}.{field}"] = offset, kind.itemsize
    for enum in parse_enums(header).values():
        found |= enum
    return found


AWKWARD = """
/* struct in_a_comment { u8 no; }; */
enum kind { FIRST = 1, LAST = 250 };
struct inner { u8 a; u32 b; };
struct outer { u8 a; struct inner one; u16 many[3]; u8 last; u64 wide; u8 tail; };
"""


@pytest.mark.skipif(not shutil.which("gcc"), reason="needs gcc")
@pytest.mark.parametrize("header", [HEADER, AWKWARD], ids=["abi.h", "padding, nesting and arrays"])
def test_the_compiler_lays_it_out_the_same_way(header: str, tmp_path: Path) -> None:
    ours = by_numpy(header)
    assert len(ours) > 10
    assert ours == by_the_compiler(header, tmp_path)


def test_every_struct_and_enum_of_the_header_is_found() -> None:
    structs, enums = parse_structs(HEADER), parse_enums(HEADER)
    assert HEADER.count("\nstruct ") == len(structs)
    assert HEADER.count("\nenum ") == len(enums)
    assert all(dtype.names and len(dtype.names) > 1 for dtype in structs.values())
    assert all(len(enum) > 1 for enum in enums.values())


def test_fields_have_the_width_that_the_header_says() -> None:
    fields = parse_structs(AWKWARD)["outer"].fields
    assert fields is not None
    assert fields["many"][0] == np.dtype((np.uint16, 3))
    assert fields["wide"][0] == np.uint64
    assert fields["one"][0].names == ("a", "b")


def test_blocks_lie_at_whole_words() -> None:
    assert [struct.itemsize for struct in (abi.PACKET_BLOCK, abi.PACKET_BLOCK_END)] == [28, 16]  # pcapng 4.3
    assert abi.PACKET_RUN.itemsize % 8 == 0
    assert abi.BATCH_STATE.itemsize == 64  # a cache line: CPUs must not share one
