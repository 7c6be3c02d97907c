"""When a step is due for somebody: on the day that the sequence says, at the hour at which they
were enrolled, inside its window, where they are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

from warmline.config.project import Project
from warmline.core.sequences import Sequence, Step, StepClass
from warmline.core.timing import due, local_day, next_fit
from warmline.flows.whereabouts import is_holiday, where_is
from warmline.store.models import Application, Candidate


@dataclass(frozen=True, slots=True)
class Timetable:
    """The clock and the calendar of one person."""

    zone: ZoneInfo
    holiday: Callable[[date], bool]

    @classmethod
    def of(
        cls, project: Project, candidate: Candidate, application: Application | None
    ) -> Timetable:
        job = application.job if application is not None else None
        place = where_is(project, candidate, job.office if job is not None else "")
        return cls(place.clock, partial(is_holiday, place.country))

    def due(self, sequence: Sequence, step: Step, enrolled_at: datetime) -> datetime:
        """A receipt of day 0 answers what they did, and leaves at once, whatever the hour."""
        if step.day == 0 and step.step_class is StepClass.TRANSACTIONAL:
            return enrolled_at
        return due(enrolled_at, step.day, self.zone, sequence.window, self.holiday)

    def after(self, sequence: Sequence, step: Step, before: Step | None, now: datetime) -> datetime:
        """When this step is due at its distance from the one before, which is late, or from the
        enrolment: nobody gets two letters at once after a pause or an outage."""
        days = step.day - (before.day if before is not None else 0)
        moment = local_day(now, days, self.zone) if days > 0 else now + timedelta(days=1)
        return next_fit(moment, self.zone, sequence.window, self.holiday)

    def fit(self, sequence: Sequence, step: Step, moment: datetime) -> datetime:
        """The moment itself, or the next one that is inside the window."""
        if step.day == 0 and step.step_class is StepClass.TRANSACTIONAL:
            return moment
        return next_fit(moment, self.zone, sequence.window, self.holiday)
