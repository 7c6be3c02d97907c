"""What every kind of export is read into: rows with named cells, or with a fault."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

ROW_CHARS_MAX = 1_000_000
# How far a row that is too long is followed for its end, before the next line counts as a row.
SKIPPED_CHARS_MAX = 16_000_000
COLUMNS_MAX = 1000

Value = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Row:
    """`number` counts as a spreadsheet does, the header being row 1; for JSON it is the place in
    the array or the line. `fault` says why the row could not be read; `note` what is odd in one
    that was."""

    number: int
    data: Mapping[str, Value] = field(default_factory=dict)
    fault: str = ""
    note: str = ""


class Unreadable(Exception):
    """The rest of the file cannot be read: why."""


class TooLong(Exception):
    """A row beyond the limit; what is left of it has still to be passed over."""


def header_names(cells: list[Any]) -> tuple[str, ...]:
    """Distinct texts: an empty one is named by its place, a repeated one by its count."""
    if len(cells) > COLUMNS_MAX:
        raise Unreadable(f"found {len(cells)} columns; expected at most {COLUMNS_MAX}")
    found: list[str] = []
    for place, cell in enumerate(cells, 1):
        name = " ".join(str("" if cell is None else cell).replace("\ufeff", "").split())
        name = name or f"column {place}"
        count, wanted = 1, name
        while name in found:
            count += 1
            name = f"{wanted} ({count})"
        found.append(name)
    return tuple(found)


def row_of(number: int, headers: tuple[str, ...], cells: list[Any]) -> Row:
    beyond = [cell for cell in cells[len(headers) :] if cell not in (None, "")]
    if beyond and any(str(cell).strip() for cell in beyond):
        return Row(
            number,
            fault=f"the row has {len(cells)} cells; expected {len(headers)}, as the header has: "
            "a separator within a cell needs quotes around the cell",
        )
    padded = [*cells[: len(headers)], *[""] * (len(headers) - len(cells))]
    return Row(number, dict(zip(headers, padded, strict=True)))


class Lines:
    """The lines of a text, for csv.reader: without NULs, and none of endless length."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text
        self._ahead: deque[str] = deque()
        self.row_chars = 0
        self.row_quotes = 0
        self.row: list[str] = []  # the lines of the row in hand

    def begin_row(self) -> None:
        self.row_chars = self.row_quotes = 0
        self.row = []

    def take_back(self) -> None:
        """All lines of the row in hand but its first are read again."""
        self._ahead.extendleft(reversed(self.row[1:]))
        self.row = self.row[:1]

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._ahead.popleft() if self._ahead else self._text.readline(ROW_CHARS_MAX)
        if not line:
            raise StopIteration
        self.row_chars += len(line)
        self.row_quotes += line.count('"')
        self.row.append(line)
        if self.row_chars >= ROW_CHARS_MAX:
            raise TooLong
        return line.replace("\x00", "") if "\x00" in line else line

    def peek(self, count: int) -> list[str]:
        while len(self._ahead) < count:
            line = self._text.readline(ROW_CHARS_MAX)
            if not line:
                break
            self._ahead.append(line)
        return list(islice(self._ahead, count))

    def pass_over(self) -> None:
        """To the end of the row: the end of a line where every quote that was opened is closed."""
        line, skipped = self.row[-1], 0
        while not line.endswith(("\n", "\r")) or (
            self.row_quotes % 2 and skipped < SKIPPED_CHARS_MAX
        ):
            line = self._ahead.popleft() if self._ahead else self._text.readline(ROW_CHARS_MAX)
            if not line:
                return
            skipped += len(line)
            self.row_chars += len(line)
            self.row_quotes += line.count('"')
