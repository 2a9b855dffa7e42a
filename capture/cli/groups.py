"""click options, each with a group -> --help in sections."""

from collections.abc import Callable, Sequence
from typing import Any

import click

ORDER = "bicap.order"
"""Key in ctx.meta of the names of the options that were given, in their order on the command line."""
OWN_PROCESS = "bicap.own_process"
"""The context's object if bicap is the whole process: only then may it drop the process's privileges."""


class GroupedOption(click.Option):
    """An option with its heading in --help, and with aliases that --help does not show."""

    def __init__(
        self, words: Sequence[str], *, group: str = "Options", aliases: Sequence[str] = (), **settings: Any
    ) -> None:
        super().__init__([*words, *aliases], **settings)
        self.group, self.aliases = group, frozenset(aliases)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Return the names without aliases, and the help."""
        names = self.opts
        self.opts = [name for name in names if name not in self.aliases]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = names


def option(group: str, *words: str, **settings: Any) -> Callable[[Any], Any]:
    """Return `click.option` with a heading."""
    return click.option(*words, cls=GroupedOption, group=group, **settings)


class GroupedCommand(click.Command):
    """A command whose --help lists the options under their headings, in the order of their declaration."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse as click does, and keep the names of the given options in their order in ctx.meta[ORDER]."""
        _, _, order = self.make_parser(ctx).parse_args(args=list(args))
        ctx.meta[ORDER] = [parameter.name for parameter in order]
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                groups.setdefault(getattr(parameter, "group", "Other"), []).append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)
