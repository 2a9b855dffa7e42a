"""Groups of sessions in which an application reports trouble -> (the problem, what to look at next) in words.

Alerts of TLS, errors of DNS, and HTTP statuses from 500 on. As in `sentences`, None is a negligible problem.
"""

from capture.analysis.application.message_names import ABOUT_CERTIFICATES, DNS_CODES, TLS_ALERTS, named
from capture.analysis.diagnose.sentences import share_of
from capture.analysis.diagnose.trouble import Context, Group
from capture.units import format_count

HTTP_5XX = range(500, 512)
"""Statuses that are registered (RFC 9110, section 16.2.1); others are counted together."""
SHARE = 0.01
"""Share of answers with an HTTP error below which a server copes."""
NO_NAME_SHARE = 0.1
"""Share of sessions with a resolver below which names that do not exist are typing errors."""
_GATEWAY = (502, 503, 504)

_ALERTS_NEXT = {
    40: "the two have no cipher, curve or signature in common, or the client gave no certificate: compare their "
    "settings, look at the server's log",
    70: "the two have no version of TLS in common: compare their settings",
    71: "the ciphers that were offered are too weak for the other side: compare their settings",
    112: "the server has no certificate for the name that was asked for: see server_name in bicap sessions --json",
    116: "the server wants a certificate of the client (mutual TLS): is it mounted, does the client use it?",
    120: "the two have no application protocol (ALPN) in common: compare their settings",
}
_CERTIFICATE_NEXT = (
    "is the certificate expired, for another name, or signed by an authority that {who} does not know? "
    "Try openssl s_client -connect with the same name"
)
_DNS_NEXT = {
    2: "the resolver could not reach or did not believe the servers of that zone: look at its log, its upstreams, "
    "DNSSEC",
    5: "the resolver does not answer this client, or not for this zone: look at its access rules",
}


def status_sum(status: int) -> str:
    """Return the name of the sum of answers with a status."""
    return f"status_{status}"


def http_errors(group: Group, about: Context) -> tuple[str, str] | None:
    """HTTP answers that say that the server failed."""
    errors, answers = group.sums["errors"], group.sums["answers"]
    if errors < SHARE * answers or not errors:
        return None
    counts = {status: group.sums[status_sum(status)] for status in HTTP_5XX}
    most = max(counts, key=lambda status: counts[status])
    status, count = (str(most), counts[most]) if counts[most] else ("5xx", errors)
    server = group.place.server_text(about.names)
    what = f"{status} from {server} in {count / answers:.0%} of answers ({count:,} of {answers:,})"
    if others := errors - count:
        what += f"; {format_count(others, 'answer')} with another 5xx"
    if counts[most] and most in _GATEWAY:
        return (
            what,
            "a proxy says so if what stands behind it is gone, full or slow: look at its backends and its log",
        )
    return what, "the server failed at these requests: look at its log of that time"


def tls_alert(group: Group, about: Context) -> tuple[str, str]:
    """TLS sessions that one side ended with an alert."""
    code, who = group.place.cause, group.place.way
    name = named(TLS_ALERTS, code).replace("_", " ")
    if code in ABOUT_CERTIFICATES:
        what = f"{share_of(group, about)}: certificate refused by the {who} ({name})"
        return what, _CERTIFICATE_NEXT.format(who=f"the {who}")
    what = f"{share_of(group, about)} ended by a TLS alert of the {who}: {name}"
    return what, _ALERTS_NEXT.get(code, f"the {who} did not understand or trust the other side: look at its log")


def dns_error(group: Group, about: Context) -> tuple[str, str]:
    """DNS answers with an error other than NXDOMAIN."""
    code = group.place.cause - 1
    what = f"{share_of(group, about)} got {named(DNS_CODES, code)}"
    return what, _DNS_NEXT.get(code, "the resolver refuses these questions: look at its log")


def no_such_name(group: Group, about: Context) -> tuple[str, str] | None:
    """DNS answers that a name does not exist."""
    if group.sessions < NO_NAME_SHARE * about.total:
        return None
    what = f"{share_of(group, about)} got NXDOMAIN: the name does not exist"
    return what, (
        "in a pod, short names are tried with each domain of the search list first (ndots:5 in /etc/resolv.conf): "
        "a dot at the end of a name prevents that; otherwise look at the names"
    )
