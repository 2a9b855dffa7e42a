"""The page's modules and an incident's answers -> one HTML file that opens without a server, and asks for nothing.

A browser loads no modules from a file's folder, so they are put into one script, each a function that returns its
exports. The modules are written for that: imports stand at their start, one statement a line. The policy of the file
allows this script and this style by their digests, and nothing else.
"""

import base64
import hashlib
import json
import re
from pathlib import Path, PurePosixPath
from typing import Any

_IMPORT = re.compile(r'^import \{([^}]*)\} from "(\./[^"]+)";$', re.MULTILINE)
_EXPORTED = re.compile(r"^export (?=(?:async function|function|class|const|let) (\w+))", re.MULTILINE)
_LIST = re.compile(r"export\{([^}]*)\};?")
_DECLARED = re.compile(r"^export (?:async function|function|class|const|let) (\w+)", re.MULTILINE)


def script(page: Path) -> str:
    """Return all modules as one script."""
    done: dict[str, str] = {}
    _add(page, PurePosixPath("main.js"), done)
    return "const modules = {};\n" + "\n".join(done.values())


def _add(page: Path, name: PurePosixPath, done: dict[str, str]) -> None:
    """Add a module behind those that it imports."""
    if str(name) in done:
        return
    text = (page / name).read_text(encoding="utf-8")
    for _, target in _IMPORT.findall(text):
        _add(page, name.parent / PurePosixPath(target), done)

    def imported(match: re.Match[str]) -> str:
        names = match[1].replace(" as ", ": ")
        return f"const {{{names}}} = modules[{json.dumps(str(name.parent / PurePosixPath(match[2])))}];"

    exports = [(one, one) for one in _DECLARED.findall(text)]
    for listed in _LIST.findall(text):
        for pair in listed.split(","):
            inner, _, outer = pair.strip().partition(" as ")
            exports.append((outer or inner, inner))
    text = _LIST.sub("", _EXPORTED.sub("", _IMPORT.sub(imported, text)))
    given = ", ".join(f"{json.dumps(outer)}: {inner}" for outer, inner in exports)
    done[str(name)] = f"modules[{json.dumps(str(name))}] = (() => {{\n{text}\nreturn {{{given}}};\n}})();"


def html(page: Path, title: str, answers: dict[str, Any]) -> str:
    """Return the file."""
    code, style = script(page), (page / "style.css").read_text(encoding="utf-8")
    code, style = f"\n{code}\n", f"\n{style}\n"
    data = json.dumps(answers, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    policy = f"default-src 'none'; script-src '{_digest(code)}'; style-src '{_digest(style)}'; img-src data:"
    safe = title.replace("&", "&amp;").replace("<", "&lt;")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        f"<title>{safe}</title><style>{style}</style></head>"
        f'<body><div id="app"></div><script type="application/json" id="incident">{data}</script>'
        f'<script type="module">{code}</script></body></html>\n'
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
