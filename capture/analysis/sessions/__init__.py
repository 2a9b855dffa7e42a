"""Batches of packets -> tables of sessions with their verdicts, and of latency samples.

The entry point is `tracker`; `session_table` declares the tables that users get, `open_table` the tables of sessions
that have not ended. May import `packets`. Words for numbers in the tables belong in `query`, sums over many sessions
in `latency` and `diagnose`.
"""
