"""Whoever said no is not written to: the address is suppressed and every mail on its way stopped.

One transaction does both, so that after it commits no claim can let a mail through (I5): a claim
asks for suppressions, and a message already claimed is taken back before its hand-over begins.
"""

from __future__ import annotations

from datetime import datetime

from django.db.models import Q

from warmline.flows.consents import withdraw
from warmline.flows.delegation import take_off
from warmline.store.models import Candidate, CandidateEmail, Enrolment, Message, Suppression
from warmline.store.queries import lock_candidate
from warmline.store.statuses import OPEN, EnrolmentStatus, MessageStatus, SuppressionReason

# The source of a suppression that a merge brought from another address of the same person.
INHERITED = "merge"
# And of one that stood when the address was not known yet.
SAID_BEFORE = "said before"

# A person's own words. A recruiter's mark comes from the ATS, and is theirs to take off.
OWN_WORDS = frozenset({SuppressionReason.UNSUBSCRIBED, SuppressionReason.COMPLAINED})


def outweighs(reason: str, before: str) -> bool:
    """Whether it is the one to remember of a person: the first one, but their own word outweighs a
    recruiter's mark. With their own word every record that they ever get is marked."""
    return not before or (reason in OWN_WORDS and before not in OWN_WORDS)


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
    if reason is not None and reason is not SuppressionReason.BOUNCED:
        # For addresses that come later; the person may have none yet.
        lighter = [word for word in ("", *SuppressionReason) if outweighs(reason, word)]
        rows = Candidate.objects.filter(pk=candidate.pk, opted_out__in=lighter)
        if rows.update(opted_out=reason) or not candidate.opted_out:
            candidate.opted_out = reason
        withdraw(candidate, now=now)
    if reason is not None:
        addresses = CandidateEmail.objects.filter(candidate=candidate)
        suppress([row.normal for row in addresses], reason, source=source, now=now, detail=detail)
    stop_mail(candidate, str(reason or "the record was deleted"), now=now)


def suppress_newcomers(candidate: Candidate, reason: SuppressionReason, *, now: datetime) -> None:
    """The no came before these addresses of the person. What is suppressed stays as it was: a no
    that was only inherited must not become an own one by it."""
    addresses = CandidateEmail.objects.filter(candidate=candidate).values_list("normal", flat=True)
    Suppression.objects.bulk_create(
        [
            Suppression(address=address, reason=reason, source=SAID_BEFORE, since=now)
            for address in addresses
        ],
        ignore_conflicts=True,
    )


def suppress(
    addresses: list[str],
    reason: SuppressionReason,
    *,
    source: str,
    now: datetime,
    detail: str = "",
) -> None:
    """Add the addresses (normal form). An address that is suppressed stays as it was, unless it
    only inherited that from somebody whom it was merged with, or only bounced: a no of its own
    outlives the merge, and a dead mailbox's speaks for the person too."""
    weaker = Q(source=INHERITED)
    if reason is not SuppressionReason.BOUNCED:
        weaker |= Q(reason=SuppressionReason.BOUNCED)
    Suppression.objects.filter(weaker, address__in=addresses).update(
        reason=reason, source=source, detail=detail, since=now
    )
    Suppression.objects.bulk_create(
        [
            Suppression(address=address, reason=reason, source=source, detail=detail, since=now)
            for address in addresses
        ],
        ignore_conflicts=True,
    )


def stop_mail(candidate: Candidate, why: str, *, now: datetime) -> None:
    """Hold every message whose hand-over has not begun, and end the enrolments. The lock makes a
    hand-over that is about to begin wait, and then see this (PostgreSQL)."""
    lock_candidate(candidate.pk)
    Message.objects.filter(
        candidate=candidate, status__in=[MessageStatus.PLANNED, MessageStatus.CLAIMED]
    ).update(
        status=MessageStatus.HELD, reason=why, claimed_by="", claim_until=None, expires_at=None
    )
    open_ = list(Enrolment.objects.filter(candidate=candidate, status__in=OPEN))
    Enrolment.objects.filter(pk__in=[row.pk for row in open_]).update(
        status=EnrolmentStatus.STOPPED, reason=why, ended_at=now, next_due_at=None
    )
    take_off(open_, now)
