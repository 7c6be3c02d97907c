"""Open roles that fit somebody, from the jobs that the ledger knows.

No connector says which jobs are open, so one counts as open that somebody applied for, or moved on
in, within the last 90 days, and that still has an application in its pipeline. It fits by its title
and department: a word in common with the jobs they applied for, with their tags or their employer's
trade, or the same department; one at another office than theirs comes after one at the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from warmline.core.events import ApplicationStatus
from warmline.flows.fields import Known
from warmline.store.models import Application, Job

OPEN_FOR = timedelta(days=90)
ROLES_MAX = 3
JOBS_MAX = 5_000
_WORD = re.compile(r"[^\W\d_]{3,}")
# Words of a title that say nothing of the trade.
_EMPTY = frozenset(
    {
        *("and", "the", "for", "with", "senior", "junior", "lead", "head", "principal", "staff"),
        *("intern", "trainee", "assistant", "associate", "manager", "director", "specialist"),
        *("team", "full", "part", "time", "remote", "hybrid", "all", "genders", "und", "der"),
        *("die", "das", "für", "leiter", "leiterin", "mitarbeiter"),
    }
)


@dataclass(frozen=True, slots=True)
class OpenRole:
    """`words` are those of title and department that say something."""

    job_id: int
    title: str
    department: str
    place: str
    words: frozenset[str]


def open_roles(now: datetime) -> list[OpenRole]:
    """Every job that counts as open, the one that moved last first."""
    since = now - OPEN_FOR
    rows = Application.objects.filter(
        Q(applied_at__gte=since) | Q(moved_at__gte=since),
        status=ApplicationStatus.ACTIVE,
        prospect=False,
        job__isnull=False,
    )
    jobs = Job.objects.filter(pk__in=rows.values("job")).order_by("-pk")[:JOBS_MAX]
    return [
        OpenRole(job.pk, job.title, job.department, job.office, _words(job.title, job.department))
        for job in jobs
    ]


def fitting(
    one: Known, roles: Sequence[OpenRole], careers_url: str, own_tags: Iterable[str] = ()
) -> list[dict[str, str]]:
    """The best few for this person, as letters and branches see them; none is a true answer."""
    tried = {a.job_id for a in one.applications}
    jobs = [a.job for a in one.applications if a.job is not None]
    own = {tag.casefold() for tag in own_tags}
    skills = _words(*(tag for tag in one.candidate.tags if tag.casefold() not in own))
    trade = _words(*(job.title for job in jobs)) | skills
    departments = {job.department.casefold() for job in jobs if job.department}
    places = {p.casefold() for p in (one.candidate.place, *(job.office for job in jobs)) if p}
    scored = []
    for role in roles:
        common = len(role.words & trade)
        same = 2 if role.department and role.department.casefold() in departments else 0
        if role.job_id in tried or not common + same:
            continue
        near = any(role.place and role.place.casefold() in place for place in places)
        scored.append((-(common + same), not near, role.job_id, role))
    return [
        {
            "title": role.title,
            "department": role.department,
            "place": role.place,
            "url": careers_url,
        }
        for *_, role in sorted(scored)[:ROLES_MAX]
    ]


def _words(*texts: str) -> frozenset[str]:
    found = (word.casefold() for text in texts for word in _WORD.findall(text))
    return frozenset(word for word in found if word not in _EMPTY)
