"""Reads from the copy what came of it: who gets which mail and when, and what was held.

A stretch of people at a time, so that a large ledger needs little memory beside the answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from django.db import connection
from django.db.models import Max, Q

from warmline.core.candidates import masked
from warmline.flows.runtime import Runtime
from warmline.flows.simulate.findings import Fate, Hold, Mail
from warmline.flows.simulate.play import QUARTER_MINUTES
from warmline.flows.simulate.recorders import Handed
from warmline.flows.whereabouts import where_is
from warmline.store.models import Candidate, CandidateEmail, Message, Segmentation, Suppression
from warmline.store.statuses import MessageStatus

STRETCH = 5000
_FATES = {
    MessageStatus.HANDED_OFF: Fate.SENT,
    MessageStatus.HELD: Fate.HELD,
    MessageStatus.EXPIRED: Fate.EXPIRED,
    MessageStatus.WITHHELD: Fate.WITHHELD,
    MessageStatus.PLANNED: Fate.WAITS,
}
# What is due and what leaves so soon after it is one moment, cut short by the clock's stops.
_TOGETHER = timedelta(minutes=QUARTER_MINUTES)
# Before the simulation these were not decided for good.
OPEN = (MessageStatus.PLANNED, MessageStatus.CLAIMED, MessageStatus.HELD)
PAUSED = "paused: it waits until somebody resumes it"


@dataclass(frozen=True, slots=True)
class Before:
    """How messages stood before the first moment: the highest number, and those that were open,
    each with its status and reason."""

    last: int
    open: Mapping[int, tuple[str, str]]


def before() -> Before:
    rows = Message.objects.filter(status__in=OPEN).values_list("pk", "status", "reason")
    return Before(
        Message.objects.aggregate(last=Max("pk"))["last"] or 0,
        {pk: (status, reason) for pk, status, reason in rows},
    )


def stretches() -> Iterator[tuple[int, int]]:
    top = Candidate.objects.aggregate(top=Max("pk"))["top"] or 0
    for low in range(0, top, STRETCH):
        yield low, low + STRETCH


@dataclass(slots=True)
class People:
    """A stretch of the people there are, with what decides about each."""

    runtime: Runtime
    rows: dict[int, Candidate]
    addresses: dict[int, list[str]]
    segments: dict[int, tuple[str, float, datetime]]
    suppressed: dict[str, str]  # the reason, by address

    def address(self, candidate: int) -> str:
        found = self.addresses.get(candidate)
        return masked(found[0]) if found else ""

    def segment(self, candidate: int) -> str:
        found = self.segments.get(candidate)
        return found[0] if found else ""

    def clock(self, candidate: int, office: str) -> ZoneInfo:
        row = self.rows.get(candidate)
        return where_is(self.runtime.project, row, office).clock if row else ZoneInfo("UTC")


def people(runtime: Runtime, low: int, high: int) -> People:
    """Whoever was merged into somebody else is that one."""
    mine = Q(candidate__gt=low, candidate__lte=high)
    addresses: dict[int, list[str]] = {}
    emails = CandidateEmail.objects.filter(mine).order_by(*CandidateEmail.PREFERRED_FIRST)
    for pk, address in emails.values_list("candidate_id", "normal"):
        addresses.setdefault(pk, []).append(address)
    placed = Segmentation.objects.filter(pk__gt=low, pk__lte=high)
    dead = Suppression.objects.filter(address__in=emails.order_by().values("normal"))
    there = Candidate.objects.filter(pk__gt=low, pk__lte=high, merged_into=None)
    return People(
        runtime=runtime,
        rows={row.pk: row for row in there},
        addresses=addresses,
        segments={
            pk: (segment, score, at)
            for pk, segment, score, at in placed.values_list(
                "candidate_id", "segment", "score", "placed_at"
            )
        },
        suppressed=dict(dead.values_list("address", "reason")),
    )


def mails(
    there: People,
    was: Before,
    handed: Mapping[int, Handed],
    low: int,
    high: int,
    until: datetime,
) -> Iterator[Mail]:
    """Of these people every mail that is new or whose fate was decided."""
    rows = (
        Message.objects.filter(candidate__gt=low, candidate__lte=high)
        .filter(Q(pk__gt=was.last) | Q(status__in=[*OPEN, MessageStatus.HANDED_OFF]))
        .select_related("enrolment__application__job")
        .defer("values")
        .order_by("due_at", "pk")
    )
    for row in rows.iterator(chunk_size=STRETCH):
        if row.pk <= was.last and row.pk not in was.open:
            continue
        if row.pk in was.open and was.open[row.pk] == (row.status, row.reason):
            continue
        mail = _mail(there, row, handed.get(row.pk), until)
        if mail is not None:
            yield mail


def _mail(there: People, row: Message, handed: Handed | None, until: datetime) -> Mail | None:
    fate = _FATES.get(MessageStatus(row.status))
    if fate is None or (fate is Fate.WAITS and row.due_at > until):
        return None
    at = row.due_at
    if fate is Fate.SENT and row.handed_off_at and row.handed_off_at - row.due_at >= _TOGETHER:
        at = row.handed_off_at
    application = row.enrolment.application
    job = application.job if application else None
    clock = there.clock(row.candidate_id, job.office if job else "")
    return Mail(
        number=row.pk,
        candidate=row.candidate_id,
        address=there.address(row.candidate_id),
        segment=there.segment(row.candidate_id),
        sequence=row.enrolment.sequence,
        step=row.step,
        piece=_piece(there.runtime, row),
        subject=(handed.subject if handed else row.subject),
        at=at,
        local=f"{at.astimezone(clock):%Y-%m-%d %H:%M}",
        zone=clock.key,
        sender=(handed.sender if handed else row.sender_address),
        fate=fate,
        reason=row.reason or (PAUSED if fate is Fate.WAITS else ""),
        words=handed.words if handed else "",
    )


def _piece(runtime: Runtime, row: Message) -> str:
    if row.piece:
        return row.piece
    loaded = runtime.project.sequences.get(row.enrolment.sequence)
    step = loaded.sequence.step(row.step) if loaded else None
    return step.name if step else f"step {row.step}"


# Holds

# Also those that ended: the row itself keeps no word of them. Temporary: they are of this
# connection to the copy alone.
_LOG = """
CREATE TEMP TABLE IF NOT EXISTS seen_hold (message INTEGER, reason TEXT, at TEXT, until TEXT);
DELETE FROM temp.seen_hold;
DROP TRIGGER IF EXISTS temp.hold_seen;
CREATE TEMP TRIGGER hold_seen AFTER UPDATE OF status, due_at ON main.warmline_message
WHEN NEW.reason <> '' AND (
  (NEW.status = 'held' AND OLD.status <> 'held')
  OR (NEW.status = 'planned' AND NEW.due_at > OLD.due_at AND OLD.status <> 'held'))
BEGIN
  INSERT INTO seen_hold VALUES (
    NEW.id, NEW.reason, OLD.due_at, CASE NEW.status WHEN 'held' THEN NULL ELSE NEW.due_at END);
END;
"""
_HOLDS = "SELECT message, reason, at, until FROM temp.seen_hold ORDER BY rowid"


def log_holds() -> None:
    """From now on the copy itself writes down each hold."""
    connection.connection.executescript(_LOG)


def holds(mails: Mapping[int, Mail]) -> list[Hold]:
    """Each hold of these mails, as they came."""
    found: list[Hold] = []
    with connection.cursor() as cursor:
        cursor.execute(_HOLDS)
        for number, reason, at, until in cursor.fetchall():
            mail = mails.get(number)
            if mail is not None:
                found.append(
                    Hold(
                        mail.candidate,
                        mail.address,
                        mail.where,
                        reason,
                        _moment(at),
                        _moment(until) if until else None,
                    )
                )
    return found


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)
