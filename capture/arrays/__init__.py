"""Arrays: names for their types, the door to numba, and what numpy does slowly or not at all with tables.

May import numpy, numba, `units` (amounts in words) and `errors`. Knows nothing of packets or captures: what has a
field's name in it belongs to the room that owns the table.
"""
