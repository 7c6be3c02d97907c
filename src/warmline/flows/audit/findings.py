"""What is wrong with the records, as rows of one table: `found(rule, n, row, value, evidence)`."""

# ruff: noqa: S608 - what is put into the queries is our own or quoted

from __future__ import annotations

from datetime import datetime, timedelta

from warmline.flows.audit.notes import Reading
from warmline.flows.audit.rules import RULES
from warmline.flows.audit.sql import Connection, quoted
from warmline.kit.exports.columns import DATES, NEEDED, Column

# Before this day no ATS of today had a record; what says so is a placeholder.
FIRST_DAY = "1990-01-01"
# Clocks differ, and so do time zones.
AHEAD = timedelta(days=2)
# Without one of these columns the rule has nothing to judge by.
_NEEDS = {
    "missing_email": NEEDED["email"],
    "invalid_email": NEEDED["email"],
    "role_email": NEEDED["email"],
    "disposable_email": NEEDED["email"],
    "no_name": NEEDED["name"],
    "no_stage": NEEDED["stage"],
    "no_owner": NEEDED["owner"],
    "no_role": NEEDED["applied_role"],
    "opt_out_conflict": (Column.DO_NOT_CONTACT, Column.CAN_EMAIL),
    "impossible_dates": DATES,
    "unreadable_dates": DATES,
    "orphan_applications": (Column.APPLICATION_ID, Column.APPLIED_ROLE),
    "id_twice": (Column.CANDIDATE_ID, Column.APPLICATION_ID),
}
_VALUES = "insert into found by name select"


def not_judged(reading: Reading) -> dict[str, str]:
    """The rules for which the source has no column → the field that is missing."""
    return {
        rule: " or ".join(needed)
        for rule, needed in _NEEDS.items()
        if not any(str(column) in reading.columns for column in needed)
    }


def find(con: Connection, reading: Reading, *, now: datetime) -> None:
    """Make `found`, and `standing(n, ready)`: whether nothing keeps a record from being synced.

    Of the tables that `records`, `moments`, `addresses` and the linkage made. `n` is null where no
    record is meant; `value` is what the finding is about, as written, and `evidence` why.
    """
    con.execute(
        "create or replace table found"
        "(rule VARCHAR, n INTEGER, row BIGINT, value VARCHAR, evidence VARCHAR)"
    )
    unseen = not_judged(reading)
    for rule, query in _queries(reading, now).items():
        if rule not in unseen:
            for part in query if isinstance(query, list) else [query]:
                con.execute(f"{_VALUES} {quoted(rule)} as rule, {part}")
    _unread(con, reading)
    _standing(con, frozenset(unseen))


def _queries(reading: Reading, now: datetime) -> dict[str, str | list[str]]:
    leads_apart = "from applications where n is not null and not prospect"
    closed = "status in ('rejected', 'hired', 'deleted')"
    return {
        "opt_out_conflict": _OPT_OUTS,
        "exact_duplicates": _pairs("pairs.exact"),
        "probable_duplicates": _pairs("not pairs.exact"),
        "missing_email": """n, row, null as value, 'the cell is empty' as evidence
            from records where email is null""",
        "invalid_email": """n, records.row, raw as value, 'not an e-mail address' as evidence
            from addresses join records using (n) where normal is null""",
        "role_email": """n, records.row, raw as value, 'an office reads it' as evidence
            from addresses join records using (n) where role""",
        "disposable_email": """n, records.row, raw as value, 'made to be thrown away' as evidence
            from addresses join records using (n) where disposable""",
        "no_name": """n, row, null as value, 'neither first nor last name' as evidence
            from records where first_name is null and last_name is null""",
        "no_owner": """n, row, null as value, 'no recruiter is named' as evidence
            from records where owner is null""",
        "no_stage": f"""n, row, role as value, 'an open application without a stage' as evidence
            {leads_apart} and stage is null and not {closed}
            union all
            select 'no_stage', n, row, role, 'a closed application without a stage'
            {leads_apart} and stage is null and {closed}""",
        "no_role": f"""n, row, id as value, 'an application without a job' as evidence
            {leads_apart} and role is null""",
        "impossible_dates": _impossible(reading, now),
        "unreadable_dates": [
            f"""n, lines.row, lines.{column} as value,
                {quoted(header)} || ' is no date' as evidence
                from lines join moments using (row) left join row_records using (row)
                where lines.{column} is not null and moments.{column} is null"""
            for column, header in _dated(reading)
        ],
        "id_twice": [_SAME_APPLICATION, _SAME_ROW, _OTHER_PERSON],
        "orphan_applications": """n, row, coalesce(id, role) as value,
            'no name, no address, no candidate id' as evidence
            from applications where n is null""",
    }


def _dated(reading: Reading) -> list[tuple[str, str]]:
    return [(str(c), reading.columns[str(c)]) for c in DATES if str(c) in reading.columns]


def _pairs(which: str) -> str:
    """Both records of a pair, each with the other."""
    return f"""this.n, this.row, that.id as value,
        array_to_string(pairs.evidence, ', ') as evidence
        from judged_pairs pairs join records this on this.id = pairs.one
        join records that on that.id = pairs.other where {which}
        union all
        select {"'exact_duplicates'" if which == "pairs.exact" else "'probable_duplicates'"},
        this.n, this.row, that.id, array_to_string(pairs.evidence, ', ')
        from judged_pairs pairs join records this on this.id = pairs.other
        join records that on that.id = pairs.one where {which}"""


# With the ids of those records of the person that say otherwise.
_OPT_OUTS = """n, row,
    case when opted_out then 'do not contact' else 'may be contacted' end as value,
    case when opted_out and not_opted_out then 'its own rows disagree'
         else 'otherwise says ' || array_to_string(
            case when opted_out then others_not else others_out end, ', ') end as evidence
    from records join groups using (id) join (
        select person, list(id order by id) filter (opted_out) as others_out,
               list(id order by id) filter (not opted_out) as others_not
        from records join groups using (id)
        where person in (select person from groups group by person having count(*) > 1)
              or opted_out and not_opted_out
        group by person
        having bool_or(opted_out) and bool_or(not_opted_out)
    ) using (person)
    where opted_out and not_opted_out or opted_out and len(others_not) > 0
          or not opted_out and len(others_out) > 0"""

_SAME_APPLICATION = """n, row, id as value,
    'the application stands on several rows' as evidence
    from applications where n is not null and id is not null and id in (
        select id from applications where id is not null group by id having count(*) > 1)"""

# Rows of one candidate that name no application, or the same job on the same day.
_SAME_ROW = """row_records.n, row_records.row, records.id as value,
    'the record stands on several rows that tell of no other application' as evidence
    from row_records join records using (n)
    left join applications on applications.row = row_records.row
    where records.rows > 1 and applications.id is null
    qualify count(*) over (
        partition by records.n, coalesce(lower(applications.role), ''),
        coalesce(applications.applied_at, TIMESTAMP '1900-01-01')) > 1"""

# A row that names nobody is of an application alone.
_OTHER_PERSON = """n, records.row, records.id as value,
    'rows of this id bear different names' as evidence
    from records where rows > 1 and n in (
        select row_records.n from row_records join lines using (row) join records using (n)
        where records.rows > 1
              and coalesce(lines.first_name, lines.last_name, lines.name) is not null
        group by row_records.n
        having count(distinct lower(strip_accents(
            coalesce(lines.first_name, '') || coalesce(lines.last_name, '')
            || coalesce(lines.name, '')))) > 1
        and count(distinct lower(coalesce(lines.email, ''))) > 1)"""


def _impossible(reading: Reading, now: datetime) -> list[str]:
    latest = (now + AHEAD).strftime("%Y-%m-%d")
    found = []
    for column, header in _dated(reading):
        day = f"strftime(moments.{column}, '%Y-%m-%d')"
        found.append(f"""row_records.n, moments.row, {day} as value,
            {quoted(header)} || case when moments.{column} < DATE '{FIRST_DAY}'
                then ' is before {FIRST_DAY[:4]}' else ' is in the future' end as evidence
            from moments left join row_records using (row)
            where moments.{column} < DATE '{FIRST_DAY}' or moments.{column} > DATE '{latest}'""")
    headers = dict(_dated(reading))
    for later in (Column.REJECTED_AT, Column.HIRED_AT, Column.STAGE_AT):
        if str(later) in headers and str(Column.APPLIED_AT) in headers:
            said = f"{headers[str(later)]} is before {headers[str(Column.APPLIED_AT)]}"
            found.append(f"""n, moments.row, strftime(moments.{later}, '%Y-%m-%d') as value,
                {quoted(said)} as evidence
                from moments left join row_records using (row)
                where moments.{later}::DATE < moments.applied_at::DATE""")
    return found


def _unread(con: Connection, reading: Reading) -> None:
    if reading.unread:
        con.execute(
            f"{_VALUES} 'unread_rows' as rule, null::INTEGER as n, unnest($row::BIGINT[]) as row,"
            " null as value, unnest($why::VARCHAR[]) as evidence",
            {
                "row": [row for row, _ in reading.unread],
                "why": [why for _, why in reading.unread],
            },
        )


def _standing(con: Connection, unseen: frozenset[str]) -> None:
    """Ready is who has an address that is their own and no finding that blocks."""
    blocking = ", ".join(quoted(rule.key) for rule in RULES.values() if rule.blocks)
    usable = "normal is not null and not role and not disposable"
    has_address = (
        "true"
        if "missing_email" in unseen
        else f"records.n in (select n from addresses where {usable})"
    )
    con.execute(f"""
        create or replace table standing as
        select n, {has_address} and n not in
            (select n from found where n is not null and rule in ({blocking})) as ready
        from records order by n
    """)
