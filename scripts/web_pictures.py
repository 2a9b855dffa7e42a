"""The page of `bicap web` in a browser -> docs/web/*.png, which docs/web.md shows. Run by `make web-pictures`.

The captures are modelled (testbed.shop), so the same code gives the same pictures; the browser is Debian's.
With `--demo FILE`, the file that `make demo` left, it takes the README's instead: real traffic, so they differ.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from capture.benchmark.process import BICAP
from testbed import shop

if TYPE_CHECKING:
    from playwright.sync_api import Browser

TARGET = Path(__file__).resolve().parents[1] / "docs" / "web"


@dataclass(frozen=True)
class Picture:
    """A view of a file, by its address, and the keys that are pressed in it."""

    name: str
    file: str
    view: str = ""
    keys: tuple[str, ...] = ()
    typed: str = ""
    dark: bool = False

    @property
    def panel(self) -> str:
        """The panel that is shown."""
        if "panel=" in self.view:
            return self.view.split("panel=")[1].split("&")[0]
        return "ladder" if "view=session" in self.view else "list"


_SHOWN = {"list": ".row", "ladder": ".lrow", "sequence": ".legend", "streams": ".turn"}
"""What is there when a panel is ready."""

PICTURES = (
    Picture("sessions", "shop", keys=("n",)),
    Picture("filter", "shop", "group=server", keys=("/",), typed="protocol=tcp handshake!=complete close="),
    Picture("ladder-failed", "shop", "filter=server%3Dbank/api-0&group=server&session=138&view=session&packet=3164"),
    Picture("ladder-exchange", "shop", "filter=server%3Dshop/cart-0&group=server&session=44&view=session"),
    Picture("ladder-events", "shop", "session=189&view=session&scale=events"),
    Picture("ladder-two-points", "two", "group=server&session=13&view=session&clocks=aligned"),
    Picture("time-sequence", "shop", "session=71&view=session&panel=sequence&packet=1225"),
    Picture("streams", "shop", "session=92&view=session&panel=streams"),
    Picture("sessions-dark", "shop", "group=verdict", dark=True),
    Picture("pinned", "shop", "session=94&view=session&pin=92"),
    Picture("legend", "shop", keys=("?",)),
)


FIRST_USE = (
    Picture("first-1-opened", "demo"),
    Picture("first-2-finding", "demo", keys=("n",)),
    Picture("first-3-evidence", "demo", keys=("n", "Enter")),
    Picture("first-4-export", "demo", keys=("n", "Enter", "x")),
)
"""The way of somebody new, by keys alone: opened, what went wrong, its packets, a file of it for somebody else."""


@contextmanager
def serving(*words: str) -> Iterator[str]:
    """The address of `bicap web` for these files."""
    command = ["setpriv", "--pdeathsig", "TERM", BICAP, "web", "--no-browser", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield server.stdout.readline().strip()
        finally:
            server.terminate()


def take(browser: "Browser", picture: Picture, address: str) -> None:
    """Write one picture."""
    scheme = "dark" if picture.dark else "light"
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=scheme, timezone_id="UTC")
    page = context.new_page()
    page.goto(f"{address}&{picture.view}")
    page.wait_for_selector(_SHOWN[picture.panel])
    page.wait_for_timeout(1000)
    for key in picture.keys:
        page.keyboard.press(key)
        page.wait_for_timeout(800)
    page.keyboard.type(picture.typed)
    page.wait_for_timeout(800)
    page.screenshot(path=str(TARGET / f"{picture.name}.png"))
    context.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m scripts.web_pictures", description=__doc__)
    parser.add_argument("--demo", metavar="FILE", help="take the README's pictures, of the file of make demo")
    given = parser.parse_args()
    from playwright.sync_api import sync_playwright  # --help works without it

    TARGET.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        if given.demo:
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            with serving(given.demo) as address:
                for picture in FIRST_USE:
                    take(browser, picture, address)
            browser.close()
            return
        one, two = Path(folder, "shop.pcapng"), (Path(folder, "node-1.pcapng"), Path(folder, "node-2.pcapng"))
        shop.write(one)
        shop.two_nodes(*two)
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        with serving(str(one)) as shop_at, serving(*map(str, two)) as two_at:
            for picture in PICTURES:
                take(browser, picture, shop_at if picture.file == "shop" else two_at)
        browser.close()


if __name__ == "__main__":
    main()
