"""A new connector's folder, laid out from `skeleton/`: it lints and keeps the contract as it is."""

from __future__ import annotations

import keyword
import re
from pathlib import Path

from warmline.core.errors import ConfigError
from warmline.kit.manifest import FOLDER

SKELETON = Path(__file__).parent / "skeleton"
NAME = re.compile(r"[a-z][a-z0-9_]{1,23}")
# Import names that would hide what they name, or stand for nothing.
_NOT_A_NAME = frozenset(
    {"base", "common", "connector", "connectors", "helpers", "manager", "utils"}
)


def lay_out(name: str, folder: Path = FOLDER) -> str:
    """Write the folder; what to do next. Raises ConfigError where the name cannot be one."""
    if not NAME.fullmatch(name) or name.endswith("_") or keyword.iskeyword(name):
        raise ConfigError(
            f"NAME: found {name[:40]!r}, expected a vendor's name in at most 24 lower-case"
            " letters, digits and underscores, such as lever or zoho_recruit"
        )
    if name in _NOT_A_NAME:
        raise ConfigError(f"NAME: {name} says nothing; expected the vendor's name")
    home = folder / name
    if home.exists():
        raise ConfigError(f"NAME: connectors/{name} is there already; nothing was changed")
    title = name.replace("_", " ").title()
    words = {"name": name, "title": title, "class": title.replace(" ", "")}
    for source in sorted(SKELETON.rglob("*.txt")):
        path = home / source.relative_to(SKELETON).with_suffix("")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_filled(source.read_text(), words))
    return _next(name, title)


def _filled(text: str, words: dict[str, str]) -> str:
    return re.sub(r"\{\{(\w+)\}\}", lambda found: words[found[1]], text)


def _next(name: str, title: str) -> str:
    return f"""connectors/{name} is laid out. It keeps the contract for what it declares: parses.

  pytest tests/contract -k {name}         the contract
  pytest src/warmline/connectors/{name}    its own tests
  make golden NAME={name}                  the golden events anew, after a change of the fixtures

Next: put payloads as the vendor documents them into fixtures/, its words into mapping.py, and add
to docs/reference.md, among the connectors, a heading `{name}` with the capability:

  ### `{name}`

  {title}. Capabilities: `parses`.
"""
