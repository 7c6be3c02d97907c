"""The words in which mails and mail providers are told on: names of an event's fields."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from warmline.core.events import EventKind

MESSAGE_ID = "message_id"  # the marked id that we gave the mail, as `flows.links` made it
PROVIDER_ID = "provider_id"  # what the mail provider calls it
ADDRESS = "address"  # whom the provider says it is about
VOUCHED = "vouched"  # "provider": the delivery was signed by the provider, its address counts
STATUS = "status"  # RFC 3463
DIAGNOSTIC = "diagnostic"  # what the server said, without addresses
TEXT = "text"  # what somebody answered, without what they quoted
SUBJECT = "email_subject"
FROM = "from"  # who answered


@dataclass(frozen=True, slots=True)
class Said:
    """What a mail says: a kind of event, the word for it, and what else it tells."""

    kind: EventKind
    word: str
    fields: Mapping[str, str] = field(default_factory=dict)
