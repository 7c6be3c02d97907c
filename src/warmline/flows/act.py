"""Actions into outcomes: claim, ask the connector, write down what it said.

The claim is a compare-and-swap that carries the runner's token and lapses, so that a killed
runner's work is taken up again; two runners can never both hold one row.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction

from warmline.core.actions import REPEATABLE, ActionKind
from warmline.core.actions import Action as CoreAction
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.core.policy import NO_ADDRESS
from warmline.core.retries import GIVE_UP_AFTER, asked_wait_s, backoff_s, given_up
from warmline.flows import delegation
from warmline.flows.exchanges import keep_exchanges
from warmline.flows.incidents import (
    credentials_key,
    credentials_refused,
    open_incident,
    resolve,
)
from warmline.flows.pauses import paused
from warmline.flows.prepare import Prepared, from_error, prepare
from warmline.flows.reconsider import reconsider
from warmline.flows.release import no_address_incident
from warmline.flows.runtime import Runtime, act_lane
from warmline.flows.tag import confirm, doubt
from warmline.kit.exchange import recording
from warmline.ports import AppliesActions
from warmline.store.db import lock_records, writing
from warmline.store.models import Action, Candidate, ExternalId
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
    ready = prepare(runtime, target, claimed)
    if ready.tagging:
        with writing():
            doubt(ready.tagging.values())
    with recording() as calls:
        said = _ask(connector, ready.todo)
    asked = {row.pk: outcome for (row, _), outcome in zip(ready.todo, said, strict=True)}
    outcomes = {**ready.outcomes, **asked}
    cores = {row.pk: core for row, core in ready.todo}
    keep_exchanges(token, claimed, outcomes, cores, calls)
    _write(runtime, target, token, claimed, ready, outcomes)
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
            said = [from_error(error)] * len(fresh)
        outcomes.update({core.key: outcome for core, outcome in zip(fresh, said, strict=True)})
    return [outcomes[core.key] for _, core in todo]


def _find(connector: AppliesActions, core: CoreAction) -> Outcome | None:
    """Did it happen? Where that cannot be learned now, it stays unknown until later."""
    try:
        return connector.find(core)
    except Exception as error:
        outcome = from_error(error)
        return Outcome(OutcomeKind.UNKNOWN, outcome.reason, after_s=outcome.after_s)


def _write(
    runtime: Runtime,
    target: str,
    token: str,
    claimed: Sequence[Action],
    ready: Prepared,
    outcomes: Mapping[int, Outcome],
) -> None:
    now = runtime.now()
    asked = {row.pk: core for row, core in ready.todo}
    tagging, contacts = ready.tagging, ready.contacts
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
            elif there and row.kind == ActionKind.CONTACT_UPSERT and row.pk in asked:
                core = asked[row.pk]
                if external_id := outcome.external_id or core.contact.external_id:
                    told.append((core, external_id))
        learned = _remember(target, told, contacts, now)
        delegation.heard(claimed, outcomes, now)
        lanes = reconsider(target, learned)
        for (status, reason), ids in plain.items():
            Action.objects.filter(pk__in=ids, claimed_by=token).update(
                status=status, reason=reason, finished_at=now, claimed_by="", claim_until=None
            )
        once_more = [row for row in claimed if row.pk in ready.again and _done(outcomes[row.pk])]
        if once_more:
            Action.objects.filter(pk__in=[row.pk for row in once_more]).update(
                status=ActionStatus.PLANNED, finished_at=None, due_at=now
            )
        lanes |= {act_lane(target, row.lane) for row in once_more}
        if any(outcomes[pk].kind is OutcomeKind.DONE for pk in asked) and not _still_failing(
            target
        ):
            good += [_trouble(target), credentials_key(target, "write")]
        if good:
            resolve(good, "it works again, and all that had failed is done", now=now)
    runtime.poke(lanes)


def _done(outcome: Outcome) -> bool:
    return outcome.kind is OutcomeKind.DONE


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
    if outcome.detail.get("scope") == "credentials":
        credentials_refused(
            target,
            "write",
            outcome.reason,
            now=now,
            trigger=row.trigger,
            record=f"candidate {row.candidate_id}",
            candidate_id=row.candidate_id,
        )
        return
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
