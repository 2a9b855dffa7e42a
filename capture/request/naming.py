"""How messages name a field: by its option, by its key in a rule file, or by its path in an object."""

from collections.abc import Callable
from dataclasses import dataclass

from capture.request.fields import Field


@dataclass(frozen=True, slots=True)
class FieldName:
    """Name of a field in messages."""

    text: str
    is_path: bool = False

    def item(self, number: int) -> str:
        """Name of one value of a list; numbers begin with 0."""
        return f"{self.text}[{number}]" if self.is_path else self.text

    @property
    def items(self) -> str:
        """Name of any value of a list."""
        return f"{self.text}:" if self.is_path else self.text


Naming = Callable[[Field], FieldName]


def on_line(field: Field) -> FieldName:
    """Return the option: --duration."""
    option = field.declared.option
    return FieldName(option.name if option else field.key)


def in_rule_file(field: Field) -> FieldName:
    """Return the key: maxBytes."""
    return FieldName(field.key)


def in_object(field: Field) -> FieldName:
    """Return the path: spec.limits.bytes."""
    return FieldName(".".join(("spec", *field.json_path)), is_path=True)
