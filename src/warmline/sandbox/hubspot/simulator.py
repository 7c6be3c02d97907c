"""The simulated HubSpot: its contacts, what people do in it, and the webhooks that follow."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from warmline.sandbox.clock import Now, epoch_ms, iso_ms, utc_now
from warmline.sandbox.control import CallError
from warmline.sandbox.faults import FaultPlan
from warmline.sandbox.front import RequestLog
from warmline.sandbox.hubspot.automation import Automation
from warmline.sandbox.hubspot.contacts import CRM_UI, Contact, Contacts, MergeError
from warmline.sandbox.hubspot.emails import BROWSER, Emails
from warmline.sandbox.hubspot.emails import SCOPE as CONTENT
from warmline.sandbox.hubspot.properties import definition
from warmline.sandbox.hubspot.subscriptions import SELF, Subscriptions
from warmline.sandbox.outbox import Event, Outbox, Parcel, Signed
from warmline.sandbox.people import STAFF

# Not a secret: it opens nothing but this simulator.
TOKEN = "sandbox-token"
PORTAL_ID = 62515
APP_ID = 54321
PREFERENCES = "communication_preferences.read_write"
AUTOMATION = frozenset(
    {
        "automation.sequences.read",
        "automation.sequences.enrollments.write",
        "crm.lists.read",
        "crm.lists.write",
    }
)
SCOPES = frozenset(
    f"crm.{kind}.contacts.{verb}" for kind in ("objects", "schemas") for verb in ("read", "write")
) | {PREFERENCES, CONTENT, *AUTOMATION}
# Up to ten retries within 24 hours (card B1); how they are spread is not documented.
RETRIES_S = (60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 10800.0, 14400.0, 21600.0, 25200.0)
BATCH_MAX = 100
# Stamps that every write moves; nobody can subscribe to them with any use.
SILENT = frozenset({"lastmodifieddate", "createdate", "hs_object_id"})
EVENT_TYPES = frozenset(
    {
        "contact.creation",
        "contact.deletion",
        "contact.merge",
        "contact.propertyChange",
        "contact.privacyDeletion",
    }
)
VERBS = (
    "create", "set_property", "opt_out", "send_mail", "click", "open", "reply", "bounce", "merge",
    "delete", "gdpr_delete", "finish_sequence",
)  # fmt: skip


class HubSpot:
    """One account. Verbs are what people do in its pages, so their webhooks say CRM_UI."""

    def __init__(
        self,
        *,
        now: Now = utc_now,
        rng: random.Random | None = None,
        token: str = TOKEN,
        rate_limit: int = 190,
        search_limit: int = 5,
        search_lag_s: float = 5.0,
    ) -> None:
        """`rate_limit` is calls in ten rolling seconds, `search_limit` searches in one."""
        rng = rng or random.Random(0)
        self.now = now
        self.token = token
        self.scopes = SCOPES  # of the token; may be narrowed while it runs
        self.rate_limit = rate_limit
        self.search_limit = search_limit
        self.secret = ""
        self.subscriptions = Subscriptions(now)
        self.contacts = Contacts(now, self._emit, search_lag_s, self.subscriptions.none_at_all)
        self.owners = self._make_owners()
        self.automation = Automation(now)
        self.emails = Emails(now)
        self.faults = FaultPlan(seed=rng.randrange(2**31))
        self.log = RequestLog(now)
        self.closing = threading.Event()
        self.outbox = Outbox(
            now=now,
            rng=random.Random(rng.randrange(2**31)),
            retries_s=RETRIES_S,
            sign=self._sign,
            accepted=lambda status: 200 <= status < 300,
            batch_max=BATCH_MAX,
        )
        self._event_id = 0
        self._wanted: dict[tuple[str, str], None] | None = None  # None is everything
        self._subscription_ids: dict[tuple[str, str], int] = {}
        self._captured = threading.local()

    # What people do

    def create(self, email: str, **properties: Any) -> dict[str, Any]:
        """Somebody types a contact in."""
        with self.contacts.lock:
            made = self.contacts.create({"email": email, **properties}, CRM_UI)
            return self.shown(made)

    def set_property(self, email: str, name: str, value: Any) -> dict[str, Any]:
        """Somebody changes a property, read-only ones included."""
        with self.contacts.lock:
            return self.shown(self.contacts.update(self._by_email(email), {name: value}, CRM_UI))

    def opt_out(self, email: str) -> dict[str, Any]:
        """The person unsubscribes from everything, themselves."""
        with self.contacts.lock:
            contact = self._by_email(email)
            self.subscriptions.unsubscribe_all(email, SELF)
            return self.shown(self.show_opt_out(contact, email, CRM_UI))

    def show_opt_out(self, contact: Contact, email: str, source: str) -> Contact:
        """A contact shows the opt-out of its primary address, and of no other."""
        if contact.properties.get("email") != email.strip().lower():
            return contact
        self.automation.end(str(contact.id))
        return self.contacts.system_update(contact, {"hs_email_optout": "true"}, source)

    def send_mail(self, email: str, subject: str) -> dict[str, Any]:
        """A marketing mail leaves, and arrives a second later."""
        return self.emails.send(email, subject)

    def click(
        self,
        email: str,
        subject: str = "",
        url: str = "",
        bot: bool = False,
        agent: str = BROWSER,
    ) -> dict[str, Any]:
        """The person clicks a link in a marketing mail of that subject; or, with `bot`, a scanner
        that HubSpot knows: that moves no property."""
        with self.contacts.lock:
            contact = self._by_email(email)
            self.emails.click(email, subject, url, bot=bot, agent=agent)
            if bot:
                return self.shown(contact)
            if subject:
                self.set_property(email, "hs_email_last_email_name", subject)
            return self.set_property(email, "hs_email_last_click_date", iso_ms(self.now()))

    def open(self, email: str) -> dict[str, Any]:
        """The person, or their mail program, opens a marketing mail."""
        return self.set_property(email, "hs_email_last_open_date", iso_ms(self.now()))

    def reply(self, email: str) -> dict[str, Any]:
        """The person replies to a marketing mail, or to one of a sequence, which ends it."""
        self.automation.end(str(self._by_email(email).id))
        return self.set_property(email, "hs_email_last_reply_date", iso_ms(self.now()))

    def bounce(self, email: str, reason: str = "UNKNOWN_USER") -> dict[str, Any]:
        """A marketing mail bounces for good."""
        return self.set_property(email, "hs_email_hard_bounce_reason_enum", reason)

    def merge(self, primary: str, other: str) -> dict[str, Any]:
        """Merge the contact `other` into `primary`, both named by an address; a new id results."""
        with self.contacts.lock:
            one, two = self._by_email(primary), self._by_email(other)
            if one is two:
                raise CallError("Both addresses belong to one contact already.")
            try:
                return self.shown(self.contacts.merge(one, two, CRM_UI))
            except MergeError as bad:
                raise CallError(str(bad)) from bad

    def delete(self, email: str) -> dict[str, Any]:
        """Delete the contact."""
        with self.contacts.lock:
            contact = self._by_email(email)
            self.contacts.archive(contact, CRM_UI)
            return {"id": str(contact.id)}

    def gdpr_delete(self, email: str) -> dict[str, Any]:
        """Erase the contact for good, or block an address that nobody has."""
        return {"id": self.erase(self.contacts.find(email, "email"), email, CRM_UI)}

    def erase(self, contact: Contact | None, email: str, source: str) -> str | None:
        """What both the page and the API do for an erasure."""
        with self.contacts.lock:
            if contact is None:
                self.contacts.blocklist.add(email.strip().lower())
                return None
            self.contacts.archive(contact, source, "privacyDeletion")
            return str(contact.id)

    def add_property(self, name: str, label: str, kind: str) -> dict[str, Any]:
        """Define one more contact property."""
        with self.contacts.lock:
            made = definition(name, label, kind, False, True, iso_ms(self.now()))
            self.contacts.definitions[name] = made
            return made

    def verbs(self) -> dict[str, Callable[..., Any]]:
        """What `/_control/do/<verb>` offers."""
        return {name: getattr(self, name) for name in VERBS}

    def finish_sequence(self, email: str) -> dict[str, Any]:
        """The contact comes to the end of the sequence that it is on."""
        contact = self._by_email(email)
        self.automation.end(str(contact.id))
        return {"id": str(contact.id)}

    # Reading

    def address_of(self, contact_id: str) -> str | None:
        """The primary address of a contact; None where there is no such contact."""
        contact = self.contacts.find(contact_id)
        return contact.properties.get("email", "") if contact else None

    def senders(self) -> dict[str, str]:
        """Whose inboxes are connected: address to user id."""
        return {owner["email"].lower(): str(owner["userId"]) for owner in self.owners}

    def shown(self, contact: Contact, names: Iterable[str] = ()) -> dict[str, Any]:
        """A contact as the API answers it: the default properties and the asked ones."""
        wanted = dict.fromkeys(
            ("createdate", "email", "firstname", "hs_object_id", "lastmodifieddate", "lastname")
        )
        wanted.update(dict.fromkeys(n for n in names if n in self.contacts.definitions))
        return {
            "id": str(contact.id),
            "properties": {name: contact.properties.get(name) for name in wanted},
            "createdAt": contact.created,
            "updatedAt": contact.updated,
            "archived": False,
            "url": f"https://app.hubspot.com/contacts/{PORTAL_ID}/record/0-1/{contact.id}",
        }

    def all_contacts(self) -> list[dict[str, Any]]:
        """Every contact with all that it holds, for checks."""
        with self.contacts.lock:
            return [
                {"id": str(c.id), "emails": c.emails(), "properties": dict(c.properties)}
                for c in self.contacts.by_id.values()
            ]

    def state(self) -> dict[str, Any]:
        """Counts for the control API."""
        with self.contacts.lock:
            counts = {
                "contacts": len(self.contacts.by_id),
                "blocklist": len(self.contacts.blocklist),
                "properties": len(self.contacts.definitions),
            }
        return {"vendor": "hubspot", "counts": counts, "webhooks": self.outbox.state()}

    # Webhooks

    def set_webhook(
        self, url: str, secret: str, subscriptions: Sequence[dict[str, str]] | None = None
    ) -> dict[str, Any]:
        """Send events to `url`, all of them or those of `[{eventType, propertyName?}]`."""
        self.secret = secret
        if subscriptions is None:
            self._wanted = None
        else:
            pairs = [(s.get("eventType", ""), s.get("propertyName", "")) for s in subscriptions]
            if bad := [kind for kind, _ in pairs if kind not in EVENT_TYPES]:
                raise TypeError(f"Unknown eventType {bad[0]!r}.")
            self._wanted = dict.fromkeys(pairs)
        self.outbox.url = url
        self.outbox.active = True
        return {"url": url, "active": True}

    def sign(self, url: str, body: bytes, secret: str | None = None) -> dict[str, str]:
        """The headers of one webhook call (signature v3; card B1): for callers that post alone."""
        key = (self.secret if secret is None else secret).encode()
        stamp = str(epoch_ms(self.now()))
        signed = b"POST" + url.encode() + body + stamp.encode()
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "X-HubSpot-Request-Timestamp": stamp,
            "X-HubSpot-Signature-v3": base64.b64encode(digest).decode(),
            "X-HubSpot-Signature": hashlib.sha256(key + body).hexdigest(),
            "X-HubSpot-Signature-Version": "v1",
            "User-Agent": "HubSpot Connect 2.0 (http://dev.hubspot.com/)",
        }

    def build_webhook(
        self, events: Sequence[Event], url: str, secret: str | None = None
    ) -> tuple[dict[str, str], bytes]:
        """Headers and raw body of one call, signed for `url`, not sent."""
        body = json.dumps(list(events), separators=(",", ":")).encode()
        return self.sign(url, body, secret), body

    @contextmanager
    def captured(self) -> Iterator[list[Event]]:
        """Within it, this thread's events are put into the list instead of sent."""
        events: list[Event] = []
        self._captured.into = events
        try:
            yield events
        finally:
            self._captured.into = None

    def close(self) -> None:
        """Stop deliveries and let every hanging fault go."""
        self.closing.set()
        self.outbox.close()

    # Inside

    def _sign(self, parcel: Parcel) -> Signed:
        events = [{**event, "attemptNumber": parcel.attempt - 1} for event in parcel.events]
        return self.build_webhook(events, self.outbox.url)

    def _emit(self, kind: str, contact_id: int, source: str, **more: Any) -> None:
        name = more.pop("name", "")
        into: list[Event] | None = getattr(self._captured, "into", None)
        if name in SILENT or (into is None and not self.outbox.active):
            return
        if self._wanted is not None and (kind, name) not in self._wanted:
            return
        self._event_id += 1
        subscription = self._subscription_ids.setdefault(
            (kind, name), 12_345 + len(self._subscription_ids)
        )
        event: Event = {
            "eventId": self._event_id,
            "subscriptionId": subscription,
            "portalId": PORTAL_ID,
            "appId": APP_ID,
            "occurredAt": epoch_ms(self.now()),
            "subscriptionType": kind,
            "attemptNumber": 0,
            "objectId": contact_id,
            "changeSource": source,
            "sourceId": str(APP_ID) if source != CRM_UI else "userId:1001",
        }
        if name:
            event.update(propertyName=name, propertyValue=more.pop("value"))
        if kind == "contact.creation":
            event["changeFlag"] = "NEW"
        event.update(more)
        if into is not None:
            into.append(event)
        else:
            self.outbox.put(kind, event)

    def _by_email(self, email: str) -> Contact:
        contact = self.contacts.find(email, "email")
        if contact is None:
            raise CallError(f"There is no contact with the address {email}.")
        return contact

    def _make_owners(self) -> list[dict[str, Any]]:
        at = iso_ms(self.now())
        return [
            {
                "id": str(77_001 + number),
                "email": person.email,
                "type": "PERSON",
                "firstName": person.first_name,
                "lastName": person.last_name,
                "userId": 1001 + number,
                "userIdIncludingInactive": 1001 + number,
                "createdAt": at,
                "updatedAt": at,
                "archived": False,
            }
            for number, person in enumerate(STAFF)
            if person.role in {"recruiter", "admin"}
        ]
