"""JSON arrays and JSON lines: nested objects become flat rows."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from warmline.kit.exports.shapes import (
    COLUMNS_MAX,
    ROW_CHARS_MAX,
    Lines,
    Row,
    TooLong,
    Unreadable,
    Value,
)

JSON_CHARS_MAX = 64 * 1024 * 1024  # of an array, which is read whole
NESTING_MAX = 6


def array_rows(text: io.TextIOWrapper) -> Iterator[Row]:
    # One more than the limit tells a file that is too long from one that just fits.
    body = text.read(JSON_CHARS_MAX + 1)
    if len(body) > JSON_CHARS_MAX:
        raise Unreadable(
            f"the JSON is longer than {JSON_CHARS_MAX:,} characters; expected JSON lines "
            "(one object a line), which are read at any size"
        )
    try:
        found = json.loads(body.removeprefix("\ufeff"))
    except json.JSONDecodeError as error:
        raise Unreadable(
            f"it is no JSON from line {error.lineno}, column {error.colno}: {error.msg}"
        ) from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"it is no JSON that can be read: {type(error).__name__}") from None
    if isinstance(found, dict):
        lists = [value for value in found.values() if isinstance(value, list)]
        found = lists[0] if len(lists) == 1 else [found]
    if not isinstance(found, list):
        raise Unreadable(f"found {type(found).__name__}; expected an array of objects")
    for number, item in enumerate(found, 1):
        yield _object_row(number, item)


def line_rows(text: io.TextIOWrapper) -> Iterator[Row]:
    lines = Lines(text)
    number = 0
    while True:
        number += 1
        lines.begin_row()
        try:
            line = next(lines)
        except StopIteration:
            return
        except TooLong:
            lines.pass_over()
            yield Row(
                number,
                fault=f"the line holds {lines.row_chars:,} characters; "
                f"expected at most {ROW_CHARS_MAX:,}",
            )
            continue
        line = line.strip("\ufeff \t\r\n")
        if not line:
            continue
        try:
            item = json.loads(line)
        except (ValueError, RecursionError):
            yield Row(number, fault="the line is no JSON; expected one whole object a line")
            continue
        yield _object_row(number, item)


def _object_row(number: int, item: object) -> Row:
    if not isinstance(item, dict):
        return Row(number, fault=f"found {type(item).__name__}; expected an object")
    data: dict[str, Value] = {}
    try:
        _flatten(item, "", data, 0)
    except Unreadable as error:
        return Row(number, fault=str(error))
    size = sum(len(value) for value in data.values() if isinstance(value, str))
    if size > ROW_CHARS_MAX:
        return Row(
            number,
            fault=f"the object holds {size:,} characters; expected at most {ROW_CHARS_MAX:,}",
        )
    return Row(number, data)


def _flatten(item: Mapping[str, Any], before: str, data: dict[str, Value], depth: int) -> None:
    """{"job": {"title": …}} becomes {"job.title": …}; a list becomes one cell."""
    if depth > NESTING_MAX:
        raise Unreadable(f"the object is nested deeper than {NESTING_MAX} levels")
    for key, value in item.items():
        name = f"{before}{key}"
        if isinstance(value, dict):
            _flatten(value, f"{name}.", data, depth + 1)
        elif isinstance(value, list):
            data[name] = "; ".join(filter(None, (_item_text(each) for each in value)))
        elif isinstance(value, (str, int, float, bool)) or value is None:
            data[name] = value
        if len(data) > COLUMNS_MAX:
            raise Unreadable(f"the object has more than {COLUMNS_MAX} fields")


def _item_text(item: object) -> str:
    if isinstance(item, dict):
        for key in ("value", "email", "address", "name", "title", "text", "label", "number"):
            if isinstance(item.get(key), (str, int)) and str(item[key]).strip():
                return str(item[key])
        return ""
    return "" if item is None or isinstance(item, list) else str(item)
