"""What a contact that was read by a poll says. It tells how it stands, not what changed, nor when.

So it is heard without a time: names only fill what nobody knows. What carries a time of its own in
its value is the same event as the webhook's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from warmline.connectors.hubspot import signals
from warmline.connectors.hubspot.mapping import OPTED_OUT, OPTOUT_PREFIX, SIGNALS, moment
from warmline.core.errors import Malformed
from warmline.core.events import CandidateFacts, Event, EventKind
from warmline.ports import Received

WORD = "contacts"
# HubSpot counts a click some time after it: of what is older than this, compared with what the
# poll looked for, the webhook came long ago, or it was before our time.
SIGNAL_AGE_MS_MAX = 24 * 3600 * 1000


def parse(received: Received) -> list[Event]:
    try:
        body = json.loads(received.body)
    except (ValueError, RecursionError):
        raise Malformed("$: found something that is no JSON, expected an object") from None
    contact = body.get("contact") if isinstance(body, dict) else None
    held = contact.get("properties") if isinstance(contact, dict) else None
    if not isinstance(contact, dict) or not isinstance(held, dict):
        raise Malformed("$.contact: found something that is no contact with properties")
    number = str(contact.get("id") or "")
    if not number.isdecimal():
        raise Malformed("$.contact.id: found something else, expected a record id")
    texts = {
        str(name): value.replace("\0", "").strip()
        for name, value in held.items()
        if isinstance(value, str)
    }
    changed = moment(texts.get("lastmodifieddate") or str(contact.get("updatedAt") or ""))
    if changed is None:
        raise Malformed("$.contact.properties.lastmodifieddate: found no time")
    since = body.get("since")
    found = list(_signals(number, texts, changed, since if isinstance(since, int) else 0))
    return [_updated(number, texts, changed), *found]


def _updated(number: str, texts: Mapping[str, str], changed: datetime) -> Event:
    """The primary address first; among the others HubSpot knows no order."""
    more = texts.get("hs_additional_emails", "").split(";")
    emails = [one.strip() for one in (texts.get("email", ""), *more)]
    phones = [texts.get(name, "") for name in ("phone", "mobilephone")]
    facts = CandidateFacts(
        external_id=number,
        first_name=texts.get("firstname") or None,
        last_name=texts.get("lastname") or None,
        emails=tuple(dict.fromkeys(one for one in emails if one)),
        phones=tuple(dict.fromkeys(one for one in phones if one)),
    )
    key = f"{number}:polled:{_ms(changed)}"
    return Event(kind=EventKind.CANDIDATE_UPDATED, key=key, word=WORD, candidate=facts)


def _signals(
    number: str, texts: Mapping[str, str], changed: datetime, since: int
) -> Iterator[Event]:
    """Opt-outs have no time: the key is this state of the record, and whoever said no already says
    nothing new by it."""
    said_no = texts.get(OPTED_OUT, "").lower() == "true"
    for name, value in sorted(texts.items()):
        single = name.startswith(OPTOUT_PREFIX)
        if not (name in SIGNALS or single) or (single and said_no):
            continue
        found = signals.read(number, name, value)
        if found is None or found.kind is EventKind.CANDIDATE_UPDATED:
            continue  # empty
        if found.occurred_at is not None and _ms(found.occurred_at) < since - SIGNAL_AGE_MS_MAX:
            continue
        key = found.key or f"{number}:{name}:{value.lower()[:100]}:{_ms(changed)}"
        yield Event(
            kind=found.kind,
            key=key,
            word=WORD,
            occurred_at=found.occurred_at,
            candidate=found.candidate,
            fields=found.fields,
        )


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)
