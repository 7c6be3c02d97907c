"""May this mail leave now? Asked in the transaction of the claim, from present state (I5, I11)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum

from warmline.core.events import ApplicationStatus, StageKind
from warmline.core.segments import Segment
from warmline.core.sequences import StepClass

# Ends by itself as an address comes, for mails and for actions alike.
NO_ADDRESS = "the candidate has no usable e-mail address"
# A step this long overdue is held and shown, not sent: after a restored backup or a long outage
# nobody wants last week's mail (listmonk #1801).
OVERDUE_AFTER = timedelta(days=2)


def overdue_words(after: timedelta) -> str:
    return f"overdue by more than {after / timedelta(days=1):g} days: held for a person to look at"


OVERDUE = overdue_words(OVERDUE_AFTER)


class HoldCode(StrEnum):
    """Why a mail is held."""

    ERASED = "erased"  # the record was deleted
    MERGED = "merged"  # another candidate stands for them
    NO_ADDRESS = "no_address"  # there is no address to write to
    SUPPRESSED = "suppressed"  # they said no, or the mailbox is dead
    DO_NOT_CONTACT = "do_not_contact"  # the ATS says so
    OVERDUE = "overdue"  # its time is long over
    HIRED = "hired"  # they are colleagues now
    PIPELINE = "pipeline"  # where they stand, the recruiter speaks to them, or nobody does
    SEGMENT = "segment"  # nobody of their segment is nurtured
    CONSENT = "consent"  # no consent stands
    TOPIC = "topic"  # they want nothing on this topic
    ENDED = "ended"  # its enrolment has ended, or they had it already
    PAUSED = "paused"  # they asked for a pause
    FREQUENCY = "frequency"  # they got so many lately
    QUIET = "quiet"  # it is night where they are
    WINDOW = "window"  # it is outside the hours of its sequence
    STALE = "stale"  # the ATS could not be asked how they stand
    SENDER = "sender"  # enough has left from this sender, or domain, today


@dataclass(frozen=True, slots=True)
class Hold:
    """`until`: the mail stays planned, and its due time moves there. `for_good`: it never leaves by
    itself; any other hold is looked at again, and goes once its cause is gone, or lapses."""

    code: HoldCode
    words: str
    until: datetime | None = None
    for_good: bool = False


@dataclass(frozen=True, slots=True)
class Quiet:
    """The hours, where the reader is, in which nobody is written to. `receipts`: nor answered."""

    opens: time
    closes: time
    receipts: bool = False

    def over(self, moment: datetime, zone: tzinfo) -> datetime:
        """The moment itself where it is not quiet, else the next one that is not, in UTC."""
        local = moment.astimezone(zone)
        if not self._at(local.time()):
            return moment
        ends = [
            datetime.combine(local.date() + timedelta(days=d), self.closes, zone)
            .replace(fold=fold)
            .astimezone(UTC)
            for d in (0, 1, 2)  # a clock may jump over the only hour that is not quiet
            for fold in (0, 1)  # the hour that comes twice in autumn
        ]
        later = [e for e in ends if e > moment and not self._at(e.astimezone(zone).time())]
        return min(later)

    def _at(self, clock: time) -> bool:
        if self.opens < self.closes:
            return self.opens <= clock < self.closes
        return clock >= self.opens or clock < self.closes


@dataclass(frozen=True, slots=True)
class Frequency:
    """At most `mails` in any stretch of `days`."""

    mails: int
    days: int

    def free_at(self, sent: Collection[datetime], now: datetime) -> datetime:
        """When one more may leave: now, or once an earlier one is so many days past."""
        if len(sent) < self.mails:
            return now
        return max(now, sorted(sent)[-self.mails] + timedelta(days=self.days))


@dataclass(frozen=True, slots=True)
class Rules:
    """What the project's policy says, beside what always holds."""

    overdue_after: timedelta = OVERDUE_AFTER
    expire_after: timedelta = timedelta(days=14)
    quiet: Quiet | None = None
    frequency: Frequency | None = None

    @property
    def quiet_receipts(self) -> bool:
        return self.quiet is not None and self.quiet.receipts


DEFAULT_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the person asked for on the preference page."""

    paused_until: datetime | None = None
    days_between: int = 0
    topics_off: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class CandidateState:
    """What is known of a candidate at the moment of sending. `sent`: when nurture mails left for
    them, as far back as anything asks."""

    has_address: bool
    suppressed: str = ""  # why the address, or another of the same person, may not be mailed
    do_not_contact: bool = False
    merged: bool = False
    erased: bool = False
    nurture_hold: str = ""  # why the segment is not nurtured
    no_consent: str = ""  # why nobody may write to them about jobs
    applications: Collection[tuple[ApplicationStatus, StageKind | None]] = ()
    wishes: Wishes = Wishes()
    sent: Sequence[datetime] = ()
    zone: tzinfo = UTC
    country: str = ""


def hold(
    step_class: StepClass,
    state: CandidateState,
    *,
    for_segment: Segment | None = None,
    topic: str = "",
    due_at: datetime,
    now: datetime,
    rules: Rules = DEFAULT_RULES,
    fit: Callable[[datetime], datetime] | None = None,
) -> Hold | None:
    """Why the mail must not leave now; None where it may. `for_segment`: whom its sequence is for;
    None where the sequence is gone from the files. `fit`: the first moment from a given one on that
    lies within the hours of its sequence, where it has such.

    Opt-outs, bounces and do-not-contact hold every mail of a sequence, receipts included: whoever
    said no is not written to by a machine. What the person is asked about jobs holds nurture only.
    """
    if state.erased:
        return _never(HoldCode.ERASED, "the candidate's record was deleted or anonymised")
    if state.merged:
        return _never(HoldCode.MERGED, "the candidate was merged into another")
    if not state.has_address:
        return Hold(HoldCode.NO_ADDRESS, NO_ADDRESS)
    if state.suppressed:
        return _never(HoldCode.SUPPRESSED, f"suppressed: {state.suppressed}")
    if state.do_not_contact:
        return _never(HoldCode.DO_NOT_CONTACT, "do not contact is set in the ATS")
    if now - due_at > rules.overdue_after:
        return _never(HoldCode.OVERDUE, overdue_words(rules.overdue_after))
    if step_class is StepClass.MARKETING:
        return _nurture_hold(state, for_segment, topic) or _wait(state, now, rules, fit)
    if rules.quiet is not None and rules.quiet_receipts:
        return _latest([_quiet(rules.quiet, state.zone, now)], now, rules, state.zone)
    return None


def later(held: Hold, *, quiet: Quiet | None, zone: tzinfo) -> Hold:
    """The same hold, ended at a moment that is not quiet."""
    if held.until is None or quiet is None:
        return held
    return Hold(held.code, held.words, quiet.over(held.until, zone))


def _never(code: HoldCode, words: str) -> Hold:
    return Hold(code, words, for_good=True)


def _nurture_hold(state: CandidateState, for_segment: Segment | None, topic: str) -> Hold | None:
    statuses = {status for status, _ in state.applications}
    if ApplicationStatus.HIRED in statuses:
        return _never(HoldCode.HIRED, "hired")
    if words := _pipeline_hold(state.applications, for_segment):
        return Hold(HoldCode.PIPELINE, words)
    if state.nurture_hold:
        return Hold(HoldCode.SEGMENT, state.nurture_hold)
    if state.no_consent:
        return Hold(HoldCode.CONSENT, state.no_consent)
    if topic and topic in state.wishes.topics_off:
        return _never(HoldCode.TOPIC, f"they asked for nothing on {topic}")
    return None


def _pipeline_hold(
    applications: Collection[tuple[ApplicationStatus, StageKind | None]],
    for_segment: Segment | None,
) -> str:
    live = [kind for status, kind in applications if status is ApplicationStatus.ACTIVE]
    if {StageKind.INTERVIEW, StageKind.FINAL, StageKind.OFFER} & set(live):
        return "interviewing: the recruiter is in touch in person"
    of_applicants = for_segment in (Segment.ACTIVE_APPLICANT, None)
    if of_applicants and applications and not live:
        return "no application is active any more"
    if live and not of_applicants:
        return "in a pipeline again: the welcome speaks to them"
    return ""


def _wait(
    state: CandidateState,
    now: datetime,
    rules: Rules,
    fit: Callable[[datetime], datetime] | None,
) -> Hold | None:
    """What only time ends. Each is looked at again when it does, and all of them then."""

    def waits() -> Iterator[Hold]:
        wishes = state.wishes
        if wishes.paused_until is not None:
            yield Hold(HoldCode.PAUSED, "they asked for a pause", wishes.paused_until)
        if wishes.days_between and state.sent:
            free = max(state.sent) + timedelta(days=wishes.days_between)
            words = f"they asked for at least {wishes.days_between} days between two mails"
            yield Hold(HoldCode.FREQUENCY, words, free)
        if (cap := rules.frequency) is not None:
            words = f"nobody gets more than {cap.mails} in {cap.days} days"
            yield Hold(HoldCode.FREQUENCY, words, cap.free_at(state.sent, now))
        if fit is not None:
            yield Hold(HoldCode.WINDOW, "it is outside the hours of its sequence", fit(now))
        if rules.quiet is not None:
            yield _quiet(rules.quiet, state.zone, now)

    return _latest(waits(), now, rules, state.zone)


def _quiet(quiet: Quiet, zone: tzinfo, now: datetime) -> Hold:
    return Hold(HoldCode.QUIET, "it is a quiet hour where they are", quiet.over(now, zone))


def _latest(
    waits: Collection[Hold] | Iterator[Hold], now: datetime, rules: Rules, zone: tzinfo
) -> Hold | None:
    """The wait that ends last, at an hour that is not quiet."""
    going_on = [one for one in waits if one.until is not None and one.until > now]
    last = max(going_on, key=lambda one: one.until or now, default=None)
    return later(last, quiet=rules.quiet, zone=zone) if last else None
