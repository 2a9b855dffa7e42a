"""Files as a capture leaves them, uploaded by the code of `bicap capture --store`, without a capture."""

import hashlib
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from capture.storage import StoreOptions
from capture.store.capture_upload import CaptureUpload, capture_folder
from capture.store_url import parse_store_url


class EndedCapture:
    """Files of these sizes, and their FILE.json, on their way into a store."""

    def __init__(self, folder: Path, sizes: Sequence[int]) -> None:
        folder.mkdir()
        self.output, self.files = folder / "web.pcapng", []
        for number, size in enumerate(sizes, start=1):
            file = folder / f"web_{number:05d}_20261130120000.pcapng"
            file.write_bytes(random.Random(size + number).randbytes(size))
            self.files.append(file)
        self.given_up = threading.Event()
        self.troubles: list[str] = []
        self.upload: CaptureUpload

    def into(
        self,
        url: str,
        credentials: Path | None = None,
        known_hosts: Path | None = None,
        retry: float = 60.0,
        delete: bool = False,
    ) -> Self:
        """Choose the store."""
        options = StoreOptions(
            url=parse_store_url(url),
            retry_ns=int(retry * 1e9),
            delete=delete,
            credentials=str(credentials) if credentials else None,
            known_hosts=str(known_hosts) if known_hosts else None,
        )
        self.upload = CaptureUpload(
            options, str(self.output), capture_folder("node-a", str(self.output), time.time())
        )
        return self

    def run(self, on_progress: Callable[[], None] = lambda: None) -> Self:
        """Start the uploader, and let it upload all; as the command does when the capture has ended."""
        self.upload.start()
        return self.complete(on_progress)

    def complete(self, on_progress: Callable[[], None] = lambda: None) -> Self:
        """Upload all with an uploader that has started."""

        def progress() -> None:
            trouble = self.upload.uploads.trouble
            if trouble is not None and (not self.troubles or self.troubles[-1] != trouble.reason):
                self.troubles.append(trouble.reason)
            on_progress()

        try:
            self.upload.finished(map(str, self.files))
            self.upload.complete({"complete": True}, self._write_summary, self.given_up.is_set, progress)
        finally:
            self.upload.close()
        return self

    def _write_summary(self) -> None:
        Path(f"{self.output}.json").write_text(json.dumps(self.upload.as_json()))

    @property
    def names(self) -> list[str]:
        """Names of everything that a whole upload has, below the store's prefix."""
        last = [f"{self.output.name}.json", "manifest.json"]
        return sorted(f"{self.upload.folder}/{name}" for name in [*(file.name for file in self.files), *last])

    def check_whole(self, get: Callable[[str], bytes]) -> None:
        """Check that the store has all, and the manifest says so; `get` returns what has a name."""
        assert self.upload.committed, self.upload.line()
        manifest = json.loads(get(f"{self.upload.folder}/manifest.json"))
        assert len(manifest["files"]) == len(self.files) + 1
        for entry in manifest["files"]:
            content = get(f"{self.upload.folder}/{entry['name']}")
            assert (len(content), hashlib.sha256(content).hexdigest()) == (entry["bytes"], entry["sha256"])

    def check_kept(self) -> dict[str, Any]:
        """Check that the upload is said to be incomplete, and that unconfirmed files are here. Returns the JSON."""
        told = self.upload.as_json()
        assert not self.upload.committed
        assert self.upload.line().startswith("NOT uploaded to ")
        states = {file["name"]: file["state"] for file in told["files"]}
        for file in self.files:
            assert states[file.name] == "confirmed" or file.exists()
        return told
