"""`bicap controller`: options -> the controller of a cluster, until SIGTERM."""

import os
import signal
from pathlib import Path

import click

from capture.cli.groups import GroupedCommand, option
from capture.cluster.quota import PER_NAMESPACE, PER_NODE

ALERTS_TOKEN_FILE = "/var/run/secrets/bicap.io/alerts/token"


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
@option(
    "Retrieval",
    "--address",
    metavar="IP",
    help="Address for agents, which bring the files, and programs.  [default: $POD_IP; without, none are fetched]",
)
@option("Retrieval", "--users-port", default=8470, show_default=True, metavar="PORT", help="On loopback, for users.")
@option("Retrieval", "--agents-port", default=8471, show_default=True, metavar="PORT", help="For agents, with TLS.")
@option("Retrieval", "--robots-port", default=8472, show_default=True, metavar="PORT", help="For programs, with TLS.")
@option(
    "Recorders",
    "--alerts-token-file",
    default=ALERTS_TOKEN_FILE,
    show_default=True,
    metavar="FILE",
    help="The token that Alertmanager shows at the port for programs. Without the file, no alerts are taken.",
)
@option("Output", "--metrics-port", type=int, metavar="PORT", help="Port of the metrics.  [default: none are served]")
def controller(
    kubeconfig: str | None,
    identity: str | None,
    captures_per_node: int,
    captures_per_namespace: int,
    antrea: bool,
    address: str | None,
    users_port: int,
    agents_port: int,
    robots_port: int,
    alerts_token_file: str,
    metrics_port: int | None,
) -> None:
    """Run captures that are objects of a cluster: give each node its part, and write what becomes of it.

    Several may run; one of them leads, by a Lease. It needs neither root nor a kernel with BPF. Users fetch files
    from the one that leads, through kubectl port-forward.
    """
    from capture.cluster.antrea_kind import AntreaKind, check_nobody_else_runs_them
    from capture.cluster.api import Api
    from capture.cluster.controller import Controller
    from capture.cluster.kinds import OWN_KINDS
    from capture.cluster.log import log_to_stderr
    from capture.cluster.quota import Quota
    from capture.retrieval.retrieval_service import Alerts, DoorPorts, RetrievalService

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
    ports = DoorPorts(address or os.environ.get("POD_IP"), users_port, agents_port, robots_port)
    alerts = Alerts(Path(alerts_token_file), running.raise_alarms)
    retrieval = RetrievalService(api, running.world, lambda: running.leads, ports, alerts)
    retrieval.start()
    try:
        running.run()
    finally:
        retrieval.stop()
        api.close()
