"""The demo's week, written down before it is played: who applies when, and what then happens.

Everything comes from the seed. Nothing here knows Django, the simulators or the network.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from warmline.sandbox.people import People, Person

START = datetime(2026, 3, 2, tzinfo=UTC)  # a Monday
WEEK = timedelta(days=7)
END = START + timedelta(days=15)
# Applications by weekday and by hour: people apply in the morning, after lunch and after dinner.
_BY_DAY = (19, 20, 18, 16, 14, 6, 7)
_BY_HOUR = (1, 0, 0, 0, 0, 1, 2, 5, 9, 12, 12, 10, 8, 10, 11, 10, 9, 7, 5, 5, 6, 5, 3, 2)
_TWO_JOBS = 0.08
_CRM_DOWN = timedelta(minutes=40)
_WEBHOOKS = (("lost", 0.02), ("doubled", 0.04), ("held_up", 0.05))
_DELAY_S_MAX = 90.0
_PUT_OFF_LONG = 7  # tries, and with ever longer waits between them some ten minutes


class Role(StrEnum):
    """What is particular about a person; one each."""

    PLAIN = "plain"
    DEAD = "dead"  # there is no such mailbox: 550
    PUT_OFF = "put_off"  # their mail server says "try again later" first: 451
    SILENT = "silent"  # their mail server takes the welcome and never says so
    ADDRESSLESS = "addressless"  # gives an address only a day later
    SCANNED = "scanned"  # a mail scanner follows every link in their mail, before they do
    ONE_CLICK = "one_click"  # unsubscribes in the mail program (RFC 8058)
    CRM_OPT_OUT = "crm_opt_out"  # unsubscribes through the CRM
    INTERVIEWED = "interviewed"  # moves on; some are hired
    REJECTED = "rejected"


# Share of the people, and how many at least and at most.
_SHARES: tuple[tuple[Role, float, int, int], ...] = (
    (Role.DEAD, 0.05, 1, 100),
    (Role.PUT_OFF, 0.02, 1, 50),
    (Role.SILENT, 0.0, 1, 1),
    (Role.ADDRESSLESS, 0.0, 1, 1),
    (Role.SCANNED, 0.0, 1, 1),
    (Role.ONE_CLICK, 0.04, 1, 10_000),
    (Role.CRM_OPT_OUT, 0.005, 1, 10_000),
    (Role.INTERVIEWED, 0.12, 1, 10_000),
    (Role.REJECTED, 0.10, 1, 10_000),
)


class Deed(StrEnum):
    """What somebody does."""

    APPLY = "apply"
    APPLY_AGAIN = "apply_again"  # to another job, as the same record of the ATS
    APPLY_ANEW = "apply_anew"  # to another job, as a new record with the same address
    CHANGE_PHONE = "change_phone"
    GIVE_ADDRESS = "give_address"
    SCAN = "scan"
    ONE_CLICK = "one_click"
    CRM_OPT_OUT = "crm_opt_out"
    CRM_MAIL = "crm_mail"  # the CRM sends them a mail of its own
    CRM_SCAN = "crm_scan"  # a scanner follows its links as it arrives
    CRM_CLICK = "crm_click"  # they read it and follow one
    CRM_POLL = "crm_poll"  # Warmline reads the CRM
    SETTLE = "settle"  # a person says of a mail without an answer that it arrived
    SCREEN = "screen"
    TO_INTERVIEW = "to_interview"
    SCHEDULE = "schedule"
    RESCHEDULE = "reschedule"
    FEEDBACK = "feedback"
    TO_FINAL = "to_final"
    REJECT = "reject"
    HIRE = "hire"
    CRM_DOWN = "crm_down"
    CRM_UP = "crm_up"


@dataclass(frozen=True, slots=True)
class Scene:
    """One thing that happens. `webhook`: what becomes of the one that tells of it, if any."""

    at: datetime
    deed: Deed
    who: int = -1
    webhook: str = ""  # lost, doubled, held_up
    delay_s: float = 0.0
    when: datetime | None = None  # of an interview


@dataclass(slots=True)
class Part:
    """A person and their role. `answers`: how often their mail server says "later"."""

    person: Person
    role: Role
    answers: int = 0


@dataclass(slots=True)
class Script:
    parts: list[Part] = field(default_factory=list)
    scenes: list[Scene] = field(default_factory=list)


def write(seed: int, applications: int) -> Script:
    """The same seed writes the same week."""
    rng = random.Random(f"week {seed}")  # noqa: S311 - a play, no secret
    twice = max(1, round(_TWO_JOBS * applications))
    moments = sorted(_moment(rng) for _ in range(applications))
    people = People(rng).applicants(applications - twice)
    script = Script(
        [Part(p, role) for p, role in zip(people, _roles(rng, len(people)), strict=True)]
    )
    for who in roles(script.parts, Role.PUT_OFF)[:1]:
        script.parts[who].answers = _PUT_OFF_LONG
    # Somebody must have applied before anybody can apply again.
    later = sorted(rng.sample(range(max(1, applications // 8), applications), twice))
    who = 0
    for i, at in enumerate(moments):
        if i in later:
            before = [n for n in range(who) if script.parts[n].role is not Role.ADDRESSLESS]
            deed = rng.choice((Deed.APPLY_AGAIN, Deed.APPLY_ANEW)) if before else Deed.APPLY_AGAIN
            script.scenes.append(_told(rng, at, deed, rng.choice(before or range(who))))
            continue
        script.scenes += _life(rng, script.parts[who], who, at)
        who += 1
    down = _busiest(moments, _CRM_DOWN)
    script.scenes += [Scene(down, Deed.CRM_DOWN), Scene(down + _CRM_DOWN, Deed.CRM_UP)]
    script.scenes = sorted((s for s in script.scenes if s.at < END), key=lambda s: s.at)
    return script


def _moment(rng: random.Random) -> datetime:
    day = rng.choices(range(7), _BY_DAY)[0]
    hour = rng.choices(range(24), _BY_HOUR)[0]
    return START + timedelta(days=day, hours=hour, milliseconds=rng.randrange(3_600_000))


def _busiest(moments: Sequence[datetime], length: timedelta) -> datetime:
    """Just before the stretch of that length in which most people apply: then it shows."""
    most = max(moments, key=lambda at: sum(at <= other <= at + length for other in moments))
    return most - timedelta(minutes=1)


def _roles(rng: random.Random, people: int) -> list[Role]:
    roles: list[Role] = []
    for role, share, least, most in _SHARES:
        roles += [role] * min(most, max(least, round(share * people)))
    roles = (roles + [Role.PLAIN] * people)[:people]
    rng.shuffle(roles)
    return roles


def _told(
    rng: random.Random, at: datetime, deed: Deed, who: int, when: datetime | None = None
) -> Scene:
    """A scene that a webhook tells of. Most take seconds; some get lost, some come late."""
    dice, webhook = rng.random(), ""
    for name, share in _WEBHOOKS:
        if 0 <= dice < share:
            webhook = name
        dice -= share
    return Scene(at, deed, who, webhook, min(_DELAY_S_MAX, rng.lognormvariate(1.9, 0.8)), when)


def _life(rng: random.Random, part: Part, who: int, at: datetime) -> Iterator[Scene]:
    """A person's application, and what comes of it by their role."""
    first = _told(rng, at, Deed.APPLY, who)
    yield first
    if first.webhook == "held_up":
        # A change overtakes the application that it belongs to.
        yield Scene(at + timedelta(seconds=20), Deed.CHANGE_PHONE, who, "", 2.0)
    match part.role:
        case Role.PUT_OFF:
            part.answers = part.answers or rng.choice((1, 2, 2, 3))
        case Role.SILENT:
            yield Scene(_office(rng, at, 1), Deed.SETTLE, who)
        case Role.ADDRESSLESS:
            yield _told(rng, at + timedelta(hours=rng.uniform(20, 30)), Deed.GIVE_ADDRESS, who)
        case Role.SCANNED:
            yield Scene(at + timedelta(minutes=rng.uniform(15, 90)), Deed.SCAN, who)
            yield Scene(at + timedelta(days=2), Deed.CRM_MAIL, who)
        case Role.ONE_CLICK:
            hours = rng.choice((rng.uniform(0.3, 60), rng.uniform(73, 160)))
            yield Scene(at + timedelta(hours=hours), Deed.ONE_CLICK, who)
        case Role.CRM_OPT_OUT:
            yield Scene(at + timedelta(hours=rng.uniform(6, 60)), Deed.CRM_OPT_OUT, who)
        case Role.INTERVIEWED:
            yield from _pipeline(rng, who, at)
        case Role.REJECTED:
            yield _told(rng, _office(rng, at, rng.randint(1, 6)), Deed.REJECT, who)


def _pipeline(rng: random.Random, who: int, at: datetime) -> Iterator[Scene]:
    """Screen, interview, feedback; then the final round and an offer, or a no."""
    at = _office(rng, at, rng.randint(0, 1))
    yield _told(rng, at, Deed.SCREEN, who)
    at = _office(rng, at, rng.randint(1, 3))
    yield _told(rng, at, Deed.TO_INTERVIEW, who)
    starts = _office(rng, at, rng.randint(1, 2)).replace(minute=0, second=0, microsecond=0)
    at += timedelta(minutes=rng.uniform(12, 45))
    yield Scene(at, Deed.SCHEDULE, who, when=starts)
    if rng.random() < 0.2:
        at += timedelta(hours=rng.uniform(0.5, 3))
        starts += timedelta(days=1)
        yield Scene(at, Deed.RESCHEDULE, who, when=starts)
    at = starts + timedelta(hours=rng.uniform(1.5, 4))
    yield Scene(at, Deed.FEEDBACK, who)
    good = rng.random() < 0.5
    at = _office(rng, at, 1)
    yield _told(rng, at, Deed.TO_FINAL if good else Deed.REJECT, who)
    if good:
        yield _told(rng, _office(rng, at, rng.randint(1, 2)), Deed.HIRE, who)


def _office(rng: random.Random, at: datetime, days: int) -> datetime:
    """A moment in office hours, `days` working days after `at`, and always after it."""
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    while days or day.weekday() >= 5 or (day.date() == at.date() and at.hour >= 16):
        day += timedelta(days=1)
        days -= bool(days) and day.weekday() < 5
    earliest = max(9.0, at.hour + 1.0) if day.date() == at.date() else 9.0
    return day + timedelta(hours=rng.uniform(earliest, 17.5))


def roles(parts: Sequence[Part], *wanted: Role) -> list[int]:
    """Numbers of the people with one of these roles."""
    return [i for i, part in enumerate(parts) if part.role in wanted]
