"""Pods that are meant -> the interfaces where their packets pass, now and while a capture runs."""
