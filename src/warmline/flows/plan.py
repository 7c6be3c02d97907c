"""Triggers into actions. What Warmline does itself (enrolling) is done here, in the transaction of
the event; what others must do is planned for their lanes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from warmline.core.actions import ActionKind
from warmline.core.engagement import CONFIDENCE, WHY, is_act
from warmline.core.events import EventKind
from warmline.core.segments import Placement
from warmline.core.triggers import OWN, Trigger
from warmline.flows.batch import Applied, Heard
from warmline.flows.enrolling import Enrolling, Wish
from warmline.flows.exits import Ending, ending, follow
from warmline.flows.runtime import Lane, Runtime, act_lane
from warmline.store.models import Action, ExternalId
from warmline.store.models import Event as EventRow
from warmline.store.statuses import ActionStatus, lane_of

ACTION_KEY_MAX = 350  # characters: the width of the column
# Written to the candidate's records in the ATS.
ON_RECORDS = frozenset(
    {ActionKind.CANDIDATE_TAG, ActionKind.CANDIDATE_FLAG, ActionKind.CANDIDATE_DO_NOT_CONTACT}
)


class Plan:
    def __init__(self, runtime: Runtime, connection: str, now: datetime) -> None:
        self._runtime, self._connection, self._now = runtime, connection, now
        self._actions: list[Action] = []
        self._wishes: list[Wish] = []
        self._endings: list[Ending] = []
        self._waited: list[Action] = []  # rows of before, whose trigger was paused

    def take_up(self, row: Action, trigger: Trigger) -> None:
        """An enrolment that waited, because its trigger was paused when it asked for it."""
        self._waited.append(row)
        self._wishes.append(Wish(row, trigger, row.candidate, row.event.application, row.event, ""))

    def add(self, row: EventRow, heard: Heard, applied: Applied, *, live: bool) -> None:
        """The actions of one event. `live`: it came as it happened, not by poll or import."""
        candidate = applied.candidate
        assert candidate is not None  # noqa: S101 - the caller asks only for such
        event = heard.event
        if (over := ending(heard, applied)) is not None:
            self._endings.append(over)
        if applied.kind is not event.kind:
            event = replace(event, kind=applied.kind)
        context = context_of(applied, heard)
        triggers = self._runtime.project.triggers
        asked = list(triggers.for_event(event, self._connection, context))
        if applied.edited and event.kind is not EventKind.CANDIDATE_UPDATED:
            # The news of a move told of the person too, and no other news of that will come.
            told = replace(event, kind=EventKind.CANDIDATE_UPDATED)
            asked += triggers.for_event(told, self._connection, context)
        for trigger in asked:
            action = Action(
                key=_action_key(trigger.name, self._connection, row.key),
                trigger=trigger.name[:100],
                kind=trigger.do,
                target=trigger.target,
                passes=list(trigger.passes),
                candidate=candidate,
                event=row,
                planned_at=self._now,
                lane=lane_of(candidate.pk),
                due_at=self._now,
            )
            if trigger.do is ActionKind.CANDIDATE_FLAG and not is_act(event.kind, event.fields):
                action.status, action.finished_at = ActionStatus.SKIPPED, self._now
                why = event.fields.get(WHY) or "a machine may have done it"
                action.reason = f"no confirmed act of the person (I9): {why}"
            if trigger.do is ActionKind.SEQUENCE_ENROL:
                refusal = "" if live else self._too_old(trigger, heard)
                self._wishes.append(
                    Wish(action, trigger, candidate, applied.application, row, refusal)
                )
            self._actions.append(action)

    def _too_old(self, trigger: Trigger, heard: Heard) -> str:
        """A poll or an import brings old news too: nobody is thanked for last year's application,
        nor for one without a date."""
        days = self._runtime.project.sequences[trigger.sequence].sequence.enrol_within_days
        if heard.event.occurred_at is None:
            return "not enrolled: it came by poll or import and tells no date"
        if self._now - heard.at <= timedelta(days=days):
            return ""
        return f"not enrolled: it happened more than {days:g} days before we heard of it"

    def also(self, action: Action | None) -> None:
        """An action that no trigger asks for."""
        if action is not None:
            self._actions.append(action)

    def write(self, placed: Mapping[int, Placement] | None = None) -> set[Lane]:
        """Write actions, enrolments and first messages, and end what these events end. `placed`:
        where candidates stand, of those of whom it is known. Returns the lanes to poke."""
        follow(self._runtime, self._endings, self._now)
        lanes = Enrolling(self._runtime, self._wishes, self._now).write(placed or {})
        self._actions = self._with_records()
        if self._actions:
            Action.objects.bulk_create(self._actions)
        Action.objects.bulk_update(self._waited, ["status", "reason", "finished_at"])
        lanes |= {
            act_lane(a.target, a.lane)
            for a in self._actions
            if a.status == ActionStatus.PLANNED and a.target != OWN
        }
        return lanes

    def _with_records(self) -> list[Action]:
        """Without what is written to records, for systems in which the candidate has none."""
        tags = [a for a in self._actions if a.kind in ON_RECORDS]
        if not tags:
            return self._actions
        there = set(
            ExternalId.objects.filter(
                candidate__in={a.candidate_id for a in tags},
                connection__in={a.target for a in tags},
                gone_at__isnull=True,
            ).values_list("candidate_id", "connection")
        )
        return [
            a
            for a in self._actions
            if a.kind not in ON_RECORDS or (a.candidate_id, a.target) in there
        ]


def _action_key(trigger: str, connection: str, event_key: str) -> str:
    """The same for the same trigger and event, and never cut to another's."""
    key = f"{trigger}|{connection}|{event_key}"
    if len(key) <= ACTION_KEY_MAX:
        return key
    return f"{key[: ACTION_KEY_MAX - 65]}#{hashlib.sha256(key.encode()).hexdigest()}"


def context_of(applied: Applied, heard: Heard) -> dict[str, Any]:
    """All of `core.triggers.SPEAKS_OF` that the event carries."""
    event = {"kind": str(applied.kind), "word": heard.event.word}
    context: dict[str, Any] = {"event": event}
    if said := heard.event.fields.get(CONFIDENCE):
        event["confidence"] = said
    candidate, application = applied.candidate, applied.application
    if candidate is not None:
        context["candidate"] = {
            "name": candidate.name,
            "tags": list(candidate.tags),
            "do_not_contact": candidate.do_not_contact,
        }
    if application is not None:
        context["application"] = {
            "status": str(application.status),
            "prospect": application.prospect,
            "role": application.job.title if application.job else "",
            "reached": application.reached,
        }
        if application.stage is not None:
            context["stage"] = {
                "name": application.stage.name,
                "kind": application.stage.kind or "",
            }
    if applied.interview is not None:
        context["interview"] = {
            "status": str(applied.interview.status),
            "location": applied.interview.location,
        }
    return context
