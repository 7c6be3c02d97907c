"""Actions into outcomes: claim, ask the connector, write down what it said.

The claim is a compare-and-swap that carries the runner's token and lapses, so that a killed
runner's work is taken up again; two runners can never both hold one row.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from warmline.core.actions import REPEATABLE, ActionKind, ContactRef
from warmline.core.actions import Action as CoreAction
from warmline.core.errors import AuthFailed, Throttled, Unreachable, Unsure, WarmlineError
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.core.policy import NO_ADDRESS
from warmline.core.retries import GIVE_UP_AFTER, asked_wait_s, backoff_s, given_up
from warmline.core.segments import Segment
from warmline.flows.exchanges import keep_exchanges
from warmline.flows.fields import Known, known, values
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.pauses import paused
from warmline.flows.reconsider import reconsider
from warmline.flows.release import no_address_incident
from warmline.flows.runtime import Runtime
from warmline.flows.tag import Tagging, confirm, doubt, taggings
from warmline.kit.exchange import recording
from warmline.ports import AppliesActions
from warmline.store.db import lock_records, writing
from warmline.store.models import Action, Candidate, ExternalId, Segmentation
from warmline.store.statuses import ActionStatus

log = logging.getLogger("warmline.act")

CLAIM_FOR = timedelta(seconds=120)
# How long the other side may ask us to wait before somebody must know. A whole ATS is tagged at the
# pace that its vendor allows: that takes hours by itself.
_PATIENCE = {kind: timedelta(hours=1) for kind in ActionKind} | {
    ActionKind.CANDIDATE_TAG: GIVE_UP_AFTER
}
_WAITING = (ActionStatus.PLANNED, ActionStatus.UNKNOWN)


def drain(
    runtime: Runtime, target: str, lanes: Collection[int], *, only: Collection[int] = ()
) -> bool:
    """Carry out one batch of what these lanes have due; of `only` these, where they are named. True
    where there may be more."""
    with runtime.claiming() as token:
        return _drain(runtime, target, lanes, token, only)


def _drain(
    runtime: Runtime, target: str, lanes: Collection[int], token: str, only: Collection[int]
) -> bool:
    connector: AppliesActions = runtime.connectors[target]
    size = connector.batch_max()
    claimed = _claim(runtime, target, lanes, size, token, only)
    if not claimed:
        return False
    people = known(action.candidate_id for action in claimed)
    contacts = _contacts(target, people)
    todo: list[tuple[Action, CoreAction]] = []
    outcomes: dict[int, Outcome] = {}
    now = runtime.now()
    together = _passes_together(claimed)
    archived = _archived(claimed, contacts)
    tags = taggings(
        runtime, target, {r.candidate_id for r in claimed if r.kind == ActionKind.CANDIDATE_TAG}
    )
    tagging: dict[int, Tagging] = {}
    for row in claimed:
        one = people[row.candidate_id]
        if row.kind == ActionKind.CANDIDATE_TAG:
            found = tags[row.candidate_id]
            if isinstance(found, Outcome):
                outcomes[row.pk] = found
            else:
                tagging[row.pk] = found
                todo.append((row, _core_tag(row, found)))
            continue
        outcome = _without_asking(one, contacts.get(row.candidate_id), archived)
        if outcome is None:
            fields = values(one, together[row.candidate_id], now)
            written = contacts.get(row.candidate_id)
            if written is not None and fields and _same(written, fields):
                outcome = Outcome(OutcomeKind.ALREADY_DONE, "the contact has these values already")
            else:
                todo.append((row, _core(row, one, written, fields)))
        if outcome is not None:
            outcomes[row.pk] = outcome
    if tagging:
        with writing():
            doubt(tagging.values())
    with recording() as calls:
        asked = _ask(connector, todo)
    outcomes.update({row.pk: outcome for (row, _), outcome in zip(todo, asked, strict=True)})
    cores = {row.pk: core for row, core in todo}
    keep_exchanges(token, claimed, outcomes, cores, calls)
    _write(runtime, target, token, claimed, outcomes, cores, contacts, tagging)
    return len(claimed) == size


def _claim(
    runtime: Runtime,
    target: str,
    lanes: Collection[int],
    size: int,
    token: str,
    only: Collection[int],
) -> list[Action]:
    """Up to `size` due actions, oldest first, now ours. What was `unknown` stays marked so in
    memory, to be looked for before it is tried again."""
    now = runtime.now()
    rows = Action.objects.select_for_update(skip_locked=True).filter(
        target=target, status__in=_WAITING, lane__in=lanes, due_at__lte=now
    )
    with writing():
        named = rows.filter(pk__in=only) if only else rows
        due = list(paused().actions(named).order_by("id")[:size])
        Action.objects.filter(pk__in=[row.pk for row in due], status__in=_WAITING).update(
            status=ActionStatus.CLAIMED,
            claimed_by=token,
            claim_until=now + CLAIM_FOR,
        )
    return due


def _contacts(target: str, people: dict[int, Known]) -> dict[int, ExternalId]:
    rows = ExternalId.objects.filter(
        candidate__in=people, connection=target, contact=True, gone_at__isnull=True
    )
    return {row.candidate_id: row for row in rows}


def _passes_together(claimed: Sequence[Action]) -> dict[int, list[str]]:
    """All fields that a candidate's actions in this batch pass: one write serves them all."""
    together: dict[int, dict[str, None]] = {}
    for row in claimed:
        together.setdefault(row.candidate_id, {}).update(dict.fromkeys(row.passes))
    return {candidate: list(names) for candidate, names in together.items()}


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


def _ask(connector: AppliesActions, todo: Sequence[tuple[Action, CoreAction]]) -> list[Outcome]:
    """One outcome an action, in order, whatever the connector or the network does."""
    outcomes: dict[str, Outcome] = {}
    fresh: list[CoreAction] = []
    for row, core in todo:
        doubtful = row.status == ActionStatus.UNKNOWN and core.kind not in REPEATABLE
        found = _find(connector, core) if doubtful else None
        if found is not None:
            outcomes[core.key] = found
        else:
            fresh.append(core)
    if fresh:
        try:
            said = connector.apply(fresh)
        except Exception as error:
            said = [_from_error(error)] * len(fresh)
        outcomes.update({core.key: outcome for core, outcome in zip(fresh, said, strict=True)})
    return [outcomes[core.key] for _, core in todo]


def _find(connector: AppliesActions, core: CoreAction) -> Outcome | None:
    """Did it happen? Where that cannot be learned now, it stays unknown until later."""
    try:
        return connector.find(core)
    except Exception as error:
        outcome = _from_error(error)
        return Outcome(OutcomeKind.UNKNOWN, outcome.reason, after_s=outcome.after_s)


def _from_error(error: Exception) -> Outcome:
    """What an error of the whole call means for each action in it."""
    if isinstance(error, Throttled):
        return Outcome(OutcomeKind.LATER, error.reason, after_s=error.after_s)
    if isinstance(error, Unsure):
        return Outcome(OutcomeKind.UNKNOWN, error.reason)
    if isinstance(error, (Unreachable, AuthFailed)):
        return Outcome(OutcomeKind.LATER, error.reason)
    if isinstance(error, WarmlineError):
        return Outcome(OutcomeKind.REFUSED, error.reason)
    log.error("action=apply", exc_info=error)
    # A bug of ours or of the connector: nothing is known of what was written.
    return Outcome(OutcomeKind.UNKNOWN, f"the connector failed: {type(error).__name__}")


def _write(
    runtime: Runtime,
    target: str,
    token: str,
    claimed: Sequence[Action],
    outcomes: dict[int, Outcome],
    asked: dict[int, CoreAction],
    contacts: dict[int, ExternalId],
    tagging: Mapping[int, Tagging],
) -> None:
    now = runtime.now()
    plain: dict[tuple[ActionStatus, str], list[int]] = {}
    good: list[str] = []
    told: list[tuple[CoreAction, str]] = []
    with writing():
        lock_records(target)
        for row in claimed:
            outcome = outcomes[row.pk]
            if outcome.kind in (OutcomeKind.LATER, OutcomeKind.UNKNOWN):
                _again(runtime, target, token, row, outcome, now)
                continue
            if outcome.kind is OutcomeKind.REFUSED:
                _refused(target, row, outcome, now)
            elif row.attempts or row.reason:
                good.append(f"action:{row.key}")
            plain.setdefault((ActionStatus(outcome.kind), outcome.reason), []).append(row.pk)
            there = outcome.kind in (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE)
            if there and row.pk in tagging:
                confirm([tagging[row.pk]])
            elif there and row.pk in asked:
                core = asked[row.pk]
                if external_id := outcome.external_id or core.contact.external_id:
                    told.append((core, external_id))
        learned = _remember(target, told, contacts, now)
        lanes = reconsider(target, learned)
        for (status, reason), ids in plain.items():
            Action.objects.filter(pk__in=ids, claimed_by=token).update(
                status=status, reason=reason, finished_at=now, claimed_by="", claim_until=None
            )
        if any(outcomes[pk].kind is OutcomeKind.DONE for pk in asked) and not _still_failing(
            target
        ):
            good.append(_trouble(target))
        if good:
            resolve(good, "it works again, and all that had failed is done", now=now)
    runtime.poke(lanes)


def _still_failing(target: str) -> bool:
    """Whether anything that failed has not got through yet: trouble that comes and goes is one
    incident, and over when all of it is done."""
    return Action.objects.filter(target=target, status__in=_WAITING).exclude(reason="").exists()


def _trouble(target: str) -> str:
    """The key of the incident that a connection in trouble opens: one, and not one an action."""
    return f"{target}:trouble"


def _again(
    runtime: Runtime, target: str, token: str, row: Action, outcome: Outcome, now: datetime
) -> None:
    """Not now: when it is tried again, and until when it is worth trying."""
    if outcome.after_s is not None:
        attempts = row.attempts
        wait_s = asked_wait_s(outcome.after_s, runtime.chance())
    else:
        attempts = row.attempts + 1
        wait_s = backoff_s(attempts, runtime.chance())
    status = ActionStatus.PLANNED if outcome.kind is OutcomeKind.LATER else ActionStatus.UNKNOWN
    over = given_up(attempts)
    if over:
        status = ActionStatus.REFUSED
        _refused(target, row, outcome, now)
    Action.objects.filter(pk=row.pk, claimed_by=token).update(
        status=status,
        attempts=attempts,
        reason=outcome.reason,
        due_at=now + timedelta(seconds=wait_s),
        finished_at=now if over else None,
        claimed_by="",
        claim_until=None,
    )
    if outcome.after_s is not None and now - row.planned_at < _PATIENCE[ActionKind(row.kind)]:
        return  # asked to wait, and waiting: no failure yet
    open_incident(
        _trouble(target),
        outcome.reason,
        now=now,
        connection=target,
        trigger=row.trigger,
        record=f"candidate {row.candidate_id}",
        candidate_id=row.candidate_id,
        hint="it is tried again by itself",
    )


def _refused(target: str, row: Action, outcome: Outcome, now: datetime) -> None:
    no_address = outcome.reason == NO_ADDRESS
    open_incident(
        no_address_incident(row.candidate_id) if no_address else f"action:{row.key}",
        outcome.reason,
        now=now,
        connection=target,
        trigger=row.trigger,
        record=f"candidate {row.candidate_id}",
        candidate_id=row.candidate_id,
        hint="add an address in the ATS: the update brings it here, and the rest follows"
        if no_address
        else f"mend the cause, then `warmline failures replay a{row.pk}`",
    )


def _remember(
    target: str,
    told: Sequence[tuple[CoreAction, str]],
    contacts: dict[int, ExternalId],
    now: datetime,
) -> list[str]:
    """The contacts' ids, and the values that they have from us now: action, id. Returns the ids
    that were not known before: news of them may have come too early."""
    merged = dict(
        Candidate.objects.filter(
            pk__in=[core.candidate_id for core, _ in told], merged_into__isnull=False
        ).values_list("pk", "merged_into")
    )
    fresh: dict[int, ExternalId] = {}
    written: list[ExternalId] = []
    for core, external_id in told:
        mine = contacts.get(core.candidate_id) or fresh.get(core.candidate_id)
        if mine is not None and mine.external_id == external_id:
            mine.written = {**mine.written, **core.fields}
            written.append(mine)
            continue
        if mine is not None:  # the CRM merged it into another record
            ExternalId.objects.filter(pk=mine.pk).update(gone_at=now)
        fresh[core.candidate_id] = ExternalId(
            # Folded into another while the call was under way: it is that one's contact.
            candidate_id=merged.get(core.candidate_id) or core.candidate_id,
            connection=target,
            external_id=external_id,
            contact=True,
            written=dict(core.fields),
        )
    ExternalId.objects.bulk_update([row for row in written if row.pk], ["written"])
    try:
        with transaction.atomic():
            ExternalId.objects.bulk_create(fresh.values())
    except IntegrityError:
        # An id that we knew as gone, or as another candidate's, or a second one of the same.
        for row in fresh.values():
            _take_over(target, row, now)
    return [row.external_id for row in fresh.values()]


def _take_over(target: str, row: ExternalId, now: datetime) -> None:
    """The CRM says that this contact is the candidate's. Where it was somebody else's, or the
    candidate has another one, one person is two somewhere: that is for a person to look at."""
    before = ExternalId.objects.filter(connection=target, external_id=row.external_id).first()
    values = {
        "candidate_id": row.candidate_id,
        "contact": True,
        "written": row.written,
        "gone_at": None,
    }
    two = before is not None and before.gone_at is None and before.candidate_id != row.candidate_id
    try:
        with transaction.atomic():
            ExternalId.objects.update_or_create(
                connection=target, external_id=row.external_id, defaults=values
            )
    except IntegrityError:
        ExternalId.objects.update_or_create(
            connection=target, external_id=row.external_id, defaults={**values, "contact": False}
        )
        two = True
    if two:
        open_incident(
            f"contacts:{row.candidate_id}",
            "one person and one contact do not match: two candidates, or two contacts",
            now=now,
            connection=target,
            record=f"candidate {row.candidate_id}",
            candidate_id=row.candidate_id,
            hint="look at both in the CRM and in `warmline explain`, and merge what is one",
        )
