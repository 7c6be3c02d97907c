"""Whoever said no is not written to: the address is suppressed and every mail on its way stopped.

One transaction does both, so that after it commits no claim can let a mail through (I5): a claim
asks for suppressions, and a message already claimed is taken back before its hand-over begins.
"""

from __future__ import annotations

from datetime import datetime

from warmline.store.models import Candidate, CandidateEmail, Enrolment, Message, Suppression
from warmline.store.queries import lock_candidate
from warmline.store.statuses import EnrolmentStatus, MessageStatus, SuppressionReason


def suppress_candidate(
    candidate: Candidate,
    reason: SuppressionReason | None,
    *,
    source: str,
    now: datetime,
    detail: str = "",
) -> None:
    """Suppress every address of the person and stop what is on its way. The caller holds the
    transaction. `reason` None: only stop (the record is gone; there is no wish to remember)."""
    lock_candidate(candidate.pk)
    if reason is not None:
        addresses = CandidateEmail.objects.filter(candidate=candidate)
        suppress([row.normal for row in addresses], reason, source=source, now=now, detail=detail)
    stop_mail(candidate, str(reason or "the record was deleted"))


def suppress(
    addresses: list[str],
    reason: SuppressionReason,
    *,
    source: str,
    now: datetime,
    detail: str = "",
) -> None:
    """Add the addresses (normal form). An address that is suppressed stays as it was."""
    Suppression.objects.bulk_create(
        [
            Suppression(address=address, reason=reason, source=source, detail=detail, since=now)
            for address in addresses
        ],
        ignore_conflicts=True,
    )


def stop_mail(candidate: Candidate, why: str) -> None:
    """Hold every message whose hand-over has not begun, and end the enrolments. The lock makes a
    hand-over that is about to begin wait, and then see this (PostgreSQL)."""
    lock_candidate(candidate.pk)
    Message.objects.filter(
        candidate=candidate, status__in=[MessageStatus.PLANNED, MessageStatus.CLAIMED]
    ).update(status=MessageStatus.HELD, reason=why, claimed_by="", claim_until=None)
    Enrolment.objects.filter(candidate=candidate, status=EnrolmentStatus.ACTIVE).update(
        status=EnrolmentStatus.STOPPED, reason=why, next_due_at=None
    )
