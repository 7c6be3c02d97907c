"""Rows of an export → `records`, one a candidate, and `applications`, one a candidacy.

An export may hold a row an application: rows of one candidate id are one record. Without an id,
rows that say exactly the same of the person and differ in the application are one record too.
"""

# ruff: noqa: S608 - what is put into the queries is our own or quoted

from __future__ import annotations

from warmline.core.events import ApplicationStatus, StageKind
from warmline.flows.audit.notes import Reading
from warmline.flows.audit.sql import Connection, count, keep, one
from warmline.kit.exports.cells import split_name
from warmline.kit.exports.columns import (
    Column,
    is_prospect_word,
    stage_kind,
    status_of,
    yes_or_no,
)

_SAYS_WHO = "name, first_name, last_name, email, other_email, phone"
_PERSON = f"candidate_id, {_SAYS_WHO}"
_APPLICATION = ", ".join(
    f"lines.{column}"
    for column in (
        Column.APPLICATION_ID, Column.APPLIED_ROLE, Column.STAGE, Column.STATUS,
        Column.REJECTED_AT, Column.HIRED_AT, Column.STAGE_AT,
    )
)  # fmt: skip
# Columns without which an export is of people alone.
_OF_APPLICATIONS = (Column.APPLICATION_ID, Column.APPLIED_ROLE, Column.STAGE)


def make_records(con: Connection, reading: Reading) -> None:
    """Make of `lines` and `moments`:

    `records(n, id, row, rows, first_name, last_name, email, phones, links, employer, place, owner,
    source, opted_out, not_opted_out)`: n counts from 0; `id` is the candidate's, or `row 7` where
    there is none; `email` is what the cells say.
    `row_records(row, n)`: the record that a row is of.
    `applications(row, n, id, role, stage, stage_kind, status, prospect, applied_at, stage_at,
    rejected_at, hired_at, source)`: n is null where no candidate is named.
    """
    _words(con)
    _whose(con, reading)
    _records(con)
    _split_names(con)
    _applications(con, of_people=not any(str(c) in reading.columns for c in _OF_APPLICATIONS))
    for name in ("yes_no_words", "stage_words", "status_words", "several_rows"):
        con.execute(f"drop table if exists {name}")
    orphans = one(con, "select count(*) from applications where n is null")
    empty = reading.rows - count(con, "row_records") - orphans
    if empty > 0:
        reading.note(f"{empty:,} rows say nothing of a candidate or an application")


def _words(con: Connection) -> None:
    """What the few distinct words of a column mean, by the tables of `kit.exports.columns`."""
    words = con.execute("""
        select distinct do_not_contact from lines where do_not_contact is not null
        union select distinct can_email from lines where can_email is not null
        union select distinct prospect from lines where prospect is not null
        union select distinct rejected from lines where rejected is not null
    """).fetchall()
    keep(
        con,
        "yes_no_words",
        {
            "word": ("VARCHAR", [word for (word,) in words]),
            "yes": ("BOOLEAN", [yes_or_no(word) for (word,) in words]),
        },
    )
    stages = [
        s
        for (s,) in con.execute(
            "select distinct stage from lines where stage is not null"
        ).fetchall()
    ]
    keep(
        con,
        "stage_words",
        {
            "word": ("VARCHAR", stages),
            "kind": ("VARCHAR", [stage_kind(stage, {}) for stage in stages]),
            "prospect": ("BOOLEAN", [is_prospect_word(stage) for stage in stages]),
        },
    )
    statuses = [
        s
        for (s,) in con.execute(
            "select distinct status from lines where status is not null"
            " union select distinct rejection_reason from lines"
            " where rejection_reason is not null and strlen(rejection_reason) <= 40"
        ).fetchall()
    ]
    keep(
        con,
        "status_words",
        {
            "word": ("VARCHAR", statuses),
            "status": ("VARCHAR", [status_of(status) for status in statuses]),
            "prospect": ("BOOLEAN", [is_prospect_word(status) for status in statuses]),
        },
    )


def _whose(con: Connection, reading: Reading) -> None:
    """Make `several_rows(row, id)`: the rows of records that have more than one."""
    if str(Column.CANDIDATE_ID) in reading.columns:
        con.execute("""
            create or replace temp table several_rows as
            with known as (select row, candidate_id as id from lines where id is not null)
            select row, id from known
            where id in (select id from known group by id having count(*) > 1)
        """)
        return
    con.execute(f"""
        create or replace temp table several_rows as
        with people as (
            select row, hash({_SAYS_WHO}) as person,
                   hash(application_id, applied_role, applied_at) as application
            from lines where coalesce(email, other_email, phone) is not null
        ), several as (
            select person, min(row) as first from people group by person
            having count(*) > 1 and count(distinct application) = count(*)
        )
        select row, 'row ' || first as id from people join several using (person)
    """)


def _records(con: Connection) -> None:
    no = [word for (word,) in con.execute("select word from yes_no_words where not yes").fetchall()]
    says = f"""
        select row, coalesce(candidate_id, 'row ' || row) as id, first_name, last_name, name,
               case when other_email is null then email
                    when email is null then other_email
                    else email || '; ' || other_email end as email,
               phone, link, employer, place, coalesce(owner, owner_email) as owner, source,
               coalesce(not list_contains($no, do_not_contact), false)
                   or coalesce(list_contains($no, can_email), false) as opted_out
        from lines where coalesce({_PERSON}) is not null
    """
    con.execute(
        f"""
        create or replace table records as
        select (row_number() over () - 1)::INTEGER as n, id, row, rows, first_name, last_name,
               name, email,
               case when phone is null then []
                    else string_split_regex(phone, '\\s*[;,|\\n]+\\s*') end as phones,
               case when link is null then []
                    else string_split_regex(link, '[;,|\\s]+') end as links,
               employer, place, owner, source, opted_out, not_opted_out
        from ({_together(con, says)})
        """,
        {"no": no},
    )
    con.execute("""
        create or replace table row_records as
        select row, n from records where rows = 1
        union all
        select several_rows.row, n from several_rows join records using (id) where rows > 1
    """)


def _together(con: Connection, says: str) -> str:
    """Rows of one record as one. Most exports have none, and then nothing is sorted."""
    alone = f"select *, 1 as rows, not opted_out as not_opted_out from ({says})"
    if not count(con, "several_rows"):
        return alone
    first = ", ".join(
        f"arg_min({column}, row) as {column}"
        for column in ("first_name", "last_name", "name", "employer", "place", "owner", "source")
    )
    joined = ", ".join(
        f"string_agg(distinct {column}, '; ' order by {column}) as {column}"
        for column in ("email", "phone", "link")
    )
    return f"""
        select * from (
            {alone} where row not in (select row from several_rows)
            union all by name
            select min(row) as row, several_rows.id, {first}, {joined},
                   bool_or(opted_out) as opted_out, count(*) as rows,
                   bool_or(not opted_out) as not_opted_out
            from ({says}) said join several_rows using (row) group by several_rows.id
        ) order by row
    """


def _split_names(con: Connection) -> None:
    """Where an export has whole names only."""
    names = con.execute("""
        select distinct name from records
        where name is not null and first_name is null and last_name is null
    """).fetchall()
    if not names:
        return
    halves = [split_name(name) for (name,) in names]
    keep(
        con,
        "halves",
        {
            "whole": ("VARCHAR", [name for (name,) in names]),
            "head": ("VARCHAR", [first or None for first, _ in halves]),
            "tail": ("VARCHAR", [last or None for _, last in halves]),
        },
    )
    con.execute("""
        update records set first_name = head, last_name = tail from halves
        where name = whole and first_name is null and last_name is null
    """)
    con.execute("drop table halves")


def _applications(con: Connection, *, of_people: bool) -> None:
    """An application's status is told by its word, then by yes or no, the dates and the stage, as
    the files connector tells it."""
    hired, rejected = ApplicationStatus.HIRED, ApplicationStatus.REJECTED
    active = ApplicationStatus.ACTIVE
    con.execute(f"""
        create or replace table applications as
        with told as (
            select lines.row, row_records.n, application_id as id,
                   applied_role as role, lines.stage,
                   k.kind as stage_kind, lines.status as status_word, w.status as said,
                   coalesce(p.yes, false) or coalesce(w.prospect, false)
                       or coalesce(k.prospect, false) as prospect,
                   moments.applied_at, moments.stage_at, moments.rejected_at, moments.hired_at,
                   coalesce(k.kind = '{StageKind.HIRED}' or v.status = '{hired}'
                       or moments.hired_at is not null and w.status is distinct from '{active}',
                       false) as hired,
                   coalesce(r.yes, false) or coalesce(k.kind = '{StageKind.REJECTED}', false)
                       as rejected,
                   lines.source
            from lines join moments using (row)
            left join row_records using (row)
            left join stage_words k on k.word = lines.stage
            left join status_words w on w.word = lines.status
            left join status_words v on v.word = lines.rejection_reason
            left join yes_no_words p on p.word = lines.prospect
            left join yes_no_words r on r.word = lines.rejected
            where coalesce({_APPLICATION}) is not null
                  and {"false" if of_people else "true"}
        )
        select row, n, id, role, stage, stage_kind,
               case when said in ('{hired}', '{ApplicationStatus.DELETED}') then said
                    when said = '{rejected}' then case when hired and lower(status_word) in
                        ('archived', 'closed', 'inactive') then '{hired}' else said end
                    when hired then '{hired}'
                    when rejected then '{rejected}'
                    when said is null and rejected_at is not null then '{rejected}'
                    else coalesce(said, '{active}') end as status,
               prospect, applied_at, stage_at, rejected_at, hired_at, source
        from told
    """)
