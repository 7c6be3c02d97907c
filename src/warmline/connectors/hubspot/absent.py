"""What HubSpot no longer has: known contacts, deleted or merged there, of which no webhook told.

Whether a contact was deleted or erased for privacy's sake cannot be seen any more: it is taken for
deleted, so that only the contact is gone.
"""

from __future__ import annotations

from collections.abc import Iterable

from warmline.connectors.hubspot.contacts import Contacts
from warmline.core.errors import Refused
from warmline.core.events import CandidateFacts, Event, EventKind

WORD = "contacts.absent"
# More than half of this many or more: nobody deletes so many, but it may be another account.
SUSPICIOUS_FROM = 10
SUSPICIOUS_SHARE = 0.5


def events(api: Contacts, known: Iterable[str]) -> list[Event]:
    """Raises Refused where so many are gone that another account is the likelier cause."""
    ids = [one for one in known if one.isdecimal()]
    standing = api.by_id(ids, ("email",))
    gone = [one for one in ids if standing[one] is None]
    if len(gone) >= SUSPICIOUS_FROM and len(gone) > len(ids) * SUSPICIOUS_SHARE:
        raise Refused(
            f"HubSpot shows {len(ids) - len(gone)} of {len(ids)} known contacts: too few to believe"
            " that the rest was deleted",
            hint="is this still the access token of the same HubSpot account?",
        )
    found = []
    for one in ids:
        contact = standing[one]
        if contact is None:
            facts = CandidateFacts(external_id=one, gone=True)
            found.append(_event(EventKind.CANDIDATE_DELETED, f"{one}:absent", facts))
        elif contact.id != one:
            facts = CandidateFacts(external_id=one, merged_into=contact.id)
            key = f"{one}:merged:{contact.id}"
            found.append(_event(EventKind.CANDIDATE_MERGED, key, facts))
    return found


def _event(kind: EventKind, key: str, facts: CandidateFacts) -> Event:
    return Event(kind=kind, key=key, word=WORD, candidate=facts)
