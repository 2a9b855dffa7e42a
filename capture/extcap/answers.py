"""Words -> sentences of the extcap protocol (https://www.wireshark.org/docs/wsdg_html_chunked/ChCaptureExtcap.html)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from capture.extcap.arguments import Argument  # loads the request document, which few calls need

LOG = 0
"""Number of the toolbar's control that shows what the capture reports."""
_ETHERNET = 1
_ADD = 2
"""Command of a control message: append to a log."""


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


def log_message(text: str) -> bytes:
    """Return a control message that appends a line: T, three bytes of length, control, command, payload."""
    payload = f"{text}\n".encode()[: (1 << 16) - 2]
    return b"T" + (len(payload) + 2).to_bytes(3, "big") + bytes((LOG, _ADD)) + payload
