"""Fresh seeds, one round of the random tests after another until the time is over -> what they find, shrunk.

A round is what `make test` runs with its fixed seed: rules and expressions against libpcap, the laws of matching and
of sampling, every property. What fails is shown at once, with the line that repeats it; the exit code is 1 then.
"""

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time

GRACE_SECONDS = 60
"""So long may a round take to tell what it has found, once its time is over."""


def words(seed: int) -> list[str]:
    """The command of one round, without what goes into its environment."""
    return [sys.executable, "-m", "pytest", "-q", "-n", "auto", "-m", "random", f"--hypothesis-seed={seed}", "tests"]


def explore(seed: int, seconds: float) -> str:
    """Run one round for so long at most; what it said if it found something, else nothing."""
    round_ = subprocess.Popen(
        words(seed),
        env=os.environ | {"BICAP_SEED": str(seed)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = round_.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        round_.send_signal(signal.SIGINT)  # pytest tells then what has failed so far
        try:
            said, _ = round_.communicate(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            said = ""
        failed = "\nFAILED " in said or "\nERROR " in said
    else:
        failed = round_.returncode != 0
    finally:
        with contextlib.suppress(ProcessLookupError):  # the usual case: all have ended
            os.killpg(round_.pid, signal.SIGKILL)
        round_.wait()
    return said if failed else ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.explore", description=__doc__)
    asked = os.environ.get("EXPLORE_SECONDS") or "3600"
    parser.add_argument("--seconds", type=float, default=asked, help="how long (EXPLORE_SECONDS, or an hour)")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # jobs in the background ignore it
    ends = time.monotonic() + parser.parse_args().seconds
    rounds, found = 0, []
    while (left := ends - time.monotonic()) > 0:
        seed = secrets.randbelow(1 << 32)
        print(f"round {rounds + 1}: BICAP_SEED={seed}", flush=True)
        said = explore(seed, left)
        rounds += 1
        if said:
            found.append(seed)
            print(f"{said}\nagain: BICAP_SEED={seed} {' '.join(words(seed))}", flush=True)
    print(f"{rounds} rounds; found something with {len(found)} seeds: {', '.join(map(str, found)) or 'none'}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
