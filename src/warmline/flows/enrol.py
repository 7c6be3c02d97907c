"""Those whom a paused trigger would have enrolled, enrolled once it goes on.

Their enrolment counts from when it was asked for: the steps that fell due meanwhile obey the rule
on overdue mails, as they would have after an outage.
"""

from __future__ import annotations

from warmline.core.actions import ActionKind
from warmline.core.triggers import OWN
from warmline.flows.pauses import paused
from warmline.flows.plan import Plan
from warmline.flows.runtime import Lane, Runtime
from warmline.store.db import writing
from warmline.store.models import Action
from warmline.store.statuses import ActionStatus

BATCH = 500


def tick(runtime: Runtime) -> set[Lane]:
    """Take up enrolments that waited. Returns the lanes to poke."""
    lanes: set[Lane] = set()
    while not runtime.stopping.is_set():
        with writing():
            rows = Action.objects.select_for_update(of=("self",), skip_locked=True).filter(
                target=OWN,
                kind=ActionKind.SEQUENCE_ENROL,
                status=ActionStatus.PLANNED,
                due_at__lte=runtime.now(),
            )
            going = paused().actions(rows).select_related("candidate", "event__application")
            due = list(going.order_by("id")[:BATCH])
            if due:
                lanes |= _enrol(runtime, due)
        if len(due) < BATCH:
            break
    return lanes


def _enrol(runtime: Runtime, due: list[Action]) -> set[Lane]:
    asked = {
        trigger.name[:100]: trigger
        for trigger in runtime.project.triggers.triggers
        if trigger.do is ActionKind.SEQUENCE_ENROL and trigger.enabled
    }
    now = runtime.now()
    plan = Plan(runtime, OWN, now)
    for row in due:
        trigger = asked.get(row.trigger)
        if trigger is not None:
            plan.take_up(row, trigger)
            continue
        Action.objects.filter(pk=row.pk, status=ActionStatus.PLANNED).update(
            status=ActionStatus.SKIPPED,
            reason="the trigger was taken out of the map, or switched off, while it was paused",
            finished_at=now,
        )
    return plan.write()
