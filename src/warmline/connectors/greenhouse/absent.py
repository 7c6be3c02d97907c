"""What Greenhouse no longer has: candidates and applications that are known here and absent there.

Its listings hold what stands, and say nothing of what was deleted or merged. Webhooks do; this is
for those that never came.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from warmline.connectors.greenhouse import facts
from warmline.connectors.greenhouse.harvest import Harvest, is_id, number_of, row_id
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


def events(harvest: Harvest, known: Mapping[str, Collection[str]]) -> list[Event]:
    """Candidate id → ids of the person's applications, as they are known here. An absent candidate
    whose applications stand with another one was merged into it; else it was deleted.
    Raises Refused where so many are absent that the user's rights are the likelier cause."""
    known = {record: list(filter(is_id, them)) for record, them in known.items() if is_id(record)}
    absent = _absent(harvest, "candidates", known)
    believable("candidates", len(absent), len(known))
    wanted = {number for them in known.values() for number in them}
    owners = _owners(harvest, wanted)
    found = []
    for record in sorted(absent):
        # Deleting a candidate deletes the applications: who has one still is only hidden.
        holders = {owners[number] for number in known[record] if number in owners}
        if record not in holders:
            found.append(_of_candidate(record, _taker(holders, known)))
    # With its candidate gone it went along, or its new owner's listing tells of it.
    kept = {n: record for record, them in known.items() if record not in absent for n in them}
    lost = sorted(set(kept) - set(owners))
    believable("applications", len(lost), len(kept))
    return found + [_of_application(kept[number], number) for number in lost]


def _absent(harvest: Harvest, resource: str, ids: Iterable[str]) -> set[str]:
    """Asked twice: one answer with a hole in it must not delete anybody."""
    left = set(ids)
    for _ in range(2):
        left -= {row_id(row) for row in harvest.look_up(resource, left)}
    return left


def _owners(harvest: Harvest, applications: Iterable[str]) -> dict[str, str]:
    """Application → the candidate who has it there now; without those that are absent."""
    found: dict[str, str] = {}
    left = set(applications)
    for _ in range(2):  # asked twice, as above
        rows = harvest.look_up("applications", left)
        found |= {row_id(row): number_of(row, "candidate_id") for row in rows}
        left -= set(found)
    return found


def believable(resource: str, missing: int, asked: int) -> None:
    if missing >= SUSPICIOUS_FROM and missing > asked * SUSPICIOUS_SHARE:
        raise Refused(
            f"Greenhouse shows {asked - missing} of {asked} known {resource}: too few to believe"
            " that the rest was deleted",
            hint="may user_id still see private candidates and confidential jobs? Is this still"
            " the same Greenhouse account?",
        )


def _taker(holders: set[str], known: Collection[str]) -> str:
    """Who has the applications now; empty where that is nobody, or not one. Several records may
    stand for one person here: one that is not among them is the news."""
    for among in (holders - set(known), holders):
        if len(among) == 1:
            return next(iter(among))
    return ""


def _of_candidate(record: str, into: str) -> Event:
    if into:
        return Event(
            kind=EventKind.CANDIDATE_MERGED,
            key=facts.merged_key(record, into),
            word="candidates.absent",
            candidate=CandidateFacts(external_id=record, merged_into=into),
        )
    return Event(
        kind=EventKind.CANDIDATE_DELETED,
        key=facts.deleted_key(record),
        word="candidates.absent",
        candidate=CandidateFacts(external_id=record, gone=True),
    )


def _of_application(record: str, number: str) -> Event:
    return Event(
        kind=EventKind.CANDIDATE_UPDATED,
        key=facts.application_deleted_key(record, number),
        word="applications.absent",
        candidate=CandidateFacts(external_id=record),
        application=ApplicationFacts(external_id=number, status=ApplicationStatus.DELETED),
    )
