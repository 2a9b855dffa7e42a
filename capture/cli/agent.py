"""`bicap agent`: options -> the agent of this node, until SIGTERM."""

import os
import signal
from pathlib import Path

import click

from capture.cli.groups import GroupedCommand, option
from capture.errors import SpecError
from capture.storage import parse_min_free
from capture.units import parse_size

NODE_NAME = "NODE_NAME"
TOKEN_FILE = "/var/run/secrets/bicap.io/token"


@click.command(cls=GroupedCommand, short_help="Run the captures of a cluster on this node.")
@option(
    "Cluster", "--kubeconfig", metavar="FILE", help="How to reach the API server.  [default: the service account]"
)
@option("Cluster", "--node", metavar="NAME", help=f"Name of this node.  [default: ${NODE_NAME}]")
@option("Node", "--folder", default="/var/lib/bicap", show_default=True, help="Folder for captures.")
@option("Node", "--cri-socket", "sockets", multiple=True, metavar="PATH", help="Socket of the container runtime.")
@option("Node", "--captures", default=16, show_default=True, metavar="N", help="Most captures at a time.")
@option(
    "Node", "--buffer", default="1GiB", show_default=True, metavar="SIZE", help="Most memory of all rings together."
)
@option(
    "Node",
    "--recorder-memory",
    default="1GiB",
    show_default=True,
    metavar="SIZE",
    help="Most memory of all recorders together.",
)
@option(
    "Node",
    "--min-free",
    default="10%",
    show_default=True,
    metavar="SHARE|SIZE",
    help="Space that stays free on the disk, where a capture does not say.",
)
@option(
    "Cluster",
    "--token-file",
    default=TOKEN_FILE,
    show_default=True,
    metavar="FILE",
    help="A token for the controller, of this pod. Without the file, nothing can be fetched from this node.",
)
@option("Node", "--ready-file", metavar="PATH", help="Create this file when captures can begin.")
def agent(
    kubeconfig: str | None,
    node: str | None,
    folder: str,
    sockets: tuple[str, ...],
    captures: int,
    buffer: str,
    recorder_memory: str,
    min_free: str,
    token_file: str,
    ready_file: str | None,
) -> None:
    """Run the captures of a cluster on this node: those that NodeCaptures of the controller ask for.

    Their files stay in a folder of this node until the capture is deleted. SIGTERM ends the captures, with complete
    files; they go on when the agent starts again.
    """
    name = node or os.environ.get(NODE_NAME)
    if not name:
        raise SpecError(f"the node has no name; give --node, or set {NODE_NAME} (spec.nodeName)")
    os.environ[NODE_NAME] = name
    parse_min_free(min_free, "--min-free")
    from capture.agent.agent import Agent, Room, scratch_folder
    from capture.agent.dial_out import DialOut
    from capture.agent.folder import Home
    from capture.agent.node_capture import Settings
    from capture.agent.store_keys import store_keys
    from capture.cluster.api import Api
    from capture.cluster.log import log_to_stderr
    from capture.retrieval.leader_address import find_leader
    from capture.sink.place import make_way, write_beside

    log_to_stderr()
    if ready_file:
        make_way(ready_file)
    api, home = Api(kubeconfig), Home(Path(folder))
    running = Agent(
        api,
        home,
        Settings(name, min_free, scratch_folder(name), lambda order: store_keys(api, order)),
        Room(captures, parse_size(buffer, "--buffer"), parse_size(recorder_memory, "--recorder-memory")),
        sockets,
        on_ready=lambda: write_beside(ready_file, "") if ready_file else None,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: running.stop())
    dial_out = None
    if os.path.exists(token_file):
        # The kubelet replaces the file before a token ends.
        token = Path(token_file)
        dial_out = DialOut(home, name, lambda: token.read_text().strip(), lambda: find_leader(api), running.live)
        dial_out.start()
    try:
        running.run()
    finally:
        if dial_out is not None:
            dial_out.stop()
        api.close()
        home.close()
