"""What a contact's property says beyond "the record was edited", whichever way it is heard.

A signal that carries its own time is the same event by webhook and by poll: contact, property and
that time are its key (I2).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from warmline.connectors.hubspot.mapping import OPTED_OUT, OPTOUT_PREFIX, moment, signal
from warmline.core.events import CandidateFacts, EventKind

REASON_CHARS_MAX = 100


@dataclass(frozen=True, slots=True)
class Signal:
    """`key`: of its event, by either road; empty where only the road can tell one. `occurred_at`:
    the value's own time, None where it has none."""

    kind: EventKind
    candidate: CandidateFacts
    fields: dict[str, str]
    key: str = ""
    occurred_at: datetime | None = None


def read(contact_id: str, name: str, value: str) -> Signal | None:
    """None where the property is no signal. One that was emptied, or an opt-out that was taken
    back, is an edit of the record, and no leave to write to anybody."""
    kind = signal(name)
    if kind is None:
        return None
    person, fields = CandidateFacts(external_id=contact_id), {"property": name}
    edited = Signal(EventKind.CANDIDATE_UPDATED, person, fields)
    if kind is EventKind.CANDIDATE_UNSUBSCRIBED:
        if value.lower() != "true":
            return edited
        scope = "all" if name == OPTED_OUT else name.removeprefix(OPTOUT_PREFIX)
        said_no = CandidateFacts(external_id=contact_id, can_email=False)
        return Signal(kind, said_no, fields | {"scope": scope})
    if not value:
        return edited
    if kind is EventKind.MESSAGE_BOUNCED:
        reason = value[:REASON_CHARS_MAX]
        told = fields | {"hard": "true", "reason": reason}
        return Signal(kind, person, told, f"{contact_id}:{name}:{reason}")
    if kind is not EventKind.MESSAGE_REPLIED:
        fields |= {"confidence": "unconfirmed"}  # a mail scanner opens and clicks too
    at = moment(value)
    key = f"{contact_id}:{name}:{round(at.timestamp() * 1000)}" if at is not None else ""
    return Signal(kind, person, fields, key, at)
