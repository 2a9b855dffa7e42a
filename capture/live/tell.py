"""A complete incident -> a command that is run with its path or paths, and a POST of its JSON to a URL.

A thread of its own tells others, one incident after the other: nobody waits for them, and what fails is reported.
"""

import json
import queue
import shlex
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from capture.errors import SpecError

COMMAND_SECONDS, POST_SECONDS = 300, 10
WAITING_MOST = 100
"""Incidents that wait to be told; further ones are not."""


def command_words(text: str) -> Sequence[str]:
    """Return the words of a command, which no shell sees. Raises SpecError."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise SpecError(f"--on-incident {text!r} is not understood: {error}") from None
    if not words:
        raise SpecError("--on-incident has no command")
    return words


def check_url(url: str) -> str:
    """Return the URL if it is one of HTTP. Raises SpecError."""
    if not url.startswith(("http://", "https://")):
        raise SpecError(f"--webhook {url!r} is no URL of http or https")
    return url


def paths_of(summary: dict[str, Any]) -> list[str]:
    """Return the capture files of an incident, by its JSON."""
    files = summary.get("files")
    return [summary["file"]] if files is None else [one["path"] for one in files]


class Messenger:
    """Tells others about incidents. `report` gets a line about what failed."""

    def __init__(self, command: Sequence[str] | None, url: str | None, report: Callable[[str], None]) -> None:
        self._command, self._url, self._report = command, url, report
        self._queue: queue.Queue[dict[str, Any] | None] = queue.Queue(WAITING_MOST)
        self._thread = threading.Thread(target=self._run, name="messenger", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def tell(self, summary: dict[str, Any]) -> None:
        """Tell about an incident soon."""
        if self._command is None and self._url is None:
            return
        try:
            self._queue.put_nowait(summary)
        except queue.Full:
            self._report(f"nobody is told of {summary['file']}: {WAITING_MOST} incidents wait already")

    def _run(self) -> None:
        while (summary := self._queue.get()) is not None:
            if self._command is not None:
                self._run_command([*self._command, *paths_of(summary)])
            if self._url is not None:
                self._post(self._url, summary)

    def _run_command(self, words: Sequence[str]) -> None:
        try:
            done = subprocess.run(
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            self._report(f"--on-incident {words[0]} took longer than {COMMAND_SECONDS} s and was ended")
        except OSError as error:
            self._report(f"--on-incident {words[0]} cannot be run: {error.strerror}")
        else:
            if done.returncode != 0:
                last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
                self._report(f"--on-incident {words[0]} ended with {done.returncode}: {last[0]}")

    def _post(self, url: str, summary: dict[str, Any]) -> None:
        body = json.dumps(summary).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=POST_SECONDS):
                pass
        except (OSError, urllib.error.HTTPError, ValueError) as error:
            self._report(f"--webhook {url} failed: {error}")

    def close(self) -> None:
        """Tell what waits, for a while, and end."""
        if self._thread.is_alive():
            self._queue.put(None)
            self._thread.join(POST_SECONDS)
