"""`bicap web FILE...`: capture files -> a page in the browser, served on loopback."""

import click

from capture.cli.capture_file import across_interfaces, files, inner
from capture.cli.groups import GroupedCommand, option


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
    from capture.web.opened import Opened
    from capture.web.serve import serve

    serve(Opened(files, across_interfaces, inner), port, not no_browser, lambda address: click.echo(address))
