"""Reading what changed: listing by listing, page by page, each record joined to a whole.

A sweep reads a listing from its newest record to its oldest. Where it stands is kept as text
(`Mark`), so that a sweep that was cut off goes on where it stopped. Its end is the moment at which
it began, less an overlap: what changed while it ran is read by the next one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from warmline.connectors.greenhouse import facts
from warmline.connectors.greenhouse.harvest import Harvest
from warmline.connectors.greenhouse.mapping import (
    UNMAPPED_INTERVIEW_STATUSES,
    UNMAPPED_SCORECARD_STATUSES,
)
from warmline.core.errors import ConfigError, Malformed, Refused
from warmline.ports import Page, Record

# Candidates first, so that the applications that follow find theirs.
STREAMS = ("candidates", "applications", "interviews", "scorecards")
PAGES_MAX = 20_000  # of one sweep: ten million records
NAMES_MAX = 50_000  # jobs, stages and users that are kept in memory

_Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a sweep stands: it reads what changed `since` (empty: everything), it began at
    `start`, `next` is the vendor's cursor, and so many `pages` are behind it."""

    since: str
    start: str
    next: str = ""
    pages: int = 0

    @classmethod
    def read(cls, cursor: str, now: datetime) -> Mark:
        start = facts.stamp(now)
        if not cursor.startswith("{"):
            if cursor:
                _moment(cursor)
            return cls(since=cursor, start=start)
        try:
            found = json.loads(cursor)
            mark = cls(
                since=str(found["since"]),
                start=str(found["start"]),
                next=str(found["next"]),
                pages=int(found["pages"]),
            )
        except (ValueError, KeyError, TypeError):
            raise _bad_cursor() from None
        _moment(mark.start)
        return mark

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


class Sweeps:
    """The four listings of one account."""

    def __init__(self, harvest: Harvest, *, overlap: timedelta, per_page: int) -> None:
        self._harvest = harvest
        self._overlap = overlap
        self._per_page = per_page
        # Names change rarely: kept by id until the next sweep begins. None: the vendor has none.
        self._names: dict[tuple[str, str], _Row | None] = {}
        # The joins of the page at hand, so that a page that was throttled half-way does not begin
        # from nothing again: with fifty calls a window it might never end.
        self._held: dict[tuple[str, str, str], list[_Row]] = {}
        self._held_for = ("", "")
        self._join: Mapping[str, Callable[[list[_Row]], list[_Row]]] = {
            "candidates": lambda rows: [{"candidate": row} for row in rows],
            "applications": self._join_applications,
            "interviews": self._join_interviews,
            "scorecards": self._join_scorecards,
        }

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        if stream not in STREAMS:
            raise ConfigError(f"greenhouse has no listing {stream!r}; it has {', '.join(STREAMS)}")
        mark = Mark.read(cursor, now)
        if not mark.next:
            self._names.clear()
        resumed = bool(mark.next)
        passed = {mark.next}
        while True:
            if mark.pages >= PAGES_MAX:
                raise Malformed(f"Greenhouse: {stream}: no end after {PAGES_MAX} pages")
            try:
                rows, following = self._harvest.page(stream, self._params(mark))
            except Refused as error:
                if not (resumed and error.status in (400, 404, 410, 422)):
                    raise
                # The vendor forgot the cursor of a sweep that lay still: the sweep begins again.
                mark, resumed = Mark(since=mark.since, start=facts.stamp(now)), False
                passed.clear()
                continue
            resumed = False
            if following and following in passed:
                raise Malformed(
                    f"Greenhouse: {stream}: a page names itself or an earlier one as next"
                )
            passed.add(following)
            records = self._records(stream, mark, rows)
            mark = replace(mark, next=following, pages=mark.pages + 1)
            last = not following
            yield Page(stream, records, mark.start if last else mark.text(), last)
            if last:
                return

    def _params(self, mark: Mark) -> dict[str, str]:
        if mark.next:
            return {"cursor": mark.next}  # the vendor refuses any parameter beside it
        params = {"per_page": str(self._per_page)}
        if mark.since:
            params["updated_at"] = f"gte|{facts.stamp(_moment(mark.since) - self._overlap)}"
        return params

    def _records(self, stream: str, mark: Mark, rows: list[Any]) -> tuple[Record, ...]:
        if self._held_for != (stream, mark.next):
            self._held.clear()
            self._held_for = (stream, mark.next)
        whole = [row for row in rows if isinstance(row, dict) and not _means_nothing(stream, row)]
        records = [
            _record(stream, row, joined)
            for row, joined in zip(whole, self._join[stream](whole), strict=True)
        ]
        # What is no record is passed on as it came: it is reported there, and stops nothing here.
        records += [_record(stream, {}, row) for row in rows if not isinstance(row, dict)]
        self._held.clear()
        return tuple(records)

    def _join_applications(self, rows: list[_Row]) -> list[_Row]:
        candidates = self._one_each("candidates", _ids(rows, "candidate_id"))
        stages = self._stages(rows)
        jobs = self._named("jobs", _ids(rows, "job_id"))
        whose = [
            _first_id(row, candidates.get(_id(row, "candidate_id")), jobs.get(_id(row, "job_id")))
            for row in rows
        ]
        users = self._named("users", [user_id for user_id in whose if user_id])
        return [
            {
                "application": row,
                "candidate": candidates.get(_id(row, "candidate_id")),
                "job": jobs.get(_id(row, "job_id")),
                "stage": stages.get(_id(row, "id")),
                "recruiter": _user(users.get(recruiter_id)),
            }
            for row, recruiter_id in zip(rows, whose, strict=True)
        ]

    def _stages(self, rows: list[_Row]) -> dict[str, _Row]:
        """Application id → its stage: the current one, or the last one of what has ended.

        The `stage_id` of an application is its visit to a stage, and no id of a stage."""
        ids = _ids([row for row in rows if not row.get("prospect")], "id")
        visits = self._many_each("application_stages", "application_id", ids, current="true")
        ended = [number for number in ids if not visits.get(number)]
        visits |= self._many_each("application_stages", "application_id", ended)
        latest = {
            number: max(found, key=lambda visit: str(visit.get("entered_at") or ""))
            for number, found in visits.items()
            if found
        }
        names = self._named("job_interview_stages", _ids(latest.values(), "job_interview_stage_id"))
        labels = {_id(row, "id"): row.get("stage_name") for row in rows}
        return {
            number: {
                "id": stage_id,
                "name": (names.get(stage_id) or {}).get("name") or labels.get(number),
                "entered_at": visit.get("entered_at"),
            }
            for number, visit in latest.items()
            if (stage_id := _id(visit, "job_interview_stage_id"))
        }

    def _join_interviews(self, rows: list[_Row]) -> list[_Row]:
        applications = self._one_each("applications", _ids(rows, "application_id"))
        panels = self._many_each("interviewers", "interview_id", _ids(rows, "id"))
        organizers = {_id(row, "id"): _id(row, "organizer_id") for row in rows}
        seats = {number: _assigned(found, organizers[number]) for number, found in panels.items()}
        users = self._named(
            "users", [_id(seat, "user_id") for found in seats.values() for seat in found]
        )
        return [
            {
                "interview": row,
                "application": _owner(applications.get(_id(row, "application_id"))),
                "interviewers": [
                    _user(users.get(_id(seat, "user_id"))) or {"id": _id(seat, "user_id")}
                    for seat in seats.get(_id(row, "id"), [])
                ],
            }
            for row in rows
        ]

    def _join_scorecards(self, rows: list[_Row]) -> list[_Row]:
        applications = self._one_each("applications", _ids(rows, "application_id"))
        users = self._named("users", _ids(rows, "submitter_id"))
        return [
            {
                # The notes of an interviewer are nothing that this product needs to hold.
                "scorecard": {k: v for k, v in row.items() if "notes" not in k},
                "application": _owner(applications.get(_id(row, "application_id"))),
                "submitter": _user(users.get(_id(row, "submitter_id"))),
            }
            for row in rows
        ]

    def _named(self, resource: str, ids: Iterable[str]) -> dict[str, _Row]:
        """Rows that rarely change, by id, from memory where they are there."""
        wanted = set(filter(None, ids))
        unknown = {number for number in wanted if (resource, number) not in self._names}
        if len(self._names) + len(unknown) > NAMES_MAX:
            self._names.clear()
            unknown = wanted
        for batch in _batches(unknown):
            found = {_id(row, "id"): row for row in self._harvest.look_up(resource, batch)}
            self._names.update({(resource, number): found.get(number) for number in batch})
        rows = ((number, self._names[(resource, number)]) for number in wanted)
        return {number: row for number, row in rows if row is not None}

    def _one_each(self, resource: str, ids: Iterable[str]) -> dict[str, _Row]:
        """Rows by id, read anew for each page."""
        found = self._many_each(resource, "id", ids, by="ids")
        return {number: rows[0] for number, rows in found.items() if rows}

    def _many_each(
        self, resource: str, column: str, ids: Iterable[str], *, by: str = "", **more: str
    ) -> dict[str, list[_Row]]:
        """Rows by the id in `column`, read anew for each page."""
        wanted = sorted(set(filter(None, ids)))
        which = "".join(sorted(more))
        missing = [number for number in wanted if (resource, which, number) not in self._held]
        for batch in _batches(missing):
            groups: dict[str, list[_Row]] = {number: [] for number in batch}
            for row in self._harvest.look_up(resource, batch, by=by or f"{column}s", **more):
                if (number := _id(row, column)) in groups:
                    groups[number].append(row)
            self._held.update({(resource, which, n): rows for n, rows in groups.items()})
        return {number: self._held[(resource, which, number)] for number in wanted}


def _assigned(seats: list[_Row], organizer_id: str) -> list[_Row]:
    """Who interviews: users who did not decline. Not guests without an account, and not the
    organiser, who sits on the list without owing a scorecard, unless nobody else does."""
    users = [s for s in seats if _id(s, "user_id") and s.get("response_status") != "declined"]
    others = [s for s in users if s.get("scorecard_id") or _id(s, "user_id") != organizer_id]
    return others or users


def _first_id(application: _Row, candidate: _Row | None, job: _Row | None) -> str:
    """The recruiter's user id: v3 says it on the application, older accounts on the candidate."""
    for row in (application, candidate, job):
        if row and (number := _id(row, "recruiter_id")):
            return number
    return ""


def _user(row: _Row | None) -> _Row | None:
    if row is None:
        return None
    return {k: row.get(k) for k in ("id", "name", "first_name", "last_name", "primary_email")}


def _owner(application: _Row | None) -> _Row | None:
    return application and {k: application.get(k) for k in ("id", "candidate_id", "job_id")}


def _means_nothing(stream: str, row: _Row) -> bool:
    """Declared without an event, and many: not worth a row in the ledger each."""
    status = row.get("status")
    return (stream == "interviews" and status in UNMAPPED_INTERVIEW_STATUSES) or (
        stream == "scorecards" and status in UNMAPPED_SCORECARD_STATUSES
    )


def _record(stream: str, row: _Row, joined: object) -> Record:
    body = json.dumps(joined, separators=(",", ":")).encode()
    number, updated_at = _id(row, "id"), row.get("updated_at")
    if number and isinstance(updated_at, str):
        return Record(f"{stream}:{number}:{updated_at[:40]}", body)
    return Record(f"{stream}:{number or '?'}:{hashlib.sha256(body).hexdigest()}", body)


def _ids(rows: Iterable[_Row], key: str) -> list[str]:
    return [number for row in rows if (number := _id(row, key))]


def _id(row: Mapping[str, Any], key: str) -> str:
    found = row.get(key)
    return str(found) if type(found) is int and found >= 0 else ""


def _batches(ids: Iterable[str], size: int = 50) -> Iterator[list[str]]:
    ordered = sorted(ids)
    for first in range(0, len(ordered), size):
        yield ordered[first : first + size]


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise _bad_cursor() from None


def _bad_cursor() -> Malformed:
    return Malformed(
        "greenhouse: the kept cursor is not one of ours", hint="clear it: the listing is read anew"
    )
