"""The whole history, once: a contact for everybody who may be nurtured, and the silver medalists of
the past year onto their sequence, so many a day.

State decides and not a list: who has no contact gets an action, who is on no enrolment gets one.
Killed half-way and started again, what is done is done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, QuerySet

from warmline.config.sequences import LoadedSequence
from warmline.core.actions import OF_THE_EVENT, ActionKind
from warmline.core.events import ApplicationStatus, EventKind
from warmline.core.segments import Segment
from warmline.flows.delegation import put_on
from warmline.flows.placement_events import placement_events
from warmline.flows.runtime import Runtime
from warmline.flows.segment import own_delivery
from warmline.flows.versions import keep
from warmline.ports import Channel
from warmline.store.db import writing
from warmline.store.models import (
    Action,
    Application,
    Candidate,
    CandidateEmail,
    Enrolment,
    ExternalId,
    Segmentation,
    Suppression,
)
from warmline.store.statuses import ActionStatus, EnrolmentStatus, lane_of

TRIGGER = "backfill"
BATCH = 1000
_WAITING = (ActionStatus.PLANNED, ActionStatus.CLAIMED, ActionStatus.UNKNOWN)


@dataclass(slots=True)
class Export:
    """What one CRM would get: `to_write` contacts in at least `calls`, and why others get none."""

    connection: str
    there: int = 0
    to_write: int = 0
    calls: int = 0
    waiting: int = 0
    refused: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Enrolling:
    """Who would come onto the silver medalists' sequence, by day; and why others do not."""

    sequence: str = ""
    since: datetime | None = None
    by_day: Counter[str] = field(default_factory=Counter)
    there: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


# Contacts


def targets(runtime: Runtime) -> list[str]:
    """The CRMs that an enabled trigger exports contacts to."""
    names = (t.target for t in runtime.project.triggers.triggers if _exports(t.do) and t.enabled)
    return list(dict.fromkeys(names))


def _exports(kind: ActionKind) -> bool:
    return kind is ActionKind.CONTACT_UPSERT


def passes(runtime: Runtime, target: str) -> list[str]:
    """Every field that an enabled trigger passes there and that the ledger alone can tell."""
    rows = [
        t
        for t in runtime.project.triggers.triggers
        if t.enabled and t.target == target and _exports(t.do)
    ]
    names = dict.fromkeys(name for trigger in rows for name in trigger.passes)
    return [name for name in names if name not in OF_THE_EVENT]


def _people() -> QuerySet[Candidate]:
    return Candidate.objects.filter(
        merged_into=None, erased_at=None, segmentation__isnull=False
    ).order_by("pk")


def _addressed() -> Exists:
    """Somebody with an address that may be written to."""
    dead = Suppression.objects.filter(address=OuterRef("normal"))
    return Exists(CandidateEmail.objects.filter(~Exists(dead), candidate=OuterRef("pk")))


def exportable(target: str) -> QuerySet[Candidate]:
    """Whoever may be nurtured one day and has no contact there. Who said no is left out: there is
    nothing to write to them for."""
    mine = ExternalId.objects.filter(
        candidate=OuterRef("pk"), connection=target, contact=True, gone_at__isnull=True
    )
    return (
        _people()
        .exclude(segmentation__segment=Segment.ARCHIVED)
        .filter(~Exists(mine), _addressed(), opted_out="", do_not_contact=False)
    )


def waiting(target: str) -> QuerySet[Action]:
    return Action.objects.filter(target=target, trigger=TRIGGER, status__in=_WAITING)


def outlook(runtime: Runtime, target: str) -> Export:
    """What `plan_contacts` would do. Counts only."""
    found = Export(target)
    size = runtime.connectors[target].batch_max()
    people = _people()
    found.there = (
        ExternalId.objects.filter(connection=target, contact=True, gone_at__isnull=True)
        .filter(candidate__merged_into=None)
        .count()
    )
    found.to_write = exportable(target).count()
    found.calls = -(-found.to_write // size)
    found.waiting = waiting(target).count()
    found.refused = _refused(target).count()
    found.left_out["archived"] = people.filter(segmentation__segment=Segment.ARCHIVED).count()
    others = people.exclude(segmentation__segment=Segment.ARCHIVED)
    said_no = others.exclude(opted_out="", do_not_contact=False)
    found.left_out["said no"] = said_no.count()
    found.left_out["no usable address"] = others.filter(
        ~_addressed(), opted_out="", do_not_contact=False
    ).count()
    return found


def _refused(target: str) -> QuerySet[Action]:
    return Action.objects.filter(
        target=target,
        trigger=TRIGGER,
        status=ActionStatus.REFUSED,
        candidate__in=exportable(target).values("pk"),
    )


def plan_contacts(runtime: Runtime, target: str) -> int:
    """An action for everybody who is `exportable` and for whom none waits; one that was refused is
    tried again. Returns how many."""
    planning = Planning(runtime, target)
    while not runtime.stopping.is_set() and planning.stretch():
        pass
    return planning.done


class Planning:
    """The same, a stretch at a time, for who carries out the first ones meanwhile. `left` is how
    many had none when it began, less those that have one by now."""

    def __init__(self, runtime: Runtime, target: str) -> None:
        self._runtime, self._target = runtime, target
        self._names = passes(runtime, target)
        self._after = 0
        self.done, self.left = 0, self._people().count()

    def stretch(self) -> bool:
        """Some more. False where that was all."""
        if self.left == 0:
            return False
        with writing():
            people = self._people().filter(pk__gt=self._after)
            ids = list(people.values_list("pk", flat=True)[:BATCH])
            _plan(self._runtime, self._target, ids, self._names)
        self.done += len(ids)
        # Whoever came or went since it began is not counted: the last stretch tells.
        self.left = max(1, self.left - len(ids)) if len(ids) == BATCH else 0
        self._after = ids[-1] if ids else self._after
        return self.left > 0

    def _people(self) -> QuerySet[Candidate]:
        busy = waiting(self._target).filter(candidate=OuterRef("pk"))
        return exportable(self._target).filter(~Exists(busy))


def _plan(runtime: Runtime, target: str, ids: list[int], names: list[str]) -> None:
    if not ids:
        return
    now = runtime.now()
    key = f"{Channel.OPERATOR}:{TRIGGER}:{target}:{now.isoformat()}:{ids[0]}"
    delivery = own_delivery(Channel.OPERATOR, {"contacts": len(ids)}, key, now)
    rows = list(Segmentation.objects.filter(pk__in=ids))
    wanted = {
        f"{TRIGGER}|{target}|{event.key}": event for event in placement_events(rows, delivery, now)
    }
    before = Action.objects.filter(key__in=wanted)
    again = set(before.values_list("key", flat=True))
    before.update(status=ActionStatus.PLANNED, reason="", attempts=0, due_at=now, finished_at=None)
    Action.objects.bulk_create(
        Action(
            key=key,
            trigger=TRIGGER,
            kind=ActionKind.CONTACT_UPSERT,
            target=target,
            passes=names,
            candidate_id=event.candidate_id or 0,
            event=event,
            planned_at=now,
            due_at=now,
            lane=lane_of(event.candidate_id or 0),
        )
        for key, event in wanted.items()
        if key not in again
    )


# Silver medalists


def silver_sequence(runtime: Runtime) -> LoadedSequence | None:
    """The sequence for silver medalists that an enabled trigger enrols in after a rejection."""
    for trigger in runtime.project.triggers.triggers:
        if trigger.enabled and trigger.sequence and trigger.on is EventKind.APPLICATION_REJECTED:
            loaded = runtime.project.sequences[trigger.sequence]
            if loaded.segment is Segment.SILVER_MEDALIST:
                return loaded
    return None


def silver(runtime: Runtime, *, months: int, per_day: int, apply: bool) -> Enrolling:
    """Every silver medalist rejected in the past `months` who is not on the sequence yet, the
    newest rejection first, at most `per_day` new enrolments a day, those of today included. With
    `apply` they are enrolled: the first letter falls due on their day, the later ones by the file.
    """
    found = Enrolling()
    loaded = silver_sequence(runtime)
    if loaded is None:
        return found
    now, name = runtime.now(), loaded.sequence.name
    found.sequence, found.since = name, now - timedelta(days=months * 365.25 / 12)
    people = _people().filter(segmentation__segment=Segment.SILVER_MEDALIST)
    there = Enrolment.objects.filter(candidate=OuterRef("pk"), sequence=name)
    found.there = people.filter(Exists(there)).count()
    rest = people.filter(~Exists(there))
    found.left_out["said no"] = rest.exclude(opted_out="", do_not_contact=False).count()
    rest = rest.filter(opted_out="", do_not_contact=False)
    found.left_out["no usable address"] = rest.filter(~_addressed()).count()
    rest = rest.filter(_addressed())
    late = Application.objects.filter(
        candidate__in=rest,
        status=ApplicationStatus.REJECTED,
        reached__in=[*runtime.project.segment_rules.late_stages, "hired"],
    ).order_by("-rejected_at", "-pk")
    newest: dict[int, Application] = {}
    for application in late:
        newest.setdefault(application.candidate_id, application)
    recent = {
        pk: a
        for pk, a in newest.items()
        if a.rejected_at is not None and a.rejected_at >= found.since
    }
    found.left_out["rejected before that"] = rest.count() - len(recent)
    days = _days(name, now, per_day)
    slots = [(application, next(days)) for application in recent.values()]
    found.by_day.update(f"{at:%Y-%m-%d}" for _, at in slots)
    if apply:
        for start in range(0, len(slots), BATCH):
            if runtime.stopping.is_set():
                break
            _enrol(loaded, slots[start : start + BATCH], now)
    return found


def _days(sequence: str, now: datetime, per_day: int) -> Iterator[datetime]:
    """A moment for each new enrolment: now while today has room, then the same time of the days
    after. What was enrolled for a day already, by a trigger or before, counts."""
    taken = Counter(
        at.date()
        for at in Enrolment.objects.filter(
            sequence=sequence, enrolled_at__gte=now.replace(hour=0, minute=0, second=0)
        ).values_list("enrolled_at", flat=True)
    )
    at = now
    while True:
        if taken[at.date()] < per_day:
            taken[at.date()] += 1
            yield at
        else:
            at += timedelta(days=1)


def _enrol(
    loaded: LoadedSequence, slots: list[tuple[Application, datetime]], now: datetime
) -> None:
    with writing():
        rows = list(Segmentation.objects.filter(pk__in=[a.candidate_id for a, _ in slots]))
        key = f"{Channel.OPERATOR}:{TRIGGER}:{loaded.sequence.name}:{now.isoformat()}:{rows[0].pk}"
        delivery = own_delivery(Channel.OPERATOR, {"enrolled": len(slots)}, key, now)
        events = {e.candidate_id: e for e in placement_events(rows, delivery, now)}
        keep([loaded], now)
        hosted = bool(loaded.sequence.target)
        made = Enrolment.objects.bulk_create(
            [
                Enrolment(
                    candidate_id=application.candidate_id,
                    sequence=loaded.sequence.name,
                    version=loaded.sequence.version,
                    application=application,
                    event=events[application.candidate_id],
                    enrolled_at=at,
                    next_step=1,
                    next_due_at=None if hosted else at,
                    status=EnrolmentStatus.ACTIVE,
                    reason=TRIGGER,
                    target=loaded.sequence.target,
                )
                for application, at in slots
                if application.candidate_id in events
            ]
        )
        put_on(made)
