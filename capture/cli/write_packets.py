"""`bicap read -w`: a query for packets -> a new pcapng file, or a stream."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from capture.cli.capture_file import end_reading
from capture.errors import FormatError, SpecError
from capture.units import format_count

if TYPE_CHECKING:
    from capture.sink.protocol import Sink
    from capture.views.packet_query import PacketQuery

_WAIT_S = 1.0


def write_packets(
    words: Sequence[str], inner: bool, across_interfaces: bool, query: "PacketQuery", target: str
) -> None:
    """Write the packets of a query. Raises SpecError, TargetError, SinkError; FormatError after all were written."""
    from capture.analysis.packets.capture_parts import files_of
    from capture.analysis.packets.merged import open_captures
    from capture.sink.open import open_sink
    from capture.sink.protocol import ReaderGoneError
    from capture.views.excerpt import Excerpt

    files = files_of(words)
    if target != "-" and any(os.path.exists(file) and _same(file, target) for file in files):
        raise SpecError(f"-w {target} is one of the files to read; name another")
    damage: list[FormatError] = []
    notes: list[str] = []
    with open_captures(files, inner) as capture:
        excerpt = Excerpt(capture.description, f"chosen by bicap read from {capture.name}: {query}")
        sink = open_sink(target)
        try:
            try:
                for batch in query.of(capture, capture, across_interfaces, notes=notes):
                    _write(sink, *excerpt.blocks(batch))
            except FormatError as error:
                damage.append(error)
            if not damage or excerpt.packets:
                _write(sink, *excerpt.described())
            while not sink.flush(_WAIT_S):
                pass
        except ReaderGoneError:
            pass
        finally:
            sink.finish()
            sink.close()
    click.echo(f"{format_count(excerpt.packets, 'packet')} in {target}", err=True)
    end_reading(notes, damage)


def _write(sink: "Sink", *parts: bytes | memoryview) -> None:
    while not sink.room(_WAIT_S):
        pass
    sink.write(*parts)


def _same(file: str, target: str) -> bool:
    return os.path.exists(target) and os.path.samefile(file, target)
