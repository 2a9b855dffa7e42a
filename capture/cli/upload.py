"""`bicap upload FILE.json...`: what captures left here when their store was gone -> that store, or another."""

import json
from collections.abc import Sequence
from typing import Any

import click

from capture.cli.groups import GroupedCommand, option
from capture.cli.uploading import check_environment, check_uploaded, note, upload_all
from capture.errors import BicapError, SpecError, StoreError
from capture.storage import RETRY_DEFAULT_NS, StoreOptions
from capture.store_url import parse_store_url
from capture.units import format_duration, parse_duration

STORE = "Store"


@click.command(cls=GroupedCommand, short_help="Upload files that captures left here when their store was gone.")
@click.argument("files", nargs=-1, required=True, metavar="FILE.json...")
@option(STORE, "--store", metavar="URL", help="Store, as for bicap capture.  [default: that of the capture]")
@option(STORE, "--store-credentials", "credentials", metavar="FILE", help="File with the credentials.")
@option(STORE, "--store-known-hosts", "known_hosts", metavar="FILE", help="File with the host key of an SFTP server.")
@option(STORE, "--store-delete", "delete", is_flag=True, help="Delete each file here once the store has it.")
@option(
    STORE,
    "--store-retry",
    "retry",
    metavar="TIME",
    help=f"Try again for this long.  [default: {format_duration(RETRY_DEFAULT_NS)}]",
)
@option("Output", "-q", "--quiet", is_flag=True, help="Print nothing but errors.")
def upload(
    files: Sequence[str],
    store: str | None,
    credentials: str | None,
    known_hosts: str | None,
    delete: bool,
    retry: str | None,
    quiet: bool,
) -> None:
    """Upload files that captures left here when their store was gone, one after the other.

    FILE.json is the JSON of a capture: it says which files there are, and which of them the store has. What is
    missing goes into the same folder, then FILE.json, then manifest.json. The exit code is 9 if a store has not
    all of it; what is missing is kept here.
    """
    retry_ns = RETRY_DEFAULT_NS if retry is None else parse_duration(retry, "--store-retry")
    failed: BicapError | None = None
    for path in files:
        try:
            line = _upload(path, store, credentials, known_hosts, delete, retry_ns, quiet)
        except StoreError as error:
            if failed is not None:
                click.echo(f"bicap: {failed}", err=True)
            failed = error
        else:
            click.echo(f"bicap: {line}", err=True) if not quiet else None
    if failed is not None:
        raise failed


def _upload(
    path: str,
    store: str | None,
    credentials: str | None,
    known_hosts: str | None,
    delete: bool,
    retry_ns: int,
    quiet: bool,
) -> str:
    from capture.sink.place import summary_path, write_beside
    from capture.store.capture_upload import CaptureUpload, capture_folder
    from capture.store.left_behind import left_behind
    from capture.targets.node import node_name

    left = left_behind(path)
    if store is None and left.url is None:
        raise SpecError(f"{path} names no store; give one with --store")
    url = parse_store_url(store if store is not None else left.url or "")
    check_environment(url)
    options = StoreOptions(
        url=url, retry_ns=retry_ns, delete=delete, credentials=credentials, known_hosts=known_hosts
    )
    goes_on = store is None
    folder = "" if goes_on else capture_folder(node_name(), left.output, left.began)
    upload = CaptureUpload(options, left.output, folder)
    if goes_on:
        upload.already(left.stored, left.deleted)

    def write(told: dict[str, Any]) -> None:
        write_beside(summary_path(left.output), json.dumps(left.about | {"store": told}, indent=2) + "\n")

    silence = upload.start()
    if silence is not None and not quiet:
        note(f"{upload.where} does not answer yet: {silence}")
    upload_all(upload, left.about | {"node": node_name()}, left.files, write, quiet)
    check_uploaded(upload)
    return upload.line()
