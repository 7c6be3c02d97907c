"""The contacts of one account: found by id or any of their addresses, merged, and indexed late.

The search index is a second copy that follows `lag_s` behind, as the vendor's does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from warmline.sandbox.clock import Now, iso_ms
from warmline.sandbox.hubspot.properties import (
    Definition,
    PropertyError,
    clean_value,
    default_definitions,
)

CRM_UI = "CRM_UI"
INTEGRATION = "INTEGRATION"
EMAIL = "EMAIL"  # the vendor's own mail tools
# "A contact can be merged up to 250 times" (developers.hubspot.com, contact and form limits).
MERGES_MAX = 250
Emit = Callable[..., None]


class ConflictError(ValueError):
    """The address belongs to another contact already."""

    def __init__(self, existing_id: int) -> None:
        super().__init__(f"Contact already exists. Existing ID: {existing_id}")
        self.existing_id = existing_id


class MergeError(ValueError):
    """These two records cannot be made one; the text is the vendor's sentence."""


@dataclass
class Contact:
    """One record. `extra_emails` are the secondary addresses, `merges` counts those that led to
    it."""

    id: int
    properties: dict[str, str]
    created: str
    updated: str
    extra_emails: list[str] = field(default_factory=list)
    merges: int = 0

    def emails(self) -> list[str]:
        """Every address, the primary first."""
        primary = self.properties.get("email")
        return [*([primary] if primary else []), *self.extra_emails]


class Contacts:
    """The records, the dictionaries that find them, and the search index that lags."""

    def __init__(
        self,
        now: Now,
        emit: Emit,
        lag_s: float,
        opted_out: Callable[[str], bool] = lambda email: False,
    ) -> None:
        """`emit(type, contact_id, source, **more)` is called for each change that has a webhook.
        `opted_out` knows the addresses that take no mail: a new contact shows it of its own."""
        self.lock = threading.RLock()
        self.now = now
        self.lag_s = lag_s
        self.definitions: dict[str, Definition] = default_definitions(iso_ms(now()))
        self.by_id: dict[int, Contact] = {}
        self.blocklist: set[str] = set()
        self._emit = emit
        self._opted_out = opted_out
        self._by_email: dict[str, int] = {}
        self._moved: dict[int, int] = {}  # an id merged away -> the id that resolves it
        self._next_id = 6001
        self._indexed: dict[int, dict[str, str]] = {}
        self._indexed_email: dict[str, int] = {}
        self._waiting: deque[tuple[float, int, dict[str, str] | None]] = deque()

    def find(self, key: str, id_property: str | None = None) -> Contact | None:
        """By record id (merged ones resolve) or, with `email`, by any address of the record."""
        if id_property == "email":
            found = self._by_email.get(key.strip().lower())
            return None if found is None else self.by_id[found]
        if not key.isdecimal():
            return None
        return self.by_id.get(self.resolve(int(key)))

    def resolve(self, contact_id: int) -> int:
        """The id that stands for this one today."""
        while contact_id in self._moved:
            contact_id = self._moved[contact_id]
        return contact_id

    def unknown(self, names: Iterable[str]) -> list[str]:
        """The names that are not properties."""
        return [name for name in names if name not in self.definitions]

    def cleaned(self, properties: Mapping[str, Any], source: str) -> dict[str, str]:
        """The values as they are kept. Raises PropertyError."""
        values: dict[str, str] = {}
        for name, value in properties.items():
            made = self.definitions.get(name)
            if made is None:
                message = f'Property "{name}" does not exist'
                raise PropertyError(name, "PROPERTY_DOESNT_EXIST", message)
            if made["modificationMetadata"]["readOnlyValue"] and source == INTEGRATION:
                raise PropertyError(name, "READ_ONLY_VALUE", f'"{name}" is a read only property')
            values[name] = clean_value(made, value)
        return values

    def create(self, properties: Mapping[str, Any], source: str = INTEGRATION) -> Contact:
        """A new contact. Raises PropertyError or ConflictError."""
        values = {k: v for k, v in self.cleaned(properties, source).items() if v}
        email = values.get("email", "")
        if email in self._by_email:
            raise ConflictError(self._by_email[email])
        if email in self.blocklist:
            raise PropertyError("email", "BLOCKED_EMAIL", f"Email address {email} is blocked")
        contact = self._new(values)
        self._emit("contact.creation", contact.id, source)
        for name, value in values.items():
            self._emit("contact.propertyChange", contact.id, source, name=name, value=value)
        if email and self._opted_out(email):
            self.system_update(contact, {"hs_email_optout": "true"}, EMAIL)
        return contact

    def update(
        self, contact: Contact, properties: Mapping[str, Any], source: str = INTEGRATION
    ) -> Contact:
        """Write properties; an empty one clears. Raises PropertyError or ConflictError."""
        return self._write(contact, self.cleaned(properties, source), source)

    def system_update(self, contact: Contact, values: dict[str, str], source: str) -> Contact:
        """What the vendor itself writes, read-only properties included, on behalf of `source`."""
        return self._write(contact, values, source)

    def _write(self, contact: Contact, values: dict[str, str], source: str) -> Contact:
        if "email" in values:
            self._change_email(contact, values["email"])
        changed = {k: v for k, v in values.items() if contact.properties.get(k, "") != v}
        for name, value in changed.items():
            if value:
                contact.properties[name] = value
            else:
                contact.properties.pop(name, None)
            self._emit("contact.propertyChange", contact.id, source, name=name, value=value)
        self._stamp(contact)
        return contact

    def archive(self, contact: Contact, source: str = INTEGRATION, event: str = "deletion") -> None:
        """Delete; the addresses are free again."""
        self._forget(contact)
        self._emit(f"contact.{event}", contact.id, source)

    def merge(self, primary: Contact, other: Contact, source: str = INTEGRATION) -> Contact:
        """Both become a record with a new id; the primary's values win where both have one, the
        addresses are kept, and so is the older creation date. Raises MergeError.

        An opt-out is an address's: the record shows that of its primary address, and whoever
        relies on the record alone loses the other one (a customer's test in HubSpot's community,
        thread 824366).
        """
        merges = primary.merges + other.merges + 1
        if merges > MERGES_MAX:
            message = f"A contact can be merged up to {MERGES_MAX} times: {primary.id}, {other.id}."
            raise MergeError(message)
        emails = [*primary.emails(), *(e for e in other.emails() if e not in primary.emails())]
        values = {**other.properties, **primary.properties}
        if primary.properties.get("email") and "hs_email_optout" not in primary.properties:
            values.pop("hs_email_optout", None)
        before = [c.properties.get("hs_merged_object_ids", "") for c in (primary, other)]
        self._forget(primary)
        self._forget(other)
        old = [*(one for one in before if one), str(primary.id), str(other.id)]
        values["hs_merged_object_ids"] = ";".join(old)
        values.pop("hs_additional_emails", None)
        if emails:
            values["email"] = emails[0]
        merged = self._new(values, emails[1:])
        merged.merges = merges
        merged.properties["createdate"] = min(c.properties["createdate"] for c in (primary, other))
        self._moved[primary.id] = self._moved[other.id] = merged.id
        self._emit(
            "contact.merge",
            merged.id,
            source,
            primaryObjectId=primary.id,
            mergedObjectIds=[other.id],
            newObjectId=merged.id,
            numberOfPropertiesMoved=len(other.properties),
        )
        return merged

    def indexed(self) -> Iterator[tuple[int, dict[str, str]]]:
        """What search can see now."""
        self._catch_up()
        return iter(self._indexed.items())

    def indexed_row(self, contact_id: int) -> dict[str, str]:
        """What search holds of one contact, stale or not."""
        return self._indexed[contact_id]

    def indexed_by_email(self, email: str) -> Iterator[tuple[int, dict[str, str]]]:
        """The one record that search finds by its primary address; secondary ones are not found."""
        self._catch_up()
        found = self._indexed_email.get(email.lower())
        if found is not None and found in self._indexed:
            yield found, self._indexed[found]

    # Inside

    def _new(self, values: dict[str, str], extra_emails: Iterable[str] = ()) -> Contact:
        at = iso_ms(self.now())
        contact = Contact(self._next_id, dict(values), at, at, list(extra_emails))
        self._next_id += 50
        contact.properties.update(hs_object_id=str(contact.id), createdate=at)
        self.by_id[contact.id] = contact
        for email in contact.emails():
            self._by_email[email] = contact.id
        self._stamp(contact)
        return contact

    def _stamp(self, contact: Contact) -> None:
        contact.updated = iso_ms(self.now())
        contact.properties["lastmodifieddate"] = contact.updated
        if contact.extra_emails:
            contact.properties["hs_additional_emails"] = ";".join(contact.extra_emails)
        else:
            contact.properties.pop("hs_additional_emails", None)
        self._index_later(contact.id, dict(contact.properties))

    def _change_email(self, contact: Contact, email: str) -> None:
        """Keep the address book in step; the caller writes the property itself."""
        old = contact.properties.get("email", "")
        if email == old:
            return
        owner = self._by_email.get(email)
        if owner is not None and owner != contact.id:
            raise ConflictError(owner)
        if email in contact.extra_emails:
            # A secondary address that is written as `email` changes places with the primary.
            contact.extra_emails.remove(email)
            if old:
                contact.extra_emails.insert(0, old)
        else:
            self._by_email.pop(old, None)
        if email:
            self._by_email[email] = contact.id

    def _forget(self, contact: Contact) -> None:
        for email in contact.emails():
            self._by_email.pop(email, None)
        self.by_id.pop(contact.id, None)
        self._index_later(contact.id, None)

    def _index_later(self, contact_id: int, copy: dict[str, str] | None) -> None:
        self._waiting.append((self.now().timestamp() + self.lag_s, contact_id, copy))

    def _catch_up(self) -> None:
        at = self.now().timestamp()
        while self._waiting and self._waiting[0][0] <= at:
            _, contact_id, copy = self._waiting.popleft()
            old = self._indexed.pop(contact_id, {}).get("email")
            if old and self._indexed_email.get(old) == contact_id:
                del self._indexed_email[old]
            if copy is not None:
                self._indexed[contact_id] = copy
                if email := copy.get("email"):
                    self._indexed_email[email] = contact_id
