"""A connection as the audit's source: every candidate and application, through the connector.

Pages are kept in the work folder with the cursor behind each, so that a reading that was killed
goes on after the last whole page.
"""

# ruff: noqa: S608 - what is put into the queries is our own or quoted

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from warmline.core.errors import Malformed, Throttled, WarmlineError
from warmline.core.events import ApplicationFacts, CandidateFacts, Event
from warmline.flows.audit.notes import Reading
from warmline.flows.audit.phases import Work
from warmline.flows.audit.source import FIELDS
from warmline.flows.audit.sql import Connection, cleaned, count, quoted
from warmline.kit.exports.columns import Column
from warmline.ports import Channel, Page, Received

# These say nothing of who somebody is or what they applied for.
_NOT_READ = frozenset({"interviews", "scorecards"})
_PAGES = "pages"
# A vendor that asks to wait so often without a page between is not going to give one.
WAITS_MAX = 20
WAIT_S_MAX = 120.0
_READ_FROM_EVENTS = (
    Column.CANDIDATE_ID, Column.APPLICATION_ID, Column.FIRST_NAME, Column.LAST_NAME, Column.EMAIL,
    Column.PHONE, Column.LINK, Column.EMPLOYER, Column.PLACE, Column.OWNER, Column.APPLIED_ROLE,
    Column.STAGE, Column.STATUS, Column.APPLIED_AT, Column.REJECTED_AT, Column.PROSPECT,
    Column.DO_NOT_CONTACT,
)  # fmt: skip


def read_connection(
    work: Work,
    connector: Any,
    name: str,
    *,
    now: datetime,
    told: Callable[[str], None],
    sleep: Callable[[float], None],
) -> Reading:
    """Make `lines` of everything that the connection lists. Raises AuthFailed, Unreachable,
    Throttled where the vendor asks to wait without end; the next audit goes on from there."""
    folder = work.folder / _PAGES
    folder.mkdir(mode=0o700, exist_ok=True)
    for stream in connector.streams():
        if stream not in _NOT_READ:
            _spool(connector, stream, folder, now=now, told=told, sleep=sleep)
    reading = Reading(name, form="read through its API")
    _load(work.con, folder, reading)
    return reading


def _spool(
    connector: Any,
    stream: str,
    folder: Path,
    *,
    now: datetime,
    told: Callable[[str], None],
    sleep: Callable[[float], None],
) -> None:
    kept = sorted(folder.glob(f"{stream}-*.jsonl"))
    head: dict[str, Any] = {"cursor": "", "last": False, "records": 0}
    if kept:
        head = _head(kept[-1])
    waits = 0
    while not head["last"]:
        try:
            for page in connector.changes(stream, head["cursor"], now=now):
                records = head["records"] + len(page.records)
                head = {"cursor": page.cursor, "last": page.last, "records": records}
                path = folder / f"{stream}-{len(kept):06}.jsonl"
                _keep(path, head, _facts(connector, page, now))
                kept.append(path)
                waits = 0
                told(f"reading {stream}: {records:,}")
            return
        except Throttled as error:
            waits += 1
            if waits > WAITS_MAX:
                raise
            told(f"reading {stream}: {head['records']:,}; waiting, as the vendor asks")
            sleep(min(error.after_s, WAIT_S_MAX))


def _head(path: Path) -> dict[str, Any]:
    with path.open(encoding="utf-8") as file:
        found: dict[str, Any] = json.loads(file.readline())
    return found


def _keep(path: Path, head: dict[str, Any], facts: Iterator[dict[str, Any]]) -> None:
    """The page and the cursor behind it appear together or not at all. Each line bears its number:
    DuckDB hands lines on in any order."""
    beside = path.with_suffix(".new")
    with os.fdopen(
        os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", -1, "utf-8", "replace"
    ) as file:
        file.write(json.dumps(head) + "\n")
        for line, fact in enumerate(facts):
            file.write(json.dumps(fact | {"line": line}, ensure_ascii=False) + "\n")
    beside.replace(path)


def _facts(connector: Any, page: Page, now: datetime) -> Iterator[dict[str, str]]:
    for record in page.records:
        received = Received(
            channel=Channel.HISTORY, body=record.body, received_at=now, stream=page.stream
        )
        try:
            events: list[Event] = connector.parse(received)
        except Malformed as error:
            yield {"fault": error.reason}
            continue
        for event in events:
            if event.candidate is not None and event.application is None:
                yield _candidate(event.candidate)
            elif event.application is not None:
                yield _application(event.application, event.candidate)


def _candidate(facts: CandidateFacts) -> dict[str, str]:
    opt_out = {True: "no", False: "yes", None: ""}[facts.can_email]
    return _said(
        {
            Column.CANDIDATE_ID: facts.external_id,
            Column.FIRST_NAME: facts.first_name,
            Column.LAST_NAME: facts.last_name,
            Column.EMAIL: "; ".join(facts.emails),
            Column.PHONE: "; ".join(facts.phones),
            Column.LINK: " ".join(facts.links),
            Column.EMPLOYER: facts.employer,
            Column.PLACE: facts.place,
            Column.OWNER: facts.owner.name or facts.owner.email if facts.owner else "",
            Column.DO_NOT_CONTACT: opt_out,
        }
    ) | ({"gone": "yes"} if facts.gone else {})


def _application(facts: ApplicationFacts, candidate: CandidateFacts | None) -> dict[str, str]:
    owner = candidate.owner if candidate else None
    return _said(
        {
            Column.CANDIDATE_ID: candidate.external_id if candidate else "",
            Column.APPLICATION_ID: facts.external_id,
            Column.OWNER: owner.name or owner.email if owner else "",
            Column.APPLIED_ROLE: facts.job.title if facts.job else "",
            Column.STAGE: facts.stage.name if facts.stage else "",
            Column.STATUS: str(facts.status) if facts.status else "",
            Column.APPLIED_AT: facts.applied_at.isoformat() if facts.applied_at else "",
            Column.REJECTED_AT: facts.rejected_at.isoformat() if facts.rejected_at else "",
            Column.PROSPECT: "yes" if facts.prospect else "",
        }
    )


def _said(facts: dict[Column, str | None]) -> dict[str, str]:
    return {str(column): value for column, value in facts.items() if value}


def _load(con: Connection, folder: Path, reading: Reading) -> None:
    """What was said last of a candidate or of an application counts."""
    fields = ", ".join(f"{column}: 'VARCHAR'" for column in (*FIELDS, "fault", "gone"))
    fields += ", line: 'INTEGER'"
    pages = quoted(str(folder / "*.jsonl"))
    source = (
        f"read_json({pages}, format = 'newline_delimited', filename = true, columns = {{{fields}}})"
    )
    made = ", ".join(f"{cleaned(str(column))} as {column}" for column in FIELDS)
    con.execute(f"""
        create or replace table cells as
        with latest as (
            select *, row_number() over (
                partition by coalesce(application_id, 'candidate ' || candidate_id)
                order by filename desc, line desc) as nth
            from {source} where coalesce(application_id, candidate_id) is not null
        )
        select row_number() over (order by filename, line) as row, {made}
        from latest where nth = 1 and gone is null
    """)
    con.execute("create or replace view lines as select * from cells")
    faults = con.execute(f"select fault from {source} where fault is not null").fetchall()
    for place, (fault,) in enumerate(faults, 1):
        reading.fault(place, fault)
    reading.rows = count(con, "lines")
    reading.columns = {str(column): str(column) for column in _READ_FROM_EVENTS}
    if not reading.rows:
        raise WarmlineError(
            f"{reading.source} lists no candidate and no application",
            hint="look at its rights with `warmline check`",
        )
