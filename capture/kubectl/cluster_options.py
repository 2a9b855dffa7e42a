"""The options that every verb has: which kubectl, which cluster, which namespace."""

import functools
from collections.abc import Callable
from typing import Any

from capture.cli.groups import option
from capture.kubectl.cluster_captures import CaptureApi, CaptureName
from capture.kubectl.kubectl_command import Kubectl

CLUSTER = "Cluster"


def cluster_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options; the command gets a `kubectl`, and `cluster`, True for a ClusterPacketCapture."""
    declared = (
        option(CLUSTER, "-n", "--namespace", metavar="NAMESPACE", help="Namespace.  [default: that of the context]"),
        option(CLUSTER, "--context", metavar="NAME", help="Context of the kubeconfig."),
        option(CLUSTER, "--kubeconfig", metavar="FILE", help="Kubeconfig.  [default: as for kubectl]"),
        option(CLUSTER, "--as", "as_user", metavar="USER", help="User to impersonate."),
        option(
            CLUSTER,
            "--cluster",
            is_flag=True,
            help="A ClusterPacketCapture: pods of several namespaces, and interfaces of nodes.",
        ),
    )

    @functools.wraps(command)
    def with_kubectl(
        *words: Any,
        namespace: str | None,
        context: str | None,
        kubeconfig: str | None,
        as_user: str | None,
        **options: Any,
    ) -> Any:
        more = ("--as", as_user) if as_user else ()
        kubectl = Kubectl(context, kubeconfig, namespace, more)
        return command(*words, kubectl=kubectl, **options)

    decorated: Callable[..., Any] = with_kubectl
    for declare in reversed(declared):
        decorated = declare(decorated)
    return decorated


def capture_name(api: CaptureApi, text: str, cluster: bool) -> CaptureName:
    """Return the capture that a word means: NAME, or NAMESPACE/NAME."""
    space, slash, name = text.rpartition("/")
    if cluster:
        return CaptureName(text, "")
    return CaptureName(name, space if slash else api.kubectl.current_namespace())
