"""A person's word on what failed: try it again, or leave it.

Rows move by compare-and-swap, so that two people, or a person and the lanes, cannot both move one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from warmline.core.errors import WarmlineError
from warmline.core.policy import NO_ADDRESS
from warmline.flows import act, interpret
from warmline.flows.failures import ENDED, FAILED, Failure, Kind, Wanted, failed
from warmline.flows.first_sync import waits
from warmline.flows.incidents import resolve
from warmline.flows.pauses import paused
from warmline.flows.release import REPLAYED, plan_again
from warmline.flows.runtime import Lane, Runtime, act_lane, intake_lane, mail_lane
from warmline.store.db import writing
from warmline.store.models import Action, Delivery, Discard, Message
from warmline.store.statuses import (
    LANES,
    ActionStatus,
    DeliveryStatus,
    MessageStatus,
)

log = logging.getLogger("warmline.retry")

CHUNK = 500
Number = tuple[Kind, int]


def chosen(runtime: Runtime, wanted: Wanted) -> list[Number]:
    """Every failure that matches, oldest first."""
    return [
        (kind, pk)
        for kind in Kind
        for pk in failed(runtime, kind, wanted).order_by("id").values_list("pk", flat=True)
    ]


def replay(runtime: Runtime, numbers: Sequence[Number], *, who: str) -> list[Number]:
    """Have them tried again: what a failure has done already happens once. Returns those that were
    moved; whoever was faster has moved the others."""
    moved: list[Number] = []
    for kind in Kind:
        ids = [pk for one, pk in numbers if one is kind]
        for start in range(0, len(ids), CHUNK):
            moved += [(kind, pk) for pk in _replay(runtime, kind, ids[start : start + CHUNK], who)]
    log.warning("action=replayed failures=%d who=%s", len(moved), who)
    return moved


def _replay(runtime: Runtime, kind: Kind, ids: Sequence[int], who: str) -> list[int]:
    now = runtime.now()
    with writing():
        if kind is Kind.ACTION:
            actions = Action.objects.select_for_update().filter(pk__in=ids, status__in=ENDED[kind])
            found = list(actions.values_list("pk", "target", "lane"))
            plan_again(Action.objects.filter(pk__in=[pk for pk, *_ in found]), now)
            lanes = {act_lane(target, lane) for _, target, lane in found}
            moved = [pk for pk, *_ in found]
        elif kind is Kind.DELIVERY:
            moved, lanes = _read_again(runtime, ids)
        else:
            mails = Message.objects.select_for_update().filter(pk__in=ids, status__in=ENDED[kind])
            rows = list(mails.values_list("pk", "lane"))
            moved = [pk for pk, _ in rows]
            Message.objects.filter(pk__in=moved).update(
                status=MessageStatus.PLANNED,
                reason=REPLAYED,
                planned_at=now,
                due_at=now,
                attempts=0,
                settled_by=who[:64],
            )
            lanes = {mail_lane(lane) for _, lane in rows}
    runtime.poke(lanes)
    return moved


def _read_again(runtime: Runtime, ids: Sequence[int]) -> tuple[list[int], set[Lane]]:
    """Only what a connector of the project reads."""
    readable = runtime.connections_that("parses")
    rows = Delivery.objects.select_for_update().filter(
        pk__in=ids, status__in=ENDED[Kind.DELIVERY], connection__in=readable
    )
    found = list(rows.values_list("pk", "connection"))
    moved = [pk for pk, _ in found]
    Delivery.objects.filter(pk__in=moved).update(
        status=DeliveryStatus.RECEIVED, attempts=0, reason=REPLAYED
    )
    return moved, {intake_lane(connection) for _, connection in found}


def carry_out(runtime: Runtime, numbers: Iterable[Number]) -> None:
    """Try these here and now, and nothing else that waits; mails are left to `warmline up`. The
    caller runs this ledger alone."""
    numbers = list(numbers)
    deliveries = [pk for kind, pk in numbers if kind is Kind.DELIVERY]
    rows = Delivery.objects.filter(pk__in=deliveries)
    for name in sorted(set(rows.values_list("connection", flat=True))):
        while interpret.drain(runtime, name):
            pass
    actions = [pk for kind, pk in numbers if kind is Kind.ACTION]
    able = runtime.connections_that("applies_actions")
    for start in range(0, len(actions), CHUNK):
        only = actions[start : start + CHUNK]
        targets = set(Action.objects.filter(pk__in=only).values_list("target", flat=True))
        for target in sorted(targets & set(able)):
            if waits(runtime, f"act:{target}"):
                continue
            while act.drain(runtime, target, range(LANES), only=only):
                pass


# What became of it


@dataclass(frozen=True, slots=True)
class Became:
    """How a replayed failure stands. `pending`: nobody has tried it yet; `again`: it failed."""

    ref: str
    status: str
    reason: str
    pending: bool
    again: bool


def became(runtime: Runtime, numbers: Sequence[Number]) -> list[Became]:
    found: list[Became] = []
    stopped, mail = paused(), runtime.project.file.mail.connection
    for start in range(0, len(numbers), CHUNK):
        part = numbers[start : start + CHUNK]
        by_kind = {kind: [pk for one, pk in part if one is kind] for kind in Kind}
        for row in Action.objects.filter(pk__in=by_kind[Kind.ACTION]):
            untried = row.status in (ActionStatus.PLANNED, ActionStatus.UNKNOWN)
            halted = stopped.connection(row.target) or stopped.trigger(row.trigger)
            found.append(_became(Kind.ACTION, row, untried, ActionStatus.CLAIMED, halted=halted))
        for delivery in Delivery.objects.filter(pk__in=by_kind[Kind.DELIVERY]).defer("body"):
            untried = delivery.status == DeliveryStatus.RECEIVED and not delivery.attempts
            found.append(_became(Kind.DELIVERY, delivery, untried, halted=False))
        mails = Message.objects.filter(pk__in=by_kind[Kind.MAIL]).select_related("enrolment")
        for letter in mails:
            untried = letter.status == MessageStatus.PLANNED
            halted = stopped.sequence(letter.enrolment.sequence, mail)
            busy = (MessageStatus.CLAIMED, MessageStatus.SENDING)
            found.append(_became(Kind.MAIL, letter, untried, *busy, halted=halted))
    return found


def _became(
    kind: Kind, row: Action | Delivery | Message, untried: bool, *busy: str, halted: bool
) -> Became:
    pending = (untried and row.reason == REPLAYED) or row.status in busy
    reason = "" if row.reason == REPLAYED else row.reason
    return Became(
        ref=f"{kind[0]}{row.pk}",
        status=row.status,
        reason="it is paused" if pending and halted else reason,
        pending=pending,
        again=row.status in FAILED[kind] or row.status == MessageStatus.HELD,
    )


# Left for good


def discard(failures: Sequence[Failure], *, why: str, who: str, now: datetime) -> list[Failure]:
    """They need not be done: the reason and whose word it is are kept, and their incidents end.
    Returns those that were moved. Raises WarmlineError for what has been discarded already."""
    if not why.strip():
        raise WarmlineError("a discard needs a reason", hint='say it with --why "…"')
    for failure in failures:
        if failure.status not in FAILED[failure.kind]:
            raise WarmlineError(f"{failure.ref} is {failure.status} already")
    moved: list[Failure] = []
    for failure in failures:
        with writing():
            if _discarded(failure, f"{failure.reason}; discarded by {who}: {why.strip()}", now):
                Discard.objects.create(
                    failure=failure.ref, reason=failure.reason, why=why.strip(), by=who[:64], at=now
                )
                if not _shared(failure):
                    resolve(failure.incidents, f"discarded by {who}: {why.strip()}", now=now)
                moved.append(failure)
    return moved


def _discarded(failure: Failure, reason: str, now: datetime) -> bool:
    was = FAILED[failure.kind]
    if failure.kind is Kind.ACTION:
        actions = Action.objects.filter(pk=failure.number, status__in=was)
        moved = actions.update(status=ActionStatus.DISCARDED, reason=reason, finished_at=now)
    elif failure.kind is Kind.DELIVERY:
        deliveries = Delivery.objects.filter(pk=failure.number, status__in=was)
        moved = deliveries.update(status=DeliveryStatus.DISCARDED, reason=reason)
    else:
        mails = Message.objects.filter(pk=failure.number, status__in=was)
        moved = mails.update(status=MessageStatus.DISCARDED, reason=reason)
    return bool(moved)


def _shared(failure: Failure) -> bool:
    """Whether something else keeps its incident open: a candidate without an address has one for
    all that waits."""
    if failure.reason != NO_ADDRESS:
        return False
    held = Message.objects.filter(
        candidate=failure.candidate_id, status=MessageStatus.HELD, reason=NO_ADDRESS
    )
    refused = Action.objects.filter(
        candidate=failure.candidate_id, status=ActionStatus.REFUSED, reason=NO_ADDRESS
    )
    return held.exists() or refused.exists()
