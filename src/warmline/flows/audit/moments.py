"""Dates of an export, a column at a time: day before month or after it is told by the column."""

# ruff: noqa: S608 - what is put into the queries is our own or quoted

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from warmline.flows.audit.notes import Reading
from warmline.flows.audit.sql import Connection, keep, quoted
from warmline.kit.exports.columns import DATES, Column
from warmline.kit.exports.dates import Ambiguous, read_date

AUTO, DAY_FIRST, MONTH_FIRST = "auto", "dmy", "mdy"

_ISO = r"\d{4}-\d{2}-\d{2}(?:[T ].*)?"
_YEAR_FIRST = r"\d{4}[/.]\d{1,2}[/.]\d{1,2}"
# DuckDB's expressions have no back reference: that both marks are the same is asked beside it.
_PARTS = r"(\d{1,2})([/.-])(\d{1,2})([/.-])(\d{4}|\d{2})(?:,?[ T].*)?"
_NAMES = "['a', 'mark', 'b', 'other', 'y']"
_SLASHED = r"^\d{1,2}[/-]"
_NUMBER = r"\d{1,17}(?:\.\d+)?"


@dataclass(frozen=True, slots=True)
class Order:
    """How a column writes its days: `dmy`, `mdy`, or empty where nothing shows it; and how many
    cells show the one, the other, and neither."""

    order: str
    day_first: int = 0
    month_first: int = 0
    either: int = 0


def make_moments(con: Connection, reading: Reading, order: str) -> None:
    """Make `moments(row, <each date column>)` of `lines`, as TIMESTAMP in the zone written, null
    where the cell is empty or no date. `order`: `auto`, `dmy` or `mdy` for all columns."""
    found = [column for column in DATES if str(column) in reading.columns]
    orders = {column: _order_of(con, column) for column in found}
    if order != AUTO:
        orders = {column: Order(order) for column in found}
    else:
        orders = _from_the_others(orders)
        _tell(orders, reading)
    for column in found:
        _odd_ones(con, column, orders[column].order)
    made = [
        f"{_moment(column, orders[column].order)} as {column}"
        if column in orders
        else f"null::TIMESTAMP as {column}"
        for column in DATES
    ]
    joins = " ".join(f"left join odd_{c} on lines.{c} = odd_{c}.text" for c in found)
    con.execute(
        f"create or replace table moments as select row, {', '.join(made)} from lines {joins}"
    )
    for column in found:
        con.execute(f"drop table odd_{column}")


def _order_of(con: Connection, column: Column) -> Order:
    """By the cells where one of the two numbers can be no month. Dots stand behind a day."""
    row = con.execute(f"""
        with parts as (
            select regexp_extract({column}, {quoted(f"^{_PARTS}$")}, {_NAMES}) as p
            from lines where regexp_matches({column}, {quoted(_SLASHED)})
        ), numbers as (
            select try_cast(p.a as INTEGER) as a, try_cast(p.b as INTEGER) as b from parts
            where p.mark in ('/', '-') and p.mark = p.other
        )
        select count(*) filter (a > 12 and b <= 12), count(*) filter (b > 12 and a <= 12),
               count(*) filter (a <= 12 and b <= 12 and a <> b) from numbers
    """).fetchall()[0]
    days, months, either = (int(value) for value in row)
    order = "" if days == months else DAY_FIRST if days > months else MONTH_FIRST
    return Order(order, days, months, either)


def _from_the_others(orders: dict[Column, Order]) -> dict[Column, Order]:
    """A column that shows nothing is written as the others of its file are, if they agree."""
    shown = {found.order for found in orders.values() if found.order}
    if len(shown) != 1:
        return orders
    (one,) = shown
    return {
        column: found if found.order else Order(one, either=found.either)
        for column, found in orders.items()
    }


def _tell(orders: dict[Column, Order], reading: Reading) -> None:
    words = {DAY_FIRST: "the day before the month", MONTH_FIRST: "the month before the day"}
    for column, found in orders.items():
        header = reading.columns[column]
        if not (found.day_first or found.month_first or found.either):
            continue
        if not found.order:
            dates = "date" if found.either == 1 else "dates"
            reading.note(
                f"column {header!r}: {found.either:,} {dates} such as 03/04/2026 could be either "
                "way round, and nothing shows which; they were not read: say it with --date-order"
            )
            continue
        shown = found.day_first if found.order == DAY_FIRST else found.month_first
        why = (
            f"shown by {shown:,} such as {'25/04' if found.order == DAY_FIRST else '04/25'}"
            if shown
            else "as the other columns do"
        )
        against = found.month_first if found.order == DAY_FIRST else found.day_first
        rest = f"; {against:,} cannot be read so" if against else ""
        reading.note(f"column {header!r}: {words[found.order]}, {why}{rest}")


def _plain(column: str) -> str:
    """Forms that SQL reads; what has another one is read in Python."""
    return f"regexp_full_match({column}, {quoted(f'{_ISO}|{_PARTS}|{_NUMBER}|{_YEAR_FIRST}')})"


def _odd_ones(con: Connection, column: Column, order: str) -> None:
    texts, moments = [], list[datetime]()
    rows = con.execute(
        f"select distinct {column} from lines where {column} is not null and not {_plain(column)}"
    ).fetchall()
    for (text,) in rows:
        try:
            moment = read_date(text, order)
        except (Ambiguous, ValueError, OverflowError, OSError):
            continue
        if moment is not None:
            texts.append(text)
            moments.append(moment.replace(tzinfo=None))
    keep(
        con,
        f"odd_{column}",
        {"text": ("VARCHAR", texts), "moment": ("TIMESTAMP", moments)},
    )


def _moment(column: Column, order: str) -> str:
    text = f"lines.{column}"
    parts = f"regexp_extract({text}, {quoted(f'^{_PARTS}$')}, {_NAMES})"
    number = f"try_cast({text} as DOUBLE)"
    return f"""
        case when {text} is null then null
        when regexp_full_match({text}, {quoted(_ISO)})
            then coalesce(try_cast(left({text}, 19) as TIMESTAMP),
                          try_cast(left({text}, 10) as TIMESTAMP))
        when regexp_full_match({text}, {quoted(_NUMBER)}) then
            case when {number} between 10000 and 80000
                then TIMESTAMP '1899-12-30' + to_seconds(round({number} * 86400))
            when strlen({text}) = 8 and {number} between 19700101 and 21001231
                then try_strptime({text}, '%Y%m%d')
            when {number} >= 1e8 and {number} < 1e10 then make_timestamp(({number} * 1e6)::BIGINT)
            when {number} >= 1e11 and {number} < 1e13 then make_timestamp(({number} * 1e3)::BIGINT)
            end
        when regexp_full_match({text}, {quoted(_YEAR_FIRST)})
            then try_strptime(replace({text}, '.', '/'), '%Y/%m/%d')
        when regexp_full_match({text}, {quoted(_PARTS)}) then {_of_parts(parts, order)}
        else odd_{column}.moment end
    """


def _of_parts(parts: str, order: str) -> str:
    """Two-digit years are read as `kit.exports.dates` reads them: 69 is 1969."""
    a, b, y = (f"try_cast({parts}.{part} as INTEGER)" for part in "aby")
    year = f"case when {y} > 99 then {y} when {y} < 69 then {y} + 2000 else {y} + 1900 end"
    day_first = f"{parts}.mark = '.' or {a} = {b}"
    if order == DAY_FIRST:
        day_first = "true"
    known = "true" if order else day_first
    return f"""
        case when {parts}.mark = {parts}.other and ({known}) then try_cast(
            lpad(({year})::VARCHAR, 4, '0') || '-'
            || lpad((case when {day_first} then {b} else {a} end)::VARCHAR, 2, '0') || '-'
            || lpad((case when {day_first} then {a} else {b} end)::VARCHAR, 2, '0') as TIMESTAMP)
        end
    """
