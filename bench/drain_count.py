"""Synthetic rings, merged so many times -> the packets of one time.

Run by bench.guard under valgrind, whose instruction count does not depend on what else the machine does.
"""

import argparse

from bench.many_cpus import fill
from capture.stream.compiled.portions import compiled

_MEMORY = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.drain_count", description=__doc__)
    parser.add_argument("times", type=int)
    times = parser.parse_args().times
    compiled()
    rings = fill(2, 64, "bursts", _MEMORY)
    for _ in range(times):
        rings.drain()
    print(rings.packets)


if __name__ == "__main__":
    main()
