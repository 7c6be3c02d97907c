"""The measurements on a million candidates: the audit of an export, a ledger placed in segments."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from tests.harness import (
    SECRETS,
    Simulators,
    ask,
    clean_environment,
    free_port,
    make_project,
)

from bench.identity.__main__ import generated
from bench.identity.words import names
from bench.runs import HUBSPOT_RATE, Figure, Say, WrongError
from warmline.cli.starter import copy_starter

EXPORT_PEOPLE = 970_000  # with their duplicates a million records
CANDIDATES = 1_000_000
BACKFILL = 100_000
MAILS = 2_000
SEED = 1001
DAYS = 4 * 365
_CHUNK = 50_000
_LAST_WORDS = 2000  # characters of what a child said before it failed


def audited(people: int, say: Say) -> list[Figure]:
    """`warmline audit` of a generated export with about 3 % more records than `people`, as a
    process of its own: from start to exit, reports and all, and the most memory it held."""
    say("making an export", 0, 1)
    truth = generated(people, SEED)
    with tempfile.TemporaryDirectory(prefix="wl-bench-") as folder:
        project = Path(folder) / "project"
        copy_starter(project)
        say(f"auditing {truth.records:,} records", 0, 1)
        ran = run(
            [
                *(sys.executable, "-m", "warmline", "audit", str(truth.export.absolute())),
                *("--project", str(project), "--out", str(Path(folder) / "report")),
                *("--work", str(Path(folder) / "work")),
            ],
            clean_environment(**SECRETS),
        )
    return [
        Figure("audit.records", truth.records, "records"),
        Figure("audit.seconds", ran.seconds, "s", 60),
        Figure("audit.cpu_s", ran.cpu_s, "s"),
        Figure("audit.peak_memory_mb", ran.peak_mb, "MB", 3000),
    ]


def segmented(people: int, say: Say) -> list[Figure]:
    """Everybody placed for the first time in a SQLite ledger of so many candidates, and then one
    candidate after the other whose application has just been closed: transaction and all."""
    with tempfile.TemporaryDirectory(prefix="wl-bench-") as folder:
        project, ledger = Path(folder) / "project", Path(folder) / "ledger.sqlite3"
        copy_starter(project)
        environment = clean_environment(**SECRETS, WARMLINE_DATABASE_URL=f"sqlite:///{ledger}")
        placing = [sys.executable, "-m", "bench.placing", str(project)]
        run([*placing, "migrate"], environment)
        say(f"making a ledger of {people:,} candidates", 0, 1)
        seed_ledger(ledger, people, now=datetime.now(UTC))
        say(f"placing {people:,} candidates", 0, 1)
        ran = run([*placing, "place"], environment)
    told = json.loads(ran.out)
    if told["placed"] != people:
        raise WrongError(f"{people} candidates, of whom {told['placed']} were placed")
    return [
        Figure("segments.candidates", people, "candidates"),
        Figure("segments.all_s", told["all_s"], "s", 60),
        Figure("segments.all_cpu_s", told["all_cpu_s"], "s"),
        Figure("segments.peak_memory_mb", ran.peak_mb, "MB"),
        Figure("segments.one_ms_p50", told["one_ms_p50"], "ms", 20),
        Figure("segments.one_ms_p99", told["one_ms_p99"], "ms"),
    ]


def backfilled(people: int, say: Say) -> list[Figure]:
    """`warmline backfill` of a ledger with so many candidates into HubSpot's simulator, with the
    vendor's own limit on: calls made against the least possible, and contacts' calls a second
    against that limit (private apps: 190 in 10 s)."""
    with (
        tempfile.TemporaryDirectory(prefix="wl-bench-") as folder,
        Simulators(hubspot_rate=HUBSPOT_RATE) as simulators,
    ):
        project, ledger = Path(folder) / "project", Path(folder) / "ledger.sqlite3"
        copy_starter(project)
        path = project / "warmline.yaml"
        path.write_text(path.read_text().replace("http://127.0.0.1:8802", simulators.crm))
        environment = clean_environment(**SECRETS, WARMLINE_DATABASE_URL=f"sqlite:///{ledger}")
        run([sys.executable, "-m", "bench.placing", str(project), "migrate"], environment)
        say(f"making a ledger of {people:,} candidates", 0, 1)
        seed_ledger(ledger, people, now=datetime.now(UTC))
        say(f"writing the contacts of {people:,} candidates", 0, 1)
        simulator = psutil.Process(simulators.process.pid)
        idle = simulator.cpu_times()
        ran = run([sys.executable, "-m", "bench.backfilling", str(project)], environment)
        busy = simulator.cpu_times()
        calls = ask(f"{simulators.crm}/_control/requests?limit=1")[1]
        contacts = ask(f"{simulators.crm}/_control/state")[1]["counts"]["contacts"]
    told = json.loads(ran.out)
    if told["left"] or told["written"] != told["planned"] or contacts < told["written"]:
        raise WrongError(f"{told['planned']} planned, {told['written']} written, {contacts} there")
    made = calls["total"]
    return [
        Figure("backfill.contacts", told["written"], "contacts"),
        Figure("backfill.seconds", told["took_s"], "s"),
        Figure("backfill.cpu_s", told["cpu_s"], "s"),
        Figure(
            "backfill.simulator_cpu_s",
            busy.user + busy.system - idle.user - idle.system,
            "s",
        ),
        Figure("backfill.calls_to_least", made / told["least_calls"], "ratio", 1.05),
        Figure("backfill.refused_429", calls["by_status"].get("429", 0), "calls", 3),
        Figure(
            "backfill.rate_to_limit",
            made / told["took_s"] / (HUBSPOT_RATE / 10),
            "ratio",
            0.9,
            at_least=True,
        ),
    ]


# Every rule is asked, and none holds anything.
_POLICY = """
policy:
  zone: Europe/London
  country: GB
  quiet_hours: {from: "00:00", to: "00:01"}
  frequency: {mails: 4, days: 30}
  senders: {a_day: 100000, domain_a_day: 1000000, warm_up: {first: 90000}}
  ats_minutes: 60
"""


def handed(mails: int, say: Say) -> list[Figure]:
    """So many nurture mails that are due at once, from one process to the mail catcher by two
    connections: every rule of the policy asked, and each hand-over committed before it begins."""
    with tempfile.TemporaryDirectory(prefix="wl-bench-") as folder, Simulators() as simulators:
        project, ledger = Path(folder) / "project", Path(folder) / "ledger.sqlite3"
        make_project(project, simulators, free_port())
        path = project / "warmline.yaml"
        path.write_text(path.read_text().partition("\npolicy:")[0] + "\n" + _POLICY)
        environment = clean_environment(**SECRETS, WARMLINE_DATABASE_URL=f"sqlite:///{ledger}")
        say(f"making {mails:,} mails that are due", 0, 1)
        run([sys.executable, "-m", "bench.placing", str(project), "migrate"], environment)
        handing = [sys.executable, "-m", "bench.handing", str(project)]
        run([*handing, "seed", str(mails)], environment)
        say(f"handing {mails:,} mails over", 0, 1)
        told = json.loads(run([*handing, "hand", "2"], environment).out)
        came = [to for mail in simulators.mails() for to in mail["to"]]
    if told["handed"] != mails or len(came) != mails or len(set(came)) != mails:
        raise WrongError(f"{mails} due, {told['handed']} handed over, {len(set(came))} people")
    return [
        Figure("mail.handed_per_s", mails / told["took_s"], "mails/s", 200, at_least=True),
        Figure("mail.cpu_ms_each", told["cpu_s"] / mails * 1000, "ms"),
    ]


@dataclass(frozen=True)
class Ran:
    """What a child process said, how long it took, of how much processor time, and the most memory
    it held (MB of 10^6 bytes, resident)."""

    out: str
    seconds: float
    cpu_s: float
    peak_mb: float


def run(command: Sequence[str], environment: Mapping[str, str]) -> Ran:
    """A child process, measured. Raises WrongError with its last words where it fails."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
        # Its own use of memory, not that of the largest of all our children.
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said = out.read().decode(errors="replace")
        if process.returncode:
            words = err.read().decode(errors="replace")[-_LAST_WORDS:]
            raise WrongError(f"{' '.join(command[1:4])} ended with {process.returncode}\n{words}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Ran(said, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * unit / 1e6)


# Kind of the furthest stage, and how often an application ends or stands there.
_STAGES = (("applied", 58), ("screen", 20), ("interview", 13), ("final", 5), ("offer", 4))
_STAGE_NUMBERS = tuple((number, weight) for number, (_, weight) in enumerate(_STAGES, 1))
# How many applications somebody has; the first few per cent are prospects, with none but that.
_PROSPECTS = 0.06
_APPLICATIONS = ((1, 75), (2, 19), (3, 6))
_STATUSES = (("rejected", 86), ("active", 12), ("hired", 2))
_JOBS = 40


def seed_ledger(path: Path, people: int, *, now: datetime, seed: int = SEED) -> None:
    """Fills a migrated, empty SQLite ledger with candidates by plain SQL: each with an address, a
    record in `ats`, and 1.3 applications in the mean (rejected, active and hired ones at all
    stages, and prospects), over the four years up to `now`.

    Nobody is placed in a segment yet. Raises RuntimeError where a table has a column that this does
    not know how to fill.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-200000"):
            database.execute(f"PRAGMA {pragma}")
        indexes = database.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
            " AND tbl_name IN ('warmline_candidate', 'warmline_candidateemail',"
            " 'warmline_externalid', 'warmline_application') AND sql NOT LIKE '%UNIQUE%'"
        ).fetchall()
        for name, _ in indexes:  # made again at the end: faster than keeping them row by row
            database.execute(f'DROP INDEX "{name}"')
        database.execute("BEGIN")
        made = _Rows(random.Random(seed), now)
        _insert(database, "stage", made.stages())
        _insert(database, "job", made.jobs())
        for low in range(1, people + 1, _CHUNK):
            ids = range(low, min(low + _CHUNK, people + 1))
            _insert(database, "candidate", made.candidates(ids))
            _insert(database, "candidateemail", made.emails(ids))
            _insert(database, "externalid", made.records(ids))
            _insert(database, "application", made.applications(ids))
        database.execute("COMMIT")
        for _, sql in indexes:
            database.execute(sql)
        database.execute("ANALYZE")
        database.execute("PRAGMA journal_mode=WAL")


def _insert(database: sqlite3.Connection, table: str, rows: Iterator[dict[str, Any]]) -> None:
    """Rows with the same columns each."""
    first = next(rows, None)
    if first is None:
        return
    known = database.execute(f"PRAGMA table_info(warmline_{table})").fetchall()
    needed = {name for _, name, _, not_null, default, key in known if not_null and not key}
    if unknown := sorted(needed - set(first)):
        raise RuntimeError(f"bench/data.py does not fill {unknown} of {table}: add it there")
    columns = ", ".join(f'"{name}"' for name in first)
    marks = ", ".join("?" * len(first))
    sql = f"INSERT INTO warmline_{table} ({columns}) VALUES ({marks})"  # noqa: S608
    database.execute(sql, tuple(first.values()))
    database.executemany(sql, (tuple(row.values()) for row in rows))


class _Rows:
    """Rows of each table, as dictionaries of columns. Times are texts, as Django writes them to
    SQLite."""

    def __init__(self, rng: random.Random, now: datetime) -> None:
        self._rng = rng
        self._days = [
            (now - timedelta(days=back, hours=1)).strftime("%Y-%m-%d %H:%M:%S")
            for back in range(DAYS)
        ]
        english = names("test")[0][0]
        self._first, self._last = english.women.words, english.surnames.words
        self._application = 0
        self._sourced: dict[int, int] = {}  # days back, by candidate, of the stretch in hand

    def stages(self) -> Iterator[dict[str, Any]]:
        for number, (kind, _) in enumerate(_STAGES, 1):
            yield {
                "id": number, "connection": "ats", "external_id": str(number), "name": kind.title(),
                "kind": kind,
            }  # fmt: skip

    def jobs(self) -> Iterator[dict[str, Any]]:
        for number in range(1, _JOBS + 1):
            yield {
                "id": number, "connection": "ats", "external_id": str(number),
                "title": f"Job {number}", "department": "", "office": "",
            }  # fmt: skip

    def candidates(self, ids: range) -> Iterator[dict[str, Any]]:
        chance = self._rng.random
        self._sourced = {number: int(chance() * DAYS) for number in ids}
        for number in ids:
            at = self._days[self._sourced[number]]
            yield {
                "id": number, "first_name": self._first[int(chance() * len(self._first))],
                "last_name": self._last[int(chance() * len(self._last))], "owner_name": "Ada Marsh",
                "owner_email": "ada.marsh@example.com", "tags": "[]", "phones": "[]",
                "links": "[]", "employer": "", "place": "", "do_not_contact": 0, "opted_out": "",
                "sourced_at": at, "as_of": at, "created_at": at, "merged_into_id": None,
                "erased_at": None,
            }  # fmt: skip

    def emails(self, ids: range) -> Iterator[dict[str, Any]]:
        for number in ids:
            address = f"p{number:08}@mail.example.com"
            yield {
                "candidate_id": number, "normal": address, "mailbox": address,
                "record": f"ats:{number:08}", "rank": 0,
                "told_at": self._days[self._sourced[number]],
            }  # fmt: skip

    def records(self, ids: range) -> Iterator[dict[str, Any]]:
        for number in ids:
            yield {
                "candidate_id": number, "connection": "ats", "external_id": f"{number:08}",
                "contact": 0, "written": "{}", "segment": "", "do_not_contact": 0, "gone_at": None,
            }  # fmt: skip

    def applications(self, ids: range) -> Iterator[dict[str, Any]]:
        chance = self._rng.random
        statuses, stages = self._stream(_STATUSES), self._stream(_STAGE_NUMBERS)
        for number, count in zip(ids, self._stream(_APPLICATIONS), strict=False):
            if chance() < _PROSPECTS:
                yield self._one(number, self._sourced[number], 0, "active", prospect=True)
                continue
            for _ in range(count):
                status = next(statuses)
                back = int(chance() * self._sourced[number])
                if status == "active":  # what is open was mostly begun of late
                    back = min(back, int(chance() * 120))
                stage = len(_STAGES) if status == "hired" else next(stages)
                yield self._one(number, back, stage, status)

    def _stream(self, choices: Sequence[tuple[Any, int]]) -> Iterator[Any]:
        words, weights = [word for word, _ in choices], [weight for _, weight in choices]
        while True:
            yield from self._rng.choices(words, weights, k=4096)

    def _one(
        self, candidate: int, back: int, stage: int, status: str, *, prospect: bool = False
    ) -> dict[str, Any]:
        self._application += 1
        moved = self._days[int(back * self._rng.random())]
        kind = "hired" if status == "hired" else _STAGES[stage - 1][0]
        return {
            "candidate_id": candidate, "connection": "ats",
            "external_id": f"{self._application:08}",
            "job_id": 1 + self._application % _JOBS, "stage_id": stage or None, "status": status,
            "prospect": int(prospect), "applied_at": None if prospect else self._days[back],
            "rejected_at": moved if status == "rejected" else None, "stage_as_of": moved,
            "reached": "" if prospect else kind, "moved_at": None if prospect else moved,
            "as_of": moved, "url": "",
        }  # fmt: skip
