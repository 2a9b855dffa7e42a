"""Places in a session, or in the whole file -> rows of its packets: what stands in a line of `bicap read`."""

from typing import Any

import numpy as np

from capture.arrays.rows import picked
from capture.views.moments import Clock, TimeForm
from capture.views.packet_lines import PacketLines
from capture.web.kept_exchanges import KeptExchanges
from capture.web.opened import SERVER_SIDE, Opened


def packet_rows(opened: Opened, exchanges: KeptExchanges, session: int, start: int, count: int) -> dict[str, Any]:
    """Return `count` packets from place `start` on, of a session, or of the file if it is 0."""
    seen = opened.packets.rows
    if session:
        exchanges.check(session)
        numbers = opened.numbers_of(session)
        total = len(numbers)
        numbers = numbers[start : start + count]
    else:
        total = len(seen)
        numbers = np.arange(start + 1, min(start + count, total) + 1)
    rows: list[dict[str, Any]] = []
    if not len(numbers):
        return {"total": total, "from": start, "rows": rows}
    lines = PacketLines(opened.description, names=True, clock=Clock(TimeForm.RELATIVE), some=True)
    for batch in exchanges.batches(numbers):
        mine = picked(batch.packets, np.isin(batch.packets["number"], numbers))
        if not len(mine):
            continue
        known = seen[mine["number"] - 1]
        mine["session"], mine["side"] = known["session"], known["size"] >= SERVER_SIDE
        texts = lines.lines(mine).splitlines()
        for text, row in zip(texts, mine, strict=True):
            _, _, said = text.partition(" IP")
            ends, _, what = said.lstrip("6").strip().partition(": ")
            rows.append(
                {
                    "n": int(row["number"]),
                    "t": int(row["time_ns"]) - opened.first_ns,
                    "session": int(row["session"]),
                    "side": int(row["side"]),
                    "ends": ends if what else "",
                    "text": what or (text.partition(" no IP")[2] and "no IP" + text.partition(" no IP")[2]),
                    "size": int(row["original"]),
                }
            )
    return {"total": total, "from": start, "rows": rows}
