"""All loops that commands call, so that they can be compiled, or loaded, before a command is."""

from capture.analysis.application import messages
from capture.analysis.exchange import packets_of
from capture.analysis.sessions import tracker
from capture.stream import remembered
from capture.stream.compiled import portions
from capture.views import excerpt


def compile_loops() -> None:
    """Compile them, or load what is kept."""
    for module in (portions, remembered, tracker, messages, excerpt, packets_of):
        module.compiled()
