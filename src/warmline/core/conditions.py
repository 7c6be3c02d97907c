"""Conditions in CEL (Common Expression Language): what `when:` holds in the project's files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import cel

# The name that a list's macro gives to each item, as in `tags.exists(t, t == "vip")`.
_ITEM = re.compile(r"\.\s*(?:all|exists|exists_one|filter|map)\s*\(\s*([A-Za-z_]\w*)\s*,")


class BadCondition(ValueError):
    """A `when:` that is not CEL, or that does not say true or false."""


class Condition:
    """A compiled expression over the names that its place gives it.

    A name that is not there makes the condition false, not an error: a rule about stages says
    nothing about an event without one.
    """

    __slots__ = ("_program", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._program = cel.compile(text)
        except Exception as error:  # the library raises its parser's own classes
            raise BadCondition(str(error).splitlines()[0]) from error

    @property
    def names(self) -> list[str]:
        """What it speaks of: the first words of its paths."""
        return sorted(set(self._program.variables()) - set(_ITEM.findall(self.text)))

    def holds(self, context: Mapping[str, Any]) -> bool:
        try:
            return self.value(context) is True
        except BadCondition:  # an absent key or name: the rule is not about this event
            return False

    def value(self, context: Mapping[str, Any]) -> Any:
        """What the expression gives. Raises BadCondition where it names what is not there."""
        try:
            return self._program.execute(dict(context))
        except Exception as error:
            raise BadCondition(str(error).splitlines()[0]) from error


def checked(text: str, examples: Mapping[str, Any]) -> Condition:
    """Compiled and tried on the examples. Raises BadCondition where it is no CEL, names what there
    is not, or says neither true nor false."""
    made = Condition(text)
    strange = [name for name in made.names if name not in examples]
    if strange:
        raise BadCondition(f"it names {strange[0]!r}")
    said = made.value(examples)
    if not isinstance(said, bool):
        raise BadCondition(f"it gives {type(said).__name__} and not true or false")
    return made
