"""A server of `bicap web` for a capture, and a browser that may reach nothing but it."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Route, sync_playwright

from capture.benchmark.process import BICAP
from testbed import shop

ROOT = Path(__file__).parents[2]
Opener = Callable[..., Page]


@pytest.fixture(scope="session")
def shop_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A minute of a shop in which everything goes wrong, as testbed.shop models it."""
    path = tmp_path_factory.mktemp("shop") / "shop.pcapng"
    shop.write(path)
    return path


@pytest.fixture(scope="session")
def demo_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The capture of `make demo`: real traffic between two namespaces."""
    path = tmp_path_factory.mktemp("demo") / "demo.pcapng"
    subprocess.run([ROOT / "scripts/demo.sh", path], check=True, capture_output=True, cwd=ROOT)
    return path


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., str]]:
    """Start `bicap web` with these words, return the address that it prints."""
    with ExitStack() as stack:

        def started(*words: str | Path, **settings: object) -> str:
            command = ["setpriv", "--pdeathsig", "TERM", BICAP, "web", "--no-browser", *map(str, words)]
            process = stack.enter_context(
                subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **settings)  # type: ignore[call-overload]
            )
            stack.callback(process.terminate)
            address: str = process.stdout.readline().strip()
            assert address.startswith("http://127.0.0.1:")
            return address

        yield started


@pytest.fixture
def open_page(chromium: Browser, serve: Callable[..., str]) -> Iterator[Opener]:
    """Open the page of a capture. Every error in it, and every request that leaves loopback, fails the test."""
    problems: list[str] = []
    with ExitStack() as stack:

        def opened(file: Path, view: str = "", *, answers_fail: bool = False) -> Page:
            """`answers_fail`: the test is about an answer that says what is wrong, which a browser logs."""
            address = serve(file)
            context = chromium.new_context(viewport={"width": 1600, "height": 1000})
            stack.callback(context.close)
            page = context.new_page()

            def only_ours(route: Route) -> None:
                if not route.request.url.startswith(address.split("#")[0]):
                    problems.append(f"request to {route.request.url}")
                    route.abort()
                else:
                    route.continue_()

            page.route("**/*", only_ours)
            page.on("pageerror", lambda error: problems.append(str(error)))

            def logged(line: ConsoleMessage) -> None:
                if line.type == "error" and not (answers_fail and line.text.startswith("Failed to load resource")):
                    problems.append(f"{line.text} {line.location.get('url')}")

            page.on("console", logged)
            page.goto(address + (f"&{view}" if view else ""))
            page.wait_for_selector(".row, .say")
            return page

        yield opened
    assert problems == []
