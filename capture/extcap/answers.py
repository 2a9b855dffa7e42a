"""Words -> sentences of the extcap protocol (https://www.wireshark.org/docs/wsdg_html_chunked/ChCaptureExtcap.html)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from capture.extcap.controls import KEEP, LOG, RULE

if TYPE_CHECKING:
    from capture.extcap.arguments import Argument  # loads the request document, which few calls need

_ETHERNET = 1


def sentence(word: str, **values: object) -> str:
    """Return a sentence; a value of None is left out. Wireshark has no way to quote braces."""
    given = "".join(f"{{{name}={_plain(value)}}}" for name, value in values.items() if value is not None)
    return f"{word} {given}"


def _plain(value: object) -> str:
    return " ".join(str(value).replace("{", "(").replace("}", ")").split())


def interfaces(version: str, listed: Mapping[str, str]) -> list[str]:
    """Return what --extcap-interfaces answers: values of interfaces and how they are shown."""
    return [
        sentence("extcap", version=version, display="bicap"),
        *(sentence("interface", value=value, display=shown) for value, shown in listed.items()),
        sentence(
            "control",
            number=KEEP,
            type="button",
            role="control",
            display="Keep the last 30 s",
            tooltip="While bicap waits for trouble: show the packets of the last 30 s (Before in the dialog) and of "
            "the next 10 s (After)",
        ),
        sentence(
            "control",
            number=RULE,
            type="string",
            display="Trigger",
            tooltip="While bicap waits for trouble: do the same when this becomes true, like handshake=unanswered or "
            "retransmitted>=5 in 10s per server; a new rule begins with empty memory",
            placeholder="handshake=refused",
        ),
        sentence(
            "control",
            number=LOG,
            type="button",
            role="logger",
            display="Account",
            tooltip="Show what the capture reports",
        ),
    ]


def link_types() -> list[str]:
    """Return what --extcap-dlts answers."""
    return [sentence("dlt", number=_ETHERNET, name="EN10MB", display="Ethernet")]


def options(arguments: "list[Argument]") -> list[str]:
    """Return what --extcap-config answers."""
    lines = []
    for number, one in enumerate(arguments):
        lines.append(
            sentence(
                "arg", number=number, call=one.call, display=one.display, tooltip=one.help, type=one.type,
                group=one.group, placeholder=one.placeholder or None, validation=one.validation or None,
                mustexist="true" if one.type == "fileselect" else None,
                reload="true" if one.reload else None,
                default=one.default or None,
            )
        )  # fmt: skip
        lines += values(number, one)
    return lines


def values(number: int, argument: "Argument") -> list[str]:
    """Return the values of an argument with a choice."""
    return [
        sentence(
            "value", arg=number, value=value, display=shown, default="true" if value == argument.default else "false"
        )
        for value, shown in argument.choices.items()
    ]
