"""The NodeCaptures of one node -> captures in processes of their own, and their files in a folder for each.

    NodeCapture ─▶ agent ─ document ─▶ nursery ─ fork ─▶ child: one part of the capture
         status ◀─────── progress, summary ────────────────┘
                   pods, as the API server and the runtime know them ─▶ a file that the child follows

A capture may have several parts: when agent, child or node died, the next part goes on with what is left of the
limits. What is known of the parts is in the folder of the capture (`state.py`), so that an agent that starts again
runs nothing twice and forgets nothing.

It may import `nursery`, `cluster` and what is below them. Which captures there should be is decided by the
controller (`cluster`); how packets are caught, by `run`.
"""
