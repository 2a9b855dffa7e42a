"""`bicap web FILE...`: capture files -> a page in the browser, served on loopback."""

import os
from typing import TYPE_CHECKING

import click

from capture.cli.capture_file import across_interfaces, files, inner
from capture.cli.groups import GroupedCommand, option

if TYPE_CHECKING:
    from capture.web.opened import Opened


@click.command(cls=GroupedCommand, short_help="Show conversations of capture files in the browser.")
@files
@across_interfaces
@inner
@option(
    "Server",
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    metavar="PORT",
    help="Listen on this port of 127.0.0.1.  [default: any free one]",
)
@option("Server", "--no-browser", is_flag=True, help="Print the address, and do not open the browser.")
def web(files: tuple[str, ...], across_interfaces: bool, inner: bool, port: int, no_browser: bool) -> None:
    """Show the conversations of capture files in the browser: sessions, ladders, sequence numbers, data, findings.

    The page is served on loopback only, for whoever has the address that is printed; the files stay on this machine,
    and nothing is loaded from elsewhere. Needs the extra `web`. docs/web.md shows the page.

    FILE is pcap or pcapng, plain, gzip or zstd; a folder stands for its capture files, and a pattern in quotes for
    the files that match. Several files are shown as one, in order of time.
    """
    from capture.web.serve import serve

    def open_capture() -> "Opened":
        from capture.web.opened import Opened

        return Opened(files, across_interfaces, inner)

    opened = None if all(map(_can_be_read, files)) else open_capture()
    serve(lambda: opened or open_capture(), port, not no_browser, click.echo)


def _can_be_read(word: str) -> bool:
    """True for a file that is there: what else can be wrong with it, the page says. Others are looked at first."""
    return os.path.isfile(word) and os.access(word, os.R_OK) and os.path.getsize(word) > 0
