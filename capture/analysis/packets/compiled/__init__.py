"""Loops over bytes: link layers, IP and above, tunnels. Compiled by numba; no object of Python goes in."""
