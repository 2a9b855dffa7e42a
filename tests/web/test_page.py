"""What a person does in the page, and what the page then shows."""

import json
import re
import subprocess
from pathlib import Path

from playwright.sync_api import Page, expect

from capture.benchmark.process import BICAP
from tests.web.conftest import Opener


def of_bicap(*words: str | Path) -> str:
    """What the command prints."""
    return subprocess.run([BICAP, *map(str, words)], check=True, capture_output=True, text=True).stdout


def whole_text(page: Page, selector: str) -> str:
    return " ".join(page.locator(selector).all_inner_texts())


def test_a_real_capture_shows_the_sessions_that_the_command_finds(open_page: Opener, demo_file: Path) -> None:
    page = open_page(demo_file)
    sessions = [json.loads(line) for line in of_bicap("sessions", "--json", demo_file).splitlines()]
    expect(page.locator(".filter .counts")).to_contain_text(f"{len(sessions)} sessions, none hidden")
    expect(page.locator(".rows .row")).to_have_count(len(sessions))
    first = page.locator(".rows .row").first
    expect(first).to_contain_text("complete")
    shown = [row.get_attribute("data-n") for row in page.locator(".rows .row").all()]
    assert shown == [str(one["session"]) for one in sessions]


def test_a_session_of_a_real_capture_opens_as_a_ladder_and_every_packet_has_a_row(
    open_page: Opener, demo_file: Path
) -> None:
    page = open_page(demo_file, "session=1&view=session&fold=0")
    expected = of_bicap("read", "--session", "1", "--json", demo_file).splitlines()
    page.wait_for_selector(".lrow")
    numbers = page.evaluate(
        """async () => (await (await fetch("/api/session/1/ladder?fold=0",
        {headers: {"X-Bicap-Token": localStorage.getItem("bicap-token")}})).json()).items.map((item) => item.n)"""
    )
    assert numbers == [json.loads(line)["number"] for line in expected][: len(numbers)]
    expect(page.locator(".lrow").first).to_contain_text("SYN")


def test_the_first_minute_with_the_file_of_make_demo(open_page: Opener, demo_file: Path, tmp_path: Path) -> None:
    """By keys alone: what went wrong, its packets, and a file of them for somebody else; the README's pictures."""
    page = open_page(demo_file)
    page.keyboard.press("n")
    expect(page.locator(".find .on")).to_contain_text("10.77.0.2:81 was refused by RST")
    page.keyboard.press("Enter")
    expect(page.locator(".ttl p")).to_contain_text("Refused by RST")
    expect(page.locator(".lrow")).to_have_count(2)
    page.keyboard.press("x")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    download.value.save_as(tmp_path / "refused.pcapng")
    (kept,) = of_bicap("sessions", "--json", tmp_path / "refused.pcapng").splitlines()
    assert json.loads(kept)["handshake"] == "refused"


def test_the_way_of_somebody_new_from_a_finding_to_its_packets(open_page: Opener, shop_file: Path) -> None:
    page = open_page(shop_file)
    page.keyboard.press("n")
    expect(page.locator(".find .on")).to_contain_text("18 of 29 connections to bank/api-0:80 were not answered")
    expect(page.locator(".nx")).to_contain_text("next: the capture lost 4 packets")
    page.locator(".find .on .lk").first.click()
    expect(page.locator(".ttl h1")).to_contain_text("bank/api-0:80")
    expect(page.locator(".ttl p")).to_contain_text("SYN unanswered")
    expect(page.locator(".lrow")).to_have_count(5)
    expect(page.locator(".pk h3")).to_contain_text("sent again as")
    page.keyboard.press("]")
    expect(page.locator(".lrow.on")).to_contain_text("again, 2nd try")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator(".list.full")).to_be_visible()


def test_the_filter_has_the_words_of_the_command_and_says_what_it_hides(open_page: Opener, shop_file: Path) -> None:
    page = open_page(shop_file)
    page.keyboard.press("/")
    page.keyboard.type("protocol=tcp handshake!=complete close=")
    expect(page.locator(".pop .r").first).to_contain_text("open")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    words = ["protocol=tcp", "handshake!=complete", "close=open"]
    found = of_bicap("sessions", "--json", *(f"--filter={word}" for word in words), shop_file).splitlines()
    expect(page.locator(".counts")).to_contain_text(f"{len(found)} of 339 sessions")
    expect(page.locator(".counts")).to_contain_text("by protocol")
    expect(page.locator(".foot code")).to_have_text(
        "bicap sessions --filter protocol=tcp --filter handshake!=complete --filter close=open shop.pcapng"
    )


def test_a_filter_that_fits_nothing_says_so_and_offers_less(open_page: Opener, shop_file: Path) -> None:
    page = open_page(shop_file, "filter=port%3D443+handshake!%3Dcomplete")
    expect(page.locator(".say h2")).to_have_text("None of 339 sessions")
    page.locator(".say .lk").first.click()
    expect(page.locator(".counts b")).not_to_have_text("0")


def test_the_address_is_the_view(open_page: Opener, shop_file: Path) -> None:
    again = json.loads(of_bicap("read", "--session", "71", "--anomalies", "--json", shop_file).splitlines()[0])
    assert "retransmission" in again["marks"]
    page = open_page(shop_file, f"session=71&view=session&panel=sequence&packet={again['number']}")
    expect(page.locator(".seq .side h3")).to_have_text("Sent again")
    page.keyboard.press("w")
    expect(page).to_have_url(re.compile("from="))
    address = page.url
    assert "token" not in address
    other = page.context.new_page()
    other.goto(address)
    expect(other.locator(".seq .side h3")).to_have_text("Sent again")
    expect(other.locator(".tabs .tab.on")).to_contain_text("Time-sequence")


def test_both_sides_of_a_session_stand_beside_each_other(open_page: Opener, shop_file: Path) -> None:
    page = open_page(shop_file, "session=92&view=session&panel=streams")
    expect(page.locator(".pair").nth(2)).to_contain_text("POST /cart/c-20817/checkout")
    expect(page.locator(".pair").nth(2)).to_contain_text("504 Gateway Timeout")
    expect(page.locator(".pair").nth(2).locator(".wait.bad")).to_contain_text("1.50 s")
    expect(page.locator(".gap").first).to_contain_text("2,896 bytes not captured")


def test_runs_unfold_and_events_have_one_row_each(open_page: Opener, shop_file: Path) -> None:
    page = open_page(shop_file, "session=189&view=session")
    page.wait_for_selector(".lrow")
    folded = page.locator(".lrow").count()
    page.keyboard.press("e")
    expect(page.locator(".lrow", has_text="ACK, no room").first).to_be_visible()
    page.keyboard.press("e")
    page.keyboard.press("f")
    expect(page.locator(".lrow").nth(folded)).to_be_visible()


def test_a_session_is_exported_with_exactly_its_packets(open_page: Opener, shop_file: Path, tmp_path: Path) -> None:
    page = open_page(shop_file, "session=92&view=session")
    page.wait_for_selector(".lrow")
    page.keyboard.press("x")
    with page.expect_download() as download:
        page.locator(".export .r").first.click()
    target = tmp_path / "session.pcapng"
    download.value.save_as(target)
    wanted = of_bicap("read", "--session", "92", "--time", "epoch", shop_file).splitlines()
    got = of_bicap("read", "--time", "epoch", target).splitlines()
    assert len(got) == len(wanted) == 21
    assert [line.split()[1] for line in got] == [line.split()[1] for line in wanted]


def test_a_pinned_session_stands_beside_the_next_one_and_the_address_keeps_it(
    open_page: Opener, shop_file: Path
) -> None:
    page = open_page(shop_file, "session=92&view=session")
    page.wait_for_selector(".lrow")
    page.keyboard.press("p")
    expect(page.locator(".tabs .pin")).to_contain_text("pinned")
    page.keyboard.press("j")
    expect(page.locator(".det.pin .ttl h1")).to_contain_text("session 92")
    expect(page.locator(".det.pin .lrow").first).to_contain_text("SYN")
    expect(page.locator(".det:not(.pin) .ttl h1")).to_contain_text("session 93")
    expect(page).to_have_url(re.compile("pin=92"))
    page.keyboard.press("p")
    expect(page.locator(".det.pin")).to_have_count(0)
    expect(page.locator(".list")).to_be_visible()
