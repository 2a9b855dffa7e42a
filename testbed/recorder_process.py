"""`bicap record` running in the background, and the incidents that it wrote."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from testbed.patience import wait_until
from testbed.tool import BackgroundProcess


class RecorderProcess(BackgroundProcess):
    """A recorder that writes into a folder."""

    def __init__(self, folder: Path, *words: str, within: Sequence[str] = ()) -> None:
        self.folder = folder
        super().__init__(folder, ["record", "--incidents", str(folder), *words], within)

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
