"""Two candidates are one person: everything of the one goes over to the other, in the journal.

The entry says which rows went over, so that a merge can be undone.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from warmline.core.policy import NO_ADDRESS
from warmline.flows.incidents import open_incident
from warmline.flows.opt_out import suppress_candidate
from warmline.store.models import (
    Action,
    Application,
    Candidate,
    CandidateEmail,
    Enrolment,
    Event,
    ExternalId,
    Merge,
    Message,
    Suppression,
)
from warmline.store.statuses import (
    EnrolmentStatus,
    MessageStatus,
    SuppressionReason,
    lane_of,
)


def fold(kept: Candidate, folded: Candidate, *, evidence: str, now: datetime) -> None:
    """Fold `folded` into `kept`. The caller holds the transaction; both have rows.

    The strictest opt-out on either side wins. Of two enrolments in the same sequence the one that
    is further goes on and the other stops, so that nobody is on a sequence twice (I3). Somebody
    whose one record was deleted lives on in the other.
    """
    moved: dict[str, list[int]] = {}
    contacts = {
        row.connection: row
        for row in ExternalId.objects.filter(candidate=kept, contact=True, gone_at__isnull=True)
    }
    for row in ExternalId.objects.filter(candidate=folded):
        if row.contact and row.gone_at is None and row.connection in contacts:
            # We write to the kept one from here on.
            row.contact = False
            _two_contacts(kept, contacts[row.connection], row, now)
        row.candidate = kept
        row.save(update_fields=["candidate", "contact"])
        moved.setdefault("external_id", []).append(row.pk)
    _enrolments(kept, folded, moved)
    for model in (CandidateEmail, Application, Event, Action):
        rows = model._default_manager.filter(candidate=folded)
        moved[model._meta.model_name or ""] = list(rows.values_list("pk", flat=True))
        extra = {"lane": lane_of(kept.pk)} if model is Action else {}
        rows.update(candidate=kept, **extra)
    if kept.erased_at is not None and folded.erased_at is None:
        kept.erased_at = None
        kept.save(update_fields=["erased_at"])
    folded.merged_into = kept
    folded.save(update_fields=["merged_into"])
    Candidate.objects.filter(merged_into=folded).update(merged_into=kept)
    Merge.objects.create(kept=kept, folded=folded, evidence=evidence, moved=moved, merged_at=now)
    _strictest(kept, folded, now)


def _enrolments(kept: Candidate, folded: Candidate, moved: dict[str, list[int]]) -> None:
    taken = {row.sequence: row for row in Enrolment.objects.filter(candidate=kept).order_by("run")}
    for row in Enrolment.objects.filter(candidate=folded).order_by("run"):
        other = taken.get(row.sequence)
        if other is not None:
            if _mailed(row) <= _mailed(other):
                _stop(row)
                continue
            _stop(other)
            row.run = other.run + 1
        taken[row.sequence] = row
        row.candidate = kept
        row.save(update_fields=["candidate", "run"])
        moved.setdefault("enrolment", []).append(row.pk)
        Message.objects.filter(enrolment=row).update(candidate=kept, lane=lane_of(kept.pk))


def _mailed(enrolment: Enrolment) -> int:
    """How many of its mails have left, or may have."""
    left = [MessageStatus.SENDING, MessageStatus.HANDED_OFF, MessageStatus.UNKNOWN]
    return Message.objects.filter(enrolment=enrolment, status__in=left).count()


def _stop(enrolment: Enrolment) -> None:
    """It ends here: what of it has not left never does."""
    Enrolment.objects.filter(pk=enrolment.pk, status=EnrolmentStatus.ACTIVE).update(
        status=EnrolmentStatus.STOPPED, reason="merged: on it already", next_due_at=None
    )
    waiting = Q(status__in=[MessageStatus.PLANNED, MessageStatus.CLAIMED])
    for_address = Q(status=MessageStatus.HELD, reason=NO_ADDRESS)
    Message.objects.filter(waiting | for_address, enrolment=enrolment).update(
        status=MessageStatus.HELD, reason="merged: on the sequence already"
    )


def two_contacts(candidate_id: int) -> str:
    """The key of the incident that two contacts of one person open."""
    return f"contacts:{candidate_id}"


def _two_contacts(kept: Candidate, one: ExternalId, other: ExternalId, now: datetime) -> None:
    open_incident(
        two_contacts(kept.pk),
        "two contacts in the CRM for one person: merge them there",
        now=now,
        connection=one.connection,
        record=f"contacts {one.external_id} and {other.external_id}",
        candidate_id=kept.pk,
        hint=f"we write to {one.external_id}: merge {other.external_id} into it",
    )


def _strictest(kept: Candidate, folded: Candidate, now: datetime) -> None:
    addresses = list(CandidateEmail.objects.filter(candidate=kept).values_list("normal", flat=True))
    worst = Suppression.objects.filter(address__in=addresses).exclude(
        reason=SuppressionReason.BOUNCED
    )
    if folded.do_not_contact and not kept.do_not_contact:
        kept.do_not_contact = True
        kept.save(update_fields=["do_not_contact"])
    first = worst.order_by("since").first()
    if first is not None:
        reason = SuppressionReason(first.reason)
        suppress_candidate(kept, reason, source="merge", now=now, detail=first.detail)
    elif kept.do_not_contact:
        suppress_candidate(kept, SuppressionReason.DO_NOT_CONTACT, source="merge", now=now)
