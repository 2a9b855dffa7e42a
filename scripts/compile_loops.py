"""`python -m scripts.compile_loops`: all loops that commands call -> compiled, and kept for the next start."""

import argparse

from testbed.loops import compile_loops


def main() -> None:
    argparse.ArgumentParser(prog="python -m scripts.compile_loops", description=__doc__).parse_args()
    compile_loops()


if __name__ == "__main__":
    main()
