"""The finished files of one capture on this node -> a folder of a store: data, then FILE.json, then the manifest.

PREFIX/NODE/NAME-20261130T075013Z/NAME_00001_....pcapng, ..., NAME.pcapng.json, manifest.json
"""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from capture.errors import StoreError
from capture.sink.place import summary_path
from capture.storage import StoreOptions
from capture.store.upload_manifest import NAME as MANIFEST
from capture.store.upload_manifest import manifest
from capture.store.uploads import FileUpload, StoreSource, Uploads, UploadState, memory_file, opened
from capture.store_url import folder_of
from capture.units import format_count, format_duration

ANSWER_SECONDS = 20.0
"""Longest wait for the store before the capture begins."""
WAIT_SECONDS = 0.5


def capture_folder(node: str, output: str, began: float) -> str:
    """Return the folder of a capture below the URL of the store."""
    stem = Path(output).name.partition(".")[0] or "capture"
    return f"{node}/{stem}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(began))}"


class CaptureUpload:
    """The upload of one capture, from before its start until everything is confirmed or given up."""

    def __init__(self, options: StoreOptions, output: str, folder: str) -> None:
        assert options.url is not None
        self._options, self._output, self.folder = options, output, folder
        self.where = f"{options.url.scheme}://{options.url.place}/{folder_of(options.url, self.folder)}"
        self.uploads = Uploads(
            StoreSource(
                url=str(options.url),
                folder=self.folder,
                credentials=None if options.credentials is None else partial(opened, options.credentials),
                known_hosts=options.known_hosts,
            )
        )
        self._paths: dict[str, str] = {}
        """Paths of the files of packets, by name."""
        self._deleted: set[str] = set()

    def start(self) -> str | None:
        """Start the uploader, and wait for the store. Returns why it does not answer; None if it does.

        Raises StoreError if it refuses us: then nothing needs to be captured to know it.
        """
        self.uploads.start()
        try:
            self.uploads.await_answer(ANSWER_SECONDS)
        except StoreError:
            self.close()
            raise
        if self.uploads.opened:
            return None
        return self.uploads.trouble.reason if self.uploads.trouble else "it does not answer"

    def already(self, files: Iterable[tuple[str, FileUpload]], deleted: Iterable[str]) -> None:
        """Know files, with their paths, that an earlier upload of this capture has brought there."""
        for path, file in files:
            self._paths[file.name] = path
            self.uploads.already(file)
        self._deleted |= set(deleted)

    def finished(self, paths: Iterable[str]) -> None:
        """Upload these files, which do not grow any more, and take in what has become of others."""
        for path in paths:
            name = os.path.basename(path)
            if name not in self._paths:
                self._paths[name] = path
                self.uploads.add(name, partial(opened, path))
        self.uploads.step()
        self._delete_confirmed()

    def _delete_confirmed(self) -> None:
        if not self._options.delete:
            return
        for name, path in self._paths.items():
            if name not in self._deleted and self.uploads.files[name].state is UploadState.CONFIRMED:
                self._deleted.add(name)
                with suppress(FileNotFoundError):
                    os.unlink(path)

    def complete(
        self,
        about: dict[str, Any],
        write_summary: Callable[[], None],
        given_up: Callable[[], bool],
        on_progress: Callable[[], None],
    ) -> None:
        """Upload what is left: the data, then what `write_summary` writes, then the manifest.

        Returns when all is confirmed, when nothing can be any more, at the end of the time for it, or when `given_up`
        says so.
        """
        deadline = time.monotonic() + self._options.retry_ns / 1e9
        summary = summary_path(self._output)

        def upload_all() -> bool:
            while self.uploads.pending and not given_up() and time.monotonic() < deadline:
                self.uploads.wait(WAIT_SECONDS)
                self._delete_confirmed()
                on_progress()
            return not self.uploads.unconfirmed

        if upload_all():
            write_summary()
            self.uploads.add(os.path.basename(summary), partial(opened, summary))
            if upload_all():
                content = manifest(about, list(self.uploads.files.values()))
                self.uploads.add(MANIFEST, lambda: memory_file(content))
                upload_all()

    @property
    def committed(self) -> bool:
        """True if the store has everything, and the manifest that says so."""
        found = self.uploads.files.get(MANIFEST)
        return found is not None and found.state is UploadState.CONFIRMED

    def as_json(self) -> dict[str, Any]:
        """Return plain values for FILE.json: the files of packets, each with what has become of it."""
        files = [self.uploads.files[name] for name in self._paths]
        return {
            "url": self.where,
            "files": [file.as_json() | {"deleted": file.name in self._deleted} for file in files],
        }

    def line(self) -> str:
        """Return what is uploaded, and what is not, in one line."""
        files = [file for file in self.uploads.files.values() if file.name != MANIFEST]
        done = [file for file in files if file.state is UploadState.CONFIRMED]
        if self.committed:
            deleted = f"; {format_count(len(self._deleted), 'file')} deleted here" if self._deleted else ""
            return f"uploaded to {self.where}: {format_count(len(done), 'file')}, and {MANIFEST}{deleted}"
        left = [file for file in files if file.state is not UploadState.CONFIRMED]
        names = _names(left) if left else MANIFEST
        reason = next((file.reason for file in self.uploads.unconfirmed if file.reason), "")
        reason = reason or (self.uploads.trouble.reason if self.uploads.trouble else "there was no time left")
        return (
            f"NOT uploaded to {self.where}: {names}; {len(done):,} of {format_count(len(files), 'file')} confirmed; "
            f"what is missing is kept here: {reason}"
        )

    def trying(self) -> str:
        """Return what is being done, in one line."""
        left, trouble = self.uploads.pending, self.uploads.trouble
        text = f"{format_count(len(left), 'file')} still to be uploaded to {self.where}"
        return text if trouble is None else f"{text}: {trouble.reason}; tried again in {_seconds(trouble.seconds)}"

    def close(self) -> None:
        """End the uploader."""
        self.uploads.close()


def _names(files: list[FileUpload]) -> str:
    shown = ", ".join(file.name for file in files[:3])
    return shown + (f" and {len(files) - 3:,} more" if len(files) > 3 else "")


def _seconds(seconds: float) -> str:
    return format_duration(int(seconds * 1e9))
