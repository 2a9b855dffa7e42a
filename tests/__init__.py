"""Tests, a folder for each tier (CONTRIBUTING.md), and the searches for disagreements.

What they may import: `capture`, `testbed`, `scripts`, and `bench` only to test it (`tests.unit.bench`). A tier
may know what those before it made for themselves; what has no tier is in `testbed`.
"""
