"""What a command imports before it needs it: a list of modules, because times depend on the machine."""

import subprocess
import sys
from pathlib import Path

import pytest

import capture
from testbed.patience import PATIENCE
from testbed.tool import BICAP

HEAVY = {"numba", "llvmlite", "numpy", "bcc", "pyroute2", "rich"}


def modules(code: str, env: dict[str, str] | None = None) -> set[str]:
    """The modules that a Python process has when it ends."""
    report = "import atexit, sys\natexit.register(lambda: print(*sys.modules, sep='\\n', file=sys.stderr))\n"
    done = subprocess.run(
        [sys.executable, "-c", report + code], capture_output=True, text=True, check=False, timeout=PATIENCE, env=env
    )
    assert "Traceback" not in done.stderr, done.stderr
    return set(done.stderr.splitlines())


def imported(code: str) -> set[str]:
    """The same, packages by their first name except our own."""
    return {module if module.startswith("capture.") else module.partition(".")[0] for module in modules(code)}


COMMANDS = [
    ["--help"],
    ["--version"],
    ["capture", "--help"],
    ["capture"],
    ["capture", "-i", "x", "-s", "5"],
    ["plan", "--help"],
    ["plan", "-i", "x", "-s", "5"],
]


@pytest.mark.slow
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_what_captures_nothing_imports_nothing_heavy(words: list[str]) -> None:
    found = imported(
        f"import runpy; sys.argv = ['bicap', *{words!r}]; runpy.run_path({BICAP!r}, run_name='__main__')"
    )
    assert "capture.cli.main" in found
    assert ("capture.cli.capture" in found) == ("capture" in words)
    assert not found & HEAVY


def test_the_list_of_commands_needs_nothing_of_a_request() -> None:
    found = imported(f"import runpy; sys.argv = ['bicap', '--help']; runpy.run_path({BICAP!r}, run_name='__main__')")
    assert "click" in found
    assert not found & {"msgspec", "yaml"}
    assert not {module for module in found if module.startswith("capture.request")}


def test_the_package_alone_imports_no_part_of_itself() -> None:
    found = imported("import capture")
    assert "capture" in found
    assert not {module for module in found if module.startswith("capture.")}
    assert not found & HEAVY


def test_a_spec_needs_no_heavy_module() -> None:
    found = imported("from capture import CaptureSpec, Direction; CaptureSpec(interfaces=('eth0',))")
    assert "capture.spec" in found
    assert not found & HEAVY


@pytest.mark.slow
def test_a_heavy_module_would_be_seen() -> None:
    assert {"numpy", "numba"} <= imported("from capture import Capture")


@pytest.mark.slow
def test_what_is_kept_is_loaded_without_the_tables_of_the_compiler(tmp_path: Path) -> None:
    tables = "numba.np.random.generator_core"  # numba imports it when its compiler fills its tables
    load = "from capture.stream.compiled import portions; portions.compiled()"
    first, second = (modules(load, {"NUMBA_CACHE_DIR": str(tmp_path)}) for _ in range(2))
    assert tables in first
    assert "numba" in second
    assert tables not in second
    runtime = "; from numba.core.runtime import rtsys; assert not rtsys._init, 'Traceback'"
    assert "numba" in modules(load + runtime, {"NUMBA_CACHE_DIR": str(tmp_path)})


@pytest.mark.slow
def test_parts_of_pyroute2_are_imported_alone_and_the_whole_is_there_for_others() -> None:
    code = "from capture.kernel.netlink import IPRoute; "
    alone = modules(code)
    assert "pyroute2.iproute.linux" in alone
    assert not {"pyroute2", "pyroute2.ndb.main"} & alone
    whole = "import pyroute2; assert pyroute2.IPRoute is IPRoute; assert pyroute2.NDB"
    assert "pyroute2.ndb.main" in modules(code + whole)
    assert "pyroute2.ndb.main" in modules("import pyroute2; " + code + whole)


def test_all_of_pyroute2_is_imported_if_its_parts_need_it(tmp_path: Path) -> None:
    fake = tmp_path / "pyroute2"
    for module in ("iproute/linux", "netlink/exceptions", "netlink/rtnl/ifaddrmsg", "netlink/rtnl/ifinfmsg"):
        file = fake / f"{module}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("from pyroute2 import needed\nIPRoute = NetlinkError = ifaddrmsg = ifinfmsg = needed\n")
    (fake / "__init__.py").write_text("needed = 1\n")
    found = modules(f"sys.path.insert(0, {str(tmp_path)!r}); from capture.kernel.netlink import IPRoute")
    assert {"pyroute2", "pyroute2.iproute.linux"} <= found


def test_every_name_of_the_api_is_there_and_no_other() -> None:
    assert {name for name in dir(capture) if name[0].isupper()} <= set(capture.__all__) | {"TYPE_CHECKING", "Any"}
    for name in capture.__all__:
        assert getattr(capture, name) is not None
    assert capture.errors.SpecError.exit_code == 2
    with pytest.raises(AttributeError, match="module 'capture' has no attribute 'Sesion'"):
        _ = capture.Sesion
