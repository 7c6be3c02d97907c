"""The matcher held against the known truth: what it joined, what it leaves to a person, what it
missed, and what makes those it missed hard."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from bench.identity.people import Truth

Link = Callable[[duckdb.DuckDBPyConnection, str], object]
"""Leaves `pairs(one, other, sure, …)` and `groups(id, person)` behind, given a table's name."""

_READ = """
CREATE TABLE records AS
SELECT "Candidate ID" AS id, "First Name" AS first_name, "Last Name" AS last_name,
       list_filter(list_concat([Email], string_split("Other Emails", '; ')),
                   lambda x: x IS NOT NULL AND x <> '') AS emails,
       CASE WHEN Phone IS NULL THEN [] ELSE [Phone] END AS phones,
       CASE WHEN LinkedIn IS NULL THEN [] ELSE [LinkedIn] END AS links,
       Company AS employer, Location AS place
FROM read_csv(?, all_varchar = true, header = true, delim = ',', quote = '"')
"""
# Joined are all pairs within one group, however they came together. A group that mixes people
# counts with every pair of it.
_JOINED = """
CREATE TEMP TABLE joined AS
WITH shared AS (
  SELECT person FROM groups GROUP BY person HAVING count(*) > 1),
member AS (
  SELECT g.id, g.person AS grp, t.person
  FROM groups g JOIN shared USING (person) JOIN truth t ON t.record = g.id)
SELECT least(a.id, b.id) AS one, greatest(a.id, b.id) AS other, a.person = b.person AS so
FROM member a JOIN member b ON a.grp = b.grp AND a.id < b.id
"""
_REVIEWED = """
CREATE TEMP TABLE reviewed AS
SELECT DISTINCT least(p.one, p.other) AS one, greatest(p.one, p.other) AS other,
       a.person = b.person AS so
FROM pairs p JOIN truth a ON a.record = p.one JOIN truth b ON b.record = p.other
WHERE NOT p.sure AND p.one <> p.other
  AND NOT EXISTS (SELECT 1 FROM joined j
                  WHERE j.one = least(p.one, p.other) AND j.other = greatest(p.one, p.other))
"""
# Both records are of one group of people who share something: why the matcher took them for one.
_WRONG = """
WITH wrong AS (
  SELECT one, other, true AS sure FROM joined WHERE NOT so
  UNION ALL SELECT one, other, false FROM reviewed WHERE NOT so),
why AS (
  SELECT DISTINCT one, other, a.kind
  FROM wrong JOIN lookalikes a ON a.record = one
  JOIN lookalikes b ON b.record = other AND b.kind = a.kind AND b."group" = a."group")
SELECT coalesce(kind, 'other'), count(*) FILTER (sure), count(*) FILTER (NOT sure)
FROM wrong LEFT JOIN why USING (one, other)
GROUP BY 1 ORDER BY 2 DESC, 3 DESC, 1
"""
_ONE_TABLE = "CREATE TEMP TABLE {} AS SELECT * FROM read_csv(?, all_varchar=true, header=true)"
_TABLES = ("truth", "duplicates", "lookalikes")
_COUNTS = """
SELECT (SELECT count(*) FROM joined), (SELECT count(*) FROM joined WHERE so),
       (SELECT count(*) FROM reviewed), (SELECT count(*) FROM reviewed WHERE so)
"""


@dataclass(frozen=True)
class Kind:
    """Pairs of one difficulty: how many there are, of how many of them the records were joined, and
    of how many they were joined or will be by a person who reads the review list."""

    pairs: int
    joined: int
    found: int


@dataclass(frozen=True)
class Wrong:
    """Pairs of different people, by what those share."""

    joined: int
    reviewed: int


@dataclass(frozen=True)
class Score:
    """Counts are of pairs of records, all pairs within a person or group counted.

    `joined`: in one group; `reviewed`: pairs left to a person, those within one group apart;
    `found`: pairs of one person that are joined, or will be once a person has said yes to the right
    ones of the review list (so that A-B joined and B-C reviewed finds A-C as well).
    """

    records: int
    pairs: int
    joined: int
    joined_right: int
    reviewed: int
    reviewed_right: int
    found: int
    seconds: float
    cpu_s: float
    peak_mb: float
    kinds: Mapping[str, Kind]
    wrong: Mapping[str, Wrong]

    @property
    def precision_joined(self) -> float:
        return _share(self.joined_right, self.joined)

    @property
    def recall_joined(self) -> float:
        return _share(self.joined_right, self.pairs)

    @property
    def recall_found(self) -> float:
        return _share(self.found, self.pairs)

    @property
    def precision_reviewed(self) -> float:
        return _share(self.reviewed_right, self.reviewed)

    @property
    def reviewed_per_1000(self) -> float:
        return 1000 * _share(self.reviewed, self.records)


def _share(part: int, of: int) -> float:
    return part / of if of else 1.0


def evaluate(truth: Truth, link: Link, database: str | Path = ":memory:") -> Score:
    """Runs `link` over the export of `truth` and holds what it did against it. Seconds (of the
    clock, and of the processor) are of `link` alone, on the table as read. The peak is of this
    whole process when `link` came back: resident, MB of 10^6 bytes."""
    with duckdb.connect(str(database)) as con:
        con.execute(_READ, [str(truth.export)])
        began, cpu_s = time.perf_counter(), time.process_time()
        link(con, "records")
        seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        return _score(con, truth, (seconds, cpu_s, peak_mb))


def _score(con: duckdb.DuckDBPyConnection, truth: Truth, cost: tuple[float, float, float]) -> Score:
    for name in _TABLES:
        con.execute(_ONE_TABLE.format(name), [str(truth.folder / f"{name}.csv")])
    con.execute(_JOINED)
    con.execute(_REVIEWED)
    joined = set(con.execute("SELECT one, other FROM joined WHERE so").fetchall())
    together = Components(joined)
    for one, other in con.execute("SELECT one, other FROM reviewed WHERE so").fetchall():
        together.join(one, other)
    hard: dict[str, list[int]] = {}
    every: dict[tuple[str, str], tuple[bool, bool]] = {}
    for one, other, kind in con.execute("SELECT one, other, kind FROM duplicates").fetchall():
        pair = (min(one, other), max(one, other))
        if pair not in every:
            every[pair] = pair in joined, together.same(one, other)
        counts = hard.setdefault(kind, [0, 0, 0])
        counts[0] += 1
        counts[1] += every[pair][0]
        counts[2] += every[pair][1]
    counted = con.execute(_COUNTS).fetchone()
    assert counted is not None
    return Score(
        records=truth.records,
        pairs=len(every),
        joined=counted[0],
        joined_right=counted[1],
        reviewed=counted[2],
        reviewed_right=counted[3],
        found=sum(found for _, found in every.values()),
        seconds=cost[0],
        cpu_s=cost[1],
        peak_mb=cost[2],
        kinds={kind: Kind(*counts) for kind, counts in hard.items()},
        wrong={kind: Wrong(sure, unsure) for kind, sure, unsure in con.execute(_WRONG).fetchall()},
    )


class Components:
    """Records that hang together through pairs."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._above: dict[str, str] = {}
        for one, other in pairs:
            self.join(one, other)

    def _top(self, one: str) -> str:
        path = []
        while (above := self._above.get(one, one)) != one:
            path.append(one)
            one = above
        for each in path:
            self._above[each] = one
        return one

    def join(self, one: str, other: str) -> None:
        self._above[self._top(one)] = self._top(other)

    def same(self, one: str, other: str) -> bool:
        return self._top(one) == self._top(other)
