"""This Python -> a starter script in the folder where Wireshark looks for external capture programs."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

from capture.errors import SinkError, TargetError

NAME = "bicap"
_FOLDER_NAMES = ("Personal Extcap path", "Global Extcap path", "Extcap path")
"""Names of these folders in `tshark -G folders`: from Wireshark 4.2 on there is a personal one, before only one."""
_SCRIPT = """\
#!/bin/sh
# Written by `bicap extcap --install`: Wireshark calls it to list interfaces and to capture.
exec {python} -P -m capture.extcap "$@"
"""


def folders(program: str = "tshark") -> list[str]:
    """Return the folders that Wireshark looks in, a user's own first. Raises TargetError."""
    try:
        done = subprocess.run([program, "-G", "folders"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise TargetError(
            f"`{program} -G folders` does not say where Wireshark has its extcap folder ({error}); "
            "give the folder with --folder (Help, About Wireshark, Folders)"
        ) from None
    return parsed(done.stdout)


def parsed(listing: str) -> list[str]:
    """Return the extcap folders of a listing of `tshark -G folders`. Raises TargetError if there is none."""
    named = dict(line.split(":", 1) for line in listing.splitlines() if ":" in line)
    found = [named[name].strip() for name in _FOLDER_NAMES if named.get(name, "").strip()]
    if not found:
        raise TargetError("Wireshark has no extcap folder here; give the folder with --folder")
    return list(dict.fromkeys(path for one in found for path in one.split(os.pathsep)))


def install(folder: str | None) -> Path:
    """Write the starter into the folder, or into the first that may be written. Raises TargetError, SinkError."""
    tried = []
    for one in [folder] if folder is not None else folders():
        target = Path(one) / NAME
        temporary = target.with_name(f".{NAME}.{os.getpid()}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(_SCRIPT.format(python=shlex.quote(sys.executable)))
            temporary.chmod(0o755)
            temporary.replace(target)
        except OSError as error:
            temporary.unlink(missing_ok=True) if os.access(target.parent, os.W_OK) else None
            tried.append(f"{target}: {error.strerror}")
        else:
            return target
    raise SinkError(f"cannot write {'; '.join(tried)}; run as root, or give your own folder with --folder")
