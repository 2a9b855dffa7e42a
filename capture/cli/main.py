"""argv -> one command; errors -> one line on stderr and the exit code of their class.

Commands are imported only when named, so that `bicap --help` does not pay for numba or bcc.
"""

import gc
import importlib
import os
import sys

import click

from capture.cli.groups import OWN_PROCESS
from capture.errors import BicapError

# name -> (module, one line for --help); the module has a click command of the same name.
COMMANDS = {
    "capture": ("capture.cli.capture", "Capture both directions of chosen conversations into pcapng."),
    "record": ("capture.cli.record", "Keep the latest packets, and those around a trigger for good."),
    "top": ("capture.cli.top", "Show the sessions of now, and what goes wrong with them."),
    "trigger": ("capture.cli.trigger", "Let a recorder write an incident now."),
    "incidents": ("capture.cli.incidents", "List the incidents that a recorder wrote."),
    "plan": ("capture.cli.plan", "Estimate what a capture would write and cost."),
    "pods": ("capture.cli.pods", "List the pods of this node, and their interfaces."),
    "summary": ("capture.cli.summary", "Show who talked how much in capture files, when, and what goes wrong."),
    "read": ("capture.cli.read", "Show the packets of a capture file."),
    "sessions": ("capture.cli.sessions", "Show the conversations of a capture file."),
    "latency": ("capture.cli.latency", "Show how long things took in a capture file, and on which side."),
    "legs": ("capture.cli.legs", "Compare points that saw the same packets: delay and loss between."),
    "diagnose": ("capture.cli.diagnose", "Say what goes wrong in capture files, and what to look at next."),
    "follow": ("capture.cli.follow", "Show what the two sides of a session said."),
    "web": ("capture.cli.web", "Show conversations of capture files in the browser."),
    "extcap": ("capture.cli.extcap", "Put bicap into Wireshark's list of interfaces."),
    "bench": ("capture.cli.bench", "Measure what capturing costs on this node."),
    "agent": ("capture.cli.agent", "Run the captures of a cluster on this node."),
    "controller": ("capture.cli.controller", "Run captures that are objects of a cluster."),
    "upload": ("capture.cli.upload", "Upload files that captures left here when their store was gone."),
    "doctor": ("capture.cli.doctor", "Say whether this node can capture, and what to do if not."),
}

_NEW_OBJECTS = 50_000
"""Objects between two collections of garbage. Imports make many that stay: with Python's 700, collections take a
tenth of the time until packets are caught."""


class LazyGroup(click.Group):
    """A group that imports the module of a command when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bicap", prog_name="bicap")
def cli() -> None:
    """Capture both directions of chosen conversations on Kubernetes pod interfaces, into pcapng."""


def main(own_process: bool = True) -> None:
    """Run the command in argv. `own_process`: the process does nothing else, so it may drop its privileges."""
    # One thread is enough for our sums, and a thread that starts with an import would keep our privileges.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    gc.set_threshold(_NEW_OBJECTS)
    try:
        cli(prog_name="bicap", obj=OWN_PROCESS if own_process else None)
    except BicapError as error:
        # One line, even if a name in it has line breaks.
        print(f"bicap: {' '.join(str(error).splitlines())}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    except BrokenPipeError:
        # The reader of standard output has closed it (`bicap read F | head`), which is not an error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    finally:
        if own_process:
            gc.freeze()  # skip the collection at exit, which would visit all of numba's objects and free none


if __name__ == "__main__":
    main()
