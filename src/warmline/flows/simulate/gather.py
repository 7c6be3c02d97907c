"""Reads from the copy what came of it: who gets which mail and when, and who gets nothing and why.

A stretch of people at a time, so that a large ledger needs little memory beside the answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db.models import Max, Q

from warmline.core.candidates import masked
from warmline.core.policy import NO_ADDRESS
from warmline.core.segments import Segment
from warmline.flows.backfill import TRIGGER, silver_sequence
from warmline.flows.runtime import Runtime
from warmline.flows.simulate.findings import Fate, Mail, Without
from warmline.flows.simulate.play import STEP
from warmline.flows.simulate.recorders import Handed
from warmline.store.models import (
    Candidate,
    CandidateEmail,
    Enrolment,
    Message,
    Segmentation,
    Suppression,
)
from warmline.store.statuses import EnrolmentStatus, MessageStatus, SuppressionReason

STRETCH = 5000
_FATES = {
    MessageStatus.HANDED_OFF: Fate.SENT,
    MessageStatus.HELD: Fate.HELD,
    MessageStatus.EXPIRED: Fate.EXPIRED,
    MessageStatus.WITHHELD: Fate.WITHHELD,
    MessageStatus.PLANNED: Fate.WAITS,
}
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

    addresses: dict[int, list[str]]
    segments: dict[int, tuple[str, float, datetime]]
    rows: dict[int, tuple[bool, str, bool]]  # do not contact, opted out, erased
    suppressed: dict[str, str]

    def address(self, candidate: int) -> str:
        found = self.addresses.get(candidate)
        return masked(found[0]) if found else ""

    def segment(self, candidate: int) -> str:
        found = self.segments.get(candidate)
        return found[0] if found else ""


def people(low: int, high: int) -> People:
    """Whoever was merged into somebody else is that one."""
    mine = Q(candidate__gt=low, candidate__lte=high)
    addresses: dict[int, list[str]] = {}
    emails = CandidateEmail.objects.filter(mine).order_by(*CandidateEmail.PREFERRED_FIRST)
    for pk, address in emails.values_list("candidate_id", "normal"):
        addresses.setdefault(pk, []).append(address)
    placed = Segmentation.objects.filter(pk__gt=low, pk__lte=high)
    there = Candidate.objects.filter(pk__gt=low, pk__lte=high, merged_into=None)
    known = {address for found in addresses.values() for address in found}
    suppressed = {
        address: reason
        for address, reason in _suppressions(low, high)
        if address in known
    }
    return People(
        addresses=addresses,
        segments={
            pk: (segment, score, at)
            for pk, segment, score, at in placed.values_list(
                "candidate_id", "segment", "score", "placed_at"
            )
        },
        rows={
            pk: (refused, no, erased is not None)
            for pk, refused, no, erased in there.values_list(
                "pk", "do_not_contact", "opted_out", "erased_at"
            )
        },
        suppressed=suppressed,
    )


def _suppressions(low: int, high: int) -> Iterator[tuple[str, str]]:
    mine = CandidateEmail.objects.filter(candidate__gt=low, candidate__lte=high)
    rows = Suppression.objects.filter(address__in=mine.values("normal"))
    yield from rows.values_list("address", "reason")


def mails(
    runtime: Runtime,
    was: Before,
    handed: Mapping[int, Handed],
    there: People,
    low: int,
    high: int,
    until: datetime,
) -> Iterator[Mail]:
    """Of these people every mail that is new or whose fate was decided, in the order of time."""
    fresh = Q(pk__gt=was.last) | Q(pk__in=[pk for pk in was.open if pk <= was.last])
    rows = (
        Message.objects.filter(candidate__gt=low, candidate__lte=high)
        .filter(Q(pk__gt=was.last) | Q(status__in=[*OPEN, MessageStatus.HANDED_OFF]))
        .select_related("enrolment")
        .only(
            *("step", "status", "reason", "due_at", "handed_off_at", "piece", "subject"),
            *("candidate_id", "sender_address", "enrolment__sequence"),
        )
        .order_by("due_at", "pk")
    )
    for row in rows.iterator(chunk_size=STRETCH):
        if row.pk <= was.last and row.pk not in was.open:
            continue
        if row.pk in was.open and was.open[row.pk] == (row.status, row.reason):
            continue
        mail = _mail(runtime, row, handed.get(row.pk), there, until)
        if mail is not None:
            yield mail


def _mail(
    runtime: Runtime, row: Message, handed: Handed | None, there: People, until: datetime
) -> Mail | None:
    fate = _FATES.get(MessageStatus(row.status))
    if fate is None or (fate is Fate.WAITS and row.due_at > until):
        return None
    at = row.due_at
    if fate is Fate.SENT and row.handed_off_at and row.handed_off_at - row.due_at >= STEP:
        at = row.handed_off_at
    sequence = row.enrolment.sequence
    return Mail(
        number=row.pk,
        candidate=row.candidate_id,
        address=there.address(row.candidate_id),
        segment=there.segment(row.candidate_id),
        sequence=sequence,
        step=row.step,
        piece=_piece(runtime, row),
        subject=(handed.subject if handed else row.subject),
        at=at,
        local=f"{at:%Y-%m-%d %H:%M}",
        zone="UTC",
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
