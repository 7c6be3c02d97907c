"""The audit in figures: what the summary, the report and `findings.json` all say."""

# ruff: noqa: S608 - what is put into the queries is our own or quoted

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from warmline.flows.audit.findings import not_judged
from warmline.flows.audit.notes import Reading
from warmline.flows.audit.rules import RULES, Rule, Severity
from warmline.flows.audit.sql import Connection, count, one, quoted

EXAMPLES_MAX = 5
BARS_MAX = 12
_ORDER = {severity: place for place, severity in enumerate(Severity)}
_DUPLICATES = ("exact_duplicates", "probable_duplicates")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Example:
    """One record with the finding; `value` is masked."""

    record: str
    row: int | None
    value: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Finding:
    """`count` is of `rule.of`, `share` of all of them (1 is all). `pairs`: of duplicates. `lacks`:
    the column without which the rule could not judge."""

    rule: Rule
    count: int
    share: float
    pairs: int = 0
    lacks: str = ""
    examples: tuple[Example, ...] = ()

    @property
    def unit(self) -> str:
        """What is counted, as it stands after the number."""
        return self.rule.of if self.count != 1 else self.rule.of.removesuffix("s")


@dataclass(frozen=True, slots=True)
class Bar:
    """`rest` is the second part of a bar: what is to mend, or what is only probable."""

    name: str
    count: int
    rest: int = 0


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that the audit found, ranked by what to mend first."""

    reading: Reading
    made_at: datetime
    records: int
    applications: int
    people: int
    ready: int
    findings: tuple[Finding, ...]
    charts: Mapping[str, tuple[Bar, ...]] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        return {finding.rule.key: finding.count for finding in self.findings}

    @property
    def shares(self) -> dict[str, float]:
        return {finding.rule.key: finding.share for finding in self.findings}

    @property
    def lacking(self) -> list[str]:
        return [finding.rule.key for finding in self.findings if finding.lacks]


def masked(text: str) -> str:
    """Enough to recognise one's own: `a***@gmail.com`, `A*** L***`. Behind an @ it stays readable,
    since that is where most addresses are wrong."""
    local, at, domain = text.partition("@")
    if not at:
        local, at, domain = text.partition("(at)")
    return _WORD.sub(lambda word: f"{word[0][0]}***", local) + at + domain


def figures(con: Connection, reading: Reading, *, made_at: datetime) -> Figures:
    """Raises nothing of its own: every table it reads was made by the phases before."""
    totals = {
        "records": count(con, "records"),
        "applications": count(con, "applications"),
        "rows": reading.rows + reading.unread_count,
    }
    lacks = not_judged(reading)
    found = [_finding(con, rule, totals, reading, lacks) for rule in RULES.values()]
    found.sort(key=lambda f: (f.count == 0, bool(f.lacks), _ORDER[f.rule.severity], -f.count))
    return Figures(
        reading=reading,
        made_at=made_at,
        records=totals["records"],
        applications=totals["applications"],
        people=int(one(con, "select count(distinct person) from groups")),
        ready=int(one(con, "select count(*) from standing where ready")),
        findings=tuple(found),
        charts=_charts(con, made_at.year),
    )


def _finding(
    con: Connection,
    rule: Rule,
    totals: Mapping[str, int],
    reading: Reading,
    lacks: Mapping[str, str],
) -> Finding:
    where = f"rule = {quoted(rule.key)}"
    what = "distinct n" if rule.of == "records" else "*"
    number = int(one(con, f"select count({what}) from found where {where}"))
    if rule.key == "unread_rows":
        number = reading.unread_count
    pairs = 0
    if rule.key in _DUPLICATES:
        sure = "exact" if rule.key == "exact_duplicates" else "not exact"
        pairs = int(one(con, f"select count(*) from judged_pairs where {sure}"))
    total = totals[rule.of]
    return Finding(
        rule=rule,
        count=number,
        share=number / total if total else 0.0,
        pairs=pairs,
        lacks=lacks.get(rule.key, ""),
        examples=_examples(con, rule, where),
    )


def _examples(con: Connection, rule: Rule, where: str) -> tuple[Example, ...]:
    """Of every kind of evidence one, then more of the first."""
    if rule.key in _DUPLICATES:
        sure = "exact" if rule.key == "exact_duplicates" else "not exact"
        rows = con.execute(f"""
            select this.id, this.row, that.id, array_to_string(p.evidence, ', ')
            from judged_pairs p join records this on this.id = p.one
            join records that on that.id = p.other where {sure}
            order by score desc, one, other limit {EXAMPLES_MAX}
        """).fetchall()
        return tuple(Example(str(i), row, str(other), why) for i, row, other, why in rows)
    rows = con.execute(f"""
        select coalesce(records.id, ''), found.row, value, evidence
        from found left join records using (n) where {where}
        qualify row_number() over (partition by evidence order by found.row) <= {EXAMPLES_MAX}
        order by row_number() over (partition by evidence order by found.row), found.row
        limit {EXAMPLES_MAX}
    """).fetchall()
    open_values = ("impossible_dates", "no_stage", "opt_out_conflict", "id_twice")
    return tuple(
        Example(
            str(record),
            row,
            (value if rule.key in open_values else masked(value)) if value else "",
            evidence,
        )
        for record, row, value, evidence in rows
    )


# -- charts


def _charts(con: Connection, this_year: int) -> dict[str, tuple[Bar, ...]]:
    year = f"case when year between 1990 and {this_year} then year end"
    return {
        "segments": _standing_by(con, "segment", "count(*) desc, 1"),
        "stages": _standing_by(con, "stage", "count(*) desc, 1"),
        "sources": _standing_by(con, "source", "count(*) desc, 1"),
        "years": _standing_by(con, year, "1"),
        "duplicates": _duplicates_by_evidence(con),
    }


def _standing_by(con: Connection, what: str, order: str) -> tuple[Bar, ...]:
    """Ready, and to mend. Names beyond the limit are together at the end."""
    rows: Sequence[tuple[object, int, int]] = con.execute(f"""
        select {what}, count(*) filter (ready), count(*) filter (not ready)
        from segments join standing using (n) where {what} is not null
        group by 1 order by {order}
    """).fetchall()
    bars = [Bar(str(name), ready, mend) for name, ready, mend in rows]
    if order == "1":
        bars = bars[-BARS_MAX:]  # the latest years
    if len(bars) > BARS_MAX:
        rest = bars[BARS_MAX - 1 :]
        name = f"{len(rest):,} others"
        bars[BARS_MAX - 1 :] = [Bar(name, sum(b.count for b in rest), sum(b.rest for b in rest))]
    return tuple(bars)


def _duplicates_by_evidence(con: Connection) -> tuple[Bar, ...]:
    rows = con.execute(f"""
        select evidence, count(*) filter (exact), count(*) filter (not exact)
        from (select exact, unnest(evidence) as evidence from judged_pairs)
        where not contains(evidence, ':')  -- advice, and names
        group by 1 order by count(*) desc, 1 limit {BARS_MAX}
    """).fetchall()
    return tuple(Bar(str(name), sure, probable) for name, sure, probable in rows)
