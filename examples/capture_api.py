"""Capture one server port of an interface from Python: spec -> plan -> capture -> summary.

    sudo .venv/bin/python examples/capture_api.py veth-client web.pcapng --server :80 --seconds 10

The capture holds the programs, the rings and the file from the beginning of its `with` block to the end, also when
something fails inside: what was caught until then is in the file, which is complete, and the summary says why.
"""

import argparse
import json
import sys

from capture import Capture, CaptureSpec, Rule, describe, errors, open_sink, parse_endpoint, plan_capture


def progress(capture: Capture) -> None:
    """Called while the capture runs: each interface's account is a frozen snapshot of the counters."""
    for interface, account in zip(capture.plan.interfaces, capture.accounts(), strict=True):
        forward, reverse = account.forward.written, account.reverse.written
        print(f"{interface.name}: {account.seen} seen, {forward} forward, {reverse} reverse", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("interface")
    parser.add_argument("file")
    parser.add_argument("--netns", help="network namespace in which the interface lives")
    parser.add_argument("--server", default=":80", help="IP, IP/len, IP:port or :port")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--count", type=int, help="end after so many packets")
    asked = parser.parse_args()

    # What you want. Frozen, and checked when it is made: a wrong value raises SpecError here.
    spec = CaptureSpec(
        interfaces=(asked.interface,),
        netns=asked.netns,
        rules=(Rule(destination=parse_endpoint(asked.server, "--server")),),
        duration_ns=int(asked.seconds * 1e9),
        count=asked.count,
    )

    # What would run for it on this machine. Nothing is loaded yet.
    plan = plan_capture(spec)
    print(json.dumps(describe(plan), indent=2))

    # `run` returns at a limit, when the interface goes away, or when anybody calls `capture.stop("why")`.
    with Capture(plan, open_sink(asked.file)) as capture:
        capture.run(progress, interval=1.0)

    # What became of every packet that came by.
    assert capture.summary is not None
    account = capture.summary.total
    print(f"{account.seen} seen = {account.unmatched} unmatched + {account.both.matched} matched")
    print(f"{account.both.written} written, {account.both.lost} lost; {capture.summary.end_reason}")


if __name__ == "__main__":
    try:
        main()
    except errors.BicapError as error:
        print(f"capture_api: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
