"""A view of live sessions -> a picture that stays in its place in a terminal, plain lines, or JSON."""

import contextlib
import json
import select
import sys
import termios
import threading
import tty
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TextIO

from capture.analysis.query.columns import flat
from capture.analysis.query.names import HANDSHAKES, endpoints
from capture.arrays.cells import lines
from capture.live.live_sessions import LiveView
from capture.pcapng.describe import InterfaceDescription
from capture.units import format_count, format_duration, format_size

ORDERS = ("byte_rate", "packet_rate", "retransmitted", "first_byte_mean_ns", "duration_ns", "bytes")
"""Columns by which `s` orders, one after the other."""
FINDINGS_SHOWN = 3
_CLEAR = "\x1b[H\x1b[2J"


class TopScreen:
    """The output of `bicap top`; `stop` is called when the user ends it."""

    def __init__(self, stream: TextIO, order: str, stop: Callable[[str], None], as_json: bool) -> None:
        self._stream, self._stop, self._as_json = stream, stop, as_json
        self.order, self.paused = order, False
        self._keeps = stream.isatty() and not as_json
        self._restore: Callable[[], None] = lambda: None
        self._over = threading.Event()

    def __enter__(self) -> "TopScreen":
        if self._keeps and sys.stdin.isatty():
            descriptor = sys.stdin.fileno()
            before = termios.tcgetattr(descriptor)
            tty.setcbreak(descriptor)
            self._restore = lambda: termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
            threading.Thread(target=self._read_keys, name="keys", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._restore()

    def _read_keys(self) -> None:
        while not self._over.is_set():
            if not select.select([sys.stdin], [], [], 0.2)[0]:
                continue
            match sys.stdin.read(1):
                case "q":
                    self._stop("ended by q")
                case "p":
                    self.paused = not self.paused
                case "s":
                    at = ORDERS.index(self.order) if self.order in ORDERS else -1
                    self.order = ORDERS[(at + 1) % len(ORDERS)]

    def show(self, view: LiveView, interfaces: Sequence[str], missed: int, names: Mapping[Any, str]) -> None:
        """Show a view."""
        if self._as_json:
            text = json.dumps(_plain(view, interfaces, missed))
        else:
            text = (_CLEAR if self._keeps else "") + "\n".join(self._lines(view, missed, names))
        try:
            self._stream.write(text + "\n")
            self._stream.flush()
        except BrokenPipeError:
            self._stop("the reader of standard output closed it")
            with contextlib.suppress(OSError):
                self._stream.close()

    def _lines(self, view: LiveView, missed: int, names: Mapping[Any, str]) -> list[str]:
        behind = f"; {format_count(missed, 'packet')} could not be followed" if missed else ""
        sessions = view.sessions
        columns = flat(sessions, names=("server_rtt_mean_ns", "retransmitted", "state", "protocol"))
        clients, servers = (lines(endpoints(sessions, side, dict(names))) for side in ("client", "server"))
        found = [
            f"{format_count(view.total, 'session')}, {view.packets_per_second:,.0f} packets/s, "
            f"{format_size(view.bytes_per_second)}/s, by {self.order}{behind}",
            f"{'PROTO':6}  {'CLIENT > SERVER':45}  {'PKT/S':>8}  {'BYTES/S':>10}  {'RTT':>8}  {'REPEATED':>8}  STATE",
        ]
        for row, handshake in enumerate(sessions["handshake"].tolist()):
            trip = columns["server_rtt_mean_ns"][row]
            found.append(
                f"{columns['protocol'][row]:6}  {f'{clients[row]} > {servers[row]}':45}  "
                f"{view.rates['packet_rate'][row]:>8,.0f}  {format_size(view.rates['byte_rate'][row]):>10}  "
                f"{format_duration(trip) if trip >= 0 else '-':>8}  {columns['retransmitted'][row]:>8,}  "
                f"{' '.join(filter(None, [columns['state'][row], HANDSHAKES[handshake]]))}"
            )
        found += [f"{n}. {finding.what}" for n, finding in enumerate(view.findings[:FINDINGS_SHOWN], start=1)]
        return found


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
