"""Lever as Warmline sees it: what it can do, and the settings that it is given."""

from __future__ import annotations

import re
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from warmline.connectors.lever import checkup, hints, records, standing
from warmline.connectors.lever.absent import Absent
from warmline.connectors.lever.api import Access, Account, is_id
from warmline.connectors.lever.mapping import StageKinds
from warmline.connectors.lever.reading import Reading
from warmline.connectors.lever.sweeps import STREAMS, Sweeps, milliseconds
from warmline.connectors.lever.writing import BATCH_MAX, DO_NOT_CONTACT_TAG, FLAG_TAG, Writing
from warmline.core.actions import Action
from warmline.core.errors import ConfigError, Malformed
from warmline.core.events import Event
from warmline.core.outcomes import Outcome
from warmline.kit.connection_settings import ConnectionSettings
from warmline.kit.http import TIMEOUT_S
from warmline.ports import Channel, Finding, Needs, Options, Page, Received, Record, Standing

OVERLAP_MINUTES_MAX = 7 * 24 * 60
TOKENS_MAX = 50


class Lever:
    """Webhooks say that something changed; the API says what. Tags and notes are written to it.

    Lever's contact is our candidate record, its opportunity our application. Thread-safe."""

    def __init__(self, options: Options, *, timeout_s: float = TIMEOUT_S) -> None:
        settings = ConnectionSettings("lever", options.settings)
        secrets = options.secrets
        self._now = options.now
        self._hook_url = f"{options.public_url}/in/{options.name}" if options.public_url else ""
        self._tokens = _tokens(secrets.get("webhook_tokens", ""))
        self._kinds = StageKinds(settings.stages())
        self._overlap = timedelta(
            minutes=settings.whole_number("overlap_minutes", 10, 0, OVERLAP_MINUTES_MAX)
        )
        access = Access(
            base_url=settings.text("base_url", "https://api.lever.co/v1"),
            api_key=secrets.get("api_key", "").strip(),
            perform_as=_user(settings.text("perform_as", "")),
            timeout_s=timeout_s,
        )
        self._account = Account(access, now=options.now)
        self._reading = Reading(self._account, now=options.now)
        self._sweeps = Sweeps(self._account, self._reading, overlap=self._overlap)
        self._writing = Writing(self._account, now=options.now)
        self._absent = Absent(self._account, now=options.now)
        self._asking = threading.Lock()

    def close(self) -> None:
        self._account.close()

    # Webhooks

    def verify(self, received: Received, *, now: datetime) -> None:
        hints.verify(received.body, self._tokens, now=now)

    def delivery_key(self, received: Received) -> str:
        """The token that is signed: Lever's retries have the same one, and one that comes again
        with other data is a replay."""
        return hints.read_envelope(received.body).token

    def fetch(self, received: Received) -> dict[str, list[Record]]:
        return hints.fetch(self._account, self._reading, received.body)

    # Events

    def parse(self, received: Received) -> list[Event]:
        if received.channel is Channel.WEBHOOK:
            return hints.parse(received.body)
        if received.channel in (Channel.POLL, Channel.HISTORY):
            return records.parse(received.stream, received.body, kinds=self._kinds)
        raise Malformed(f"lever: cannot read what came by {received.channel.value}")

    # The API

    def streams(self) -> tuple[str, ...]:
        return STREAMS

    def start(self, *, now: datetime) -> str:
        # Later by the overlap, which the first poll takes off again: the time before is history.
        return str(milliseconds(now + self._overlap))

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        return self._sweeps.changes(stream, cursor, now=now)

    def missing(self, known: Mapping[str, Collection[str]]) -> list[Event]:
        with self._asking:
            return self._absent.events(known)

    def records(self, ids: Sequence[str], fields: Collection[str]) -> list[Standing]:
        return standing.records(self._account, ids, fields)

    def batch_max(self) -> int:
        return BATCH_MAX

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        return self._writing.apply(actions)

    def find(self, action: Action) -> Outcome | None:
        return self._writing.find(action)

    def own_tags(self) -> frozenset[str]:
        """The tags that are ours beside the segments'."""
        return frozenset({FLAG_TAG, DO_NOT_CONTACT_TAG})

    def check(self, needs: Needs) -> list[Finding]:
        return checkup.run(self._account, needs, hook_url=self._hook_url)


def _user(found: str) -> str:
    if found and not is_id(found):
        raise ConfigError(
            f"lever: perform_as: found {found!r}, expected the id of a Lever user",
            hint="an address is no id: `GET /users?email=` of the API tells the id",
        )
    return found


def _tokens(found: str) -> tuple[str, ...]:
    tokens = tuple(dict.fromkeys(filter(None, map(str.strip, re.split(r"[,\r\n]", found)))))
    if len(tokens) > TOKENS_MAX:
        raise ConfigError(
            f"lever: webhook_tokens: found {len(tokens)} tokens, expected at most {TOKENS_MAX}"
        )
    return tokens
