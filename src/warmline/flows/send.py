"""Messages into mails: claim, ask the policy, hand over one by one, write down each answer.

`planned -> claimed -> sending -> handed_off`. That a hand-over begins is committed just before it
does, together with the answer of the one before: a kill leaves at most one unknown a connection.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from warmline.config.project import UnknownRule
from warmline.core.candidates import masked
from warmline.core.errors import AuthFailed, WarmlineError
from warmline.core.events import ApplicationStatus, StageKind
from warmline.core.mail import MailError
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.core.policy import NO_ADDRESS, OVERDUE, CandidateState, hold_reason
from warmline.core.retries import backoff_s, given_up
from warmline.core.segments import Segment
from warmline.core.sequences import StepClass
from warmline.flows.compose import compose
from warmline.flows.fields import Known, known
from warmline.flows.incidents import (
    credentials_key,
    credentials_refused,
    open_incident,
    resolve,
)
from warmline.flows.opt_out import stop_mail, suppress
from warmline.flows.pauses import of as paused_of
from warmline.flows.pauses import paused
from warmline.flows.release import no_address_incident
from warmline.flows.runtime import Runtime
from warmline.ports import Envelope, MailSession
from warmline.store.db import writing
from warmline.store.models import Enrolment, Message, Segmentation, Suppression
from warmline.store.queries import present
from warmline.store.statuses import MessageStatus, SuppressionReason

log = logging.getLogger("warmline.send")

BATCH = 20
CLAIM_FOR = timedelta(seconds=180)
_TROUBLE = "mail:trouble"


@dataclass(slots=True)
class _Ready:
    message: Message
    envelope: Envelope
    sequence: str


class Post:
    """One mail connection and what is done over it. One a thread; keeps the connection open."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._connector = runtime.connectors[runtime.project.file.mail.connection]
        self._session: MailSession | None = None

    def close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None

    def drain(self, lanes: Collection[int]) -> bool:
        """Send one batch of what these lanes have due. True where there may be more."""
        with self._runtime.claiming() as token:
            return self._drain(lanes, token)

    def _drain(self, lanes: Collection[int], token: str) -> bool:
        runtime = self._runtime
        claimed, people, full = _claim(runtime, lanes, token)
        ready = [
            r
            for message in claimed
            if (
                r := _compose(
                    runtime,
                    message,
                    message.enrolment,
                    people[message.candidate_id],
                )
            )
        ]
        if ready:
            self._hand_over(ready, token)
        return full

    def _hand_over(self, ready: list[_Ready], token: str) -> None:
        runtime = self._runtime
        try:
            session = self._session = self._session or self._connector.open()
        except WarmlineError as error:
            scope = {"scope": "credentials"} if isinstance(error, AuthFailed) else {}
            outcome = Outcome(OutcomeKind.LATER, error.reason, detail=scope)
            with writing():
                for item in ready:
                    _record(runtime, token, item, outcome)
            return
        answered: tuple[_Ready, Outcome] | None = None
        for i, item in enumerate(ready):
            if runtime.stopping.is_set():
                _release(token, ready[i:])
                break
            with writing():
                if answered is not None:
                    _record(runtime, token, *answered)
                    answered = None
                begun = _begin(runtime, item, token)
            if begun:
                answered = (item, _send(session, item.envelope))
        if answered is not None:
            with writing():
                _record(runtime, token, *answered)


def _claim(
    runtime: Runtime, lanes: Collection[int], token: str
) -> tuple[list[Message], dict[int, Known], bool]:
    """Up to BATCH due messages that the policy lets go now, ours; the others are held. The policy
    reads present state in the very transaction of the claim (I5, I11). True where there may be
    more."""
    now = runtime.now()
    with writing():
        waiting = Message.objects.select_for_update(of=("self",), skip_locked=True).filter(
            status=MessageStatus.PLANNED, lane__in=lanes, due_at__lte=now
        )
        going_on = paused().messages(waiting, runtime.project.file.mail.connection)
        due = list(going_on.select_related("enrolment").order_by("due_at", "id")[:BATCH])
        if not due:
            return [], {}, False
        people = known(m.candidate_id for m in due)
        states = _states(runtime, people)
        going: list[Message] = []
        for message in due:
            reason = hold_reason(
                StepClass(message.step_class),
                states[message.candidate_id],
                for_segment=_whom(runtime, message),
                due_at=message.due_at,
                now=now,
            )
            if reason:
                _hold(message, MessageStatus.PLANNED, reason, now)
            else:
                going.append(message)
        Message.objects.filter(pk__in=[m.pk for m in going], status=MessageStatus.PLANNED).update(
            status=MessageStatus.CLAIMED, claimed_by=token, claim_until=now + CLAIM_FOR
        )
    return going, people, len(due) == BATCH


def _whom(runtime: Runtime, message: Message) -> Segment | None:
    """The segment that the message's sequence is for."""
    loaded = runtime.project.sequences.get(message.enrolment.sequence)
    return loaded.segment if loaded else None


def _states(runtime: Runtime, people: dict[int, Known]) -> dict[int, CandidateState]:
    """What the policy looks at. An address that bounced is no address: `Known.emails` is left
    with those that may be written to."""
    addresses = [email for one in people.values() for email in one.emails]
    rows = Suppression.objects.filter(address__in=addresses)
    suppressed = {row.address: (row.reason, row.source) for row in rows}
    segments = Segmentation.objects.in_bulk(list(people))
    rules, now = runtime.project.segment_rules, runtime.now()
    states: dict[int, CandidateState] = {}
    for candidate_id, one in people.items():
        row = segments.get(candidate_id)
        told = [(e, *suppressed.get(e, ("", ""))) for e in one.emails]
        states[candidate_id], one.emails = _state(
            told,
            do_not_contact=one.candidate.do_not_contact,
            merged=one.candidate.merged_into_id is not None,
            erased=one.candidate.erased_at is not None,
            nurture_hold=rules.nurture_hold(row.segment, row.score, row.placed_at, now=now)
            if row
            else "",
            candidacies=[(a.status, a.stage.kind if a.stage else None) for a in one.applications],
        )
    return states


def _state(
    addresses: Iterable[tuple[str, str, str]],
    *,
    do_not_contact: bool,
    merged: bool,
    erased: bool,
    nurture_hold: str,
    candidacies: Iterable[tuple[str, str | None]],
) -> tuple[CandidateState, list[str]]:
    """The state, and the addresses that may be written to, preferred first. `addresses`: each
    with the reason and the source of its suppression. No from the person, on any address, is no;
    a dead mailbox speaks only for itself."""
    told = list(addresses)
    usable = [e for e, reason, _ in told if not reason]
    said_no = [
        f"{reason} ({source})"
        for _, reason, source in told
        if reason and reason != SuppressionReason.BOUNCED
    ]
    bounced = "bounced" if told and not usable else ""
    state = CandidateState(
        has_address=bool(told),
        suppressed=said_no[0] if said_no else bounced,
        do_not_contact=do_not_contact,
        merged=merged,
        erased=erased,
        nurture_hold=nurture_hold,
        applications=[
            (ApplicationStatus(status), StageKind(kind) if kind else None)
            for status, kind in candidacies
        ],
    )
    return state, usable


def _hold(message: Message, was: MessageStatus, reason: str, now: datetime) -> None:
    held = Message.objects.filter(pk=message.pk, status=was).update(
        status=MessageStatus.HELD, reason=reason, claimed_by="", claim_until=None
    )
    if not held or reason not in _TOLD:
        return
    key, hint = _TOLD[reason]
    open_incident(
        key or no_address_incident(message.candidate_id),
        reason,
        now=now,
        trigger="mail",
        record=f"candidate {message.candidate_id}",
        candidate_id=message.candidate_id,
        hint=hint,
    )


# Holds that somebody must hear of: the incident's key (empty: the candidate's own) and the hint.
_TOLD = {
    OVERDUE: ("mail:overdue", "look at them; `warmline settle MESSAGE --send` lets one go"),
    NO_ADDRESS: (
        "",
        "add an address in the ATS: the update brings it here, and the rest follows",
    ),
}


def _compose(runtime: Runtime, message: Message, enrolment: Enrolment, one: Known) -> _Ready | None:
    """The mail; None where none can be made: the message is held, and its neighbours go on."""
    now = runtime.now()
    try:
        envelope = compose(runtime.project, message, enrolment, one, now)
        return _Ready(message, envelope, enrolment.sequence)
    except MailError as error:
        why = str(error)
    except LookupError:
        why = "the step is gone from its file"
    except Exception as error:
        log.exception("action=compose message=%d", message.pk)
        why = f"the mail could not be made: {type(error).__name__}"
    with writing():
        Message.objects.filter(pk=message.pk, status=MessageStatus.CLAIMED).update(
            status=MessageStatus.HELD, reason=why, claimed_by="", claim_until=None
        )
        open_incident(
            f"message:{message.pk}",
            why,
            now=now,
            trigger=f"{enrolment.sequence}/{message.step}",
            record=f"candidate {message.candidate_id}",
            candidate_id=message.candidate_id,
            hint="give the variable a value or a default, then "
            f"`warmline settle {message.pk} --send`",
        )
    return None


def _begin(runtime: Runtime, item: _Ready, token: str) -> bool:
    """From here on a lost answer leaves doubt. The last look: False where the message was taken
    back, where the policy says no by now, where it is paused, or where the address is another."""
    now, message = runtime.now(), item.message
    seen = present(message.candidate_id)
    state, usable = _state(
        seen.addresses,
        do_not_contact=seen.do_not_contact,
        merged=seen.merged,
        erased=seen.erased,
        nurture_hold=runtime.project.segment_rules.nurture_hold(
            seen.segment, seen.score, seen.placed_at, now=now
        ),
        candidacies=seen.candidacies,
    )
    mine = Message.objects.filter(pk=message.pk, status=MessageStatus.CLAIMED, claimed_by=token)
    reason = hold_reason(
        StepClass(message.step_class),
        state,
        for_segment=_whom(runtime, message),
        due_at=message.due_at,
        now=now,
    )
    if reason:
        _hold(message, MessageStatus.CLAIMED, reason, now)
        return False
    mail = runtime.project.file.mail.connection
    waits = paused_of(seen.pauses).sequence(item.sequence, mail)
    if waits or usable[0] != item.envelope.recipient_address:
        mine.update(status=MessageStatus.PLANNED, claimed_by="", claim_until=None)
        return False
    return bool(
        mine.update(
            status=MessageStatus.SENDING,
            sending_at=now,
            claim_until=now + CLAIM_FOR,
            to_address=item.envelope.recipient_address,
        )
    )


def _send(session: MailSession, envelope: Envelope) -> Outcome:
    try:
        return session.send(envelope)
    except Exception as error:
        log.exception("action=send message_id=%s", envelope.message_id)
        return Outcome(OutcomeKind.UNKNOWN, f"the hand-over failed: {type(error).__name__}")


def _release(token: str, items: Collection[_Ready]) -> None:
    """Shutting down: what has not begun goes back."""
    with writing():
        Message.objects.filter(
            pk__in=[item.message.pk for item in items],
            status=MessageStatus.CLAIMED,
            claimed_by=token,
        ).update(status=MessageStatus.PLANNED, claimed_by="", claim_until=None)


def _record(runtime: Runtime, token: str, item: _Ready, outcome: Outcome) -> None:
    """The server's answer, by compare-and-swap. The caller holds the transaction."""
    now, message = runtime.now(), item.message
    if outcome.kind in (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE):
        _move(
            token,
            message,
            MessageStatus.HANDED_OFF,
            handed_off_at=now,
            provider_id=outcome.external_id[:200],
        )
        if message.attempts or message.reason:
            credentials = credentials_key(runtime.project.file.mail.connection, "write")
            keys = [_TROUBLE, credentials, f"message:{message.pk}"]
            resolve(keys, "mail is accepted again", now=now)
    elif _may_pass(outcome) and not given_up(message.attempts):
        _later(runtime, token, message, outcome, now)
    elif outcome.kind is OutcomeKind.UNKNOWN:
        settle_by_rule(runtime, message, outcome.reason, now)
    else:
        _refused(runtime, token, item, outcome, now)


def _may_pass(outcome: Outcome) -> bool:
    """Worth another try: not now, or it is we who are refused (relaying, authentication). That is
    for the operator to mend, and must not burn one candidate's mail after the other."""
    refused = outcome.kind is OutcomeKind.REFUSED
    return outcome.kind is OutcomeKind.LATER or (
        refused and outcome.detail.get("scope") == "sender"
    )


def _move(token: str, message: Message, status: MessageStatus, **values: object) -> None:
    Message.objects.filter(pk=message.pk, claimed_by=token).update(
        status=status, claimed_by="", claim_until=None, **values
    )


def _later(runtime: Runtime, token: str, message: Message, outcome: Outcome, now: datetime) -> None:
    attempts = message.attempts + 1
    wait_s = outcome.after_s or backoff_s(attempts, runtime.chance())
    _move(
        token,
        message,
        MessageStatus.PLANNED,
        attempts=attempts,
        reason=outcome.reason,
        due_at=now + timedelta(seconds=wait_s),
    )
    if outcome.detail.get("scope") == "credentials":
        credentials_refused(
            runtime.project.file.mail.connection,
            "write",
            outcome.reason,
            now=now,
            trigger="mail",
            record=f"candidate {message.candidate_id}",
            candidate_id=message.candidate_id,
        )
        return
    open_incident(
        _TROUBLE,
        outcome.reason,
        now=now,
        connection=runtime.project.file.mail.connection,
        trigger="mail",
        record=f"candidate {message.candidate_id}",
        candidate_id=message.candidate_id,
        hint="it is tried again by itself",
    )


def _refused(runtime: Runtime, token: str, item: _Ready, outcome: Outcome, now: datetime) -> None:
    message = item.message
    _move(token, message, MessageStatus.REFUSED, reason=outcome.reason)
    address = item.envelope.recipient_address
    bounced = outcome.detail.get("scope") == "recipient"
    if bounced:
        suppress(
            [address],
            SuppressionReason.BOUNCED,
            source=runtime.project.file.mail.connection,
            now=now,
            detail=outcome.reason,
        )
        stop_mail(message.candidate, "bounced")
    open_incident(
        f"message:{message.pk}",
        f"mail to {masked(address)} was refused for good: {outcome.reason}",
        now=now,
        connection=runtime.project.file.mail.connection,
        trigger="mail",
        record=f"candidate {message.candidate_id}",
        candidate_id=message.candidate_id,
        hint=("correct the address in the ATS" if bounced else "mend the cause")
        + f", then `warmline settle {message.pk} --send`",
    )


def settle_by_rule(runtime: Runtime, message: Message, reason: str, now: datetime) -> None:
    """A hand-over without an answer: what `mail.unknown` says for its class, else a person's word.
    The caller holds the transaction and the claim, or found it lapsed."""
    rules = runtime.project.file.mail.unknown
    rule = rules.get(StepClass(message.step_class), UnknownRule.ASK)
    if message.settled_by:
        rule = UnknownRule.ASK  # a rule speaks once; the second time a person is asked
    rows = Message.objects.filter(
        pk=message.pk, status__in=[MessageStatus.SENDING, MessageStatus.CLAIMED]
    )
    free = {"claimed_by": "", "claim_until": None}
    evidence = Q(delivered_at__isnull=False) | Q(bounced_at__isnull=False)
    if rows.filter(evidence).update(
        status=MessageStatus.HANDED_OFF,
        handed_off_at=message.sending_at or now,
        settled_by="evidence: it was told of before",
        reason=reason,
        **free,
    ):
        return
    if rule is UnknownRule.ASSUME_ARRIVED:
        rows.update(
            status=MessageStatus.HANDED_OFF,
            handed_off_at=message.sending_at or now,
            settled_by=f"rule: {rule}",
            reason=reason,
            **free,
        )
    elif rule is UnknownRule.SEND_AGAIN:
        rows.update(
            status=MessageStatus.PLANNED,
            due_at=now + timedelta(seconds=backoff_s(1, runtime.chance())),
            settled_by=f"rule: {rule}",
            reason=reason,
            **free,
        )
    else:
        rows.update(status=MessageStatus.UNKNOWN, reason=reason, **free)
        open_incident(
            f"message:{message.pk}",
            f"nobody knows whether the mail arrived: {reason}",
            now=now,
            connection=runtime.project.file.mail.connection,
            trigger="mail",
            record=f"candidate {message.candidate_id}",
            candidate_id=message.candidate_id,
            hint=f"`warmline settle {message.pk} --arrived` or `--send`",
        )
