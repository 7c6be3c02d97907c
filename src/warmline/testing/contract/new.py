"""A new connector's folder, laid out so that it passes lint, types and the contract suite.

`make connector NAME=acme` types it. The files come from `template/`; what they declare is little
(`parses`), and the suite asks for more as the manifest declares more.
"""

from __future__ import annotations

import keyword
import re
import sys
from pathlib import Path
from string import Template

from warmline.core.errors import ConfigError, WarmlineError
from warmline.kit.manifest import FOLDER

TEMPLATE = Path(__file__).parent / "template"
ENDING = ".tmpl"
_NAME = re.compile(r"[a-z][a-z0-9_]{1,19}")


def lay_out(name: str, home: Path = FOLDER) -> str:
    """Make the folder; what to do next. Raises ConfigError where the name will not do."""
    if not _NAME.fullmatch(name) or keyword.iskeyword(name):
        raise ConfigError(
            f"{name[:40]!r} is no name for a connector: expected 2 to 20 lower-case letters, digits"
            " and underscores, a letter first, and no word of Python's"
        )
    folder = home / name
    if folder.exists():
        raise ConfigError(f"there is a connector {name} already: {folder}", hint="edit that one")
    words = name.split("_")
    values = {
        "name": name,
        "title": " ".join(word.capitalize() for word in words if word),
        "class_name": "".join(word.capitalize() for word in words),
    }
    for path in sorted(TEMPLATE.rglob(f"*{ENDING}")):
        target = folder / path.relative_to(TEMPLATE).with_suffix("")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(Template(path.read_text()).substitute(values))
    return (
        f"{folder} is there. Next:\n"
        "  1. put payloads as the vendor documents them into fixtures/, its words into mapping.py\n"
        f"  2. make golden NAME={name}, and read what it wrote\n"
        "  3. declare more in manifest.toml; pytest tests/contract says what is missing\n"
        f"  4. add a section `{name}` with the settings to docs/reference.md\n"
    )


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m warmline.testing.contract.new NAME\n")
        return 2
    try:
        sys.stdout.write(lay_out(arguments[0]))
    except WarmlineError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
