"""click options with a group each -> --help in sections."""

from collections.abc import Callable
from typing import Any

import click

ORDER = "bicap.order"
OWN_PROCESS = "bicap.own_process"
"""The context's object where bicap is the whole process: only then may it give up the process's privileges."""


class GroupedOption(click.Option):
    """An option that knows under which heading it stands."""

    def __init__(self, *words: Any, group: str = "Options", **settings: Any) -> None:
        super().__init__(*words, **settings)
        self.group = group


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
