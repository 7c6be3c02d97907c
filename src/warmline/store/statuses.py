"""Every status of the ledger, with a line of meaning a member. They move by compare-and-swap."""

from __future__ import annotations

from enum import StrEnum

# How many lanes a target's work is spread over. A candidate's work for one target stays in one.
LANES = 32


def lane_of(candidate_id: int) -> int:
    return candidate_id % LANES


class DeliveryStatus(StrEnum):
    RECEIVED = "received"  # raw bytes are committed; nobody has read them yet
    INTERPRETED = "interpreted"  # its events are in the ledger
    UNMAPPED = "unmapped"  # a vendor word that we declare to mean nothing to us
    MALFORMED = "malformed"  # not what the vendor documents; kept, with the reason
    FAILED = "failed"  # reading it failed on our side, again and again; kept, with the reason
    DISCARDED = "discarded"  # could not be read, and a person said that it need not be


class EventEffect(StrEnum):
    APPLIED = "applied"  # its facts changed the ledger or set off a trigger
    NO_CHANGE = "no_change"  # the ledger knew already
    STALE = "stale"  # something newer was known; the older fact did not overwrite it
    UNKNOWN = "unknown"  # a word we do not know, or a record we never heard of


class ActionStatus(StrEnum):
    PLANNED = "planned"  # to be done when `due_at` comes
    CLAIMED = "claimed"  # a runner holds it until `claim_until`
    UNKNOWN = "unknown"  # sent, no answer: it is looked for at `due_at`, then done if it is not so
    DONE = "done"  # the other side confirmed it
    ALREADY_DONE = "already_done"  # it was so before
    SKIPPED = "skipped"  # a rule of ours says it must not or need not happen
    REFUSED = "refused"  # the other side said no; on the failed list until replayed or discarded
    DISCARDED = "discarded"  # it failed, and a person said that it need not be done


class EnrolmentStatus(StrEnum):
    ACTIVE = "active"  # the next step falls due at `next_due_at`
    WAITING = "waiting"  # another sequence of higher priority goes first
    FINISHED = "finished"  # every step was planned
    STOPPED = "stopped"  # ended early, for the reason given


# An enrolment that may still go on.
OPEN = (EnrolmentStatus.ACTIVE, EnrolmentStatus.WAITING)


class MessageStatus(StrEnum):
    PLANNED = "planned"  # leaves when `due_at` comes, if the policy then agrees
    CLAIMED = "claimed"  # a runner holds it until `claim_until`; nothing was sent
    SENDING = "sending"  # its hand-over has begun: from here a lost answer is an unknown
    HANDED_OFF = "handed_off"  # the mail server accepted it
    UNKNOWN = "unknown"  # the answer never came; settled by evidence, a rule or a person
    HELD = "held"  # the policy said no; the reason is kept
    REFUSED = "refused"  # the mail server refused it for good
    DISCARDED = "discarded"  # it was refused, and a person said that it need not be sent
    EXPIRED = "expired"  # it was held for so long that nobody is helped by it any more
    WITHHELD = "withheld"  # kept back to compare: the candidate is in the step's holdout


class SuppressionReason(StrEnum):
    UNSUBSCRIBED = "unsubscribed"  # the person said so, by link, one-click, or in the CRM
    BOUNCED = "bounced"  # the mail server says that there is no such mailbox
    COMPLAINED = "complained"  # the person called it spam
    DO_NOT_CONTACT = "do_not_contact"  # a recruiter or the ATS said so


class IncidentStatus(StrEnum):
    OPEN = "open"  # it fails, or nobody has said otherwise
    ACKNOWLEDGED = "acknowledged"  # somebody looks after it
    RESOLVED = "resolved"  # it works again, or a person closed it


class AlertKind(StrEnum):
    OPENED = "opened"  # something failed
    REMINDER = "reminder"  # it is still open, and nobody has said that they look after it
    RESOLVED = "resolved"  # what was told of before is over
    DRILL = "drill"  # something failed on purpose, to see that the alert arrives


class AlertStatus(StrEnum):
    PLANNED = "planned"  # leaves by its channel when `due_at` comes
    SENDING = "sending"  # a runner holds it until `claim_until`; it may have arrived
    SENT = "sent"  # the channel accepted it
    FAILED = "failed"  # the channel refused it until nobody was helped by it any more
    DROPPED = "dropped"  # nothing in it was left to tell, or its channel is gone from the file


class IdentityKind(StrEnum):
    PHONE = "phone"  # `core.matching.phone_key`
    PROFILE = "profile"  # `core.matching.profile_key`: a page that is about one person
    BASE = "base"  # `core.matching.base_key` of an address with a +tag


class LikenessStatus(StrEnum):
    WAITING = "waiting"  # for a person: `warmline merge review`
    JOINED = "joined"  # they are one person: a merge says so
    KEPT_APART = "kept_apart"  # they are two: they are not joined by evidence again


class PauseScope(StrEnum):
    ALL = "all"  # every action, mail, step and poll
    TRIGGER = "trigger"  # what one trigger asks for
    CONNECTION = "connection"  # actions towards a connection, its polls, and mails that leave by it
    SEQUENCE = "sequence"  # the steps and mails of one sequence


class ConsentBasis(StrEnum):
    EXPRESS = "express"  # the person said yes, by a form of ours or by their own words
    APPLICATION = "application"  # implied by an application, for as long as the law there allows
    RELATIONSHIP = "relationship"  # implied by dealings, such as interviews, likewise
    IMPORTED = "imported"  # another system says so; what it rests on is for a person to know


class HitKind(StrEnum):
    OPEN = "open"  # the picture that counts opens was fetched
    CLICK = "click"  # a link of the letter was followed
    TRAP = "trap"  # the link that no person can see was followed
    VIEW = "view"  # the letter was opened in a browser
    PAGE = "page"  # a page of ours was shown: preferences, unsubscribe, keep me posted
    ACT = "act"  # a form of such a page was sent
