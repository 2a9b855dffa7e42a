"""How messages name a field: by its option, by its key in a rule file, or by its path in an object."""

from collections.abc import Callable
from dataclasses import dataclass

from capture.request.declaration import Field


@dataclass(frozen=True, slots=True)
class Place:
    """A field as its reader knows it."""

    name: str
    is_path: bool = False

    def item(self, number: int) -> str:
        """One value of a list, counted from 0."""
        return f"{self.name}[{number}]" if self.is_path else self.name

    @property
    def items(self) -> str:
        """Any value of a list."""
        return f"{self.name}:" if self.is_path else self.name


Naming = Callable[[Field], Place]


def on_line(field: Field) -> Place:
    """As an option: --duration."""
    option = field.declared.option
    return Place(option.name if option else field.key)


def in_rule_file(field: Field) -> Place:
    """As a key: maxBytes."""
    return Place(field.key)


def in_object(field: Field) -> Place:
    """As a path: spec.limits.bytes."""
    return Place(".".join(("spec", *field.json_path)), is_path=True)
