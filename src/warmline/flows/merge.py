"""Two candidates are one person: everything of the one goes over to the other, in the journal.

The entry says which rows went over, so that a merge can be undone.
"""

from __future__ import annotations

from datetime import datetime

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

    The strictest opt-out on either side wins. Of two enrolments in the same sequence the kept
    candidate's goes on and the other stops, so that nobody is on a sequence twice (I3).
    """
    moved: dict[str, list[int]] = {}
    contacts = {
        row.connection: row
        for row in ExternalId.objects.filter(candidate=kept, contact=True, gone_at__isnull=True)
    }
    for row in ExternalId.objects.filter(candidate=folded):
        if row.contact and row.gone_at is None and row.connection in contacts:
            # Two contacts in the CRM for one person: we write to the kept one from here on.
            row.contact = False
        row.candidate = kept
        row.save(update_fields=["candidate", "contact"])
        moved.setdefault("external_id", []).append(row.pk)
    _enrolments(kept, folded, moved)
    for model in (CandidateEmail, Application, Event, Action):
        rows = model._default_manager.filter(candidate=folded)
        moved[model._meta.model_name or ""] = list(rows.values_list("pk", flat=True))
        extra = {"lane": lane_of(kept.pk)} if model is Action else {}
        rows.update(candidate=kept, **extra)
    folded.merged_into = kept
    folded.save(update_fields=["merged_into"])
    Candidate.objects.filter(merged_into=folded).update(merged_into=kept)
    Merge.objects.create(kept=kept, folded=folded, evidence=evidence, moved=moved, merged_at=now)
    _strictest(kept, folded, now)


def _enrolments(kept: Candidate, folded: Candidate, moved: dict[str, list[int]]) -> None:
    taken = set(Enrolment.objects.filter(candidate=kept).values_list("sequence", flat=True))
    for row in Enrolment.objects.filter(candidate=folded):
        if row.sequence in taken:
            Enrolment.objects.filter(pk=row.pk, status=EnrolmentStatus.ACTIVE).update(
                status=EnrolmentStatus.STOPPED, reason="merged: on it already", next_due_at=None
            )
            Message.objects.filter(
                enrolment=row, status__in=[MessageStatus.PLANNED, MessageStatus.CLAIMED]
            ).update(status=MessageStatus.HELD, reason="merged: on the sequence already")
            continue
        row.candidate = kept
        row.save(update_fields=["candidate"])
        moved.setdefault("enrolment", []).append(row.pk)
        Message.objects.filter(enrolment=row).update(candidate=kept, lane=lane_of(kept.pk))


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
