"""A connection's settings as connectors read them: checked, or a ConfigError that says what was
found and what was expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from warmline.core.errors import ConfigError
from warmline.core.events import StageKind

# What the name of a stage can say. Who was hired or rejected is told by the application's status.
KINDS_BY_NAME = frozenset(kind.value for kind in StageKind) - {"hired", "rejected"}


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """`vendor` is named first in each error."""

    vendor: str
    given: Mapping[str, object]

    def text(self, name: str, default: str, *, or_number: bool = False) -> str:
        """Without the blanks around it. `or_number`: an id, which YAML may read as a number."""
        found = self.given.get(name)
        if found is None or found == "":
            return default
        if or_number and isinstance(found, int) and not isinstance(found, bool):
            return str(found)
        if not isinstance(found, str):
            raise ConfigError(f"{self.vendor}: {name}: found {found!r}, expected text")
        return found.strip()

    def whole_number(self, name: str, default: int, low: int, high: int) -> int:
        found = self.given.get(name)
        if found is None:
            return default
        if isinstance(found, bool) or not isinstance(found, int) or not low <= found <= high:
            raise ConfigError(
                f"{self.vendor}: {name}: found {found!r}, expected a whole number from {low} to"
                f" {high}"
            )
        return found

    def stages(self) -> dict[str, StageKind]:
        """The setting `stages`: the customer's stage names, each with its kind."""
        found = self.given.get("stages")
        if found is None:
            return {}
        if not isinstance(found, Mapping):
            raise ConfigError(
                f"{self.vendor}: stages: found {found!r}, expected `stage name: kind` lines"
            )
        for name, kind in found.items():
            if not isinstance(kind, str) or kind not in KINDS_BY_NAME:
                raise ConfigError(
                    f"{self.vendor}: stages: {name}: found {kind!r}, expected one of"
                    f" {', '.join(sorted(KINDS_BY_NAME))}"
                )
        return {str(name): StageKind(kind) for name, kind in found.items()}
