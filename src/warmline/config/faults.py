"""What pydantic finds wrong in a file of the project, as one sentence with a line."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from warmline.config.yaml_lines import Lines
from warmline.core.errors import ConfigError

_SAID = {"missing": "is missing", "extra_forbidden": "is not a setting known here"}


def first_fault(error: ValidationError, path: Path, lines: Lines) -> ConfigError:
    """Pydantic's first finding: where, what was found, what was expected."""
    first = error.errors()[0]
    where = tuple(part for part in first["loc"] if part != "[key]")
    found = first.get("input")
    shown = "" if isinstance(found, (dict, list)) or found is None else f", found {found!r}"
    name = ".".join(str(part) for part in where) or "the file"
    said = first["msg"].removeprefix("Value error, ")  # one of our own checks
    message = _SAID.get(first["type"], said[0].lower() + said[1:])
    return ConfigError(f"{name} {message}{shown}", file=str(path), line=lines.of(where))
