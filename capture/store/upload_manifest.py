"""What a capture was, and its confirmed files -> the manifest, whose presence says that all of them are in the store.

It is written last. A folder of a store without one is not complete: the capture still runs, or its upload failed.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from capture.store.uploads import FileUpload

NAME = "manifest.json"
SCHEMA = 1
_KEPT = ("version", "complete", "end_reason", "started_ns", "ended_ns", "spec", "account")
"""What a manifest has from the summary of a capture."""


def manifest(about: Mapping[str, Any], files: Sequence[FileUpload]) -> bytes:
    """Return the manifest of a capture. `about` has the values of its summary that are kept."""
    content = {
        "schema": SCHEMA,
        **{name: about[name] for name in (*_KEPT, "node", "capture", "interruptions") if name in about},
        "files": [{"name": file.name, "bytes": file.bytes, "sha256": file.sha256} for file in files],
    }
    return json.dumps(content, indent=2).encode() + b"\n"
