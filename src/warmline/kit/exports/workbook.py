"""XLSX, streamed: the first sheet, as it was last saved."""

from __future__ import annotations

import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import IO, Any
from xml.etree.ElementTree import ParseError

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from warmline.kit.exports.shapes import (
    ROW_CHARS_MAX,
    Row,
    Unreadable,
    Value,
    header_names,
    row_of,
)

XLSX_BYTES_MAX = 2 * 1024 * 1024 * 1024  # unpacked


@contextmanager
def _quiet() -> Iterator[None]:
    """openpyxl warns of styles and validations, which are nothing to us."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def workbook_rows(path: Path) -> Iterator[Row]:
    """The first sheet, streamed. Formulas are not evaluated: their last saved value counts."""
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if size > XLSX_BYTES_MAX:
            raise Unreadable(
                f"the workbook unpacks to {size:,} bytes; expected at most {XLSX_BYTES_MAX:,}"
            )
    except _BROKEN_XLSX as error:
        raise Unreadable(f"it is no Excel workbook: {type(error).__name__}") from None
    with path.open("rb") as file:
        yield from _workbook(file)


def _workbook(file: IO[bytes]) -> Iterator[Row]:
    try:
        with _quiet():
            book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    except _BROKEN_XLSX as error:
        raise Unreadable(f"it is no Excel workbook: {type(error).__name__}") from None
    with closing(book):
        if not book.worksheets:
            raise Unreadable("the workbook has no sheet with cells")
        sheet: Any = book.worksheets[0]
        sheet.reset_dimensions()  # some exports say that the sheet is one cell
        read = enumerate(sheet.iter_rows(values_only=True), 1)
        headers: tuple[str, ...] = ()
        while True:
            try:
                with _quiet():
                    some = list(islice(read, 200))
            except _BROKEN_XLSX as error:
                raise Unreadable(f"the workbook breaks off here: {type(error).__name__}") from None
            if not some:
                return
            for number, cells in some:
                texts = [_cell(cell) for cell in cells]
                if not any(text not in (None, "") for text in texts):
                    continue
                if not headers:
                    while texts and texts[-1] in (None, ""):
                        texts.pop()
                    headers = header_names(texts)
                    continue
                size = sum(len(text) for text in texts if isinstance(text, str))
                if size > ROW_CHARS_MAX:
                    yield Row(
                        number,
                        fault=f"the row holds {size:,} characters; "
                        f"expected at most {ROW_CHARS_MAX:,}",
                    )
                    continue
                yield row_of(number, headers, texts)


# What a damaged or hostile workbook makes zipfile, the XML parser and openpyxl raise.
_BROKEN_XLSX = (
    zipfile.BadZipFile, InvalidFileException, ParseError, KeyError, ValueError, TypeError,
    IndexError, AttributeError, EOFError, OverflowError, NotImplementedError, RuntimeError,
    zlib.error,
)  # fmt: skip


def _cell(cell: object) -> Value:
    if isinstance(cell, datetime):
        return cell.isoformat()
    if isinstance(cell, date):
        return cell.isoformat()
    if cell is None or isinstance(cell, (str, int, float, bool)):
        return cell
    return str(cell)
