"""One session of a file -> what its two sides said, in order, with gaps where bytes are missing.

`followed` is the door, `dialogue` has both sides, `reassembly` is of one. This is Python for each packet, but of one
session. May import `packets` and `sessions`. How it is shown belongs in `views`.
"""
