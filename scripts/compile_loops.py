"""`python -m scripts.compile_loops`: all loops that commands call -> compiled, and kept for the next start."""

import argparse

from capture.analysis.application import messages
from capture.analysis.exchange import packets_of
from capture.analysis.sessions import tracker
from capture.stream import remembered
from capture.stream.compiled import portions
from capture.views import excerpt


def main() -> None:
    argparse.ArgumentParser(prog="python -m scripts.compile_loops", description=__doc__).parse_args()
    for module in (portions, remembered, tracker, messages, excerpt, packets_of):
        module.compiled()


if __name__ == "__main__":
    main()
