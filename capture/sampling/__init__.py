"""Sampling of the packets that matched: values, the texts of options for them, and their C."""
