"""The text of a store's URL -> its parts, checked; nothing is connected to.

s3://bucket/prefix    gs://bucket/prefix    az://container/prefix    sftp://user@host:port/folder    file:///folder
"""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from capture.errors import SpecError

OBJECT_SCHEMES = ("s3", "gs", "az")
"""Stores of objects in a bucket."""
SCHEMES = (*OBJECT_SCHEMES, "sftp", "file")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreUrl:
    """A place in a store. `place` is the bucket, the container or the host; `path` has no slash at its ends.

    With sftp, the path is from the server's root, or after /~/ from the user's home.
    """

    scheme: str
    place: str
    path: str = ""
    user: str = ""
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.place}]" if ":" in self.place else self.place
        port = f":{self.port}" if self.port is not None else ""
        return f"{self.scheme}://{user}{host}{port}" + (f"/{self.path}" if self.path else "")

    @property
    def is_local(self) -> bool:
        """True if it is a folder of this machine."""
        return self.scheme == "file"


def parse_store_url(text: str, field: str = "--store") -> StoreUrl:
    """Return the parts of a URL. Raises SpecError; a password is not repeated in the message."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise SpecError(f"{field} is not a URL; write it like s3://bucket/prefix") from None
    if parts.scheme not in SCHEMES:
        known = ", ".join(f"{scheme}://" for scheme in SCHEMES)
        raise SpecError(f"{field} begins with none of {known}; write it like s3://bucket/prefix")
    if parts.password is not None:
        raise SpecError(f"{field} has a password in it, which every user of this machine could read; give a file")
    if parts.query or parts.fragment:
        raise SpecError(f"{field} has a part after ? or #; settings of a store go into its file of credentials")
    path, place = unquote(parts.path).strip("/"), parts.hostname or ""
    if any(part in ("", ".", "..") for part in path.split("/")) and path:
        raise SpecError(f"{field} {text!r} has an empty part, . or .. in its path")
    if any(ord(character) < 32 for character in path):
        raise SpecError(f"{field} has a control character in its path")
    if parts.scheme in OBJECT_SCHEMES:
        place = parts.netloc
        if not _BUCKET.fullmatch(place):
            raise SpecError(f"{field} {text!r} names no bucket; write it like {parts.scheme}://bucket/prefix")
    elif parts.scheme == "sftp":
        if not place or not parts.username:
            raise SpecError(
                f"{field} {text!r} does not name a user and a host; write it like sftp://user@host/folder"
            )
    elif place:
        raise SpecError(f"{field} {text!r} names a host; write a folder like file:///folder")
    elif not path:
        raise SpecError(f"{field} {text!r} names no folder; write it like file:///folder")
    user = unquote(parts.username or "")
    return StoreUrl(scheme=parts.scheme, place=place, path=path, user=user, port=port)


def folder_of(url: StoreUrl, *parts: str) -> str:
    """Return the name in the store of a folder or file below the URL, without a slash at its ends."""
    return "/".join(part for part in (url.path, *parts) if part)
