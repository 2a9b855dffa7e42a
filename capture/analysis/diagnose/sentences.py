"""Groups of sessions in trouble -> what is, and what to look at next, in words; None where it is not worth any."""

from capture.analysis.diagnose.trouble import Context, Group
from capture.analysis.sessions.session_table import Close, Handshake
from capture.units import format_duration, format_size

SLOW_NS = 100_000_000
"""A person notices a longer wait (Nielsen, Usability Engineering, 1993: 0.1 s feels instantaneous)."""
RETRANSMITTED_SHARE, RETRANSMITTED_MIN = 0.01, 3
"""Fewer are what TCP lives with."""
_UDP = 17

CAUSES = {
    Handshake.UNANSWERED: (
        "were not answered",
        "the SYN is dropped on the way, by a firewall or a NetworkPolicy, or the server is gone, or its queue is "
        "full: capture on the server's side and see whether the SYN arrives",
    ),
    Handshake.REFUSED: (
        "were refused by RST",
        "nothing listens there, or a firewall says so: is the server running, is it the right port?",
    ),
    Handshake.UNREACHABLE: (
        "failed by an ICMP error",
        "the packet shows who sent the error and why: look at the routes and rules of that host",
    ),
    Handshake.UNACKNOWLEDGED: (
        "were granted by the server and never acknowledged",
        "the SYN-ACK is dropped between here and the client, or the client's ACK: capture on the client's side",
    ),
    Handshake.ACK_LOST: (
        "were acknowledged, but the server did not hear of it",
        "the ACK is dropped between here and the server, or its accept queue is full: capture on the server's side, "
        "look at nstat TcpExtListenOverflows there",
    ),
    Handshake.ABORTED: (
        "were granted by the server and rejected by the client",
        "the client does not know these connections: a port scan, a health check of half a handshake, or addresses "
        "translated on one way only",
    ),
    Handshake.RESET_AT_ONCE: (
        "were reset as soon as they were made",
        "who accepts does not want them: a proxy without a backend, a health check, TLS spoken to a plain port",
    ),
}


def _sessions(count: int, total: int, what: str) -> str:
    return f"{count:,} of {total:,} {what}"


def failed(group: Group, about: Context) -> tuple[str, str]:
    """Handshakes that failed for one reason."""
    cause = Handshake(group.place.cause)
    what, then = CAUSES[cause]
    where = f"connections to {group.place.server_text(about.names)}"
    if cause is Handshake.UNANSWERED and about.truth.known and not about.truth.complete:
        then = f"{about.truth}: that may be all there is to it; else {then}"
    return f"{_sessions(group.sessions, about.total, where)} {what}", then


def missing(group: Group, about: Context) -> tuple[str, str]:
    """Packets that must have been and are not in the file."""
    where = f"sessions with {group.place.server_text(about.names)}"
    what = f"{_sessions(group.sessions, about.total, where)} lack packets that must have been"
    if group.sums["bytes"]:
        what += f"; {format_size(group.sums['bytes'])} were acknowledged and are not in the file"
    if about.truth.known and not about.truth.complete:
        return what, f"this is the capture, not the network: {about.truth}"
    if about.truth.complete:
        return what, (
            f"{about.truth}, so these packets take another way: capture on all interfaces between the two, and read "
            "with --across-interfaces"
        )
    return what, (
        f"{about.truth}: that is the likely cause; else one direction takes another way: capture on all interfaces"
    )


def black_hole(group: Group, about: Context) -> tuple[str, str]:
    """Large segments that do not arrive."""
    place, size = group.place, group.sums["repeated_bytes"] // max(group.sums["repeated"], 1)
    told = f", though {group.sums['told']:,} were told by ICMP that they are too big" if group.sums["told"] else ""
    return (
        f"large segments from {place.way_text(about.names)} do not arrive in {group.sessions:,} sessions: of some "
        f"{size:,} bytes each, sent again and never acknowledged, while small packets pass{told}",
        "the path has a smaller MTU than the sender believes: try ping -M do -s 1472 along it, compare the MTUs of "
        "pods, nodes and tunnels, let ICMP 'fragmentation needed' through",
    )


def too_big(group: Group, about: Context) -> tuple[str, str]:
    """ICMP errors that a packet is too big."""
    where = f"sessions with {group.place.server_text(about.names)}"
    return (
        f"{_sessions(group.sessions, about.total, where)} got ICMP errors that a packet is too big",
        "that is how a sender learns the path's MTU, once for each path; if it goes on, compare the MTUs of pods, "
        "nodes and tunnels",
    )


def repeated(group: Group, about: Context) -> tuple[str, str] | None:
    """Places where data is lost."""
    again, sent, before = (group.sums[name] for name in ("repeated", "data", "before"))
    if again < RETRANSMITTED_MIN or again < RETRANSMITTED_SHARE * sent:
        return None
    way = group.place.way_text(about.names)
    parts = [
        f"{count:,} were lost {where} here"
        for count, where in ((before, "before they came"), (again - before, "or came late behind"))
        if count
    ]
    then = (
        "lost before here: look at the sender's side of the path"
        if 2 * before > again
        else "lost behind here, or the acknowledgment was: look at the receiver's side of the path"
    )
    return (
        f"{again:,} of {sent:,} data packets ({again / sent:.1%}) from {way} were sent again; {' and '.join(parts)}",
        f"{then}: drops in ip -s link and tc -s qdisc, a policer or shaper, CPU limits of the pod",
    )


def zero_window(group: Group, about: Context) -> tuple[str, str]:
    """A receiver without room."""
    place = group.place
    names = (place.client_text(about.names), place.server_text(about.names))
    who, other = names if place.way == "client" else names[::-1]
    return (
        f"{who} had no room for what {other} sent, {group.sums['windows']:,} times in {group.sessions:,} sessions",
        f"the application at {who} does not read fast enough: its CPU, its disk, or what it waits for",
    )


def reset(group: Group, about: Context) -> tuple[str, str]:
    """Sessions that ended by RST after their handshake."""
    who = "client" if group.place.cause == Close.RESET_BY_CLIENT else "server"
    where = f"sessions with {group.place.server_text(about.names)}"
    left = group.sums["unread"]
    more = f", with {format_size(left)} on the way that were never acknowledged" if left else ""
    return (
        f"{_sessions(group.sessions, about.total, where)} were ended by RST of the {who}{more}",
        f"the {who} closed without reading all, timed out or crashed: look at its log at that time",
    )


def slow(group: Group, about: Context) -> tuple[str, str] | None:
    """A server that takes long to begin its answers."""
    requests, trips = group.sums["requests"], group.sums["trips"]
    if not requests:
        return None
    wait = group.sums["wait_ns"] / requests
    if wait < SLOW_NS:
        return None
    server = group.place.server_text(about.names)
    way = group.sums["trip_ns"] / trips if trips else 0
    what = f"{server} takes {format_duration(wait)} on average to begin an answer ({requests:,} requests)"
    if not trips:
        return what, "no round trip was measured: capture nearer to the server to tell the way from the server"
    what += f"; the way there and back takes {format_duration(way)}"
    if way > wait / 2:
        return what, "the wait is on the way: the distance, or queues between here and the server"
    return what, "the wait is in the server, or behind it: its CPU, its locks, what it asks others"


def unanswered(group: Group, about: Context) -> tuple[str, str]:
    """DNS queries and echo requests without an answer."""
    left, answered = group.sums["unanswered"], group.sums["answered"]
    dns = group.place.protocol == _UDP
    what = "DNS queries to" if dns else "echo requests to"
    return (
        f"{left:,} of {left + answered:,} {what} {group.place.server_text(about.names)} got no answer",
        "is the resolver up, does a NetworkPolicy allow UDP port 53, is its conntrack table full?"
        if dns
        else "is the host up, does something drop ICMP?",
    )


def udp_unreachable(group: Group, about: Context) -> tuple[str, str]:
    """UDP that was answered by an ICMP error."""
    where = f"sessions with {group.place.server_text(about.names)}"
    return (
        f"{_sessions(group.sessions, about.total, where)} got an ICMP error: what was sent did not arrive",
        "the packet shows who sent the error and why: is the server running, is it the right port?",
    )
