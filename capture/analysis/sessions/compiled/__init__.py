"""Loops over packets that keep the rows of open sessions. Compiled by numba; one that calls another is above it."""
