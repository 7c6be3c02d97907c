"""Candidates who may be one person: found by what they have in common, decided by a person.

Certain evidence joins (`flows.people`); what is only likely waits here. A pair that a person has
kept apart is never joined by evidence again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.db.models import Count, Q

from warmline.core.errors import WarmlineError
from warmline.core.matching import (
    Agreement,
    base_key,
    mailbox_key,
    names_agree,
    phone_key,
    profile_key,
)
from warmline.store.models import Candidate, CandidateEmail, IdentityKey, Likeness
from warmline.store.statuses import IdentityKind, LikenessStatus

# What more people than this have in common tells nothing: a switchboard, an agency's phone.
HOLDERS_MAX = 10


@dataclass(frozen=True, slots=True)
class Pair:
    """Two candidates, and what they have in common, in words. `sure`: certain to be one person."""

    one: Candidate
    other: Candidate
    evidence: str
    sure: bool = False
    score: float | None = None


_Key = tuple[IdentityKind, str]


def _keys(candidate: Candidate, normals: Iterable[str]) -> set[_Key]:
    found: set[_Key] = {(IdentityKind.PHONE, phone_key(raw)) for raw in candidate.phones}
    found |= {(IdentityKind.PROFILE, profile_key(raw)[:254]) for raw in candidate.links}
    found |= {(IdentityKind.BASE, base_key(n)) for n in normals if base_key(n) != mailbox_key(n)}
    return {key for key in found if key[1]}


def find(people: Sequence[Candidate]) -> list[Pair]:
    """Keep what may tell these candidates from others, and find with whom they share it. The
    caller holds the transaction; the candidates and their addresses are written."""
    by_id = {c.pk: c for c in people if c.erased_at is None}
    normals: dict[int, list[str]] = {pk: [] for pk in by_id}
    for row in CandidateEmail.objects.filter(candidate__in=by_id):
        normals[row.candidate_id].append(row.normal)
    keys = {pk: _keys(candidate, normals[pk]) for pk, candidate in by_id.items()}
    _keep(keys)
    # An address with a tag meets the plain one from either side.
    asked = {
        pk: mine | {(IdentityKind.BASE, mailbox_key(n)) for n in normals[pk]}
        for pk, mine in keys.items()
    }
    holders = _holders({key for mine in asked.values() for key in mine})
    pairs: dict[tuple[int, int], Pair] = {}
    for pk, mine in asked.items():
        for key in sorted(mine):
            others = holders.get(key, {})
            if len(others) > HOLDERS_MAX:
                continue
            for other_pk, other in others.items():
                pair = _pair(by_id[pk], other, key[0]) if other_pk != pk else None
                where = (min(pk, other_pk), max(pk, other_pk))
                if pair is not None and (where not in pairs or pair.sure):
                    pairs[where] = pair
    return list(pairs.values())


def _keep(keys: dict[int, set[_Key]]) -> None:
    rows = IdentityKey.objects.filter(candidate__in=keys).values_list("candidate", "kind", "value")
    known = {(pk, IdentityKind(kind), value) for pk, kind, value in rows}
    IdentityKey.objects.bulk_create(
        IdentityKey(candidate_id=pk, kind=kind, value=value)
        for pk, mine in keys.items()
        for kind, value in sorted(mine)
        if (pk, kind, value) not in known
    )


def _holders(keys: Collection[_Key]) -> dict[_Key, dict[int, Candidate]]:
    """Who has each of these keys, by candidate; those who were merged or erased left out."""
    found: dict[_Key, dict[int, Candidate]] = {}
    alive = Q(candidate__merged_into=None, candidate__erased_at=None)
    for kind, same in groupby(sorted(keys), key=lambda key: key[0]):
        values = [value for _, value in same]
        rows = IdentityKey.objects.filter(alive, kind=kind, value__in=values)
        # Counted first: a switchboard's number stands for thousands, and tells nothing.
        few = [
            value
            for value, n in rows.values_list("value").annotate(n=Count("candidate", distinct=True))
            if n <= HOLDERS_MAX
        ]
        for row in rows.filter(value__in=few).select_related("candidate"):
            found.setdefault((kind, row.value), {})[row.candidate_id] = row.candidate
        if kind is IdentityKind.BASE:
            emails = CandidateEmail.objects.filter(alive, mailbox__in=few)
            for email in emails.select_related("candidate"):
                key = (kind, email.mailbox)
                if key in found:  # a plain address alone is nobody's double
                    found[key][email.candidate_id] = email.candidate
    return found


def _pair(one: Candidate, other: Candidate, kind: IdentityKind) -> Pair | None:
    """What it means that both have this in common; None where it means nothing."""
    agreement = names_agree(one.first_name, one.last_name, other.first_name, other.last_name)
    names = {
        Agreement.SAME: "and have the same name",
        Agreement.ALIKE: "and have similar names",
        Agreement.UNKNOWN: "and their names do not contradict it",
        Agreement.DIFFERENT: "but their names differ",
    }[agreement]
    if kind is IdentityKind.PROFILE:
        sure = agreement in (Agreement.SAME, Agreement.ALIKE)
        return Pair(one, other, f"they share a profile page, {names}", sure)
    if agreement is Agreement.DIFFERENT:
        return None  # a family's phone
    what = "a phone number" if kind is IdentityKind.PHONE else "an address but for its +tag"
    return Pair(one, other, f"they share {what}, {names}")


def wait(pairs: Collection[Pair], *, now: datetime) -> int:
    """Put the pairs on the review list; one that stands there, or was decided, stays as it is.
    Returns how many came new."""
    rows: dict[tuple[int, int], Likeness] = {}
    for pair in pairs:
        one, other = sorted((pair.one.pk, pair.other.pk))
        if one == other:
            continue
        row = rows.setdefault(
            (one, other),
            Likeness(one_id=one, other_id=other, score=pair.score, evidence=[], found_at=now),
        )
        if pair.evidence not in row.evidence:
            row.evidence.append(pair.evidence)
    known = Likeness.objects.filter(one__in=[o for o, _ in rows], other__in=[o for _, o in rows])
    for key in known.values_list("one", "other"):
        rows.pop(key, None)
    Likeness.objects.bulk_create(rows.values(), ignore_conflicts=True)
    return len(rows)


def kept_apart(one: Candidate, other: Candidate) -> bool:
    """Whether a person said that these are two, or somebody who is part of them now."""
    ours = Q(one=one.pk) | Q(one__merged_into=one.pk)
    theirs = Q(other=other.pk) | Q(other__merged_into=other.pk)
    turned = (Q(one=other.pk) | Q(one__merged_into=other.pk)) & (
        Q(other=one.pk) | Q(other__merged_into=one.pk)
    )
    return Likeness.objects.filter(
        (ours & theirs) | turned, status=LikenessStatus.KEPT_APART
    ).exists()


def waiting() -> list[Likeness]:
    """The review list: the likeliest first. Pairs that have become one meanwhile, or of whom one
    was erased, are none any more."""
    rows = (
        Likeness.objects.filter(
            status=LikenessStatus.WAITING,
            one__erased_at=None,
            other__erased_at=None,
        )
        .select_related("one__merged_into", "other__merged_into")
        .order_by("-score", "id")
    )
    return [row for row in rows if _standing(row.one).pk != _standing(row.other).pk]


def _standing(candidate: Candidate) -> Candidate:
    return candidate.merged_into or candidate


def open_pair(likeness_id: int) -> tuple[Likeness, Candidate, Candidate]:
    """A pair that waits, and who stands for the two now. Raises WarmlineError."""
    row = (
        Likeness.objects.select_related("one__merged_into", "other__merged_into")
        .filter(pk=likeness_id)
        .first()
    )
    if row is None:
        raise WarmlineError(
            f"there is no pair {likeness_id}", hint="`warmline merge review` lists those that wait"
        )
    if row.status != LikenessStatus.WAITING:
        raise WarmlineError(
            f"pair {likeness_id} was decided: {row.status}",
            hint="`warmline merge log` lists the merges, and `warmline merge undo` takes one back",
        )
    return row, _standing(row.one), _standing(row.other)


def decide(row: Likeness, status: LikenessStatus, *, who: str, now: datetime) -> None:
    Likeness.objects.filter(pk=row.pk, status=LikenessStatus.WAITING).update(
        status=status, decided_by=who[:64], decided_at=now
    )


def keep_apart(one: Candidate, other: Candidate, *, who: str, now: datetime) -> None:
    """These are two people, whatever they have in common."""
    first, second = sorted((one.pk, other.pk))
    Likeness.objects.update_or_create(
        one_id=first,
        other_id=second,
        defaults={
            "status": LikenessStatus.KEPT_APART,
            "decided_by": who[:64],
            "decided_at": now,
        },
        create_defaults={
            "status": LikenessStatus.KEPT_APART,
            "decided_by": who[:64],
            "decided_at": now,
            "found_at": now,
            "evidence": ["a merge of them was undone"],
        },
    )
