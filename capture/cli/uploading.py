"""`bicap capture --store`: a spec -> an upload beside the capture, its progress on stderr, and its result."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from capture.errors import SpecError, StoreError
from capture.request.document import Document
from capture.spec import CaptureSpec

if TYPE_CHECKING:
    from capture.run.summary import Summary
    from capture.store.capture_upload import CaptureUpload
    from capture.store_url import StoreUrl

TICK_SECONDS = 0.5
_LINE_SECONDS = 10.0
"""Time between two lines about an upload that takes long."""


def check_store(request: Document, spec: CaptureSpec) -> None:
    """Raise SpecError if this command cannot have the store that a request names."""
    if request.store.name is not None:
        raise SpecError("spec.store.name: a CaptureStore is an object of a cluster; give --store URL here")
    url = spec.storage.store.url
    if url is None:
        return
    if request.storage.path == "-":
        raise SpecError("--store is for files, and -w - is a stream; name a file with -w")
    check_environment(url)


def check_environment(url: "StoreUrl") -> None:
    """Raise SpecError if credentials of a store are where every process has them."""
    from capture.store.store_credentials import SECRET_VARIABLES

    found = next((name for name in SECRET_VARIABLES if os.environ.get(name)), None)
    if found is not None and not url.is_local:
        raise SpecError(
            f"{found} is in the environment, where every process of bicap has it; put it into a file that "
            "only you can read, and give that with --store-credentials"
        )


def begin_upload(spec: CaptureSpec, output: str, quiet: bool) -> "CaptureUpload | None":
    """Start the uploader, if there is a store. Raises StoreError if the store refuses us."""
    if spec.storage.store.url is None:
        return None
    from capture.store.capture_upload import CaptureUpload, capture_folder
    from capture.targets.node import node_name

    upload = CaptureUpload(spec.storage.store, output, capture_folder(node_name(), output, time.time()))
    silence = upload.start()
    if silence is not None and not quiet:
        note(f"{upload.where} does not answer yet: {silence}; files are kept here until it does")
    return upload


def finish_upload(upload: "CaptureUpload", summary: "Summary", quiet: bool) -> dict[str, Any]:
    """Upload what is left of a capture that has ended; Ctrl-C ends the tries. Returns the JSON of the upload.

    FILE.json is there already; it is written again when its files are confirmed, or given up.
    """
    from capture.run.own_process import write_summary
    from capture.targets.node import node_name

    about = {**summary.as_json(), "node": node_name()}
    paths = [file.path for file in summary.files]
    upload_all(upload, about, paths, lambda store: write_summary(summary, store), quiet)
    return upload.as_json() | {"complete": upload.committed}


def upload_all(
    upload: "CaptureUpload",
    about: dict[str, Any],
    paths: Sequence[str],
    write: Callable[[dict[str, Any]], None],
    quiet: bool,
) -> None:
    """Upload files, and then the JSON that `write` writes with what has become of them; Ctrl-C ends the tries."""
    from capture.run.own_process import ENDING

    given_up: list[int] = []
    for number in ENDING:
        signal.signal(number, lambda number, _: given_up.append(number))
    shown_at = time.monotonic()

    def progress() -> None:
        nonlocal shown_at
        if not quiet and time.monotonic() - shown_at > _LINE_SECONDS:
            shown_at = time.monotonic()
            note(upload.trying())

    try:
        if not quiet and upload.uploads.trouble is not None:
            note(f"{upload.trying()}; Ctrl-C gives up")
        upload.finished(paths)
        upload.complete(about, lambda: write(upload.as_json()), lambda: bool(given_up), progress)
        if not upload.committed:
            write(upload.as_json())
    finally:
        for number in ENDING:
            signal.signal(number, signal.SIG_IGN)
        upload.close()


def check_uploaded(upload: "CaptureUpload") -> None:
    """Raise StoreError if the store has not everything."""
    if not upload.committed:
        raise StoreError(upload.line())


def note(line: str) -> None:
    """Print a line on stderr."""
    click.echo(f"bicap: {line}", err=True)
