"""A candidate answered: their recruiter gets a mail that says what, and answers to the candidate.

It leaves within a tick of the news. A kill during the hand-over sends it again under the same
Message-ID, of which mail programs show one.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from warmline.core.actions import ActionKind
from warmline.core.candidates import normal_email
from warmline.core.errors import WarmlineError
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.core.retries import backoff_s, given_up
from warmline.core.triggers import OWN
from warmline.flows.batch import clean
from warmline.flows.incidents import open_incident
from warmline.flows.pauses import paused
from warmline.flows.runtime import Runtime
from warmline.kit.incoming.said import FROM, SUBJECT, TEXT
from warmline.ports import Envelope, MailSession
from warmline.store.db import writing
from warmline.store.models import Action
from warmline.store.statuses import ActionStatus

BATCH = 20
CLAIM_FOR = timedelta(seconds=180)
_WAITING = (ActionStatus.PLANNED, ActionStatus.UNKNOWN)


def tick(runtime: Runtime) -> int:
    """Tell of the answers that nobody was told of. Returns of how many."""
    now = runtime.now()
    waiting = Action.objects.filter(
        target=OWN, kind=ActionKind.RECRUITER_TELL, status__in=_WAITING, due_at__lte=now
    )
    if not waiting.exists():
        return 0
    with runtime.claiming() as token:
        with writing():
            rows = paused().actions(waiting.select_for_update(of=("self",), skip_locked=True))
            due = list(rows.select_related("candidate", "event__message").order_by("id")[:BATCH])
            Action.objects.filter(pk__in=[row.pk for row in due], status__in=_WAITING).update(
                status=ActionStatus.CLAIMED, claimed_by=token, claim_until=now + CLAIM_FOR
            )
        return _tell(runtime, due, token) if due else 0


def _tell(runtime: Runtime, due: list[Action], token: str) -> int:
    connector = runtime.connectors[runtime.project.file.mail.connection]
    session: MailSession | None = None
    told = 0
    try:
        for row in due:
            try:
                session = session or connector.open()
                outcome = session.send(envelope(runtime, row))
            except WarmlineError as error:
                outcome = Outcome(OutcomeKind.LATER, error.reason)
            with writing():
                told += _record(runtime, row, token, outcome)
    finally:
        if session is not None:
            session.close()
    return told


def envelope(runtime: Runtime, row: Action) -> Envelope:
    """To the recruiter, or to the team where there is none; answers go to the candidate."""
    sender, candidate, fields = runtime.project.file.mail.sender, row.candidate, row.event.fields
    name = candidate.name or "A candidate"
    message = row.event.message
    what = message.enrolment.sequence if message is not None else "a mail"
    said = fields.get(TEXT, "") or "(no text)"
    where = f"{runtime.pages_url or runtime.project.public_url}/candidates/{candidate.pk}"
    mark = hashlib.sha256(row.key.encode()).hexdigest()[:32]
    return Envelope(
        message_id=f"<reply.{mark}@{sender.address.rpartition('@')[2]}>",
        sender_name="Warmline",
        sender_address=sender.address,
        recipient_name=candidate.owner_name,
        recipient_address=normal_email(candidate.owner_email) or sender.address,
        reply_to=normal_email(fields.get(FROM, "")) or "",
        subject=clean(f"{name} answered: {fields.get(SUBJECT, '')}", 200),
        text=f"{name} answered {what}. No further mail of it leaves.\n\n{said}\n\n{where}\n",
        html="",
        sent_at=runtime.now(),
        headers={"Auto-Submitted": "auto-generated"},
    )


def _record(runtime: Runtime, row: Action, token: str, outcome: Outcome) -> int:
    now: datetime = runtime.now()
    mine = Action.objects.filter(pk=row.pk, claimed_by=token)
    free = {"claimed_by": "", "claim_until": None, "reason": outcome.reason}
    if outcome.kind in (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE):
        return mine.update(status=ActionStatus.DONE, finished_at=now, **free)
    if outcome.kind is not OutcomeKind.REFUSED and not given_up(row.attempts):
        due_at = now + timedelta(seconds=backoff_s(row.attempts + 1, runtime.chance()))
        mine.update(status=ActionStatus.PLANNED, attempts=row.attempts + 1, due_at=due_at, **free)
        return 0
    mine.update(status=ActionStatus.REFUSED, finished_at=now, **free)
    open_incident(
        f"reply:{row.pk}",
        f"the recruiter could not be told of an answer: {outcome.reason}",
        now=now,
        trigger=row.trigger,
        record=f"candidate {row.candidate_id}",
        candidate_id=row.candidate_id,
        hint="the candidate waits for an answer: tell the recruiter by hand",
    )
    return 0
