"""What waited goes: because what it lacked has come, or because a person says try again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db.models import F, Q, QuerySet

from warmline.core.actions import REPEATABLE
from warmline.core.policy import NO_ADDRESS
from warmline.flows.incidents import resolve
from warmline.flows.runtime import Lane, act_lane, mail_lane
from warmline.store.models import Action, Candidate, Delivery, Enrolment, Message
from warmline.store.statuses import ActionStatus, MessageStatus

# The reason of what a person has tried again, until it has been.
REPLAYED = "replayed"


def no_address_incident(candidate_id: int) -> str:
    """The key of the incident that a candidate without an address opens."""
    return f"no-address:{candidate_id}"


def release_addressed(candidates: Sequence[Candidate], now: datetime) -> set[Lane]:
    """Candidates who have an address now: their held mails and refused actions go. The caller
    holds the transaction. Returns the lanes to poke."""
    ids = {candidate.pk for candidate in candidates}
    if not ids:
        return set()
    lanes: set[Lane] = set()
    held = Q(status=MessageStatus.HELD, reason=NO_ADDRESS)
    by_enrolment: dict[int, list[Message]] = {}
    for message in Message.objects.filter(held, candidate__in=ids).order_by("step"):
        by_enrolment.setdefault(message.enrolment_id, []).append(message)
    for enrolment_id, messages in by_enrolment.items():
        lanes |= let_go(enrolment_id, messages, now)
    actions = Action.objects.filter(
        candidate__in=ids, status=ActionStatus.REFUSED, reason=NO_ADDRESS
    )
    lanes |= {act_lane(row.target, row.lane) for row in actions}
    actions.update(
        status=ActionStatus.PLANNED, reason="", planned_at=now, due_at=now, finished_at=None
    )
    resolve([no_address_incident(pk) for pk in ids], "an address came", now=now)
    return lanes


def let_go(enrolment_id: int, messages: Sequence[Message], now: datetime) -> set[Lane]:
    """The first held mail goes now, and what follows keeps its distance from it: nobody gets three
    letters at once."""
    late = now - messages[0].due_at
    Message.objects.filter(enrolment=enrolment_id, status=MessageStatus.PLANNED).update(
        due_at=F("due_at") + late
    )
    Message.objects.filter(pk__in=[m.pk for m in messages], status=MessageStatus.HELD).update(
        status=MessageStatus.PLANNED, reason="", due_at=F("due_at") + late
    )
    Enrolment.objects.filter(pk=enrolment_id, next_due_at__isnull=False).update(
        next_due_at=F("next_due_at") + late
    )
    return {mail_lane(messages[0].lane)}


def release_refused(delivery: Delivery, now: datetime) -> int:
    """The refused actions of a delivery's events are planned again. Returns how many."""
    rows = Action.objects.filter(event__delivery=delivery, status=ActionStatus.REFUSED)
    return plan_again(rows, now)


def plan_again(rows: QuerySet[Action], now: datetime) -> int:
    """These actions are tried again, with all patience anew. What leaves a note is looked for
    first: it may have been given up for want of an answer, and a note written twice is two notes.
    Returns how many."""
    again = {
        "reason": REPLAYED,
        "attempts": 0,
        "planned_at": now,
        "due_at": now,
        "finished_at": None,
    }
    repeatable = [str(kind) for kind in REPEATABLE]
    looked_for = rows.exclude(kind__in=repeatable).update(status=ActionStatus.UNKNOWN, **again)
    planned = rows.filter(kind__in=repeatable).update(status=ActionStatus.PLANNED, **again)
    return int(looked_for + planned)
