"""One session of a file -> the bytes of its two sides, in order, with gaps where bytes are missing.

The entry point is `followed`; `dialogue` handles both sides, `reassembly` one of them. Only packets of one session
are handled in plain Python. May import `packets`, `sessions` and `filters` (five-tuples). Transcripts belong in
`views`.
"""
