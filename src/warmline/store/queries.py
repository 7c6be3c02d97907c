"""The few SQL queries that must be fast, named and explained. Everything else is the ORM."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

from django.db import connection

from warmline.core.engagement import Act, is_act
from warmline.core.events import EventKind
from warmline.core.segments import STAGE_ORDER, Evidence, History, Placement
from warmline.store.statuses import MessageStatus

# Asked once a mail, in the transaction that commits the beginning of its hand-over. By the ORM
# this would be six queries and a millisecond and a half of every mail's budget of eight.
_PERSON = """
SELECT c.do_not_contact, c.erased_at IS NOT NULL, c.merged_into_id IS NOT NULL,
       e.normal, s.reason, s.source, g.segment, g.score, g.placed_at,
       p.paused_until, p.days_between, p.topics_off
FROM warmline_candidate c
LEFT JOIN warmline_segmentation g ON g.candidate_id = c.id
LEFT JOIN warmline_preference p ON p.candidate_id = c.id
LEFT JOIN warmline_candidateemail e ON e.candidate_id = c.id
LEFT JOIN warmline_suppression s ON s.address = e.normal
WHERE c.id = %s
ORDER BY e.told_at DESC, e.rank, e.normal
"""
# With what is paused, which must stop the very next mail too: one question less.
_CANDIDACIES = """
SELECT 0, a.status, s.kind
FROM warmline_application a
LEFT JOIN warmline_stage s ON s.id = a.stage_id
WHERE a.candidate_id = %s
UNION ALL
SELECT 1, scope, name FROM warmline_pause WHERE until IS NULL
"""
# A nurture mail that left, or may have.
LEFT = (MessageStatus.SENDING, MessageStatus.HANDED_OFF, MessageStatus.UNKNOWN)
# By the index on the candidate: one person has few messages.
_SENT = """
SELECT m.sending_at FROM warmline_message m
JOIN warmline_candidate c ON c.id = m.candidate_id
WHERE (c.id = %s OR c.merged_into_id = %s) AND m.step_class = 'marketing'
  AND m.status IN ('sending', 'handed_off', 'unknown') AND m.sending_at > %s
"""
_ADD_MAILS = """
INSERT INTO warmline_senderday (name, day, mails) VALUES {rows}
ON CONFLICT (name, day) DO UPDATE SET mails = warmline_senderday.mails + excluded.mails
"""
# PostgreSQL only: an opt-out locks the same row, so that one of the two goes first and the other
# sees what it did. SQLite has one writer anyway.
_LOCK = "SELECT 1 FROM warmline_candidate WHERE id = %s FOR UPDATE"


@dataclass(frozen=True, slots=True)
class Present:
    """A candidate as the ledger has it at this moment. `addresses`: each with the reason and the
    source of its suppression, empty where there is none; the preferred one first. `pauses`: scope
    and name of each."""

    do_not_contact: bool
    erased: bool
    merged: bool
    addresses: tuple[tuple[str, str, str], ...]
    candidacies: tuple[tuple[str, str | None], ...]
    pauses: tuple[tuple[str, str], ...]
    segment: str
    score: float
    placed_at: datetime | None
    paused_until: datetime | None
    days_between: int
    topics_off: tuple[str, ...]


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
        more = cursor.fetchall()
    return Present(
        do_not_contact=bool(rows[0][0]),
        erased=bool(rows[0][1]),
        merged=bool(rows[0][2]),
        addresses=tuple((r[3], r[4] or "", r[5] or "") for r in rows if r[3]),
        candidacies=tuple((status, kind) for pause, status, kind in more if not pause),
        pauses=tuple((scope, name) for pause, scope, name in more if pause),
        segment=rows[0][6] or "",
        score=rows[0][7] or 0.0,
        placed_at=_moment(rows[0][8]) if rows[0][8] else None,
        paused_until=_moment(rows[0][9]) if rows[0][9] else None,
        days_between=rows[0][10] or 0,
        topics_off=tuple(_json(rows[0][11]) or ()),
    )


def sent_since(candidate_id: int, since: datetime) -> list[datetime]:
    """When nurture mails left for this person after `since`."""
    moment = connection.ops.adapt_datetimefield_value(since)
    with connection.cursor() as cursor:
        cursor.execute(_SENT, [candidate_id, candidate_id, moment])
        return [_moment(at) for (at,) in cursor.fetchall()]


# Asked once a claimed batch, by the partial index `pause_once`: a handful of rows are open at most.
_PAUSES = "SELECT scope, name FROM warmline_pause WHERE until IS NULL"


def open_pauses() -> list[tuple[str, str]]:
    """What is paused now: scope and name."""
    with connection.cursor() as cursor:
        cursor.execute(_PAUSES)
        return list(cursor.fetchall())


# What the segment rules look at, of one candidate or of a stretch of a million: one pass over the
# applications by their index, aggregated by the database. Prospects are no applications.
_HISTORIES = """
SELECT c.id, c.created_at,
       COUNT(CASE WHEN a.status = 'active' AND NOT a.prospect THEN 1 END),
       COUNT(CASE WHEN a.status = 'rejected' AND NOT a.prospect THEN 1 END),
       COUNT(CASE WHEN a.status = 'hired' AND NOT a.prospect THEN 1 END),
       MAX(CASE WHEN a.prospect THEN 0 ELSE CASE a.reached
           WHEN 'applied' THEN 1 WHEN 'screen' THEN 2 WHEN 'interview' THEN 3 WHEN 'final' THEN 4
           WHEN 'offer' THEN 5 WHEN 'hired' THEN 6 ELSE 0 END END),
       {greatest}
FROM warmline_candidate c
LEFT JOIN warmline_application a ON a.candidate_id = c.id AND a.status <> 'deleted'
WHERE c.merged_into_id IS NULL AND c.erased_at IS NULL AND {where}
GROUP BY c.id, c.created_at, c.sourced_at
"""
# The newest sign of life in one value: to read four times a candidate takes as long as the rest.
_SIGNS = ("c.sourced_at", "MAX(a.applied_at)", "MAX(a.moved_at)", "MAX(a.rejected_at)")
_OR_EMPTY = ", ".join(f"COALESCE({sign}, '')" for sign in _SIGNS)
_GREATEST = {
    "postgresql": f"GREATEST({', '.join(_SIGNS)})",
    # SQLite's MAX is null where one is; times compare there as the text that Django wrote.
    "sqlite": f"NULLIF(MAX({_OR_EMPTY}), '')",
}
# By the partial index `event_engaged`: acts are few beside all other events.
_ACTS = """
SELECT candidate_id, kind, occurred_at, fields
FROM warmline_event
WHERE kind IN ('candidate.reengaged', 'consent.given', 'message.clicked', 'message.replied')
  AND effect = 'applied' AND {where}
"""
_BY_RANK = ("", *(kind for kind, _ in sorted(STAGE_ORDER.items(), key=lambda item: item[1])))


def histories(
    ids: Collection[int] = (), *, stretch: tuple[int, int] | None = None
) -> dict[int, History]:
    """What the segment rules look at, by candidate: of these ids, or of `stretch`, the ids above
    the first and up to the second. Who was merged or erased is left out."""
    if stretch is not None:
        where, args = "{id} > %s AND {id} <= %s", list(stretch)
    elif ids:
        where, args = f"{{id}} IN ({', '.join(['%s'] * len(ids))})", list(ids)
    else:
        return {}
    acts: dict[int, list[Act]] = {}
    found: dict[int, History] = {}
    with connection.cursor() as cursor:
        cursor.execute(_ACTS.format(where=where.format(id="candidate_id")), args)
        for candidate_id, word, at, fields in cursor.fetchall():
            kind = EventKind(word)
            told = _json(fields)
            if is_act(kind, told):
                acts.setdefault(candidate_id, []).append(Act(kind, _moment(at)))
        greatest = _GREATEST[connection.vendor]
        cursor.execute(_HISTORIES.format(where=where.format(id="c.id"), greatest=greatest), args)
        for pk, made, active, rejected, hired, rank, newest in cursor.fetchall():
            sign = _moment(newest or made)
            mine = tuple(acts.get(pk, ()))
            if mine:
                sign = max([act.at for act in mine] + ([sign] if newest else []))
            found[pk] = History(active, rejected, hired, _BY_RANK[rank or 0], sign, mine)
    return found


# A placement that somebody else made later, on newer facts, is not overwritten.
_KEEP = """
INSERT INTO warmline_segmentation
       (candidate_id, segment, rule, evidence, since, placed_at, next_at, score, moves)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (candidate_id) DO UPDATE SET
       segment = excluded.segment, rule = excluded.rule, evidence = excluded.evidence,
       since = CASE WHEN warmline_segmentation.segment = excluded.segment
               THEN warmline_segmentation.since ELSE excluded.since END,
       placed_at = excluded.placed_at, next_at = excluded.next_at, score = excluded.score,
       moves = excluded.moves
WHERE warmline_segmentation.placed_at <= excluded.placed_at
"""


def keep_placements(placed: Sequence[tuple[int, Placement, int]], now: datetime) -> None:
    """Write placements, made or changed, thousands at a time: candidate, placement, and the number
    of the move. By the ORM a million take a minute."""
    stamp = connection.ops.adapt_datetimefield_value
    at = stamp(now)
    stamps: dict[datetime, Any] = {}
    texts: dict[Evidence, str] = {}
    rows = []
    for pk, one, number in placed:
        text = texts.get(one.evidence) or texts.setdefault(
            one.evidence, json.dumps(asdict(one.evidence))
        )
        next_at = stamps.get(one.next_at) or stamps.setdefault(one.next_at, stamp(one.next_at))
        rows.append((pk, one.segment, one.rule, text, at, at, next_at, one.score, number))
    with connection.cursor() as cursor:
        cursor.executemany(_KEEP, rows)


# Asked twice a mail, in the transaction between two hand-overs: by the ORM they take longer than
# the database does.
_BEGIN = """
UPDATE warmline_message
SET status = 'sending', sending_at = %s, claim_until = %s, to_address = %s,
    subject = %s, "values" = %s, segment = %s
WHERE id = %s AND status = 'claimed' AND claimed_by = %s
"""
_HANDED_OFF = """
UPDATE warmline_message
SET status = 'handed_off', handed_off_at = %s, provider_id = %s, claimed_by = '',
    claim_until = NULL
WHERE id = %s AND claimed_by = %s
"""


def begin_sending(
    message_id: int,
    token: str,
    *,
    address: str,
    now: datetime,
    until: datetime,
    subject: str,
    values: Mapping[str, object] | None,
    segment: str,
) -> bool:
    """From here on a lost answer leaves doubt. False where the message is not ours any more.
    `subject` and `values` are what the letter says, kept so that it can be shown again."""
    stamp = connection.ops.adapt_datetimefield_value
    filled = None if values is None else json.dumps(values)
    said = [stamp(now), stamp(until), address, subject, filled, segment]
    with connection.cursor() as cursor:
        cursor.execute(_BEGIN, [*said, message_id, token])
        return bool(cursor.rowcount)


def was_handed_off(message_id: int, token: str, *, now: datetime, provider_id: str = "") -> None:
    """The server accepted it, by compare-and-swap of the claim. `provider_id`: what it calls it."""
    stamp = connection.ops.adapt_datetimefield_value
    with connection.cursor() as cursor:
        cursor.execute(_HANDED_OFF, [stamp(now), provider_id, message_id, token])


def add_to_sender_days(day: date, taken: Mapping[str, int]) -> None:
    """So many mails more, by sender and domain: one statement a claim."""
    args = [arg for name, mails in sorted(taken.items()) for arg in (name, day.isoformat(), mails)]
    rows = ", ".join(["(%s, %s, %s)"] * len(taken))
    with connection.cursor() as cursor:
        cursor.execute(_ADD_MAILS.format(rows=rows), args)


def _json(value: Any) -> Any:
    """PostgreSQL gives what stood in the text."""
    return json.loads(value) if isinstance(value, str) else value


def _moment(value: datetime | str) -> datetime:
    """PostgreSQL gives a moment, SQLite the text that Django wrote, in UTC."""
    if isinstance(value, str):
        return datetime.fromisoformat(f"{value}+00:00")
    return value if value.tzinfo else value.replace(tzinfo=UTC)
