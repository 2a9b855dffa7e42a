"""Capture files -> packets, sessions and findings, as numpy arrays. Reads files, never the kernel."""
