"""The way back: what is written to a person's records in the ATS, and their no to the CRM.

What is to be written is read when it is written and not when it was planned: the records that stand
then, and the addresses that the person has then.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from warmline.core.actions import Action as CoreAction
from warmline.core.actions import ActionKind, ContactRef
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.flows.fields import Known, values
from warmline.store.models import Action, Event, ExternalId

KINDS = frozenset(
    {
        ActionKind.CONTACT_OPT_OUT,
        ActionKind.CANDIDATE_FLAG,
        ActionKind.CANDIDATE_DO_NOT_CONTACT,
    }
)


def standing_records(target: str, candidate_ids: Collection[int]) -> dict[int, tuple[str, ...]]:
    """The ids of each candidate's records there that are not gone, oldest first."""
    rows = ExternalId.objects.filter(
        candidate__in=candidate_ids, connection=target, gone_at__isnull=True
    )
    found: dict[int, tuple[str, ...]] = {}
    for candidate_id, record in rows.order_by("id").values_list("candidate_id", "external_id"):
        found[candidate_id] = (*found.get(candidate_id, ()), record)
    return found


def prepared(
    row: Action,
    one: Known,
    event: Event,
    *,
    records: tuple[str, ...],
    contact: ExternalId | None,
    now: datetime,
) -> CoreAction | Outcome:
    """What the connector is asked to do, or the outcome where there is nothing to ask."""
    kind = ActionKind(row.kind)
    if kind is not ActionKind.CONTACT_OPT_OUT:
        # A no is written even so: the ATS forgot the person, and their contact still gets mail.
        if one.candidate.erased_at is not None:
            return Outcome(OutcomeKind.SKIPPED, "the candidate's record was deleted")
        contact = None
        if not records:
            return Outcome(OutcomeKind.SKIPPED, "no record there to write to")
    elif not one.emails and contact is None:
        return Outcome(OutcomeKind.SKIPPED, "no address and no contact that could be written to")
    return CoreAction(
        key=row.key,
        kind=kind,
        candidate_id=row.candidate_id,
        contact=ContactRef(contact.external_id if contact else "", tuple(one.emails))
        if kind is ActionKind.CONTACT_OPT_OUT
        else ContactRef(),
        fields=values(one, row.passes, now, event=event),
        occurred_at=event.occurred_at,
        records=() if kind is ActionKind.CONTACT_OPT_OUT else records,
    )
