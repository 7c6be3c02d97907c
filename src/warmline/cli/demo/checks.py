"""What the demo found in the simulators and in the ledger, and whether it is as it must be.

Plain numbers in, sentences out: no Django and no network, so that a test can doctor a number and
see the check that it breaks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from warmline.core.metrics import FIRST_TOUCH_AIM_S, FirstTouch, first_touch

# A later letter may follow its day by what the welcome needed, and one look of the engine.
LETTER_LATE_MAX = timedelta(minutes=15)
CLOCK_MOVED = timedelta(hours=1)


@dataclass(slots=True)
class Applicant:
    """A person, as whoever played the week knows them; Warmline is not asked."""

    name: str
    emails: tuple[str, ...]
    applied_at: datetime
    works: bool = True  # the mailbox exists
    at_once: bool = True  # the address was known when they applied
    put_off: bool = False  # their mail server said "try again later" first
    undisturbed: bool = True  # nothing happened that may stop a letter
    opted_out_at: datetime | None = None
    interview: tuple[str, str] | None = None  # start (ISO 8601) and interviewer


@dataclass(slots=True)
class Contact:
    """A contact of the CRM simulator."""

    id: str
    emails: tuple[str, ...]
    properties: dict[str, str]


@dataclass(slots=True)
class Caught:
    """A mail that the catcher accepted."""

    to: str
    step: str
    at: datetime


@dataclass(slots=True)
class Trouble:
    """All incidents of one kind. `expected_open`: how many a person must look at, by design."""

    what: str
    incidents: int
    failures: int
    open: int
    expected_open: int
    ended: str
    longest: timedelta = timedelta(0)


@dataclass(slots=True)
class Found:
    """Everything that the summary shows."""

    applicants: list[Applicant]
    applications: int  # in the ATS simulator, those of before the week included
    in_the_week: int  # applications that the week brought
    days: dict[str, int]  # step of the welcome -> its day
    contacts: list[Contact] = field(default_factory=list)
    contacts_before: int = 0  # of people whom the ATS knew before the week
    mails: list[Caught] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    stopped: Counter[str] = field(default_factory=Counter)  # why -> letters that did not leave
    dead_tries: list[int] = field(default_factory=list)  # deliveries tried, a dead mailbox
    scanner_changed: list[str] = field(default_factory=list)
    clicked: list[str] = field(default_factory=list)  # by people, in mails of the CRM
    flagged: list[str] = field(default_factory=list)  # links named on records of the ATS
    by_poll: int = 0  # applications that a poll told first
    webhooks: dict[str, int] = field(default_factory=dict)
    not_accepted: int = 0  # webhooks of ATS and CRM that were answered with anything but a 2xx
    polls: int = 0
    people: int = 0  # of the week and before it
    before: int = 0  # people who had applied before the week
    in_ats: int = 0  # candidates in the ATS simulator
    wrongly_tagged: list[str] = field(default_factory=list)  # without the one tag of their segment
    # What the ledger says.
    segments: dict[str, int] = field(default_factory=dict)
    ledger_applicants: int = 0
    ledger_applications: int = 0
    ledger_contacts: int = 0
    ledger_sent: dict[str, int] = field(default_factory=dict)
    letters: int = (
        0  # of the welcome, accounted for: sent, held, refused, or not planned because of a stop
    )
    waiting: dict[str, int] = field(default_factory=dict)  # work that should be done by now

    def whose(self) -> dict[str, int]:
        """Address -> number of the person."""
        return {email: i for i, one in enumerate(self.applicants) for email in one.emails}

    def sent(self) -> dict[str, int]:
        """Mails caught, by step."""
        return dict(sorted(Counter(mail.step for mail in self.mails).items()))

    def contacts_of(self) -> dict[int | None, list[Contact]]:
        """Person -> their contacts, by any address; None: of nobody, or of two people at once."""
        whose = self.whose()
        found: dict[int | None, list[Contact]] = {}
        for contact in self.contacts:
            owners = {whose.get(email) for email in contact.emails}
            found.setdefault(owners.pop() if len(owners) == 1 else None, []).append(contact)
        return found

    def duplicates(self) -> list[str]:
        """People with more than one contact in the CRM."""
        return [
            f"{self.applicants[i].name}: contacts {', '.join(c.id for c in contacts)}"
            for i, contacts in self.contacts_of().items()
            if i is not None and len(contacts) > 1
        ]

    def after_opt_out(self) -> list[str]:
        """Mails that left after their reader had said no."""
        whose = self.whose()
        return [
            f"{one.name}: {mail.step}"
            for mail in self.mails
            if mail.to in whose
            and (one := self.applicants[whose[mail.to]]).opted_out_at is not None
            and mail.at > one.opted_out_at
        ]

    def letters_of(self) -> dict[tuple[int, str], list[datetime]]:
        """(person, step) -> when the catcher accepted it."""
        whose = self.whose()
        found: dict[tuple[int, str], list[datetime]] = {}
        for mail in self.mails:
            if mail.to in whose:
                found.setdefault((whose[mail.to], mail.step), []).append(mail.at)
        return found

    def touches(self, *, promised: bool = False) -> FirstTouch:
        """Application in the ATS to first mail in the catcher, of those who gave an address when
        they applied; with `promised`, without those whom their own mail server put off."""
        first: dict[int, datetime] = {}
        for (i, _), times in self.letters_of().items():
            first[i] = min(times + ([first[i]] if i in first else []))
        return first_touch(
            [
                (at - one.applied_at).total_seconds()
                for i, at in first.items()
                if (one := self.applicants[i]).at_once and not (promised and one.put_off)
            ]
        )


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that must hold. `names`: of the records where it does not, some of them."""

    name: str
    expected: str
    found: str
    ok: bool
    names: tuple[str, ...] = ()


def checks(found: Found) -> list[Check]:
    """Everything that must hold, in the order of the road."""
    return [
        *_contacts(found),
        *_mails(found),
        *_no(found),
        *_segments(found),
        *_ledger(found),
    ]


def _equal(name: str, expected: object, seen: object, wrong: Sequence[str] = ()) -> Check:
    return Check(name, str(expected), str(seen), expected == seen and not wrong, tuple(wrong[:5]))


def _none(name: str, wrong: Sequence[str]) -> Check:
    return Check(name, "0", str(len(wrong)), not wrong, tuple(wrong[:5]))


def _contacts(found: Found) -> list[Check]:
    strange = [f"contact {c.id}" for c in found.contacts_of().get(None, [])]
    reachable = [one for one in found.applicants if one.emails]
    by_email = {email: c for c in found.contacts for email in c.emails}
    without: list[str] = []
    for one in reachable:
        if one.interview is None:
            continue
        properties = next((by_email[e].properties for e in one.emails if e in by_email), {})
        starts, interviewer = one.interview
        seen = properties.get("interview_date", ""), properties.get("interviewer", "")
        if not _same_moment(seen[0], starts) or seen[1] != interviewer:
            without.append(f"{one.name}: {' '.join(seen).strip() or 'nothing'}")
    interviews = sum(one.interview is not None for one in reachable)
    return [
        _equal("one contact a person", len(reachable), len(found.contacts)),
        _none("duplicate contacts", found.duplicates()),
        _none("contacts of nobody we know", strange),
        _equal(
            "interviews on their contacts",
            interviews,
            interviews - len(without),
            without,
        ),
    ]


def _same_moment(seen: str, expected: str) -> bool:
    try:
        return datetime.fromisoformat(seen) == datetime.fromisoformat(expected)
    except ValueError:
        return False


def _mails(found: Found) -> list[Check]:
    letters = found.letters_of()
    first = min(found.days, key=lambda step: found.days[step], default="")
    twice = [
        f"{found.applicants[i].name}: {step}, {len(times)} times"
        for (i, step), times in letters.items()
        if len(times) > 1
    ]
    works = [i for i, one in enumerate(found.applicants) if one.works and one.emails]
    unwelcomed = [found.applicants[i].name for i in works if (i, first) not in letters]
    touch = found.touches(promised=True)
    slow = touch.count - round((touch.share_in_aim or 0) * touch.count)
    aim = f"{FIRST_TOUCH_AIM_S / 60:.0f} minutes"
    calm = [i for i in works if found.applicants[i].undisturbed and found.applicants[i].at_once]
    late = [
        f"{one.name}: {step}"
        for i in calm
        for step, day in found.days.items()
        if (one := found.applicants[i]) and not _on_day(letters.get((i, step), []), one, day)
    ]
    whole = len(calm) * len(found.days)
    return [
        _equal("a welcome to every working mailbox", len(works), len(works) - len(unwelcomed),
               unwelcomed),
        _none("a letter sent twice", twice),
        Check(
            f"the welcome within {aim}",
            f"100 % of {touch.count}",
            f"{100 * (touch.share_in_aim or 0):.1f} %" + (f", {slow} slower" if slow else ""),
            touch.count > 0 and slow == 0,
        ),
        _equal("letters on their day, if undisturbed", whole, whole - len(late), late),
    ]  # fmt: skip


def _on_day(times: Sequence[datetime], one: Applicant, day: int) -> bool:
    """A letter of a later day leaves at the same hour of the reader's own clock, which is put
    forward within these weeks in North America."""
    due = one.applied_at + timedelta(days=day)
    early = CLOCK_MOVED if day else timedelta(0)
    return len(times) == 1 and due - early <= times[0] <= due + LETTER_LATE_MAX


def _no(found: Found) -> list[Check]:
    whose = found.whose()
    strangers = [mail.step for mail in found.mails if mail.to not in whose]
    dead = len(found.dead_tries)
    again = [f"{tries} tries" for tries in found.dead_tries if tries != 1]
    return [
        _none("mails after an opt-out", found.after_opt_out()),
        _none("mails to strangers", strangers),
        _equal("dead mailboxes tried once", dead, dead - len(again), again),
        _none("changes by a mail scanner's GET", found.scanner_changed),
        # At least one: where nobody clicks, nothing is shown.
        _equal("people's clicks in the CRM's mails flagged in the ATS, scanners' not",
               max(1, len(found.clicked)), len(found.flagged),
               [*(Counter(found.flagged) - Counter(found.clicked))]),
    ]  # fmt: skip


def _segments(found: Found) -> list[Check]:
    tagged = found.in_ats - len(found.wrongly_tagged)
    return [
        _equal("everybody in one segment", found.people, sum(found.segments.values())),
        _equal("their segment's tag in the ATS", found.in_ats, tagged, found.wrongly_tagged),
    ]


def _ledger(found: Found) -> list[Check]:
    unexplained = [
        f"{t.what}: {t.open} open, {t.expected_open} expected"
        for t in found.troubles
        if t.open != t.expected_open
    ]
    left = [f"{n} {what}" for what, n in found.waiting.items() if n]
    steps = len(found.days)
    return [
        _none("failures left unexplained", unexplained),
        _none("work left waiting", left),
        _equal("webhooks not accepted at once", 0, found.not_accepted),
        _equal(
            "ledger and ATS: people", len(found.applicants) + found.before, found.ledger_applicants
        ),
        _equal("ledger and ATS: applications", found.applications, found.ledger_applications),
        _equal(
            "ledger and CRM: contacts",
            len(found.contacts) + found.contacts_before,
            found.ledger_contacts,
        ),
        _equal(
            "ledger and mailbox: mails by step",
            _steps(found, found.sent()),
            _steps(found, found.ledger_sent),
        ),
        _equal("letters accounted for", len(found.applicants) * steps, found.letters),
    ]


def _steps(found: Found, counts: dict[str, int]) -> str:
    steps = sorted({*found.days, *found.sent(), *found.ledger_sent})
    return ", ".join(str(counts.get(step, 0)) for step in steps)
