"""Lines of results -> a file of JSON lines, and back."""

import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from capture.benchmark.results import Line


def save(lines: Iterable[Line], path: str) -> None:
    """Append them to a file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.writelines(json.dumps(asdict(line)) + "\n" for line in lines)


def read(path: str) -> list[Line]:
    """The lines of a file; of the same load and tool, the last."""
    lines = [Line(**json.loads(text)) for text in Path(path).read_text().splitlines()]
    return list({(line.load, line.tool): line for line in lines}.values())


def as_line(**values: object) -> str:
    """The values as a JSON line."""
    return json.dumps(values)
