"""Due enrolments into messages. Timers are columns: a million enrolments cost one indexed query.

What was late makes what follows late: a step never comes sooner after the one before it than the
sequence says, so that nobody gets two letters at once after a pause or an outage. A person is on
one sequence at a time; the others wait, and go on at their distance.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef

from warmline.config.sequences import LoadedSequence
from warmline.core.sequences import HELD_BACK, Step, arm, letter, next_piece
from warmline.flows import exits
from warmline.flows.delegation import put_on
from warmline.flows.enrolling import OUTRANKED, plan_message
from warmline.flows.incidents import open_incident
from warmline.flows.pauses import paused
from warmline.flows.programs import Programs
from warmline.flows.runtime import Lane, Runtime, mail_lane
from warmline.flows.timetable import Timetable
from warmline.flows.versions import sequence_of
from warmline.store.db import writing
from warmline.store.models import Enrolment, Message
from warmline.store.statuses import EnrolmentStatus, MessageStatus

BATCH = 500
# How often a step that the sequence's own `hold:` keeps back is looked at again, and how often
# those are who wait for another sequence.
HOLD_FOR = timedelta(days=1)
LOOK_AGAIN = timedelta(minutes=1)
_CHANGED = ("status", "next_step", "next_due_at", "reason", "ended_at")
_ON_ITS_WAY = (MessageStatus.PLANNED, MessageStatus.CLAIMED, MessageStatus.SENDING)


def tick(runtime: Runtime) -> set[Lane]:
    """Plan a message for every enrolment whose next step is due. Returns the lanes to poke.

    The unique key (enrolment, step) makes a step planned twice one message (I4).
    """
    go_on(runtime)
    lanes: set[Lane] = set()
    while not runtime.stopping.is_set():
        now = runtime.now()
        with writing():
            rows = Enrolment.objects.select_for_update(of=("self",), skip_locked=True).filter(
                status=EnrolmentStatus.ACTIVE, next_due_at__lte=now
            )
            going = paused().enrolments(rows, runtime.project.file.mail.connection)
            due = list(
                going.select_related("candidate", "application__job").order_by("next_due_at")[
                    :BATCH
                ]
            )
            lanes |= _advance(runtime, due)
        if len(due) < BATCH:
            break
    return lanes


def go_on(runtime: Runtime, *, at_once: bool = False) -> int:
    """Those who waited for another sequence, and are on no other any more: their next step comes at
    its distance from now. Looked at once a minute. Returns how many go on."""
    now, looked = runtime.now(), runtime.waiting_looked_at
    if not at_once and looked is not None and now - looked < LOOK_AGAIN:
        return 0
    runtime.waiting_looked_at = now
    others = Enrolment.objects.filter(
        candidate=OuterRef("candidate"), status=EnrolmentStatus.ACTIVE
    )
    with writing():
        rows = Enrolment.objects.select_for_update(of=("self",), skip_locked=True).filter(
            ~Exists(others), status=EnrolmentStatus.WAITING
        )
        found = list(rows.select_related("candidate", "application__job").order_by("id")[:BATCH])
        best: dict[int, Enrolment] = {}
        for row in found:
            first = best.setdefault(row.candidate_id, row)
            if _priority(runtime, row) > _priority(runtime, first):
                best[row.candidate_id] = row
        for row in best.values():
            _take_up(runtime, row, now)
    return len(best)


def _priority(runtime: Runtime, row: Enrolment) -> int:
    loaded = sequence_of(runtime.project, row)
    return loaded.sequence.priority if loaded is not None else 0


def _take_up(runtime: Runtime, row: Enrolment, now: datetime) -> None:
    loaded = sequence_of(runtime.project, row)
    step = loaded.sequence.step(row.next_step) if loaded is not None else None
    row.status, row.reason = EnrolmentStatus.ACTIVE, ""
    if loaded is not None and step is not None and (row.next_due_at or now) <= now:
        before = loaded.sequence.step(row.next_step - 1)
        timetable = Timetable.of(runtime.project, row.candidate, row.application)
        row.next_due_at = timetable.after(loaded.sequence, step, before, now)
    row.save(update_fields=["status", "reason", "next_due_at"])
    put_on([row])


def _advance(runtime: Runtime, due: Sequence[Enrolment]) -> set[Lane]:
    if not due:
        return set()
    now = runtime.now()
    batch = Programs(runtime, due, now)
    messages: list[Message] = []
    before = _on_their_way(due)
    for row in due:
        loaded = sequence_of(runtime.project, row)
        step = loaded.sequence.step(row.next_step) if loaded else None
        if loaded is None or step is None:
            _finish(row, "the sequence has no such step any more", now)
            continue
        if _ends_or_waits(batch, row, loaded, now):
            continue
        timetable = Timetable.of(runtime.project, row.candidate, row.application)
        last = loaded.sequence.step(before.get(row.pk, 0))
        if last is not None and last.day < step.day:
            _move(row, timetable.after(loaded.sequence, step, last, now))
            continue
        fits = timetable.fit(loaded.sequence, step, now)
        if fits > now:
            _move(row, fits)
            continue
        # The step was due then, however late the tick: the policy holds what is long overdue.
        message = _message(batch, row, loaded, step, now)
        if message is None:
            continue
        messages.append(message)
        _next(row, loaded, step, timetable, now)
    Enrolment.objects.bulk_update(due, _CHANGED)
    Message.objects.bulk_create(messages, ignore_conflicts=True)
    return {mail_lane(m.lane) for m in messages if m.status == MessageStatus.PLANNED}


def _ends_or_waits(batch: Programs, row: Enrolment, loaded: LoadedSequence, now: datetime) -> bool:
    """The last look before a step: whether it is over, outranked, or held by the sequence's own
    rule."""
    sequence = loaded.sequence
    found = exits.state_exit(sequence.exits, row, batch.applications(row))
    if found is not None:
        exits.end([row], exits.REASONS[found], now)
        return True
    if batch.outranked(row, sequence.priority):
        row.status, row.reason = EnrolmentStatus.WAITING, OUTRANKED
        return True
    step = sequence.step(row.next_step)
    if sequence.hold is not None and step is not None:
        if sequence.hold.holds(batch.context(row, loaded, step)):
            row.reason = f"held: {sequence.hold.text}"[:500]
            row.next_due_at = now + HOLD_FOR
            return True
        row.reason = "" if row.reason.startswith("held: ") else row.reason
    return False


def _message(
    batch: Programs, row: Enrolment, loaded: LoadedSequence, step: Step, now: datetime
) -> Message | None:
    """The mail of this step; None where no piece is left to send: it waits for one."""
    sequence, due_at = loaded.sequence, row.next_due_at or now
    message = plan_message(row, step, now, due_at=due_at)
    if step.monthly:
        library = batch.library(row, loaded)
        if library is not None:
            message.piece = next_piece(library, batch.had(row), batch.topics_off(row))
        if not message.piece:
            # It goes on once there is one: pieces are added for those on their way, too.
            row.reason = "no piece is left that they have not had"
            _move(row, now + HOLD_FOR)
            _library_is_empty(row, now)
        return message if message.piece else None
    message.variant = arm(step, f"{sequence.name}|{step.number}|{row.candidate_id}")
    if message.variant == HELD_BACK:
        message.status, message.reason = MessageStatus.WITHHELD, "in the holdout of this step"
        return message
    context = batch.context(row, loaded, step) if step.branches else {}
    message.piece = letter(step, message.variant, context)
    if not message.piece:
        message.status, message.reason = (
            MessageStatus.WITHHELD,
            "no branch of it is for them",
        )
    elif "roles" in loaded.letters[message.piece].variables:
        message.values = {"roles": batch.roles(row)}
    return message


def _library_is_empty(row: Enrolment, now: datetime) -> None:
    open_incident(
        f"library:{row.sequence}",
        f"the library of {row.sequence} has no piece left for somebody",
        now=now,
        trigger=row.sequence,
        record=f"candidate {row.candidate_id}",
        candidate_id=row.candidate_id,
        hint="write more pieces: those who are on the sequence get each once",
    )


def _next(
    row: Enrolment, loaded: LoadedSequence, step: Step, timetable: Timetable, now: datetime
) -> None:
    """Where the enrolment stands once this step is planned; a step whose day is over already comes
    at its distance from now."""
    following = loaded.sequence.step(step.number + 1)
    row.next_step = step.number + 1
    if following is None:
        _finish(row, row.reason, now)
        return
    due_at = timetable.due(loaded.sequence, following, row.enrolled_at)
    late = due_at <= now and following.day > step.day
    row.next_due_at = timetable.after(loaded.sequence, following, step, now) if late else due_at


def _finish(row: Enrolment, why: str, now: datetime) -> None:
    row.status, row.next_due_at = EnrolmentStatus.FINISHED, None
    row.reason, row.ended_at = why, now


def _move(row: Enrolment, to: datetime) -> None:
    row.next_due_at = to


def _on_their_way(due: Collection[Enrolment]) -> dict[int, int]:
    """Whose mail of a step before has not left yet: the number of that step, by enrolment."""
    rows = Message.objects.filter(enrolment__in=due, status__in=_ON_ITS_WAY)
    return dict(rows.order_by("step").values_list("enrolment", "step"))
