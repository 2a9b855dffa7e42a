"""The dtype of messages that were found in payload. Positions are indices into the data that was searched."""

from enum import IntEnum

from capture.arrays.row_types import I64, U8, Record, dtype_of


class MessageKind(IntEnum):
    """Kind of a message."""

    NOTHING = 0
    DNS_QUERY = 1
    DNS_ANSWER = 2
    CLIENT_HELLO = 3
    SERVER_HELLO = 4
    ALERT = 5
    HTTP_REQUEST = 6
    HTTP_ANSWER = 7
    QUIC_INITIAL = 8


class MessageRow(Record):
    """A message; a length of 0 means that there is no such text."""

    packet: I64  # index in the table of packets
    name_at: I64  # DNS: labels as on the wire; TLS: server name; HTTP: Host
    name_length: I64
    list_at: I64  # TLS: the list of ALPN, as on the wire; HTTP: target of a request
    list_length: I64
    verb_length: I64  # HTTP: the method, at the message's start
    start: I64
    end: I64  # of the bytes that were there
    code: I64  # DNS: response code; TLS: version, or number of an alert; HTTP: status
    type: I64  # DNS: type of the question
    kind: U8  # MessageKind
    whole: U8  # 0: more bytes may complete it


MESSAGE = dtype_of(MessageRow)
