"""Files of several points -> between which of them packets were how long, and between which they were lost.

`observe` reads files, `comparison` does the rest: `pairing` finds a packet again, `joined` its session, `routes` the
order of points, `clocks` how far these are apart. May import `packets`, `sessions` and `latency`. What one point
alone can tell belongs elsewhere.
"""
