"""What a connector can do: protocols of one or two methods each.

`manifest.toml` declares which of them a connector has; a test holds that the class implements
exactly those. A connector raises the errors of `warmline.core.errors` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from warmline.core.actions import Action
from warmline.core.events import Event
from warmline.core.outcomes import Outcome


class Channel(StrEnum):
    """How bytes came to us."""

    WEBHOOK = "webhook"  # the vendor posted them
    POLL = "poll"  # we read them
    IMPORT = "import"  # from a file that a person gave
    FORM = "form"  # a candidate's own act on one of our public pages


@dataclass(frozen=True, slots=True)
class Received:
    """Raw bytes as they came. `headers` have lower-case names; `url` is the public one, with the
    query. `stream` names what a poll or an import read (for example `applications`)."""

    channel: Channel
    body: bytes
    received_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = "POST"
    url: str = ""
    stream: str = ""


@runtime_checkable
class ReceivesWebhooks(Protocol):
    def verify(self, received: Received, *, now: datetime) -> None:
        """Raise BadSignature unless the sender signed these bytes. Constant time."""
        ...

    def delivery_key(self, received: Received) -> str:
        """The vendor's own id of this delivery, the same on each repeat; empty where it has none
        (a hash of the bytes stands in)."""
        ...


@runtime_checkable
class Parses(Protocol):
    def parse(self, received: Received) -> list[Event]:
        """Pure. Raises Malformed. Unknown words become `Event.unknown`; a word that is declared
        unmapped gives an empty list."""
        ...


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a listing, as bytes; `key` changes when the record does."""

    key: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """`cursor`, kept once the page is committed, resumes after it; `last` ends this sweep."""

    stream: str
    records: tuple[Record, ...]
    cursor: str
    last: bool = False


@runtime_checkable
class ListsChanges(Protocol):
    def streams(self) -> tuple[str, ...]:
        """The listings, in the order in which they must be read."""
        ...

    def start(self, *, now: datetime) -> str:
        """The cursor that means "from now on": where a poll begins that is to bring no history."""
        ...

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        """What changed since `cursor` (empty: everything), with overlap. Resumable."""
        ...


@runtime_checkable
class AppliesActions(Protocol):
    def batch_max(self) -> int:
        """How many actions one call to `apply` may carry."""
        ...

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        """One outcome an action, in order. Idempotent under `action.key`. Raises only what hits
        the whole call: AuthFailed, Throttled, Unreachable, Unsure."""
        ...

    def find(self, action: Action) -> Outcome | None:
        """After `unknown`: did it happen? None where it did not. Truthful."""
        ...


class Verdict(StrEnum):
    OK = "ok"
    MISSING = "missing"  # it is not there: create it
    FORBIDDEN = "forbidden"  # there, but these credentials or this plan may not use it
    FAILED = "failed"  # it could not be looked at


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `warmline check`: `what` was looked at, `verdict`, `advice` on what to do."""

    what: str
    verdict: Verdict
    advice: str = ""


@runtime_checkable
class Checks(Protocol):
    def check(self) -> list[Finding]:
        """Credentials, plan, each field needed. Never raises for what it finds."""
        ...


@dataclass(frozen=True, slots=True)
class Envelope:
    """One mail, ready to hand over. `headers` are extra header fields."""

    message_id: str
    sender_name: str
    sender_address: str
    recipient_name: str
    recipient_address: str
    reply_to: str
    subject: str
    text: str
    html: str
    sent_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)


class MailSession(Protocol):
    """An open connection to the mail server, reused for many mails. Not shared by threads."""

    def send(self, envelope: Envelope) -> Outcome:
        """DONE accepted, REFUSED for good, LATER, or UNKNOWN where no answer came. Never raises
        for an answer of the server. `outcome.detail["scope"]` says whom a refusal is about:
        `recipient` (the address is dead), `sender`, or `message`."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class SendsMail(Protocol):
    def open(self) -> MailSession:
        """Raises Unreachable or AuthFailed."""
        ...


CAPABILITIES: Mapping[str, type] = {
    "receives_webhooks": ReceivesWebhooks,
    "parses": Parses,
    "lists_changes": ListsChanges,
    "applies_actions": AppliesActions,
    "checks": Checks,
    "sends_mail": SendsMail,
}


@dataclass(frozen=True, slots=True)
class Options:
    """What a connection of `warmline.yaml` gives its connector: the settings, the secrets (already
    read from the environment or a file), and a way to tell the time. `public_url` is where the
    outside reaches us, without a path; relative paths in settings begin at `folder`, the project's.
    """

    name: str
    settings: Mapping[str, object]
    secrets: Mapping[str, str]
    now: Callable[[], datetime]
    public_url: str = ""
    folder: Path = Path()
