"""Messages -> lines, and the whole lines of what was received -> messages."""

import pytest

from capture.nursery.exchange import (
    Concluded,
    Ended,
    Forked,
    IncidentWritten,
    Message,
    NotForked,
    Progress,
    Ready,
    RingOrder,
    TriggerFired,
    WrittenUntil,
    line,
    whole_lines,
)

MESSAGES: list[Message] = [
    Forked(4711),
    NotForked("no process can be made: Cannot allocate memory"),
    Ready(["eth0", "net1"]),
    Progress({"seen": 5}, ["eth0"]),
    WrittenUntil(1_700_000_000_000_000_000),
    TriggerFired(3, "rst>0", 1_700_000_000_000_000_000, "tcp 10.0.0.1:4000 > 10.0.0.2:80", "not synchronised"),
    IncidentWritten("/var/lib/bicap/uid/incident-1.pcapng"),
    RingOrder("other-node", 1_700_000_000_000_000_000, "n2: rst>0", "", {"firing": "n2-1"}),
    Concluded("interface x does not exist", None),
    Concluded(None, {"account": {"seen": 5}}),
    Ended(-9),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_a_message_is_read_as_it_was_written(message: Message) -> None:
    assert list(whole_lines(bytearray(line(message)))) == [message]


def test_lines_are_read_when_they_are_whole_and_the_rest_is_left() -> None:
    text = b"".join(map(line, MESSAGES))
    buffer = bytearray()
    found: list[Message] = []
    for byte in text[:-1]:
        buffer.append(byte)
        found += whole_lines(buffer)
    assert found == MESSAGES[:-1]
    assert buffer == line(MESSAGES[-1])[:-1]
