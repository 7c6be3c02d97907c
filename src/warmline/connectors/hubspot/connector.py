"""HubSpot: contacts are upserted by e-mail address; what people did comes back as webhooks."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime

from warmline.connectors.hubspot import (
    absent,
    checks,
    clicks,
    host_checks,
    hosting,
    listing,
    merging,
    opt_out,
    polled,
    reading,
    webhooks,
)
from warmline.connectors.hubspot.contacts import BATCH_MAX, Contact, Contacts
from warmline.connectors.hubspot.mapping import OPTED_OUT, properties_from, same, values_for
from warmline.connectors.hubspot.upsert import Upsert, addresses
from warmline.core.actions import OF_AN_ENROLMENT, Action, ActionKind
from warmline.core.errors import (
    AuthFailed,
    ConfigError,
    Refused,
    Throttled,
    Unreachable,
    Unsure,
    WarmlineError,
)
from warmline.core.events import Event
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.kit.http import TIMEOUT_S, Door
from warmline.ports import (
    Channel,
    ContactPage,
    Finding,
    Hosted,
    Needs,
    Options,
    Page,
    Received,
    Standing,
)

BASE_URL = "https://api.hubapi.com"
_OTHERS = OF_AN_ENROLMENT | {ActionKind.CONTACT_OPT_OUT}


class HubSpot:
    """receives_webhooks, parses, lists_changes, finds_missing, applies_actions, merges_contacts,
    hosts_sequences, reads_records, checks. Thread-safe."""

    def __init__(self, options: Options, *, timeout_s: float = TIMEOUT_S) -> None:
        self._table = properties_from(options.settings.get("properties"))
        self._client_secret = _secret(options, "client_secret")
        self._door = Door(
            str(options.settings.get("base_url") or BASE_URL),
            vendor="HubSpot",
            timeout_s=timeout_s,
            now=options.now,
        )
        self._access_token = _secret(options, "access_token")
        self._contacts = Contacts(self._door, self._access_token)
        self._pace = listing.Pace(options.now)
        self._clicks = clicks.Clicks(self._contacts, now=options.now)

    def close(self) -> None:
        self._door.close()

    def verify(self, received: Received, *, now: datetime) -> None:
        webhooks.verify(received, client_secret=self._client_secret, now=now)

    def delivery_key(self, received: Received) -> str:
        """None. HubSpot numbers entries, not deliveries; a repeat may group them otherwise and
        counts `attemptNumber` up, and `eventId` is not unique. So each entry is an event with a
        key of its own, and a repeat is known by these."""
        return ""

    def parse(self, received: Received) -> list[Event]:
        if received.channel is Channel.WEBHOOK:
            return webhooks.parse(received)
        return (
            clicks.parse(received) if received.stream == clicks.STREAM else polled.parse(received)
        )

    def streams(self) -> tuple[str, ...]:
        return (listing.STREAM, clicks.STREAM)

    def start(self, *, now: datetime) -> str:
        return listing.start(now)

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        if stream == clicks.STREAM:
            return self._clicks.changes(cursor, now=now)
        if stream != listing.STREAM:
            raise ConfigError(f"hubspot: no listing is called {stream[:40]!r}")
        return listing.changes(self._contacts, self._pace, cursor, now=now)

    def missing(self, known: Mapping[str, Collection[str]]) -> list[Event]:
        return absent.events(self._contacts, known)

    def batch_max(self) -> int:
        return BATCH_MAX

    def wait_s(self) -> float:
        return self._door.wait_s()

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        """Contacts first, then who opted out, then who comes onto a sequence or leaves it: a
        contact made a moment ago can be either."""
        ways = (
            (self._upsert, [a for a in actions if a.kind not in _OTHERS]),
            (self._opt_out, [a for a in actions if a.kind is ActionKind.CONTACT_OPT_OUT]),
            (self._host, [a for a in actions if a.kind in OF_AN_ENROLMENT]),
        )
        used = [(way, mine) for way, mine in ways if mine]
        if len(used) == 1:
            return used[0][0](used[0][1])
        # What hits one kind's calls (a scope that it lacks) says nothing of the other's.
        said = {
            id(action): outcome
            for way, mine in used
            for action, outcome in zip(mine, _told(way, mine), strict=True)
        }
        return [said[id(action)] for action in actions]

    def _upsert(self, actions: Sequence[Action]) -> list[Outcome]:
        return Upsert(self._contacts, self._table, actions).run()

    def _opt_out(self, actions: Sequence[Action]) -> list[Outcome]:
        return opt_out.opt_out(self._contacts, self._table, actions)

    def _host(self, actions: Sequence[Action]) -> list[Outcome]:
        return hosting.apply(self._contacts, actions)

    def find(self, action: Action) -> Outcome | None:
        """DONE where the person's contact holds all that was to be written; None where there is
        no contact, or it holds something else. Raises where it could not be looked at."""
        if action.kind is ActionKind.CONTACT_OPT_OUT:
            return opt_out.find(self._contacts, self._table, action)
        if action.kind in OF_AN_ENROLMENT:
            return hosting.find(self._contacts, action)
        try:
            wanted = values_for(action.fields, self._table)
        except ValueError:
            return None  # such an action is refused before it is sent
        kinds = {entry.name: entry.kind for entry in self._table.values()}
        names = ("email", *wanted)
        keys = [(action.contact.external_id, False)] if action.contact.external_id else []
        for key, by_email in [*keys, *((email, True) for email in addresses(action))]:
            contact = self._contacts.read(key, names, by_email=by_email)
            if contact is None:
                continue
            if all(same(text, contact.properties.get(n), kinds[n]) for n, text in wanted.items()):
                return _found(contact)
        return None

    def preview(self, action: Action) -> dict[str, str]:
        """What `apply` would write, by HubSpot's own names; nobody is asked. The address of a
        contact whose id is not known is that of a new one. Raises Refused."""
        try:
            values = values_for(action.fields, self._table)
        except ValueError as error:
            raise Refused(str(error)) from None
        if action.kind is ActionKind.CONTACT_OPT_OUT:
            return {OPTED_OUT: "true"} | values
        found = addresses(action) if not action.contact.external_id else []
        return ({"email": found[0]} if found else {}) | values

    def contacts(self, cursor: str = "") -> Iterator[ContactPage]:
        return merging.contacts(self._contacts, cursor)

    def merge(self, primary: str, other: str) -> Outcome:
        return merging.merge(self._contacts, primary, other)

    def host_of(self, options: Mapping[str, object]) -> Mapping[str, str]:
        return hosting.host_of(options)

    def cannot(self, host: Mapping[str, str]) -> tuple[str, ...]:
        return hosting.cannot(host)

    def hosted(self, host: Mapping[str, str], contacts: Sequence[str]) -> dict[str, Hosted]:
        return hosting.hosted(self._contacts, host, contacts)

    def check_host(self, host: Mapping[str, str]) -> list[Finding]:
        return host_checks.check(self._contacts, host, token=self._access_token)

    def records(self, ids: Sequence[str], fields: Collection[str]) -> list[Standing]:
        return reading.records(self._contacts, self._table, ids, fields)

    def check(self, needs: Needs) -> list[Finding]:
        return checks.check(self._contacts, self._table, needs, token=self._access_token)


def _told(
    apply: Callable[[Sequence[Action]], list[Outcome]], actions: Sequence[Action]
) -> list[Outcome]:
    """The outcomes, where a failure of the whole call is one of each action."""
    try:
        return apply(actions)
    except (AuthFailed, Throttled, Unreachable, Unsure) as error:
        return [_failed(error)] * len(actions)


def _failed(error: WarmlineError) -> Outcome:
    kind = OutcomeKind.UNKNOWN if isinstance(error, Unsure) else OutcomeKind.LATER
    after_s = error.after_s if isinstance(error, Throttled) else None
    return Outcome(kind, error.reason, after_s=after_s)


def _found(contact: Contact) -> Outcome:
    return Outcome(OutcomeKind.DONE, "found written", external_id=contact.id)


def _secret(options: Options, name: str) -> str:
    value = options.secrets.get(name, "").strip()
    if not value:
        raise ConfigError(f"hubspot: connection {options.name} has no {name}")
    return value
