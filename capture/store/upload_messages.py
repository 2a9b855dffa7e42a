"""What the owner of files and the uploader say to each other -> JSON, one message per packet of a socket, and back.

Descriptors travel beside a message, in the order of the fields that stand for them.
"""

from typing import Any

import msgspec


class OpenStore(msgspec.Struct, frozen=True, tag="open"):
    """Use this store. Credentials come as a descriptor or as values, so that they are in no argument."""

    url: str
    folder: str
    """Folder below the URL that all names are in."""
    has_credentials: bool = False
    """True if a descriptor of the file with the credentials comes first."""
    has_known_hosts: bool = False
    """True if a descriptor of the file with host keys comes next."""
    settings: dict[str, str] = {}
    """Settings that go before those of the file: endpoint, region, keys."""
    known_hosts: str | None = None
    """Text with host keys, in place of a file."""
    only_given: bool = False
    """True to use no credentials but these: none of this machine, whoever chose the store."""


class SendFile(msgspec.Struct, frozen=True, tag="send"):
    """Upload a file; its descriptor comes with the message."""

    name: str


class Renew(msgspec.Struct, frozen=True, tag="renew"):
    """Use these credentials from now on; they come as for OpenStore."""

    has_credentials: bool = False
    settings: dict[str, str] = {}


class StoreOpened(msgspec.Struct, frozen=True, tag="opened"):
    """The store answered, and takes our credentials."""


class Troubled(msgspec.Struct, frozen=True, tag="troubled"):
    """The last try failed; the next one is in `seconds`. `name` is the file, "" for the store as a whole.

    `refused` is True if the store answered, and its answer depends on us: credentials, keys, names.
    """

    name: str
    reason: str
    seconds: float
    tries: int
    refused: bool


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """A try for this file goes on: so many of its bytes are on their way."""

    name: str
    bytes: int


class Confirmed(msgspec.Struct, frozen=True, tag="confirmed"):
    """The store has the whole file: it was read back. `found` is True if it was there before."""

    name: str
    bytes: int
    sha256: str
    tries: int
    found: bool = False


class Impossible(msgspec.Struct, frozen=True, tag="impossible"):
    """This file cannot be uploaded under its name, however often it is tried."""

    name: str
    reason: str
    tries: int


class StaleCredentials(msgspec.Struct, frozen=True, tag="stale"):
    """The store no longer takes the credentials; send those that the source has now."""


ToUploader = OpenStore | SendFile | Renew
FromUploader = StoreOpened | Troubled | Sent | Confirmed | Impossible | StaleCredentials
MESSAGE_MAX = 128 << 10
"""Most bytes of a message."""
_to_uploader = msgspec.json.Decoder(ToUploader)
_from_uploader = msgspec.json.Decoder(FromUploader)


def packed(message: Any) -> bytes:
    """Return the bytes of a message."""
    return msgspec.json.encode(message)


def order_of(data: bytes) -> ToUploader:
    """Return the message of the owner of the files."""
    return _to_uploader.decode(data)


def report_of(data: bytes) -> FromUploader:
    """Return the message of the uploader."""
    return _from_uploader.decode(data)
