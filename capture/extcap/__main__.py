"""The words of one call of the extcap protocol -> its answer on standard output, or a capture into a named pipe."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import version

from capture.errors import BicapError, SpecError
from capture.extcap.wireshark_list import WAIT

_WITHOUT_VALUE = {"--extcap-interfaces", "--extcap-dlts", "--extcap-config", "--capture"}


@dataclass(slots=True)
class Call:
    """The options of the protocol by name, and all others in their order."""

    protocol: dict[str, str] = field(default_factory=dict)
    others: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def parse(cls, words: Sequence[str]) -> "Call":
        """Read the words of a call. Raises SpecError."""
        call, left = cls(), iter(words)
        for word in left:
            name, equals, value = word.partition("=")
            if not name.startswith("--"):
                raise SpecError(
                    f"{word!r} is not an option of the extcap protocol; Wireshark calls this program itself"
                )
            ours = name.startswith("--extcap-") or name in ("--capture", "--fifo")
            if not equals and name not in _WITHOUT_VALUE and not (not ours and _is_switch(name)):
                value = next(left, "")
            if ours:
                call.protocol[name] = value
            else:
                call.others.append((name, value))
        return call


def _is_switch(name: str) -> bool:
    from capture.extcap.arguments import is_switch

    return is_switch(name)


def answer(call: Call) -> Iterator[str]:
    """Return the lines that answer a call which does not capture. Raises BicapError."""
    from capture.extcap import answers, wireshark_list

    given = call.protocol
    if "--extcap-interfaces" in given:
        yield from answers.interfaces(version("bicap"), wireshark_list.entries())
        return
    if len(given) < 2 or "--extcap-interface" not in given:
        raise SpecError("this program is called by Wireshark; `bicap extcap --install` makes it known there")
    wireshark_list.words_for(given["--extcap-interface"])  # raises, if there is no such entry
    if "--extcap-dlts" in given:
        yield from answers.link_types()
    elif "--extcap-config" in given or "--extcap-reload-option" in given:
        from capture.extcap.arguments import arguments_of

        chooses = given["--extcap-interface"] in (wireshark_list.ANY, wireshark_list.WAIT)
        choices = (
            {"--interface": wireshark_list.local_interfaces(), "--pod": wireshark_list.pods()} if chooses else {}
        )
        asked = arguments_of(given["--extcap-interface"], choices)
        name = given.get("--extcap-reload-option")
        if name is None:
            yield from answers.options(asked)
        else:
            for number, one in enumerate(asked):
                if one.call.lstrip("-") == name.lstrip("-"):
                    yield from answers.values(number, one)
    else:
        yield from _problem(given.get("--extcap-capture-filter", ""))


def _problem(expression: str) -> Iterator[str]:
    """Return what is wrong with a capture filter; Wireshark takes an empty answer as right."""
    if not expression:
        return
    from capture.filters.libpcap import compile_expression

    try:
        compile_expression(expression)
    except BicapError as error:
        yield str(error)


def main() -> None:
    """Answer the call in argv."""
    try:
        call = Call.parse(sys.argv[1:])
        if "--capture" in call.protocol:
            if call.protocol.get("--extcap-interface") == WAIT:
                from capture.extcap.wait_for_trouble import run
            else:
                from capture.extcap.captured import run

            raise SystemExit(run(call.protocol, call.others))
        lines = list(answer(call))
    except BicapError as error:
        print(f"bicap: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    with suppress(BrokenPipeError):
        print("".join(f"{line}\n" for line in lines), end="", flush=True)
        return
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    main()
