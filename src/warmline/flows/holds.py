"""Mails that are held: kept with their reason, looked at again, let go or left to lapse."""

from __future__ import annotations

from datetime import datetime, timedelta

from warmline.core.policy import Hold, HoldCode, hold
from warmline.core.sequences import StepClass
from warmline.flows.fields import known
from warmline.flows.incidents import open_incident
from warmline.flows.pauses import paused
from warmline.flows.release import let_go, no_address_incident
from warmline.flows.runtime import Lane, Runtime
from warmline.flows.standing import standing, topic_of
from warmline.store.db import writing
from warmline.store.models import Message
from warmline.store.statuses import EnrolmentStatus, MessageStatus

LOOK_EVERY = timedelta(minutes=10)
BATCH = 500

# Holds that somebody must hear of: the incident's key (empty: the candidate's own) and the hint.
_TOLD = {
    HoldCode.OVERDUE: (
        "mail:overdue", "look at them; `warmline settle MESSAGE --send` lets one go"
    ),
    HoldCode.NO_ADDRESS: (
        "", "add an address in the ATS: the update brings it here, and the rest follows"
    ),
}  # fmt: skip


def keep(runtime: Runtime, message: Message, was: MessageStatus, held: Hold, now: datetime) -> bool:
    """Write the hold down, by compare-and-swap from `was`. What only time ends stays planned and
    moves its due time; what may end waits until `expires_at`; what never ends has no such time.
    True where it was ours to write. The caller holds the transaction."""
    free = {"claimed_by": "", "claim_until": None, "sender_address": "", "reason": held.words}
    rows = Message.objects.filter(pk=message.pk, status=was)
    if held.for_good:
        done = rows.update(status=MessageStatus.HELD, expires_at=None, **free)
    else:
        after = runtime.project.file.policy.rules.expire_after
        expires_at = message.expires_at or now + after
        if expires_at <= now:
            done = rows.update(status=MessageStatus.EXPIRED, **free)
        elif held.until is None:
            done = rows.update(status=MessageStatus.HELD, expires_at=expires_at, **free)
        else:
            due_at = min(held.until, expires_at)
            done = rows.update(
                status=MessageStatus.PLANNED, due_at=due_at, expires_at=expires_at, **free
            )
    if done and held.code in _TOLD:
        _tell(message, held, now)
    return bool(done)


def tick(runtime: Runtime) -> set[Lane]:
    """Every ten minutes: what is held and may go is looked at again, unless its enrolment has
    ended. Returns the lanes to poke."""
    now, last = runtime.now(), runtime.looked_again_at
    if last is not None and timedelta(0) <= now - last < LOOK_EVERY:
        return set()
    runtime.looked_again_at = now
    lanes: set[Lane] = set()
    after = 0
    while True:
        with writing():
            waiting = Message.objects.select_for_update(of=("self",), skip_locked=True).filter(
                status=MessageStatus.HELD, expires_at__isnull=False, pk__gt=after
            )
            rows = paused().messages(waiting, runtime.project.file.mail.connection)
            held = list(rows.select_related("enrolment").order_by("id")[:BATCH])
            lanes |= _look(runtime, held, now)
        if len(held) < BATCH:
            return lanes
        after = held[-1].pk


def _look(runtime: Runtime, held: list[Message], now: datetime) -> set[Lane]:
    ended = [m.pk for m in held if m.enrolment.status == EnrolmentStatus.STOPPED]
    Message.objects.filter(pk__in=ended, status=MessageStatus.HELD).update(expires_at=None)
    held = [m for m in held if m.enrolment.status != EnrolmentStatus.STOPPED]
    people = known(m.candidate_id for m in held)
    found = standing(runtime, people, now, nurtured=set(people))
    going: dict[int, list[Message]] = {}
    for message in held:
        why = hold(
            StepClass(message.step_class),
            found.states[message.candidate_id],
            for_segment=runtime.segment_of(message.enrolment.sequence),
            topic=topic_of(runtime, message, message.enrolment),
            due_at=now,
            now=now,
            rules=runtime.project.file.policy.rules,
        )
        lapsed = message.expires_at is not None and message.expires_at <= now
        if why is None or why.until is not None:
            going.setdefault(message.enrolment_id, []).append(message)
        elif why.for_good or lapsed or why.words != message.reason:
            keep(runtime, message, MessageStatus.HELD, why, now)
    lanes: set[Lane] = set()
    for enrolment_id, messages in going.items():
        lanes |= let_go(enrolment_id, sorted(messages, key=lambda m: m.step), now)
    return lanes


def _tell(message: Message, held: Hold, now: datetime) -> None:
    key, hint = _TOLD[held.code]
    open_incident(
        key or no_address_incident(message.candidate_id),
        held.words,
        now=now,
        trigger="mail",
        record=f"candidate {message.candidate_id}",
        candidate_id=message.candidate_id,
        hint=hint,
    )
