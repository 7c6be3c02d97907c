"""Who is who among the records, by the linkage, and which pairs are exact duplicates."""

# ruff: noqa: S608 - what is put into the queries is our own or quoted

from __future__ import annotations

from collections.abc import Callable

from warmline.flows.audit.sql import Connection, quoted
from warmline.flows.linkage import Linked, link

# What two records share that makes them exact duplicates, though the linkage leaves the pair to a
# person: and what there is to look at.
_EXACT = (
    (("same mailbox",), "under different names: look before merging"),
    (("same phone", "same name"), "one of a family may bear the same name: look before merging"),
)


def identify(con: Connection, told: Callable[[str], None]) -> Linked:
    """Make `judged_pairs(one, other, exact, score, evidence)` and `groups(id, person)` of `records`
    and `addresses`. Exact is what the linkage joins, and whoever has one mailbox, or one telephone
    and one name."""
    con.execute("""
        create or replace temp table linkable as
        select id, first_name, last_name, coalesce(e.emails, []) as emails, phones, links,
               employer, place
        from records left join (
            select n, list(normal) as emails from addresses where normal is not null group by n
        ) e using (n)
    """)
    linked = link(con, "linkable", told=told)
    con.execute("drop table linkable")
    shares = [
        (" and ".join(f"list_contains(evidence, {quoted(one)})" for one in same), look)
        for same, look in _EXACT
    ]
    exact = " or ".join(f"({test})" for test, _ in shares)
    looks = " ".join(f"when {t} then list_append(evidence, {quoted(look)})" for t, look in shares)
    con.execute(f"""
        create or replace table judged_pairs as
        select one, other, sure or {exact} as exact, score,
               case when sure then evidence {looks} else evidence end as evidence
        from pairs
    """)
    return linked
