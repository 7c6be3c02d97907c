"""Facts into the ledger: who is meant, what is new, what is stale. One instance a batch.

The caller holds the transaction, asks for each event in order, and flushes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from warmline.core.events import (
    ApplicationFacts,
    ApplicationStatus,
    EventKind,
    InterviewFacts,
    InterviewStatus,
    JobFacts,
    StageFacts,
)
from warmline.core.segments import furthest
from warmline.flows.batch import Applied, Batch, Heard, clean
from warmline.flows.people import People
from warmline.store.models import Application, Candidate, Interview, Job, Stage
from warmline.store.statuses import EventEffect

# These say that something happened, whether or not a column of ours changes by it.
_ALWAYS_APPLIED = frozenset(
    {
        EventKind.APPLICATION_SUBMITTED,
        EventKind.SCORECARD_SUBMITTED,
        EventKind.MESSAGE_BOUNCED,
        EventKind.MESSAGE_COMPLAINED,
        EventKind.MESSAGE_OPENED,
        EventKind.MESSAGE_CLICKED,
        EventKind.MESSAGE_REPLIED,
        EventKind.CANDIDATE_UNSUBSCRIBED,
        EventKind.CANDIDATE_REENGAGED,
        EventKind.CONSENT_GIVEN,
        EventKind.CONSENT_WITHDRAWN,
    }
)


_OF_PERSON = frozenset(
    {EventKind.CANDIDATE_UPDATED, EventKind.CANDIDATE_MERGED, EventKind.CANDIDATE_DELETED}
)


def _buried(row: Application, heard: Heard) -> bool:
    """Deleted: only news with a later time of its own brings it back. That something arrived late
    proves nothing."""
    late = heard.event.occurred_at is not None and heard.at > row.as_of
    return row.status == ApplicationStatus.DELETED and not late


# These say that an application moved: where it did not, nothing happened.
_MOVES = frozenset(
    {
        EventKind.APPLICATION_STAGE_CHANGED,
        EventKind.APPLICATION_REJECTED,
        EventKind.APPLICATION_HIRED,
    }
)


class Facts:
    """`own_tags` are those that Warmline writes itself, in lower case: that they come back with a
    record is no news (I7). `wins`: the fields that this connection is the authority on."""

    def __init__(
        self,
        connection: str,
        *,
        is_crm: bool,
        heard: Sequence[Heard],
        own_tags: Collection[str] = (),
        wins: Collection[str] = (),
    ) -> None:
        self._connection = connection
        self._batch = Batch(connection, heard)
        self._people = People(self._batch, is_crm=is_crm, own_tags=own_tags, wins=wins)

    @property
    def addressed(self) -> list[Candidate]:
        """Candidates known before who got an address."""
        return [self._batch.one(candidate) for candidate in self._people.addressed]

    @property
    def joined(self) -> list[Candidate]:
        """Candidates into whom others were folded."""
        return list({c.pk: c for c in map(self._batch.one, self._people.joined)}.values())

    @property
    def recorded(self) -> list[Candidate]:
        """Candidates known before of whom there is a record more."""
        return [self._batch.one(candidate) for candidate in self._people.recorded]

    @property
    def learned(self) -> set[str]:
        """Ids of the records that these events made known."""
        return self._batch.learned

    def flush(self) -> None:
        """Write it all; then join those of whom it is certain now that they are one person."""
        self._batch.flush()
        self._people.look_alike()

    def standing(self, candidate: Candidate | None) -> Candidate | None:
        """The candidate who stands for this one, merges of this batch included."""
        return None if candidate is None else self._batch.one(candidate)

    def apply(self, heard: Heard) -> Applied:
        event = heard.event
        applied = Applied(EventEffect.NO_CHANGE, event.kind)
        if event.kind is EventKind.UNKNOWN:
            applied.effect = EventEffect.UNKNOWN
            return applied
        person_changed = event.candidate is not None and self._people.apply(
            heard, event.candidate, applied
        )
        gone = applied.candidate is not None and applied.candidate.erased_at is not None
        if event.application is not None and not gone:
            self._application(heard, event.application, applied)
        if event.interview is not None and not gone:
            self._interview(heard, event.interview, applied)
        if person_changed and applied.effect is not EventEffect.APPLIED:
            self._only_the_person(applied)
        if applied.candidate is None:
            applied.effect = EventEffect.UNKNOWN
        elif self._of_deleted(event.kind, applied) or (
            gone and event.kind is not EventKind.CANDIDATE_DELETED
        ):
            applied.effect = EventEffect.STALE
        elif self._said_before(heard, applied):
            applied.effect = EventEffect.NO_CHANGE
        elif event.kind in _ALWAYS_APPLIED:
            applied.effect = EventEffect.APPLIED
        return applied

    def _said_before(self, heard: Heard, applied: Applied) -> bool:
        """A poll tells again and again that somebody opted out, and not when: said once, that is
        no news."""
        event, candidate = heard.event, applied.candidate
        return (
            event.kind is EventKind.CANDIDATE_UNSUBSCRIBED
            and event.occurred_at is None
            and candidate is not None
            and bool(candidate.opted_out)
        )

    def _only_the_person(self, applied: Applied) -> None:
        """A second word of a move that is known already, with something new about the person: it
        must not set the move's triggers off again."""
        if applied.kind not in _MOVES:
            applied.effect = EventEffect.APPLIED
        elif applied.effect is EventEffect.NO_CHANGE:
            applied.effect, applied.kind = EventEffect.APPLIED, EventKind.CANDIDATE_UPDATED

    def _of_deleted(self, kind: EventKind, applied: Applied) -> bool:
        """News of a deleted application moves nobody; what it says of the person is told."""
        row = applied.application
        deleted = row is not None and row.status == ApplicationStatus.DELETED
        return deleted and kind not in _OF_PERSON

    def _application(self, heard: Heard, facts: ApplicationFacts, applied: Applied) -> None:
        batch = self._batch
        row = batch.applications.get(facts.external_id)
        made = row is None
        if row is None:
            if applied.candidate is None:
                if facts.status is ApplicationStatus.DELETED:
                    batch.deleted_applications[facts.external_id] = heard.at
                return
            row = batch.applications[facts.external_id] = batch.add(
                Application(
                    candidate=applied.candidate,
                    connection=self._connection,
                    external_id=facts.external_id[:128],
                    as_of=heard.at,
                )
            )
            if facts.external_id in batch.deleted_applications:
                row.as_of = batch.deleted_applications[facts.external_id]
                row.status = ApplicationStatus.DELETED
        applied.application = row
        applied.candidate = applied.candidate or row.candidate
        newer = heard.at >= row.as_of
        said: dict[str, Any] = {
            "job": self._job(facts.job) if facts.job else None,
            "applied_at": facts.applied_at,
            "url": clean(facts.url, 1000),
        }
        wanted = {k: v for k, v in said.items() if v and (newer or not getattr(row, k))}
        if newer and facts.status is not None and not _buried(row, heard):
            # Only what tells how it stands moves its clock: an interview's mere mention of it
            # must not make a rejection that is on its way look old.
            batch.set(row, as_of=heard.at)
            wanted |= {
                "status": facts.status.value,
                "rejected_at": facts.rejected_at,
                "prospect": facts.prospect,
            }
        if batch.set(row, **wanted) or made:
            applied.effect = EventEffect.APPLIED
        elif not newer and applied.effect is EventEffect.NO_CHANGE:
            applied.effect = EventEffect.STALE
        if facts.stage is not None:
            self._stage_move(heard, facts.stage, row, applied)

    def _stage_move(
        self, heard: Heard, facts: StageFacts, row: Application, applied: Applied
    ) -> None:
        moved_event = applied.kind is EventKind.APPLICATION_STAGE_CHANGED
        if row.stage_as_of is not None and heard.at < row.stage_as_of:
            kind = facts.kind.value if facts.kind else ""
            self._batch.set(row, reached=furthest(row.reached, kind))  # it did stand there once
            if moved_event:
                applied.effect = EventEffect.STALE
            return
        stage = self._stage(facts)
        changed = self._batch.set(row, stage=stage)
        self._batch.set(row, stage_as_of=heard.at, reached=furthest(row.reached, stage.kind or ""))
        if changed:  # that it still stands there is no sign of life
            self._batch.set(row, moved_at=heard.at)
        if moved_event and applied.effect is not EventEffect.APPLIED:
            applied.effect = EventEffect.APPLIED if changed else EventEffect.NO_CHANGE

    def _job(self, facts: JobFacts) -> Job:
        batch = self._batch
        row = batch.jobs.get(facts.external_id)
        said = {
            "title": clean(facts.title, 300),
            "department": clean(facts.department, 200),
            "office": clean(facts.office, 200),
        }
        if row is None:
            row = batch.jobs[facts.external_id] = batch.add(
                Job(connection=self._connection, external_id=facts.external_id[:128], **said)
            )
        else:
            batch.set(row, **{k: v for k, v in said.items() if v})
        return row

    def _stage(self, facts: StageFacts) -> Stage:
        batch = self._batch
        row = batch.stages.get(facts.external_id)
        said = {"name": clean(facts.name, 200), "kind": facts.kind.value if facts.kind else None}
        if row is None:
            row = batch.stages[facts.external_id] = batch.add(
                Stage(connection=self._connection, external_id=facts.external_id[:128], **said)
            )
        else:
            batch.set(row, **said)
        return row

    def _interview(self, heard: Heard, facts: InterviewFacts, applied: Applied) -> None:
        batch = self._batch
        row = batch.interviews.get(facts.external_id)
        application = batch.applications.get(facts.application_id)
        made = row is None
        if row is None:
            if application is None:
                return  # an interview of an application that we never heard of
            row = batch.interviews[facts.external_id] = batch.add(
                Interview(
                    application=application,
                    connection=self._connection,
                    external_id=facts.external_id[:128],
                    interviewers=[],
                    as_of=heard.at,
                )
            )
        applied.interview = row
        applied.application = application or row.application
        if applied.application is not None and applied.candidate is None:
            applied.candidate = batch.one(applied.application.candidate)
        if heard.at < row.as_of:
            applied.effect = EventEffect.STALE
            return
        self._appointment(heard, facts, row, applied, made=made)

    def _appointment(
        self, heard: Heard, facts: InterviewFacts, row: Interview, applied: Applied, *, made: bool
    ) -> None:
        batch = self._batch
        batch.set(row, as_of=heard.at)
        changed_status = batch.set(row, status=facts.status.value)
        if facts.status is InterviewStatus.CANCELLED:
            if made or changed_status:
                applied.effect = EventEffect.APPLIED
            return
        changed = batch.set(
            row,
            starts_at=facts.starts_at,
            ends_at=facts.ends_at,
            location=clean(facts.location, 500),
            interviewers=[
                {"name": clean(p.name, 200), "email": clean(p.email, 254)}
                for p in facts.interviewers
            ],
        )
        if made or changed:
            applied.effect = EventEffect.APPLIED
        if changed and not made:
            # The vendor has one word for both: another hour, panel or place is a new appointment.
            applied.kind = EventKind.INTERVIEW_RESCHEDULED
