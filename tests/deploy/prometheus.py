"""A real Prometheus that scrapes ports of this machine's loopback, and answers queries."""

import json
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import urlopen

import yaml

from testbed.patience import wait_until

ALERTS = Path(__file__).parents[2] / "deploy" / "monitoring" / "alerts.yaml"


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._address = f"http://127.0.0.1:{port}"

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the series of an expression, with their values; raises if it is not valid."""
        return list(self._get("query", query=expression)["result"])

    def rules(self) -> list[dict[str, Any]]:
        """Return the rules, with their health."""
        return [rule for group in self._get("rules")["groups"] for rule in group["rules"]]

    def _get(self, path: str, **words: str) -> Any:
        with urlopen(f"{self._address}/api/v1/{path}?{urlencode(words)}", timeout=10) as answer:
            return json.load(answer)["data"]


@contextmanager
def prometheus(folder: Path, ports: list[int]) -> Iterator[Prometheus]:
    """Run Prometheus with bicap's alert rules, until both ports were scraped some times."""
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(ALERTS)],
        "scrape_configs": [
            {
                "job_name": "bicap",
                "honor_labels": True,
                "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in ports]}],
            }
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    words = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
    words += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn"]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(["prometheus", *words], stdout=log, stderr=log) as server,
    ):
        try:
            running = Prometheus(port)
            wait_until(lambda: _scraped(running) == len(ports), (folder / "log").read_text)
            yield running
        finally:
            server.terminate()


def _scraped(running: Prometheus) -> int:
    """Return the number of ports that were scraped three times, so that rates have a value."""
    try:
        return len(running.query("count_over_time(up[5m]) >= 3"))
    except OSError:
        return 0
