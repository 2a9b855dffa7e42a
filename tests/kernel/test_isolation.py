"""Tests side by side: each process that runs them is alone with what it makes."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.conftest import leftovers


@pytest.mark.parametrize("kind", ["net", "mnt"])
def test_who_started_the_tests_is_in_other_namespaces(kind: str) -> None:
    assert os.readlink(f"/proc/self/ns/{kind}") != os.readlink(f"/proc/{os.getppid()}/ns/{kind}")


def test_a_leak_is_seen_by_who_made_it_and_by_nobody_else(unique: str) -> None:
    before = leftovers()
    subprocess.run(["unshare", "--net", "--mount", "ip", "link", "add", unique, "type", "veth"], check=True)
    assert leftovers() == before
    subprocess.run(["ip", "netns", "add", unique], check=True)
    seen = {line for what, line in leftovers().items() if what not in before}
    subprocess.run(["ip", "netns", "del", unique], check=True)
    assert seen >= {f"netns {unique}", f"mount /run/netns/{unique}"}
    assert not Path("/run/netns", unique).exists()
