"""Sequences of mails: steps by day, classes, versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class StepClass(StrEnum):
    """The law's distinction: it decides what may hold a mail back."""

    TRANSACTIONAL = "transactional"  # answers something the candidate did: an application receipt
    MARKETING = "marketing"  # nurture: one-click unsubscribe, consent, and holds apply


@dataclass(frozen=True, slots=True)
class Step:
    """`number` counts from 1; `day` is whole days after the enrolment."""

    number: int
    day: int
    name: str
    step_class: StepClass


@dataclass(frozen=True, slots=True)
class Sequence:
    """`version` is a hash of every file of the sequence: other content, other version.

    `enrol_within_days`: an application older than this when it reaches us by poll or import is
    not welcomed: a mail that thanks for last year's application does harm.
    """

    name: str
    title: str
    version: str
    steps: tuple[Step, ...]
    enrol_within_days: float = 2.0

    def step(self, number: int) -> Step | None:
        return self.steps[number - 1] if 0 < number <= len(self.steps) else None

    def due_at(self, step: Step, enrolled_at: datetime) -> datetime:
        return enrolled_at + timedelta(days=step.day)
