"""A simulation from its first moment to its figures. The process's ledger is a copy already."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta

from warmline.config.project import Project
from warmline.core.errors import WarmlineError
from warmline.flows import backfill, first_sync
from warmline.flows.everybody import survey
from warmline.flows.pauses import called, standing
from warmline.flows.runtime import Runtime
from warmline.flows.simulate.counting import close_mails, volumes, wanted_twice
from warmline.flows.simulate.findings import Fate, Mail, Simulation
from warmline.flows.simulate.gather import (
    Before,
    before,
    holds,
    log_holds,
    mails,
    people,
    stretches,
)
from warmline.flows.simulate.play import Clock, play, stretch_for
from warmline.flows.simulate.recorders import Handed, recording
from warmline.flows.simulate.without import Reasons, without
from warmline.store.db import writing
from warmline.store.models import Candidate, Delivery, Segmentation
from warmline.store.statuses import DeliveryStatus

DAYS_MAX = 1100  # three years
NOT_PLAYED = (
    "nobody applies, clicks, answers or unsubscribes, and no mail bounces: only the people in the "
    "ledger, and time"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """`backfill_months` is None where no backfill is simulated."""

    begins: datetime
    days: int
    within_days: float = 3
    backfill_months: int | None = None
    backfill_per_day: int = 100

    @property
    def ends(self) -> datetime:
        return self.begins + timedelta(days=self.days)


@dataclass(slots=True)
class Stage:
    """What one run is given: how to let the engine do what is due, who hears how far it is, and
    what ends it early."""

    settle: Callable[[Runtime], Callable[[], object]]
    told: Callable[[datetime], None] = lambda at: None
    stopping: threading.Event = field(default_factory=threading.Event)


def simulate(project: Project, asked: Asked, stage: Stage) -> Simulation:
    """Raises ConfigError for a project that cannot run, and WarmlineError for a ledger with nobody
    in it."""
    clock = Clock(asked.begins)
    runtime, recorders = recording(project, clock)
    runtime.stopping = stage.stopping
    found = Simulation(
        company=project.file.company,
        project=project.folder.name,
        begins=asked.begins,
        ends=asked.ends,
        within_days=asked.within_days,
        people=Candidate.objects.filter(merged_into=None, erased_at=None).count(),
        sequences={
            name: (loaded.sequence.title, loaded.sequence.version)
            for name, loaded in project.sequences.items()
        },
    )
    if not found.people:
        raise WarmlineError(
            "there is nobody in the ledger to simulate", hint="`warmline import`, or a first poll"
        )
    _prepare(runtime, asked, found)
    was = before()
    log_holds()
    found.stops = play(
        clock,
        asked.ends,
        stage.settle(runtime),
        stretch=stretch_for(_clocks(project)),
        stopping=stage.stopping,
        told=stage.told,
    )
    found.stopped = stage.stopping.is_set()
    if not found.stopped:
        handed = recorders[project.file.mail.connection].mails
        _read(runtime, asked, found, was, handed)
        found.actions = {name: dict(one.actions) for name, one in recorders.items() if one.actions}
    return found


def _clocks(project: Project) -> Iterator[time]:
    """The times of day at which a rule of the project begins or ends."""
    if quiet := project.file.policy.quiet_hours:
        yield from (quiet.opens, quiet.closes)
    for loaded in project.sequences.values():
        if window := loaded.sequence.window:
            yield from (window.opens, window.closes)


def _prepare(runtime: Runtime, asked: Asked, found: Simulation) -> None:
    """What must be so before mail leaves is made so, and said."""
    found.assumed.append(NOT_PLAYED)
    unread = Delivery.objects.filter(status=DeliveryStatus.RECEIVED)
    if waiting := unread.count():
        found.assumed.append(f"news that nobody has read yet is left out: {waiting:,} deliveries")
        unread.update(status=DeliveryStatus.INTERPRETED)
    if not first_sync.allowed(runtime):
        found.assumed.append("`warmline segment --apply` has run: everybody is in a segment")
        with writing():
            first_sync.allow(runtime.now())
    if Candidate.objects.filter(merged_into=None, segmentation=None).exists() or (
        Segmentation.objects.filter(next_at__lte=runtime.now()).exists()
    ):
        survey(runtime, write=True)
    for pause in standing():
        found.assumed.append(f"{called(pause.scope, pause.name)} stays paused: {pause.why}")
    if asked.backfill_months is not None:
        enrolling = backfill.silver(
            runtime, months=asked.backfill_months, per_day=asked.backfill_per_day, apply=True
        )
        found.enrolled_by_backfill = enrolling.by_day.total()
        found.assumed.append(
            f"`warmline backfill --apply` has run: {found.enrolled_by_backfill:,} silver "
            f"medalists, at most {asked.backfill_per_day:,} a day"
            if enrolling.sequence
            else "`warmline backfill` enrols nobody: no enabled trigger enrols silver medalists"
        )


def _read(
    runtime: Runtime, asked: Asked, found: Simulation, was: Before, handed: dict[int, Handed]
) -> None:
    reasons = Reasons.of(runtime)
    by_number: dict[int, Mail] = {}
    for low, high in stretches():
        there = people(runtime, low, high)
        mine = list(mails(there, was, handed, low, high, asked.ends))
        found.mails += mine
        by_number |= {mail.number: mail for mail in mine}
        mailed = {mail.candidate for mail in mine if mail.fate is Fate.SENT}
        kept = {mail.candidate: mail for mail in mine if mail.candidate not in mailed}
        found.without += without(reasons, there, low, high, mailed, kept)
    found.mails.sort(key=lambda mail: (mail.at, mail.candidate, mail.number))
    found.holds = holds(by_number)
    sent = found.sent
    found.collisions = close_mails(sent, asked.begins, asked.within_days)
    found.collisions += wanted_twice(sent, asked.begins)
    days = [(asked.begins + timedelta(days=n)).date() for n in range(asked.days + 1)]
    most = runtime.project.file.policy.senders
    found.senders = volumes(((mail.sender, mail.at.date()) for mail in sent), days, most.a_day)
    found.domains = volumes(
        ((mail.domain, mail.at.date()) for mail in sent), days, most.domain_a_day
    )
