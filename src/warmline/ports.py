"""What a connector can do: protocols of one or two methods each.

`manifest.toml` declares which of them a connector has; a test holds that the class implements
exactly those. A connector raises the errors of `warmline.core.errors` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

from warmline.core.actions import Action
from warmline.core.errors import AuthFailed, ConfigError, Throttled, Unreachable, WarmlineError
from warmline.core.events import Event
from warmline.core.outcomes import Outcome


class Channel(StrEnum):
    """How bytes came to us."""

    WEBHOOK = "webhook"  # the vendor posted them
    POLL = "poll"  # we read them
    HISTORY = "history"  # we read them once, to know who is there: old news sets off nothing
    IMPORT = "import"  # from a file that a person gave
    FORM = "form"  # a candidate's own act on one of our public pages
    CLOCK = "clock"  # nothing came: time passed
    OPERATOR = "operator"  # a person's word at the command line


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


@runtime_checkable
class FetchesRecords(Protocol):
    """A source whose webhooks are hints: what they tell is not signed, so it is asked for."""

    def fetch(self, received: Received) -> Mapping[str, Sequence[Record]]:
        """What this verified webhook is about as its source has it now, by stream; `parse` reads
        it as it reads a poll's. Raises AuthFailed, Throttled, Unreachable; Malformed or Refused
        where asking again would not help."""
        ...


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
class FindsMissing(Protocol):
    """A source whose listings say nothing of what was deleted or merged there."""

    def missing(self, known: Mapping[str, Collection[str]]) -> list[Event]:
        """`known`: candidate ids of this connection, each with the ids of that person's
        applications. Those that are not there any more, as `candidate.deleted`,
        `candidate.merged`, or `candidate.updated` with a deleted application: with the webhook's
        keys and without a time. Raises AuthFailed, Throttled, Unreachable, Malformed; Refused
        where so many are missing that lost rights are the likelier cause."""
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


@dataclass(frozen=True, slots=True)
class ContactRecord:
    """A contact as the CRM has it. `emails` as written there, the preferred one first."""

    external_id: str
    emails: tuple[str, ...] = ()
    first_name: str = ""
    last_name: str = ""
    phones: tuple[str, ...] = ()
    opted_out: bool = False
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ContactPage:
    """`cursor` resumes after this page; empty after the last one."""

    contacts: tuple[ContactRecord, ...]
    cursor: str = ""


@runtime_checkable
class MergesContacts(Protocol):
    """A CRM whose duplicate contacts can be found and made one there."""

    def contacts(self, cursor: str = "") -> Iterator[ContactPage]:
        """Every contact, page by page, after `cursor`."""
        ...

    def merge(self, primary: str, other: str) -> Outcome:
        """Make `other` part of `primary`, for good. DONE with the id that stands from then on in
        `external_id`; ALREADY_DONE where they are one already; REFUSED, LATER or UNKNOWN as in
        `AppliesActions`. Asking again is safe."""
        ...


@dataclass(frozen=True, slots=True)
class Hosted:
    """How a contact stands on a sequence of the CRM. `external_id` is what the CRM calls this
    enrolment, where it has a word for it."""

    on: bool
    external_id: str = ""
    since: datetime | None = None


@runtime_checkable
class HostsSequences(Protocol):
    """A CRM that a sequence may live in. `host` is the sequence's `with:`, as `host_of` took it."""

    def host_of(self, options: Mapping[str, object]) -> Mapping[str, str]:
        """The `with:` of a sequence, checked. Raises ConfigError."""
        ...

    def cannot(self, host: Mapping[str, str]) -> tuple[str, ...]:
        """What Warmline does elsewhere and this CRM has no means for, each in a sentence."""
        ...

    def hosted(self, host: Mapping[str, str], contacts: Sequence[str]) -> dict[str, Hosted]:
        """How each of these contacts (ids) stands on it now. One whose standing the CRM does not
        tell is left out. Raises AuthFailed, Throttled, Unreachable, Refused."""
        ...

    def check_host(self, host: Mapping[str, str]) -> list[Finding]:
        """Whether it is there, and these credentials may put people on it. Writes nothing. Never
        raises for what it finds."""
        ...


@dataclass(frozen=True, slots=True)
class Standing:
    """A record (an ATS candidate, a CRM contact) as the other system has it now. `external_id` is
    the id that was asked for, `stands_as` the one that stands today: another where it was merged,
    empty where it is gone. `fields`: Warmline field → the text that we would have written for what
    stands there; a field that is empty there is an empty text. `tags` as written there."""

    external_id: str
    stands_as: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    opted_out: bool = False


@runtime_checkable
class ReadsRecords(Protocol):
    """A system whose records can be read back, to compare them with what should stand there."""

    def records(self, ids: Sequence[str], fields: Collection[str]) -> list[Standing]:
        """One a given id, in order, whatever became of it; of `fields` those that the system keeps.
        Batch calls; reads only. Raises AuthFailed, Throttled, Unreachable, Malformed, Refused."""
        ...


class Access(StrEnum):
    """What is needed of a field at a connection."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True, slots=True)
class Needs:
    """What the project needs of a connection: each field (`warmline.core.actions.FIELDS`, and
    `tags`: the candidates' tags), and how."""

    fields: Mapping[str, frozenset[Access]]


class Verdict(StrEnum):
    """How a thing stands that `warmline check` looked at. Each cause has its own word, because
    each is mended elsewhere."""

    OK = "ok"  # looked at, and as it should be
    READ_ONLY = "read_only"  # it can be read and must be written too
    MISSING = "missing"  # it is not there: create it, or set it
    PLAN = "plan"  # the vendor says that the account's plan does not include it
    FORBIDDEN = "forbidden"  # the credentials are good and have no right to it: a scope, a role
    CREDENTIALS = "credentials"  # the vendor refuses the credentials
    UNREACHABLE = "unreachable"  # nothing answered
    THROTTLED = "throttled"  # the vendor asks us to wait: check again later
    FAILED = "failed"  # something answered, and not as it should
    UNKNOWN = "unknown"  # not seen: nothing there to look at, or no way to see it

    @property
    def to_mend(self) -> bool:
        """Whether somebody must do something. What was not seen is neither fine nor wrong."""
        return self not in (Verdict.OK, Verdict.UNKNOWN)

    @classmethod
    def worst(cls, verdicts: Iterable[Verdict]) -> Verdict:
        """The first that is to mend, else the first that was not seen, else OK."""
        found = list(verdicts)
        wrong = next((one for one in found if one.to_mend), None)
        return wrong or next((one for one in found if one is not cls.OK), cls.OK)

    @classmethod
    def of_answer(cls, status: int, said: str) -> Verdict:
        """What an HTTP answer that is no success is about: by its status, and where that is 403,
        by the vendor's own words, since a scope and a plan are refused with the same one."""
        if status == 403 and not _ABOUT_SCOPES.search(said) and _ABOUT_PLANS.search(said):
            return cls.PLAN
        named = {401: cls.CREDENTIALS, 402: cls.PLAN, 403: cls.FORBIDDEN, 429: cls.THROTTLED}
        return named.get(status, cls.FAILED)

    @classmethod
    def of_error(cls, error: WarmlineError) -> Verdict:
        """What a call that ended in this error is about, where its status is not at hand."""
        kinds = (
            (AuthFailed, cls.CREDENTIALS),
            (Throttled, cls.THROTTLED),
            (Unreachable, cls.UNREACHABLE),
            (ConfigError, cls.MISSING),
        )
        return next((verdict for kind, verdict in kinds if isinstance(error, kind)), cls.FAILED)


# Vendors' words in a 403. Scopes come first: "upgrade your app's scopes" is about scopes.
_ABOUT_SCOPES = re.compile(r"\b(scopes?|permissions?|granted|site admin|role)\b", re.IGNORECASE)
_ABOUT_PLANS = re.compile(
    r"\b(plans?|tier|subscription|upgrade[ds]?|edition|package|add-on|licen[cs]e[ds]?|"
    r"entitle(d|ments?)?|trial|access to this feature|not (available|included|enabled))\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of `warmline check`: `what` was looked at, `verdict`, `advice` on what to do.

    Where it is about a field that is needed, `field` names it, and `read` and `write` say how each
    need stands (None: it is not needed); the verdict is the worst of the two.
    """

    what: str
    verdict: Verdict
    advice: str = ""
    field: str = ""
    read: Verdict | None = None
    write: Verdict | None = None

    @classmethod
    def of_field(
        cls,
        field: str,
        what: str,
        needed: frozenset[Access],
        *,
        read: Verdict,
        write: Verdict,
        advice: str = "",
    ) -> Finding:
        """The finding on a needed field; of `read` and `write` it keeps what is needed."""
        kept_read = read if Access.READ in needed else None
        kept_write = write if Access.WRITE in needed else None
        verdict = Verdict.worst(one for one in (kept_read, kept_write) if one is not None)
        return cls(what, verdict, advice, field, kept_read, kept_write)


@runtime_checkable
class Checks(Protocol):
    def check(self, needs: Needs) -> list[Finding]:
        """Credentials, rights, and a finding for each field of `needs`, whatever happens: where it
        could not be looked at, the cause is its verdict. Writes nothing at the vendor. Never
        raises for what it finds."""
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
    "fetches_records": FetchesRecords,
    "lists_changes": ListsChanges,
    "finds_missing": FindsMissing,
    "applies_actions": AppliesActions,
    "merges_contacts": MergesContacts,
    "hosts_sequences": HostsSequences,
    "reads_records": ReadsRecords,
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
