"""What a simulation found, as values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum

_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")


def alike(reasons: Iterable[str]) -> dict[str, str]:
    """What each reason is counted as: those that differ by their figures alone are one reason."""
    kinds: dict[str, set[str]] = {}
    for reason in reasons:
        kinds.setdefault(_FIGURE.sub("N", reason), set()).add(reason)
    return {one: kind if len(found) > 1 else one for kind, found in kinds.items() for one in found}


class Fate(StrEnum):
    """What becomes of a mail within the days that are simulated."""

    SENT = "sent"  # it leaves
    HELD = "held"  # the policy says no
    EXPIRED = "expired"  # held for so long that it lapsed
    WITHHELD = "withheld"  # left out on purpose, to compare with
    WAITS = "waits"  # it is due, and paused or waiting for something


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail of one person. `step` counts from 1, `piece` is the file it is made of. `at`: when
    it leaves, or where it does not, when it was due; `local` is the same by the clock of the
    reader in `zone`. `segment`: where the reader stands at the end."""

    number: int
    candidate: int
    address: str
    segment: str
    sequence: str
    step: int
    piece: str
    subject: str
    at: datetime
    local: str
    zone: str
    sender: str
    fate: Fate
    reason: str = ""
    words: str = ""

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]

    @property
    def where(self) -> str:
        return f"{self.sequence}/{self.step}"


@dataclass(frozen=True, slots=True)
class Hold:
    """That the policy said no to a mail that was due at `at`: for good where `until` is None."""

    candidate: int
    address: str
    where: str
    reason: str
    at: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Without:
    """Somebody who gets nothing in these days, and why."""

    candidate: int
    address: str
    segment: str
    reason: str


@dataclass(frozen=True, slots=True)
class Collision:
    """Two mails to one person less than the asked days apart (`apart_days` by their hours), or two
    sequences that want one person at one time."""

    candidate: int
    address: str
    what: str
    first: str
    second: str
    at: datetime
    apart_days: float | None = None


@dataclass(slots=True)
class Volume:
    """Mails a day (UTC) of one sender or one domain. `limits`: the most that may leave on a day, by
    day, where the policy has a limit; a warm-up makes it less."""

    name: str
    by_day: Counter[date] = field(default_factory=Counter)
    limits: Mapping[date, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return self.by_day.total()

    @property
    def busiest(self) -> tuple[date, int]:
        return max(self.by_day.items(), key=lambda item: (item[1], item[0]))


@dataclass(slots=True)
class Simulation:
    """All of it. `assumed` says in sentences what was taken for granted, `people` counts
    everybody in the ledger."""

    company: str
    project: str
    begins: datetime
    ends: datetime
    people: int = 0
    enrolled_by_backfill: int = 0
    within_days: float = 0
    assumed: list[str] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    holds: list[Hold] = field(default_factory=list)
    without: list[Without] = field(default_factory=list)
    collisions: list[Collision] = field(default_factory=list)
    senders: list[Volume] = field(default_factory=list)
    domains: list[Volume] = field(default_factory=list)
    actions: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    sequences: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # title and version
    stops: int = 0
    stopped: bool = False

    @property
    def days(self) -> int:
        return round((self.ends - self.begins).total_seconds() / 86400)

    @property
    def sent(self) -> list[Mail]:
        return [mail for mail in self.mails if mail.fate is Fate.SENT]

    @property
    def why_held(self) -> Counter[str]:
        """How often, by reason."""
        named = alike({hold.reason for hold in self.holds})
        return Counter(named[hold.reason] for hold in self.holds)

    @property
    def why_nothing(self) -> Counter[str]:
        """How many people get nothing, by reason."""
        named = alike({one.reason for one in self.without})
        return Counter(named[one.reason] for one in self.without)

    @property
    def kept(self) -> list[Mail]:
        return [mail for mail in self.mails if mail.fate is not Fate.SENT]
