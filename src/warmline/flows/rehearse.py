"""What a trigger would send for a candidate now, and does not send: the rehearsal of one row of the
trigger map, by the very code that carries it out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from warmline.core.actions import Action as CoreAction
from warmline.core.actions import ActionKind
from warmline.core.engagement import is_act
from warmline.core.events import Event as CoreEvent
from warmline.core.events import EventKind
from warmline.core.outcomes import Outcome
from warmline.core.triggers import Trigger
from warmline.flows.batch import Applied, Heard
from warmline.flows.first_sync import waits
from warmline.flows.placing import placements, why_not
from warmline.flows.plan import context_of
from warmline.flows.prepare import prepare
from warmline.flows.runtime import Runtime
from warmline.store.models import Action, Application, Candidate, Enrolment, Event, Interview
from warmline.store.statuses import EventEffect, lane_of


@dataclass(slots=True)
class Rehearsal:
    """`event`: the candidate's newest of the trigger's kind, None where there never was one: then
    one is made up for now. `holds`: whether the condition would. `nothing`: why nothing would be
    sent, empty where something would: `fields` by Warmline's names, `written` by the vendor's."""

    trigger: Trigger
    candidate: Candidate
    event: Event | None = None
    holds: bool = True
    nothing: str = ""
    already: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    written: Mapping[str, str] = field(default_factory=dict)
    where: str = ""
    notes: list[str] = field(default_factory=list)


def rehearse(runtime: Runtime, trigger: Trigger, candidate: Candidate) -> Rehearsal:
    """Reads the ledger, and asks nobody anything, but for a field that the CRM is the authority on,
    which is read there. Raises WarmlineError where that cannot be read."""
    found = Rehearsal(trigger, candidate)
    found.event = (
        Event.objects.filter(candidate=candidate, kind=trigger.on, connection=trigger.source)
        .exclude(effect=EventEffect.UNKNOWN)
        .select_related("application__job", "application__stage")
        .order_by("-occurred_at", "-id")
        .first()
    )
    event = found.event or _made_up(runtime, trigger, candidate)
    found.holds = trigger.when is None or trigger.when.holds(_context(trigger, candidate, event))
    if not found.holds and trigger.when is not None:
        found.nothing = f"the condition does not hold: {trigger.when.text}"
        return found
    if trigger.do is ActionKind.CANDIDATE_FLAG and not is_act(trigger.on, event.fields):
        found.nothing = "no confirmed act of the person (I9): a machine may have done it"
        return found
    if trigger.do is ActionKind.SEQUENCE_ENROL:
        _enrolment(runtime, trigger, candidate, found)
        return found
    _action(runtime, trigger, candidate, event, found)
    if not trigger.enabled:
        found.notes.append("the trigger is switched off (enabled: false)")
    if waits(runtime, f"act:{trigger.target}"):
        found.notes.append("it would wait for the first `warmline segment --apply`")
    return found


def _made_up(runtime: Runtime, trigger: Trigger, candidate: Candidate) -> Event:
    now = runtime.now()
    return Event(
        connection=trigger.source,
        key="rehearsal",
        kind=trigger.on,
        word="rehearsal",
        occurred_at=now,
        recorded_at=now,
        candidate=candidate,
        application=Application.objects.filter(candidate=candidate)
        .select_related("job", "stage")
        .order_by("-applied_at", "-id")
        .first(),
        fields={},
    )


def _context(trigger: Trigger, candidate: Candidate, event: Event) -> Mapping[str, object]:
    interview = Interview.objects.filter(application=event.application).order_by("-as_of").first()
    heard = Heard(
        CoreEvent(EventKind(event.kind), event.key, event.word, fields=dict(event.fields)),
        event.occurred_at,
        event.recorded_at,
    )
    about_interviews = trigger.on.startswith("interview.")
    applied = Applied(
        EventEffect.APPLIED,
        EventKind(event.kind),
        candidate,
        event.application,
        interview if about_interviews and event.application else None,
    )
    return context_of(applied, heard)


def _enrolment(runtime: Runtime, trigger: Trigger, candidate: Candidate, found: Rehearsal) -> None:
    loaded = runtime.project.sequences[trigger.sequence]
    found.where = f"sequence {trigger.sequence}"
    there = Enrolment.objects.filter(candidate=candidate, sequence=trigger.sequence).first()
    if there is not None:
        found.nothing, found.already = f"on {trigger.sequence} already", True
        return
    placed = placements(runtime, [candidate.pk], runtime.now()).get(candidate.pk)
    found.nothing = why_not(runtime, placed, loaded.segment)
    if not found.nothing and (candidate.do_not_contact or candidate.opted_out):
        found.nothing = "the person said no: every letter would be held"
    if not found.nothing:
        days = ", ".join(str(step.day) for step in loaded.sequence.steps)
        found.fields = {"letters": f"on days {days} after it"}


def _action(
    runtime: Runtime, trigger: Trigger, candidate: Candidate, event: Event, found: Rehearsal
) -> None:
    now = runtime.now()
    row = Action(
        pk=0,
        key=f"rehearsal|{trigger.name}",
        trigger=trigger.name,
        kind=trigger.do,
        target=trigger.target,
        passes=list(trigger.passes),
        candidate=candidate,
        event=event,
        planned_at=now,
        lane=lane_of(candidate.pk),
        due_at=now,
    )
    ready = prepare(runtime, trigger.target, [row])
    if 0 in ready.outcomes:
        outcome: Outcome = ready.outcomes[0]
        found.nothing, found.already = outcome.reason, outcome.kind == "already_done"
        return
    core = ready.todo[0][1]
    found.fields = core.fields
    found.where = _where(trigger, core)
    connector = runtime.connectors[trigger.target]
    if hasattr(connector, "preview"):
        found.written = connector.preview(core)
    if core.tags is not None:
        found.fields = {"put on": core.tags.add, "take off": ", ".join(core.tags.remove)}


def _where(trigger: Trigger, core: CoreAction) -> str:
    if core.tags is not None:
        return f"{trigger.target}: records {', '.join(core.tags.records)}"
    if core.records:
        return f"{trigger.target}: records {', '.join(core.records)}"
    if core.contact.external_id:
        return f"{trigger.target}: contact {core.contact.external_id}"
    return f"{trigger.target}: a contact looked up by {len(core.contact.emails)} address(es)"
