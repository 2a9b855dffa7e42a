"""Measurements for developers: bicap beside other tools, and what its parts cost. bench/README.md says how.

What belongs here: a measurement that somebody runs by hand or by `make bench`, and the pages and pictures made of it.

What it may import: `capture` and `testbed`; never `tests`.

What does not belong here: what `bicap bench` needs on a node (`capture.benchmark`). It is not installed.
"""
