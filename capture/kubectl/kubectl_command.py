"""A call of the API -> one run of kubectl, with the context, namespace and credentials that it would use.

Processes are in groups of their own: Ctrl-C at the terminal is ours to handle, and must end neither a port-forward
over which the rest is still to be fetched, nor a request in the middle.
"""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import IO, Any

from capture.errors import ApiError

_CODES = {"NotFound": 404, "Forbidden": 403, "Unauthorized": 401, "Conflict": 409, "AlreadyExists": 409}
_GUARD = '"$@" & child=$!; exec >&- 2>&-; read -r _; kill "$child" 2>/dev/null'
"""Shell that ends a program when standard input closes, so that it does not outlive us, however we end."""


@dataclass(frozen=True, slots=True)
class Kubectl:
    """The kubectl that is run, and the options that a user gave for it."""

    context: str | None = None
    kubeconfig: str | None = None
    namespace: str | None = None
    more: tuple[str, ...] = field(default=())
    """Further options, like --as."""

    def words(self, *words: str) -> list[str]:
        """Return the command line for these words."""
        program = os.environ.get("KUBECTL", "kubectl")
        if shutil.which(program) is None:
            raise ApiError(f"{program} is not on PATH; install kubectl, or name it in $KUBECTL", 0)
        given = [
            *(("--context", self.context) if self.context else ()),
            *(("--kubeconfig", self.kubeconfig) if self.kubeconfig else ()),
            *self.more,
        ]
        return [program, *given, *words]

    def run(self, *words: str, stdin: str = "") -> str:
        """Return what it prints. Raises ApiError with kubectl's own reason."""
        done = subprocess.run(
            self.words(*words), input=stdin, capture_output=True, text=True, check=False, process_group=0
        )
        if done.returncode != 0:
            raise refusal(done.stderr or done.stdout, words)
        return done.stdout

    def json(self, *words: str, stdin: str = "") -> Any:
        """Return the JSON that it prints."""
        text = self.run(*words, stdin=stdin)
        try:
            return json.loads(text)
        except ValueError:
            raise ApiError(f"kubectl {words[0]} printed no JSON: {text[:100]!r}", 0) from None

    def raw(self, path: str) -> Any:
        """Return an object of the API by its path."""
        return self.json("get", "--raw", path)

    def create(self, body: Any) -> Any:
        """Create an object. Returns it as the API server has it."""
        return self.json("create", "-f", "-", "-o", "json", stdin=json.dumps(body))

    def start(self, *words: str, stderr: IO[bytes] | int = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """Start it; it ends when its standard input is closed, and so with this process."""
        return subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "sh", *self.words(*words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            process_group=0,
        )

    def current_namespace(self) -> str:
        """Return the namespace that is used: the one that was given, else that of the context."""
        if self.namespace:
            return self.namespace
        found = self.run("config", "view", "--minify", "-o", "jsonpath={..namespace}").strip()
        return found.split()[0] if found else "default"


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started, and wait for it."""
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # it has ended
            process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def refusal(text: str, words: Sequence[str]) -> ApiError:
    """Return the error that kubectl has printed, in one line."""
    lines = [line for line in text.splitlines() if line.strip()]
    last = lines[-1] if lines else f"kubectl {' '.join(words[:2])} failed"
    reason = last.partition("Error from server (")[2].partition(")")[0]
    last = last.removeprefix("error: ").removeprefix(f"Error from server ({reason}): ")
    missing = "the server doesn't have a resource type" in last or "could not find the requested resource" in last
    if missing or "no matches for kind" in last:
        last += "; bicap's definitions are not installed in this cluster, see docs/cluster.md"
    return ApiError(last, _CODES.get(reason, 0))
