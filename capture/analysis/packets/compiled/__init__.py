"""Loops over bytes: link layers, IP and above, tunnels. Compiled by numba; arguments are arrays and numbers only."""
