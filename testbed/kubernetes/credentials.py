"""A folder -> certificates of the API server, tokens of users, and a kubeconfig for each user."""

import secrets
from pathlib import Path

from testbed.two_pods import run

ADMIN = "admin"


class Credentials:
    """Files below a folder; a user is known to the API server from its next start on."""

    def __init__(self, folder: Path, server: str, addresses: tuple[str, ...]) -> None:
        self._folder, self._server = folder, server
        self.tokens = folder / "tokens.csv"
        self.tokens.touch()
        for key in ("ca", "api", "kubelet-client", "service-accounts"):
            run("openssl", "genrsa", "-out", self.path(f"{key}.key"), "2048")
        run(
            *("openssl", "req", "-x509", "-key", self.path("ca.key"), "-out", self.path("ca.crt")),
            *("-days", "30", "-subj", "/CN=testbed"),
        )
        names = ["DNS:kubernetes", "DNS:kubernetes.default", "DNS:kubernetes.default.svc", "DNS:localhost"]
        self._sign("api", "/CN=kube-apiserver", ",".join([*names, *(f"IP:{address}" for address in addresses)]))
        self._sign("kubelet-client", "/O=system:masters/CN=kube-apiserver-kubelet-client", "")

    def path(self, name: str) -> str:
        """Return the path of one of the files."""
        return str(self._folder / name)

    def _sign(self, name: str, subject: str, alternatives: str) -> None:
        request, extensions = self.path(f"{name}.csr"), self._folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternatives}" if alternatives else "extendedKeyUsage=clientAuth")
        run("openssl", "req", "-new", "-key", self.path(f"{name}.key"), "-out", request, "-subj", subject)
        run(
            *("openssl", "x509", "-req", "-in", request, "-CA", self.path("ca.crt"), "-CAkey", self.path("ca.key")),
            *("-CAcreateserial", "-days", "30", "-extfile", str(extensions), "-out", self.path(f"{name}.crt")),
        )

    def user(self, name: str, group: str = "") -> str:
        """Make a user with a token. Returns the path of its kubeconfig."""
        token = secrets.token_hex(16)
        with self.tokens.open("a") as file:
            file.write(f'{token},{name},{name},"{group}"\n')
        return self.kubeconfig(name, token)

    def kubeconfig(self, name: str, token: str) -> str:
        """Write the kubeconfig of a token. Returns its path."""
        path = self._folder / f"{name.replace(':', '-')}.kubeconfig"
        path.write_text(
            "apiVersion: v1\nkind: Config\ncurrent-context: testbed\n"
            "contexts: [{name: testbed, context: {cluster: testbed, user: user}}]\n"
            f"users: [{{name: user, user: {{token: {token}}}}}]\n"
            "clusters: [{name: testbed, cluster: "
            f'{{server: "{self._server}", certificate-authority: "{self.path("ca.crt")}"}}}}]\n'
        )
        return str(path)
