"""A request's head -> whether it may be answered: only this machine's browser, with the token, from our own page.

A page on loopback is reached by every site that the browser opens, so none of its marks is trusted alone. The name in
Host must be one of loopback's with our port: a name that was rebound to 127.0.0.1 is another name. Origin and
Sec-Fetch-Site, where a browser sends them, must be our own. Data is given only for the token, which is sent as a
header: a page of another origin cannot set it, and a cookie would go to every port of this machine.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

TOKEN_HEADER = "x-bicap-token"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "cache-control": "no-store",
}
"""Headers of every answer. Nothing inline, nothing from elsewhere, not inside another page."""


@dataclass(frozen=True, slots=True)
class Guard:
    """The token and the port that requests must name."""

    token: str
    port: int

    @property
    def hosts(self) -> frozenset[str]:
        """Values of Host that are ours."""
        names = ("127.0.0.1", "localhost", "[::1]")
        return frozenset({f"{name}:{self.port}" for name in names} | ({*names} if self.port == 80 else set()))

    def refusal(self, path: str, method: str, headers: Mapping[str, str]) -> tuple[int, str] | None:
        """Return (status, reason) if the request must not be answered. Names of headers are in lower case."""
        host = headers.get("host", "")
        if host not in self.hosts:
            return 421, f"this server is 127.0.0.1:{self.port}, and the request is for {host!r}"
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{name}" for name in self.hosts}:
            return 403, f"the request comes from a page of {origin!r}"
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return 403, "the request comes from a page of another site"
        if method not in ("GET", "HEAD", "POST"):
            return 405, f"{method} is not known here"
        if path.startswith("/api/") and not hmac.compare_digest(
            headers.get(TOKEN_HEADER, "").encode("utf-8", "replace"), self.token.encode()
        ):
            return 401, "the token is missing or wrong: open the address that `bicap web` printed"
        return None
