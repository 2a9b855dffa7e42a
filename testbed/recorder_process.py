"""`bicap record` running in the background, and the incidents that it wrote."""

import json
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.patience import PATIENCE, wait_until
from testbed.tool import BICAP


class RecorderProcess:
    """A recorder that writes into a folder; leaves the `with` block stopped by SIGINT and finished."""

    def __init__(self, folder: Path, *words: str, within: Sequence[str] = ()) -> None:
        self.folder, self._ready = folder, folder.with_suffix(".ready")
        self._ready.unlink(missing_ok=True)
        command = [*within, BICAP, "record", "--incidents", str(folder), "--ready-file", str(self._ready), *words]
        self._log = folder.with_suffix(".log").open("w+")
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=self._log)

        def ready() -> bool:
            assert self.process.poll() is None, f"bicap ended before it was ready: {self.log()}"
            return self._ready.exists()

        try:
            wait_until(ready, lambda: "bicap is not ready")
        except BaseException:  # no `with` block will end it
            self._end(kill=True)
            raise

    def __enter__(self) -> "RecorderProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self, kill: bool = False) -> None:
        try:
            if self.process.poll() is None and not kill:
                self.process.send_signal(signal.SIGINT)
                self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
            self._log.close()

    def log(self) -> str:
        """What it said on stderr."""
        return self.folder.with_suffix(".log").read_text()

    @property
    def files(self) -> list[Path]:
        """The pcapng files of all incidents that have begun, oldest first."""
        return sorted(file.with_suffix("") for file in self.folder.glob("incident-*.pcapng.json"))

    @property
    def summaries(self) -> list[Any]:
        """The JSON of all incidents, oldest first."""
        return [json.loads(Path(f"{file}.json").read_text()) for file in self.files]

    def await_complete(self, incidents: int) -> list[Any]:
        """Return the JSON of all incidents when so many are complete."""

        def complete() -> bool:
            assert self.process.poll() is None, self.log()
            return len(self.files) >= incidents and all(one["complete"] for one in self.summaries)

        wait_until(complete, self.log)
        return self.summaries
