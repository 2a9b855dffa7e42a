"""`python -m bench.drain TIMES`: merge and frame synthetic rings so many times; prints the packets of one time.

Run by bench.guard under valgrind, whose instruction count does not depend on what else the machine does.
"""

import sys

from bench.many_cpus import fill
from capture.stream import merge

_MEMORY = 1 << 20


def main() -> None:
    merge.compiled()
    rings = fill(2, 64, "bursts", _MEMORY)
    for _ in range(int(sys.argv[1])):
        rings.drain()
    print(rings.packets)


if __name__ == "__main__":
    main()
