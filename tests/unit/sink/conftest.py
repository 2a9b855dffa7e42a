"""Fixtures that the tests of sinks share."""

from tests.unit.sink.failing import failing

__all__ = ["failing"]
