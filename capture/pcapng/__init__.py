"""pcapng blocks <-> bytes. Never a descriptor or a path."""
