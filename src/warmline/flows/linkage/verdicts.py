"""Which compared pairs are surely one person, which a person should look at, and why."""

# ruff: noqa: S608 - what is put into the queries is our own; values go as parameters

from __future__ import annotations

import duckdb

from warmline.core.names import Agreement, difference_in_words, names_agree

# From this probability on a pair is worth a look.
REVIEW_MIN = 0.7

# Joined without a question. A mailbox or a profile is one person's unless the names contradict
# each other. Families share telephones, and fathers and sons their names: there the employer must
# agree as well. A tag may be another mailbox at some domains.
SURE = """
    ((same_mailbox or same_profile) and agreement <> 'different')
    or (same_phone and same_employer and agreement in ('same', 'alike') and not other_profile)
    or (same_base and agreement in ('same', 'alike') and not other_profile)
"""
# Worth a look. Another first name behind the same telephone, name and town is a family.
PROBABLE = f"""
    ((same_mailbox or same_profile) and agreement = 'different')
    or (score >= {REVIEW_MIN} and agreement <> 'different')
"""
_FOUR = "a_first, a_last, b_first, b_last"
_EVIDENCE = (
    ("same_mailbox", "same mailbox"),
    ("same_profile", "same profile link"),
    ("same_phone", "same phone"),
    ("same_base and not same_mailbox", "same address but for a +tag"),
    (
        "same_local and not same_base and not same_mailbox",
        "same name in the address, at another provider",
    ),
    ("agreement = 'same'", "same name"),
    ("same_employer", "same employer"),
    ("same_place", "same place"),
    ("other_profile", "another profile link"),
)


def judge(con: duckdb.DuckDBPyConnection) -> None:
    """Make `linkage_judged(a, b, sure, score, agreement, evidence)` of the scored pairs."""
    _compare(con)
    _agreements(con)
    con.execute(f"""
        create or replace temp table linkage_verdicts as
        select *, coalesce({SURE}, false) as sure
        from linkage_compared join linkage_agreements using (a, b)
        where sure or coalesce({PROBABLE}, false)
    """)
    _words(con)
    evidence = ", ".join(f"case when {test} then '{words}' end" for test, words in _EVIDENCE)
    con.execute(f"""
        create or replace temp table linkage_judged as
        select a, b, sure, score, agreement,
               list_filter([{evidence}, words], lambda one: one <> '') as evidence
        from linkage_verdicts left join linkage_words using (a, b)
    """)
    con.execute("drop table linkage_compared; drop table linkage_agreements;"
                " drop table linkage_verdicts; drop table linkage_words")  # fmt: skip


def _compare(con: duckdb.DuckDBPyConnection) -> None:
    def shared(kind: str) -> str:
        return f"coalesce(list_has_any(l.{kind}, r.{kind}), false) as same_{kind}"

    con.execute(f"""
        create or replace temp table linkage_compared as
        select a, b, score,
               {shared("mailbox")}, {shared("base")}, {shared("local")}, {shared("phone")},
               {shared("profile")},
               l.profile is not null and r.profile is not null and not same_profile
                   as other_profile,
               coalesce(l.employer = r.employer, false) as same_employer,
               coalesce(l.place = r.place, false) as same_place,
               coalesce(l.first = r.first and l.last = r.last, false) as same_name,
               x.first_name as a_first, x.last_name as a_last,
               y.first_name as b_first, y.last_name as b_last
        from linkage_pairs join linkage_scores using (a, b)
        join linkage_model l on l.n = a join linkage_model r on r.n = b
        join linkage_names x on x.n = a join linkage_names y on y.n = b
        where strong or score >= {REVIEW_MIN}
    """)


def _agreements(con: duckdb.DuckDBPyConnection) -> None:
    """Make `linkage_agreements(a, b, agreement)`. Names that are equal once folded need no closer
    look; the others get it from `core.names`."""
    rows = con.execute(f"select a, b, {_FOUR} from linkage_compared where not same_name").fetchall()
    con.execute(
        "create or replace temp table linkage_agreements as"
        f" select a, b, '{Agreement.SAME}' as agreement from linkage_compared where same_name"
        " union all select unnest($a::INTEGER[]), unnest($b::INTEGER[]), unnest($said::VARCHAR[])",
        {
            "a": [row[0] for row in rows],
            "b": [row[1] for row in rows],
            "said": [str(names_agree(*row[2:])) for row in rows],
        },
    )


def _words(con: duckdb.DuckDBPyConnection) -> None:
    """Make `linkage_words(a, b, words)`: what sets the names of a pair apart."""
    rows = con.execute(f"select a, b, {_FOUR} from linkage_verdicts where not same_name").fetchall()
    con.execute(
        "create or replace temp table linkage_words as select unnest($a::INTEGER[]) as a,"
        " unnest($b::INTEGER[]) as b, unnest($words::VARCHAR[]) as words",
        {
            "a": [row[0] for row in rows],
            "b": [row[1] for row in rows],
            "words": [difference_in_words(*row[2:]) for row in rows],
        },
    )
