"""Compiled loops that compiled loops of several packages call."""
