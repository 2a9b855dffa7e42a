"""Programs that the Makefile runs: the demo, and what generates documents and the CRD.

What they may import: `capture` and `testbed`. Nothing but a test imports them, and they are not installed.
"""
