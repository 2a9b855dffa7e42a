"""Five-tuple rules, lists of conversations, tcpdump expressions -> C, map entries, and the text of what matches."""
