"""The tags of a whole ATS: which records lack theirs, and the actions that write them.

State decides and not a list: a record whose confirmed tag is not that of its candidate's segment
gets an action, unless one waits already. Killed half-way and started again, what is done is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db.models import Exists, F, Min, OuterRef, QuerySet

from warmline.core.actions import ActionKind
from warmline.core.events import EventKind
from warmline.core.triggers import OWN
from warmline.flows import act
from warmline.flows.pauses import paused
from warmline.flows.recover import recover
from warmline.flows.runtime import Runtime
from warmline.flows.segment import own_delivery
from warmline.ports import Channel
from warmline.store.db import writing
from warmline.store.models import Action, Delivery, Event, ExternalId, Segmentation
from warmline.store.statuses import LANES, ActionStatus, EventEffect, lane_of

TRIGGER = "segment --apply"
BATCH = 1000
# So long without a tag written: the other side is away.
STANDSTILL_MAX = timedelta(minutes=10)
SLEEP_S_MAX = 60.0
_WAITING = (ActionStatus.PLANNED, ActionStatus.CLAIMED, ActionStatus.UNKNOWN)


def taggable(runtime: Runtime) -> list[str]:
    """The connections whose records carry tags."""
    return [
        name
        for name, manifest in runtime.manifests.items()
        if ActionKind.CANDIDATE_TAG in manifest.actions
    ]


def lacking(connection: str) -> QuerySet[ExternalId]:
    """The living records whose confirmed tag is not that of their candidate's segment."""
    return (
        ExternalId.objects.filter(
            connection=connection,
            gone_at__isnull=True,
            candidate__merged_into=None,
            candidate__erased_at=None,
            candidate__segmentation__isnull=False,
        )
        .exclude(segment=F("candidate__segmentation__segment"))
        .select_related("candidate__segmentation")
    )


def waiting(connection: str) -> QuerySet[Action]:
    return Action.objects.filter(
        target=connection, kind=ActionKind.CANDIDATE_TAG, status__in=_WAITING
    )


def refused(connection: str) -> QuerySet[Action]:
    """The tags that the ATS did not take, of records that lack theirs still."""
    return Action.objects.filter(
        target=connection,
        kind=ActionKind.CANDIDATE_TAG,
        status=ActionStatus.REFUSED,
        candidate__in=lacking(connection).values("candidate"),
    )


def write_tags(
    runtime: Runtime,
    connection: str,
    *,
    sleep: Callable[[float], None],
    told: Callable[[int], None] = lambda left: None,
) -> int:
    """Carry out the tags that wait, in this thread, at the pace that the vendor allows. `told`
    hears how many are left. Returns how many still wait when nothing more can be done for now: the
    other side is away, they are paused, or somebody stopped us. The caller runs this ledger alone.
    """
    recover(runtime, alone=True)  # what a killed runner held
    left, moved_at = how_many_wait(connection), runtime.now()
    while not runtime.stopping.is_set():
        before = left
        while act.drain(runtime, connection, range(LANES)):
            told(how_many_wait(connection))
            if runtime.stopping.is_set():
                break
        left = how_many_wait(connection)
        told(left)
        if left < before:
            moved_at = runtime.now()
        going = paused().actions(waiting(connection))
        if not going.exists() or runtime.now() - moved_at > STANDSTILL_MAX:
            return left
        due = going.aggregate(due=Min("due_at"))["due"]
        sleep(min(max((due - runtime.now()).total_seconds(), 0.05), SLEEP_S_MAX))
    return how_many_wait(connection)


def how_many_wait(connection: str) -> int:
    """Counted by the two partial indexes on what is planned and what is claimed."""
    tags = Action.objects.filter(target=connection, kind=ActionKind.CANDIDATE_TAG)
    planned = tags.filter(status__in=(ActionStatus.PLANNED, ActionStatus.UNKNOWN)).count()
    return planned + tags.filter(status=ActionStatus.CLAIMED).count()


def plan_tags(runtime: Runtime, connection: str) -> int:
    """Plan an action for every candidate with a record that lacks its tag, where none waits; one
    that was refused is tried again. Returns how many candidates."""
    total, after = 0, 0
    while not runtime.stopping.is_set():
        with writing():
            busy = waiting(connection).filter(candidate=OuterRef("candidate"))
            rows = list(
                lacking(connection)
                .filter(~Exists(busy), candidate__gt=after)
                .order_by("candidate")[:BATCH]
            )
            people = {row.candidate_id: row.candidate.segmentation for row in rows}
            _plan(runtime, connection, people)
        total += len(people)
        if len(rows) < BATCH:
            return total
        after = max(people)
    return total


def _plan(runtime: Runtime, connection: str, people: dict[int, Segmentation]) -> None:
    if not people:
        return
    now = runtime.now()
    key = f"{Channel.OPERATOR}:tags:{now.isoformat()}:{min(people)}"
    delivery = own_delivery(Channel.OPERATOR, {"tags": len(people)}, key, now)
    events = _events(runtime, list(people.values()), delivery)
    wanted = {f"{TRIGGER}|{connection}|{event.key}": event for event in events}
    refused = Action.objects.filter(key__in=wanted)
    again = set(refused.values_list("key", flat=True))
    refused.update(status=ActionStatus.PLANNED, reason="", attempts=0, due_at=now, finished_at=None)
    Action.objects.bulk_create(
        Action(
            key=key,
            trigger=TRIGGER,
            kind=ActionKind.CANDIDATE_TAG,
            target=connection,
            passes=[],
            candidate_id=event.candidate_id or 0,
            event=event,
            planned_at=now,
            due_at=now,
            lane=lane_of(event.candidate_id or 0),
        )
        for key, event in wanted.items()
        if key not in again
    )


def _events(runtime: Runtime, rows: Sequence[Segmentation], delivery: Delivery) -> list[Event]:
    """The event of each one's placement: made here where history placed them in silence."""
    keys = {f"candidate.segmented:{row.pk}:{row.moves}": row for row in rows}
    found = {e.key: e for e in Event.objects.filter(connection=OWN, key__in=keys)}
    made = [
        Event(
            connection=OWN,
            key=key,
            kind=EventKind.CANDIDATE_SEGMENTED,
            word=row.segment,
            occurred_at=row.since,
            recorded_at=runtime.now(),
            delivery=delivery,
            candidate_id=row.pk,
            effect=EventEffect.APPLIED,
            fields={"before": "", "segment": row.segment, "rule": row.rule},
        )
        for key, row in keys.items()
        if key not in found
    ]
    Event.objects.bulk_create(made)
    return [*found.values(), *made]
