"""Capture files -> packets, sessions and findings as numpy arrays. Reads pcapng and pcap, never the kernel."""
