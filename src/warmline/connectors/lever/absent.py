"""What Lever no longer has: people and opportunities that are known here and absent there.

The list of deleted opportunities is polled; this is for what it does not say: that somebody was
merged into another contact, or that no opportunity of theirs is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

from warmline.connectors.lever import facts
from warmline.connectors.lever.api import EVERYTHING, Account, Row, is_id
from warmline.core.errors import Refused
from warmline.core.events import (
    ApplicationFacts,
    ApplicationStatus,
    CandidateFacts,
    Event,
    EventKind,
)

# More than half of this many or more: nobody deletes so many, but a right is soon lost.
SUSPICIOUS_FROM = 10
SUSPICIOUS_SHARE = 0.5
# One call a person is more than Lever's rate allows at once: what it said is kept until the rest
# could be asked for too.
KEPT_FOR = timedelta(minutes=15)


class Absent:
    """Of one account. Not shared by threads."""

    def __init__(self, account: Account, *, now: Callable[[], datetime]) -> None:
        self._account = account
        self._now = now
        self._said: dict[str, tuple[datetime, frozenset[str]]] = {}
        self._lost: dict[str, tuple[datetime, Row | None]] = {}

    def events(self, known: Mapping[str, Collection[str]]) -> list[Event]:
        """Contact id → ids of the person's opportunities, as they are known here. Throttled
        half-way, it goes on from there when it is asked again."""
        known = {c: list(filter(is_id, them)) for c, them in known.items() if is_id(c)}
        there = {contact: self._opportunities(contact) for contact in known}
        lost = {c: [o for o in them if o not in there[c]] for c, them in known.items()}
        asked = sum(map(len, known.values()))
        missing = sum(map(len, lost.values()))
        if missing >= SUSPICIOUS_FROM and missing > asked * SUSPICIOUS_SHARE:
            raise Refused(
                f"Lever shows {asked - missing} of {asked} known opportunities: too few to believe"
                " that the rest was deleted",
                hint="may the API key still see confidential data? Is this the same account?",
            )
        found = [
            event
            for contact, them in lost.items()
            for event in self._told(contact, them, any(there[contact]))
        ]
        self._said.clear()
        self._lost.clear()
        return found

    def _told(self, contact: str, lost: list[str], stands: bool) -> list[Event]:
        rows = {opportunity: self._row(opportunity) for opportunity in lost}
        moved = {str(r.get("contact")) for r in rows.values() if r and is_id(r.get("contact"))}
        if not stands and len(moved) == 1 and moved != {contact}:
            into = next(iter(moved))
            facts_ = CandidateFacts(external_id=contact, merged_into=into)
            key = facts.merged_key(contact, into)
            return [Event(EventKind.CANDIDATE_MERGED, key, "contacts.absent", candidate=facts_)]
        gone = [opportunity for opportunity, row in rows.items() if row is None]
        if not stands and gone == lost and self._no_contact(contact):
            facts_ = CandidateFacts(external_id=contact, gone=True)
            key = facts.deleted_key(contact)
            return [Event(EventKind.CANDIDATE_DELETED, key, "contacts.absent", candidate=facts_)]
        return [_of_opportunity(contact, opportunity) for opportunity in gone]

    def _no_contact(self, contact: str) -> bool:
        """Whether the person is gone too. A contact that stands may have an opportunity that this
        key does not see."""
        found = self._account.one(f"contacts/{contact}")
        return found is None or bool(found.get("isAnonymized"))

    def _opportunities(self, contact: str) -> frozenset[str]:
        now = self._now()
        kept = self._said.get(contact)
        if kept is None or now - kept[0] > KEPT_FOR:
            rows = self._account.opportunities(contact)
            kept = self._said[contact] = (now, frozenset(str(row.get("id")) for row in rows))
        return kept[1]

    def _row(self, opportunity: str) -> Row | None:
        now = self._now()
        kept = self._lost.get(opportunity)
        if kept is None or now - kept[0] > KEPT_FOR:
            row = self._account.one(f"opportunities/{opportunity}", **EVERYTHING)
            kept = self._lost[opportunity] = (now, row)
        return kept[1]


def _of_opportunity(contact: str, opportunity: str) -> Event:
    return Event(
        EventKind.CANDIDATE_UPDATED,
        facts.application_deleted_key(opportunity),
        "opportunities.absent",
        candidate=CandidateFacts(external_id=contact),
        application=ApplicationFacts(opportunity, status=ApplicationStatus.DELETED),
    )
