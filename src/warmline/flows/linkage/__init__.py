"""Who is the same person, in one table of records of any size."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import duckdb

from warmline.flows.linkage import blocks, groups, keys, model, verdicts
from warmline.flows.linkage.blocks import Skipped

__all__ = ["Linked", "Skipped", "link"]


@dataclass(frozen=True, slots=True)
class Linked:
    """What a linkage found. `compared`: pairs scored. `joined`: records that are one person with
    another. `trained`: whether the table was large enough to train the model on. `skipped`: blocks
    too large to compare. `seconds`: by phase."""

    records: int
    compared: int
    sure: int
    probable: int
    joined: int
    trained: bool
    skipped: tuple[Skipped, ...]
    seconds: dict[str, float]


def link(
    con: duckdb.DuckDBPyConnection,
    table: str,
    *,
    told: Callable[[str], None] = lambda text: None,
    clock: Callable[[], float] = time.perf_counter,
) -> Linked:
    """Find the records of one person in `table`, whose columns are `id VARCHAR` (unique),
    `first_name`, `last_name`, `employer`, `place` (VARCHAR) and `emails`, `phones`, `links`
    (VARCHAR[], as written). All but the id may be null or empty.

    Leaves in `con` the tables `pairs(one, other, sure, score, evidence)`, one < other, and
    `groups(id, person)`: every record with the least id of its person, joined over sure pairs
    only. The same table gives the same answer. `told` hears of each phase as it begins.
    """
    seconds: dict[str, float] = {}
    began = clock()

    def phase(name: str, words: str) -> None:
        nonlocal began
        seconds[name] = clock() - began
        began = clock()
        told(words)

    told("normalising names, addresses and telephone numbers")
    records = keys.normalise(con, table)
    phase("keys", "finding records worth comparing")
    skipped = blocks.candidates(con)
    compared = keys.count(con, "linkage_pairs")
    phase("blocks", f"comparing {compared} pairs")
    trained = model.score(con)
    phase("model", "weighing the evidence")
    verdicts.judge(con)
    groups.group(con)
    _leave(con)
    phase("verdicts", "done")
    ((sure, probable),) = con.execute(
        "select count(*) filter (sure), count(*) filter (not sure) from pairs"
    ).fetchall()
    ((joined,),) = con.execute("select count(*) from linkage_persons").fetchall()
    _clear(con)
    return Linked(records, compared, sure, probable, joined, trained, tuple(skipped), seconds)


def _leave(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("""
        create or replace table pairs as
        select x.id as one, y.id as other, sure, score, evidence
        from linkage_judged join linkage_names x on x.n = a join linkage_names y on y.n = b
        order by sure desc, score desc, one, other
    """)
    con.execute("""
        create or replace table groups as
        select names.id, coalesce(chief.id, names.id) as person
        from linkage_names names left join linkage_persons using (n)
        left join linkage_names chief on chief.n = person order by names.n
    """)


def _clear(con: duckdb.DuckDBPyConnection) -> None:
    for name in (
        "names",
        "keys",
        "emails",
        "shared",
        "pairs",
        "scores",
        "model",
        "judged",
        "persons",
    ):
        con.execute(f"drop table if exists linkage_{name}")
