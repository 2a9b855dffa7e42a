"""Loops over packets that update the rows of open sessions. Compiled by numba; modules do not call in cycles."""
