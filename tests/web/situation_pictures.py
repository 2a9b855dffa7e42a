"""Each situation of a real handshake -> docs/web/handshakes/*.png, its ladder. Run by `make web-pictures`.

What the drawing lists of these say is in test_situations.py; these are for people to look at.
"""

import re
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from scripts.web_pictures import TARGET, serving
from testbed.relay import PASSES, wire
from tests.e2e.test_analysis import VERDICTS

HANDSHAKES = TARGET / "handshakes"
_SIZE = {"width": 1440, "height": 640}


def file_name(case: str) -> str:
    """Return the name of a case's picture."""
    return re.sub(r"\W+", "-", case).lower() + ".png"


def take_ladder(browser: Browser, capture: Path, picture: Path) -> None:
    """Write a picture of the only session's ladder."""
    with serving(str(capture)) as address:
        context = browser.new_context(viewport=_SIZE, color_scheme="light", timezone_id="UTC")
        page = context.new_page()
        page.goto(f"{address}&view=session&session=1&panel=ladder")
        page.wait_for_selector(".lrow")
        page.wait_for_timeout(500)
        page.locator(".det").screenshot(path=str(picture))
        context.close()


def main() -> None:
    chosen = sys.argv[1:] or list(VERDICTS)
    HANDSHAKES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        for number, case in enumerate(chosen):
            talk, policy, _, _ = VERDICTS[case]
            capture = Path(folder, f"{number}.pcapng")
            with wire(capture, policy or (lambda *_: PASSES)) as on:
                talk(on)
            take_ladder(browser, capture, HANDSHAKES / file_name(case))
        browser.close()


if __name__ == "__main__":
    main()
