"""The loop over the packets of a running capture. Compiled by numba."""
