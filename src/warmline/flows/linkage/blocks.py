"""Which records are worth comparing: those that share a key, with a limit on every block."""

# ruff: noqa: S608 - what is put into the queries is our own; values go as parameters

from __future__ import annotations

from dataclasses import dataclass

import duckdb

from warmline.core.matching import is_disposable, is_role_address
from warmline.flows.linkage.keys import count, quoted

# More names than this behind one telephone or mailbox, and it is an agency's and nobody's own.
NAMES_MAX = 8
# In a block of more records than this, those of one name are compared with the first of them only.
WHOLE_MAX = 20
# A block of a weak rule holds at most so many records: beyond, the key says little of anybody.
WEAK_MAX = 60
# And a weak rule gives at most so many pairs a record of the table; its largest blocks go first.
PAIRS_A_RECORD = 0.5
# A small table may have so many pairs from each rule at any rate.
PAIRS_MIN = 20_000

STRONG = ("mailbox", "profile", "phone", "base")
# Weak rules: records agree on all of these expressions, and each is known.
WEAK = {
    "name": ("least(given, last)", "greatest(given, last)"),
    "e-mail name": ("local",),
    "name and place": ("given", "last", "place"),
    "name and employer": ("given", "last", "employer"),
    "first name, employer and place": ("given", "employer", "place"),
    "last name, employer and place": ("last", "employer", "place"),
    "start of both names and employer": ("left(first, 3)", "left(last, 3)", "employer"),
    "start of both names and place": ("left(first, 3)", "left(last, 3)", "place"),
    "end of both names and place": ("right(first, 3)", "right(last, 3)", "place"),
}


@dataclass(frozen=True, slots=True)
class Skipped:
    """Blocks left out: the rule, how many of its keys, and how many records the largest holds."""

    rule: str
    blocks: int
    largest: int


def candidates(con: duckdb.DuckDBPyConnection) -> list[Skipped]:
    """Make `linkage_pairs(a, b, strong)`, a < b: the pairs of record numbers that share a key; and
    `linkage_shared(kind, key, n, ...)`: the strong keys that several records share and that belong
    to one person or a family. Linear in the records: every rule has a limit."""
    _no_offices(con)
    skipped = _shared(con)
    con.execute("create or replace temp table linkage_found(a INTEGER, b INTEGER, strong BOOLEAN)")
    for kind in STRONG:
        _pair_up(con, kind)
    for rule, parts in WEAK.items():
        left_out = _weak(con, rule, parts)
        if left_out is not None:
            skipped.append(left_out)
    con.execute(
        "create or replace temp table linkage_pairs as"
        " select a, b, bool_or(strong) as strong from linkage_found group by a, b order by a, b"
    )
    con.execute("drop table linkage_found")
    return skipped


def _no_offices(con: duckdb.DuckDBPyConnection) -> None:
    """Take away the keys of addresses that an office reads, or anybody. Only those that several
    records share matter."""
    con.execute("""
        create or replace temp table linkage_several as
        select key from linkage_keys where kind in ('mailbox', 'local')
        group by key having count(*) > 1
    """)
    offices = [
        base
        for (base,) in con.execute("""
            select distinct base from linkage_emails
            where hash(mailbox, 'mailbox') in (from linkage_several)
               or hash(replace(split_part(base, '@', 1), '.', ''), 'local')
                  in (from linkage_several)
        """).fetchall()
        if is_role_address(base) or is_disposable(base)
    ]
    con.execute("""
        delete from linkage_keys using (
            select distinct unnest([
                hash(mailbox, 'mailbox'), hash(base, 'base'),
                hash(replace(split_part(base, '@', 1), '.', ''), 'local')]) as office
            from linkage_emails where base in (select unnest($offices::VARCHAR[]))
        ) where key = office
    """, {"offices": offices})  # fmt: skip
    con.execute("drop table linkage_several")


def _shared(con: duckdb.DuckDBPyConnection) -> list[Skipped]:
    con.execute("""
        create or replace temp table linkage_blocks as
        select key, count(*) as size from linkage_keys where kind <> 'local'
        group by key having count(*) > 1
    """)
    con.execute("""
        create or replace temp table linkage_shared as
        select kind, key, n, size, given, last
        from linkage_keys join linkage_blocks using (key) join linkage_names using (n)
    """)
    con.execute("""
        create or replace temp table linkage_blocks as
        select kind, key, size from linkage_shared group by kind, key, size
        having count(distinct hash(coalesce(given, ''), coalesce(last, ''))) > $most
    """, {"most": NAMES_MAX})  # fmt: skip
    rows = con.execute(
        "select kind, count(*), max(size) from linkage_blocks group by kind order by kind"
    ).fetchall()
    con.execute("delete from linkage_shared where key in (select key from linkage_blocks)")
    con.execute("drop table linkage_blocks")
    return [Skipped(kind, blocks, largest) for kind, blocks, largest in rows]


def _pair_up(con: duckdb.DuckDBPyConnection, kind: str) -> None:
    """Every pair of a small block. In a large one each record with the first of its name, and
    these firsts, of which there are few, with each other."""
    con.execute(
        f"""
        insert into linkage_found
        with mine as (from linkage_shared where kind = {quoted(kind)}),
        named as (
            select key, n, min(n) over (
                partition by key, coalesce(given, ''), coalesce(last, '')) as chief
            from mine where size > {WHOLE_MAX}
        ), chiefs as (select key, n from named where n = chief)
        select l.n, r.n, true from mine l join mine r using (key)
        where l.n < r.n and l.size <= {WHOLE_MAX}
        union all select chief, n, true from named where n > chief
        union all select l.n, r.n, true from chiefs l join chiefs r using (key) where l.n < r.n
        """
    )


def _weak(con: duckdb.DuckDBPyConnection, rule: str, parts: tuple[str, ...]) -> Skipped | None:
    """The pairs of a weak rule, its smallest blocks first, as far as its limit goes."""
    if parts == ("local",):
        source = "select key, n from linkage_keys where kind = 'local'"
    else:
        known = " and ".join(f"{part} is not null" for part in parts)
        source = f"select hash({', '.join(parts)}) as key, n from linkage_names where {known}"
    con.execute(f"""
        create or replace temp table linkage_block as
        select key, count(*) as size from ({source}) group by key having count(*) > 1
    """)
    sizes = con.execute(
        "select size, count(*) from linkage_block group by size order by size"
    ).fetchall()
    records = count(con, "linkage_names")
    budget = max(PAIRS_MIN, int(records * PAIRS_A_RECORD))
    most, pairs = 0, 0
    for size, times in sizes:
        pairs += times * size * (size - 1) // 2
        if pairs > budget or size > WEAK_MAX:
            break
        most = size
    con.execute(
        f"insert into linkage_found with mine as (select key, n from ({source})"
        f" where key in (select key from linkage_block where size <= {most}))"
        " select l.n, r.n, false from mine l join mine r using (key) where l.n < r.n"
    )
    con.execute("drop table linkage_block")
    over = [(size, times) for size, times in sizes if size > most]
    return Skipped(rule, sum(times for _, times in over), over[-1][0]) if over else None
