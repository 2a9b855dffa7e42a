"""Option texts about the output (-C 100, -G 1h, --min-free 5%) -> frozen, valid values; the machine is not read."""

import re
from dataclasses import dataclass

from capture.errors import SpecError
from capture.store_url import StoreUrl
from capture.units import format_size, parse_duration, parse_size

MEGABYTE = 1_000_000
"""Bytes that the number 1 after -C means, as for tcpdump."""
COMPRESSIONS = ("zstd",)
COMMENT_MAX = 1024
"""Most characters of a comment in the header of a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MinFree:
    """The part of a file system that must stay free: a percentage or bytes, exactly one of the two."""

    percent: float | None = None
    bytes: int | None = None

    def __post_init__(self) -> None:
        if (self.percent is None) == (self.bytes is None):
            raise SpecError("min-free is a share of the disk or a size; give one of them")
        if self.percent is not None and not 0 < self.percent < 100:
            raise SpecError(f"min-free {self} is not between 0% and 100%")
        if self.bytes is not None and self.bytes < 1:
            raise SpecError("min-free is not at least one byte")

    def of(self, total: int) -> int:
        """Return the bytes that must stay free on a file system of `total` bytes."""
        return self.bytes if self.bytes is not None else round(total * (self.percent or 0) / 100)

    def __str__(self) -> str:
        return format_size(self.bytes) if self.bytes is not None else f"{self.percent:g}%"


def larger_min_free(one: str, other: str, total: int) -> str:
    """Return the text of which more stays free on a file system of `total` bytes. Raises SpecError."""
    return max(one, other, key=lambda text: parse_min_free(text, "min-free").of(total))


RETRY_DEFAULT_NS = 3600 * 10**9
"""Time after the end of a capture for which an upload is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """Where finished files are uploaded to, and what becomes of them here. Files are named, not read.

    Uploads are tried again until `retry_ns` after the end of the capture. With `delete`, a file is deleted here once
    the store has confirmed it. `credentials` and `known_hosts` are files, None for the standard sources.
    """

    url: StoreUrl | None = None
    retry_ns: int = RETRY_DEFAULT_NS
    delete: bool = False
    credentials: str | None = None
    known_hosts: str | None = None

    def __post_init__(self) -> None:
        given = self.delete or self.credentials is not None or self.known_hosts is not None
        if self.url is None and (given or self.retry_ns != RETRY_DEFAULT_NS):
            raise SpecError("options of a store are given, but no store; name one with --store")
        if self.known_hosts is not None and self.url is not None and self.url.scheme != "sftp":
            raise SpecError("--store-known-hosts is for a store of sftp://; leave it out")
        if self.credentials is not None and self.url is not None and self.url.is_local:
            raise SpecError("--store-credentials is for a store that asks for some; leave it out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """How the output is stored. Sizes are bytes of pcapng before compression, times nanoseconds; None is no limit.

    A new file begins when the current one has `file_bytes` or is `file_ns` old, whichever comes first; only the last
    `files_kept` files are kept. With `unique` the output has a name of its own, and replaces no earlier one. Files
    and directories that the capture makes belong to `user`.
    """

    file_bytes: int | None = None
    file_ns: int | None = None
    files_kept: int | None = None
    compress: str | None = None
    user: str | None = None
    min_free: MinFree | None = None
    comment: str | None = None
    unique: bool = False
    store: StoreOptions = StoreOptions()

    def __post_init__(self) -> None:
        if self.file_bytes is not None and self.file_bytes < 1:
            raise SpecError("the size of a file (-C) is not at least one byte")
        if self.file_ns is not None and self.file_ns < 1:
            raise SpecError("the time of a file (-G) is not longer than 0")
        if self.files_kept is not None and self.files_kept < 1:
            raise SpecError(f"the number of files kept (-W) is {self.files_kept}, not at least 1")
        if self.files_kept is not None and not self.rotates:
            raise SpecError("a number of files kept (-W) needs a size (-C) or a time (-G) at which the next begins")
        if self.compress is not None and self.compress not in COMPRESSIONS:
            raise SpecError(f"compression {self.compress!r} is not known; there is {', '.join(COMPRESSIONS)}")
        if self.comment is not None and not 0 < len(self.comment) <= COMMENT_MAX:
            raise SpecError(f"a comment of {len(self.comment)} characters is not from 1 to {COMMENT_MAX} long")
        if self.store.url is not None and self.files_kept is not None:
            raise SpecError(
                "a number of files kept (-W) would remove files that are not uploaded yet; give "
                "--store-delete, which removes those that are"
            )
        if self.user is not None and not self.user:
            raise SpecError("the user has no name; name one with --user")

    @property
    def rotates(self) -> bool:
        """True if the output is a series of files."""
        return self.file_bytes is not None or self.file_ns is not None


def parse_file_size(text: str, field: str = "-C") -> int:
    """Turn "100" (millions of bytes, as for tcpdump) or "64MiB" into bytes. Raises SpecError."""
    if re.fullmatch(r"\s*[0-9]{1,15}(\.[0-9]{1,15})?\s*", text):
        return round(float(text) * MEGABYTE)
    return parse_size(text, field)


def parse_file_time(text: str, field: str = "-G") -> int:
    """Turn "60" (seconds, as for tcpdump) or "1h30m" into nanoseconds. Raises SpecError."""
    return parse_duration(text, field)


def parse_min_free(text: str, field: str = "--min-free") -> MinFree:
    """Turn "5%" or "2GiB" into a MinFree. Raises SpecError."""
    percent = re.fullmatch(r"\s*([0-9]{1,3}(?:\.[0-9]{1,9})?)\s*%\s*", text)
    if percent:
        return MinFree(percent=float(percent[1]))
    if "%" in text:
        raise SpecError(f"{field} {text!r} is not understood; write it like 5% or 2GiB")
    return MinFree(bytes=parse_size(text, field))
