"""The rows that a batch of events touches: read up front in a handful of queries, changed in
memory in the order of the events, written back in a handful more."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models

from warmline.core.candidates import normal_email
from warmline.core.events import Event, EventKind
from warmline.core.matching import mailbox_key
from warmline.store.models import (
    LONG_AGO,
    Application,
    Candidate,
    CandidateEmail,
    Cursor,
    ExternalId,
    Interview,
    Job,
    Stage,
)
from warmline.store.models import Event as EventRow
from warmline.store.statuses import EventEffect

# Three polls of the usual five minutes may fail before they count as missing.
POLLED_WITHIN = timedelta(minutes=20)


@dataclass(slots=True)
class Heard:
    """An event, when it happened (the source's time, else the arrival), and when we heard."""

    event: Event
    at: datetime
    received_at: datetime


@dataclass(slots=True)
class Applied:
    """What an event did to the ledger, and to whom. `kind` may be finer than the vendor's.
    `edited`: it changed what is known of a person who was known before."""

    effect: EventEffect
    kind: EventKind
    candidate: Candidate | None = None
    application: Application | None = None
    interview: Interview | None = None
    edited: bool = False


# Blanks of every kind, control characters, marks that turn the direction of writing, and halves
# of characters: a database, a mail header or a reader's eye would stumble over them.
_STRAY = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")
# The name in an event's fields under which a deletion of an application leaves its id.
APPLICATION_DELETED = "application_deleted"


def clean(text: str | None, size: int) -> str:
    """Fit for a text column, for one line of text and for a mail header; not too long."""
    return _STRAY.sub(" ", text or "").strip()[:size].rstrip()


def record_of(event: Event) -> str:
    """The record that the event is about: where it is not known here, the event waits for it."""
    candidate, application, interview = event.candidate, event.application, event.interview
    if candidate is not None:
        return clean(candidate.external_id, 128)
    if application is not None:
        return clean(application.external_id, 128)
    return clean(interview.application_id or interview.external_id, 128) if interview else ""


class Batch:
    """Every candidate is one object here, however many rows lead to it: what one event changes,
    the next one sees."""

    def __init__(self, connection: str, heard: Sequence[Heard]) -> None:
        self.connection = connection
        events = [h.event for h in heard]
        people = [e.candidate for e in events if e.candidate is not None]
        applications = [e.application for e in events if e.application is not None]
        interviews = [e.interview for e in events if e.interview is not None]
        records = {p.external_id for p in people} | {p.merged_into or "" for p in people}
        numbers = {a.external_id for a in applications}
        boxes = {mailbox_key(n) for p in people for e in p.emails if (n := normal_email(e))}
        self._one_each: dict[int, Candidate] = {}
        self.ids: dict[str, ExternalId] = self._known(
            ExternalId.objects.select_related("candidate__merged_into"), records - {""}
        )
        self.emails: dict[str, CandidateEmail] = {
            row.normal: self._same(row)
            for row in CandidateEmail.objects.filter(mailbox__in=boxes).select_related(
                "candidate__merged_into"
            )
        }
        self.applications: dict[str, Application] = self._known(
            Application.objects.select_related("candidate__merged_into", "job", "stage"),
            numbers | {i.application_id for i in interviews if i.application_id},
        )
        self.jobs: dict[str, Job] = self._known(
            Job.objects.all(), {a.job.external_id for a in applications if a.job}
        )
        self.stages: dict[str, Stage] = self._known(
            Stage.objects.all(), {a.stage.external_id for a in applications if a.stage}
        )
        self.interviews: dict[str, Interview] = self._known(
            Interview.objects.select_related("application"), {i.external_id for i in interviews}
        )
        if boxes:
            self._more_addresses()
        # Records that were deleted before we ever heard of them: news of them that is on its way
        # still (a reordered webhook) must not bring them to life. Applications with the time.
        unheard = ((records - set(self.ids)) | (numbers - set(self.applications))) - {""}
        early = EventRow.objects.filter(connection=connection, record__in=unheard)
        self.tombstones: set[str] = set(
            early.filter(kind=EventKind.CANDIDATE_DELETED).values_list("record", flat=True)
        )
        self.deleted_applications: dict[str, datetime] = {
            row.fields[APPLICATION_DELETED]: row.occurred_at
            for row in early.filter(
                effect=EventEffect.UNKNOWN, fields__has_key=APPLICATION_DELETED
            ).order_by("occurred_at")
        }
        # Ids of the records that this batch makes known.
        self.learned: set[str] = set()
        self._polled_at: datetime | None = None
        self._new: dict[type[models.Model], list[Any]] = {}
        self._changed: dict[models.Model, set[str]] = {}

    def polled_lately(self, now: datetime) -> bool:
        """Whether a poll has read this connection's candidates within the last while."""
        if self._polled_at is None:
            cursor = Cursor.objects.filter(connection=self.connection, stream="candidates").first()
            self._polled_at = (cursor.read_at if cursor else None) or LONG_AGO
        return now - self._polled_at < POLLED_WITHIN

    def _known(self, rows: models.QuerySet[Any], ids: set[str]) -> dict[str, Any]:
        if not ids:
            return {}
        found = rows.filter(connection=self.connection, external_id__in=ids)
        return {row.external_id: self._same(row) for row in found}

    def _more_addresses(self) -> None:
        """All other addresses of whoever is told to have one: the order is theirs together."""
        tables: tuple[dict[str, Any], ...] = (self.emails, self.ids)
        told = {row.candidate.pk for table in tables for row in table.values()}
        rows = CandidateEmail.objects.filter(candidate__in=told).exclude(normal__in=self.emails)
        for row in rows.select_related("candidate__merged_into"):
            self.emails[row.normal] = self._same(row)

    def same_mailbox(self, normal: str) -> list[CandidateEmail]:
        """The addresses, of anybody, whose mail is delivered where this one's is: itself first."""
        box = mailbox_key(normal)
        found = [row for row in self.emails.values() if row.mailbox == box]
        return sorted(found, key=lambda row: row.normal != normal)

    def addresses(self, candidate: Candidate) -> list[CandidateEmail]:
        """The candidate's addresses, those of this batch included, the preferred one first."""
        mine = [row for row in self.emails.values() if row.candidate is candidate]
        mine.sort(key=lambda row: (row.rank, row.normal))
        return sorted(mine, key=lambda row: row.told_at, reverse=True)

    def _same(self, row: Any) -> Any:
        if hasattr(row, "candidate_id"):
            row.candidate = self.one(row.candidate)
        return row

    def one(self, candidate: Candidate) -> Candidate:
        """The candidate who stands for this one after all merges, as the batch's own object."""
        standing = candidate.merged_into or candidate
        if standing.pk is None:
            return standing
        return self._one_each.setdefault(standing.pk, standing)

    def add(self, row: Any) -> Any:
        """A row to be made."""
        self._new.setdefault(type(row), []).append(row)
        if isinstance(row, (ExternalId, Application, Interview)):
            self.learned.add(row.external_id)
        return row

    def set(self, row: Any, **values: Any) -> bool:
        """Set what differs; True where something did."""
        changed = {name for name, value in values.items() if getattr(row, name) != value}
        for name in changed:
            setattr(row, name, values[name])
        if changed and row.pk is not None:
            self._changed.setdefault(row, set()).update(changed)
        return bool(changed)

    def flush(self) -> None:
        """Write: parents before children, so that ids are there when they are needed."""
        for model in (Candidate, CandidateEmail, ExternalId, Job, Stage, Application, Interview):
            rows = self._new.pop(model, [])
            if rows:
                model._default_manager.bulk_create(rows)
            for row in rows:
                if isinstance(row, Candidate):
                    self._one_each[row.pk] = row
        # What changed in the same fields is one query, however many rows it is.
        alike: dict[tuple[type[models.Model], tuple[str, ...]], list[Any]] = {}
        for row, fields in self._changed.items():
            alike.setdefault((type(row), tuple(sorted(fields))), []).append(row)
        for (kind, names), same in alike.items():
            kind._default_manager.bulk_update(same, names)
        self._changed = {}

    def folded(self, kept: Candidate, gone: Candidate) -> None:
        """A merge took place: whatever led to the one leads to the other now."""
        gone.merged_into = kept
        self._one_each[gone.pk] = kept
        tables: list[dict[str, Any]] = [self.ids, self.emails, self.applications]
        for table in tables:
            for row in table.values():
                if row.candidate is gone or row.candidate_id == gone.pk:
                    row.candidate = kept
                    if isinstance(row, ExternalId):  # of two contacts one is written to
                        row.refresh_from_db(fields=["contact"])
