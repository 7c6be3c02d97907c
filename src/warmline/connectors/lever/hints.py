"""Webhooks of Lever's: signed in their body, over a token and a time and nothing else.

So what a webhook says is not believed. Its ids name what is read, with our own key, from Lever.
"""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from warmline.connectors.lever import shapes
from warmline.connectors.lever.api import EVERYTHING, Account, Row, has_id, is_id
from warmline.connectors.lever.mapping import HINTS, About
from warmline.connectors.lever.reading import DELETED, INTERVIEWS, OPPORTUNITIES, Reading
from warmline.core.errors import BadSignature, ConfigError
from warmline.core.events import Event
from warmline.kit.signatures import hmac_sha256, require_equal
from warmline.ports import Record

# Lever tries five times, at growing intervals that it does not tell; a token is taken once.
AGE_MAX = timedelta(days=3)
AHEAD_MAX = timedelta(minutes=5)  # its clock against ours
TOKEN_LENGTH_MAX = 128
WORD_LENGTH_MAX = 64
_HEX_LENGTH = 64


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a webhook is signed with. `triggered_at` as it stands in the body."""

    token: str
    triggered_at: int
    signature: str


def verify(body: bytes, tokens: Sequence[str], *, now: datetime) -> None:
    """Raise BadSignature unless one of these signature tokens signed it, lately. Each webhook in
    Lever has a token of its own, and nothing outside the signature tells which one it is."""
    if not tokens:
        raise ConfigError(
            "lever: webhook_tokens is not set, and without it no webhook is accepted",
            hint="set it to the signature tokens that Lever shows when a webhook is made",
        )
    envelope = read_envelope(body)
    said = f"{envelope.token}{envelope.triggered_at}".encode()
    found = envelope.signature.lower()
    if len(found) != _HEX_LENGTH or not set(found) <= set(string.hexdigits):
        raise BadSignature(
            f"the body's signature is cut off or not hexadecimal: {len(found)} characters,"
            f" expected {_HEX_LENGTH}",
            hint="does a proxy rewrite the body?",
        )
    refusal: BadSignature | None = None
    good = False
    for token in tokens:  # every one, whichever fits: the time taken tells nothing
        try:
            require_equal(found, hmac_sha256(token, said).hex(), header="(in the body)")
            good = True
        except BadSignature:
            refusal = BadSignature(
                f"the body's signature fits none of the {len(tokens)} signature tokens",
                hint="compare webhook_tokens with the tokens in Lever: each webhook has its own",
            )
    if not good and refusal is not None:
        raise refusal
    try:
        age = now - datetime.fromtimestamp(envelope.triggered_at / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        age = AGE_MAX * 2
    if age > AGE_MAX or age < -AHEAD_MAX:
        raise BadSignature(
            f"the webhook was made {abs(age.total_seconds()) / 3600:.1f} hours"
            f" {'ago' if age > AGE_MAX else 'from now'}",
            hint="somebody may be sending an old one again; is this machine's clock right?",
        )


def read_envelope(body: bytes) -> Envelope:
    """Raises BadSignature where there is none: nobody signed these bytes."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        token, at, signature = (found.get(key) for key in ("token", "triggeredAt", "signature"))
        if (
            isinstance(token, str)
            and 0 < len(token) <= TOKEN_LENGTH_MAX
            and token.isprintable()
            and type(at) is int
            and isinstance(signature, str)
        ):
            return Envelope(token, at, signature)
    raise BadSignature(
        "the body has no token, triggeredAt and signature",
        hint="Lever signs in the body; is signing switched on for this webhook?",
    )


def parse(body: bytes) -> list[Event]:
    """Nothing where we know the word, since what it is about is read; else the word, to be kept."""
    found = shapes.load(body)
    word = found.get("event")
    if not isinstance(word, str) or not word:
        raise shapes.fault("$.event", word, "the name of an event")
    if word in HINTS:
        return []
    seen = shapes.clean(word)[:WORD_LENGTH_MAX]
    token = found.get("token")
    key = f"unknown:{seen}:{shapes.clean(token) if isinstance(token, str) else ''}"[:200]
    return [Event.unknown(word=seen, key=key)]


def fetch(account: Account, reading: Reading, body: bytes) -> dict[str, list[Record]]:
    """What this webhook is about, as Lever has it now, by listing."""
    found = shapes.load(body)
    about = HINTS.get(str(found.get("event")))
    if about is None:
        return {}
    data = shapes.an_object(found, "data", "$")
    hint = read_envelope(body).token
    if about is About.CONTACT:
        return _contact(account, reading, shapes.identifier(data, "contactId", "$.data"), hint)
    number = shapes.identifier(data, "opportunityId", "$.data")
    row = account.one(f"opportunities/{number}", expand="applications", **EVERYTHING)
    if row is None or not has_id(row):
        contact = data.get("contactId")
        return _gone(account, reading, number, contact if is_id(contact) else "")
    told = {OPPORTUNITIES: [reading.opportunity(row, hint)]}
    if about is About.INTERVIEW:
        interview = shapes.identifier(data, "interviewId", "$.data")
        told[INTERVIEWS] = _interviews(account, reading, row, interview, hint)
    return told


def _contact(
    account: Account, reading: Reading, contact: str, hint: str
) -> dict[str, list[Record]]:
    rows = [row for row in account.opportunities(contact) if has_id(row)]
    return {OPPORTUNITIES: [reading.opportunity(row, hint) for row in rows]}


def _interviews(
    account: Account, reading: Reading, row: Row, interview: str, hint: str
) -> list[Record]:
    """All of the opportunity's, and the one that the webhook names where it is gone."""
    missing = account.one(f"opportunities/{row['id']}/interviews/{interview}") is None
    record = reading.interviews(row, hint, removed=[interview] if missing else [])
    return [record] if record is not None else []


def _gone(
    account: Account, reading: Reading, opportunity: str, contact: Any
) -> dict[str, list[Record]]:
    """Lever has no such opportunity. The person is gone with it where no other is left; which
    person it was is said by the webhook, so Lever is asked about them too."""
    left = account.opportunities(contact) if contact else [{}]
    return {DELETED: [reading.deleted(opportunity, "" if left else str(contact))]}
