"""The Service that programs in the cluster connect to -> its one address, that of the leading controller.

A Service that chose the controllers by labels would lead to those that do not lead, too. So this one chooses nothing,
and the leader writes its own address behind it.
"""

from capture.cluster.api import ENDPOINTS, Api, GoneError
from capture.cluster.kube import SYSTEM_NAMESPACE

SERVICE = "bicap"
HOSTS = tuple(f"{SERVICE}.{SYSTEM_NAMESPACE}{suffix}" for suffix in (".svc", ".svc.cluster.local", ""))
"""Names by which programs know it; its certificate has them."""


def lead_here(api: Api, address: str, port: int) -> bool:
    """Let the Service lead to an address. Returns True if it had to be written. Raises ApiError."""
    found = api.get(ENDPOINTS, SERVICE, SYSTEM_NAMESPACE)
    if found is not None and [[one.ip for one in subset.addresses] for subset in found.subsets] == [[address]]:
        return False
    ports = [{"name": "https", "port": port, "protocol": "TCP"}]
    subsets = [{"addresses": [{"ip": address}], "ports": ports}]
    try:
        api.patch(ENDPOINTS, SERVICE, {"subsets": subsets}, SYSTEM_NAMESPACE)
    except GoneError:
        metadata = {"name": SERVICE, "namespace": SYSTEM_NAMESPACE}
        api.create(ENDPOINTS, {"metadata": metadata, "subsets": subsets}, SYSTEM_NAMESPACE)
    return True
