"""The kernel's reasons for a drop or a reset -> their class, a sentence and a remedy; and their text in a file.

A reason alone says too little: the same name stands for different things at different places. So the class depends on
the reason, the place that gave it, and whether the packet was dropped or a connection reset. Names are those of the
kernel's enum skb_drop_reason and sk_rst_reason without their prefix; which of them a kernel has is for it to say.
"""

import re
from dataclasses import dataclass
from enum import StrEnum


class ReasonClass(StrEnum):
    """What a reason means for the one whose packet it was."""

    POLICY = "policy"
    "a rule forbids it"
    FULL = "full"
    "a queue or a buffer had no room"
    ROUTING = "routing"
    "there is no way to its destination"
    BROKEN = "broken"
    "the packet is damaged or malformed"
    NOBODY = "nobody"
    "nobody receives it there"
    APPLICATION = "application"
    "an application or the peer ended the connection"
    TCP = "tcp"
    "TCP's own housekeeping: its bytes had arrived, or come again"
    END = "end"
    "the end of what nobody wanted any more: no loss"
    UNKNOWN = "unknown"
    "the kernel gives no reason"


LOSSES = frozenset({
    ReasonClass.POLICY, ReasonClass.FULL, ReasonClass.ROUTING, ReasonClass.BROKEN, ReasonClass.NOBODY,
})  # fmt: skip
"""Classes of drops that are findings."""

EVENTS = "bicap: packets that the kernel dropped, and those of resets; the comments say why"
"""Description of the interface of such packets in a file; by this it is known."""
DROPPED, RESET, PEER_RESET = "dropped", "reset", "reset-by-peer"
"""Words for what happened: the first of a text in a file."""

_CLASSES = {
    ReasonClass.POLICY: "NETFILTER_DROP TC_INGRESS TC_EGRESS TC_COOKIE_ERROR TC_CHAIN_NOTFOUND TC_RECLASSIFY_LOOP "
    "XDP BPF_CGROUP_EGRESS SECURITY_HOOK SOCKET_FILTER IPV6DISABLED TCP_MD5NOTFOUND TCP_MD5UNEXPECTED TCP_MD5FAILURE "
    "TCP_AONOTFOUND TCP_AOUNEXPECTED TCP_AOFAILURE TCP_MINTTL XFRM_POLICY VLAN_FILTER",
    ReasonClass.FULL: "SOCKET_RCVBUFF SOCKET_BACKLOG PROTO_MEM QDISC_DROP QDISC_OVERLIMIT QDISC_CONGESTED "
    "CPU_BACKLOG FULL_RING TCP_LISTEN_OVERFLOW NOMEM NEIGH_QUEUEFULL FQ_BAND_LIMIT FQ_HORIZON_LIMIT FQ_FLOW_LIMIT "
    "CAKE_FLOOD FRAG_REASM_TIMEOUT TCP_BACKLOG",
    ReasonClass.ROUTING: "IP_INNOROUTES IP_OUTNOROUTES IP_RPFILTER IP_LOCALNET IP_LOCAL_SOURCE IP_INVALID_SOURCE "
    "IP_INVALID_DEST IP_INADDRERRORS NEIGH_FAILED NEIGH_CREATEFAIL NEIGH_DEAD PKT_TOO_BIG ICMP_CSUM_ROUTE "
    "IP_TUNNEL_ECN VXLAN_NO_REMOTE VXLAN_ENTRY_EXISTS VXLAN_INVALID_HDR",
    ReasonClass.BROKEN: "IP_CSUM UDP_CSUM TCP_CSUM ICMP_CSUM SKB_CSUM IP_INHDR PKT_TOO_SMALL HDR_TRUNC DUP_FRAG "
    "FRAG_TOO_FAR UNICAST_IN_L2_MULTICAST IP_INVALID_OPTIONS INVALID_PROTO IPV6_BAD_EXTHDR DEV_HDR SKB_UCOPY_FAULT "
    "TCP_INVALID_SYN TCP_FLAGS",
    ReasonClass.NOBODY: "NO_SOCKET UNHANDLED_PROTO IP_NOPROTO OTHERHOST TAP_FILTER DEV_READY",
    ReasonClass.TCP: "TCP_OLD_DATA TCP_OLD_SEQUENCE TCP_OLD_ACK TCP_OFOMERGE TCP_OVERWINDOW TCP_ZEROWINDOW TCP_RESET "
    "TCP_INVALID_SEQUENCE TCP_INVALID_END_SEQUENCE TCP_INVALID_ACK_SEQUENCE TCP_TOO_OLD_ACK TCP_ACK_UNSENT_DATA "
    "TCP_RFC7323_PAWS TCP_RFC7323_PAWS_ACK TCP_RFC7323_TW_PAWS TCP_FASTOPEN TCP_ABORT_ON_DATA",
    ReasonClass.END: "QUEUE_PURGE SOCKET_CLOSE TCP_CLOSE TCP_OFO_QUEUE_PRUNE TCP_OFO_DROP PACKET_SOCK_ERROR "
    "IPV6_NDISC_BAD_OPTIONS IP_INVALID_MULTICAST UNIX_DISCONNECT UNIX_SKIP_OOB",
}  # fmt: skip
_BY_NAME = {name: kind for kind, names in _CLASSES.items() for name in names.split()}
_BY_PLACE = {
    ("NO_SOCKET", "ping_rcv"): ReasonClass.END,
    ("NO_SOCKET", "icmp_rcv"): ReasonClass.END,
    ("NO_SOCKET", "cookie_v4_check"): ReasonClass.FULL,
    ("NO_SOCKET", "cookie_v6_check"): ReasonClass.FULL,
    ("IP_INHDR", "ip_forward"): ReasonClass.ROUTING,
    ("IP_INHDR", "ip6_forward"): ReasonClass.ROUTING,
    ("NOT_SPECIFIED", "veth_xdp_rcv_skb"): ReasonClass.POLICY,
    ("NOT_SPECIFIED", "do_xdp_generic"): ReasonClass.POLICY,
    ("NOT_SPECIFIED", "ip_error"): ReasonClass.ROUTING,
    ("NOT_SPECIFIED", "ip6_pkt_discard"): ReasonClass.ROUTING,
    ("NOT_SPECIFIED", "ip6_pkt_prohibit"): ReasonClass.ROUTING,
    ("NOT_SPECIFIED", "bpf_prog_test_run_skb"): ReasonClass.END,
}
_RESETS = {
    "NO_SOCKET": ReasonClass.NOBODY,
    "TCP_LISTEN_OVERFLOW": ReasonClass.FULL,
    "TCP_MEMORY": ReasonClass.FULL,
    "TCP_ABORT_ON_MEMORY": ReasonClass.FULL,
    "TCP_KEEPALIVE_TIMEOUT": ReasonClass.TCP,
    "TCP_INVALID_ACK_SEQUENCE": ReasonClass.TCP,
    "INVALID_SYN": ReasonClass.BROKEN,
    "TCP_FLAGS": ReasonClass.BROKEN,
}
_NEXT = {
    ReasonClass.POLICY: "look at the rules of this node: nft list ruleset, iptables-save -c, NetworkPolicies, "
    "tc filter show, bpftool net",
    ReasonClass.FULL: "the receiver is slower than what comes: look at nstat, ss -tmn, tc -s qdisc there, and at the "
    "CPU limits of the pod",
    ReasonClass.ROUTING: "look at the routes of that network namespace: ip route get, ip neigh, rp_filter, MTUs",
    ReasonClass.BROKEN: "look at what makes these packets: checksum offload (ethtool -k), tunnels, a broken sender",
    ReasonClass.NOBODY: "is the server running, does it listen on this address and port, in this pod?",
    ReasonClass.APPLICATION: "the application closed before it had read everything, or was killed: look at its log",
}
_SENTENCES = {
    "NETFILTER_DROP": "a rule of nftables or iptables drops it",
    "TC_INGRESS": "a program or filter of tc drops it on arrival",
    "TC_EGRESS": "a program or filter of tc drops it on the way out",
    "SOCKET_FILTER": "the socket's own filter refuses it",
    "NO_SOCKET": "no socket listens there",
    "SOCKET_RCVBUFF": "the socket's receive buffer is full",
    "TCP_LISTEN_OVERFLOW": "the listener's accept queue is full",
    "QDISC_DROP": "the queue of the device is full, or the device is down",
    "NEIGH_FAILED": "the next hop does not answer ARP or neighbour discovery",
    "NEIGH_QUEUEFULL": "too many packets wait for the next hop's address",
    "IP_RPFILTER": "it came by another way than its answer would take (rp_filter)",
    "PKT_TOO_BIG": "it is larger than the MTU of the next link",
    "TCP_CSUM": "its TCP checksum is wrong",
    "UDP_CSUM": "its UDP checksum is wrong",
    "IP_CSUM": "its IP checksum is wrong",
    "TCP_ABORT_ON_CLOSE": "the application closed with data unread",
    "TCP_STATE": "the application closed at once (SO_LINGER 0), or its listener with connections in the queue",
    "TCP_ABORT_ON_DATA": "data came for a connection that the application had closed",
    "TCP_TIMEWAIT_SOCKET": "data came for a connection that is over",
    "TCP_KEEPALIVE_TIMEOUT": "the peer answered no keep-alive",
}


KNOWN_REASONS = tuple(sorted({*_BY_NAME, *_RESETS, *_SENTENCES}))
"""Reasons that this table knows; a kernel may have others."""


def reason_class(what: str, reason: str, place: str) -> ReasonClass:
    """Return the class of a reason; `what` is dropped, reset or reset-by-peer, `place` the kernel's function."""
    if what == PEER_RESET:
        return ReasonClass.APPLICATION
    if what == RESET:
        return _RESETS.get(reason, ReasonClass.APPLICATION)
    return _BY_PLACE.get((reason, place)) or _BY_NAME.get(reason, ReasonClass.UNKNOWN)


@dataclass(frozen=True, slots=True)
class KernelReason:
    """What the kernel did, why, where, and in which network namespace (0: unknown)."""

    what: str
    reason: str
    place: str = ""
    netns: int = 0

    @property
    def kind(self) -> ReasonClass:
        """Class of the reason."""
        return reason_class(self.what, self.reason, self.place)

    @property
    def sentence(self) -> str:
        """Meaning of the reason, in words."""
        if self.reason == "NO_SOCKET" and self.kind is ReasonClass.FULL:
            return "the listener's accept queue is full, and so are its half-open connections (SYN cookies)"
        if self.reason == "IP_INHDR" and self.kind is ReasonClass.ROUTING:
            return "its TTL is used up"
        if self.reason == "NOT_SPECIFIED" and self.kind is ReasonClass.POLICY:
            return "an XDP program drops it"
        if self.reason == "NOT_SPECIFIED" and self.kind is ReasonClass.ROUTING:
            return "a blackhole or prohibit route"
        return _SENTENCES.get(self.reason, "")

    @property
    def remedy(self) -> str:
        """What to look at next; "" if nothing."""
        return _NEXT.get(self.kind, "")

    def __str__(self) -> str:
        at = f" at {self.place}" if self.place else ""
        netns = f", netns {self.netns}" if self.netns else ""
        return f"{self.what} {self.reason} ({self.kind}){at}{netns}"


_TEXT = re.compile(r"(dropped|reset|reset-by-peer) (\w{1,80}) \(\w+\)(?: at ([\w.]{1,120}))?(?:, netns (\d{1,10}))?")


def parse_reason(text: str) -> KernelReason | None:
    """Return the reason of a comment that bicap wrote; None for other comments."""
    found = _TEXT.match(text)
    return None if found is None else KernelReason(found[1], found[2], found[3] or "", int(found[4] or 0))
