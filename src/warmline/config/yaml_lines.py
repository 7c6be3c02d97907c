"""YAML with the line of each value, so that an error can name it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from warmline.core.errors import ConfigError

FILE_BYTES_MAX = 1024 * 1024


class _Loader(yaml.SafeLoader):
    """YAML 1.2 booleans: only true and false are. In YAML 1.1, which PyYAML reads, the trigger
    map's column `on` would be a boolean, and so would a country called NO. And no aliases: a few
    lines of them unfold to more than any memory holds."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            problem = f"an alias (*{event.anchor}); expected the value written out"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)


class Lines:
    """The line (from 1) of each place in a file, by the path of keys and indexes to it."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str | int, ...], int] = {}

    def note(self, where: tuple[str | int, ...], line: int) -> None:
        self._lines[where] = line

    def of(self, where: tuple[str | int, ...]) -> int | None:
        """The line of the place, or of the nearest place around it."""
        while where and where not in self._lines:
            where = where[:-1]
        return self._lines.get(where)


def read_yaml(path: Path) -> tuple[Any, Lines]:
    """The data and its lines. Raises ConfigError for what is not YAML, and for a key given twice,
    which YAML would silently let the last one win."""
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file of the project, with `\n` at the ends of its lines. Raises ConfigError."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", file=str(path)) from None
    if len(raw) > FILE_BYTES_MAX:
        raise ConfigError("expected a file of at most 1 MiB", file=str(path))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"expected UTF-8; byte {error.start} is not", file=str(path)) from None
    return text.replace("\r\n", "\n")


def parse_yaml(text: str, file: str, first_line: int = 1) -> tuple[Any, Lines]:
    lines = Lines()
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:  # a control character
        at = text.count("\n", 0, error.position) + first_line
        raise ConfigError(f"is not YAML here: {error.reason}", file=file, line=at) from None
    try:
        node = loader.get_single_node()
        if node is None:
            return None, lines
        _walk(node, (), lines, file, first_line)
        return loader.construct_document(node), lines
    except RecursionError:
        raise ConfigError("is nested too deeply to be read", file=file) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + first_line if mark else None
        raise ConfigError(
            f"is not YAML here: {error.problem or error.context}", file=file, line=line
        ) from None
    except yaml.YAMLError as error:
        raise ConfigError(f"is not YAML: {str(error).splitlines()[0]}", file=file) from None
    except ValueError as error:  # an impossible date, for example
        raise ConfigError(f"holds a value that cannot be read: {error}", file=file) from None
    finally:
        loader.dispose()


def _walk(
    node: yaml.Node, where: tuple[str | int, ...], lines: Lines, file: str, first_line: int
) -> None:
    if where not in lines._lines:
        lines.note(where, node.start_mark.line + first_line)
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            name = str(key.value)
            if name in seen:
                raise ConfigError(
                    f"{name!r} is given twice", file=file, line=key.start_mark.line + first_line
                )
            seen.add(name)
            lines.note((*where, name), key.start_mark.line + first_line)
            _walk(value, (*where, name), lines, file, first_line)
    elif isinstance(node, yaml.SequenceNode):
        for i, value in enumerate(node.value):
            _walk(value, (*where, i), lines, file, first_line)
