"""Captures made to harm whoever looks at them: names, payload and DNS are text, and nothing else."""

import struct
from ipaddress import ip_address
from pathlib import Path
from random import Random

from playwright.sync_api import expect

from capture.pcapng.blocks import InterfaceBlock, interfaces, names, section_header
from testbed import packets, shop
from testbed.foreign_blocks import enhanced, interface, section
from tests.web.conftest import Opener

SCRIPT = "<img src=x onerror=\"document.title='harmed'\"><script>document.title='harmed'</script>"
BIDI = "\u202eexe.gpj\u2066"


def hostile_file(path: Path) -> None:
    wire = shop.ShopWire()
    talk = shop.Talk(wire, Random(1), "10.4.1.17", "10.4.3.9", 80, 40_000, shop.START_NS)
    talk.open()
    talk.ask(f"GET /{SCRIPT.replace(' ', '/')} HTTP/1.1\r\nHost: {SCRIPT}\r\n\r\n".encode(), 1_000_000)
    body = f"{SCRIPT}\x1b[2J\x1b]0;harmed\x07 {BIDI} ".encode() + b"x" * 60_000
    talk.answer(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    talk.close()
    question = (
        bytes.fromhex("000701000001000000000000") + bytes([len(SCRIPT[:60])]) + SCRIPT[:60].encode() + b"\0\0\1\0\1"
    )
    wire.put(shop.START_NS + 10**9, packets.udp("10.4.1.17", 5000, "10.4.0.10", 53, question))
    named = {ip_address("10.4.1.17"): SCRIPT, ip_address("10.4.3.9"): f"a{BIDI}\x1b[31m"}
    with path.open("wb") as file:
        file.write(section_header(hardware="", os="", application="", comment=""))
        file.write(interfaces([InterfaceBlock(SCRIPT)]) + names(named))
        for time_ns, _, frame in sorted(wire.frames):
            total = 32 + len(frame) + -len(frame) % 4
            head = (6, total, 0, time_ns >> 32, time_ns & 0xFFFFFFFF, len(frame), len(frame))
            file.write(struct.pack("<IIIIIII", *head) + frame + bytes(-len(frame) % 4) + struct.pack("<I", total))


def test_markup_and_control_characters_are_shown_and_do_nothing(open_page: Opener, tmp_path: Path) -> None:
    path = tmp_path / f"{'<b>'}file.pcapng"
    hostile_file(path)
    page = open_page(path)
    for view in (
        "",
        "session=1&view=session",
        "session=1&view=session&panel=sequence",
        "view=packets",
        "view=findings",
    ):
        page.goto(page.url.split("#")[0] + "#" + view)
        page.wait_for_timeout(300)
        assert page.locator("img, iframe, object").count() == 0
        assert page.locator("script").count() == 1
    page.goto(page.url.split("#")[0] + "#session=1&view=session&panel=streams")
    expect(page.locator(".turn pre").first).to_contain_text("<script>")
    text = page.locator(".st").inner_text()
    assert not set(text) & {"\x1b", "\x07", "\u202e", "\u2066"}
    assert page.title() == "<b>file.pcapng · bicap"


def test_a_hundred_thousand_interfaces_are_a_number(open_page: Opener, tmp_path: Path) -> None:
    path = tmp_path / "many.pcapng"
    frame = packets.tcp("10.0.0.1", 4000, "10.0.0.2", 80, packets.SYN)
    blocks = [
        section("<"),
        *[interface("<")] * 100_000,
        enhanced("<", frame, 1000, 99_999),
        enhanced("<", frame, 2000, 3),
    ]
    path.write_bytes(b"".join(blocks))
    page = open_page(path)
    expect(page.locator(".bar")).to_contain_text("100,000 points")
    expect(page.locator(".rows .row")).to_have_count(2)


def test_a_file_that_is_damaged_is_shown_as_far_as_it_goes(
    open_page: Opener, shop_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "cut.pcapng"
    path.write_bytes(shop_file.read_bytes()[:500_001])
    page = open_page(path)
    expect(page.locator(".note")).to_contain_text("damaged")
    assert page.locator(".rows .row").count() > 10


def test_a_file_that_changes_while_it_is_shown_is_an_error_and_no_more(
    open_page: Opener, shop_file: Path, tmp_path: Path
) -> None:
    path = tmp_path / "changing.pcapng"
    path.write_bytes(shop_file.read_bytes())
    page = open_page(path, answers_fail=True)
    expect(page.locator(".counts b")).to_have_text("339")
    path.write_bytes(shop_file.read_bytes()[:100_000])
    answer = page.evaluate(
        """async () => { const ask = await fetch("/api/session/300/ladder",
        {headers: {"X-Bicap-Token": localStorage.getItem("bicap-token")}});
        return [ask.status, await ask.json()]; }"""
    )
    assert answer[0] == 500
    assert "has changed since it was read" in answer[1]["error"] or "is damaged" in answer[1]["error"]
    expect(page.locator(".counts b")).to_have_text("339")
