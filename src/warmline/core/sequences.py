"""Sequences of mails: steps by day, classes, branches, variants, a monthly end, and who may be on
which when."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from warmline.core.conditions import Condition
from warmline.core.timing import Window

MONTHLY = "monthly"  # the name of every step that the library continues with
HELD_BACK = "holdout"  # the variant of whoever gets no mail of a step, to compare
# What `when:` and `hold:` of a sequence may speak of, with an example of each.
STEP_SPEAKS_OF: Mapping[str, Any] = {
    "candidate": {"name": "Ada Lind", "tags": ["python"], "place": "Lisbon"},
    "application": {"status": "rejected", "reached": "final", "role": "Baker"},
    "job": {"title": "Baker", "department": "Kitchen", "office": "Lisbon"},
    "segment": "silver_medalist",
    "roles": [
        {
            "title": "Baker",
            "department": "Kitchen",
            "office": "Lisbon",
            "place": "Lisbon",
            "url": "",
        }
    ],
    "enrolment": {"day": 60, "sequence": "silver-medalist"},
}


class StepClass(StrEnum):
    """The law's distinction: it decides what may hold a mail back."""

    TRANSACTIONAL = "transactional"  # answers something the candidate did: an application receipt
    MARKETING = "marketing"  # nurture: one-click unsubscribe, consent, and holds apply


class Exit(StrEnum):
    """What ends an enrolment early, besides an opt-out, which ends each."""

    REPLIED = "replied"  # they answered one of its mails
    REENGAGED = "reengaged"  # they said "keep me posted", or came back by a confirmed act
    HIRED = "hired"  # they are colleagues now
    ACTIVE_ELSEWHERE = "active_elsewhere"  # another application of theirs is in a pipeline
    REJECTED = "rejected"  # the application that they are on it for is over


@dataclass(frozen=True, slots=True)
class Branch:
    """The letter of a step for whom `when` holds; None holds for everybody."""

    letter: str
    when: Condition | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """`number` counts from 1; `day` is whole local days after the enrolment. `branches` and
    `variants` (name, letter) are two ways to choose among letters, and a step has one of them at
    most; `holdout` is the share that gets none. Letters are named by their files."""

    number: int
    day: int
    name: str
    step_class: StepClass
    branches: tuple[Branch, ...] = ()
    variants: tuple[tuple[str, str], ...] = ()
    holdout: float = 0.0

    @property
    def monthly(self) -> bool:
        return self.name == MONTHLY


@dataclass(frozen=True, slots=True)
class Monthly:
    """What a sequence goes on with after its last step, every so many days: a piece of the library
    that the person has never had. `pieces` in the order in which they are given."""

    step_class: StepClass
    from_day: int
    every_days: int
    pieces: tuple[str, ...]
    topics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sequence:
    """`version` is a hash of every file of the sequence: other content, other version.

    `enrol_within_days`: an application older than this when it reaches us by poll or import is
    not welcomed: a mail that thanks for last year's application does harm. `reentry_days`: so long
    after a run ended another one may begin; None: never. Of two sequences that want one person the
    one of higher `priority` goes first. `target` is the CRM connection that it lives in, with its
    `host`; empty where it lives here.
    """

    name: str
    title: str
    version: str
    steps: tuple[Step, ...]
    enrol_within_days: float = 2.0
    priority: int = 0
    reentry_days: int | None = None
    exits: frozenset[Exit] = frozenset()
    hold: Condition | None = None
    window: Window | None = None
    monthly: Monthly | None = None
    target: str = ""
    host: Mapping[str, str] = field(default_factory=dict)

    def step(self, number: int) -> Step | None:
        """The step of this number; those after the last one are the library's."""
        if 0 < number <= len(self.steps):
            return self.steps[number - 1]
        if self.monthly is None or number <= 0:
            return None
        later = number - len(self.steps) - 1
        day = self.monthly.from_day + later * self.monthly.every_days
        return Step(number, day, MONTHLY, self.monthly.step_class)


def arm(step: Step, key: str) -> str:
    """Which arm of a step's experiment somebody is in, the same each time it is asked: the name of
    a variant, `holdout`, or empty where there is no experiment. `key` names sequence, step and
    person; its hash is spread evenly, so that the arms are."""
    if not step.variants and not step.holdout:
        return ""
    point = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    if point < step.holdout:
        return HELD_BACK
    if not step.variants:
        return ""
    place = (point - step.holdout) / (1 - step.holdout)
    return step.variants[min(int(place * len(step.variants)), len(step.variants) - 1)][0]


def letter(step: Step, variant: str, context: Mapping[str, Any]) -> str:
    """The name of the letter that a step is for somebody: by their arm, or by the first branch that
    holds; empty where no branch does."""
    if step.variants:
        return dict(step.variants).get(variant) or step.variants[0][1]
    if not step.branches:
        return step.name
    return next((b.letter for b in step.branches if b.when is None or b.when.holds(context)), "")


def next_piece(monthly: Monthly, had: Collection[str], topics_off: Collection[str]) -> str:
    """The first piece of the library that the person has not had and does not mind; empty where
    none is left."""
    off = set(topics_off)
    return next(
        (p for p in monthly.pieces if p not in had and monthly.topics.get(p, "") not in off), ""
    )
