"""argv -> one verb of `kubectl bicap`; errors -> one line on stderr and the exit code of their class."""

import contextlib
import importlib
import sys

import click

from capture.errors import BicapError
from capture.kubectl.on_terminal import close_output, end_as_interrupted

VERBS = {
    "capture": ("capture.kubectl.verb_capture", "Capture pods of a cluster into one file here, or live."),
    "plan": ("capture.kubectl.verb_plan", "Say what a capture would write where, and how long disks last."),
    "get": ("capture.kubectl.verb_objects", "List captures."),
    "describe": ("capture.kubectl.verb_objects", "Say what became of a capture on each node."),
    "stop": ("capture.kubectl.verb_objects", "End captures, and keep what was caught."),
    "fetch": ("capture.kubectl.verb_objects", "Fetch what a capture caught into one file."),
    "rm": ("capture.kubectl.verb_objects", "Delete captures, with their files."),
    "pods": ("capture.kubectl.verb_objects", "List the pods that a target means."),
    "sessions": ("capture.kubectl.verb_readers", "Show the conversations of a capture."),
    "diagnose": ("capture.kubectl.verb_readers", "Say what goes wrong in a capture."),
    "legs": ("capture.kubectl.verb_readers", "Compare what both ends saw."),
    "web": ("capture.kubectl.verb_readers", "Show a capture in the browser."),
}
INTERRUPTED = 130


class VerbGroup(click.Group):
    """A group that imports the module of a verb when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command: click.Command = getattr(importlib.import_module(VERBS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in VERBS.items()])


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="bicap", prog_name="kubectl bicap")
def plugin() -> None:
    """Capture both directions of conversations of pods, wherever they are, and bring them here.

    Whatever talks with the cluster is kubectl, with its context and credentials.
    """


def main() -> None:
    """Run the verb in argv."""
    end_as_interrupted()
    try:
        plugin(prog_name="kubectl bicap", standalone_mode=False)
    except click.exceptions.Exit as ending:
        raise SystemExit(ending.exit_code) from None
    except click.ClickException as error:
        error.show()
        raise SystemExit(error.exit_code) from None
    except BicapError as error:
        print(f"bicap: {' '.join(str(error).splitlines())}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    except BrokenPipeError:
        with contextlib.suppress(OSError):
            close_output()
        raise SystemExit(0) from None
    except (KeyboardInterrupt, click.Abort):
        raise SystemExit(INTERRUPTED) from None


if __name__ == "__main__":
    main()
