"""Sessions -> sentences on their handshakes, with the packets that show it."""

import numpy as np
import pytest

from capture.analysis.packets.completeness import Completeness
from capture.analysis.sessions.session_table import Handshake
from capture.arrays.cells import lines
from capture.views.handshakes import handshake_sentences
from tests.unit.analysis.session_row import session

LOST, COMPLETE = Completeness(known=True, lost=3), Completeness(known=True)


SENTENCES = [
    ({"protocol": 17}, ""),
    (
        {"handshake": Handshake.COMPLETE, "syn_packet": 1, "syn_ack_packet": 2, "ack_packet": 5, "syns": 1,
         "syn_acks": 2},
        "complete (packets 1, 2, 5; 1 repetition)",
    ),
    (
        {"handshake": Handshake.UNANSWERED, "syns": 3, "syn_packet": 4, "syn_last_ns": 3 * 10**9},
        "SYN unanswered (from packet 4, 2 retries over 3.0 s); the capture lost 3 packets",
    ),
    (
        {"handshake": Handshake.UNREACHABLE, "syn_packet": 1, "icmp_packet": 2, "icmp_type": 3, "icmp_code": 1,
         "icmp_low": 0x0A000009},
        "unreachable: destination-unreachable/host-unreachable from 10.0.0.9 (packets 1, 2)",
    ),
    (
        {"handshake": Handshake.COMPLETE, "syn_packet": 1, "syn_ack_packet": 2, "ack_packet": 3, "syns": 1,
         "syn_acks": 1},
        "complete (packets 1, 2, 3)",
    ),
    (
        {"handshake": Handshake.COMPLETE, "syn_packet": 1, "syn_ack_packet": 2, "ack_packet": 3, "syns": 1,
         "syn_acks": 3},
        "complete (packets 1, 2, 3; 2 repetitions)",
    ),
    (
        {"handshake": Handshake.UNANSWERED, "syns": 2, "syn_packet": 4, "syn_ns": 5, "syn_last_ns": 10**9 + 5},
        "SYN unanswered (from packet 4, 1 retry over 1.0 s); the capture lost 3 packets",
    ),
    (
        {"handshake": Handshake.REFUSED, "syn_packet": 1, "rst_packet": 2, "reset_after_ns": 1500},
        "refused by RST after 1.5 µs (packets 1, 2)",
    ),
    (
        {"handshake": Handshake.REFUSED, "syn_packet": 2, "rst_packet": 1, "reset_after_ns": -1},
        "refused by RST (packets 2, 1)",
    ),
    (
        {"handshake": Handshake.UNACKNOWLEDGED, "syn_acks": 1, "syn_ack_packet": 1234567},
        "SYN-ACK sent 1 time, never acknowledged (from packet 1234567)",
    ),
    (
        {"handshake": Handshake.UNACKNOWLEDGED, "syn_acks": 6, "syn_ack_packet": 2},
        "SYN-ACK sent 6 times, never acknowledged (from packet 2)",
    ),
    (
        {"handshake": Handshake.ACK_LOST, "ack_packet": 3},
        "acknowledged (packet 3), but the server repeats its SYN-ACK: the ACK was lost after this point",
    ),
    (
        {"handshake": Handshake.ABORTED, "syn_ack_packet": 2, "rst_packet": 3},
        "the client answered the SYN-ACK with RST (packets 2, 3)",
    ),
    (
        {"handshake": Handshake.RESET_AT_ONCE, "ack_packet": 3, "rst_packet": 4, "server_rst_packet": 4,
         "reset_after_ns": 2 * 10**6},
        "complete, then reset by the server after 2 ms (packets 3, 4)",
    ),
    (
        {"handshake": Handshake.RESET_AT_ONCE, "ack_packet": 3, "rst_packet": 4, "client_rst_packet": 4},
        "complete, then reset by the client after 0 ns (packets 3, 4)",
    ),
    ({"handshake": Handshake.STARTED_BEFORE}, "started before the capture"),
    (
        {"handshake": Handshake.NOT_CAPTURED, "server_packets": 5},
        "packets of the client are not in the file; the capture lost 3 packets",
    ),
    (
        {"handshake": Handshake.NOT_CAPTURED, "server_packets": 5, "client_packets": 5},
        "packets of the handshake are not in the file; the capture lost 3 packets",
    ),
    (
        {"handshake": Handshake.NOT_CAPTURED, "client_packets": 5},
        "packets of the server are not in the file; the capture lost 3 packets",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "words"), SENTENCES)
def test_a_verdict_is_a_sentence_with_its_evidence(fields: dict[str, int], words: str) -> None:
    assert lines(handshake_sentences(session(**fields), LOST)) == [words]


def test_a_complete_capture_adds_no_doubt_to_an_unanswered_syn() -> None:
    found = session(handshake=Handshake.UNANSWERED, syns=1, syn_packet=4)
    assert lines(handshake_sentences(found, COMPLETE)) == ["SYN unanswered (from packet 4, not repeated)"]


def test_every_session_of_a_table_has_its_own_sentence() -> None:
    table = np.concatenate([session(**fields) for fields, _ in SENTENCES])
    assert lines(handshake_sentences(table, LOST)) == [words for _, words in SENTENCES]
