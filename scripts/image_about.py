"""What the images say of themselves, by target: one place for labels, user and bill of materials."""

import subprocess
import tomllib
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGETS = {"agent": "bicap", "controller": "bicap controller"}
"""Targets of deploy/Containerfile, and the titles of their images."""
NOBODY = "65532:65532"
USERS = {"agent": "", "controller": NOBODY}
"""User and group; the agent is root, with few capabilities."""


def committed(form: str) -> str:
    """Return something of the commit that the image is made of, as `git log --format` has it."""
    command = ["git", "-C", str(ROOT), "log", "-1", f"--format={form}"]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def created() -> datetime:
    """Return the time of the commit: the same commit makes the same image."""
    return datetime.fromtimestamp(int(committed("%ct")), UTC)


def labels(target: str) -> dict[str, str]:
    """Return the labels of an image."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = {
        "title": TARGETS[target],
        "description": project["description"],
        "licenses": project["license"]["text"],
        "version": project["version"],
        "revision": committed("%H"),
        "created": created().strftime("%Y-%m-%dT%H:%M:%SZ"),
        "base.name": "debian:bookworm",
    }
    return {f"org.opencontainers.image.{key}": value for key, value in found.items()}
