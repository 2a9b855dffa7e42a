"""Files of several points -> delays and losses of packets between them.

`observe` reads files; `comparison` uses `pairing` to find a packet at other points, `joined` for its session,
`routes` for the order of points, `clocks` for their offsets. May import `packets`, `sessions` and `latency`. Results
that need one point only belong in those.
"""
