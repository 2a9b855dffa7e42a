"""Reports of kernels -> docs/kernels.md, and a line for the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[2] / "docs/kernels.md"
BEGIN, END = "<!-- made by make test-kernels -->", "<!-- end -->"
FEATURES = {
    "tcx": "tcx links, which die with the process (6.6); else filters in a clsact qdisc",
    "XDP": "`--hook xdp` (5.18); else refused with this line",
    "coarse clock": "the cheap clock for samplers by rate (5.11); else the exact one",
    "run statistics": "what programs cost, in the summary (5.8)",
    "membarrier": "waiting for running programs at the end (4.3)",
    "BTF": "tells whether there is tcx",
}


def line(name: str, report: Mapping[str, Any], wrong: int, seconds: float) -> str:
    """Return the line about one kernel."""
    found = report.get("variants", {})
    took = ", ".join(f"{step} {s} s" for step, s in report.get("seconds", {}).items())
    verdict = f"{wrong} wrong" if wrong else "ok"
    return f"{name} ({report.get('release', '?')}): {verdict}; {len(found)} variants; {took}; {seconds:.0f} s in all"


def write(reports: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the tables between the marks of the page."""
    text = PAGE.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n\n{_features(reports)}\n{_programs(reports)}\n{END}{after}")


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _head(reports: Mapping[str, Mapping[str, Any]], first: str) -> str:
    names = [f"{report['release'].partition('-')[0].partition('+')[0]}" for report in reports.values()]
    return _row([first, *names]) + _row(["---", *("---:" for _ in names)])


def _features(reports: Mapping[str, Mapping[str, Any]]) -> str:
    text = _head(reports, "what")
    for name, what in FEATURES.items():
        answers = ["yes" if report["features"][name] else "no" for report in reports.values()]
        text += _row([f"{name}: {what}", *answers])
    text += _row(["`--reasons`: why the kernel drops (5.17) and resets (6.10)", *map(_reasons, reports.values())])
    tests = [f"{len(report['captures']['tests'])} passed" for report in reports.values()]
    text += _row(["live captures beside tcpdump, killed captures, others' programs", *tests])
    text += _row(["`bicap doctor`", *("can capture" for _ in reports)])
    return text + _row(["what `make demo` runs", *("works" for _ in reports)])


def _reasons(report: Mapping[str, Any]) -> str:
    if "refused" in report["reasons"]:
        return "refused with a line"
    named = [what for what in ("drops", "resets") if report["reasons"]["named"][what]]
    return " and ".join(named) if named else "events without names"


def _programs(reports: Mapping[str, Mapping[str, Any]]) -> str:
    text = _head(reports, "program of one side: instructions verified, ms to load in the virtual machine")
    names = list(dict.fromkeys(name for report in reports.values() for name in report["variants"]))
    for name in names:
        text += _row([name, *(_cell(report["variants"].get(name)) for report in reports.values())])
    return text


def _cell(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "no"
    loaded = found["programs"]["from_pod"]
    return f"{loaded['instructions']:,} · {loaded['milliseconds']} ms"
