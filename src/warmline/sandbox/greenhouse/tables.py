"""Rows with numeric ids, and the list endpoints' filters and cursor paging over them."""

from __future__ import annotations

import base64
import binascii
import bisect
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from warmline.sandbox.clock import iso_ms, parse_iso

Row = dict[str, Any]
PER_PAGE_DEFAULT = 100
PER_PAGE_MAX = 500
IDS_MAX = 50


class InvalidError(ValueError):
    """The vendor answers 422: `field` is at fault, for the reason in the text."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class Table:
    """Rows by id, ids ascending, with an index for each column that callers filter by."""

    def __init__(self, first_id: int, indexed: Iterable[str] = ()) -> None:
        """Ids are given out from `first_id` upwards."""
        self.rows: dict[int, Row] = {}
        self._ids: list[int] = []
        self._next = first_id
        self._indexes: dict[str, dict[Any, dict[int, None]]] = {name: {} for name in indexed}

    def __len__(self) -> int:
        return len(self.rows)

    def add(self, row: Row) -> Row:
        """Give the row an id, keep it and return it."""
        row = {"id": self._next, **row}
        self._next += 1
        self.rows[row["id"]] = row
        self._ids.append(row["id"])
        for name, index in self._indexes.items():
            index.setdefault(row.get(name), {})[row["id"]] = None
        return row

    def get(self, row_id: int) -> Row:
        """The row. Raises LookupError."""
        if row_id not in self.rows:
            raise LookupError(f"There is no row {row_id}.")
        return self.rows[row_id]

    def move(self, row: Row, column: str, value: Any) -> None:
        """Change an indexed column."""
        self._indexes[column].get(row[column], {}).pop(row["id"], None)
        row[column] = value
        self._indexes[column].setdefault(value, {})[row["id"]] = None

    def remove(self, row_id: int) -> None:
        """Drop a row."""
        row = self.rows.pop(row_id)
        self._ids.pop(bisect.bisect_left(self._ids, row_id))
        for name, index in self._indexes.items():
            index.get(row.get(name), {}).pop(row_id, None)

    def where(self, column: str, value: Any) -> list[Row]:
        """The rows with `value` in an indexed column, oldest first."""
        return [self.rows[i] for i in self._indexes[column].get(value, {})]

    def has_index(self, column: str) -> bool:
        """Whether `where` works for the column."""
        return column in self._indexes

    def newest_first(self, before_id: int | None) -> Iterator[Row]:
        """Every row below `before_id`, by id descending."""
        end = len(self._ids) if before_id is None else bisect.bisect_left(self._ids, before_id)
        return (self.rows[self._ids[i]] for i in range(end - 1, -1, -1))


@dataclass(frozen=True)
class Resource:
    """What one list endpoint can be filtered by."""

    times: tuple[str, ...] = ("created_at", "updated_at")
    ids_of: Mapping[str, str] = field(default_factory=dict)  # parameter -> column
    equal: Mapping[str, str] = field(default_factory=dict)  # parameter -> column
    ignored: tuple[str, ...] = ()  # accepted and without effect here


_ACTIVITY = ("created_at", "updated_at", "last_activity_at")
RESOURCES: dict[str, Resource] = {
    "candidates": Resource(times=_ACTIVITY, equal={"private": "private"}),
    "applications": Resource(
        times=(*_ACTIVITY, "rejected_at"),
        ids_of={
            "candidate_ids": "candidate_id",
            "job_ids": "job_id",
            "stage_ids": "stage_id",
            "job_interview_stage_ids": "job_interview_stage_id",
        },
        equal={"stage_name": "stage_name", "prospect": "prospect"},
    ),
    "application_stages": Resource(
        times=("created_at", "updated_at", "entered_at", "exited_at"),
        ids_of={
            "application_ids": "application_id",
            "job_interview_stage_ids": "job_interview_stage_id",
        },
        equal={"current": "current"},
    ),
    "jobs": Resource(equal={"status": "status", "requisition_id": "requisition_id"}),
    "job_interview_stages": Resource(ids_of={"job_ids": "job_id"}, equal={"active": "active"}),
    "interviews": Resource(
        times=("created_at", "updated_at", "starts_at", "ends_at"),
        ids_of={"application_ids": "application_id"},
        equal={"status": "status", "external_event_id": "external_event_id"},
    ),
    "interviewers": Resource(ids_of={"interview_ids": "interview_id", "user_ids": "user_id"}),
    "scorecards": Resource(
        times=("created_at", "updated_at", "submitted_at", "interviewed_at"),
        ids_of={"application_ids": "application_id", "candidate_ids": "candidate_id"},
        equal={"status": "status"},
    ),
    "users": Resource(
        equal={
            "deactivated": "deactivated",
            "email": "primary_email",
            "primary_email": "primary_email",
        }
    ),
    "rejection_reasons": Resource(ignored=("include_defaults",)),
    "rejection_details": Resource(
        times=("created_at", "updated_at", "rejected_at"),
        ids_of={"application_ids": "application_id"},
    ),
    "custom_fields": Resource(equal={"field_type": "field_type", "active": "active"}),
    "custom_field_options": Resource(
        ids_of={"custom_field_ids": "custom_field_id"}, equal={"active": "active"}
    ),
    "candidate_tags": Resource(equal={"name": "name"}),
    "applied_candidate_tags": Resource(
        ids_of={"candidate_ids": "candidate_id", "candidate_tag_ids": "candidate_tag_id"}
    ),
    "notes": Resource(
        ids_of={
            "application_ids": "application_id",
            "candidate_ids": "candidate_id",
            "user_ids": "user_id",
        }
    ),
    "departments": Resource(),
    "offices": Resource(),
}  # fmt: skip

# A query says `active` where the row says `in_process`; other spellings are the same.
STATUS_IN_QUERY = {
    "active": "in_process",
    "rejected": "rejected",
    "hired": "hired",
    "converted": "converted",
}
_TIME_TESTS: dict[str, Callable[[str, str], bool]] = {
    "gte": lambda has, want: has >= want,
    "gt": lambda has, want: has > want,
    "lte": lambda has, want: has <= want,
    "lt": lambda has, want: has < want,
}
Test = Callable[[Row], bool]


def write_cursor(resource: str, query: Mapping[str, str], before_id: int) -> str:
    """Everything that the next page needs, in a form that callers cannot read into."""
    packed = json.dumps([resource, dict(query), before_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def read_cursor(resource: str, cursor: str) -> tuple[dict[str, str], int]:
    """The query and the id to go on below. Raises InvalidError."""
    try:
        packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        of, query, before_id = json.loads(packed)
    except (binascii.Error, ValueError, TypeError) as bad:
        raise InvalidError("cursor", "is not a cursor") from bad
    if of != resource:
        raise InvalidError("cursor", "belongs to another endpoint")
    return query, int(before_id)


def list_page(
    resource: str, table: Table, params: Mapping[str, str], by_email: Callable[[str], list[Row]]
) -> tuple[list[Row], str | None]:
    """One page of rows, id descending, and the cursor of the next one. Raises InvalidError."""
    before_id: int | None = None
    query = dict(params)
    if "cursor" in query:
        if len(query) > 1:
            raise InvalidError("cursor", "must be the only query parameter")
        query, before_id = read_cursor(resource, query["cursor"])
    per_page = _number("per_page", query.get("per_page", str(PER_PAGE_DEFAULT)))
    if not 1 <= per_page <= PER_PAGE_MAX:
        raise InvalidError("per_page", f"must be from 1 to {PER_PAGE_MAX}")
    tests = _tests(resource, query)
    found: list[Row] = []
    for row in _start(resource, table, query, before_id, by_email):
        if all(test(row) for test in tests):
            found.append(row)
            if len(found) > per_page:
                break
    cursor = None
    if len(found) > per_page:
        found.pop()
        cursor = write_cursor(resource, query, found[-1]["id"])
    if fields := query.get("fields"):
        wanted = {"id", *fields.split(",")}
        found = [{k: v for k, v in row.items() if k in wanted} for row in found]
    return found, cursor


def _start(
    resource: str,
    table: Table,
    query: Mapping[str, str],
    before_id: int | None,
    by_email: Callable[[str], list[Row]],
) -> Iterable[Row]:
    """The fewest rows that must be looked at, id descending."""
    rows: list[Row] | None = None
    if "ids" in query:
        rows = [table.rows[i] for i in sorted(set(_ids("ids", query["ids"]))) if i in table.rows]
    elif resource == "candidates" and "email" in query:
        rows = by_email(query["email"])
    else:
        for name, column in RESOURCES[resource].ids_of.items():
            if name in query and table.has_index(column):
                wanted = _ids(name, query[name])
                rows = [row for value in set(wanted) for row in table.where(column, value)]
                break
    if rows is None:
        return table.newest_first(before_id)
    rows.sort(key=lambda row: -row["id"])
    return rows if before_id is None else [row for row in rows if row["id"] < before_id]


def _tests(resource: str, query: Mapping[str, str]) -> list[Test]:
    spec = RESOURCES[resource]
    tests: list[Test] = []
    for name, value in query.items():
        if name in {"per_page", "fields"} or name in spec.ignored:
            continue
        if name == "ids":
            wanted = set(_ids(name, value))
            tests.append(lambda row, w=wanted: row["id"] in w)  # type: ignore[misc]
        elif name in spec.times:
            tests.append(_time_test(name, value))
        elif name in spec.ids_of:
            column, wanted = spec.ids_of[name], set(_ids(name, value))
            tests.append(lambda row, c=column, w=wanted: row.get(c) in w)  # type: ignore[misc]
        elif name in spec.equal:
            tests.append(_equal_test(spec.equal[name], value))
        elif name == "status" and resource == "applications":
            if value not in STATUS_IN_QUERY:
                raise InvalidError("status", f"must be one of {', '.join(STATUS_IN_QUERY)}")
            tests.append(_equal_test("status", STATUS_IN_QUERY[value]))
        elif name == "email" and resource == "candidates":
            tests.append(_email_test(value))
        elif name == "tag" and resource == "candidates":
            tests.append(lambda row, v=value: v in row["tags"])  # type: ignore[misc]
        else:
            raise InvalidError(name, "is not a parameter of this endpoint")
    return tests


def _equal_test(column: str, value: str) -> Test:
    if value in {"true", "false"}:
        return lambda row: row.get(column) is (value == "true")
    return lambda row: str(row.get(column)) == value


def _email_test(value: str) -> Test:
    wanted = value.strip().lower()
    return lambda row: any(e["value"].lower() == wanted for e in row["email_addresses"])


def _time_test(column: str, value: str) -> Test:
    """`gte|2026-01-01T00:00:00Z|lt|…`: pairs of a comparison and a moment."""
    words = value.split("|")
    if len(words) % 2:
        raise InvalidError(column, "must be pairs like gte|2026-01-01T00:00:00Z")
    pairs: list[tuple[Callable[[str, str], bool], str]] = []
    for operator, moment in zip(words[::2], words[1::2], strict=True):
        if operator not in _TIME_TESTS:
            raise InvalidError(column, f"knows {', '.join(_TIME_TESTS)}, not {operator!r}")
        try:
            pairs.append((_TIME_TESTS[operator], iso_ms(parse_iso(moment))))
        except ValueError as bad:
            raise InvalidError(column, f"{moment!r} is not an ISO 8601 moment") from bad
    return lambda row: bool(row.get(column)) and all(t(row[column], m) for t, m in pairs)


def _ids(name: str, value: str) -> list[int]:
    ids = [_number(name, word) for word in value.split(",") if word]
    if len(ids) > IDS_MAX:
        raise InvalidError(name, f"has more than {IDS_MAX} ids")
    return ids


def _number(name: str, word: str) -> int:
    if not word.strip().isdecimal():
        raise InvalidError(name, f"{word!r} is not a number")
    return int(word)
