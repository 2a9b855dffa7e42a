"""click options with a group each -> --help in sections."""

from collections.abc import Callable, Sequence
from typing import Any

import click

ORDER = "bicap.order"
OWN_PROCESS = "bicap.own_process"
"""The context's object where bicap is the whole process: only then may it give up the process's privileges."""


class GroupedOption(click.Option):
    """An option that knows under which heading it stands, and which of its names --help leaves out."""

    def __init__(
        self, words: Sequence[str], *, group: str = "Options", aliases: Sequence[str] = (), **settings: Any
    ) -> None:
        super().__init__([*words, *aliases], **settings)
        self.group, self.aliases = group, frozenset(aliases)

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """The names, without aliases, and the help."""
        names = self.opts
        self.opts = [name for name in names if name not in self.aliases]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = names


def option(group: str, *words: str, **settings: Any) -> Callable[[Any], Any]:
    """`click.option` under a heading."""
    return click.option(*words, cls=GroupedOption, group=group, **settings)


class GroupedCommand(click.Command):
    """A command whose --help lists the options under their headings, in the order of their declaration."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """As click does, and keep the order in which options were given: ctx.meta[ORDER] has a name for each."""
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
