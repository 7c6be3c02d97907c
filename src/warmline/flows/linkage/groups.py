"""Persons: what the sure pairs join together, without joining people whose names contradict."""

from __future__ import annotations

from collections.abc import Callable

import duckdb

from warmline.core.names import Agreement, names_agree

# A group of more names than this is not compared name by name.
NAMES_MAX = 30

Name = tuple[str, str]


class Groups:
    """Records joined into persons (union-find), each with the names it goes by."""

    def __init__(self, name: Callable[[int], Name]) -> None:
        self._name = name
        self._parent: dict[int, int] = {}
        self._names: dict[int, set[Name]] = {}

    def find(self, record: int) -> int:
        root = record
        while (above := self._parent.setdefault(root, root)) != root:
            root = above
        while self._parent[record] != root:
            self._parent[record], record = root, self._parent[record]
        return root

    def join(self, a: int, b: int) -> bool:
        """Make one person of two; false, and nothing done, where names in them contradict."""
        a, b = sorted((self.find(a), self.find(b)))
        if a == b:
            return True
        names_a = self._names.setdefault(a, {self._name(a)})
        names_b = self._names.setdefault(b, {self._name(b)})
        if len(names_a) + len(names_b) > 2 and not self._agree(names_a, names_b):
            return False
        self._parent[b] = a
        self._names[a] = names_a | self._names.pop(b)
        return True

    @staticmethod
    def _agree(one: set[Name], other: set[Name]) -> bool:
        if len(one) > NAMES_MAX or len(other) > NAMES_MAX:
            return one >= other or other >= one
        return all(names_agree(*a, *b) is not Agreement.DIFFERENT for a in one for b in other)

    def persons(self) -> list[tuple[int, int]]:
        """Each joined record with the first record of its person."""
        found = [(record, self.find(record)) for record in sorted(self._parent)]
        several = {person for record, person in found if record != person}
        return [(record, person) for record, person in found if person in several]


def group(con: duckdb.DuckDBPyConnection) -> None:
    """Make `linkage_persons(n, person)` of the sure pairs of `linkage_judged`, the best evidence
    first. A pair that would put contradicting names into one person (John and Jane through a
    record of J.) is made probable."""
    rows = con.execute("""
        select a, b from linkage_judged where sure
        order by agreement not in ('same', 'alike'), score desc, a, b
    """).fetchall()
    names = {
        n: (first, last)
        for n, first, last in con.execute("""
            select n, first_name, last_name from linkage_names
            where n in (select a from linkage_judged where sure
                        union select b from linkage_judged where sure)
        """).fetchall()
    }
    groups = Groups(names.__getitem__)
    refused = [(a, b) for a, b in rows if not groups.join(a, b)]
    if refused:
        con.execute(
            "update linkage_judged set sure = false, evidence = list_append(evidence,"
            " 'joining them would join people of different names') from (select"
            " unnest($a::INTEGER[]) as x, unnest($b::INTEGER[]) as y) where a = x and b = y",
            {"a": [a for a, _ in refused], "b": [b for _, b in refused]},
        )
    persons = groups.persons()
    con.execute(
        "create or replace temp table linkage_persons as"
        " select unnest($n::INTEGER[]) as n, unnest($person::INTEGER[]) as person",
        {"n": [n for n, _ in persons], "person": [person for _, person in persons]},
    )
