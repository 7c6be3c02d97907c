"""The measurements of the nurture program: the days to come simulated, due steps found."""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from tests.harness import SECRETS, clean_environment, database
from tests.postgres import WHY_NOT

from bench.data import run, seed_ledger
from bench.runs import Figure, Say, WrongError
from warmline.cli.starter import copy_starter

SIMULATED = 10_000
DAYS = 120
ENROLMENTS = 1_000_000


def simulated(people: int, say: Say) -> list[Figure]:
    """`warmline simulate` of a ledger with so many candidates as a process of its own, reports and
    all, with every silver medalist of four years put onto their sequence."""
    with tempfile.TemporaryDirectory(prefix="wl-bench-") as folder:
        project, ledger = Path(folder) / "project", Path(folder) / "ledger.sqlite3"
        copy_starter(project)
        environment = clean_environment(**SECRETS, WARMLINE_DATABASE_URL=f"sqlite:///{ledger}")
        run([sys.executable, "-m", "bench.placing", str(project), "migrate"], environment)
        say(f"making a ledger of {people:,} candidates", 0, 1)
        seed_ledger(ledger, people, now=datetime.now(UTC))
        say(f"simulating {DAYS} days of {people:,} candidates", 0, 1)
        ran = run(
            [
                *(sys.executable, "-m", "warmline", "simulate", "--project", str(project)),
                *("--days", str(DAYS), "--backfill", "--months", "48", "--per-day", "200"),
                *("--json", "--out", str(Path(folder) / "out")),
            ],
            environment,
        )
    told = json.loads(ran.out)
    if told["people"] != people or not told["mails"]:
        raise WrongError(f"{told['people']} people and {told['mails']} mails were simulated")
    return [
        Figure("simulate.candidates", people, "candidates"),
        Figure("simulate.mails", told["mails"], "mails"),
        Figure("simulate.seconds", ran.seconds, "s", 60),
        Figure("simulate.cpu_s", ran.cpu_s, "s"),
        Figure("simulate.peak_memory_mb", ran.peak_mb, "MB"),
    ]


def due_steps(enrolments: int, say: Say) -> list[Figure]:
    """A batch of due steps found among so many enrolments, on each store that is there."""
    found: list[Figure] = []
    for kind in ("sqlite", "postgresql") if not WHY_NOT else ("sqlite",):
        with tempfile.TemporaryDirectory(prefix="wl-bench-") as folder, database(kind) as url:
            project = Path(folder) / "project"
            copy_starter(project)
            environment = clean_environment(**SECRETS, WARMLINE_DATABASE_URL=url)
            say(f"{kind}: {enrolments:,} enrolments", 0, 1)
            child = [sys.executable, "-m", "bench.due_steps", str(project), str(enrolments)]
            told = json.loads(run(child, environment).out)
        if told["enrolments"] != enrolments or told["store"] != kind:
            raise WrongError(f"{told['enrolments']} enrolments on {told['store']}")
        found += [
            Figure(f"{kind}.due_ms_p50", told["ms_p50"], "ms", 50),
            Figure(f"{kind}.due_ms_p99", told["ms_p99"], "ms"),
            Figure(f"{kind}.due_empty_tick_ms", told["empty_ms"], "ms"),
        ]
    return found
