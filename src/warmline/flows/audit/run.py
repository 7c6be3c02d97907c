"""The audit from beginning to end: read, tidy, find who is who, judge, write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import duckdb

from warmline.core.errors import ConfigError, WarmlineError
from warmline.core.segments import SegmentRules
from warmline.flows.audit import moments
from warmline.flows.audit.addresses import make_addresses
from warmline.flows.audit.ats import read_connection
from warmline.flows.audit.figures import Figures, figures
from warmline.flows.audit.findings import find
from warmline.flows.audit.identity import identify
from warmline.flows.audit.notes import Reading
from warmline.flows.audit.phases import Work, fingerprint, name_of, open_work
from warmline.flows.audit.records import make_records
from warmline.flows.audit.segments import make_segments, usual_rules
from warmline.flows.audit.source import Reads, read_export
from warmline.flows.audit.writing import require_writable, write
from warmline.flows.runtime import Runtime

Told = Callable[[str], None]
Read = Callable[[Work], Reading]

_FULL = "No space left on device"  # by the system, within DuckDB's own words
# The phases, in the words that progress is told in.
PHASES: Mapping[str, str] = {
    "read": "reading",
    "tidy": "sorting out records, dates and addresses",
    "link": "finding who is who",
    "judge": "judging every record",
    "write": "writing the report",
}


@dataclass(frozen=True, slots=True)
class Settings:
    """Where an audit works and writes, and how it reads. `rules` place records in segments."""

    work: Path
    out: Path
    reads: Reads = field(default_factory=Reads)
    date_order: str = moments.AUTO
    rules: SegmentRules | None = None


def audit_export(path: Path, settings: Settings, *, now: datetime, told: Told) -> Figures:
    """Audit a file. Raises ConfigError where there is nothing in it to audit."""
    mark = fingerprint(path) if path.is_file() else str(path)
    folder = settings.work / name_of(mark, settings.reads, settings.date_order)

    def read(work: Work) -> Reading:
        return read_export(work.con, path, settings.reads, work.folder)

    return audit(folder, read, settings, now=now, told=told)


def audit_connection(
    runtime: Runtime,
    name: str,
    settings: Settings,
    *,
    now: datetime,
    told: Told,
    sleep: Callable[[float], None],
) -> Figures:
    """Audit everything that a connection lists. Raises ConfigError for one that is not there or
    lists nothing; AuthFailed, Unreachable, Throttled: the next audit goes on after the last page.
    """
    # A CRM lists people who never applied, a mailbox lists mails.
    able = [
        n
        for n in runtime.connections_that("lists_changes")
        if runtime.role(n) not in ("crm", "mail")
    ]
    if name not in able:
        raise ConfigError(
            f"--from is {name!r}; expected a connection that lists its records: "
            f"{', '.join(able) or 'the project has none'}"
        )
    connector = runtime.connectors[name]
    folder = settings.work / name_of("connection", runtime.project.folder.absolute(), name)

    def read(work: Work) -> Reading:
        return read_connection(work, connector, name, now=now, told=told, sleep=sleep)

    return audit(folder, read, settings, now=now, told=told)


def audit(folder: Path, read: Read, settings: Settings, *, now: datetime, told: Told) -> Figures:
    """Audit what `read` makes `lines` of. `told` hears the name of each phase as it begins, and
    what is done within it. Stopped and started again, it goes on after the last finished phase;
    once it is through, nothing of its work is kept."""
    require_writable(settings.out)
    settings.work.mkdir(mode=0o700, parents=True, exist_ok=True)
    work = open_work(folder)
    try:
        found = _phases(work, read, settings, now=now, told=told)
    except ConfigError:
        work.remove()  # nothing there to go on with: the command has to change first
        raise
    except BaseException as error:
        work.close()
        if isinstance(error, duckdb.Error) and _FULL in str(error):
            raise WarmlineError(
                f"there is no space left on the disk of {settings.work} or of {settings.out}",
                hint="free some, or name other folders with --work and --out",
            ) from None
        raise
    work.remove()
    return found


def _phases(work: Work, read: Read, settings: Settings, *, now: datetime, told: Told) -> Figures:
    con = work.con

    def tidy() -> object:
        moments.make_moments(con, reading, settings.date_order)
        make_records(con, reading)
        make_addresses(con)
        return reading.to_json()

    def link() -> object:
        linked = identify(con, told)
        return {"sure": linked.sure, "probable": linked.probable, "compared": linked.compared}

    def judge() -> object:
        find(con, reading, now=now)
        make_segments(con, settings.rules or usual_rules(), now=now)
        return None

    told(PHASES["read"])
    reading = Reading.from_json(work.once("read", lambda: read(work).to_json()))
    told(PHASES["tidy"])
    reading = Reading.from_json(work.once("tidy", tidy))
    told(PHASES["link"])
    work.once("link", link)
    told(PHASES["judge"])
    work.once("judge", judge)
    told(PHASES["write"])
    found = figures(con, reading, made_at=now)
    write(con, found, settings.out)
    return found
