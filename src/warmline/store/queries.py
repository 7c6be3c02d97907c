"""The few SQL queries that must be fast, named and explained. Everything else is the ORM."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import connection

# Asked once a mail, in the transaction that commits the beginning of its hand-over. By the ORM
# this would be six queries and a millisecond and a half of every mail's budget of eight.
_PERSON = """
SELECT c.do_not_contact, c.erased_at IS NOT NULL, c.merged_into_id IS NOT NULL,
       e.normal, s.reason, s.source
FROM warmline_candidate c
LEFT JOIN warmline_candidateemail e ON e.candidate_id = c.id
LEFT JOIN warmline_suppression s ON s.address = e.normal
WHERE c.id = %s
ORDER BY e.rank, e.id
"""
_CANDIDACIES = """
SELECT a.status, s.kind
FROM warmline_application a
LEFT JOIN warmline_stage s ON s.id = a.stage_id
WHERE a.candidate_id = %s
"""
# PostgreSQL only: an opt-out locks the same row, so that one of the two goes first and the other
# sees what it did. SQLite has one writer anyway.
_LOCK = "SELECT 1 FROM warmline_candidate WHERE id = %s FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Present:
    """A candidate as the ledger has it at this moment. `addresses`: each with the reason and the
    source of its suppression, empty where there is none; the preferred one first."""

    do_not_contact: bool
    erased: bool
    merged: bool
    addresses: tuple[tuple[str, str, str], ...]
    candidacies: tuple[tuple[str, str | None], ...]


def lock_candidate(candidate_id: int) -> None:
    """Hold the candidate's row until the transaction ends."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_LOCK, [candidate_id])


def present(candidate_id: int) -> Present:
    """Read, under the lock, what decides whether a mail may leave now."""
    lock_candidate(candidate_id)
    with connection.cursor() as cursor:
        cursor.execute(_PERSON, [candidate_id])
        rows = cursor.fetchall()
        cursor.execute(_CANDIDACIES, [candidate_id])
        candidacies = tuple(cursor.fetchall())
    return Present(
        do_not_contact=bool(rows[0][0]),
        erased=bool(rows[0][1]),
        merged=bool(rows[0][2]),
        addresses=tuple((r[3], r[4] or "", r[5] or "") for r in rows if r[3]),
        candidacies=candidacies,
    )
