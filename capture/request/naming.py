"""How messages name a field: by its option, by its key in a rule file, or by its path in an object."""

from collections.abc import Callable
from dataclasses import dataclass

from capture.request.fields import Field


@dataclass(frozen=True, slots=True)
class FieldName:
    """A field as its reader knows it."""

    text: str
    is_path: bool = False

    def item(self, number: int) -> str:
        """One value of a list, counted from 0."""
        return f"{self.text}[{number}]" if self.is_path else self.text

    @property
    def items(self) -> str:
        """Any value of a list."""
        return f"{self.text}:" if self.is_path else self.text


Naming = Callable[[Field], FieldName]


def on_line(field: Field) -> FieldName:
    """As an option: --duration."""
    option = field.declared.option
    return FieldName(option.name if option else field.key)


def in_rule_file(field: Field) -> FieldName:
    """As a key: maxBytes."""
    return FieldName(field.key)


def in_object(field: Field) -> FieldName:
    """As a path: spec.limits.bytes."""
    return FieldName(".".join(("spec", *field.json_path)), is_path=True)
