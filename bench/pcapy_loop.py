"""What a capture tool in Python usually is: pcapy-ng, one call and one copy per packet. Run by bench.tools.

python bench/pcapy_loop.py INTERFACE SNAPLEN RING_MIB FILE [EXPRESSION]
"""

import contextlib
import select
import signal
import sys

import pcapy

interface, snaplen, ring_mib, file = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
capture = pcapy.create(interface)
capture.set_snaplen(snaplen)
capture.set_promisc(False)
capture.set_timeout(100)
capture.set_buffer_size(ring_mib << 20)
capture.activate()
if sys.argv[5:]:
    capture.setfilter(sys.argv[5])
capture.setnonblock(True)
dump = capture.dump_open(file)
ended = False


def end(*_: object) -> None:
    global ended
    ended = True


signal.signal(signal.SIGINT, end)
print("listening", flush=True)
while not ended:
    with contextlib.suppress(InterruptedError):
        select.select([capture.getfd()], [], [], 0.1)
    capture.dispatch(10_000, dump.dump)
