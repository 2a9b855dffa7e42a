"""`bicap follow FILE... SESSION`: capture files -> the data of both sides of one session, in order."""

import sys

import click

from capture.cli.capture_file import across_interfaces, end_reading, files, inner, time_form, with_progress
from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError, SpecError

_SIDES = {"client": 0, "server": 1}


@click.command(cls=GroupedCommand, short_help="Show what the two sides of a session said.")
@files
@click.argument("session")
@option("Which", "--side", type=click.Choice(list(_SIDES)), help="Only what this side said.")
@across_interfaces
@inner
@option(
    "Output",
    "--as",
    "form",
    type=click.Choice(["text", "hex", "raw"]),
    default="text",
    show_default=True,
    help="How bytes are shown. raw is the bytes of one --side and nothing else; all words go to stderr.",
)
@time_form
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object a line, bytes in base64.")
def follow(
    files: tuple[str, ...],
    session: str,
    side: str | None,
    across_interfaces: bool,
    inner: bool,
    form: str,
    time_form: str,
    as_json: bool,
) -> None:
    """Show what the two sides of a TCP or UDP session said, in order, each byte once.

    SESSION is a number from `bicap sessions` for the same files, or a five-tuple like
    'tcp 10.0.0.1:4000 10.0.0.2:80'. Missing bytes are shown as gaps, with their number and the reason. The last lines
    say whether anything is missing.

    FILE is pcap or pcapng, plain, gzip or zstd; - is standard input, a folder stands for its capture files, and a
    pattern in quotes for the files that match. Several files are read as one, in order of time. A damaged file is
    shown as far as it can be read, and the exit code is 5.
    """
    if form == "raw" and side is None and not as_json:
        raise SpecError("--as raw writes the bytes of one side; give --side client or --side server")
    from capture.analysis.packets.merged import open_captures
    from capture.analysis.streams.followed import Followed, Which
    from capture.views.audit import audit_lines
    from capture.views.moments import Clock, TimeForm
    from capture.views.transcripts import HexTranscript, JsonTranscript, TextTranscript, Transcript, raw_bytes

    followed = Followed(Which.parse(session), by_interface=not across_interfaces)
    forms: dict[str, type[Transcript]] = {"text": TextTranscript, "hex": HexTranscript}
    chosen = JsonTranscript if as_json else forms.get(form)
    clock = Clock(TimeForm(time_form))
    transcript = chosen(followed, clock) if chosen else None
    with open_captures(files, inner) as capture:
        followed.name = capture.name
        damage: list[FormatError] = []
        try:
            for part in followed.parts(clock.beside(with_progress(capture))):
                if side is not None and part.side != _SIDES[side]:
                    continue
                if transcript is None:
                    sys.stdout.buffer.write(raw_bytes(part))
                else:
                    click.echo(transcript.part(part), nl=False)
        except FormatError as error:
            damage.append(error)
        if followed.dialogue is not None:
            names = capture.description.names
            if transcript is None:
                sys.stdout.buffer.flush()
                click.echo("\n".join(audit_lines(followed, names, clock)), err=True)
            else:
                click.echo(transcript.end(names), nl=False)
        end_reading(followed.notes, damage)
