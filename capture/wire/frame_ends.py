"""The bytes of an Ethernet frame -> the ends of its conversation, as text."""

from ipaddress import ip_address

from capture.wire.protocols import WITH_PORTS, protocol_name


def conversation_of_frame(data: bytes) -> str:
    """Return the ends of a packet like tcp 10.0.0.1:4000 > 10.0.0.2:80, "" if it is not IP."""
    kind = data[12:14]
    if kind == b"\x08\x00" and len(data) >= 34:
        protocol, source, destination, at = data[23], data[26:30], data[30:34], 14 + 4 * (data[14] & 15)
    elif kind == b"\x86\xdd" and len(data) >= 54:
        protocol, source, destination, at = data[20], data[22:38], data[38:54], 54
    else:
        return ""
    ends = [str(ip_address(one)) for one in (source, destination)]
    if protocol in WITH_PORTS and len(data) >= at + 4:
        written = [f"[{end}]" if ":" in end else end for end in ends]
        ports = (int.from_bytes(data[at + 2 * n : at + 2 * n + 2], "big") for n in range(2))
        ends = [f"{end}:{port}" for end, port in zip(written, ports, strict=True)]
    return f"{protocol_name(protocol)} {' > '.join(ends)}"
