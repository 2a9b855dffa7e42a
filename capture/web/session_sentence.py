"""A session -> the sentence under its title: pieces of text, some strong, some red; packets become links."""

from capture.analysis.diagnose.sentences import CAUSES
from capture.analysis.sessions.session_table import Close, Handshake
from capture.arrays.cells import lines
from capture.units import format_count, format_duration, format_size
from capture.views.handshakes import handshake_sentences
from capture.web.opened import Opened
from capture.wire.protocols import TCP

Piece = tuple[str, str]
_ENDED = {
    Close.FIN: "ended by FIN",
    Close.HALF: "closed by one side only",
    Close.RESET_BY_CLIENT: "ended by RST of the client",
    Close.RESET_BY_SERVER: "ended by RST of the server",
    Close.OPEN: "open when the file ended",
    Close.IDLE: "silent for too long",
    Close.REUSED: "its ports were used again",
    Close.CROWDED_OUT: "followed no further",
}


def sentence(opened: Opened, number: int) -> list[Piece]:
    """Return the pieces: (text, "" or "strong" or "bad")."""
    table = opened.sessions.rows[number - 1 : number]
    row = table[0]
    pieces: list[Piece] = []
    handshake = lines(handshake_sentences(table, opened.completeness))[0]
    if handshake:
        head, bracket, rest = handshake.partition(" (")
        pieces.append((head[:1].upper() + head[1:], "strong"))
        ended = bool(opened.ended[number - 1])
        over = _ENDED[Close(int(row["close"]))] if ended else "still open"
        failed = Handshake(int(row["handshake"])) in (Handshake.UNANSWERED, Handshake.REFUSED, Handshake.UNREACHABLE)
        pieces.append((f"{bracket}{rest}" + ("." if failed else f", {over}."), ""))
    else:
        answered = int(row["requests"])
        pieces.append(
            (
                f"{format_count(answered, 'answer')}."
                if answered
                else "No answer."
                if int(row["unanswered"])
                else "",
                "strong",
            )
        )
    again = [int(row[side]["retransmitted"]) for side in ("client", "server")]
    if sum(again) and Handshake(int(row["handshake"])) not in CAUSES:
        pieces.append((f" {sum(again):,} sent again", "bad"))
        before = sum(int(row[side]["lost_before"]) for side in ("client", "server"))
        parts = [f"{count:,} of the {side}" for count, side in zip(again, ("client", "server"), strict=True) if count]
        parts += [f"{before:,} lost before here"] if before else []
        pieces.append((f": {', '.join(parts)}.", ""))
    for side, other in (("client", "server"), ("server", "client")):
        if count := int(row[side]["zero_windows"]):
            pieces.append((f" The {side} had no room", "bad"))
            first = int(row[side]["zero_window_packet"])
            pieces.append((f" {format_count(count, 'time')}, from packet {first}: the {other} could not send.", ""))
    requests = int(row["requests"])
    if int(row["protocol"]) == TCP and requests:
        mean = int(row["first_byte_sum_ns"]) / requests
        pieces.append((f" {format_count(requests, 'request')}, answered after ", ""))
        pieces.append((format_duration(mean), "strong"))
        pieces.append((" on average" if requests > 1 else "", ""))
        trip = int(row["server_ns"])
        pieces.append((f", of which {format_duration(trip)} is the way." if 0 < trip < mean else ".", ""))
    lacking = int(row["client"]["not_captured"]) + int(row["server"]["not_captured"])
    if lacking:
        pieces.append((f" {format_size(lacking)} not captured", "strong"))
        pieces.append((f": acknowledged, and not in the file; {opened.completeness}.", ""))
    if int(row["icmp_packet"]):
        pieces.append((" An ICMP error", "bad"))
        pieces.append((f" came in packet {int(row['icmp_packet'])}.", ""))
    return [piece for piece in pieces if piece[0]]
