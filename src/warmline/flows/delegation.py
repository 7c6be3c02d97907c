"""Sequences that live in the CRM: enrolment and leaving as actions there, and a look, once a poll,
at who is still on them. The steps and their mails are the CRM's; the enrolment is on this ledger,
so that it is shown, reported, outranked and ended like any other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from warmline.core.actions import OF_AN_ENROLMENT, ActionKind, ContactRef
from warmline.core.actions import Action as CoreAction
from warmline.core.errors import WarmlineError
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.core.policy import NO_ADDRESS
from warmline.core.segments import Segment
from warmline.flows.fields import Known
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.placing import placements, why_not
from warmline.flows.runtime import Lane, Runtime, act_lane
from warmline.store.db import writing
from warmline.store.models import Action, Cursor, Enrolment, ExternalId, Suppression
from warmline.store.statuses import ActionStatus, EnrolmentStatus, SuppressionReason, lane_of

KINDS = OF_AN_ENROLMENT
# Looked at in one poll of the connection; HubSpot's own sequences cost a call a contact.
LOOKS_A_POLL = 100
# A CRM tells late of what was just written (HubSpot's index lags by seconds).
SETTLES_AFTER = timedelta(minutes=10)
_STREAM = "hosted"  # the cursor of the look: the last enrolment that was looked at
_OVER = "over in the CRM, or somebody there ended it"


def put_on(enrolments: Iterable[Enrolment], triggers: Mapping[int, str] | None = None) -> set[Lane]:
    """Plan what puts these active enrolments of hosted sequences on them there. `triggers`: by the
    event's id, who asked for it; else that is looked up. Returns the lanes to poke."""
    rows = [row for row in enrolments if row.target and row.status == EnrolmentStatus.ACTIVE]
    if not rows:
        return set()
    asked = triggers if triggers is not None else _asked(rows)
    made = [
        _action(
            row,
            ActionKind.CONTACT_ENROL,
            asked.get(row.event_id, row.reason or row.sequence),
            row.enrolled_at,
        )
        for row in rows
    ]
    Action.objects.bulk_create(made, ignore_conflicts=True)
    return {act_lane(action.target, action.lane) for action in made}


def _asked(rows: Sequence[Enrolment]) -> dict[int, str]:
    wishes = Action.objects.filter(
        event__in={row.event_id for row in rows}, kind=ActionKind.SEQUENCE_ENROL
    )
    return dict(wishes.values_list("event", "trigger"))


def take_off(enrolments: Iterable[Enrolment], now: datetime) -> None:
    """Plan what takes those off which ended early here and had been put on there. The tick finds
    its lane. The caller holds the transaction."""
    ended = {_key(row, ActionKind.CONTACT_ENROL): row for row in enrolments if row.target}
    if not ended:
        return
    asked = Action.objects.filter(key__in=ended).exclude(status=ActionStatus.SKIPPED)
    Action.objects.bulk_create(
        [
            _action(ended[key], ActionKind.CONTACT_LEAVE, trigger, now)
            for key, trigger in asked.values_list("key", "trigger")
        ],
        ignore_conflicts=True,
    )


def _action(row: Enrolment, kind: ActionKind, trigger: str, now: datetime) -> Action:
    return Action(
        key=_key(row, kind),
        trigger=trigger[:100],
        kind=kind,
        target=row.target,
        candidate_id=row.candidate_id,
        event_id=row.event_id,
        planned_at=now,
        lane=lane_of(row.candidate_id),
        due_at=now,
    )


def _key(row: Enrolment, kind: ActionKind) -> str:
    return f"{kind}|{row.target}|{row.pk}"


def _enrolment_of(action: Action) -> int:
    return int(action.key.rpartition("|")[2])


def enrolments_of(actions: Iterable[Action]) -> dict[int, Enrolment]:
    """By action."""
    wanted = {row.pk: _enrolment_of(row) for row in actions if row.kind in KINDS}
    there = Enrolment.objects.in_bulk(set(wanted.values()))
    return {pk: there[number] for pk, number in wanted.items() if number in there}


class Hosting:
    """What of a batch is about hosted sequences, with all that decides whether it may be asked for:
    present state, as before a mail of our own (I5, I11)."""

    def __init__(self, runtime: Runtime, rows: Sequence[Action], people: Mapping[int, Known]):
        self._runtime = runtime
        mine = [row for row in rows if row.kind in KINDS]
        self._enrolments = enrolments_of(mine)
        joining = {row.candidate_id for row in mine if row.kind == ActionKind.CONTACT_ENROL}
        self._placed = placements(runtime, joining, runtime.now())
        emails = [email for pk in joining for email in people[pk].emails]
        self._suppressed = dict(
            Suppression.objects.filter(address__in=emails).values_list("address", "reason")
        )

    def prepared(self, row: Action, one: Known, contact: ExternalId | None) -> CoreAction | Outcome:
        """What the CRM is asked to do, or the outcome where there is nothing to ask."""
        enrolment = self._enrolments.get(row.pk)
        loaded = self._runtime.project.sequences.get(enrolment.sequence) if enrolment else None
        if enrolment is None or loaded is None or loaded.sequence.target != row.target:
            return Outcome(OutcomeKind.SKIPPED, "the sequence does not live there any more")
        if row.kind == ActionKind.CONTACT_ENROL and (
            refusal := self._refusal(enrolment, one, loaded.segment)
        ):
            return Outcome(OutcomeKind.SKIPPED, refusal)
        if not one.emails and contact is None:
            return Outcome(OutcomeKind.REFUSED, NO_ADDRESS)
        return CoreAction(
            key=row.key,
            kind=ActionKind(row.kind),
            candidate_id=row.candidate_id,
            contact=ContactRef(contact.external_id if contact else "", tuple(one.emails)),
            occurred_at=row.planned_at,
            host=loaded.sequence.host,
        )

    def _refusal(self, enrolment: Enrolment, one: Known, segment: Segment) -> str:
        """Why the person is not put on it after all."""
        candidate = one.candidate
        if enrolment.status != EnrolmentStatus.ACTIVE:
            return f"it ended before it began: {enrolment.reason}"
        if candidate.erased_at is not None:
            return "the candidate's record was deleted"
        if candidate.do_not_contact:
            return "do not contact is set"
        reasons = {self._suppressed[email] for email in one.emails if email in self._suppressed}
        if candidate.opted_out or reasons - {SuppressionReason.BOUNCED}:
            return f"suppressed: {candidate.opted_out or sorted(reasons)[0]}"
        return why_not(self._runtime, self._placed.get(candidate.pk), segment)


def heard(rows: Sequence[Action], outcomes: Mapping[int, Outcome], now: datetime) -> None:
    """What the CRM said of them, kept with the enrolments. The caller holds the transaction."""
    for pk, enrolment in enrolments_of(rows).items():
        outcome = outcomes[pk]
        joining = next(row.kind for row in rows if row.pk == pk) == ActionKind.CONTACT_ENROL
        if joining and outcome.kind in (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE):
            Enrolment.objects.filter(pk=enrolment.pk).update(external_id=outcome.external_id)
        elif joining and outcome.kind in (OutcomeKind.REFUSED, OutcomeKind.SKIPPED):
            Enrolment.objects.filter(pk=enrolment.pk, status=EnrolmentStatus.ACTIVE).update(
                status=EnrolmentStatus.STOPPED, reason=outcome.reason, ended_at=now
            )


def hosts(runtime: Runtime, connection: str) -> bool:
    """Whether any sequence of the project lives there."""
    return any(one.sequence.target == connection for one in runtime.project.sequences.values())


def follow(runtime: Runtime, connection: str) -> int:
    """Look at some of those who are on a sequence there, round and round; who is not on it any more
    has finished. Returns how many were looked at. Never raises for what the CRM answers."""
    cursor, _ = Cursor.objects.get_or_create(connection=connection, stream=_STREAM)
    rows, position = _to_look_at(connection, cursor.position, runtime.now())
    contacts = _contacts(connection, rows)
    over: list[int] = []
    try:
        for name in sorted({row.sequence for row in rows}):
            over += _over(runtime, connection, name, rows, contacts)
    except WarmlineError as error:
        with writing():
            open_incident(
                f"{connection}:hosted",
                error.reason,
                now=runtime.now(),
                connection=connection,
                hint=error.hint or "it is tried again by itself",
            )
        return 0
    now = runtime.now()
    with writing():
        Enrolment.objects.filter(pk__in=over, status=EnrolmentStatus.ACTIVE).update(
            status=EnrolmentStatus.FINISHED, reason=_OVER, ended_at=now
        )
        cursor.position, cursor.read_at = position, now
        cursor.save(update_fields=["position", "read_at"])
        resolve([f"{connection}:hosted"], "it can be read again", now=now)
    return len(rows)


def _to_look_at(connection: str, after: str, now: datetime) -> tuple[list[Enrolment], str]:
    """Those of the next stretch that the CRM has taken, and some time ago; and where the stretch
    after it begins, empty for the first one."""
    rows = Enrolment.objects.filter(
        target=connection,
        status=EnrolmentStatus.ACTIVE,
        enrolled_at__lt=now - SETTLES_AFTER,
        pk__gt=int(after or 0),
    ).order_by("pk")[:LOOKS_A_POLL]
    found = list(rows)
    keys = {_key(row, ActionKind.CONTACT_ENROL): row.pk for row in found}
    done = Action.objects.filter(
        key__in=keys,
        status__in=[ActionStatus.DONE, ActionStatus.ALREADY_DONE],
        finished_at__lt=now - SETTLES_AFTER,
    )
    taken = {keys[key] for key in done.values_list("key", flat=True)}
    following = str(found[-1].pk) if len(found) == LOOKS_A_POLL else ""
    return [row for row in found if row.pk in taken], following


def _contacts(connection: str, rows: Sequence[Enrolment]) -> dict[int, str]:
    """Each candidate's contact there."""
    known = ExternalId.objects.filter(
        connection=connection,
        contact=True,
        gone_at__isnull=True,
        candidate__in={row.candidate_id for row in rows},
    )
    return dict(known.values_list("candidate_id", "external_id"))


def _over(
    runtime: Runtime,
    connection: str,
    name: str,
    rows: Sequence[Enrolment],
    contacts: Mapping[int, str],
) -> list[int]:
    """Those of one sequence who are not on it any more. Whom the CRM does not tell of stays."""
    loaded = runtime.project.sequences.get(name)
    if loaded is None or loaded.sequence.target != connection:
        return []
    mine = {
        contacts[r.candidate_id]: r.pk
        for r in rows
        if r.sequence == name and r.candidate_id in contacts
    }
    if not mine:
        return []
    said = runtime.connectors[connection].hosted(loaded.sequence.host, list(mine))
    return [mine[contact] for contact, stands in said.items() if not stands.on and contact in mine]
