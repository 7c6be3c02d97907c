"""Contacts that changed, read by HubSpot's search; all of them, once, by its list.

The search gives at most 10,000 results and pages by counting, so that a record that moves while it
is read would push another one out of sight. Here each call asks anew for what comes after the last
record that was read, and takes the first page: neither limit is ever met. The index lags behind, so
the last minute is left for the next poll, and each poll reads a little of the one before again.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from warmline.connectors.hubspot.contacts import OBJECTS, PROPERTIES, Contacts, body_of
from warmline.connectors.hubspot.mapping import OPTOUT_PREFIX, SIGNALS, moment
from warmline.connectors.hubspot.merging import PAGE, after
from warmline.core.errors import Malformed, Refused, Throttled, Unreachable
from warmline.ports import Page, Record

STREAM = "contacts"
MODIFIED, ID = "lastmodifieddate", "hs_object_id"
SEARCH_PAGE = 200  # the most that a search gives at once
HOLD_BACK_MS = 60_000
OVERLAP_MS = 600_000
PAGES_MAX = 5_000  # in one sweep: a million contacts changed between two polls
# HubSpot lets an account search five times a second, and its answers do not count down.
SEARCHES_A_SECOND = 4
LISTED = (
    "email",
    "hs_additional_emails",
    "firstname",
    "lastname",
    "phone",
    "mobilephone",
    MODIFIED,
    *SIGNALS,
)


@dataclass(frozen=True, slots=True)
class Place:
    """How far a sweep came: `at` is the time of the last record, `after_id` its id where the sweep
    is amid many records of one moment. The sweep goes on to `to`; it began with news `since`."""

    at: int
    to: int
    since: int
    after_id: str = ""

    def __str__(self) -> str:
        return f"reading:{self.at}:{self.after_id}:{self.to}:{self.since}"


class Pace:
    """So many searches a second, by the given clock. Thread-safe."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._times: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Raises Throttled where the next one must wait: it is for others to wait."""
        with self._lock:
            at = self._now().timestamp()
            while self._times and not at - 1 < self._times[0] <= at:
                self._times.popleft()  # over a second ago, or the clock was set back
            if len(self._times) >= SEARCHES_A_SECOND:
                left = self._times[0] + 1 - at
                raise Throttled("HubSpot is searched as often as it allows", after_s=left)
            self._times.append(at)


def start(now: datetime) -> str:
    return f"since:{_ms(now)}"


def changes(api: Contacts, pace: Pace, cursor: str, *, now: datetime) -> Iterator[Page]:
    """What changed since `cursor`; everything, where it is empty. Raises Malformed for a cursor
    that is none of ours."""
    kind, *parts = cursor.split(":")
    numbers = [int(part) if part.isdecimal() else 0 for part in parts]
    if cursor == "" or (kind == "listing" and len(parts) == 2):
        yield from _all(api, parts[0] if parts else "", numbers[1] if parts else _ms(now))
    elif kind == "since" and len(parts) == 1:
        since = max(0, numbers[0] - OVERLAP_MS)
        yield from _sweep(api, pace, Place(since, max(since, _ms(now) - HOLD_BACK_MS), since))
    elif kind == "reading" and len(parts) == 4:
        at, _, to, since = numbers
        yield from _sweep(api, pace, Place(at, to, since, parts[1]))
    else:
        raise Malformed(f"the cursor of {STREAM} is not one of HubSpot's: {cursor[:40]!r}")


def _sweep(api: Contacts, pace: Pace, place: Place) -> Iterator[Page]:
    names = [*LISTED, *_single_opt_outs(api)]
    for _ in range(PAGES_MAX):
        pace.take()
        rows = _search(api, place, names)
        records = tuple(_record(row, since=place.since) for row in rows)
        following = _following(place, rows)
        if following is None:
            yield Page(STREAM, records, f"since:{place.to}", last=True)
            return
        place = following
        yield Page(STREAM, records, str(place))


def _following(place: Place, rows: Sequence[dict[str, Any]]) -> Place | None:
    """Where the next call begins; None where this page was the last one. The records of one moment
    are read in the order of their ids once they fill a page: else they could never be passed."""
    if len(rows) >= SEARCH_PAGE:
        last = _modified(rows[-1])
        if last < place.at:
            raise Malformed("HubSpot's search of contacts does not keep to its order")
        if place.after_id:
            return replace(place, after_id=str(rows[-1]["id"]))
        # A page of one moment was in no order of ids: once more, from the first one.
        return replace(place, at=last, after_id="0" if last == place.at else "")
    if place.after_id and place.at < place.to:
        return Place(place.at + 1, place.to, place.since)
    return None


def _search(api: Contacts, place: Place, names: Sequence[str]) -> list[dict[str, Any]]:
    if place.after_id:
        filters = [
            {"propertyName": MODIFIED, "operator": "EQ", "value": str(place.at)},
            {"propertyName": ID, "operator": "GT", "value": place.after_id},
        ]
    else:
        filters = [
            {"propertyName": MODIFIED, "operator": "GTE", "value": str(place.at)},
            {"propertyName": MODIFIED, "operator": "LTE", "value": str(place.to)},
        ]
    body = {
        "filterGroups": [{"filters": filters}],
        "sorts": [{"propertyName": ID if place.after_id else MODIFIED, "direction": "ASCENDING"}],
        "properties": list(names),
        "limit": SEARCH_PAGE,
        "after": "0",
    }
    try:
        answer = api.post(f"{OBJECTS}/search", body, writes=False, accept=())
    except Refused as error:
        raise Unreachable(error.reason) from None
    return _rows(body_of(answer))


def _all(api: Contacts, cursor: str, started: int) -> Iterator[Page]:
    """By the list, which has no limit and does not lag. What changes meanwhile is for the polls."""
    names = ",".join([*LISTED, *_single_opt_outs(api)])
    while True:
        params = {"limit": str(PAGE), "properties": names}
        body = body_of(api.get(OBJECTS, params | ({"after": cursor} if cursor else {})))
        records = tuple(_record(row) for row in _rows(body))
        following = after(body)
        if following and following == cursor:
            raise Malformed(f"HubSpot's list of contacts does not go on after {cursor[:40]}")
        if not following:
            yield Page(STREAM, records, f"since:{started}", last=True)
            return
        cursor = following
        yield Page(STREAM, records, f"listing:{cursor}:{started}")


def _single_opt_outs(api: Contacts) -> list[str]:
    """The properties of the account's subscription types: `hs_email_optout_<number>`."""
    results = body_of(api.get(PROPERTIES)).get("results")
    if not isinstance(results, list):
        raise Malformed("HubSpot answered its list of properties with something that is no list")
    names = (str(one.get("name")) for one in results if isinstance(one, dict))
    return [name for name in names if name.startswith(OPTOUT_PREFIX)]


def _rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    results = body.get("results")
    if not isinstance(results, list) or not all(isinstance(row, dict) for row in results):
        raise Malformed("HubSpot answered its list of contacts with something that is no list")
    for row in results:
        if not str(row.get("id") or "").isdecimal() or _modified(row) < 0:
            raise Malformed("HubSpot lists a contact without an id or a time of its last change")
    return results


def _record(row: dict[str, Any], *, since: int | None = None) -> Record:
    """`since` goes along: a signal that is much older was heard long ago, or never will be."""
    body = {"contact": row} | ({} if since is None else {"since": since})
    content = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return Record(f"{row['id']}:{_modified(row)}", content)


def _modified(row: dict[str, Any]) -> int:
    """In milliseconds; -1 where it is not said."""
    held = row.get("properties")
    text = held.get(MODIFIED) if isinstance(held, dict) else None
    found = moment(str(text or row.get("updatedAt") or ""))
    return -1 if found is None else _ms(found)


def _ms(at: datetime) -> int:
    return round(at.astimezone(UTC).timestamp() * 1000)
