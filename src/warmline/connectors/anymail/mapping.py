"""A provider's answers and webhooks in our words, as tables at the top."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from warmline.core.events import Event, EventKind
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.kit.incoming import events_of
from warmline.kit.incoming.reports import is_dead, readable
from warmline.kit.incoming.said import ADDRESS, DIAGNOSTIC, MESSAGE_ID, PROVIDER_ID, VOUCHED
from warmline.kit.json_reader import clean

METADATA = "warmline"
# anymail's words (`anymail.signals.EventType`), which are the same for every provider.
KINDS: Mapping[str, EventKind] = {
    "delivered": EventKind.MESSAGE_DELIVERED,
    "autoresponded": EventKind.MESSAGE_DELIVERED,  # a machine answered: it shows that it arrived
    "bounced": EventKind.MESSAGE_BOUNCED,
    "complained": EventKind.MESSAGE_COMPLAINED,
    "opened": EventKind.MESSAGE_OPENED,
    "clicked": EventKind.MESSAGE_CLICKED,
    "unsubscribed": EventKind.CANDIDATE_UNSUBSCRIBED,
}
# Why a provider did not even try (`RejectReason`): what it knows of the address from before.
REJECTED: Mapping[str, EventKind] = {
    "bounced": EventKind.MESSAGE_BOUNCED,
    "invalid": EventKind.MESSAGE_BOUNCED,
    "spam": EventKind.MESSAGE_COMPLAINED,
    "unsubscribed": EventKind.CANDIDATE_UNSUBSCRIBED,
}
# On the way still, or of no concern.
NOTHING = frozenset({"queued", "sent", "deferred", "subscribed"})
# How providers call a bounce that says nothing of the address.
_SOFT = re.compile(r"soft|temporary|transient|blocked|undetermined", re.IGNORECASE)
_TELLS_SOFT = frozenset({"type", "event", "severity", "bouncetype", "bounce_type"})
_OF_SENDER = re.compile(r"\b(from|sender|domain|signature|verif\w+|account|suspend\w+)\b", re.I)
_OF_RECIPIENT = re.compile(r"recipient|\bto\b.{0,30}(invalid|not valid)|inactive", re.IGNORECASE)


def outcome_of_status(status: int, said: str, after_s: float | None) -> Outcome:
    """What an answer that is no success means for the mail."""
    text = readable(clean(said))
    reason, detail = f"{status} {text}".rstrip(), {"code": str(status)}
    if status == 401:
        return Outcome(OutcomeKind.LATER, reason, detail={**detail, "scope": "credentials"})
    if status in (429, 503):
        return Outcome(OutcomeKind.LATER, reason, after_s=after_s, detail=detail)
    if status >= 500 or status < 400 or status == 408:
        why = f"the provider may have taken it: {reason}"
        return Outcome(OutcomeKind.UNKNOWN, why, detail=detail)
    if status in (402, 403, 404, 405) or _OF_SENDER.search(text):
        return Outcome(OutcomeKind.REFUSED, reason, detail={**detail, "scope": "sender"})
    scope = "recipient" if _OF_RECIPIENT.search(text) else "message"
    return Outcome(OutcomeKind.REFUSED, reason, detail={**detail, "scope": scope})


def event_of(told: Any) -> Event | None:
    """A tracking event of anymail's; None for what is no news."""
    word = str(told.event_type or "unknown")
    if word in NOTHING:
        return None
    key = _key(told, word)
    kind = KINDS.get(word) or REJECTED.get(str(told.reject_reason or ""))
    if kind is None:
        return Event.unknown(word=_raw_word(told, word), key=key, occurred_at=told.timestamp)
    if word == "bounced" and is_soft(told):
        kind = EventKind.MESSAGE_DEFERRED
    metadata = told.metadata if isinstance(told.metadata, Mapping) else {}
    fields = {
        MESSAGE_ID: str(metadata.get(METADATA) or ""),
        PROVIDER_ID: str(told.message_id or ""),
        ADDRESS: str(told.recipient or ""),
        VOUCHED: "provider",
        DIAGNOSTIC: readable(str(told.mta_response or told.description or "")),
    }
    if kind in (EventKind.MESSAGE_OPENED, EventKind.MESSAGE_CLICKED):
        fields |= {"link_url": str(told.click_url or ""), "confidence": "unconfirmed"}
    return Event(
        kind=kind,
        key=key,
        word=_raw_word(told, word),
        occurred_at=told.timestamp,
        fields={name: clean(text)[:2000] for name, text in fields.items() if text},
    )


def inbound_events(told: Any) -> list[Event]:
    """A mail that came in by the provider's webhook, read as one of a mailbox is."""
    return events_of(told.message.as_bytes()) if told.message is not None else []


def is_soft(told: Any) -> bool:
    raw = told.esp_event if isinstance(told.esp_event, Mapping) else {}
    for name, value in _flat(raw):
        if name == "hard_bounce" and value in (False, "false"):
            return True
        if name in _TELLS_SOFT and isinstance(value, str) and _SOFT.search(value):
            return True
    said = f"{told.mta_response or ''} {told.description or ''}"
    code = re.search(r"\b[45]\.\d{1,3}\.\d{1,3}\b", said)
    return code is not None and not is_dead(code[0], said)


def _flat(found: Mapping[Any, Any], depth: int = 0) -> Iterator[tuple[str, Any]]:
    for name, value in found.items():
        if isinstance(value, Mapping) and depth < 3:
            yield from _flat(value, depth + 1)
        else:
            yield str(name).lower(), value


def _raw_word(told: Any, word: str) -> str:
    raw = told.esp_event if isinstance(told.esp_event, Mapping) else {}
    for name in ("event", "RecordType", "type", "Type"):
        if isinstance(value := raw.get(name), str) and value:
            return clean(value)[:100]
    return word


def _key(told: Any, word: str) -> str:
    """The provider's own id of the event; where it has none, all that tells it from others."""
    when = told.timestamp.isoformat() if told.timestamp else ""
    parts = (told.event_id or "", told.message_id or "", told.recipient or "")
    more = () if told.event_id else (when, told.click_url or "")
    text = "\0".join(str(part) for part in (word, *parts, *more))
    return f"{word}:{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()[:40]}"
