"""What runs now -> one line of a terminal, overwritten by the next."""

import sys


def progress(text: str) -> None:
    """Show it, or clear the line with ""."""
    if sys.stderr.isatty():
        print(f"\r{text:78.78}\r", end="", file=sys.stderr, flush=True)
