"""What outlives the page: an incident as one file, an index beside the capture; and captures that still grow."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, expect

from testbed import sessions_file, shop
from tests.web.conftest import Opener


def test_an_incident_is_one_file_that_opens_without_a_server_and_asks_for_nothing(
    open_page: Opener, chromium: Browser, shop_file: Path, tmp_path: Path
) -> None:
    page = open_page(shop_file, "session=92&view=session")
    page.wait_for_selector(".lrow")
    page.keyboard.press("x")
    with page.expect_download() as download:
        page.locator(".export .r", has_text="html").click()
    target = tmp_path / "incident.html"
    download.value.save_as(target)
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    alone = context.new_page()
    asked: list[str] = []
    problems: list[str] = []
    alone.on("request", lambda request: asked.append(request.url))
    alone.on("pageerror", lambda error: problems.append(str(error)))
    alone.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
    alone.goto(target.as_uri())
    expect(alone.locator(".lrow").first).to_contain_text("SYN")
    alone.keyboard.press("2")
    expect(alone.locator(".seq .legend")).to_be_visible()
    alone.keyboard.press("3")
    expect(alone.locator(".pair").nth(2)).to_contain_text("504 Gateway Timeout")
    alone.keyboard.press("4")
    expect(alone.locator(".pl .row").first).to_contain_text("Flags [S]")
    alone.keyboard.press("x")
    with alone.expect_download() as again:
        alone.locator(".export .r").first.click()
    again.value.save_as(tmp_path / "again.pcapng")
    count = subprocess.run(
        ["tshark", "-r", tmp_path / "again.pcapng"], capture_output=True, text=True, check=True
    ).stdout.count("\n")
    assert count == 21
    assert (asked, problems) == ([target.as_uri()], [])
    context.close()


def test_an_index_shows_the_same_as_the_file(open_page: Opener, tmp_path: Path) -> None:
    path = tmp_path / "many.pcapng"
    assert sessions_file.write(path, 1000) > 20_000
    first = open_page(path)
    expect(first.locator(".counts")).to_contain_text("1,000 sessions")
    row = first.locator(".rows .row").nth(7).inner_text()
    index = Path(f"{path}.bicap-index")
    for _ in range(100):
        if index.exists():
            break
        first.wait_for_timeout(50)
    assert index.stat().st_mode & 0o777 == 0o600
    before = index.stat().st_mtime_ns
    second = open_page(path)
    expect(second.locator(".counts")).to_contain_text("1,000 sessions")
    assert second.locator(".rows .row").nth(7).inner_text() == row
    assert index.stat().st_mtime_ns == before
    os.truncate(path, path.stat().st_size - 40_001)  # another file now
    third = open_page(path)
    expect(third.locator(".note")).to_contain_text("damaged")


def test_packets_that_come_are_shown_while_they_come(
    chromium: Browser, serve: Callable[..., str], shop_file: Path
) -> None:
    data = shop_file.read_bytes()
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(data[:60_000])
        pipe.flush()
        address = serve("-", stdin=reading)
        os.close(reading)
        context = chromium.new_context(viewport={"width": 1280, "height": 800})
        page = context.new_page()
        page.goto(address)
        expect(page.locator(".bar")).to_contain_text("live")
        expect(page.locator(".row.open").first).to_contain_text("still open")
        few = page.locator(".counts b").inner_text()
        pipe.write(data[60_000:])
    expect(page.locator(".counts b")).to_have_text("339", timeout=15_000)
    assert few != "339"
    expect(page.locator(".bar")).not_to_contain_text("live")
    expect(page.locator(".find .r").first).to_contain_text("18 of 29 connections")
    context.close()


def test_a_session_at_two_points_shows_what_was_lost_between_them(open_page: Opener, tmp_path: Path) -> None:
    shop.two_nodes(tmp_path / "node-1.pcapng", tmp_path / "node-2.pcapng")
    page = open_page(tmp_path, "session=13&view=session")
    expect(page.locator(".ttl p")).to_contain_text("2 lost between the points: packets 181, 440.", timeout=60_000)
    expect(page.locator(".lrow", has_text="lost")).to_have_count(2)
    expect(page.locator(".tabs")).to_contain_text("as written")
    page.keyboard.press("c")
    expect(page.locator(".lhead")).to_contain_text("one way")
    expect(page.locator(".foot code")).to_have_text("bicap legs --lost node-1.pcapng node-2.pcapng")
