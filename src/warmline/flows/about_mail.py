"""News of a mail that we sent: it arrived, it bounced, somebody complained or answered.

Only by our own id with its mark (`flows.links`), or by the id that the provider gave when it took
the mail, is a mail known: whoever forges a bounce suppresses nobody. Where the provider signed the
news, the address that it names will do for a no.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import DateTimeField, F, Q, Value
from django.db.models.functions import Coalesce

from warmline.core.actions import ActionKind
from warmline.core.candidates import normal_email
from warmline.core.events import EventKind
from warmline.core.triggers import OWN
from warmline.flows.batch import Applied, Heard, clean
from warmline.flows.incidents import resolve
from warmline.flows.links import read_message_id
from warmline.kit.incoming.said import ADDRESS, MESSAGE_ID, PROVIDER_ID, VOUCHED
from warmline.store.models import Action, CandidateEmail, Enrolment, Event, Message
from warmline.store.statuses import EnrolmentStatus, EventEffect, MessageStatus, lane_of

# So many soft bounces of an address within so long count as a hard one.
SOFT_MAX, SOFT_WITHIN = 3, timedelta(days=30)
TELL = "reply"  # stands as the trigger of what tells the recruiter
_ARRIVED = frozenset(
    {
        EventKind.MESSAGE_DELIVERED,
        EventKind.MESSAGE_OPENED,
        EventKind.MESSAGE_CLICKED,
        EventKind.MESSAGE_REPLIED,
        EventKind.MESSAGE_COMPLAINED,
        EventKind.CANDIDATE_UNSUBSCRIBED,
    }
)
# The news for which the word of a provider on an address is enough.
_NOES = frozenset(
    {
        EventKind.MESSAGE_BOUNCED,
        EventKind.MESSAGE_COMPLAINED,
        EventKind.CANDIDATE_UNSUBSCRIBED,
    }
)


class MailNews:
    """The messages that the events of a batch are about. The caller holds the transaction."""

    def __init__(self, heard: Sequence[Heard]) -> None:
        told = [h.event for h in heard if MESSAGE_ID in h.event.fields]
        numbers = {e.key: read_message_id(e.fields[MESSAGE_ID]) for e in told}
        foreign = {
            h.event.key: _ids(h.event.fields[PROVIDER_ID])
            for h in heard
            if h.event.fields.get(PROVIDER_ID)
        }
        self._by_key: dict[str, Message] = {}
        self._soft: Counter[str] = Counter()
        if not numbers and not foreign:
            return
        every = {one for ids in foreign.values() for one in ids}
        rows = Message.objects.select_related("candidate__merged_into").filter(
            Q(pk__in=[pk for pk in numbers.values() if pk is not None])
            | (Q(provider_id__in=every) & ~Q(provider_id=""))
        )
        by_number, by_foreign = {}, {}
        for row in rows:
            by_number[row.pk] = by_foreign[row.provider_id] = row
        for key, ids in foreign.items():
            for one in ids:
                if one in by_foreign:
                    self._by_key[key] = by_foreign[one]
        self._by_key |= {k: by_number[n] for k, n in numbers.items() if n in by_number}

    def of(self, heard: Heard) -> Message | None:
        return self._by_key.get(heard.event.key)

    def place(self, heard: Heard, applied: Applied) -> str:
        """Whom the event is about, into `applied`. Returns the address that it is about: of a
        message the one that it went to, whatever the news says."""
        message, fields = self.of(heard), heard.event.fields
        if message is None:
            named = normal_email(fields.get(ADDRESS, "")) or ""
            if applied.candidate is None and fields.get(VOUCHED) and applied.kind in _NOES:
                rows = CandidateEmail.objects.select_related("candidate__merged_into")
                if (known := rows.filter(normal=named).first()) is not None:
                    applied.candidate = known.candidate
                    applied.effect = EventEffect.APPLIED
            return named
        candidate = message.candidate
        gone = (candidate.merged_into or candidate).erased_at is not None
        applied.candidate = candidate
        applied.effect = EventEffect.STALE if gone else EventEffect.APPLIED
        address = normal_email(message.to_address) or ""
        if applied.kind is EventKind.MESSAGE_DEFERRED and self._third(address, heard.at):
            applied.kind = EventKind.MESSAGE_BOUNCED
        return address

    def _third(self, address: str, at: datetime) -> bool:
        self._soft[address] += 1
        before = Event.objects.filter(
            kind=EventKind.MESSAGE_DEFERRED,
            message__to_address=address,
            occurred_at__gt=at - SOFT_WITHIN,
        ).count()
        return bool(address) and before + self._soft[address] >= SOFT_MAX


def take_in(row: Event, heard: Heard, message: Message, now: datetime) -> Action | None:
    """What the news changes on the message and its enrolment. Returns the action that tells the
    recruiter of an answer."""
    kind = EventKind(row.kind)
    _settle(message, kind, now)
    mine = Message.objects.filter(pk=message.pk)
    if kind in _ARRIVED:
        mine.filter(delivered_at__isnull=True).update(delivered_at=heard.at)
    elif kind is EventKind.MESSAGE_BOUNCED:
        mine.filter(bounced_at__isnull=True).update(bounced_at=heard.at)
    if kind is not EventKind.MESSAGE_REPLIED or row.candidate is None:
        return None
    end_by_reply(message.enrolment_id, heard.at)
    return Action(
        key=f"{TELL}|{row.connection}|{clean(row.key, 250)}",
        trigger=TELL,
        kind=ActionKind.RECRUITER_TELL,
        target=OWN,
        candidate=row.candidate,
        event=row,
        planned_at=now,
        lane=lane_of(row.candidate.pk),
        due_at=now,
    )


def end_by_reply(enrolment_id: int, at: datetime) -> None:
    """From here on a recruiter talks to the person: what has not left stays."""
    Message.objects.filter(
        enrolment=enrolment_id, status__in=[MessageStatus.PLANNED, MessageStatus.CLAIMED]
    ).update(status=MessageStatus.HELD, reason="replied", claimed_by="", claim_until=None)
    Enrolment.objects.filter(
        pk=enrolment_id, status__in=[EnrolmentStatus.ACTIVE, EnrolmentStatus.WAITING]
    ).update(status=EnrolmentStatus.STOPPED, reason="replied", next_due_at=None, ended_at=at)


def _settle(message: Message, kind: EventKind, now: datetime) -> None:
    """A hand-over without an answer is settled by evidence: something came of the mail (I4)."""
    moved = Message.objects.filter(pk=message.pk, status=MessageStatus.UNKNOWN).update(
        status=MessageStatus.HANDED_OFF,
        handed_off_at=Coalesce(F("sending_at"), Value(now, DateTimeField())),
        settled_by=f"evidence: {kind}",
    )
    if moved:
        resolve([f"message:{message.pk}"], f"it was handed over: {kind}", now=now)


def _ids(text: str) -> set[str]:
    """The provider's id as it told it when it took the mail: whole, or before the @."""
    whole = text.strip().strip("<>")[:200]
    return {whole, f"<{whole}>", whole.partition("@")[0]} - {""}
