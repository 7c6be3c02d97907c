"""In which segment each record would be, by the same rules that the ledger goes by."""

# ruff: noqa: S608 - what is put into the queries is our own

from __future__ import annotations

from datetime import datetime, timedelta

from warmline.config.project import SegmentsFile
from warmline.core.conditions import Condition
from warmline.core.segments import MONTH, History, Rule, SegmentRules, default_rules
from warmline.flows.audit.sql import Connection, keep


def usual_rules() -> SegmentRules:
    """The rules of a project that has not changed them."""
    usual = SegmentsFile()
    return SegmentRules(
        rules=tuple(
            Rule(segment, name, Condition(when) if when else None)
            for segment, name, when in default_rules()
        ),
        late_stages=usual.late_stages,
        archived_after_months=usual.archived_after_months,
        half_life=timedelta(days=usual.engagement.half_life_days),
        nurture_above=usual.engagement.nurture_above,
    )


def make_segments(con: Connection, rules: SegmentRules, *, now: datetime) -> None:
    """Make `segments(n, segment, stage, source, year)`. A million records are a few hundred
    distinct histories, and each of those is placed once. `stage` and `year` are of the latest
    application."""
    con.execute(
        """
        create or replace temp table histories as
        with of_applications as (
            select n,
                count(*) filter (status = 'active' and not prospect) as active,
                count(*) filter (status = 'rejected' and not prospect) as rejected,
                count(*) filter (status = 'hired' and not prospect) as hired,
                max(case stage_kind when 'hired' then 6 when 'offer' then 5 when 'final' then 4
                    when 'interview' then 3 when 'screen' then 2 when 'applied' then 1 end)
                    as reached,
                greatest(max(applied_at), max(stage_at), max(rejected_at), max(hired_at)) as sign,
                arg_max(stage, coalesce(applied_at, TIMESTAMP '1900-01-01')) as stage,
                max(applied_at) as applied_at
            from applications where n is not null group by n
        ), of_rows as (
            select n, max(updated_at) as updated_at, max(applied_at) as seen_at
            from row_records join moments using (row) group by n
        )
        select n, coalesce(active, 0) as active, coalesce(rejected, 0) as rejected,
               coalesce(hired, 0) as hired, coalesce(reached, 0) as reached, stage,
               year(coalesce(applied_at, seen_at)) as year,
               case when greatest(sign, updated_at, seen_at) is null then -1
                    else floor(greatest(0,
                        date_diff('day', greatest(sign, updated_at, seen_at), $now)) / $month)
                    end::INTEGER as quiet
        from records left join of_applications using (n) left join of_rows using (n)
        """,
        {"now": now.replace(tzinfo=None), "month": MONTH.total_seconds() / 86400},
    )
    cases = con.execute(
        "select distinct active, rejected, hired, reached, quiet from histories"
    ).fetchall()
    placed = [_segment(rules, *case, now=now) for case in cases]
    columns = ("active", "rejected", "hired", "reached", "quiet")
    keep(
        con,
        "placed",
        {
            **{name: ("INTEGER", [case[i] for case in cases]) for i, name in enumerate(columns)},
            "segment": ("VARCHAR", placed),
        },
    )
    con.execute(
        f"create or replace table segments as select n, segment, stage, source, year"
        f" from histories join placed using ({', '.join(columns)}) join records using (n)"
    )
    con.execute("drop table histories; drop table placed")


_REACHED = ("", "applied", "screen", "interview", "final", "offer", "hired")


def _segment(
    rules: SegmentRules,
    active: int,
    rejected: int,
    hired: int,
    reached: int,
    quiet: int,
    *,
    now: datetime,
) -> str:
    history = History(
        active=active,
        rejected=rejected,
        hired=hired,
        reached=_REACHED[reached],
        last_sign=now - MONTH * (quiet + 0.5) if quiet >= 0 else None,
    )
    return str(rules.place(history, now=now).segment)
