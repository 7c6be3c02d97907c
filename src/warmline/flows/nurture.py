"""Due enrolments into messages. Timers are columns: a million enrolments cost one indexed query."""

from __future__ import annotations

from collections.abc import Sequence

from warmline.flows.plan import plan_message
from warmline.flows.runtime import Lane, Runtime, mail_lane
from warmline.store.db import writing
from warmline.store.models import Enrolment, Message
from warmline.store.statuses import EnrolmentStatus

BATCH = 500


def tick(runtime: Runtime) -> set[Lane]:
    """Plan a message for every enrolment whose next step is due. Returns the lanes to poke.

    The unique key (enrolment, step) makes a step planned twice one message (I4).
    """
    lanes: set[Lane] = set()
    while True:
        now = runtime.now()
        with writing():
            due = list(
                Enrolment.objects.select_for_update(skip_locked=True)
                .filter(status=EnrolmentStatus.ACTIVE, next_due_at__lte=now)
                .order_by("next_due_at")[:BATCH]
            )
            lanes |= _advance(runtime, due)
        if len(due) < BATCH:
            return lanes


def _advance(runtime: Runtime, due: Sequence[Enrolment]) -> set[Lane]:
    now = runtime.now()
    messages: list[Message] = []
    for row in due:
        loaded = runtime.project.sequences.get(row.sequence)
        step = loaded.sequence.step(row.next_step) if loaded else None
        if loaded is None or step is None:
            row.status, row.next_due_at = EnrolmentStatus.FINISHED, None
            row.reason = "the sequence has no such step any more"
            row.save(update_fields=["status", "next_due_at", "reason"])
            continue
        # The step was due then, however late the tick: the policy holds what is long overdue.
        messages.append(plan_message(row, step, now, due_at=row.next_due_at or now))
        following = loaded.sequence.step(step.number + 1)
        row.next_step = step.number + 1
        row.next_due_at = loaded.sequence.due_at(following, row.enrolled_at) if following else None
        row.status = EnrolmentStatus.ACTIVE if following else EnrolmentStatus.FINISHED
        row.save(update_fields=["next_step", "next_due_at", "status"])
    Message.objects.bulk_create(messages, ignore_conflicts=True)
    return {mail_lane(message.lane) for message in messages}
