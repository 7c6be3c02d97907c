"""What a batch of actions asks of a connector, read from the ledger's present state, and the
outcomes that the ledger alone decides."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from warmline.core.actions import OF_THE_EVENT, ActionKind, ContactRef
from warmline.core.actions import Action as CoreAction
from warmline.core.errors import AuthFailed, Throttled, Unreachable, Unsure, WarmlineError
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.core.policy import NO_ADDRESS
from warmline.core.segments import Segment
from warmline.flows import authority, delegation, write_back
from warmline.flows.fields import Known, known, values
from warmline.flows.runtime import Runtime
from warmline.flows.tag import Tagging, taggings
from warmline.store.models import Action, Event, ExternalId, Segmentation

log = logging.getLogger("warmline.act")


@dataclass(slots=True)
class Prepared:
    """`todo`: what to ask, in the order of the rows; `outcomes`: of the other rows, by id; `again`:
    the rows that leave fields out which are looked at once the contact is known."""

    contacts: dict[int, ExternalId]
    todo: list[tuple[Action, CoreAction]] = field(default_factory=list)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    tagging: dict[int, Tagging] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)

    def add(self, row: Action, found: CoreAction | Outcome) -> None:
        if isinstance(found, Outcome):
            self.outcomes[row.pk] = found
        else:
            self.todo.append((row, found))


def prepare(runtime: Runtime, target: str, rows: Sequence[Action]) -> Prepared:
    """Of a connection's actions. One that is not in the ledger (a rehearsal) has its event with
    it."""
    people = known(row.candidate_id for row in rows)
    ready = Prepared(_contacts(target, people))
    now = runtime.now()
    events = _events(rows)
    records = write_back.standing_records(
        target, {row.candidate_id for row in rows if row.kind in write_back.KINDS}
    )
    tagged = {row.candidate_id for row in rows if row.kind == ActionKind.CANDIDATE_TAG}
    tags = taggings(runtime, target, tagged)
    hosting = delegation.Hosting(runtime, rows, people)
    upserts = _Upserts(runtime, target, rows, ready.contacts, events)
    for row in rows:
        one, contact = people[row.candidate_id], ready.contacts.get(row.candidate_id)
        if row.kind == ActionKind.CANDIDATE_TAG:
            found = tags[row.candidate_id]
            if isinstance(found, Tagging):
                ready.tagging[row.pk] = found
                ready.add(row, _core_tag(row, found))
            else:
                ready.add(row, found)
        elif row.kind in delegation.KINDS:
            ready.add(row, hosting.prepared(row, one, contact))
        elif row.kind in write_back.KINDS:
            mine = records.get(row.candidate_id, ())
            ready.add(
                row,
                write_back.prepared(
                    row, one, events[row.event_id], records=mine, contact=contact, now=now
                ),
            )
        else:
            ready.add(row, upserts.prepared(row, one, contact, ready, now))
    return ready


def _events(rows: Sequence[Action]) -> dict[int, Event]:
    """The events of those actions that write what the event alone can tell."""
    wanted = [row for row in rows if _of_event(row)]
    there = {row.event_id: row.event for row in wanted if "event" in row._state.fields_cache}
    return {**Event.objects.in_bulk({row.event_id for row in wanted} - set(there)), **there}


class _Upserts:
    """The contacts to write of one batch."""

    def __init__(
        self,
        runtime: Runtime,
        target: str,
        rows: Sequence[Action],
        contacts: Mapping[int, ExternalId],
        events: Mapping[int, Event],
    ) -> None:
        self._own_tags = runtime.own_tags
        self._rows = [row for row in rows if row.kind == ActionKind.CONTACT_UPSERT]
        self._together = _passes_together(self._rows)
        self._newest = _newest(self._rows, events)
        self._archived = _archived(self._rows, contacts)
        self._theirs = authority.owned(runtime, target)
        self._held = _held(runtime, target, self._rows, contacts, self._theirs)

    def prepared(
        self,
        row: Action,
        one: Known,
        contact: ExternalId | None,
        ready: Prepared,
        now: datetime,
    ) -> CoreAction | Outcome:
        decided = _without_asking(one, contact, self._archived)
        if decided is not None:
            return decided
        if isinstance(self._held, Outcome):
            return self._held
        fields = values(
            one,
            self._together[row.candidate_id],
            now,
            event=self._newest.get(row.candidate_id),
            own_tags=self._own_tags,
        )
        if self._theirs:
            # Until the contact is known, so is not what stands there: their fields follow.
            held = self._held.get(contact.external_id, frozenset()) if contact else self._theirs
            may = authority.without(fields, self._theirs, held)
            if contact is None and len(may) < len(fields):
                ready.again.add(row.pk)
            fields = may
        if contact is not None and fields and _same(contact, fields):
            return Outcome(OutcomeKind.ALREADY_DONE, "the contact has these values already")
        return _core(row, one, contact, fields)


def _newest(rows: Sequence[Action], events: Mapping[int, Event]) -> dict[int, Event]:
    """Of the events that a candidate's upserts in this batch are about, the newest one, where that
    matters."""
    found: dict[int, Event] = {}
    for row in rows:
        event, before = events.get(row.event_id), found.get(row.candidate_id)
        if event is not None and (before is None or _when(event) > _when(before)):
            found[row.candidate_id] = event
    return found


def _when(event: Event) -> tuple[datetime, int]:
    return event.occurred_at, event.pk or 0


def _contacts(target: str, people: dict[int, Known]) -> dict[int, ExternalId]:
    rows = ExternalId.objects.filter(
        candidate__in=people, connection=target, contact=True, gone_at__isnull=True
    )
    return {row.candidate_id: row for row in rows}


def _passes_together(claimed: Sequence[Action]) -> dict[int, list[str]]:
    """All fields that a candidate's upserts in this batch pass: one write serves them all."""
    together: dict[int, dict[str, None]] = {}
    for row in claimed:
        together.setdefault(row.candidate_id, {}).update(dict.fromkeys(row.passes))
    return {candidate: list(names) for candidate, names in together.items()}


def _held(
    runtime: Runtime,
    target: str,
    claimed: Sequence[Action],
    contacts: Mapping[int, ExternalId],
    theirs: frozenset[str],
) -> dict[str, frozenset[str]] | Outcome:
    """What stands in the fields that the CRM is the authority on, by contact; or what comes of the
    upserts where that cannot be learned."""
    asking = {row.candidate_id for row in claimed}
    if not theirs or not asking:
        return {}
    try:
        there = [contact for pk, contact in contacts.items() if pk in asking]
        return authority.held_there(runtime, target, there, theirs)
    except Exception as error:
        return from_error(error)


def _of_event(row: Action) -> bool:
    """Whether what the action writes is told by its event alone."""
    return row.kind in write_back.KINDS or not OF_THE_EVENT.isdisjoint(row.passes)


def _archived(claimed: Sequence[Action], contacts: Mapping[int, ExternalId]) -> dict[int, str]:
    """Who is archived and has no contact, with the rule: they are never exported. A contact that
    is there already is kept right."""
    without = {row.candidate_id for row in claimed} - set(contacts)
    rows = Segmentation.objects.filter(candidate__in=without, segment=Segment.ARCHIVED)
    return dict(rows.values_list("candidate_id", "rule"))


def _without_asking(
    one: Known, contact: ExternalId | None, archived: Mapping[int, str]
) -> Outcome | None:
    """The outcome where the ledger alone decides it."""
    if one.candidate.erased_at is not None:
        return Outcome(OutcomeKind.SKIPPED, "the candidate's record was deleted")
    if one.candidate.pk in archived:
        rule = archived[one.candidate.pk]
        return Outcome(OutcomeKind.SKIPPED, f"archived ({rule}): never exported")
    if not one.emails and contact is None:
        return Outcome(OutcomeKind.REFUSED, NO_ADDRESS)
    return None


def _same(contact: ExternalId, fields: dict[str, str]) -> bool:
    return all(contact.written.get(name) == value for name, value in fields.items())


def _core(
    row: Action, one: Known, contact: ExternalId | None, fields: dict[str, str]
) -> CoreAction:
    return CoreAction(
        key=row.key,
        kind=ActionKind(row.kind),
        candidate_id=row.candidate_id,
        contact=ContactRef(contact.external_id if contact else "", tuple(one.emails)),
        fields=fields,
        occurred_at=row.planned_at,
    )


def _core_tag(row: Action, tagging: Tagging) -> CoreAction:
    return CoreAction(
        key=row.key,
        kind=ActionKind.CANDIDATE_TAG,
        candidate_id=row.candidate_id,
        occurred_at=row.planned_at,
        tags=tagging.change,
    )


def from_error(error: Exception) -> Outcome:
    """What an error of the whole call means for each action in it."""
    if isinstance(error, Throttled):
        return Outcome(OutcomeKind.LATER, error.reason, after_s=error.after_s)
    if isinstance(error, Unsure):
        return Outcome(OutcomeKind.UNKNOWN, error.reason)
    if isinstance(error, AuthFailed):
        return Outcome(OutcomeKind.LATER, error.reason, detail={"scope": "credentials"})
    if isinstance(error, Unreachable):
        return Outcome(OutcomeKind.LATER, error.reason)
    if isinstance(error, WarmlineError):
        return Outcome(OutcomeKind.REFUSED, error.reason)
    log.error("action=apply", exc_info=error)
    # A bug of ours or of the connector: nothing is known of what was written.
    return Outcome(OutcomeKind.UNKNOWN, f"the connector failed: {type(error).__name__}")
