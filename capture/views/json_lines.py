"""Columns of the same length -> JSON, one object per line."""

import json
from collections.abc import Mapping, Sequence
from typing import Any


def json_lines(columns: Mapping[str, Sequence[Any]]) -> str:
    """Return the rows of these columns as JSON objects, without a line feed at the end."""
    return "\n".join(json.dumps(dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True))
