"""The loops over blocks and records of a file. Compiled by numba."""
