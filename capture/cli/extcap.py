"""`bicap extcap --install`: bicap in Wireshark's own list of interfaces."""

import click

from capture.cli.groups import GroupedCommand, option
from capture.errors import SpecError


@click.command(cls=GroupedCommand, short_help="Put bicap into Wireshark's list of interfaces.")
@option("Options", "--install", "install_it", is_flag=True, help="Write the starter script into Wireshark's folder.")
@option(
    "Options",
    "--folder",
    metavar="PATH",
    help="That folder (Help, About Wireshark, Folders).  [default: what `tshark -G folders` names]",
)
def extcap(install_it: bool, folder: str | None) -> None:
    """Put bicap into Wireshark's own list of interfaces (extcap): interfaces and pods of this machine, with options.

    The script that is written calls this installation of bicap. Captures need root: run Wireshark as root, or choose
    "Use sudo" in the dialog where sudo needs no password for it.
    """
    if not install_it:
        raise SpecError("nothing to do; give --install")
    from capture.extcap.install import install

    click.echo(f"bicap: {install(folder)} written; Wireshark and tshark -D list bicap now", err=True)
