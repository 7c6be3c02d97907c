"""What ends an enrolment early, at the very event: a reply, a re-engagement, a hire, another
application that becomes active. What of it has not left never does, and whoever waited for it goes
on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from warmline.core.engagement import is_act
from warmline.core.events import ApplicationStatus, EventKind
from warmline.core.sequences import Exit
from warmline.flows.batch import Applied, Heard
from warmline.flows.delegation import take_off
from warmline.flows.runtime import Runtime
from warmline.flows.versions import sequence_of
from warmline.store.models import Application, Enrolment, Message
from warmline.store.statuses import OPEN, EnrolmentStatus, MessageStatus

REASONS = {
    Exit.REPLIED: "the candidate replied",
    Exit.REENGAGED: "the candidate is in touch again",
    Exit.HIRED: "hired",
    Exit.ACTIVE_ELSEWHERE: "another application is in a pipeline",
    Exit.REJECTED: "the application was rejected",
}
_ENDS = {
    EventKind.MESSAGE_REPLIED: Exit.REPLIED,
    EventKind.CANDIDATE_REENGAGED: Exit.REENGAGED,
    EventKind.APPLICATION_HIRED: Exit.HIRED,
    EventKind.APPLICATION_SUBMITTED: Exit.ACTIVE_ELSEWHERE,
    EventKind.APPLICATION_STAGE_CHANGED: Exit.ACTIVE_ELSEWHERE,
    EventKind.APPLICATION_REJECTED: Exit.REJECTED,
}


_NOT_LEFT = (MessageStatus.PLANNED, MessageStatus.CLAIMED)


@dataclass(frozen=True, slots=True)
class Ending:
    """Something happened that may end enrolments of this candidate. `application`: the one that it
    happened to."""

    candidate_id: int
    exit: Exit
    application_id: int | None = None


def ending(heard: Heard, applied: Applied) -> Ending | None:
    """What this event ends, where it ends anything."""
    found = _ENDS.get(applied.kind)
    candidate, application = applied.candidate, applied.application
    if found is None or candidate is None:
        return None
    if found in (Exit.REPLIED, Exit.REENGAGED) and not is_act(applied.kind, heard.event.fields):
        return None
    if found is Exit.ACTIVE_ELSEWHERE and not _in_a_pipeline(application):
        return None
    return Ending(candidate.pk, found, application.pk if application is not None else None)


def _in_a_pipeline(application: Application | None) -> bool:
    return (
        application is not None
        and application.status == ApplicationStatus.ACTIVE
        and not application.prospect
    )


def follow(runtime: Runtime, endings: Collection[Ending], now: datetime) -> list[Enrolment]:
    """End what these events end. The caller holds the transaction. Returns what was ended."""
    if not endings:
        return []
    # Of one that has finished, the last letter may not have left yet.
    unsent = Q(status=EnrolmentStatus.FINISHED, messages__status__in=_NOT_LEFT)
    rows = Enrolment.objects.filter(
        Q(status__in=OPEN) | unsent, candidate__in={one.candidate_id for one in endings}
    ).distinct()
    ended: dict[str, list[Enrolment]] = {}
    for row in rows:
        loaded = sequence_of(runtime.project, row)
        exits = loaded.sequence.exits if loaded is not None else frozenset()
        for one in endings:
            if one.candidate_id == row.candidate_id and one.exit in exits and _concerns(one, row):
                ended.setdefault(REASONS[one.exit], []).append(row)
                break
    for reason, mine in ended.items():
        end(mine, reason, now)
    return [row for mine in ended.values() for row in mine]


def _concerns(one: Ending, row: Enrolment) -> bool:
    """The application that somebody was enrolled for is not another one; it alone can be over."""
    same = one.application_id == row.application_id
    return {Exit.ACTIVE_ELSEWHERE: not same, Exit.REJECTED: same}.get(one.exit, True)


def state_exit(exits: Collection[Exit], row: Enrolment, rows: Iterable[Application]) -> Exit | None:
    """The last look, before a step: what the state says, though no event was heard of it."""
    there = list(rows)
    if Exit.HIRED in exits and any(a.status == ApplicationStatus.HIRED for a in there):
        return Exit.HIRED
    mine = next((a for a in there if a.pk == row.application_id), None)
    if Exit.REJECTED in exits and mine is not None and mine.status == ApplicationStatus.REJECTED:
        return Exit.REJECTED
    others = [a for a in there if _in_a_pipeline(a) and a.pk != row.application_id]
    return Exit.ACTIVE_ELSEWHERE if Exit.ACTIVE_ELSEWHERE in exits and others else None


def end(enrolments: Sequence[Enrolment], reason: str, now: datetime) -> None:
    """They end here: what of them has not left never does. The caller holds the transaction."""
    ids = [row.pk for row in enrolments]
    Enrolment.objects.filter(pk__in=ids).exclude(status=EnrolmentStatus.STOPPED).update(
        status=EnrolmentStatus.STOPPED, reason=reason, ended_at=now, next_due_at=None
    )
    for row in enrolments:
        row.status, row.reason, row.ended_at = EnrolmentStatus.STOPPED, reason, now
        row.next_due_at = None
    held_for_now = Q(status=MessageStatus.HELD, expires_at__isnull=False)
    Message.objects.filter(Q(status__in=_NOT_LEFT) | held_for_now, enrolment__in=ids).update(
        status=MessageStatus.HELD,
        reason=reason,
        claimed_by="",
        claim_until=None,
        expires_at=None,
    )
    take_off(enrolments, now)
