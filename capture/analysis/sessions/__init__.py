"""Batches of packets -> tables of sessions, with their verdicts, and samples of how long things took.

`tracker` is the door; `session_table` says what users get, `open_table` what the loops keep meanwhile. May import
`packets`. Words for what is in the tables belong in `query`, sums over many sessions in `latency` and `diagnose`.
"""
