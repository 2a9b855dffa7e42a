"""Blocks -> files, pipes and the JSON summary beside them."""
