"""`POST /crm/v3/objects/contacts/search`: filters, sorts and the vendor's limits."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from warmline.sandbox.clock import epoch_ms, parse_iso
from warmline.sandbox.hubspot.contacts import Contacts
from warmline.sandbox.hubspot.properties import DAY_MS

LIMIT_MAX = 200
RESULTS_MAX = 10_000
GROUPS_MAX = 5
FILTERS_MAX = 6
FILTERS_TOTAL_MAX = 18
QUERY_FIELDS = ("email", "firstname", "lastname", "phone", "company", "hs_additional_emails")

Test = Callable[[dict[str, str]], bool]
OPERATORS = frozenset(
    (
        "EQ", "NEQ", "LT", "LTE", "GT", "GTE", "BETWEEN", "IN", "NOT_IN", "HAS_PROPERTY",
        "NOT_HAS_PROPERTY", "CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN",
    )
)  # fmt: skip


class SearchError(Exception):
    """The vendor answers 400 with this sentence."""


def search(contacts: Contacts, body: dict[str, Any]) -> tuple[int, list[int], str | None]:
    """How many match, the ids of one page, and the `after` of the next one. Raises SearchError."""
    limit = _number(body.get("limit", 10), "limit")
    after = _number(body.get("after") or 0, "after")
    if not 1 <= limit <= LIMIT_MAX:
        raise SearchError(f"limit must be from 1 to {LIMIT_MAX}.")
    if after + limit > RESULTS_MAX:
        raise SearchError(f"Paging past {RESULTS_MAX} results is not supported.")
    groups = _groups(contacts, body)
    rows = [(i, p) for i, p in _start(contacts, body) if not groups or any(g(p) for g in groups)]
    if words := str(body.get("query") or "").lower().split():
        rows = [(i, p) for i, p in rows if all(_mentions(p, word) for word in words)]
    _sort(contacts, rows, body.get("sorts") or [])
    page = [contact_id for contact_id, _ in rows[after : after + limit]]
    following = after + limit if after + limit < len(rows) else None
    return len(rows), page, None if following is None else str(following)


def _start(contacts: Contacts, body: dict[str, Any]) -> Iterable[tuple[int, dict[str, str]]]:
    """The fewest rows to look at: one, where every group asks for one address."""
    wanted: dict[str, None] = {}
    for group in body.get("filterGroups") or []:
        for given in group.get("filters") or []:
            if given.get("propertyName") == "email" and given.get("operator") in {"EQ", "IN"}:
                values = given.get("values") or [given.get("value")]
                wanted.update(dict.fromkeys(str(value).lower() for value in values))
                break
        else:
            return contacts.indexed()
    if not wanted:
        return contacts.indexed()
    return [row for email in wanted for row in contacts.indexed_by_email(email)]


def _groups(contacts: Contacts, body: dict[str, Any]) -> list[Test]:
    groups = body.get("filterGroups") or []
    if not isinstance(groups, list) or len(groups) > GROUPS_MAX:
        raise SearchError(f"There may be {GROUPS_MAX} filterGroups at most.")
    tests: list[Test] = []
    total = 0
    for group in groups:
        filters = group.get("filters") or []
        total += len(filters)
        if len(filters) > FILTERS_MAX or total > FILTERS_TOTAL_MAX:
            raise SearchError(
                f"A group has {FILTERS_MAX} filters at most, all {FILTERS_TOTAL_MAX}."
            )
        checks = [_test(contacts, given) for given in filters]
        tests.append(lambda row, c=checks: all(check(row) for check in c))  # type: ignore[misc]
    return tests


def _test(contacts: Contacts, given: dict[str, Any]) -> Test:
    name, operator = given.get("propertyName", ""), given.get("operator", "")
    if name not in contacts.definitions:
        raise SearchError(f"There was a problem with the request. Unknown property {name}.")
    if operator not in OPERATORS:
        raise SearchError(f"Unknown operator {operator}.")
    if operator == "HAS_PROPERTY":
        return lambda row: name in row
    if operator == "NOT_HAS_PROPERTY":
        return lambda row: name not in row
    kind = contacts.definitions[name]["type"]
    if operator in {"IN", "NOT_IN"}:
        if not isinstance(given.get("values"), list):
            raise SearchError(f"{operator} needs values.")
        among = {_comparable(kind, value) for value in given["values"]}
        inside = operator == "IN"
        return lambda row: (name in row and _comparable(kind, row[name]) in among) is inside
    if given.get("value") is None:
        raise SearchError(f"{operator} needs a value.")
    if operator in {"CONTAINS_TOKEN", "NOT_CONTAINS_TOKEN"}:
        token = str(given["value"]).lower().strip("*")
        contains = operator == "CONTAINS_TOKEN"
        return lambda row: (token in row.get(name, "").lower()) is contains
    want = _comparable(kind, given["value"])
    if operator == "BETWEEN":
        high = _comparable(kind, given.get("highValue", given["value"]))
        return lambda row: name in row and want <= _comparable(kind, row[name]) <= high
    if operator == "NEQ":
        return lambda row: name not in row or _comparable(kind, row[name]) != want
    compare: dict[str, Callable[[Any], bool]] = {
        "EQ": lambda has: bool(has == want),
        "LT": lambda has: bool(has < want),
        "LTE": lambda has: bool(has <= want),
        "GT": lambda has: bool(has > want),
        "GTE": lambda has: bool(has >= want),
    }
    test = compare[operator]
    return lambda row: name in row and test(_comparable(kind, row[name]))


def _comparable(kind: str, value: Any) -> Any:
    """Times and dates as milliseconds, numbers as numbers, text without case."""
    text = str(value)
    if kind in {"date", "datetime"}:
        if text.lstrip("-").isdecimal():
            return int(text)
        try:
            ms = epoch_ms(parse_iso(text))
        except ValueError as bad:
            raise SearchError(f"{text} is not a time.") from bad
        return ms - ms % DAY_MS if kind == "date" else ms
    if kind == "number":
        try:
            return float(text)
        except ValueError as bad:
            raise SearchError(f"{text} is not a number.") from bad
    return text.lower()


def _sort(
    contacts: Contacts, rows: list[tuple[int, dict[str, str]]], sorts: list[Any]
) -> None:  # fmt: skip
    rows.sort(key=lambda row: row[0])
    for given in sorts[:1]:  # the vendor takes one
        name = given if isinstance(given, str) else given.get("propertyName", "")
        down = not isinstance(given, str) and given.get("direction") == "DESCENDING"
        if name.startswith("-"):
            name, down = name[1:], True
        if name not in contacts.definitions:
            raise SearchError(f"Cannot sort by {name}.")
        kind = contacts.definitions[name]["type"]
        have = [row for row in rows if name in row[1]]
        lack = [row for row in rows if name not in row[1]]
        have.sort(key=lambda row: _comparable(kind, row[1][name]), reverse=down)
        rows[:] = have + lack


def _mentions(row: dict[str, str], word: str) -> bool:
    return any(word in row.get(name, "").lower() for name in QUERY_FIELDS)


def _number(value: Any, name: str) -> int:
    """The vendor takes "200" for 200."""
    try:
        number = int(value)
    except (TypeError, ValueError) as bad:
        raise SearchError(f"{name} must be a number.") from bad
    if number < 0:
        raise SearchError(f"{name} must not be negative.")
    return number
