"""Loops over packets and sessions: fingerprints, and sets of joined sessions. Compiled by numba."""
