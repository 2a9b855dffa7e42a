"""Reasons of the kernel -> classes by reason and place, and their text in a file and back."""

import pytest

from capture.wire.drop_reasons import KernelReason, ReasonClass, parse_reason

CLASSES = [
    (KernelReason("dropped", "NETFILTER_DROP", "nft_do_chain"), ReasonClass.POLICY),
    (KernelReason("dropped", "SOCKET_RCVBUFF", "udp_queue_rcv_one_skb"), ReasonClass.FULL),
    (KernelReason("dropped", "IP_RPFILTER", "ip_rcv_finish_core"), ReasonClass.ROUTING),
    (KernelReason("dropped", "IP_INHDR", "ip_forward"), ReasonClass.ROUTING),
    (KernelReason("dropped", "IP_INHDR", "ip_rcv_core"), ReasonClass.BROKEN),
    (KernelReason("dropped", "NO_SOCKET", "__udp4_lib_rcv"), ReasonClass.NOBODY),
    (KernelReason("dropped", "NO_SOCKET", "ping_rcv"), ReasonClass.END),
    (KernelReason("dropped", "NO_SOCKET", "cookie_v4_check"), ReasonClass.FULL),
    (KernelReason("dropped", "QUEUE_PURGE", "sk_stream_kill_queues"), ReasonClass.END),
    (KernelReason("dropped", "TCP_OLD_DATA", "tcp_data_queue"), ReasonClass.TCP),
    (KernelReason("dropped", "NOT_SPECIFIED", "veth_xdp_rcv_skb"), ReasonClass.POLICY),
    (KernelReason("dropped", "NOT_SPECIFIED", "ip_error"), ReasonClass.ROUTING),
    (KernelReason("dropped", "NOT_SPECIFIED", "tcp_v4_rcv"), ReasonClass.UNKNOWN),
    (KernelReason("dropped", "SOMETHING_NEW"), ReasonClass.UNKNOWN),
    (KernelReason("reset", "NO_SOCKET"), ReasonClass.NOBODY),
    (KernelReason("reset", "TCP_STATE"), ReasonClass.APPLICATION),
    (KernelReason("reset-by-peer", "PEER_RESET"), ReasonClass.APPLICATION),
]


@pytest.mark.parametrize(("reason", "kind"), CLASSES, ids=[str(case[0]) for case in CLASSES])
def test_the_class_of_a_reason_depends_on_its_place(reason: KernelReason, kind: ReasonClass) -> None:
    assert reason.kind is kind
    assert parse_reason(f"{reason}: a sentence") == reason


@pytest.mark.parametrize("text", ["", "a comment", "dropped", "dropped by hand", "reset \x1b[31m (red)"])
def test_other_comments_are_no_reasons(text: str) -> None:
    assert parse_reason(text) is None
