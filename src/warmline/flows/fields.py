"""What a trigger passes, from the ledger's present state.

The values are looked up when the action is carried out and not when it is planned: an old event
that is handled late then writes what is true now, and never overwrites a newer value (I6).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime

from warmline.core.events import ApplicationStatus, EventKind, InterviewStatus
from warmline.store.models import Application, Candidate, CandidateEmail, Event, Interview


@dataclass(slots=True)
class Known:
    """A candidate with what hangs on it, in order of use."""

    candidate: Candidate
    emails: list[str]
    applications: list[Application]
    interviews: dict[int, list[Interview]]

    @property
    def latest(self) -> Application | None:
        """The application that was submitted last."""
        real = [
            a
            for a in self.applications
            if not a.prospect and a.status != ApplicationStatus.DELETED and a.applied_at
        ]
        return max(real, key=lambda a: (a.applied_at or a.as_of, a.pk), default=None)

    @property
    def moved(self) -> Application | None:
        """The application in which something happened last: its stage or an interview changed."""
        staged = [a for a in self.applications if a.stage_as_of is not None]
        return max(staged, key=lambda a: (self._last_move(a), a.pk), default=None)

    def _last_move(self, application: Application) -> datetime:
        appointments = (i.as_of for i in self.interviews.get(application.pk, []))
        return max([application.stage_as_of or application.as_of, *appointments])


def known(candidate_ids: Iterable[int]) -> dict[int, Known]:
    """Everything about these candidates in six queries."""
    ids = set(candidate_ids)
    found = {c.pk: Known(c, [], [], {}) for c in Candidate.objects.filter(pk__in=ids)}
    emails = CandidateEmail.objects.filter(candidate__in=ids)
    for candidate_id, email in emails.order_by(*CandidateEmail.PREFERRED_FIRST).values_list(
        "candidate_id", "normal"
    ):
        found[candidate_id].emails.append(email)
    # Many applications are for one job: it is read once and not with each of them.
    applications = Application.objects.filter(candidate__in=ids).prefetch_related("job", "stage")
    owner: dict[int, Known] = {}
    for application in applications:
        one = found[application.candidate_id]
        one.applications.append(application)
        owner[application.pk] = one
    for interview in Interview.objects.filter(application__in=owner).order_by("starts_at", "id"):
        if interview.application_id is not None:
            one = owner[interview.application_id]
            one.interviews.setdefault(interview.application_id, []).append(interview)
    return found


def values(
    one: Known,
    names: Iterable[str],
    now: datetime,
    *,
    event: Event | None = None,
    own_tags: Collection[str] = (),
) -> dict[str, str]:
    """The named fields (`core.actions.FIELDS`) as text, dates in ISO 8601; what is not known is
    left out, so that it never empties a field on the other side. `event`: the one that asked, for
    what it alone can tell. `own_tags`: Warmline's, in lower case, which are no skills."""
    candidate, latest, moved = one.candidate, one.latest, one.moved
    interview = next_interview(one, moved, now)
    all_values = {
        "name": candidate.name,
        "email": one.emails[0] if one.emails else "",
        "applied_role": latest.job.title if latest and latest.job else "",
        "application_date": _date(latest.applied_at if latest else None),
        "recruiter_owner": candidate.owner_email or candidate.owner_name,
        "stage": moved.stage.name if moved and moved.stage else "",
        "interview_date": _moment(interview.starts_at if interview else None),
        "interviewer": _names(interview),
        "rejection_date": _date(latest.rejected_at if latest else None),
        "skill_tags": ", ".join(sorted(t for t in candidate.tags if t.casefold() not in own_tags)),
        **(_told(event) if event is not None else {}),
    }
    chosen = {name: all_values[name] for name in names if all_values.get(name)}
    if "name" in chosen:
        chosen["first_name"], chosen["last_name"] = candidate.first_name, candidate.last_name
    return chosen


def _told(event: Event) -> dict[str, str]:
    """What only the event can tell (`core.actions.OF_THE_EVENT`)."""
    if event.kind in (EventKind.CANDIDATE_UNSUBSCRIBED, EventKind.CONSENT_WITHDRAWN):
        return {"unsubscribe_date": _date(event.occurred_at)}
    return {
        "click_date": _moment(event.occurred_at.replace(microsecond=0)),
        "email_subject": event.fields.get("email_subject", ""),
        "link_url": event.fields.get("link_url", ""),
    }


def next_interview(one: Known, application: Application | None, now: datetime) -> Interview | None:
    """The application's next interview, or its last one where none is to come."""
    if application is None:
        return None
    timed = [
        i
        for i in one.interviews.get(application.pk, [])
        if i.starts_at is not None and i.status != InterviewStatus.CANCELLED
    ]
    coming = [i for i in timed if i.starts_at is not None and i.starts_at >= now]
    return coming[0] if coming else timed[-1] if timed else None


def _names(interview: Interview | None) -> str:
    people = interview.interviewers if interview else []
    return ", ".join(person["name"] for person in people if person.get("name"))


def _date(moment: datetime | None) -> str:
    return moment.date().isoformat() if moment else ""


def _moment(moment: datetime | None) -> str:
    return moment.isoformat().replace("+00:00", "Z") if moment else ""
