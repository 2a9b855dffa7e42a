"""Where the leading controller listens for agents, and how to know it: a ConfigMap that it alone writes.

Address and authority are one object, so they belong together: whoever could name another authority would be sent the
tokens of all agents.
"""

from dataclasses import dataclass

from capture.cluster.api import CONFIG_MAPS, Api, GoneError
from capture.cluster.kube import SYSTEM_NAMESPACE

NAME = "bicap-controller"


@dataclass(frozen=True, slots=True)
class LeaderAddress:
    """HOST:PORT of the agents' door, and the certificate of the authority that vouches for it."""

    address: str
    authority: str


def publish(api: Api, leader: LeaderAddress, namespace: str = SYSTEM_NAMESPACE) -> bool:
    """Let agents find this leader. Returns True if it had to be written. Raises ApiError."""
    if find_leader(api, namespace) == leader:
        return False
    data = {"address": leader.address, "authority": leader.authority}
    body = {"metadata": {"name": NAME, "namespace": namespace}, "data": data}
    try:
        api.patch(CONFIG_MAPS, NAME, {"data": data}, namespace)
    except GoneError:
        api.create(CONFIG_MAPS, body, namespace)
    return True


def find_leader(api: Api, namespace: str = SYSTEM_NAMESPACE) -> LeaderAddress | None:
    """Return where the leader is; None if no one has said so. Raises ApiError."""
    found = api.get(CONFIG_MAPS, NAME, namespace)
    if found is None or not found.data.keys() >= {"address", "authority"}:
        return None
    return LeaderAddress(found.data["address"], found.data["authority"])
