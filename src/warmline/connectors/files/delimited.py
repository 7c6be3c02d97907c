"""CSV and its kin: separators found out, ragged and endless rows told one by one."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from warmline.connectors.files.shapes import (
    ROW_CHARS_MAX,
    Lines,
    Row,
    TooLong,
    header_names,
    row_of,
)

_SEPARATORS = ",;\t|"


def delimited_rows(text: io.TextIOWrapper, separator: str) -> Iterator[Row]:
    # Process-wide, and never lowered: `Lines` keeps rows below it.
    csv.field_size_limit(max(csv.field_size_limit(), 2 * ROW_CHARS_MAX))
    lines = Lines(text)
    first = lines.peek(1)
    number = 0
    if first and first[0].strip().lower().startswith("sep=") and len(first[0].strip()) == 5:
        separator = first[0].strip()[4]  # Excel's own hint
        next(lines)
        number = 1
    separator = separator or _separator(lines.peek(20))
    headers: tuple[str, ...] = ()
    reader = csv.reader(lines, delimiter=separator)
    while True:
        number += 1
        lines.begin_row()
        try:
            cells = next(reader)
        except StopIteration:
            return
        except TooLong:
            reader = csv.reader(lines, delimiter=separator)
            yield Row(
                number,
                fault=f"the row holds {lines.row_chars:,} characters; expected at most "
                f"{ROW_CHARS_MAX:,}: is a quote missing?",
            )
            continue
        except csv.Error as error:
            reader = csv.reader(lines, delimiter=separator)
            yield Row(number, fault=f"the row cannot be read: {error}")
            continue
        if not any(cell.strip() for cell in cells):
            continue
        if not headers:
            headers = header_names(cells)
            continue
        if lines.row_lines > 1 and lines.row_quotes % 2:
            yield Row(number, fault="a quote is opened and not closed before the end of the file")
            return
        yield row_of(number, headers, cells)


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
