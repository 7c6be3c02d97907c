"""What each person of a simulated year must have got, reckoned from their story alone.

Nothing of Warmline is imported here: days, zones and holidays are counted on the calendar, and each
rule of the program stands here a second time, in the plainest way that could be found.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays

WELCOME, SILVER = "welcome", "silver-medalist"
FINAL = "reached the final round"
# What ends a sequence, by the words of the story.
_ENDS = {
    WELCOME: {"replied", "hired", "rejected"},
    SILVER: {"replied", "kept posted", "hired", "applied"},
}
# After one of these nobody is written to again.
NOES = {"unsubscribed", "complained", "bounced", "marked", "erased"}
# What keeps the day and hour of a mail, in steps of which each clock of the world is a multiple.
_GRID = timedelta(minutes=5)
_WELCOME_DAYS = (0, 3, 7)
_SILVER_DAYS = (7, 30, 60, 90)
_MONTHLY_FROM, _MONTHLY_EVERY = 120, 30


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy and the windows of the year's project, said once more."""

    opens: time = time(9)
    closes: time = time(17)
    quiet_from: time = time(20)
    quiet_to: time = time(8)
    cap: int = 2
    cap_days: int = 30
    lapse: timedelta = timedelta(days=14)
    reentry: timedelta = timedelta(days=60)
    canada_months: int = 6
    library: Sequence[str] = ()  # the subjects of its pieces, in their order


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that happened to somebody. `application`: the one that it happened to."""

    at: datetime
    what: str
    application: int = 0
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail. `step` as `welcome/1`; `piece` is a subject, of pieces of the library only."""

    at: datetime
    step: str
    piece: str = ""

    def __str__(self) -> str:
        return f"{self.step}{f' ({self.piece})' if self.piece else ''} at {self.at:%d %b %H:%M:%S}"


@dataclass(slots=True)
class Run:
    """Somebody on a sequence."""

    sequence: str
    began: datetime
    application: int
    ended: datetime | None = None
    sent: list[datetime] = field(default_factory=list)


@dataclass(slots=True)
class Life:
    """One person, as the players know them. `facts` in the order in which they happened."""

    number: int
    zone: str
    country: str
    facts: list[Fact] = field(default_factory=list)

    def first(self, *words: str) -> datetime | None:
        return next((fact.at for fact in self.facts if fact.what in words), None)


@lru_cache(maxsize=512)
def _days_off(country: str, year: int) -> frozenset[date]:
    try:
        return frozenset(holidays.country_holidays(country, years=year))
    except NotImplementedError:
        return frozenset()


def on_local_day(began: datetime, days: int, zone: ZoneInfo) -> datetime:
    """The same hour of the wall clock, so many dates later, where they are."""
    local = began.astimezone(zone)
    naive = datetime.combine(local.date() + timedelta(days=days), local.time())
    # A clock time that does not exist reads as later by the jump when it has gone around by UTC.
    return naive.replace(tzinfo=zone, fold=0).astimezone(UTC)


def months_on(moment: datetime, months: int) -> datetime:
    year, month = moment.year + (moment.month - 1 + months) // 12, (moment.month - 1 + months) % 12
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def may_leave(moment: datetime, life: Life, rules: Rules, *, window: bool) -> bool:
    """Whether the wall clock where they are shows an hour at which a letter may come."""
    local = moment.astimezone(ZoneInfo(life.zone))
    clock = local.time()
    if clock >= rules.quiet_from or clock < rules.quiet_to:
        return False
    if not window:
        return True
    working = local.weekday() < 5 and local.date() not in _days_off(life.country, local.year)
    return working and rules.opens <= clock < rules.closes


def next_open(moment: datetime, life: Life, rules: Rules, *, window: bool) -> datetime:
    """Walks on in steps of five minutes until an hour that is right."""
    if may_leave(moment, life, rules, window=window):
        return moment
    walked = datetime.min.replace(tzinfo=UTC)
    walked = moment - (moment - walked) % _GRID
    while walked <= moment or not may_leave(walked, life, rules, window=window):
        walked += _GRID
    return walked


class Program:
    """What one person, or several who were merged into the first of them, must have got."""

    def __init__(self, lives: Sequence[Life], merged: datetime | None, rules: Rules) -> None:
        self.lives, self.merged, self.rules = lives, merged, rules

    def mails(self, until: datetime) -> list[Mail]:
        """In the order in which they leave. Written by the day, run by run, since what one run sent
        counts for the cap of another."""
        runs = [
            (life, run) for life in self.lives for run in _runs(self._told_of(life), self.rules)
        ]
        if self.merged is not None:
            runs = self._after_merge(runs, until)
        walks = [_Walk(life, run, self, until) for life, run in runs]
        return self._together(walks)

    def _told_of(self, life: Life) -> Life:
        """Their story, and what happened to the other one from when they were one on."""
        if self.merged is None:
            return life
        theirs = [
            fact
            for other in self.lives
            for fact in other.facts
            if other is life or fact.at >= self.merged
        ]
        theirs.sort(key=lambda fact: fact.at)
        return Life(life.number, life.zone, life.country, theirs)

    def _after_merge(self, runs: list[tuple[Life, Run]], until: datetime) -> list[tuple[Life, Run]]:
        """Of two runs of one sequence the one that is further goes on."""
        assert self.merged is not None
        last: dict[tuple[int, str], Run] = {(life.number, run.sequence): run for life, run in runs}
        before = self._together([_Walk(life, run, self, self.merged) for life, run in runs])
        del before  # it filled `run.sent`
        for sequence in (WELCOME, SILVER):
            mine = [last.get((life.number, sequence)) for life in self.lives]
            there = [run for run in mine if run is not None]
            if len(there) < 2:
                continue
            goes_on = max(there, key=lambda run: (len(run.sent), run is there[0]))
            for run in there:
                if run is not goes_on and (run.ended is None or run.ended > self.merged):
                    run.ended = self.merged
        for _, run in runs:
            run.sent.clear()
        return runs

    def _together(self, walks: list[_Walk]) -> list[Mail]:
        found: list[Mail] = []
        while True:
            offers = [(at, n) for n, walk in enumerate(walks) if (at := walk.next_at(found))]
            if not offers:
                return found
            found.append(walks[min(offers)[1]].take(found))

    def of_same(self, life: Life, moment: datetime) -> list[Life]:
        """With whom the person is one at this moment."""
        if self.merged is not None and moment >= self.merged:
            return list(self.lives)
        return [life]

    def stopped(self, life: Life, moment: datetime) -> bool:
        """Whether a no of theirs, or of whom they are one with by then, was said by then."""
        for one in self.of_same(life, moment):
            no = one.first(*NOES)
            if no is not None and no <= moment:
                return True
        return False


class _Walk:
    """One run, step after step."""

    def __init__(self, life: Life, run: Run, program: Program, until: datetime) -> None:
        self.life, self.run, self.program, self.until = life, run, program, until
        self.zone, self.number, self.planned = ZoneInfo(life.zone), 0, run.began
        self._offer: datetime | None = None
        self._seen = -1
        self._advance(None)

    def day(self, number: int) -> int | None:
        days = _WELCOME_DAYS if self.run.sequence == WELCOME else _SILVER_DAYS
        if number <= len(days):
            return days[number - 1]
        if self.run.sequence == WELCOME:
            return None
        return _MONTHLY_FROM + (number - len(days) - 1) * _MONTHLY_EVERY

    def _advance(self, sent: datetime | None) -> None:
        """To the next step, on its day; at its distance where the one before it leaves later than
        that. `sent`: when the one before left, or lapsed."""
        before, self.number = self.day(self.number) if self.number else 0, self.number + 1
        day = self.day(self.number)
        if day is None:
            self.number = 0
            return
        if day == 0:
            self.planned = self.run.began
            return
        window = self.run.sequence == SILVER
        rules = self.program.rules
        due = on_local_day(self.run.began, day, self.zone)
        planned = next_open(due, self.life, rules, window=True) if window else due
        while sent is not None and planned < sent:
            due = on_local_day(planned, day - (before or 0), self.zone)
            planned = next_open(due, self.life, rules, window=True) if window else due
        self.planned = planned

    def next_at(self, found: Sequence[Mail]) -> datetime | None:
        """When the next mail of this run leaves, given what has; None where none does any more."""
        if self._seen == len(found):
            return self._offer
        self._seen, self._offer = len(found), None
        while self.number:
            if self.planned >= self.until or (self.run.ended and self.planned >= self.run.ended):
                self.number = 0
                break
            at = self._leaves(found)
            if at is not None and (at >= self.until or (self.run.ended and at >= self.run.ended)):
                self.number = 0
                break
            if at is not None and not self._held(at):
                self._offer = at
                break
            self._advance(self.planned + self.program.rules.lapse if at is None else None)
        return self._offer

    def _leaves(self, found: Sequence[Mail]) -> datetime | None:
        """The first moment at which hours and cap let it; None where it lapses before."""
        if self.run.sequence == WELCOME and self.number == 1:
            return self.planned
        rules, at = self.program.rules, self.planned
        window = self.run.sequence == SILVER
        while True:
            free = max(next_open(at, self.life, rules, window=window), self._free(at, found))
            if free == at:
                break
            at = free
        return at if at - self.planned <= rules.lapse else None

    def _free(self, at: datetime, found: Sequence[Mail]) -> datetime:
        """When the cap and a pause that they asked for let one more leave."""
        rules, free = self.program.rules, at
        for life in self.program.of_same(self.life, at):
            for fact in life.facts:
                if fact.what == "paused" and fact.at <= at and fact.until is not None:
                    free = max(free, fact.until)
        same = {life.number for life in self.program.of_same(self.life, at)}
        lately = sorted(
            mail.at for mail in found
            if mail.step != f"{WELCOME}/1" and _owner(mail) in same
        )  # fmt: skip
        if len(lately) >= rules.cap:
            free = max(free, lately[-rules.cap] + timedelta(days=rules.cap_days))
        return free

    def _held(self, at: datetime) -> bool:
        """Whether something that no time ends keeps it back at this moment."""
        if self.program.stopped(self.life, at):
            return True
        if self.run.sequence == WELCOME and self.number == 1:
            return False
        lives = self.program.of_same(self.life, at)
        facts = sorted((f for life in lives for f in life.facts), key=lambda fact: fact.at)
        if self.run.sequence == WELCOME and any(
            f.what == FINAL and f.application == self.run.application and f.at <= at for f in facts
        ):
            return True  # a recruiter speaks to them
        return not self._consents([f for f in facts if f.at <= at], at)

    def _consents(self, facts: Sequence[Fact], at: datetime) -> bool:
        if any(fact.what == "agreed" for fact in facts):
            return True
        months = self.program.rules.canada_months if self.life.country == "CA" else 24
        contacts = ("applied", FINAL, "replied", "kept posted")
        last = max((fact.at for fact in facts if fact.what in contacts), default=None)
        return last is not None and at < months_on(last, months)

    def take(self, found: Sequence[Mail]) -> Mail:
        at = self._offer
        assert at is not None
        piece = ""
        if self.run.sequence == SILVER and self.number > len(_SILVER_DAYS):
            same = {life.number for life in self.program.of_same(self.life, at)}
            had = {mail.piece for mail in found if _owner(mail) in same}
            piece = next(name for name in self.program.rules.library if name not in had)
        mail = Owned(at, f"{self.run.sequence}/{self.number}", piece, self.life.number)
        self.run.sent.append(at)
        self._advance(at)
        return mail


@dataclass(frozen=True, slots=True)
class Owned(Mail):
    """A mail, and to whom it went while they were two."""

    owner: int = 0

    __str__ = Mail.__str__


def _owner(mail: Mail) -> int:
    return mail.owner if isinstance(mail, Owned) else -1


def _runs(life: Life, rules: Rules) -> Iterable[Run]:
    """The sequences that they were put on, each with when something ended it."""
    runs: list[Run] = []
    for n, fact in enumerate(life.facts):
        for run in runs:
            if run.ended is None and _ends(run, fact):
                run.ended = fact.at
        if fact.what == "applied" and not any(run.sequence == WELCOME for run in runs):
            runs.append(Run(WELCOME, fact.at, fact.application))
        late = fact.what == "rejected" and any(
            f.what == FINAL and f.application == fact.application for f in life.facts[:n]
        )
        if late and _may_begin(life, runs, fact.at, rules):
            runs.append(Run(SILVER, fact.at, fact.application))
    return runs


def _ends(run: Run, fact: Fact) -> bool:
    if fact.what in NOES:
        return True
    if fact.what not in _ENDS[run.sequence]:
        return False
    return fact.what != "rejected" or fact.application == run.application


def _may_begin(life: Life, runs: Sequence[Run], at: datetime, rules: Rules) -> bool:
    if any(f.at <= at and f.what in ("hired", "marked", "erased") for f in life.facts):
        return False
    before = [run for run in runs if run.sequence == SILVER]
    return not before or (before[-1].ended is not None and at - before[-1].ended >= rules.reentry)
