"""Bytes of the toolbar's pipes <-> messages (https://www.wireshark.org/docs/wsdg_html_chunked/ChCaptureExtcap.html).

A message is T, three bytes of length, the number of a control, a command, and the command's payload.
"""

from dataclasses import dataclass

LOG, KEEP, RULE = 0, 1, 2
"""Numbers of the controls: a log of what the capture reports, a button, and the rule of a trigger."""
INITIALIZED, SET, ADD, ENABLE, DISABLE, WARNING = 0, 1, 2, 4, 5, 8
"""Commands: all values were sent; press, or change a value; append to a log; let it be used or not; tell a person."""
_HEAD = 6
_PAYLOAD_MOST = (1 << 16) - 2


@dataclass(frozen=True, slots=True)
class ControlMessage:
    """A message in either direction; the payload of a button is empty."""

    control: int
    command: int
    payload: str = ""

    def encode(self) -> bytes:
        """Return its bytes."""
        payload = self.payload.encode()[:_PAYLOAD_MOST]
        return b"T" + (len(payload) + 2).to_bytes(3, "big") + bytes((self.control, self.command)) + payload


def decoded(data: bytes) -> tuple[list[ControlMessage], bytes]:
    """Return the messages that are whole, and the rest. Raises ValueError if it is not a message."""
    found = []
    while len(data) >= _HEAD:
        length = int.from_bytes(data[1:4], "big")
        if data[:1] != b"T" or length < 2:
            raise ValueError("not a message of a toolbar")
        if len(data) < 4 + length:
            break
        found.append(ControlMessage(data[4], data[5], data[_HEAD : 4 + length].decode(errors="replace")))
        data = data[4 + length :]
    return found, data
