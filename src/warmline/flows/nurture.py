"""Due enrolments into messages. Timers are columns: a million enrolments cost one indexed query.

What was late makes what follows late: a step never comes sooner after the one before it than the
sequence says, so that nobody gets two letters at once after a pause or an outage.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from warmline.core.sequences import Sequence as Steps
from warmline.core.sequences import Step
from warmline.flows.pauses import paused
from warmline.flows.plan import plan_message
from warmline.flows.runtime import Lane, Runtime, mail_lane
from warmline.store.db import writing
from warmline.store.models import Enrolment, Message
from warmline.store.statuses import EnrolmentStatus, MessageStatus

BATCH = 500
_ON_ITS_WAY = (MessageStatus.PLANNED, MessageStatus.CLAIMED, MessageStatus.SENDING)


def tick(runtime: Runtime) -> set[Lane]:
    """Plan a message for every enrolment whose next step is due. Returns the lanes to poke.

    The unique key (enrolment, step) makes a step planned twice one message (I4).
    """
    lanes: set[Lane] = set()
    while True:
        now = runtime.now()
        with writing():
            rows = Enrolment.objects.select_for_update(skip_locked=True).filter(
                status=EnrolmentStatus.ACTIVE, next_due_at__lte=now
            )
            going = paused().enrolments(rows, runtime.project.file.mail.connection)
            due = list(going.order_by("next_due_at")[:BATCH])
            lanes |= _advance(runtime, due)
        if len(due) < BATCH:
            return lanes


def _advance(runtime: Runtime, due: Sequence[Enrolment]) -> set[Lane]:
    now = runtime.now()
    messages: list[Message] = []
    before = _on_their_way(due)
    for row in due:
        loaded = runtime.project.sequences.get(row.sequence)
        step = loaded.sequence.step(row.next_step) if loaded else None
        if loaded is None or step is None:
            row.status, row.next_due_at = EnrolmentStatus.FINISHED, None
            row.reason = "the sequence has no such step any more"
            row.save(update_fields=["status", "next_due_at", "reason"])
            continue
        last = loaded.sequence.step(before.get(row.pk, 0))
        if last is not None and last.day < step.day:
            row.next_due_at = _keeping_distance(step, last, now)
            row.save(update_fields=["next_due_at"])
            continue
        # The step was due then, however late the tick: the policy holds what is long overdue.
        messages.append(plan_message(row, step, now, due_at=row.next_due_at or now))
        following = loaded.sequence.step(step.number + 1)
        row.next_step = step.number + 1
        row.next_due_at = _next_due_at(loaded.sequence, step, row.enrolled_at, now)
        row.status = EnrolmentStatus.ACTIVE if following else EnrolmentStatus.FINISHED
        row.save(update_fields=["next_step", "next_due_at", "status"])
    Message.objects.bulk_create(messages, ignore_conflicts=True)
    return {mail_lane(message.lane) for message in messages}


def _on_their_way(due: Sequence[Enrolment]) -> dict[int, int]:
    """Whose mail of a step before has not left yet: the number of that step, by enrolment."""
    rows = Message.objects.filter(enrolment__in=due, status__in=_ON_ITS_WAY)
    return dict(rows.order_by("step").values_list("enrolment", "step"))


def _next_due_at(
    sequence: Steps, step: Step, enrolled_at: datetime, now: datetime
) -> datetime | None:
    """When the step after this one is due; where that is over already, at its distance from now."""
    following = sequence.step(step.number + 1)
    if following is None:
        return None
    due_at = sequence.due_at(following, enrolled_at)
    return due_at if due_at > now else _keeping_distance(following, step, now)


def _keeping_distance(step: Step, before: Step, now: datetime) -> datetime:
    return now + timedelta(days=step.day - before.day)
