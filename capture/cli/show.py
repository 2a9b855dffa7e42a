"""Plans and running counters -> text for a terminal."""

import time
from typing import TYPE_CHECKING, TextIO

from capture.plan import CapturePlan, describe
from capture.run.account import Account, total
from capture.units import format_size

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

    from capture.run.capture import Capture


def plan_text(plan: CapturePlan) -> str:
    """Return the text of --dry-run."""
    facts = describe(plan)
    lines = []
    for interface in facts["interfaces"]:
        there = f"{interface['interface']}, " if interface["interface"] != interface["name"] else ""
        lines.append(
            f"interface {interface['name']} ({there}ifindex {interface['ifindex']}, netns {interface['netns']}): "
            f"from_pod on {interface['from_pod']}, to_pod on {interface['to_pod']}; the {interface['view']}'s view"
        )
    lines.append(f"hook      {facts['hook']}")
    lines += [f"{way:<9} {text}" for way, text in facts["matches"].items()]
    lines.append(f"filter    {facts['filter']}")
    if facts["also"]:
        lines.append(f"also      {'; '.join(facts['also'])}")
    headers = ", headers only" if facts["sampling"]["headers_only"] else ""
    lines.append(f"snaplen   {facts['snaplen']} bytes{headers}")
    if facts["sampling"]["sample"]:
        control = "; SYN, FIN, RST and ICMP errors always" if facts["sampling"]["keep_control"] else ""
        lines.append(f"sampling  {', '.join(facts['sampling']['sample'])}{control}")
    if facts["on_pressure"]:
        lines.append(f"pressure  {', then '.join(facts['on_pressure'])}")
    lines.append(f"block     {facts['block']['bytes']} bytes around each packet")
    rings = facts["rings"]
    shared = f" and {format_size(rings['overflow_bytes'])} for all" if rings["overflow_bytes"] else ""
    lines.append(
        f"rings     {len(rings['cpus'])} CPUs x {format_size(rings['bytes_each'])}{shared}, reader wakes at "
        f"{format_size(rings['wake_at'])}"
    )
    return "\n".join(lines)


class LiveCounters:
    """Counters of a running capture: a table that stays in place on a terminal, plain lines otherwise."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live: Live | None = None
        self._last = (time.monotonic(), 0)

    def __enter__(self) -> "LiveCounters":
        if self._stream.isatty():
            from rich.console import Console
            from rich.live import Live

            self._live = Live(console=Console(file=self._stream), auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, capture: "Capture") -> None:
        """Show the counters as they are now."""
        accounts = capture.accounts()
        everything = total(accounts)
        now, written = time.monotonic(), everything.both.written
        rate = (written - self._last[1]) / max(now - self._last[0], 1e-9)
        self._last = (now, written)
        if self._live is None:
            both = everything.both
            self._stream.write(
                f"seen {everything.seen} matched {both.matched} written {written} "
                f"({everything.forward.written} forward, {everything.reverse.written} reverse) "
                f"sampled out {both.sampled_out} lost {both.lost} rate {rate:.0f} packets/s\n"
            )
            self._stream.flush()
            return
        names = [interface.name for interface in capture.roster.interfaces]
        lost = f"{everything.both.lost:,} lost" if everything.both.lost else "nothing lost"
        self._live.update(_table(names, accounts, f"{rate:,.0f} packets/s; {lost}"), refresh=True)


def _table(names: list[str], accounts: list[Account], title: str) -> "Table":
    from rich.table import Table

    table = Table(title=title)
    table.add_column("interface")
    for column in ("seen", "matched", "forward", "reverse", "bytes"):
        table.add_column(column, justify="right")
    rows = list(zip(names, accounts, strict=True))
    if len(rows) > 1:
        rows.append(("all", total(accounts)))
    for name, account in rows:
        both = account.both
        table.add_row(
            name,
            f"{account.seen:,}",
            f"{both.matched:,}",
            f"{account.forward.written:,}",
            f"{account.reverse.written:,}",
            format_size(both.written_bytes),
        )
    return table
