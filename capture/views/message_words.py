"""Messages of applications -> words at the end of a packet's line, and plain values."""

from typing import Any

from capture.analysis.application.heard import Heard
from capture.analysis.application.message import MessageKind
from capture.analysis.application.message_names import DNS_CODES, DNS_TYPES, TLS_ALERTS, TLS_VERSIONS, named


def message_text(heard: Heard) -> str:
    """Return a message in words, like `DNS A? web.shop` or `HTTP 503`."""
    alpn = f" ({heard.alpn})" if heard.alpn else ""
    name = f" {heard.name}" if heard.name else ""
    match heard.kind:
        case MessageKind.DNS_QUERY:
            return f"DNS {named(DNS_TYPES, heard.type)}?{name}"
        case MessageKind.DNS_ANSWER:
            return f"DNS {named(DNS_CODES, heard.code)} {named(DNS_TYPES, heard.type)}{name}"
        case MessageKind.CLIENT_HELLO:
            return f"TLS ClientHello{name}{alpn}"
        case MessageKind.SERVER_HELLO:
            return f"TLS ServerHello {named(TLS_VERSIONS, heard.code)}{alpn}"
        case MessageKind.ALERT:
            return f"TLS alert {named(TLS_ALERTS, heard.code)}"
        case MessageKind.HTTP_REQUEST:
            return f"HTTP {heard.method} {heard.name}{heard.path}"
        case MessageKind.HTTP_ANSWER:
            return f"HTTP {heard.code}"
        case _:
            return f"QUIC Initial{name}{alpn}"


def message_plain(heard: Heard) -> dict[str, Any]:
    """Return a message as plain values: those that its kind has."""
    plain: dict[str, Any] = {"kind": heard.kind.name.lower().replace("_", "-")}
    match heard.kind:
        case MessageKind.DNS_QUERY | MessageKind.DNS_ANSWER:
            plain |= {"name": heard.name, "type": named(DNS_TYPES, heard.type)}
            plain |= {"code": named(DNS_CODES, heard.code)} if heard.kind is MessageKind.DNS_ANSWER else {}
        case MessageKind.SERVER_HELLO:
            plain |= {"version": named(TLS_VERSIONS, heard.code), "alpn": heard.alpn}
        case MessageKind.ALERT:
            plain |= {"alert": named(TLS_ALERTS, heard.code)}
        case MessageKind.HTTP_REQUEST:
            plain |= {"method": heard.method, "host": heard.name, "path": heard.path}
        case MessageKind.HTTP_ANSWER:
            plain |= {"status": heard.code}
        case _:
            plain |= {"server_name": heard.name, "alpn": heard.alpn}
    return plain
