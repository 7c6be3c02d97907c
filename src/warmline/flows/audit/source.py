"""An export of any usual form → the table `lines`: one row each, its columns under our names.

Plain CSV is read by DuckDB itself. What it cannot read in its strict mode, and every other form,
goes through the patient reader of `kit.exports`, which tells each bad row and reads the rest.
"""

# ruff: noqa: S608 - what is put into the queries is our own or quoted

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from warmline.core.errors import ConfigError
from warmline.flows.audit.notes import EXAMPLES_MAX, Reading
from warmline.flows.audit.sql import Connection, cleaned, count, one, quoted
from warmline.flows.audit.text import Text, as_utf8, unpack
from warmline.kit.exports.columns import Column, Columns, Recognition, configured_columns
from warmline.kit.exports.delimited import Head, delimited_cells, head_of
from warmline.kit.exports.objects import JSON_CHARS_MAX
from warmline.kit.exports.reading import form_of, rows
from warmline.kit.exports.shapes import COLUMNS_MAX, ROW_CHARS_MAX, Row, Unreadable, Value

_REWRITTEN = "rows.csv"
_NESTING_MAX = 6
_PARQUET, _ZIP, _OLD_EXCEL = b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
# What the audit has no question about.
_NOT_READ = frozenset({Column.TAGS, Column.JOB_ID, Column.DEPARTMENT, Column.OFFICE, Column.URL})
FIELDS = tuple(column for column in Column if column not in _NOT_READ)
_PARQUET_FORM = "Parquet"
_SEPARATED = {
    ",": "CSV",
    ";": "CSV with semicolons",
    "\t": "TSV",
    "|": "CSV with pipes",
}


@dataclass(frozen=True, slots=True)
class Reads:
    """How an export is to be read: `columns` field → header, as mapped by hand."""

    columns: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "auto"


@dataclass(frozen=True, slots=True)
class Table:
    """The headers, and a query for (c0, c1, …) in their order. `row` is SQL for a row's number:
    a column, or counted from `rowid`, which unlike a window function is made on every core."""

    headers: list[str]
    query: str
    row: str


def read_export(con: Connection, path: Path, reads: Reads, folder: Path) -> Reading:
    """Make `lines(row, …)`, a text column for each `Column`, null where the file has none.

    Raises ConfigError where there is nothing to audit: no such file, a folder, an empty file, a
    header only, no column that is known, a mapped header that is not there.
    """
    recognition = Recognition(configured_columns(dict(reads.columns), "--map"))
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; expected one export, a file")
    if not path.exists():
        raise ConfigError(f"there is no file {path}; expected an export such as people.csv")
    reading = Reading(path.name)
    for table in _tables(con, path, reads, folder, reading):
        try:
            _lines(con, table, recognition, reading)
        except duckdb.InvalidInputException:
            continue  # not as plain as it seemed: the patient reader comes next
        return reading
    raise ConfigError(f"{path.name} cannot be read; expected CSV, JSON, XLSX or Parquet")


def _tables(
    con: Connection, path: Path, reads: Reads, folder: Path, reading: Reading
) -> Iterator[Table]:
    """The ways to read this file, the quickest first."""
    unpacked = unpack(path, folder, reading)
    with unpacked.open("rb") as file:
        start = file.read(8)
    if not start:
        raise ConfigError(f"{path.name} is empty; expected a header and rows below it")
    if start.startswith(_PARQUET):
        reading.form = _PARQUET_FORM
        yield _parquet(con, unpacked)
        return
    if start.startswith((_ZIP, _OLD_EXCEL)):
        reading.form = "XLSX"
        yield _patient(unpacked, path.name, folder, reading)
        return
    text, encoding = as_utf8(unpacked, folder, reads.encoding, reading)
    form = form_of(text.path, path.name)
    if form == "delimited":
        head = _head(text, path.name)
        reading.form = f"{_SEPARATED.get(head.separator, 'delimited text')}, {encoding}"
        if text.plain:
            yield _strict(head, text)
        yield _by_rows(text, head, folder, reading)
        return
    reading.form = f"{'JSON' if form == 'json' else 'JSON lines'}, {encoding}"
    if form == "json" and text.path.stat().st_size > JSON_CHARS_MAX:
        yield _patient(_array_as_lines(con, text.path, folder), "x.jsonl", folder, reading)
    else:
        yield _patient(text.path, path.name, folder, reading)


# -- forms


def _head(text: Text, name: str) -> Head:
    tabs = "\t" if name.lower().removesuffix(".gz").endswith((".tsv", ".tab")) else ""
    with _opened(text) as opened:
        try:
            head = head_of(opened, tabs)
        except Unreadable as error:
            raise ConfigError(f"{name}: {error}") from None
    if not head.headers:
        raise ConfigError(f"{name} is empty; expected a header and rows below it")
    return head


def _opened(text: Text) -> io.TextIOWrapper:
    return io.TextIOWrapper(text.path.open("rb"), "utf-8-sig", "replace", newline="")


def _strict(head: Head, text: Text) -> Table:
    """DuckDB's own reader, in its strict mode: what is odd is an error and never a guess."""
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(head.headers)))
    query = (
        f"select * from read_csv("
        f"{quoted(str(text.path))}, auto_detect = false, delim = {quoted(head.separator)},"
        f" quote = '\"', escape = '\"', header = false, skip = {head.lines}, all_varchar = true,"
        f" strict_mode = true, null_padding = false, max_line_size = {ROW_CHARS_MAX},"
        f" columns = {{{columns}}})"
    )
    return Table(list(head.headers), query, f"rowid + {head.lines + 1}")


def _array_as_lines(con: Connection, path: Path, folder: Path) -> Path:
    """A JSON array that is too long to be read whole, as one object a line."""
    lines = folder / "lines.jsonl"
    try:
        con.execute(
            f"copy (select json from read_json_objects({quoted(str(path))}, format = 'array',"
            f" maximum_object_size = {4 * ROW_CHARS_MAX})) to {quoted(str(lines))}"
            " (format json, array false)"
        )
    except duckdb.Error as error:
        why = str(error).splitlines()[0][:120]
        raise ConfigError(f"the JSON cannot be read as an array of objects: {why}") from None
    return lines


def _by_rows(text: Text, head: Head, folder: Path, reading: Reading) -> Table:
    """A delimited file that is not plain, row by row."""
    odd = _Odd(reading)
    with _opened(text) as opened, _writer(folder) as write:
        for number, cells, fault, note in delimited_cells(opened, head.separator):
            if odd.keeps(number, fault, note):
                write([number, *cells])
    odd.tell()
    return _rewritten(folder, list(head.headers), ragged=False)


def _patient(path: Path, name: str, folder: Path, reading: Reading) -> Table:
    """Every other form, row by row. Objects may bring new columns as they come."""
    headers: dict[str, int] = {}
    known: tuple[str, ...] = ()
    grew, odd = False, _Odd(reading)
    with _writer(folder) as write:
        for row in rows(path, "utf-8-sig", name=name):
            if not odd.keeps(row.number, row.fault, row.note):
                continue
            keys = tuple(row.data)
            if keys == known:
                write([row.number, *map(_cell, row.data.values())])
                continue
            grew = grew or bool(headers)
            for header in keys:
                if len(headers) < COLUMNS_MAX:
                    headers.setdefault(header, len(headers))
            known = keys if keys == tuple(headers) else known
            write(_placed(row, headers))
    odd.tell()
    if not headers:
        why = reading.unread[0][1] if reading.unread else "expected rows below the header"
        raise ConfigError(f"{reading.source} holds nothing to audit: {why}")
    return _rewritten(folder, list(headers), ragged=grew)


class _Odd:
    """Rows that cannot be read, and rows that are short, told to the reading."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._short: list[int] = []
        self._count = 0

    def keeps(self, number: int, fault: str, note: str) -> bool:
        if fault:
            self._reading.fault(number, fault)
            return False
        if note:
            self._count += 1
            self._short += [number] if len(self._short) < EXAMPLES_MAX else []
        return True

    def tell(self) -> None:
        if self._count:
            self._reading.note("rows with fewer cells than the header", self._short, self._count)


@contextmanager
def _writer(folder: Path) -> Iterator[Callable[[list[object]], object]]:
    with (folder / _REWRITTEN).open("w", encoding="utf-8", errors="replace", newline="") as out:
        yield csv.writer(out).writerow


def _rewritten(folder: Path, headers: list[str], *, ragged: bool) -> Table:
    """What was written by `_writer`: the row's number, then its cells. `ragged`: rows from before
    a column appeared are shorter."""
    columns = ", ".join(f"'c{i}': 'VARCHAR'" for i in range(len(headers)))
    query = (
        f"select * from read_csv({quoted(str(folder / _REWRITTEN))}, auto_detect = false,"
        " delim = ',', quote = '\"', escape = '\"', header = false, strict_mode = false,"
        f" null_padding = {str(ragged).lower()}, parallel = {str(not ragged).lower()},"
        f" max_line_size = {4 * ROW_CHARS_MAX}, columns = {{'number': 'BIGINT', {columns}}})"
    )
    return Table(headers, query, "number")


def _placed(row: Row, headers: Mapping[str, int]) -> list[object]:
    cells: list[object] = [row.number, *[""] * len(headers)]
    for header, value in row.data.items():
        place = headers.get(header)
        if place is not None:
            cells[place + 1] = _cell(value)
    return cells


def _cell(value: Value) -> str:
    if type(value) is str:
        return value.replace("\0", "") if "\0" in value else value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # a spreadsheet writes the id 42 as 42.0
    return str(value)


def _parquet(con: Connection, path: Path) -> Table:
    source = f"read_parquet({quoted(str(path))})"
    try:
        first = con.sql(f"select * from {source} limit 0")
        columns = list(_flat(zip(first.columns, first.types, strict=True)))
    except duckdb.Error as error:
        raise ConfigError(f"{path.name} is no Parquet file: {str(error)[:120]}") from None
    if len(columns) > COLUMNS_MAX:
        raise ConfigError(f"found {len(columns)} columns; expected at most {COLUMNS_MAX}")
    made = ", ".join(f"{value} as c{i}" for i, (_, value) in enumerate(columns))
    numbered = f"read_parquet({quoted(str(path))}, file_row_number = true)"
    query = f"select file_row_number + 1 as number, {made} from {numbered}"
    return Table([name for name, _ in columns], query, "number")


def _flat(
    columns: Any, before: str = "", at: str = "", depth: int = 0
) -> Iterator[tuple[str, str]]:
    """A struct becomes a column for each of its parts, a list becomes one cell."""
    for name, kind in columns:
        place = at + '"' + name.replace('"', '""') + '"'
        if kind.id == "struct" and depth < _NESTING_MAX:
            yield from _flat(kind.children, f"{before}{name}.", f"{place}.", depth + 1)
        elif kind.id in ("list", "array"):
            texts = f"list_transform({place}, lambda x: x::VARCHAR)"
            yield f"{before}{name}", f"array_to_string({texts}, '; ')"
        else:
            yield f"{before}{name}", f"{place}::VARCHAR"


# -- the table


def _lines(con: Connection, table: Table, recognition: Recognition, reading: Reading) -> None:
    recognition.require(table.headers, reading.source)
    found = recognition.columns(tuple(table.headers))
    if not found.header:
        shown = ", ".join(repr(header[:60]) for header in table.headers[:40])
        raise ConfigError(
            f"{reading.source}: no column is known; found {shown}",
            hint="say which is which: --map email='E-mail privé', as often as needed",
        )
    place = {header: f"c{i}" for i, header in enumerate(table.headers)}
    made = ", ".join(
        f"{cleaned(place[found.header[column]])} as {column}"
        if column in found.header
        else f"null::VARCHAR as {column}"
        for column in FIELDS
    )
    number = "number, " if table.row == "number" else ""
    con.execute(f"create or replace table cells as select {number}{made} from ({table.query})")
    if reading.form == _PARQUET_FORM:
        _without_endless(con, reading)
    rest = ", ".join(FIELDS)
    con.execute(f"create or replace view lines as select {table.row} as row, {rest} from cells")
    reading.rows = count(con, "lines")
    if not reading.rows and not reading.unread_count:
        raise ConfigError(
            f"{reading.source} has a header and no rows; expected candidates below it"
        )
    _tell(table.headers, found, reading)
    _tell_formulas(con, reading)


def _without_endless(con: Connection, reading: Reading) -> None:
    """The other forms are limited as they are read; a cell of Parquet may hold anything."""
    size = " + ".join(f"coalesce(strlen({column}), 0)" for column in FIELDS)
    endless = f"from cells where {size} > {ROW_CHARS_MAX}"
    for number, found in con.execute(f"select number, {size} {endless} order by 1").fetchall():
        reading.fault(number, f"the row holds {found:,} bytes; expected at most {ROW_CHARS_MAX:,}")
    con.execute(f"delete {endless}")


def _tell(headers: list[str], found: Columns, reading: Reading) -> None:
    reading.columns = {str(c): header for c, header in found.header.items() if c in FIELDS}
    taken = set(reading.columns.values()) | set(found.doubled)
    reading.unknown = [header for header in headers if header not in taken]
    for header, column in found.doubled.items():
        reading.note(
            f"the column {header!r} could be {column} too and was not read; to choose it: "
            f"--map {column}={header!r}"
        )
    for header in headers:
        if header.endswith(" (2)") and header[:-4] in headers:
            reading.note(f"the header {header[:-4]!r} stands more than once; the first one counts")


def _tell_formulas(con: Connection, reading: Reading) -> None:
    """Cells that a spreadsheet would take for formulas. A telephone number begins with + too."""
    # Comparing costs a quarter of taking the first character out.
    where = " or ".join(
        f"{column} >= '=' and {column} < '>' or {column} >= '@' and {column} < 'A'"
        f" or ({column} >= '+' and {column} < ',' or {column} >= '-' and {column} < '.')"
        f" and substr({column}, 2, 1) between '=' and 'z'"
        for column in reading.columns
    )
    some = con.execute(
        f"select row from lines where {where} order by row limit {EXAMPLES_MAX}"
    ).fetchall()
    if some:
        reading.note(
            "cells that begin like a formula: read as text, never executed, and escaped wherever "
            "they are written",
            [row for (row,) in some],
            one(con, f"select count(*) from lines where {where}"),
        )
