"""May this mail leave now? Asked in the transaction of the claim, from present state (I5, I11)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from warmline.core.events import ApplicationStatus, StageKind
from warmline.core.segments import Segment
from warmline.core.sequences import StepClass

# The one hold that ends by itself: when an address comes, the mail goes.
NO_ADDRESS = "the candidate has no usable e-mail address"
# A step this long overdue is held and shown, not sent: after a restored backup or a long outage
# nobody wants last week's mail (listmonk #1801).
OVERDUE_AFTER = timedelta(days=2)
OVERDUE = f"overdue by more than {OVERDUE_AFTER.days} days: held for a person to look at"


@dataclass(frozen=True, slots=True)
class CandidateState:
    """What is known of a candidate at the moment of sending."""

    has_address: bool
    suppressed: str = ""  # why the address, or another of the same person, may not be mailed
    do_not_contact: bool = False
    merged: bool = False
    erased: bool = False
    nurture_hold: str = ""  # why the segment is not nurtured
    applications: Collection[tuple[ApplicationStatus, StageKind | None]] = ()


def hold_reason(
    step_class: StepClass,
    state: CandidateState,
    *,
    for_segment: Segment | None = None,
    due_at: datetime,
    now: datetime,
) -> str:
    """Why the mail must not leave, in words for people; empty where it may. `for_segment`: whom its
    sequence is for; None where the sequence is gone from the files.

    Opt-outs, bounces and do-not-contact hold every mail of a sequence, receipts included: whoever
    said no is not written to by a machine. Hired, interviewing and rejected hold nurture only.
    """
    if state.erased:
        return "the candidate's record was deleted or anonymised"
    if state.merged:
        return "the candidate was merged into another"
    if not state.has_address:
        return NO_ADDRESS
    if state.suppressed:
        return f"suppressed: {state.suppressed}"
    if state.do_not_contact:
        return "do not contact is set in the ATS"
    if now - due_at > OVERDUE_AFTER:
        return OVERDUE
    if step_class is StepClass.MARKETING:
        return _pipeline_hold(state.applications, for_segment) or state.nurture_hold
    return ""


def _pipeline_hold(
    applications: Collection[tuple[ApplicationStatus, StageKind | None]],
    for_segment: Segment | None,
) -> str:
    statuses = {status for status, _ in applications}
    if ApplicationStatus.HIRED in statuses:
        return "hired"
    live = [kind for status, kind in applications if status is ApplicationStatus.ACTIVE]
    if {StageKind.INTERVIEW, StageKind.FINAL, StageKind.OFFER} & set(live):
        return "interviewing: the recruiter is in touch in person"
    of_applicants = for_segment in (Segment.ACTIVE_APPLICANT, None)
    if of_applicants and applications and not live:
        return "no application is active any more"
    if live and not of_applicants:
        return "in a pipeline again: the welcome speaks to them"
    return ""
