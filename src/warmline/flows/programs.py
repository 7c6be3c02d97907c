"""What a batch of due steps asks of the ledger: read for all of them at once, and only when some
sequence asks for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

from django.db.models import Q

from warmline.config.sequences import LoadedSequence
from warmline.core.sequences import Monthly, Step
from warmline.flows.fields import Known, known
from warmline.flows.roles import OpenRole, fitting, open_roles
from warmline.flows.runtime import Runtime
from warmline.flows.versions import sequence_of
from warmline.store.models import Application, Enrolment, Message, Preference, Segmentation
from warmline.store.statuses import EnrolmentStatus, MessageStatus

# A piece that was planned and never left has not been had.
_HAD = (
    MessageStatus.PLANNED,
    MessageStatus.CLAIMED,
    MessageStatus.SENDING,
    MessageStatus.HANDED_OFF,
    MessageStatus.UNKNOWN,
)


class Programs:
    """One batch, at one moment."""

    def __init__(self, runtime: Runtime, due: Sequence[Enrolment], now: datetime) -> None:
        self._runtime, self._due, self._now = runtime, due, now
        self._ids = {row.candidate_id for row in due}

    @cached_property
    def _applications(self) -> dict[int, list[Application]]:
        found: dict[int, list[Application]] = defaultdict(list)
        for row in Application.objects.filter(candidate__in=self._ids):
            found[row.candidate_id].append(row)
        return found

    def applications(self, row: Enrolment) -> list[Application]:
        return self._applications[row.candidate_id]

    @cached_property
    def _people(self) -> dict[int, Known]:
        return known(self._ids)

    @cached_property
    def _segments(self) -> dict[int, str]:
        rows = Segmentation.objects.filter(candidate__in=self._ids)
        return dict(rows.values_list("candidate", "segment"))

    @cached_property
    def _open(self) -> list[OpenRole]:
        return open_roles(self._now)

    @cached_property
    def _others(self) -> dict[int, list[Enrolment]]:
        """The candidates' other active enrolments."""
        found: dict[int, list[Enrolment]] = defaultdict(list)
        for row in Enrolment.objects.filter(candidate__in=self._ids, status=EnrolmentStatus.ACTIVE):
            found[row.candidate_id].append(row)
        return found

    def outranked(self, row: Enrolment, priority: int) -> bool:
        """Whether another active enrolment of the person goes first: the higher priority, and of
        two equal ones the one that began first."""
        for other in self._others[row.candidate_id]:
            if other.pk == row.pk or other.status != EnrolmentStatus.ACTIVE:
                continue
            loaded = sequence_of(self._runtime.project, other)
            theirs = loaded.sequence.priority if loaded is not None else 0
            if (-theirs, other.enrolled_at, other.pk) < (-priority, row.enrolled_at, row.pk):
                return True
        return False

    @cached_property
    def _had(self) -> dict[int, set[str]]:
        found: dict[int, set[str]] = defaultdict(set)
        # What somebody had whom they were merged with, they have had.
        mine = Q(candidate__in=self._ids) | Q(candidate__merged_into__in=self._ids)
        rows = Message.objects.filter(mine, piece__contains="/", status__in=_HAD)
        for own, kept, piece in rows.values_list("candidate", "candidate__merged_into", "piece"):
            for candidate_id in (own, kept):
                if candidate_id is not None:
                    found[candidate_id].add(piece)
        return found

    def had(self, row: Enrolment) -> Collection[str]:
        """The pieces of libraries that the person has had, in whatever sequence."""
        return self._had[row.candidate_id]

    def library(self, row: Enrolment, loaded: LoadedSequence) -> Monthly | None:
        """As it is now, not as it was when the enrolment began."""
        present = self._runtime.project.sequences.get(row.sequence)
        now = present.sequence.monthly if present is not None else None
        return now or loaded.sequence.monthly

    @cached_property
    def _topics_off(self) -> dict[int, list[str]]:
        rows = Preference.objects.filter(candidate__in=self._ids)
        return dict(rows.values_list("candidate", "topics_off"))

    def topics_off(self, row: Enrolment) -> Collection[str]:
        return self._topics_off.get(row.candidate_id, ())

    def roles(self, row: Enrolment) -> list[dict[str, str]]:
        project = self._runtime.project
        one = self._people[row.candidate_id]
        return fitting(one, self._open, project.file.careers_url, self._runtime.own_tags)

    def context(self, row: Enrolment, loaded: LoadedSequence, step: Step) -> dict[str, Any]:
        """All of `core.sequences.STEP_SPEAKS_OF`."""
        one, application = self._people[row.candidate_id], row.application
        job = application.job if application is not None else None
        return {
            "candidate": {
                "name": one.candidate.name,
                "tags": list(one.candidate.tags),
                "place": one.candidate.place,
            },
            "application": {
                "status": str(application.status) if application is not None else "",
                "reached": application.reached if application is not None else "",
                "role": job.title if job is not None else "",
            },
            "job": {
                "title": job.title if job is not None else "",
                "department": job.department if job is not None else "",
                "office": job.office if job is not None else "",
            },
            "segment": self._segments.get(row.candidate_id, ""),
            "roles": self.roles(row),
            "enrolment": {"day": step.day, "sequence": loaded.sequence.name},
        }
