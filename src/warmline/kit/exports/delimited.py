"""CSV and its kin: separators found out, ragged and endless rows told one by one."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from warmline.kit.exports.shapes import (
    ROW_CHARS_MAX,
    Lines,
    Row,
    TooLong,
    header_names,
)

_SEPARATORS = ",;\t|"
# Of the lines within a cell, so many are looked at for whether they are rows of their own.
_LINES_WITHIN = 50


# A row: its number, as many cells as the header has, why it cannot be read, what is odd about it.
Cells = tuple[int, list[str], str, str]


@dataclass(frozen=True, slots=True)
class Head:
    """How a delimited file begins: its separator, its headers, and how many lines stand before the
    first row. `headers` is empty where there is no header at all."""

    separator: str
    headers: tuple[str, ...]
    lines: int


def head_of(text: io.TextIOWrapper, separator: str = "") -> Head:
    """The separator (found out where it is not given) and the headers."""
    return _Delimited(text, separator).head()


def delimited_rows(text: io.TextIOWrapper, separator: str = "") -> Iterator[Row]:
    table = _Delimited(text, separator)
    for number, cells, fault, note in table.cells():
        yield Row(
            number, {} if fault else dict(zip(table.headers, cells, strict=True)), fault, note
        )


def delimited_cells(text: io.TextIOWrapper, separator: str = "") -> Iterator[Cells]:
    """The same as lists, which takes a quarter of the time."""
    return _Delimited(text, separator).cells()


class _Delimited:
    def __init__(self, text: io.TextIOWrapper, separator: str) -> None:
        # Process-wide, and never lowered: `Lines` keeps rows below it.
        csv.field_size_limit(max(csv.field_size_limit(), 2 * ROW_CHARS_MAX))
        self._lines = Lines(text)
        self._number = self._lines_read = 0
        first = self._lines.peek(1)
        if first and first[0].strip().lower().startswith("sep=") and len(first[0].strip()) == 5:
            separator = first[0].strip()[4]  # Excel's own hint
            next(self._lines)
            self._number = self._lines_read = 1
        self._separator = separator or _separator(self._lines.peek(20))
        self.headers: tuple[str, ...] = ()
        self._begin()

    def _begin(self) -> None:
        """After a fault a reader may be within a cell: a new one is not."""
        self._reader = csv.reader(self._lines, delimiter=self._separator)

    def head(self) -> Head:
        for _ in self.cells():
            break
        return Head(self._separator, self.headers, self._lines_read)

    def cells(self) -> Iterator[Cells]:
        lines = self._lines
        while True:
            self._number += 1
            lines.begin_row()
            try:
                cells = next(self._reader)
            except StopIteration:
                return
            except (TooLong, csv.Error) as error:
                yield self._fault(error)
                self._begin()
                continue
            if not any(cell.strip() for cell in cells):
                if not self.headers:
                    self._lines_read += len(lines.row)
            elif not self.headers:
                self.headers = header_names(cells)
                self._lines_read += len(lines.row)
            elif len(cells) == len(self.headers) and len(lines.row) == 1:
                yield self._number, cells, "", ""
            else:
                yield self._odd(cells)

    def _fault(self, error: Exception) -> Cells:
        if self._swallows_rows():
            return self._unclosed()
        if not isinstance(error, TooLong):
            return self._number, [], f"the row cannot be read: {error}", ""
        self._lines.pass_over()
        reason = (
            f"the row holds {self._lines.row_chars:,} characters; expected at most "
            f"{ROW_CHARS_MAX:,}: is a quote missing?"
        )
        return self._number, [], reason, ""

    def _odd(self, cells: list[str]) -> Cells:
        """Of several lines, or not as wide as the header."""
        found, expected = len(cells), len(self.headers)
        if len(self._lines.row) > 1:
            if self._swallows_rows():
                return self._unclosed()
            if self._lines.row_quotes % 2:
                reason = "a quote is opened and not closed before the end of the file"
                return self._number, [], reason, ""
        if any(cell.strip() for cell in cells[expected:]):
            reason = (
                f"the row has {found} cells; expected {expected}, as the header has: "
                "a separator within a cell needs quotes around the cell"
            )
            return self._number, [], reason, ""
        note = ""
        if found < expected:
            note = f"the row has {found} cells; expected {expected}: the rest counts as empty"
        return self._number, [*cells[:expected], *[""] * (expected - found)], "", note

    def _swallows_rows(self) -> bool:
        """Whether the lines within a cell are rows of their own, so that a quote is missing: most
        of them have as many cells as the header, and the row is no good as it stands."""
        width, row = len(self.headers), self._lines.row
        within = row[1 : 1 + _LINES_WITHIN]
        if width < 2 or not within or [width] == self._widths(row, strict=True):
            return False
        widths = self._widths(within)
        return 2 * widths.count(width) > len(within)

    def _widths(self, lines: list[str], *, strict: bool = False) -> list[int]:
        """How many cells each row of these lines has; none where they cannot be read so."""
        try:
            read = csv.reader(lines, delimiter=self._separator, strict=strict)
            return [len(cells) for cells in read]
        except csv.Error:
            return []

    def _unclosed(self) -> Cells:
        self._lines.take_back()
        self._begin()
        reason = "a quote is opened and not closed: the rows after it are read without it"
        return self._number, [], reason, ""


def _separator(lines: list[str]) -> str:
    """The one that gives the header most columns and the rows as many."""
    best, best_score = ",", 0.0
    for separator in _SEPARATORS:
        try:
            read = [cells for cells in csv.reader(lines, delimiter=separator) if any(cells)]
        except csv.Error:
            continue
        if not read or len(read[0]) < 2:
            continue
        width = len(read[0])
        alike = sum(len(cells) == width for cells in read) / len(read)
        score = alike + min(width, 100) / 1000  # as many columns in all rows, then more columns
        if score > best_score:
            best, best_score = separator, score
    return best
