"""What a newer API server has for custom objects, in front of the older one's etcd and rights -> a client of it.

It asks the older one who somebody is and what he may, and has definitions and objects of its own.
"""

import ssl
from pathlib import Path
from typing import Any

import httpx2

from testbed.kubernetes.control_plane import CACHE, ETCD, LOOPBACK, ControlPlane
from testbed.patience import wait_until

PROGRAM = CACHE / "bin" / "apiextensions-apiserver"
_PORT = 6444


class DefinitionsServer:
    """The server, once `__init__` has returned; it ends with the control plane."""

    def __init__(self, plane: ControlPlane, folder: Path) -> None:
        folder.mkdir()
        admin = plane.kubeconfigs["admin"]
        plane.processes.start(
            *("definitions", str(PROGRAM), f"--etcd-servers={ETCD}", "--etcd-prefix=/definitions"),
            *(f"--secure-port={_PORT}", f"--bind-address={LOOPBACK}", f"--cert-dir={folder}"),
            *(f"--kubeconfig={admin}", f"--authentication-kubeconfig={admin}"),
            *(f"--authorization-kubeconfig={admin}", "--feature-gates=APIPriorityAndFairness=false"),
        )
        token = next(line for line in Path(admin).read_text().splitlines() if "token:" in line)
        headers = {"Authorization": f"Bearer {token.partition('token:')[2].strip(' }]')}"}
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # it has made its certificate by itself
        address = f"https://{LOOPBACK}:{_PORT}"
        self._client = httpx2.Client(base_url=address, verify=context, headers=headers, trust_env=False, timeout=30)
        self._log = lambda: plane.processes.log("definitions")[-3000:]
        wait_until(self._is_ready, self._log)

    def close(self) -> None:
        """End the client's connections."""
        self._client.close()

    def _is_ready(self) -> bool:
        try:
            return self._client.get("/readyz").status_code == 200
        except httpx2.HTTPError:
            return False

    def define(self, definitions: list[dict[str, Any]]) -> None:
        """Install definitions, and wait until their objects can be made."""
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for definition in definitions:
            answer = self._client.post(path, json=definition)
            assert answer.status_code == 201, answer.text
            name = definition["metadata"]["name"]

            def established(name: str = name) -> bool:
                conditions = self._client.get(f"{path}/{name}").json().get("status", {}).get("conditions", [])
                return {"Established"} <= {one["type"] for one in conditions if one["status"] == "True"}

            wait_until(established, self._log)

    def trial(self, kind: str, namespace: str, spec: Any) -> tuple[int, str]:
        """Make an object without keeping it. Returns the code, and what the server says."""
        place = f"namespaces/{namespace}/" if namespace else ""
        path = f"/apis/bicap.io/v1alpha1/{place}{kind.lower()}s"
        body = {"apiVersion": "bicap.io/v1alpha1", "kind": kind, "metadata": {"name": "tried"}, "spec": spec}
        answer = self._client.post(path, json=body, params={"dryRun": "All"})
        return answer.status_code, answer.json().get("message", "")
