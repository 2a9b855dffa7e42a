"""FILE.json of a capture whose upload was given up -> its files here, and where the others are."""

import json
import os
from dataclasses import dataclass
from typing import Any

import msgspec

from capture.errors import FormatError, TargetError
from capture.sink.place import SUMMARY_SUFFIX
from capture.store.uploads import FileUpload, UploadState


class _ListedPath(msgspec.Struct):
    path: str
    began_ns: int = 0


class _ToldUpload(msgspec.Struct):
    name: str
    state: UploadState
    bytes: int = 0
    sha256: str = ""
    tries: int = 0
    deleted: bool = False


class _ToldStore(msgspec.Struct):
    url: str
    files: list[_ToldUpload] = []


class _Told(msgspec.Struct):
    files: list[_ListedPath]
    store: _ToldStore | None = None


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Files of one capture. `url` is the folder of the store that has `stored` of them; None if there is none."""

    output: str
    about: dict[str, Any]
    """The content of FILE.json."""
    began: float
    files: tuple[str, ...]
    url: str | None
    stored: tuple[tuple[str, FileUpload], ...] = ()
    deleted: tuple[str, ...] = ()


def left_behind(path: str) -> LeftBehind:
    """Return what FILE.json tells; files are beside it now. Raises TargetError, FormatError."""
    if not path.endswith(SUMMARY_SUFFIX):
        raise TargetError(f"{path} is not the JSON of a capture; give its FILE{SUMMARY_SUFFIX}")
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise TargetError(f"{path} cannot be read: {error.strerror}") from None
    try:
        told, about = msgspec.json.decode(content, type=_Told), json.loads(content)
    except (msgspec.DecodeError, ValueError) as error:
        raise FormatError(f"{path} is not the JSON of a capture: {error}") from None
    folder = os.path.dirname(path)
    paths = {os.path.basename(file.path): os.path.join(folder, os.path.basename(file.path)) for file in told.files}
    store = told.store or _ToldStore("")
    stored = [one for one in store.files if one.state is UploadState.CONFIRMED and one.name in paths]
    return LeftBehind(
        output=path.removesuffix(SUMMARY_SUFFIX),
        about={key: value for key, value in about.items() if key != "store"},
        began=min((file.began_ns for file in told.files), default=0) / 1e9,
        files=tuple(paths.values()),
        url=store.url or None,
        stored=tuple(
            (paths[one.name], FileUpload(one.name, UploadState.CONFIRMED, one.bytes, one.sha256, one.tries))
            for one in stored
        ),
        deleted=tuple(one.name for one in stored if one.deleted),
    )
