"""Greenhouse as Warmline sees it: what it can do, and the settings that it is given."""

from __future__ import annotations

import hashlib
import re
import string
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from warmline.connectors.greenhouse import absent, checkup, polled, records, webhooks
from warmline.connectors.greenhouse.customfields import TYPES as FIELD_TYPES
from warmline.connectors.greenhouse.facts import stamp
from warmline.connectors.greenhouse.fates import BATCH_MAX
from warmline.connectors.greenhouse.harvest import PER_PAGE_MAX, Access, Harvest, is_id
from warmline.connectors.greenhouse.mapping import StageKinds
from warmline.connectors.greenhouse.sweeps import STREAMS, Sweeps
from warmline.connectors.greenhouse.taglist import plain
from warmline.connectors.greenhouse.writeback import Settings, WriteBack
from warmline.core.actions import Action
from warmline.core.errors import BadSignature, ConfigError, Malformed
from warmline.core.events import Event
from warmline.core.outcomes import Outcome
from warmline.kit.connection_settings import ConnectionSettings
from warmline.kit.http import TIMEOUT_S
from warmline.kit.signatures import hmac_sha256, require_equal, require_header
from warmline.ports import Channel, Finding, Needs, Options, Page, Received, Standing

SIGNATURE = "signature"
SIGNATURE_SCHEME = "sha256"
EVENT_ID = "greenhouse-event-id"
EVENT_ID_LENGTH_MAX = 64
OVERLAP_MINUTES_MAX = 7 * 24 * 60
REENGAGED_TAG = "warmline:re-engaged"
DO_NOT_CONTACT_TAG = "do-not-contact"
TAG_LENGTH_MAX = 100

_NAME_KEY = re.compile(r"[a-z0-9_]{1,255}")


class Greenhouse:
    """Webhooks in, the Harvest v3 API read for what webhooks do not tell, and written back to it:
    the segment's tag, the re-engagement flag, do-not-contact.

    Settings are checked here, secrets only where they are used: a connection may live from
    webhooks alone, or from polling alone. Thread-safe."""

    def __init__(self, options: Options, *, timeout_s: float = TIMEOUT_S) -> None:
        settings = ConnectionSettings("greenhouse", options.settings)
        secrets = options.secrets
        self._now = options.now
        self._webhook_secret = secrets.get("webhook_secret", "")
        self._kinds = StageKinds(settings.stages())
        self._access = Access(
            base_url=settings.text("base_url", "https://harvest.greenhouse.io/v3"),
            token_url=settings.text("token_url", "https://auth.greenhouse.io/token"),
            client_id=secrets.get("client_id", ""),
            client_secret=secrets.get("client_secret", ""),
            user_id=settings.text("user_id", "", or_number=True),
            timeout_s=timeout_s,
        )
        self._overlap = timedelta(
            minutes=settings.whole_number("overlap_minutes", 60, 0, OVERLAP_MINUTES_MAX)
        )
        self._per_page = settings.whole_number("per_page", PER_PAGE_MAX, 1, PER_PAGE_MAX)
        self._writes = Settings(
            reengaged_tag=_tag(settings, "reengaged_tag", REENGAGED_TAG),
            do_not_contact_tag=_tag(settings, "do_not_contact_tag", DO_NOT_CONTACT_TAG),
            fields=_fields(settings.given.get("fields")),
            user_id=self._access.user_id if is_id(self._access.user_id) else "",
        )
        if plain(self._writes.reengaged_tag) == plain(self._writes.do_not_contact_tag):
            raise ConfigError(
                "greenhouse: reengaged_tag and do_not_contact_tag are the same, and mean opposites"
            )
        # Made when first used: who only receives webhooks opens no connection.
        self._lock = threading.Lock()
        self._harvest: Harvest | None = None
        self._sweeps: Sweeps | None = None
        self._write_back: WriteBack | None = None

    def close(self) -> None:
        if self._harvest is not None:
            self._harvest.close()

    # Webhooks

    def verify(self, received: Received, *, now: datetime) -> None:
        """Greenhouse signs no time, so an old delivery cannot be told from a new one here: the
        event's key and time make a replay old news, where the payload has a time."""
        if not self._webhook_secret:
            raise ConfigError(
                "greenhouse: webhook_secret is not set, and without it no webhook is accepted",
                hint="set it to the Secret Key of the webhook in Greenhouse",
            )
        scheme, _, found = require_header(received.headers, SIGNATURE).strip().partition(" ")
        if scheme.lower() != SIGNATURE_SCHEME:
            raise BadSignature(
                "header signature names another scheme than sha256",
                hint="Greenhouse sends `Signature: sha256 <hex>`; does a proxy rewrite it?",
            )
        found = found.strip().lower()
        expected = hmac_sha256(self._webhook_secret, received.body).hex()
        if len(found) != len(expected) or not set(found) <= set(string.hexdigits):
            raise BadSignature(
                f"header signature is cut off or not hexadecimal: {len(found)} characters,"
                f" expected {len(expected)}",
                hint="Greenhouse sends `Signature: sha256 <hex>`; does a proxy shorten it?",
            )
        require_equal(found, expected, header=SIGNATURE)

    def delivery_key(self, received: Received) -> str:
        """The vendor's id and a piece of the body's hash: the id stands in a header that nobody
        signed, and must not make another body look like one that came already."""
        event_id = received.headers.get(EVENT_ID, "").strip()[:EVENT_ID_LENGTH_MAX]
        if not event_id:
            return ""
        return f"{event_id}:{hashlib.sha256(received.body).hexdigest()[:16]}"

    # Events

    def parse(self, received: Received) -> list[Event]:
        if received.channel in (Channel.POLL, Channel.HISTORY):
            return polled.parse(received.stream, received.body, kinds=self._kinds)
        if received.channel is not Channel.WEBHOOK:
            raise Malformed(f"greenhouse: cannot read what came by {received.channel.value}")
        token = self.delivery_key(received) or hashlib.sha256(received.body).hexdigest()
        return webhooks.parse(received.body, token=token, kinds=self._kinds)

    # The API

    def streams(self) -> tuple[str, ...]:
        return STREAMS

    def start(self, *, now: datetime) -> str:
        # Later by the overlap, which the first poll takes off again: the hour before is history.
        return stamp(now + self._overlap)

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        with self._lock:
            if self._sweeps is None:
                self._sweeps = Sweeps(
                    self._opened(), overlap=self._overlap, per_page=self._per_page
                )
        return self._sweeps.changes(stream, cursor, now=now)

    def missing(self, known: Mapping[str, Collection[str]]) -> list[Event]:
        return absent.events(self._api(), known)

    def batch_max(self) -> int:
        return BATCH_MAX

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        return self._writing().apply(actions)

    def find(self, action: Action) -> Outcome | None:
        return self._writing().find(action)

    def own_tags(self) -> frozenset[str]:
        """Beside the segments', the tags that we write: on a record, they are no news."""
        return frozenset({self._writes.reengaged_tag, self._writes.do_not_contact_tag})

    def records(self, ids: Sequence[str], fields: Collection[str]) -> list[Standing]:
        return records.read(self._api(), self._writes.fields, ids, fields)

    def check(self, needs: Needs) -> list[Finding]:
        named = self._writes.fields
        return checkup.run(self._api(), self._access, needs, named, now=self._now)

    def _api(self) -> Harvest:
        with self._lock:
            return self._opened()

    def _writing(self) -> WriteBack:
        with self._lock:
            if self._write_back is None:
                self._write_back = WriteBack(self._opened(), self._writes, now=self._now)
            return self._write_back

    def _opened(self) -> Harvest:
        """The caller holds the lock."""
        if self._harvest is None:
            self._harvest = Harvest(self._access, now=self._now)
        return self._harvest


def _tag(settings: ConnectionSettings, name: str, default: str) -> str:
    found = settings.text(name, default)
    if not plain(found) or len(found) > TAG_LENGTH_MAX or not found.isprintable():
        raise ConfigError(
            f"greenhouse: {name}: found {found[:TAG_LENGTH_MAX]!r}, expected the name of a tag, at"
            f" most {TAG_LENGTH_MAX} characters"
        )
    return found


def _fields(found: Any) -> dict[str, str]:
    """Field → name_key."""
    if found is None:
        return {}
    if not isinstance(found, Mapping):
        raise ConfigError(f"greenhouse: fields: found {found!r}, expected `field: name_key` lines")
    for name, key in found.items():
        if name not in FIELD_TYPES:
            raise ConfigError(
                f"greenhouse: fields: found {name!r}, expected some of {sorted(FIELD_TYPES)}"
            )
        if not isinstance(key, str) or not _NAME_KEY.fullmatch(key):
            raise ConfigError(
                f"greenhouse: fields: {name}: found {key!r}, expected the immutable field key of a"
                " custom field, like reengaged_on"
            )
    if len(set(found.values())) < len(found):
        raise ConfigError("greenhouse: fields: two fields go into one custom field")
    return dict(found)
