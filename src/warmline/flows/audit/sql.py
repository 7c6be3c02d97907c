"""How the audit writes SQL: literals, columns, and values handed over as lists."""

# ruff: noqa: S608 - what is put into the queries is our own or quoted

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import duckdb

from warmline.kit.exports.cells import NOTHING

Connection = duckdb.DuckDBPyConnection
# Around a value that nobody meant to write: blanks of every kind and byte-order marks.
_BLANKS = "' ' || chr(9) || chr(10) || chr(13) || chr(160) || chr(65279)"


def quoted(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("'", "''") + "'"


def cleaned(column: str) -> str:
    """The value without blanks around it; null where it says nothing. The few values with blanks
    are told by their first and last character, which costs a tenth of trimming all. (No part of
    it may stand twice: DuckDB would work it out ahead, for every value.)"""
    longest = max(len(word) for word in NOTHING)
    nothing = ", ".join(quoted(word) for word in sorted(NOTHING))
    blank = r"[ \t\r\n\x{a0}\x{feff}]*"
    words = "|".join(re.escape(word) for word in sorted(NOTHING))
    return (
        f"case when {column} < '!' or {column} >= chr(160)"
        f" or right({column}, 1) in (' ', chr(9), chr(10), chr(13), chr(160), chr(65279))"
        f" then case when regexp_full_match({column}, {quoted(f'(?i){blank}({words}){blank}')})"
        f" then null else trim({column}, {_BLANKS}) end"
        f" when strlen({column}) <= {longest} and lower({column}) in ({nothing}) then null"
        f" else {column} end"
    )


def one(con: Connection, query: str, values: Any = None) -> Any:
    """The first value of the first row."""
    row = con.execute(query, values).fetchone()
    return row[0] if row else None


def count(con: Connection, table: str) -> int:
    return int(one(con, f"select count(*) from {table}"))


def keep(con: Connection, table: str, columns: Mapping[str, tuple[str, Iterable[Any]]]) -> None:
    """Make a temporary table of Python values: column → (type, values)."""
    made = ", ".join(f"unnest(${name}::{kind}[]) as {name}" for name, (kind, _) in columns.items())
    con.execute(
        f"create or replace temp table {table} as select {made}",
        {name: list(values) for name, (_, values) in columns.items()},
    )


def masked_sql(column: str) -> str:
    """Enough of a name to recognise one's own: `A*** L***`."""
    return f"regexp_replace({column}, '(\\S)\\S*', '\\1***', 'g')"
