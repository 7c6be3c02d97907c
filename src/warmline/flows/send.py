"""Messages into mails: claim, ask the policy, hand over one by one, write down each answer.

`planned -> claimed -> sending -> handed_off`. That a hand-over begins is committed just before it
does, together with the answer of the one before: a kill leaves at most one unknown a connection.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.db.models import Q

from warmline.config.project import UnknownRule
from warmline.core.candidates import masked
from warmline.core.errors import AuthFailed, WarmlineError
from warmline.core.mail import MailError
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.core.policy import CandidateState, Hold, HoldCode, hold, later
from warmline.core.retries import backoff_s, given_up
from warmline.core.sequences import StepClass
from warmline.flows.compose import compose, sender
from warmline.flows.fields import Known, known
from warmline.flows.fresh import read_again
from warmline.flows.holds import keep
from warmline.flows.incidents import (
    credentials_key,
    credentials_refused,
    open_incident,
    resolve,
)
from warmline.flows.opt_out import stop_mail, suppress
from warmline.flows.pauses import of as paused_of
from warmline.flows.pauses import paused
from warmline.flows.quota import Quota, give_back
from warmline.flows.runtime import Runtime
from warmline.flows.standing import Standing, hours_of, standing, standing_now, topic_of
from warmline.ports import Envelope, MailSession
from warmline.store.db import writing
from warmline.store.models import Message
from warmline.store.queries import begin_sending, was_handed_off
from warmline.store.statuses import MessageStatus, SuppressionReason

log = logging.getLogger("warmline.send")

BATCH = 40
CLAIM_FOR = timedelta(seconds=180)
_TROUBLE = "mail:trouble"


@dataclass(slots=True)
class _Claim:
    """What was claimed at once: the messages, and how their people stood."""

    at: datetime
    messages: list[Message]
    people: dict[int, Known]
    standing: Standing
    full: bool = False  # there may be more


@dataclass(slots=True)
class _Ready:
    message: Message
    envelope: Envelope
    sequence: str
    topic: str
    state: CandidateState
    claimed_at: datetime


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
        stale = read_again(runtime, sorted(lanes), runtime.now())
        claim = _claim(runtime, lanes, token, stale)
        ready = [one for m in claim.messages if (one := _compose(runtime, m, claim))]
        if ready:
            self._hand_over(ready, token)
        return claim.full

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


def _claim(runtime: Runtime, lanes: Collection[int], token: str, stale: Hold | None) -> _Claim:
    """Up to BATCH due messages that the policy lets go now, ours; the others are held. The policy
    reads present state in the very transaction of the claim (I5, I11). `stale`: what holds nurture
    mail of which the ATS could not be asked."""
    now = runtime.now()
    with writing():
        waiting = Message.objects.select_for_update(of=("self",), skip_locked=True).filter(
            status=MessageStatus.PLANNED, lane__in=lanes, due_at__lte=now
        )
        going_on = paused().messages(waiting, runtime.project.file.mail.connection)
        due = list(going_on.select_related("enrolment").order_by("due_at", "id")[:BATCH])
        if not due:
            return _Claim(now, [], {}, Standing())
        people = known(m.candidate_id for m in due)
        nurtured = {m.candidate_id for m in due if m.step_class == StepClass.MARKETING}
        found = standing(runtime, people, now, nurtured=nurtured)
        claim = _Claim(now, [], people, found, len(due) == BATCH)
        senders = {pk: sender(runtime.project, one)[1] for pk, one in people.items()}
        quota = Quota.of(runtime, set(senders.values()), now)
        for message in due:
            held = _held(runtime, message, claim.standing, stale, now) or _over(
                runtime, message, senders[message.candidate_id], quota, claim.standing
            )
            if held:
                keep(runtime, message, MessageStatus.PLANNED, held, now)
                continue
            message.sender_address = senders[message.candidate_id]
            quota.take(message.sender_address)
            if message.step_class == StepClass.MARKETING:
                state = claim.standing.states[message.candidate_id]
                claim.standing.states[message.candidate_id] = replace(
                    state, sent=(*state.sent, now)
                )
            claim.messages.append(message)
        quota.keep()
        _take(claim.messages, token, now)
    return claim


def _held(
    runtime: Runtime, message: Message, found: Standing, stale: Hold | None, now: datetime
) -> Hold | None:
    state = found.states[message.candidate_id]
    held = hold(
        StepClass(message.step_class),
        state,
        for_segment=runtime.segment_of(message.enrolment.sequence),
        topic=topic_of(runtime, message, message.enrolment),
        due_at=message.due_at,
        now=now,
        rules=runtime.project.file.policy.rules,
        fit=hours_of(runtime, message.enrolment.sequence, state),
    )
    return held or (stale if message.step_class == StepClass.MARKETING else None)


def _over(
    runtime: Runtime, message: Message, address: str, quota: Quota, found: Standing
) -> Hold | None:
    """Whether enough has left from this sender today. It goes on tomorrow, when that is no quiet
    hour."""
    if message.step_class != StepClass.MARKETING or not (words := quota.full(address)):
        return None
    zone = found.states[message.candidate_id].zone
    quiet = runtime.project.file.policy.rules.quiet
    return later(Hold(HoldCode.SENDER, words, quota.tomorrow), quiet=quiet, zone=zone)


def _take(messages: Collection[Message], token: str, now: datetime) -> None:
    """Ours, with the sender whose share of the day it took."""
    by_sender: dict[str, list[int]] = {}
    for message in messages:
        by_sender.setdefault(message.sender_address, []).append(message.pk)
    for address, ids in by_sender.items():
        Message.objects.filter(pk__in=ids, status=MessageStatus.PLANNED).update(
            status=MessageStatus.CLAIMED,
            claimed_by=token,
            claim_until=now + CLAIM_FOR,
            sender_address=address,
        )


def _compose(runtime: Runtime, message: Message, claim: _Claim) -> _Ready | None:
    """The mail; None where none can be made: the message is held, and its neighbours go on."""
    now, enrolment, one = runtime.now(), message.enrolment, claim.people[message.candidate_id]
    try:
        return _Ready(
            message,
            compose(runtime.project, message, enrolment, one, now),
            enrolment.sequence,
            topic_of(runtime, message, enrolment),
            claim.standing.states[message.candidate_id],
            claim.at,
        )
    except MailError as error:
        why = str(error)
    except LookupError:
        why = "the step is gone from its file"
    except Exception as error:
        log.exception("action=compose message=%d", message.pk)
        why = f"the mail could not be made: {type(error).__name__}"
    with writing():
        Message.objects.filter(pk=message.pk, status=MessageStatus.CLAIMED).update(
            status=MessageStatus.HELD, reason=why, claimed_by="", claim_until=None, expires_at=None
        )
        give_back([(message.sender_address, claim.at)])
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
    state, usable, seen = standing_now(runtime, message, item.state, now)
    held = hold(
        StepClass(message.step_class),
        state,
        for_segment=runtime.segment_of(item.sequence),
        topic=item.topic,
        due_at=message.due_at,
        now=now,
        rules=runtime.project.file.policy.rules,
        fit=hours_of(runtime, item.sequence, state),
    )
    begun = False
    mail = runtime.project.file.mail.connection
    if held:
        keep(runtime, message, MessageStatus.CLAIMED, held, now)
    elif (
        paused_of(seen.pauses).sequence(item.sequence, mail)
        or usable[0] != item.envelope.recipient_address
    ):
        Message.objects.filter(
            pk=message.pk, status=MessageStatus.CLAIMED, claimed_by=token
        ).update(status=MessageStatus.PLANNED, claimed_by="", claim_until=None)
    else:
        begun = begin_sending(
            message.pk,
            token,
            address=item.envelope.recipient_address,
            now=now,
            until=now + CLAIM_FOR,
            subject=message.subject,
            values=message.values,
            segment=seen.segment,
        )
    if not begun:
        give_back([(message.sender_address, item.claimed_at)])
    return begun


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
        give_back((item.message.sender_address, item.claimed_at) for item in items)


def _record(runtime: Runtime, token: str, item: _Ready, outcome: Outcome) -> None:
    """The server's answer, by compare-and-swap. The caller holds the transaction."""
    now, message = runtime.now(), item.message
    if outcome.kind in (OutcomeKind.LATER, OutcomeKind.REFUSED):
        give_back([(message.sender_address, item.claimed_at)])
    if outcome.kind in (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE):
        was_handed_off(message.pk, token, now=now, provider_id=outcome.external_id[:200])
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
        stop_mail(message.candidate, "bounced", now=now)
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
