"""The argument of -w, and the options for storing it -> a sink."""

import os
import stat
import time

from capture.errors import SpecError
from capture.sink.files import FileSink
from capture.sink.fileset import own_name
from capture.sink.protocol import Sink
from capture.sink.stream import named_stream, standard_output
from capture.storage import Storage


def open_sink(path: str, storage: Storage = Storage()) -> Sink:  # noqa: B008 - frozen
    """Return a sink for `-w`: a path, or - for standard output. Raises SinkError, SpecError."""
    if not path:
        raise SpecError("the output has no name; name a file with -w, or -w - for a live stream")
    if storage.unique and path != "-" and not _is_stream(path):
        path = own_name(path, time.time_ns())
    sink = _open_plain(path, storage)
    if storage.compress is None:
        return sink
    from capture.sink.zstd import ZstdSink

    return ZstdSink(sink)


def _open_plain(path: str, storage: Storage) -> Sink:
    if path != "-" and (storage.rotates or not _is_stream(path)):
        return FileSink(path, storage)
    for given, option in (
        (storage.rotates, "a size or time of files (-C, -G)"),
        (storage.min_free, "--min-free"),
        (storage.user, "--user"),
    ):
        if given:
            raise SpecError(f"{option} is for files, and -w {path} is a stream; leave it out or name a file with -w")
    return standard_output() if path == "-" else named_stream(path)


def _is_stream(path: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
