"""Enrolments that triggers ask for: who may be on the sequence, and what of it is planned at once.

In the transaction of the event. A candidate without an address is enrolled too: the mail is held,
and let go when an address comes. Whoever is on another sequence that goes first waits.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from warmline.config.sequences import LoadedSequence
from warmline.core.segments import Placement
from warmline.core.sequences import Step
from warmline.core.triggers import Trigger
from warmline.flows.delegation import put_on
from warmline.flows.pauses import Paused, paused
from warmline.flows.placing import placements, why_not
from warmline.flows.runtime import Lane, Runtime, mail_lane
from warmline.flows.timetable import Timetable
from warmline.flows.versions import keep, sequence_of
from warmline.store.models import Action, Application, Candidate, Enrolment, Message
from warmline.store.models import Event as EventRow
from warmline.store.statuses import ActionStatus, EnrolmentStatus, lane_of

OUTRANKED = "another sequence goes first"


@dataclass(slots=True)
class Wish:
    """An enrolment that a trigger asks for. `refusal`: why it is too late for it."""

    action: Action
    trigger: Trigger
    candidate: Candidate
    application: Application | None
    event: EventRow
    refusal: str


class Enrolling:
    """The wishes of one transaction."""

    def __init__(self, runtime: Runtime, wishes: Sequence[Wish], now: datetime) -> None:
        self._runtime, self._wishes, self._now = runtime, wishes, now
        self._paused = Paused()
        self._placed: dict[int, Placement] = {}
        # Of the candidates: the runs that there are, by sequence, and the enrolments that are open.
        self._runs: dict[tuple[int, str], Enrolment] = {}
        self._open: dict[int, list[Enrolment]] = defaultdict(list)
        self._outranked: list[Enrolment] = []

    def write(self, placed: Mapping[int, Placement]) -> set[Lane]:
        """Decide each wish; write enrolments and the mails that leave at once. The actions of the
        wishes carry what became of them, and are written by the caller."""
        if not self._wishes:
            return set()
        self._paused = paused()
        people = {w.candidate.pk for w in self._wishes}
        for there in Enrolment.objects.filter(candidate__in=people).order_by("run"):
            self._runs[there.candidate_id, there.sequence] = there
            if there.status == EnrolmentStatus.ACTIVE:
                self._open[there.candidate_id].append(there)
        self._placed = {**placed, **placements(self._runtime, people - set(placed), self._now)}
        made = [row for wish in self._wishes if (row := self._decided(wish)) is not None]
        sequences = self._runtime.project.sequences
        keep([sequences[name] for name in {row.sequence for row, _ in made}], self._now)
        Enrolment.objects.bulk_create([row for row, _ in made])
        Enrolment.objects.bulk_update([r for r in self._outranked if r.pk], ["status", "reason"])
        first = [
            plan_message(row, step, self._now, due_at=row.enrolled_at, piece=step.name)
            for row, step in made
            if step is not None and row.status != EnrolmentStatus.WAITING
        ]
        Message.objects.bulk_create(first)
        asked = {wish.event.pk: wish.trigger.name for wish in self._wishes}
        lanes = put_on([row for row, _ in made], asked)
        return lanes | {mail_lane(message.lane) for message in first}

    def _decided(self, wish: Wish) -> tuple[Enrolment, Step | None] | None:
        action, candidate, name = wish.action, wish.candidate, wish.trigger.sequence
        if self._paused.trigger(wish.trigger.name) and not wish.refusal:
            return None  # it stays planned: `flows.enrol` takes it up once the trigger goes on
        action.finished_at = self._now
        loaded = self._runtime.project.sequences[name]
        last = self._runs.get((candidate.pk, name))
        if wish.refusal:
            action.status, action.reason = ActionStatus.SKIPPED, wish.refusal
        elif last is not None and not self._again(last, loaded):
            action.status, action.reason = ActionStatus.ALREADY_DONE, f"on {name} already"
        elif refusal := self._refusal(candidate, loaded):
            action.status, action.reason = ActionStatus.SKIPPED, refusal
        else:
            action.status = ActionStatus.DONE
            return self._enrolled(wish, loaded, last.run + 1 if last is not None else 1)
        return None

    def _again(self, last: Enrolment, loaded: LoadedSequence) -> bool:
        """Whether another run may begin so long after this one ended."""
        days = loaded.sequence.reentry_days
        if days is None or last.status in (EnrolmentStatus.ACTIVE, EnrolmentStatus.WAITING):
            return False
        return self._now - (last.ended_at or last.enrolled_at) >= timedelta(days=days)

    def _refusal(self, candidate: Candidate, loaded: LoadedSequence) -> str:
        """Nobody is enrolled in a sequence that is not for their segment, and a passive lead only
        above the line."""
        placed = self._placed.get(candidate.pk)
        if refusal := why_not(self._runtime, placed, loaded.segment):
            return refusal
        if candidate.do_not_contact:
            return "do not contact is set"
        return "the record was deleted" if candidate.erased_at is not None else ""

    def _enrolled(
        self, wish: Wish, loaded: LoadedSequence, run: int
    ) -> tuple[Enrolment, Step | None]:
        """The enrolment as it stands once a first step that leaves at once has been planned; the
        tick plans the others. It counts from when it was asked for."""
        sequence, now = loaded.sequence, wish.action.planned_at
        row = Enrolment(
            candidate=wish.candidate,
            sequence=sequence.name,
            run=run,
            version=sequence.version,
            application=wish.application,
            event=wish.event,
            enrolled_at=now,
            status=EnrolmentStatus.ACTIVE,
            target=sequence.target,
        )
        self._runs[wish.candidate.pk, sequence.name] = row
        if not self._goes_first(row, sequence.priority):
            row.status, row.reason = EnrolmentStatus.WAITING, OUTRANKED
        else:
            self._open[wish.candidate.pk].append(row)
        if sequence.target:
            return row, None
        timetable = Timetable.of(self._runtime.project, wish.candidate, wish.application)
        step = sequence.steps[0]
        due_at = timetable.due(sequence, step, now)
        waits = row.status == EnrolmentStatus.WAITING
        plain = not step.branches and not step.variants and not step.holdout
        at_once = due_at <= now and plain and sequence.hold is None and not waits
        row.next_due_at = due_at
        if at_once:
            following = sequence.step(2)
            row.next_step = 2
            row.next_due_at = timetable.due(sequence, following, now) if following else None
            if following is None:
                row.status, row.ended_at = EnrolmentStatus.FINISHED, now
        return row, step if at_once else None

    def _goes_first(self, row: Enrolment, priority: int) -> bool:
        """Whether it outranks every other sequence that the person is on, which then wait; of two
        of one priority the one that is there already goes on."""
        others = [o for o in self._open[row.candidate_id] if o.status == EnrolmentStatus.ACTIVE]
        if any(self._priority(other) >= priority for other in others):
            return False
        for other in others:
            other.status, other.reason = EnrolmentStatus.WAITING, OUTRANKED
            self._outranked.append(other)
        return True

    def _priority(self, row: Enrolment) -> int:
        loaded = sequence_of(self._runtime.project, row)
        return loaded.sequence.priority if loaded is not None else 0


def plan_message(
    enrolment: Enrolment, step: Step, now: datetime, *, due_at: datetime, piece: str = ""
) -> Message:
    return Message(
        enrolment=enrolment,
        step=step.number,
        step_class=step.step_class,
        candidate_id=enrolment.candidate_id,
        planned_at=now,
        due_at=due_at,
        lane=lane_of(enrolment.candidate_id),
        piece=piece,
    )
