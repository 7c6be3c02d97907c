"""What waits because a person said so: a trigger, a connection, a sequence, or all of it.

Paused work stays where it is, planned and due, and goes on after `resume`. Each claim asks, in its
own transaction, what may go on, and so does each hand-over of a mail: a pause holds from the next
one on. Webhooks are received and read meanwhile, or an opt-out would wait too.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError
from django.db.models import QuerySet

from warmline.core.errors import WarmlineError
from warmline.flows.runtime import Runtime
from warmline.store.db import writing
from warmline.store.models import Action, DuplicateReport, Enrolment, Message, Pause
from warmline.store.queries import open_pauses
from warmline.store.statuses import ActionStatus, EnrolmentStatus, MessageStatus, PauseScope

log = logging.getLogger("warmline.pauses")

_ACTIONS = (ActionStatus.PLANNED, ActionStatus.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Paused:
    """What is paused at one moment. Each method leaves of the rows those that may go on; `mail` is
    the connection that mails leave by."""

    everything: bool = False
    triggers: frozenset[str] = frozenset()
    connections: frozenset[str] = frozenset()
    sequences: frozenset[str] = frozenset()

    def connection(self, name: str) -> bool:
        """Whether nothing goes to this connection, and nobody polls it."""
        return self.everything or name in self.connections

    def trigger(self, name: str) -> bool:
        return name[:100] in self.triggers

    def sequence(self, name: str, mail: str) -> bool:
        """Whether the mails of this sequence wait."""
        return self.connection(mail) or name in self.sequences

    def actions(self, rows: QuerySet[Action]) -> QuerySet[Action]:
        if self.everything:
            return rows.none()
        if self.connections:
            rows = rows.exclude(target__in=self.connections)
        return rows.exclude(trigger__in=self.triggers) if self.triggers else rows

    def messages(self, rows: QuerySet[Message], mail: str) -> QuerySet[Message]:
        if self.connection(mail):
            return rows.none()
        return rows.exclude(enrolment__sequence__in=self.sequences) if self.sequences else rows

    def enrolments(self, rows: QuerySet[Enrolment], mail: str) -> QuerySet[Enrolment]:
        """Steps wait with their mails: planned meanwhile, they would leave all at once after it."""
        if self.connection(mail):
            return rows.none()
        return rows.exclude(sequence__in=self.sequences) if self.sequences else rows


def paused() -> Paused:
    """What is paused now, in one small query."""
    return of(open_pauses())


def of(rows: Iterable[tuple[str, str]]) -> Paused:
    """These pauses, each by scope and name."""
    by_scope: dict[str, set[str]] = {}
    for scope, name in rows:
        by_scope.setdefault(scope, set()).add(name)
    return Paused(
        everything=PauseScope.ALL in by_scope,
        triggers=frozenset(by_scope.get(PauseScope.TRIGGER, ())),
        connections=frozenset(by_scope.get(PauseScope.CONNECTION, ())),
        sequences=frozenset(by_scope.get(PauseScope.SEQUENCE, ())),
    )


def standing() -> list[Pause]:
    """The open pauses, oldest first."""
    return list(Pause.objects.filter(until=None).order_by("since", "id"))


def history() -> list[Pause]:
    """Every pause there was, newest first."""
    return list(Pause.objects.order_by("-since", "-id"))


def called(scope: str, name: str) -> str:
    """As people say it: `trigger 'new applicant'`, or `everything`."""
    return "everything" if scope == PauseScope.ALL else f"{scope} {name!r}"


def names(runtime: Runtime, scope: PauseScope) -> list[str]:
    """What may be paused by name."""
    if scope is PauseScope.TRIGGER:
        return [trigger.name for trigger in runtime.project.triggers.triggers]
    if scope is PauseScope.CONNECTION:
        return list(runtime.project.connections)
    return list(runtime.project.sequences) if scope is PauseScope.SEQUENCE else []


def pause(
    runtime: Runtime,
    scope: PauseScope,
    name: str = "",
    *,
    why: str,
    by: str,
    deduplication: bool = False,
) -> Pause:
    """From now on. Raises WarmlineError for what there is not, or what is paused already."""
    if not why.strip():
        raise WarmlineError("a pause needs a reason", hint='say it with --why "…"')
    if scope is not PauseScope.ALL and name not in names(runtime, scope):
        raise WarmlineError(
            f"there is no {scope} {name!r}; expected one of {names(runtime, scope)}"
        )
    if deduplication:
        if scope not in (PauseScope.ALL, PauseScope.CONNECTION):
            raise WarmlineError("a deduplication pause is of --all or of a --connection")
        if not runtime.connections_that("merges_contacts"):
            raise WarmlineError("no connection of this project can be searched for duplicates")
    row = Pause(
        scope=scope,
        name=name[:100],
        why=why.strip(),
        by=by[:64],
        since=runtime.now(),
        deduplication=deduplication,
    )
    try:
        with writing():
            row.save()
    except IntegrityError:
        was = Pause.objects.get(scope=scope, name=name[:100], until=None)
        raise WarmlineError(
            f"{called(scope, name)} is paused already, since {was.since:%Y-%m-%d %H:%M}Z "
            f"by {was.by}: {was.why}"
        ) from None
    log.warning("action=paused scope=%s name=%s by=%s", scope, name, by)
    return row


def resume(
    runtime: Runtime,
    scope: PauseScope,
    name: str = "",
    *,
    by: str,
    why: str = "",
    despite: str = "",
) -> Pause:
    """End a pause. One for deduplication ends only once each CRM was searched since it began, and
    has no duplicates left; or `despite` them, for the reason given. Raises WarmlineError."""
    row = Pause.objects.filter(scope=scope, name=name[:100], until=None).first()
    if row is None:
        said = ", ".join(called(one.scope, one.name) for one in standing())
        raise WarmlineError(
            f"{called(scope, name)} is not paused",
            hint=f"paused: {said}" if said else "nothing is paused",
        )
    if despite and not row.deduplication:
        raise WarmlineError(
            f"{called(scope, name)} is not paused for deduplication; --despite has no meaning here"
        )
    if row.deduplication and not despite.strip() and (lacking := unconfirmed(runtime, row)):
        raise WarmlineError(
            f"the deduplication is not confirmed: {'; '.join(lacking)}",
            hint="`warmline merge crm` reports, `--apply` merges; run it once more to confirm, "
            'or resume with --despite "the reason"',
        )
    with writing():
        ended = Pause.objects.filter(pk=row.pk, until=None).update(
            until=runtime.now(),
            ended_by=by[:64],
            ended_why=f"despite duplicates: {despite.strip()}" if despite else why.strip(),
        )
    if not ended:
        raise WarmlineError(f"{called(scope, name)} was resumed by somebody else just now")
    log.warning("action=resumed scope=%s name=%s by=%s", scope, name, by)
    row.refresh_from_db()
    return row


def last_report(connection: str, since: datetime) -> DuplicateReport | None:
    reports = DuplicateReport.objects.filter(connection=connection, made_at__gte=since)
    return reports.order_by("-made_at", "-id").first()


def unconfirmed(runtime: Runtime, row: Pause) -> list[str]:
    """What keeps a deduplication pause from ending, a sentence a CRM."""
    lacking = []
    for name in runtime.connections_that("merges_contacts"):
        report = last_report(name, row.since)
        if report is None:
            lacking.append(f"{name} has not been searched since the pause began")
        elif report.duplicates:
            lacking.append(
                f"{name} had {report.duplicates:,} duplicate contacts when it was searched at "
                f"{report.made_at:%Y-%m-%d %H:%M}Z"
            )
    return lacking


@dataclass(frozen=True, slots=True)
class Waiting:
    """How much a pause keeps: what would be done now without it."""

    actions: int
    mails: int
    steps: int


def waiting(runtime: Runtime, row: Pause) -> Waiting:
    """What this pause alone would keep, whatever else is paused."""
    now, mail = runtime.now(), runtime.project.file.mail.connection
    alone = of([(row.scope, row.name)])
    actions = Action.objects.filter(status__in=_ACTIONS, due_at__lte=now)
    mails = Message.objects.filter(status=MessageStatus.PLANNED, due_at__lte=now)
    steps = Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE, next_due_at__lte=now)
    return Waiting(
        _kept(actions, alone.actions(actions)),
        _kept(mails, alone.messages(mails, mail)),
        _kept(steps, alone.enrolments(steps, mail)),
    )


def _kept(rows: QuerySet[Any], going: QuerySet[Any]) -> int:
    return rows.count() - going.count()
