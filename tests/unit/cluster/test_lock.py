"""The packages of the image are pinned by hashes, and fit what pyproject.toml asks for; no index is named."""

import re

import pytest
from packaging.requirements import Requirement

from scripts.lock_image import LOCKS, NOT_FOR_CONTROLLER, name_of, wanted

_LINE = re.compile(r"([a-z0-9-]+)==(\S+) --hash=sha256:[0-9a-f]{64}")


def locked(target: str) -> dict[str, str]:
    lines = (LOCKS / f"{target}.txt").read_text().splitlines()[1:]
    return {match[1]: match[2] for line in lines if (match := _LINE.fullmatch(line)) is not None or pytest.fail(line)}


@pytest.mark.parametrize("target", ["agent", "controller"])
def test_a_lock_has_what_the_project_asks_for(target: str) -> None:
    versions = locked(target)
    for text in wanted()[target]:
        requirement = Requirement(text)
        assert versions[name_of(text)] in requirement.specifier, f"{text}: run make lock"


def test_the_controller_has_the_versions_of_the_agent_and_nothing_of_a_node() -> None:
    assert locked("controller").items() <= locked("agent").items()
    assert locked("controller").keys() & (NOT_FOR_CONTROLLER | {"llvmlite"}) == set()
