"""A mix of sizes -> packets of both directions of many conversations at one interface, one after another.

    va ─▶ vb              vb receives (tc ingress)
    wa ─▶ wb ─▶ vb ─▶     vb sends (tc egress), if wb forwards to vb

Packets alternate between the two ways: the interface sees a packet of a conversation, then an answer of that size.
"""

from collections.abc import Sequence

from capture.benchmark.senders import FLOWS_MAX, TimedSender

_PROGRAM = """
static long (*adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;
static long (*redirect)(u32 ifindex, u64 flags) = (void *)23;

static u32 size_of(u32 number) {
    switch (number) {
SIZES
    }
    return LARGEST;
}

int transmit(struct xdp_md *ctx) {
    u32 only = 0;
    struct position *position = positions.lookup(&only);
    if (!position)
        return XDP_ABORTED;
    u32 answer = position->packets & 1;
    count(position);
    u32 flow = position->flow, number = position->content;
    if (answer) {
        position->flow = flow + 1 == FLOWS ? 0 : flow + 1;
        position->content = number + 1 == COUNT ? 0 : number + 1;
    }
    u32 size = size_of(number);
    if (adjust_tail(ctx, (int)size - LARGEST))
        return XDP_ABORTED;
    u8 *frame = (u8 *)(long)ctx->data;
    if (frame + HEADERS > (u8 *)(long)ctx->data_end)
        return XDP_ABORTED;
    *(u16 *)(frame + 16) = __builtin_bswap16(size - 14);
    *(u16 *)(frame + 38) = __builtin_bswap16(size - 34);
    u32 client = __builtin_bswap32(10 << 24 | flow), server = __builtin_bswap32(SERVER);
    u16 client_port = __builtin_bswap16(1024 + (flow & 0x7fff)), server_port = __builtin_bswap16(2000);
    *(u32 *)(frame + 26) = answer ? server : client;
    *(u32 *)(frame + 30) = answer ? client : server;
    *(u16 *)(frame + 34) = answer ? server_port : client_port;
    *(u16 *)(frame + 36) = answer ? client_port : server_port;
    return answer ? redirect(BACK, 0) : XDP_TX;
}
"""
_SERVER = 10 << 24 | 200 << 16 | 1
"""10.200.0.1, as frames.udp has it."""


class MixSender(TimedSender):
    """Pair i of packets, there and back, is of conversation i modulo `flows`, and has size i modulo their number.

    `frame` has the largest of the sizes. Answers leave by the interface `back`.
    """

    def __init__(self, ifindex: int, frame: bytes, back: int, sizes: Sequence[int], flows: int) -> None:
        assert 0 < flows <= FLOWS_MAX, "the number of a conversation is the last 24 bits of an address"
        assert len(frame) == max(sizes), "frames are cut to their sizes"
        cases = "\n".join(f"    case {number}: return {size};" for number, size in enumerate(sizes))
        macros = {"FLOWS": flows, "COUNT": len(sizes), "LARGEST": max(sizes), "BACK": back, "SERVER": _SERVER}
        super().__init__(ifindex, frame, _PROGRAM.replace("SIZES", cases), macros)
