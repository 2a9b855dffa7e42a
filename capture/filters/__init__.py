"""Five-tuple rules, lists of conversations, tcpdump expressions -> C, map entries, and text that describes the
match."""
