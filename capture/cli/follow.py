"""`bicap follow FILE SESSION`: a capture file -> what the two sides of one session said, in order."""

from typing import TYPE_CHECKING

import click

from capture.cli.capture_file import across_interfaces, inner, with_progress
from capture.cli.groups import GroupedCommand, option
from capture.errors import FormatError, SpecError

if TYPE_CHECKING:
    from capture.views.transcript import Output

_SIDES = {"client": 0, "server": 1}


@click.command(cls=GroupedCommand, short_help="Show what the two sides of a session said.")
@click.argument("file")
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
@option("Output", "--json", "as_json", is_flag=True, help="Print a JSON object a line, bytes in base64.")
def follow(
    file: str, session: str, side: str | None, across_interfaces: bool, inner: bool, form: str, as_json: bool
) -> None:
    """Show what the two sides of a TCP or UDP session said, as it was said: in order, each byte once.

    SESSION is a number from `bicap sessions`, or a five-tuple like 'tcp 10.0.0.1:4000 10.0.0.2:80'. FILE is
    pcap or pcapng, plain, gzip or zstd; - is standard input. Bytes that are missing are shown as gaps, with their
    number and why. The last lines say whether all is there. Of a damaged file all is shown that could be read, and
    the exit code is 5.
    """
    if form == "raw" and side is None and not as_json:
        raise SpecError("--as raw is the bytes of one side; give --side client or --side server")
    from capture.analysis.packets.reading import CaptureFile
    from capture.analysis.streams.followed import Followed, Which
    from capture.views import transcript as output

    followed = Followed(Which.parse(session), by_interface=not across_interfaces)
    forms: dict[str, type[Output]] = {"text": output.Text, "hex": output.Hex, "raw": output.Raw}
    show = output.Json(followed) if as_json else forms[form](followed)
    with CaptureFile(file, inner) as capture:
        damage = None
        try:
            for part in followed.parts(with_progress(capture)):
                if side is None or part.side == _SIDES[side]:
                    show.part(part)
        except FormatError as error:
            damage = error
        if followed.dialogue is not None:
            show.end(capture.description.names)
        if damage is not None:
            raise damage
