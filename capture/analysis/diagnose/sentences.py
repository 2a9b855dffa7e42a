"""Groups of sessions in trouble -> (the problem, what to look at next) in words, or None if it is negligible."""

from capture.analysis.diagnose.trouble import Context, Group
from capture.analysis.sessions.session_table import Close, Handshake
from capture.units import format_count, format_duration, format_size

SLOW_NS = 100_000_000
"""Mean wait from which on a server is slow, ns: 0.1 s feels instantaneous (Nielsen, Usability Engineering, 1993)."""
RETRANSMITTED_SHARE, RETRANSMITTED_MIN = 0.01, 3
"""Share and number of retransmitted packets below which TCP copes."""
_UDP = 17

CAUSES = {
    Handshake.UNANSWERED: (
        "{were} not answered",
        "the SYN is dropped on the way, by a firewall or a NetworkPolicy, or the server is gone, or its queue is "
        "full: capture on the server's side and see whether the SYN arrives",
    ),
    Handshake.REFUSED: (
        "{were} refused by RST",
        "nothing listens there, or a firewall sends the RST: is the server running, is it the right port?",
    ),
    Handshake.UNREACHABLE: (
        "failed by an ICMP error",
        "the packet shows who sent the error and why: look at the routes and rules of that host",
    ),
    Handshake.UNACKNOWLEDGED: (
        "{were} accepted by the server and never acknowledged",
        "the SYN-ACK is dropped between here and the client, or the client's ACK: capture on the client's side",
    ),
    Handshake.ACK_LOST: (
        "{were} acknowledged, but the ACK did not reach the server",
        "the ACK is dropped between here and the server, or its accept queue is full: capture on the server's side, "
        "look at nstat TcpExtListenOverflows there",
    ),
    Handshake.ABORTED: (
        "{were} accepted by the server and rejected by the client",
        "the client does not know these connections: a port scan, a health check that stops after half a handshake, "
        "or addresses translated in one direction only",
    ),
    Handshake.RESET_AT_ONCE: (
        "{were} reset immediately after the handshake",
        "the accepting side does not want them: a proxy without a backend, a health check, TLS sent to a plain port",
    ),
}


def share_of(group: Group, about: Context, noun: str = "session") -> str:
    """Return words like "3 of 5 sessions with 10.0.0.2:80"."""
    preposition = "with" if noun == "session" else "to"
    server = group.place.server_text(about.names)
    return f"{group.sessions:,} of {format_count(about.total, noun)} {preposition} {server}"


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def failed(group: Group, about: Context) -> tuple[str, str]:
    """Handshakes that failed for one reason."""
    cause = Handshake(group.place.cause)
    what, then = CAUSES[cause]
    if cause is Handshake.UNANSWERED and about.completeness.known and not about.completeness.complete:
        then = f"{about.completeness}: that may be the whole cause; otherwise {then}"
    return f"{share_of(group, about, 'connection')} {what.format(were=_were(group.sessions))}", then


def missing(group: Group, about: Context) -> tuple[str, str]:
    """Packets that must have been sent and are not in the file."""
    lack = "lacks" if group.sessions == 1 else "lack"
    what = f"{share_of(group, about)} {lack} packets that must have been sent"
    if group.sums["bytes"]:
        what += f"; {format_size(group.sums['bytes'])} were acknowledged and are not in the file"
    if about.completeness.known and not about.completeness.complete:
        return what, f"this is the capture, not the network: {about.completeness}"
    if about.completeness.complete:
        return what, (
            f"{about.completeness}, so these packets take another path: capture on all interfaces between the two, "
            "and read with --across-interfaces"
        )
    return what, (
        f"{about.completeness}: that is the likely cause; otherwise one direction takes "
        "another path: capture on all interfaces"
    )


def black_hole(group: Group, about: Context) -> tuple[str, str]:
    """Large segments that do not arrive, while small ones do."""
    place, size = group.place, group.sums["repeated_bytes"] // max(group.sums["repeated"], 1)
    reported = f"; ICMP reported this in {format_count(told, 'session')}" if (told := group.sums["too_big"]) else ""
    return (
        f"large segments from {place.way_text(about.names)} do not arrive in "
        f"{format_count(group.sessions, 'session')}: about {size:,} bytes each, sent again and never acknowledged, "
        f"while small packets pass{reported}",
        "the path has a smaller MTU than the sender believes: try ping -M do -s 1472 along it, compare the MTUs of "
        "pods, nodes and tunnels, let ICMP 'fragmentation needed' through",
    )


def too_big(group: Group, about: Context) -> tuple[str, str]:
    """ICMP errors that a packet is too big."""
    return (
        f"{share_of(group, about)} got ICMP errors that a packet is too big",
        "that is how a sender learns the path's MTU, once for each path; if it goes on, compare the MTUs of pods, "
        "nodes and tunnels",
    )


def repeated(group: Group, about: Context) -> tuple[str, str] | None:
    """Retransmissions: on which side of this point data is lost."""
    resent, sent, before = (group.sums[name] for name in ("repeated", "data", "before"))
    if resent < RETRANSMITTED_MIN or resent < RETRANSMITTED_SHARE * sent:
        return None
    way = group.place.way_text(about.names)
    parts = [
        f"{count:,} {_were(count)} {what} this point"
        for count, what in ((before, "lost before"), (resent - before, "lost or late after"))
        if count
    ]
    then = (
        "most were lost before this point: look at the sender's side of the path"
        if 2 * before > resent
        else "most were lost after this point, or their acknowledgments were: look at the receiver's side of the path"
    )
    return (
        f"{resent:,} of {sent:,} data packets ({resent / sent:.1%}) from {way} were sent again; "
        f"{' and '.join(parts)}",
        f"{then}: drops in ip -s link and tc -s qdisc, a policer or shaper, CPU limits of the pod",
    )


def zero_window(group: Group, about: Context) -> tuple[str, str]:
    """A receiver whose window was zero."""
    place = group.place
    names = (place.client_text(about.names), place.server_text(about.names))
    who, other = names if place.way == "client" else names[::-1]
    return (
        f"{who} had no room for data from {other}, {format_count(group.sums['windows'], 'time')} in "
        f"{format_count(group.sessions, 'session')}",
        f"the application at {who} does not read fast enough: its CPU, its disk, or what it waits for",
    )


def reset(group: Group, about: Context) -> tuple[str, str]:
    """Sessions that ended by RST after their handshake."""
    who = "client" if group.place.cause == Close.RESET_BY_CLIENT else "server"
    left = group.sums["unread"]
    more = f", with {format_size(left)} sent and never acknowledged" if left else ""
    return (
        f"{share_of(group, about)} {_were(group.sessions)} ended by RST of the {who}{more}",
        f"the {who} closed before it had read everything, timed out or crashed: look at its log of that time",
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
    trip = group.sums["trip_ns"] / trips if trips else 0
    what = (
        f"{server} takes {format_duration(wait)} on average to begin an answer ({format_count(requests, 'request')})"
    )
    if not trips:
        return what, "no round trip was measured: capture nearer to the server to separate it from the network"
    what += f"; the round trip takes {format_duration(trip)}"
    if trip > wait / 2:
        return what, "the wait is in the network: the distance, or queues between this point and the server"
    return what, "the wait is in the server, or in services that it calls: look at its CPU, its locks, its requests"


def unanswered(group: Group, about: Context) -> tuple[str, str]:
    """DNS queries and echo requests without an answer."""
    left, answered = group.sums["unanswered"], group.sums["answered"]
    dns = group.place.protocol == _UDP
    asked = format_count(left + answered, *(("DNS query", "DNS queries") if dns else ("echo request",)))
    return (
        f"{left:,} of {asked} to {group.place.server_text(about.names)} got no answer",
        "is the resolver up, does a NetworkPolicy allow UDP port 53, is its conntrack table full?"
        if dns
        else "is the host up, does something drop ICMP?",
    )


def udp_unreachable(group: Group, about: Context) -> tuple[str, str]:
    """UDP sessions that got an ICMP error."""
    return (
        f"{share_of(group, about)} got an ICMP error: packets of the client did not arrive",
        "the packet shows who sent the error and why: is the server running, is it the right port?",
    )
