"""Arrays: names for their types, compilation by numba, and operations on tables that numpy lacks or does slowly.

May import numpy, numba, `units` (amounts as text) and `errors`. Knows nothing of packets or captures: code that
names a field of a table belongs to the package that owns the table.
"""
