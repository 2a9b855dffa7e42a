"""A capture on this node, and the store that its order names -> finished files in that store, and how far it is.

What opens the store comes from `store_keys.py`, and goes to the uploader by a descriptor. What is confirmed is kept
in the folder of the capture, so that an agent that starts again does not ask for it again.
"""

import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, BinaryIO

import msgspec

from capture.agent.folder import CaptureFolder
from capture.agent.state import CaptureRecord
from capture.cluster.objects import StoredFile, StoreOrder, UploadStatus
from capture.sink.place import summary_path
from capture.store.store_credentials import CERTIFICATES, ENDPOINT, ROLE, STS_ENDPOINT
from capture.store.upload_manifest import NAME as MANIFEST
from capture.store.upload_manifest import manifest
from capture.store.uploads import FileUpload, StoreSource, Uploads, UploadState, memory_file, opened

ReadKeys = Callable[[StoreOrder], bytes]
"""Returns the file of credentials of a store. Raises ApiError."""


class NodeUpload:
    """The upload of one capture from one node."""

    def __init__(
        self, order: StoreOrder, record: CaptureRecord, folder: CaptureFolder, node: str, keys: ReadKeys
    ) -> None:
        self._order, self._record, self._folder, self._node = order, record, folder, node
        spec = order.spec
        namespace, _, name = record.capture.rpartition("/")
        self.where = "/".join(part for part in (namespace, f"{name}-{record.uid}", node) if part)

        def credentials() -> BinaryIO:
            return memory_file(keys(order))

        settings = {
            ENDPOINT: spec.endpoint,
            "region": spec.region,
            CERTIFICATES: spec.ca,
            ROLE: spec.role_arn,
            STS_ENDPOINT: spec.sts_endpoint,
        }
        self._uploads = Uploads(
            StoreSource(
                url=spec.url,
                folder=self.where,
                credentials=credentials,
                settings={name: value for name, value in settings.items() if value},
                known_hosts_text=spec.host_key or "",
                only_given=True,
            )
        )
        for stored in record.stored:
            self._uploads.already(FileUpload(stored.name, UploadState.CONFIRMED, stored.bytes, stored.sha256, 1))

    def step(self, incidents: Sequence[str] = ()) -> bool:
        """Upload files that do not grow any more, also of these incidents; then the manifest.

        Returns True if more is confirmed.
        """
        for name in (*finished_files(self._record, self._folder), *incidents):
            self._uploads.add(name, partial(opened, self._folder.path / name))
        if self._record.ended and not self._uploads.unconfirmed and not self.complete:
            content = self._manifest()
            self._uploads.add(MANIFEST, lambda: memory_file(content))
        self._uploads.step()
        more = self._keep()
        if self.complete:
            self._uploads.close()
        return more

    def _keep(self) -> bool:
        """Note what is confirmed. Returns True if that is more than before."""
        known = {stored.name for stored in self._record.stored}
        more = [
            StoredFile(name=file.name, bytes=file.bytes, sha256=file.sha256)
            for file in self._uploads.files.values()
            if file.state is UploadState.CONFIRMED and file.name not in known
        ]
        self._record.stored += more
        return bool(more)

    def _manifest(self) -> bytes:
        record = self._record
        about: dict[str, Any] = {
            "complete": not any(part.unaccounted for part in record.parts),
            "capture": record.capture,
            "node": self._node,
            "end_reason": record.message,
            "account": [part.account for part in record.parts],
            "interruptions": msgspec.to_builtins(record.interruptions()),
        }
        return manifest(about, [file for file in self._uploads.files.values() if file.name != MANIFEST])

    @property
    def complete(self) -> bool:
        """True if the store has everything, and the manifest that says so."""
        return any(stored.name == MANIFEST for stored in self._record.stored)

    def status(self) -> UploadStatus:
        """Return how far it is."""
        files = [file for file in self._uploads.files.values() if file.name != MANIFEST]
        waiting = [file for file in self._uploads.pending if file.reason]
        trouble = self._uploads.trouble
        impossible = next((file for file in files if file.state is UploadState.IMPOSSIBLE), None)
        reason = waiting[0].reason if waiting else trouble.reason if trouble else ""
        at = max((file.next_at for file in waiting), default=0.0)
        return UploadStatus(
            store=self._order.name,
            location=f"{self._order.spec.url.rstrip('/')}/{self.where}",
            files=len(files),
            uploaded=sum(file.state is UploadState.CONFIRMED for file in files),
            complete=self.complete,
            tries=max((file.tries for file in self._uploads.unconfirmed), default=0),
            next_try=datetime.fromtimestamp(int(at), UTC) if at > time.time() else None,
            message=f"{impossible.name}: {impossible.reason}" if impossible else reason,
        )

    def close(self) -> None:
        """End the uploader; what it has not confirmed stays here, and is not lost."""
        self._uploads.close()


def finished_files(record: CaptureRecord, folder: CaptureFolder) -> list[str]:
    """Return the names of the files that do not grow any more."""
    names: list[str] = []
    for part in record.parts:
        if part.recorder:
            continue
        if part.ended is None:
            names += [os.path.basename(path) for path in folder.paths(part)[:-1]]  # of a set, the last one grows
        else:
            names += [file.name for file in part.files]
            names += [summary_path(part.file)] if part.account is not None else []
    return names
