"""`bicap controller`: options -> the controller of a cluster, until SIGTERM."""

import os
import signal

import click

from capture.cli.groups import GroupedCommand, option
from capture.cluster.quota import PER_NAMESPACE, PER_NODE


@click.command(cls=GroupedCommand, short_help="Run captures that are objects of a cluster.")
@option(
    "Cluster", "--kubeconfig", metavar="FILE", help="How to reach the API server.  [default: the service account]"
)
@option(
    "Cluster", "--identity", metavar="NAME", help="Name in the lease.  [default: $POD_NAME, else the host's name]"
)
@option("Limits", "--captures-per-node", default=PER_NODE, show_default=True, metavar="N", help="Others wait.")
@option(
    "Limits", "--captures-per-namespace", default=PER_NAMESPACE, show_default=True, metavar="N", help="Others wait."
)
@option(
    "Cluster",
    "--antrea/--no-antrea",
    default=False,
    help="Run Antrea's PacketCaptures too, where Antrea's own agents do not.",
)
@option("Output", "--metrics-port", type=int, metavar="PORT", help="Port of the metrics.  [default: none are served]")
def controller(
    kubeconfig: str | None,
    identity: str | None,
    captures_per_node: int,
    captures_per_namespace: int,
    antrea: bool,
    metrics_port: int | None,
) -> None:
    """Run captures that are objects of a cluster: give each node its part, and write what becomes of it.

    Several may run; one of them leads, by a Lease. It needs neither root nor a kernel with BPF.
    """
    from capture.cluster.antrea_kind import AntreaKind, check_nobody_else_runs_them
    from capture.cluster.api import Api
    from capture.cluster.controller import Controller
    from capture.cluster.kinds import OWN_KINDS
    from capture.cluster.log import log_to_stderr
    from capture.cluster.quota import Quota

    log_to_stderr()
    api = Api(kubeconfig)
    name = identity or os.environ.get("POD_NAME") or os.uname().nodename
    kinds = [*OWN_KINDS]
    if antrea:
        check_nobody_else_runs_them(api)
        kinds.append(AntreaKind())
    running = Controller(api, name, Quota(captures_per_node, captures_per_namespace), kinds)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: running.stop())
    if metrics_port is not None:
        from capture.cluster.metrics import serve_metrics

        serve_metrics(running, metrics_port)
    try:
        running.run()
    finally:
        api.close()
