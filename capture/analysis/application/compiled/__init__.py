"""Loops over payload: DNS, TLS, HTTP/1, QUIC. Compiled by numba; they read only what they are given."""
