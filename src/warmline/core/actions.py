"""What to do, in the imperative, and the fields a trigger may pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class ActionKind(StrEnum):
    CONTACT_UPSERT = "contact.upsert"  # look up, then create or update, the contact in the CRM
    CONTACT_OPT_OUT = "contact.opt_out"  # unsubscribe every address of the person in the CRM
    CONTACT_ENROL = "contact.enrol"  # put the contact on a sequence that lives in the CRM
    CONTACT_LEAVE = "contact.leave"  # take it off again, as far as the CRM can
    CANDIDATE_TAG = "candidate.tag"  # put the segment's tag on each of the candidate's ATS records
    CANDIDATE_FLAG = "candidate.flag"  # show on the ATS records that the person is warm again
    CANDIDATE_DO_NOT_CONTACT = "candidate.do_not_contact"  # mark each ATS record do-not-contact
    RECRUITER_TELL = "recruiter.tell"  # mail the recruiter what a candidate answered
    SEQUENCE_ENROL = "sequence.enrol"  # put the candidate on a sequence; done by Warmline itself


# Kinds whose repetition changes nothing. After a lost answer they are simply done again, many at a
# time; any other kind is looked for first, one by one (`find`): it leaves a note, and written again
# that would be two notes.
REPEATABLE = frozenset(
    {
        ActionKind.CONTACT_UPSERT,
        ActionKind.CONTACT_OPT_OUT,
        ActionKind.CONTACT_LEAVE,
        ActionKind.CANDIDATE_TAG,
    }
)
# Planned by Warmline with an enrolment, and by no row of the trigger map: `sequence.enrol` is what
# a trigger does, wherever the sequence lives.
OF_AN_ENROLMENT = frozenset({ActionKind.CONTACT_ENROL, ActionKind.CONTACT_LEAVE})

# What `pass:` may name, with what each holds. One table: config checks it, docs print it.
FIELDS: Mapping[str, str] = {
    "name": "first and last name",
    "email": "the preferred address",
    "applied_role": "title of the job of the latest application",
    "application_date": "date of the latest application (UTC)",
    "recruiter_owner": "the recruiter's e-mail address, or the name where there is none",
    "stage": "the pipeline stage's own label, of the application that moved last",
    "interview_date": "start of that application's next interview, or of its last one",
    "interviewer": "names of the interviewers of that interview",
    "rejection_date": "date on which the latest application was rejected (UTC)",
    "skill_tags": "the candidate's tags in the ATS but for Warmline's own, sorted, with commas",
    "click_date": "when the link was clicked, or the person said yes (UTC)",
    "email_subject": "subject of the mail that was clicked",
    "link_url": "the link that was clicked",
    "unsubscribe_date": "date on which the person said no (UTC)",
}
# Those that only the event itself can tell.
OF_THE_EVENT = frozenset({"click_date", "email_subject", "link_url", "unsubscribe_date"})


@dataclass(frozen=True, slots=True)
class ContactRef:
    """How to find the contact: its id where we know it, then every address, preferred first."""

    external_id: str = ""
    emails: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TagChange:
    """`add` this tag to each of `records` (ids there), take each of `remove` off, and leave every
    other tag alone. What is so already needs no write."""

    records: tuple[str, ...]
    add: str
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Action:
    """`key` makes it happen once: the same key is never applied twice with effect. `tags` is what
    `candidate.tag` is about; `records` (ids in the ATS) are what `candidate.flag` and
    `candidate.do_not_contact` write to; `host` says where in the CRM a sequence lives, in the words
    of its `with:`."""

    key: str
    kind: ActionKind
    candidate_id: int
    contact: ContactRef = field(default_factory=ContactRef)
    fields: Mapping[str, str] = field(default_factory=dict)
    occurred_at: datetime | None = None
    tags: TagChange | None = None
    records: tuple[str, ...] = ()
    host: Mapping[str, str] = field(default_factory=dict)
