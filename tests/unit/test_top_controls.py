"""Keys in the picture of live sessions -> what it shows."""

from capture.cli.top_controls import TopControls, keys_of

SHOWN = [7, 8, 9]


def after(typed: str) -> TopControls:
    controls = TopControls("byte_rate")
    for key in keys_of(typed):
        controls.press(key, SHOWN)
    return controls


def test_an_order_a_pause_and_the_end_have_a_key_each() -> None:
    assert after("s").order == "packet_rate"
    assert after("ssssss").order == "byte_rate"
    assert (after("p").paused, after("pp").paused, after("q").over) == (True, False, True)


def test_arrows_choose_a_line_and_enter_follows_its_session() -> None:
    assert after("\x1b[B\x1b[B\x1b[B\x1b[A").chosen == 1
    assert after("j\r").followed == 8
    assert [one.text for one in after("j\r").conditions] == ["session=8"]
    assert after("j\r\x1b").followed is None


def test_a_filter_is_typed_and_a_wrong_one_says_why_and_stays() -> None:
    assert [one.text for one in after("/port=80 syns>1\r").conditions] == ["port=80", "syns>1"]
    wrong = after("/prot=80\r")
    assert (wrong.typed, wrong.conditions) == ("prot=80", ())
    assert "do you mean port?" in wrong.trouble
    assert [one.text for one in after("/prot=80\r\x7f\x7f\x7f\x7f\x7f\x7f\x7fport=80\r").conditions] == ["port=80"]
    assert after("/port=80\r\x1b").conditions == ()
    assert after("/port=80\r/q\x1b").over is False
