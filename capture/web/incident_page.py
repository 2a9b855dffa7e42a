"""A session -> every answer that its page needs, by address, so that the page can be opened without the server."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any

_PACKETS = 400
"""Packets whose details go into the file."""

Ask = Callable[[str], Any]
"""(path below /api/, with its query) -> the answer, plain values or bytes."""


def answers(session: int, ask: Ask) -> dict[str, Any]:
    """Return the answers of a session."""
    status = ask("status") | {"done": True, "live": False}
    found: dict[str, Any] = {"/api/status": status}
    listed = ask(f"sessions?filter=session%3D{session}&groups=1")
    found["/api/sessions"] = listed | {"place": 0}
    findings = ask("findings")
    mine = [one for one in findings["findings"] if any(e["session"] == session for e in one["evidence"])]
    found["/api/findings"] = findings | {"findings": mine}
    for path in (f"session/{session}", f"session/{session}/ladder", f"session/{session}/streams"):
        found[f"/api/{path}"] = ask(path)
    if found[f"/api/session/{session}/ladder"]["other"]:
        found[f"/api/session/{session}/two"] = ask(f"session/{session}/two")
    for below in ("trip", "flight", "throughput"):
        plot = ask(f"session/{session}/sequence?width=1000&below={below}")
        found[f"/api/session/{session}/sequence#{below}"] = b64encode(plot).decode()
    packets = ask(f"packets?session={session}&count=500")
    found["/api/packets"] = packets
    for row in packets["rows"][:_PACKETS]:
        found[f"/api/packet/{row['n']}"] = ask(f"packet/{row['n']}")
        found[f"/api/where/{row['n']}"] = {"packet": row["n"], "session": session}
    found["/api/complete"] = []
    found["/api/export/pcapng"] = b64encode(ask(f"export/pcapng?sessions={session}")).decode()
    return found
