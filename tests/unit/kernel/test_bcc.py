"""The version of LLVM is read from the name of its library, and a bcc that is too old is refused in one line."""

import sys
from types import SimpleNamespace

import pytest

from capture.errors import MissingBccError
from capture.kernel import compiler
from capture.kernel.llvm import loaded_llvm

LIBRARIES = [
    ("Debian 11", "/usr/lib/x86_64-linux-gnu/libLLVM-11.so.1", "11"),
    ("Debian 13", "/usr/lib/x86_64-linux-gnu/libLLVM.so.19.1", "19"),
    ("Fedora 37", "/usr/lib64/libLLVM-15.so", "15"),
    ("a version with a point", "/usr/lib/libLLVM-14.0.6.so", "14"),
    ("numba's, which bcc does not use", "/site-packages/llvmlite/binding/libllvmlite.so", ""),
]


@pytest.mark.parametrize(("what", "path", "version"), LIBRARIES, ids=[case[0] for case in LIBRARIES])
def test_the_version_of_llvm_is_read_from_the_name_of_its_library(what: str, path: str, version: str) -> None:
    line = "7f2d1c000000-7f2d1c021000 r-xp 00000000 fe:00 1234   {}\n"
    assert loaded_llvm([line.format("/usr/lib/libc.so.6"), line.format(path)]) == version


def test_a_bcc_that_lacks_a_needed_function_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    library = SimpleNamespace(bpf_num_tables=1, bpf_function_start=1, bpf_function_size=1)
    old = SimpleNamespace(BPF=1, libbcc=SimpleNamespace(lib=library))
    monkeypatch.setitem(sys.modules, "bcc", old)
    with pytest.raises(MissingBccError, match=r"too old: its library has no bpf_table_name; use bcc 0\.18"):
        compiler.import_bcc()
