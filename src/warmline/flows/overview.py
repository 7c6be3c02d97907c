"""The nurture program as people look at it: how many are where, what somebody would get, and moving
those who are on their way to the present files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Min, Q, QuerySet

from warmline.config.sequences import LoadedSequence
from warmline.core.errors import WarmlineError
from warmline.core.sequences import HELD_BACK, Step, arm, letter, next_piece
from warmline.flows.placing import placements, why_not
from warmline.flows.programs import Programs
from warmline.flows.runtime import Runtime
from warmline.flows.timetable import Timetable
from warmline.flows.versions import keep
from warmline.flows.versions import sequence_of as program_of
from warmline.store.db import writing
from warmline.store.models import Candidate, Enrolment, Event, Message
from warmline.store.statuses import EnrolmentStatus

PAGE = 50
OPEN = (EnrolmentStatus.ACTIVE, EnrolmentStatus.WAITING)
IN_HOLDOUT = "in the holdout of this step"
NO_PIECE = "no piece of the library is left for this person"
MONTHS_SHOWN = 3
MOVED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Standing:
    """A sequence, and how many stand where on it. `next_due_at`: the earliest next step."""

    loaded: LoadedSequence
    counts: dict[str, int]
    next_due_at: datetime | None
    elsewhere: int  # on another version than the files have now, and not ended


@dataclass(frozen=True, slots=True)
class Coming:
    """A letter that somebody would get, as things stand now. `why`: why not, or why later."""

    step: Step
    at: datetime
    piece: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Moving:
    """What the present files would change for one enrolment; `stays`: why nothing."""

    enrolment: Enrolment
    next_step: int
    next_due_at: datetime | None
    stays: str = ""


def sequence(runtime: Runtime, name: str) -> LoadedSequence:
    """Raises WarmlineError where there is none of this name."""
    found = runtime.project.sequences.get(name)
    if found is None:
        known = ", ".join(sorted(runtime.project.sequences)) or "none"
        raise WarmlineError(f"there is no sequence {name!r}; expected one of {known}")
    return found


def standings(runtime: Runtime) -> list[Standing]:
    """Every sequence of the project with how many stand where: two queries."""
    rows = Enrolment.objects.values_list("sequence", "status").annotate(n=Count("pk"))
    counts: dict[str, dict[str, int]] = {}
    for name, status, n in rows:
        counts.setdefault(name, {})[status] = n
    going = Enrolment.objects.filter(status__in=OPEN)
    seen = going.values("sequence", "version").annotate(n=Count("pk"), due=Min("next_due_at"))
    told = [(row["sequence"], row["version"], row["n"], row["due"]) for row in seen]
    found = []
    for name, loaded in sorted(runtime.project.sequences.items()):
        mine = [row for row in told if row[0] == name]
        due = [at for *_, at in mine if at is not None]
        found.append(
            Standing(
                loaded,
                {status.value: counts.get(name, {}).get(status, 0) for status in EnrolmentStatus},
                min(due, default=None),
                sum(n for _, version, n, _ in mine if version != loaded.sequence.version),
            )
        )
    return found


def who(name: str, *, page: int) -> tuple[list[Enrolment], int]:
    """A page of the enrolments, those on their way first by when they are due; and how many."""
    rows = Enrolment.objects.filter(sequence=name)
    ended = Q(status__in=[EnrolmentStatus.FINISHED, EnrolmentStatus.STOPPED])
    order = rows.alias(over=ended).order_by("over", "status", "next_due_at", "pk")
    start = (page - 1) * PAGE
    return list(order[start : start + PAGE]), rows.count()


def preview(
    runtime: Runtime, name: str, candidate: Candidate
) -> tuple[Enrolment, list[Coming], list[str]]:
    """What this person would get of the sequence from now on, and what stands against it. Of
    somebody who is not on it: as if they were enrolled now. Nothing is written."""
    loaded, now = sequence(runtime, name), runtime.now()
    row = _open(Enrolment.objects.filter(candidate=candidate, sequence=name)).first()
    against: list[str] = []
    if row is None:
        placed = placements(runtime, [candidate.pk], now).get(candidate.pk)
        refusal = why_not(runtime, placed, loaded.segment)
        against += [f"not enrolled now: {refusal}"] if refusal else []
        row = Enrolment(
            candidate=candidate,
            sequence=name,
            version=loaded.sequence.version,
            event=Event(),
            enrolled_at=now,
        )
        row.application = (
            candidate.applications.select_related("job", "stage").order_by("-applied_at").first()
        )
        row.next_due_at = None
    elif row.status == EnrolmentStatus.WAITING:
        against.append(row.reason)
    loaded = program_of(runtime.project, row) or loaded
    if candidate.do_not_contact or candidate.opted_out:
        against.append("the person said no: every letter would be held")
    return row, _coming(runtime, row, loaded, against), against


def _open(rows: QuerySet[Enrolment]) -> QuerySet[Enrolment]:
    there = rows.filter(status__in=OPEN)
    return there.select_related("candidate", "application__job", "application__stage")


def _coming(
    runtime: Runtime, row: Enrolment, loaded: LoadedSequence, against: list[str]
) -> list[Coming]:
    now, sequence = runtime.now(), loaded.sequence
    timetable = Timetable.of(runtime.project, row.candidate, row.application)
    batch = Programs(runtime, [row], now)
    first, hold = sequence.step(row.next_step), sequence.hold
    if first is not None and hold is not None and hold.holds(batch.context(row, loaded, first)):
        against.append(f"held: {hold.text}")
    had, off = set(batch.had(row)), batch.topics_off(row)
    library, found = batch.library(row, loaded), list[Coming]()
    last = max(row.next_step, len(sequence.steps)) + MONTHS_SHOWN
    for number in range(row.next_step, last + 1):
        step = sequence.step(number)
        if step is None:
            break
        due_at = timetable.due(sequence, step, row.enrolled_at)
        if number == row.next_step and row.next_due_at is not None:
            due_at = row.next_due_at
        at = timetable.fit(sequence, step, max(due_at, now))
        variant = arm(step, f"{sequence.name}|{step.number}|{row.candidate_id}")
        if variant == HELD_BACK:
            found.append(Coming(step, at, "", IN_HOLDOUT))
            continue
        if step.monthly:
            piece = next_piece(library, had, off) if library is not None else ""
            had.add(piece)
        else:
            context = batch.context(row, loaded, step) if step.branches else {}
            piece = letter(step, variant, context)
        why = "" if piece else NO_PIECE if step.monthly else "no branch of it is for them"
        found.append(Coming(step, at, piece, why))
    return found


# To the present files


def moving(runtime: Runtime, name: str, candidate: Candidate | None) -> list[Moving]:
    """What moving to the present files would change, for each who is on another version."""
    loaded = sequence(runtime, name)
    rows = _open(Enrolment.objects.filter(sequence=name)).exclude(version=loaded.sequence.version)
    if candidate is not None:
        rows = rows.filter(candidate=candidate)
    found: list[Moving] = []
    for row in rows.order_by("pk").iterator(chunk_size=MOVED_AT_ONCE):
        found.append(_moving(runtime, row, loaded))
    return found


def _moving(runtime: Runtime, row: Enrolment, loaded: LoadedSequence) -> Moving:
    """It goes on with the first step after the day of its last one. A step whose number it has
    used for another letter cannot be planned again: such an enrolment stays."""
    old = program_of(runtime.project, row)
    had = set(Message.objects.filter(enrolment=row).values_list("step", flat=True))
    last = old.sequence.step(max(had)) if old is not None and had else None
    new = loaded.sequence
    after = last.day if last is not None else -1
    later = [step.number for step in new.steps if step.day > after]
    number = later[0] if later else max(len(new.steps), *had, 0) + 1
    if number in had:
        return Moving(
            row, row.next_step, row.next_due_at, f"step {number} there is one that it has had"
        )
    step = new.step(number)
    if step is None or row.status == EnrolmentStatus.WAITING:
        return Moving(row, number, None)
    timetable = Timetable.of(runtime.project, row.candidate, row.application)
    due_at = timetable.due(new, step, row.enrolled_at)
    if due_at <= runtime.now():
        due_at = timetable.after(new, step, last, runtime.now())
    return Moving(row, number, due_at)


def move(runtime: Runtime, name: str, moves: Sequence[Moving]) -> int:
    """Carry it out, by compare-and-swap: whoever went on meanwhile stays. Returns how many went."""
    loaded, moved, now = sequence(runtime, name), 0, runtime.now()
    with writing():
        keep([loaded], now)
    for start in range(0, len(moves), MOVED_AT_ONCE):
        with writing():
            for one in moves[start : start + MOVED_AT_ONCE]:
                if not one.stays:
                    moved += _move(one, loaded, now)
    return moved


def _move(one: Moving, loaded: LoadedSequence, now: datetime) -> int:
    row, values = one.enrolment, dict[str, object]()
    if loaded.sequence.step(one.next_step) is None:
        values = {"status": EnrolmentStatus.FINISHED, "ended_at": now}
    return Enrolment.objects.filter(
        pk=row.pk, version=row.version, status=row.status, next_step=row.next_step
    ).update(
        version=loaded.sequence.version,
        next_step=one.next_step,
        next_due_at=one.next_due_at,
        **values,
    )
