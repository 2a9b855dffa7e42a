"""A view of live sessions -> a picture that stays in its place in a terminal, plain lines, or JSON."""

import contextlib
import json
import os
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from capture.analysis.query.columns import flat
from capture.analysis.query.conditions import Filter
from capture.analysis.query.names import HANDSHAKES, endpoints
from capture.arrays.cells import lines
from capture.cli.top_controls import KEYS, TopControls, keys_of
from capture.live.live_sessions import LiveView
from capture.pcapng.describe import InterfaceDescription
from capture.units import format_count, format_duration, format_size

FINDINGS_SHOWN = 3
_CLEAR = "\x1b[H\x1b[2J"
_CHOSEN, _PLAIN = "\x1b[7m", "\x1b[0m"
_WIDTH = 34
"""Characters of a column's name and value where one session is shown."""


class TopScreen:
    """The output of `bicap top` and of `bicap capture --diagnose`; `stop` is called when the user ends it.

    Only a terminal reads keys.
    """

    def __init__(self, stream: TextIO, order: str, stop: Callable[[str], None], as_json: bool) -> None:
        self._stream, self._stop, self._as_json = stream, stop, as_json
        self.controls = TopControls(order)
        self.in_place = stream.isatty() and not as_json
        """True if it is a picture in a terminal."""
        self._restore: Callable[[], None] = lambda: None
        self._over, self._drawing = threading.Event(), threading.Lock()
        self._last: tuple[LiveView, Sequence[str], int, Mapping[Any, str]] | None = None
        self._due_ns = 0

    def __enter__(self) -> "TopScreen":
        if self.in_place and sys.stdin.isatty():
            descriptor = sys.stdin.fileno()
            before = termios.tcgetattr(descriptor)
            tty.setcbreak(descriptor)
            self._restore = lambda: termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
            threading.Thread(target=self._read_keys, args=(descriptor,), name="keys", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._restore()

    def _read_keys(self, descriptor: int) -> None:
        while not self._over.is_set():
            if not select.select([descriptor], [], [], 0.2)[0]:
                continue
            typed = os.read(descriptor, 256).decode("utf-8", "replace")
            if not typed:
                return
            for key in keys_of(typed):
                shown = [] if self._last is None else self._last[0].sessions["session"].tolist()
                self.controls.press(key, shown)
            if self.controls.over:
                self._stop("ended by q")
                return
            if self.controls.typed is None and not self.controls.paused:
                self._due_ns = 0
            self._draw()

    def due(self, now_ns: int, every_ns: int) -> bool:
        """True if it is time for another view; then the next one is due `every_ns` later."""
        if now_ns < self._due_ns or self.controls.paused:
            return False
        self._due_ns = now_ns + every_ns
        return True

    @property
    def conditions(self) -> Sequence[Filter]:
        """What the user has chosen to see."""
        return self.controls.conditions

    def show(self, view: LiveView, interfaces: Sequence[str], missed: int, names: Mapping[Any, str]) -> None:
        """Show a view."""
        self._last = view, interfaces, missed, names
        self._draw()

    def _draw(self) -> None:
        with self._drawing:
            if self._last is None:
                return
            view, interfaces, missed, names = self._last
            if self._as_json:
                text = json.dumps(_plain(view, interfaces, missed))
            else:
                text = (_CLEAR if self.in_place else "") + "\n".join(self._lines(view, missed, names))
            try:
                self._stream.write(text + "\n")
                self._stream.flush()
            except BrokenPipeError:
                self._stop("the reader of standard output closed it")
                with contextlib.suppress(OSError):
                    self._stream.close()

    def _lines(self, view: LiveView, missed: int, names: Mapping[Any, str]) -> list[str]:
        controls = self.controls
        behind = f"; {format_count(missed, 'packet')} could not be followed" if missed else ""
        paused = "; paused" if controls.paused else ""
        found = [
            f"{format_count(view.total, 'session')}, {view.packets_per_second:,.0f} packets/s, "
            f"{format_size(view.bytes_per_second)}/s, by {controls.order}{behind}{paused}",
        ]
        if controls.followed is not None:
            found += _one_session(view, controls.followed, names)
        else:
            found += self._table(view, names)
        found += [f"{n}. {finding.what}" for n, finding in enumerate(view.findings[:FINDINGS_SHOWN], start=1)]
        if self.in_place:
            if controls.typed is not None:
                found.append(f"filter: {controls.typed}_  {controls.trouble}")
            else:
                chosen = " ".join(one.text for one in controls.filters)
                found.append(f"filter {chosen}; {KEYS}" if chosen else KEYS)
        return found

    def _table(self, view: LiveView, names: Mapping[Any, str]) -> list[str]:
        sessions = view.sessions
        columns = flat(sessions, names=("server_rtt_mean_ns", "retransmitted", "state", "protocol"))
        clients, servers = (lines(endpoints(sessions, side, dict(names))) for side in ("client", "server"))
        found = [
            f"{'PROTO':6}  {'CLIENT > SERVER':45}  {'PKT/S':>8}  {'BYTES/S':>10}  {'RTT':>8}  {'REPEATED':>8}  STATE"
        ]
        for row, handshake in enumerate(sessions["handshake"].tolist()):
            trip = columns["server_rtt_mean_ns"][row]
            line = (
                f"{columns['protocol'][row]:6}  {f'{clients[row]} > {servers[row]}':45}  "
                f"{view.rates['packet_rate'][row]:>8,.0f}  {format_size(view.rates['byte_rate'][row]):>10}  "
                f"{format_duration(trip) if trip >= 0 else '-':>8}  {columns['retransmitted'][row]:>8,}  "
                f"{' '.join(filter(None, [columns['state'][row], HANDSHAKES[handshake]]))}"
            )
            chosen = self.in_place and row == self.controls.chosen
            found.append(f"{_CHOSEN}{line}{_PLAIN}" if chosen else line)
        return found


def _one_session(view: LiveView, number: int, names: Mapping[Any, str]) -> list[str]:
    """Return the lines of one session: its ends, its rates, and all that is known of it."""
    if not len(view.sessions):
        return [f"session {number} has had no packets for a while; Esc shows all"]
    client, server = (lines(endpoints(view.sessions, side, dict(names)))[0] for side in ("client", "server"))
    columns = {name: values[0] for name, values in flat(view.sessions).items()}
    known = [
        f"{name.removesuffix('_ns')} {format_duration(value) if name.endswith('_ns') else value}"
        for name, value in columns.items()
        if value not in (0, -1, "", "none")
        and name not in ("client", "server", "start_ns")
        and not name.endswith("packet")
    ]
    across = 3
    rows = [known[at : at + across] for at in range(0, len(known), across)]
    rate = f"{view.rates['packet_rate'][0]:,.0f} packets/s, {format_size(view.rates['byte_rate'][0])}/s"
    return [
        f"session {number}  {columns['protocol']} {client} > {server}  {rate}",
        *("  " + "".join(f"{one:{_WIDTH}}" for one in row).rstrip() for row in rows),
    ]


def _plain(view: LiveView, interfaces: Sequence[str], missed: int) -> dict[str, Any]:
    columns = flat(view.sessions, [InterfaceDescription(1, name=name) for name in interfaces])
    columns |= {name: [round(value, 1) for value in values.tolist()] for name, values in view.rates.items()}
    return {
        "sessions": view.total,
        "packets_per_second": round(view.packets_per_second, 1),
        "bytes_per_second": round(view.bytes_per_second, 1),
        "missed": missed,
        "shown": [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)],
        "findings": [{"kind": one.kind, "what": one.what, "next": one.next} for one in view.findings],
    }
