"""The tags of a whole ATS: which records lack theirs, and the actions that write them.

State decides and not a list: a record whose confirmed tag is not that of its candidate's segment
gets an action, unless one waits already. Killed half-way and started again, what is done is done.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Exists, F, OuterRef, QuerySet

from warmline.core.actions import ActionKind
from warmline.flows.placement_events import placement_events
from warmline.flows.runtime import Runtime
from warmline.flows.segment import own_delivery
from warmline.flows.work_off import work_off
from warmline.ports import Channel
from warmline.store.db import writing
from warmline.store.models import Action, ExternalId, Segmentation
from warmline.store.statuses import ActionStatus, lane_of

TRIGGER = "segment --apply"
BATCH = 1000
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
    hears how many are left. Returns how many still wait when nothing more can be done for now:
    the other side is away, or somebody stopped us. The caller runs this ledger alone."""
    return work_off(
        runtime,
        connection,
        waiting(connection),
        count=lambda: how_many_wait(connection),
        sleep=sleep,
        told=told,
    )


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
    events = placement_events(list(people.values()), delivery, now)
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
