"""A person's word on who is who: join two candidates, keep them apart, take a merge back; and the
search over all candidates for pairs to ask about."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from warmline.core.errors import WarmlineError
from warmline.flows import likeness, merge
from warmline.flows.linkage import link
from warmline.flows.runtime import Lane, Runtime
from warmline.flows.segment import place_now
from warmline.store.db import writing
from warmline.store.models import Candidate, CandidateEmail, Merge
from warmline.store.statuses import LikenessStatus

BATCH, PAIRS = 10_000, 500
_JOINS = "a person said that they are one"


def join(runtime: Runtime, pair: int, *, who: str) -> Merge:
    """The two are one person. Raises WarmlineError where the pair is decided or gone."""
    now = runtime.now()
    with writing():
        row, one, other = likeness.open_pair(pair)
        if one.pk == other.pk:
            raise WarmlineError(f"the two of pair {pair} are one already")
        if one.erased_at or other.erased_at:
            raise WarmlineError(f"one of pair {pair} was deleted: there is nobody to join")
        kept, folded = sorted((one, other), key=lambda candidate: candidate.pk)
        done = merge.fold(kept, folded, evidence=f"{_JOINS} ({who})", now=now)
        likeness.decide(row, LikenessStatus.JOINED, who=who, now=now)
        lanes: set[Lane] = place_now(runtime, [kept])
    runtime.poke(lanes)
    return done


def keep_apart(runtime: Runtime, pair: int, *, who: str) -> None:
    """The two are two people. Raises WarmlineError where the pair is decided or gone."""
    with writing():
        row, _, _ = likeness.open_pair(pair)
        likeness.decide(row, LikenessStatus.KEPT_APART, who=who, now=runtime.now())


def undo(runtime: Runtime, merge_id: int, *, who: str) -> Merge:
    """Take a merge back; see `flows.merge.undo`."""
    with writing():
        done = merge.undo(merge_id, who=who, now=runtime.now())
        both = Candidate.objects.filter(pk__in=[done.kept_id, done.folded_id])
        lanes: set[Lane] = place_now(runtime, list(both))
    runtime.poke(lanes)
    return done


@dataclass(frozen=True, slots=True)
class Search:
    """What a search over everybody found. `left_out`: what was too common to compare, in words."""

    candidates: int
    new: int
    waiting: int
    left_out: tuple[str, ...]


def find(runtime: Runtime, *, told: Callable[[str], None] = lambda phase: None) -> Search:
    """Compare all candidates, and put the probable pairs on the review list. Nobody is joined:
    what is certain among live records was joined when it came."""
    import duckdb  # seconds of start-up and memory that `warmline up` never needs
    import pyarrow as pa

    with duckdb.connect() as con:
        con.execute(
            "CREATE TABLE people (id VARCHAR, first_name VARCHAR, last_name VARCHAR, "
            "emails VARCHAR[], phones VARCHAR[], links VARCHAR[], employer VARCHAR, place VARCHAR)"
        )
        count = 0
        for rows in _people():
            table = pa.Table.from_pylist(rows, schema=con.table("people").limit(0).arrow().schema)
            con.register("piece", table)
            con.execute("INSERT INTO people SELECT * FROM piece")
            con.unregister("piece")
            count += len(rows)
        found = link(con, "people", told=told)
        told("writing the review list")
        pairs = con.execute(
            "SELECT CAST(one AS BIGINT), CAST(other AS BIGINT), score, evidence FROM pairs "
            "ORDER BY score DESC"
        ).fetchall()
    new = 0
    for start in range(0, len(pairs), PAIRS):
        new += _wait(runtime, pairs[start : start + PAIRS])
    return Search(
        count,
        new,
        len(likeness.waiting()),
        tuple(
            f"{s.rule}: {s.blocks:,} blocks, the largest of {s.largest:,}" for s in found.skipped
        ),
    )


def _people() -> Iterator[list[dict[str, object]]]:
    after = 0
    while True:
        people = list(
            Candidate.objects.filter(pk__gt=after, merged_into=None, erased_at=None).order_by("pk")[
                :BATCH
            ]
        )
        if not people:
            return
        after = people[-1].pk
        emails: dict[int, list[str]] = {}
        for row in CandidateEmail.objects.filter(candidate__in=[p.pk for p in people]):
            emails.setdefault(row.candidate_id, []).append(row.normal)
        yield [
            {
                "id": str(p.pk),
                "first_name": p.first_name,
                "last_name": p.last_name,
                "emails": emails.get(p.pk, []),
                "phones": list(p.phones),
                "links": list(p.links),
                "employer": p.employer,
                "place": p.place,
            }
            for p in people
        ]


def _wait(runtime: Runtime, pairs: list[tuple[int, int, float, list[str]]]) -> int:
    """One short transaction: webhooks are committed between two of them."""
    people = Candidate.objects.in_bulk({pk for one, other, *_ in pairs for pk in (one, other)})
    found = [
        likeness.Pair(people[one], people[other], "; ".join(evidence), score=score)
        for one, other, score, evidence in pairs
    ]
    with writing():
        return likeness.wait(found, now=runtime.now())
