"""What a capture tool in Python usually is: pcapy-ng, one call and one copy per packet. Run by bench.peers."""

import argparse
import contextlib
import select
import signal


def main() -> None:
    parser = argparse.ArgumentParser(prog="python bench/pcapy_loop.py", description=__doc__)
    for word, kind in (("interface", str), ("snaplen", int), ("ring_mib", int), ("file", str)):
        parser.add_argument(word, type=kind)
    parser.add_argument("expression", nargs="?")
    asked = parser.parse_args()
    import pcapy  # of the extra `bench`; nobody needs it to be told what this is

    capture = pcapy.create(asked.interface)
    capture.set_snaplen(asked.snaplen)
    capture.set_promisc(False)
    capture.set_timeout(100)
    capture.set_buffer_size(asked.ring_mib << 20)
    capture.activate()
    if asked.expression:
        capture.setfilter(asked.expression)
    capture.setnonblock(True)
    dump = capture.dump_open(asked.file)
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGINT, end)
    print("listening", flush=True)
    while not ended:
        with contextlib.suppress(InterruptedError):
            select.select([capture.getfd()], [], [], 0.1)
        capture.dispatch(10_000, dump.dump)


if __name__ == "__main__":
    main()
