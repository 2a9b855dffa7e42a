"""Loops that several rooms call from loops of their own. Compiled by numba."""
