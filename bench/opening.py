"""`python -m bench.opening`: how soon the page of `bicap web` has its rows, beside `bicap sessions` on the same file.

Both read one file in turn, in processes of their own; then the page opens it again by its index. Times are from the
start of the process, so that Python's imports count; those of the imports alone stand beside them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from bench.markdown import markdown
from capture.benchmark.process import BICAP
from testbed.sessions_file import write

PACKETS_EACH, SNAPLEN = 25, 128
_POLL_S = 0.02


def page(file: Path) -> tuple[float, float, float]:
    """Return seconds from the start of `bicap web` to its address, to its first rows, and to all of them."""
    began = time.perf_counter()
    words = [BICAP, "web", "--no-browser", str(file)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "#token=" in line)
        address, _, token = line.split()[-1].partition("#token=")
        listening, first = time.perf_counter() - began, 0.0
        try:
            while True:
                status = _status(address, token)
                now = time.perf_counter() - began
                first = first or (now if status["sessions"] else 0.0)
                if status["done"]:
                    break
                time.sleep(_POLL_S)
            while not Path(f"{file}.bicap-index").exists():
                time.sleep(_POLL_S)
        finally:
            process.terminate()
    return listening, first, now


def _status(address: str, token: str) -> Any:
    with urlopen(Request(f"{address}api/status", headers={"X-Bicap-Token": token})) as answer:
        return json.load(answer)


def _took(words: list[str]) -> float:
    began = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.opening", description=__doc__)
    parser.add_argument("--sessions", type=int, default=200_000, help=f"of {PACKETS_EACH} packets each")
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bicap-opening-") as temporary:
        file = Path(temporary) / "sessions.pcapng"
        packets = write(file, given.sessions, snaplen=SNAPLEN, first=PACKETS_EACH)
        index = Path(f"{file}.bicap-index")
        print(f"{packets:,} packets, {given.sessions:,} sessions, load {os.getloadavg()[0]:.1f}\n", flush=True)
        rows = []
        for _ in range(given.repeat):
            index.unlink(missing_ok=True)
            command = _took([BICAP, "sessions", str(file)])
            _, first, complete = page(file)
            size = index.stat().st_size / packets
            listening, _, again = page(file)
            imports = _took([sys.executable, "-c", "import capture.web.app, capture.web.serve"])
            numbers = (
                command,
                first,
                complete,
                complete / command,
                listening,
                again,
                again - listening,
                imports,
                size,
            )
            rows.append([f"{number:.2f}" for number in numbers])
        print(
            markdown(
                (
                    "bicap sessions, s",
                    "page: first rows, s",
                    "all rows, s",
                    "ratio",
                    "again: address, s",
                    "again: all rows, s",
                    "rows after address, s",
                    "imports alone, s",
                    "index, bytes per packet",
                ),
                rows,
            )
        )


if __name__ == "__main__":
    main()
