"""HubSpot's webhooks: is it signed, and what does each entry of the body say."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from warmline.connectors.hubspot import signals
from warmline.connectors.hubspot.mapping import SUBSCRIPTIONS, UNMAPPED, moment
from warmline.core.errors import BadSignature, Malformed
from warmline.core.events import CandidateFacts, Event, EventKind
from warmline.kit.signatures import hmac_sha256, require_equal, require_header
from warmline.ports import Received

SIGNATURE = "x-hubspot-signature-v3"
TIMESTAMP = "x-hubspot-request-timestamp"
AGE_S_MAX = 300
ENTRIES_MAX = 1000  # HubSpot sends at most 100 at once
WORD_CHARS_MAX = 100
VALUE_CHARS_MAX = 500
MERGED_MAX = 500
CONTACT_TYPE = "0-1"
SECONDARY_ADDRESSES = "hs_additional_emails"

# HubSpot signs the address with these escapes (and no others) undone.
_DECODED: Mapping[str, str] = {
    "%3A": ":",
    "%2F": "/",
    "%3F": "?",
    "%40": "@",
    "%21": "!",
    "%24": "$",
    "%27": "'",
    "%28": "(",
    "%29": ")",
    "%2A": "*",
    "%2C": ",",
    "%3B": ";",
}


def verify(received: Received, *, client_secret: str, now: datetime) -> None:
    """Raise BadSignature unless HubSpot signed this request with our secret in these minutes."""
    signature = require_header(received.headers, SIGNATURE)
    timestamp = require_header(received.headers, TIMESTAMP)
    mac = hmac_sha256(
        client_secret,
        received.method.upper().encode(),
        signed_uri(received.url).encode("utf-8", "surrogateescape"),
        received.body,
        timestamp.encode("utf-8", "replace"),
    )
    require_equal(signature, base64.b64encode(mac).decode(), header=SIGNATURE)
    sent_at = moment(timestamp) if re.fullmatch(r"[0-9]{1,15}", timestamp) else None
    if sent_at is None:
        raise BadSignature(f"header {TIMESTAMP} holds no time in milliseconds")
    if abs((now - sent_at).total_seconds()) > AGE_S_MAX:
        raise BadSignature(
            "the delivery was signed more than five minutes away from now",
            hint="is this machine's clock right? An old delivery sent again is refused on purpose",
        )


def signed_uri(url: str) -> str:
    return re.sub(r"%[0-9A-Fa-f]{2}", lambda m: _DECODED.get(m[0].upper(), m[0]), url)


def parse(received: Received) -> list[Event]:
    try:
        body = json.loads(received.body)
    except (ValueError, RecursionError):
        raise Malformed("$: found something that is no JSON, expected an array") from None
    if not isinstance(body, list):
        raise Malformed(f"$: found {_kind(body)}, expected an array")
    if len(body) > ENTRIES_MAX:
        raise Malformed(f"$: found {len(body)} entries, expected at most {ENTRIES_MAX}")
    events: dict[str, Event] = {}
    for index, entry in enumerate(body):
        for event in _Entry(entry, f"$[{index}]").events():
            events.setdefault(event.key, event)  # HubSpot may say one thing twice in one body
    # Secondary addresses last, so that a primary one told with them is heard before them.
    return sorted(events.values(), key=_tells_secondary_addresses)


def _tells_secondary_addresses(event: Event) -> bool:
    return event.fields.get("property") == SECONDARY_ADDRESSES


class _Entry:
    """One entry of the body, read with the place in it that an error names."""

    def __init__(self, entry: object, path: str) -> None:
        if not isinstance(entry, dict):
            raise Malformed(f"{path}: found {_kind(entry)}, expected an object")
        self._entry: dict[str, Any] = entry
        self._path = path

    def events(self) -> list[Event]:
        word = self._text("subscriptionType")
        about = word
        if word.startswith("object.") and self._entry.get("objectTypeId") == CONTACT_TYPE:
            about = "contact." + word.removeprefix("object.")  # the newer, generic subscriptions
        if about in UNMAPPED:
            return []
        kind = SUBSCRIPTIONS.get(about)
        if kind is None:
            return [self._unknown(word)]
        if about == "contact.propertyChange":
            return self._property_change(word)
        if about == "contact.merge":
            return self._merge(word)
        if about == "contact.creation" and self._is_echo():
            return []
        candidate = CandidateFacts(
            external_id=self._id("objectId"), gone=kind is EventKind.CANDIDATE_DELETED
        )
        fields = {"privacy": "true"} if about == "contact.privacyDeletion" else {}
        return [self._event(kind, word, candidate, fields)]

    def _property_change(self, word: str) -> list[Event]:
        name, value = self._word("propertyName"), self._value()
        contact_id = self._id("objectId")
        found = signals.read(contact_id, name, value)
        if found is None:
            if self._is_echo():
                return []
            candidate, fields = updated(contact_id, name, value)
            return [self._event(EventKind.CANDIDATE_UPDATED, word, candidate, fields, name=name)]
        if found.kind is EventKind.CANDIDATE_UNSUBSCRIBED and self._is_our_app():
            return []  # the person said it to us, and we to HubSpot (I7)
        return [
            self._event(
                found.kind,
                word,
                found.candidate,
                found.fields,
                name=name,
                occurred_at=found.occurred_at,
                key=found.key,
            )
        ]

    def _merge(self, word: str) -> list[Event]:
        """The new record's id takes the place of all others: of the primary one too, where the
        merge made a new record."""
        primary = self._id("primaryObjectId")
        new = self._id("newObjectId") if self._entry.get("newObjectId") is not None else primary
        merged = self._entry.get("mergedObjectIds")
        if not isinstance(merged, list) or len(merged) > MERGED_MAX:
            raise self._malformed("mergedObjectIds", f"an array of at most {MERGED_MAX}", merged)
        old = [primary]
        for index, found in enumerate(merged):
            old.append(self._as_id(f"mergedObjectIds[{index}]", found))
        return [
            self._event(
                EventKind.CANDIDATE_MERGED,
                word,
                CandidateFacts(external_id=one, merged_into=new),
                {},
                suffix=f":{one}",
            )
            for one in dict.fromkeys(old)
            if one != new
        ]

    def _is_echo(self) -> bool:
        """A write of our own that comes back (I7): by an integration, and by no other than the
        app that these webhooks belong to. Without a source id it cannot be another's."""
        if self._entry.get("changeSource") != "INTEGRATION":
            return False
        source, app = str(self._entry.get("sourceId") or ""), str(self._entry.get("appId") or "")
        return not (source.isdecimal() and app.isdecimal()) or source == app

    def _is_our_app(self) -> bool:
        """An echo beyond doubt: an opt-out that names no source may be another's, and counts."""
        source = str(self._entry.get("sourceId") or "")
        return self._is_echo() and source.isdecimal()

    def _event(
        self,
        kind: EventKind,
        word: str,
        candidate: CandidateFacts,
        fields: dict[str, str],
        *,
        name: str = "",
        suffix: str = "",
        occurred_at: datetime | None = None,
        key: str = "",
    ) -> Event:
        """`key`: where the news has one of its own. `attemptNumber` and `eventId` are no part of
        it: the one changes when HubSpot repeats itself, the other is not unique."""
        when = self._when()
        if when is None:
            raise self._malformed("occurredAt", "milliseconds", None)
        parts = (
            self._as_id("subscriptionId", self._entry.get("subscriptionId")),
            self._id("objectId"),
            str(self._entry["occurredAt"]),
            word,
            name,
        )
        key = key or ":".join(parts) + suffix
        return Event(
            kind=kind,
            key=key,
            word=word,
            occurred_at=occurred_at or when,
            candidate=candidate,
            fields=fields,
        )

    def _unknown(self, word: str) -> Event:
        """Kept and counted. Its key is all of the entry but what changes when HubSpot repeats
        itself."""
        kept = {name: value for name, value in self._entry.items() if name != "attemptNumber"}
        try:
            canonical = json.dumps(kept, sort_keys=True, separators=(",", ":"))
            occurred_at = self._when()
        except RecursionError:
            raise Malformed(f"{self._path}: found an object nested too deep") from None
        except Malformed:
            occurred_at = None  # nobody knows what this word's fields look like
        word = re.sub(r"[^\w.\-]", "?", word, flags=re.ASCII)[:WORD_CHARS_MAX]
        key = f"{word}:{hashlib.sha256(canonical.encode()).hexdigest()[:32]}"
        return Event.unknown(word=word, key=key, occurred_at=occurred_at)

    def _when(self) -> datetime | None:
        """`occurredAt`, or None where the entry has none."""
        found = self._entry.get("occurredAt")
        if found is None:
            return None
        if not isinstance(found, int) or isinstance(found, bool) or found < 0:
            raise self._malformed("occurredAt", "milliseconds", found)
        try:
            return datetime.fromtimestamp(found / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            raise self._malformed("occurredAt", "milliseconds of our time", found) from None

    def _value(self) -> str:
        """The property's new value, in characters that every store can keep."""
        found = self._entry.get("propertyValue")
        if found is None:
            return ""
        if isinstance(found, bool | int | float | str):
            text = str(found).replace("\0", "").encode("utf-8", "replace").decode()
            return text.strip()
        raise self._malformed("propertyValue", "a text", found)

    def _text(self, name: str) -> str:
        found = self._entry.get(name)
        if not isinstance(found, str) or not found:
            raise self._malformed(name, "a word", found)
        return found

    def _word(self, name: str) -> str:
        found = self._text(name)
        if not re.fullmatch(rf"[\w.\-]{{1,{WORD_CHARS_MAX}}}", found, re.ASCII):
            raise self._malformed(name, f"a word of at most {WORD_CHARS_MAX} characters", found)
        return found

    def _id(self, name: str) -> str:
        return self._as_id(name, self._entry.get(name))

    def _as_id(self, name: str, found: object) -> str:
        if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 10**20:
            return str(found)
        if isinstance(found, str) and re.fullmatch(r"[0-9]{1,20}", found):
            return found
        raise self._malformed(name, "a record id", found)

    def _malformed(self, name: str, expected: str, found: object) -> Malformed:
        return Malformed(f"{self._path}.{name}: found {_kind(found)}, expected {expected}")


def updated(contact_id: str, name: str, value: str) -> tuple[CandidateFacts, dict[str, str]]:
    """What an edited property says of the person; others are named with their value."""
    fields = {"property": name}
    if name == "firstname":
        return CandidateFacts(external_id=contact_id, first_name=value), fields
    if name == "lastname":
        return CandidateFacts(external_id=contact_id, last_name=value), fields
    if name == "email":
        return CandidateFacts(external_id=contact_id, emails=(value,) if value else ()), fields
    if name == SECONDARY_ADDRESSES:
        # The primary one is not told here, and among these HubSpot knows no order: whoever reads
        # this must not prefer any of them.
        emails = tuple(one.strip() for one in value.split(";") if one.strip())
        facts = CandidateFacts(external_id=contact_id, emails=emails)
        return facts, fields | {"addresses": "secondary"}
    if name in ("phone", "mobilephone"):
        return CandidateFacts(external_id=contact_id, phones=(value,) if value else ()), fields
    return CandidateFacts(external_id=contact_id), fields | {"value": value[:VALUE_CHARS_MAX]}


def _kind(found: object) -> str:
    """What was found, without its content."""
    names = {dict: "an object", list: "an array", str: "a text", bool: "a boolean"}
    if found is None:
        return "nothing"
    return names.get(type(found), "a number")
