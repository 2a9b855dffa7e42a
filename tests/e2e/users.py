"""Users with fewer privileges, and machines with another bcc -> what to put around a command."""

import os
from pathlib import Path

PYPI_BCC = '"""Of PyPI: another project of that name."""\n__version__ = "0.1.10"\n'
NO_BCC = "raise ModuleNotFoundError(\"No module named 'bcc'\")\n"


def nobody(*capabilities: str) -> list[str]:
    """Words before a command: it runs as nobody, with these capabilities.

    CAP_DAC_READ_SEARCH is always among them: the Python of a test may lie in somebody's home.
    """
    held = ",".join(["-all", *(f"+{name}" for name in ("dac_read_search", *capabilities))])
    user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    return [*user, f"--inh-caps={held}", f"--ambient-caps={held}", f"--bounding-set={held}"]


def with_bcc(folder: Path, source: str) -> dict[str, str]:
    """The environment of a command that finds this source as its bcc."""
    (folder / "bcc").mkdir(parents=True)
    (folder / "bcc" / "__init__.py").write_text(source)
    return {"PYTHONPATH": os.pathsep.join(filter(None, [str(folder), os.environ.get("PYTHONPATH")]))}
