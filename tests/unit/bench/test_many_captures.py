"""Runs of many captures -> tables."""

from bench.many_captures import EMPTY, EVERYTHING, Added, SideBySide, added_table, side_table


def test_captures_side_by_side_have_medians_and_the_worst_loss_and_tcpdump_has_no_start() -> None:
    runs = [
        SideBySide("bicap, forked", 1.0 * number, 100.0 * number, 11.0, 90.0, 60.0 + number, number)
        for number in (1, 2, 9)
    ]
    assert side_table([*runs, SideBySide("tcpdump", 0.5, 50.0, 8.0, 140.0, 0.0, 0)]) == (
        "|  | CPU % | CPU ns per packet | private MiB each | MiB in all | start ms | lost |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| bicap, forked | 2.0 | 200.0 | 11.0 | 90.0 | 62 | 9 |\n"
        "| tcpdump | 0.5 | 50.0 | 8.0 | 140.0 |  |  |"
    )


def test_what_captures_add_stands_with_what_each_adds_and_losses_are_marked() -> None:
    lines = [
        Added(64, EVERYTHING, 1, [90.0, 100.0, 170.0], 0),
        Added(64, EVERYTHING, 4, [400.0, 400.0, 480.0], 7),
        Added(64, EMPTY, 1, [20.0], 0),
        Added(64, EMPTY, 4, [80.0], 0),
    ]
    assert added_table(lines) == (
        "| added ns | 1 | 4 |\n"
        "| --- | ---: | ---: |\n"
        "| 64 B, captures of every packet | 100 (100) | 400 (100)* |\n"
        "| 64 B, empty programs | 20 (20) | 80 (20) |"
    )
