"""What every tier shares: kernel tests are skipped with a reason, or fail where that must not happen.

Where workers run the tests side by side (pytest-xdist), each has namespaces of its own and looks for leaks in them.
"""

import os
import socket
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from capture.kernel.features import held_capabilities
from testbed.isolation import isolate, own_mounts

FIXED_SEED = 1
SEED = int(os.environ.get("BICAP_SEED") or FIXED_SEED)
CASES = int(os.environ.get("BICAP_CASES") or 100)
"""Random programs that the differential tests compile; each sees 500 packets."""

# No database: a checkout may be read-only to the tests; a failure prints what reproduces it. Nothing depends on the
# machine's speed, nor on chance, unless a seed is asked for: tests/explore.py asks.
settings.register_profile(
    "bicap",
    database=None,
    deadline=None,
    derandomize=SEED == FIXED_SEED,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("quick", settings.get_profile("bicap"), max_examples=10)
settings.load_profile("bicap")

REQUIRE_KERNEL = os.environ.get("BICAP_REQUIRE_KERNEL") == "1"


def pytest_report_header() -> str:
    return f"random tests: BICAP_SEED={SEED} BICAP_CASES={CASES}"


_REFUSAL = pytest.StashKey[str | None]()


def _kernel_refusal() -> str | None:
    """Why tests of the kernel cannot run here; None if they can, and then in namespaces of their own."""
    if os.geteuid() != 0:
        return "needs root (run as root, or set BICAP_REQUIRE_KERNEL=1 to make this a failure)"
    if not Path("/sys/kernel/btf/vmlinux").exists():
        return "needs a kernel with BPF and BTF"
    try:
        isolate()
    except (OSError, subprocess.CalledProcessError) as error:
        return f"needs CAP_SYS_ADMIN, to make network and mount namespaces of its own: {error}"
    return None


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("numprocesses", None) and not hasattr(config, "workerinput"):
        return  # its workers run the tests
    config.stash[_REFUSAL] = _kernel_refusal()


@pytest.hookimpl(optionalhook=True)  # emulated machines have no pytest-xdist
def pytest_xdist_auto_num_workers() -> int:
    """Half as many again as CPUs: tests of captures wait for packets and for ends half of the time."""
    cpus = len(os.sched_getaffinity(0))
    return cpus + max(1, cpus // 2)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in ("kernel", "e2e", "pods", "store"):
            item.add_marker(pytest.mark.kernel)
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker(pytest.mark.random)


def pytest_runtest_setup(item: pytest.Item) -> None:
    refusal = item.config.stash[_REFUSAL] if item.get_closest_marker("kernel") else None
    if refusal:
        (pytest.fail if REQUIRE_KERNEL else pytest.skip)(refusal)


def leftovers() -> dict[str, str]:
    """Everything a kernel test could leave behind, a line by what tells it; all of it is this run's: isolation.py."""
    qdiscs = subprocess.run(["tc", "qdisc"], capture_output=True, text=True, check=True).stdout.splitlines()
    lines = (
        [f"netns {name}" for name in os.listdir("/run/netns")]
        + [f"link {name}" for _, name in socket.if_nameindex()]
        + [f"qdisc {line}" for line in qdiscs if "clsact" in line]
        + [f"program fd {fd}" for fd in _bpf_descriptors()]
        + [f"privileges {sorted(held_capabilities())}"]  # of this process: a test must not have given them up
    )
    return {line: line for line in lines} | {f"mount {one}": f"mount {place}" for one, place in own_mounts().items()}


def _bpf_descriptors() -> Iterator[str]:
    for fd in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(fd)
        except FileNotFoundError:
            continue
        if "bpf" in target or "perf_event" in target:
            yield f"{fd.name} {target}"


@pytest.fixture(autouse=True)
def _leaks(request: pytest.FixtureRequest) -> Iterator[None]:
    if request.node.get_closest_marker("kernel") is None or os.geteuid() != 0:
        yield
        return
    before = leftovers()
    yield
    left = sorted(line for what, line in leftovers().items() if what not in before)
    assert not left, f"the test left behind: {left}"


@pytest.fixture
def unique() -> str:
    """A short name that no other test run uses."""
    return uuid.uuid4().hex[:6]
