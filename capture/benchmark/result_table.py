"""Results -> a table per load, for a terminal."""

import statistics

from capture.benchmark.results import Line, Results, spread

COLUMNS = ("tool", "Mpps", "sender ns", "added ns", "CPU ns", "node ns", "ratio", "lost", "file MB", "RSS MiB")


def rows(results: Results, load: str) -> list[tuple[str, ...]]:
    """One row per tool, a text per column."""
    return [_row(results, line) for line in results.tools(load)]


def _row(results: Results, line: Line) -> tuple[str, ...]:
    ns = statistics.median(line.sender_ns)
    begin = (line.tool, f"{1000 / ns:.2f}", spread(line.sender_ns))
    if not line.cpu_ns:
        return (*begin, *[""] * (len(COLUMNS) - len(begin)))
    return (
        *begin,
        text(results.added_ns(line.load, line.tool)),
        spread(line.cpu_ns),
        text(results.node_ns(line.load, line.tool)),
        text(results.node_ratio(line.load, line.tool), 2),
        f"{line.lost_most:,}",
        f"{line.file_bytes[0] / 1e6:,.0f}",
        f"{max(line.rss_mib):,.0f}",
    )


def text(value: float | None, digits: int = 0) -> str:
    """The value with so many digits, "" if there is none."""
    return "" if value is None else f"{value:,.{digits}f}"


def as_text(results: Results) -> str:
    """For a terminal."""
    parts = []
    for load in results.loads:
        found = [COLUMNS, *rows(results, load)]
        widths = [max(len(row[at]) for row in found) for at in range(len(COLUMNS))]
        lines = ["  ".join(_cell(at, cell, widths[at]) for at, cell in enumerate(row)).rstrip() for row in found]
        parts.append("\n".join([f"{load}: {_heading(results, load)}", *lines]))
    return "\n\n".join(parts)


def _cell(at: int, cell: str, width: int) -> str:
    return cell.ljust(width) if at == 0 else cell.rjust(width)


def _heading(results: Results, load: str) -> str:
    line = results.tools(load)[0]
    dropped = max((most for tool in results.tools(load) for most in tool.dropped), default=0)
    note = f"; the link itself dropped up to {dropped:,}" if dropped else ""
    return f"{line.sent:,} packets of {line.size} bytes, {len(line.sender_ns)} runs; median (least-most){note}"
