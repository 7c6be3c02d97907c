"""`python -m bench`: Warmline's speed on SQLite and on PostgreSQL, as a table and as
`build/bench.json`. The simulators and the poster are processes of their own on this machine. Exit
status 1 where an aim is missed."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from tests.harness import TooSlowError
from tests.postgres import WHY_NOT

from bench import machine
from bench.data import (
    BACKFILL,
    CANDIDATES,
    EXPORT_PEOPLE,
    MAILS,
    audited,
    backfilled,
    handed,
    segmented,
)
from bench.identity.__main__ import held_against_truth
from bench.kept import keep, table
from bench.nurture import ENROLMENTS, SIMULATED, due_steps, simulated
from bench.runs import RATE, Figure, Say, WrongError, accepted, flood, steady

RUNS = {"accepted": accepted, "flood": flood, "steady": steady}
# The same on either store, or without one.
DATA: dict[str, Callable[[Say], list[Figure]]] = {
    "identity": lambda say: held_against_truth("test", EXPORT_PEOPLE)[0],
    "audit": lambda say: audited(EXPORT_PEOPLE, say),
    "backfill": lambda say: backfilled(BACKFILL, say),
    "segments": lambda say: segmented(CANDIDATES, say),
    "mail": lambda say: handed(MAILS, say),
    "simulate": lambda say: simulated(SIMULATED, say),
    "due": lambda say: due_steps(ENROLMENTS, say),
}
STEADY_S = 30
BUILD = Path("build")
console = Console(highlight=False)


def main() -> int:
    asked = _arguments()
    kinds = [asked.only] if asked.only else ["sqlite", "postgresql"]
    if asked.run in DATA:
        kinds = []
    if "postgresql" in kinds and WHY_NOT:
        console.print(f"not on PostgreSQL: {WHY_NOT}")
        kinds.remove("postgresql")
    BUILD.mkdir(exist_ok=True)
    began = time.monotonic()
    figures = _machine("before")
    wrong = 0
    for kind in kinds:
        try:
            figures += _measured(kind, asked.applications, asked.run, profile=asked.profile)
        except (WrongError, TooSlowError, RuntimeError) as error:
            wrong += 1
            console.print(f"[red]{kind}: {error}[/red]", soft_wrap=True)
    for name, measure in DATA.items() if not asked.only else ():
        if asked.run not in (None, name):
            continue
        try:
            figures += _shown(name, measure)
        except (WrongError, RuntimeError) as error:
            wrong += 1
            console.print(f"[red]{name}: {error}[/red]", soft_wrap=True)
    figures += _machine("after")
    console.print(table("Warmline's speed on this machine", figures))
    console.print(f"[dim]{time.monotonic() - began:.0f} s in all[/dim]")
    if asked.profile:
        console.print(f"[dim]profiles: python -m pstats {BUILD}/bench-*.prof[/dim]")
    keep(figures)
    missed = [figure.name for figure in figures if not figure.met]
    if missed:
        console.print(f"[red]missed: {', '.join(missed)}[/red]", soft_wrap=True)
    return 1 if wrong or missed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--only", choices=["sqlite", "postgresql"], help="one store alone")
    parser.add_argument("--run", choices=[*RUNS, *DATA], help="one measurement alone")
    parser.add_argument(
        "--applications",
        type=int,
        default=2000,
        metavar="N",
        help="from webhook to mail; twice as many are posted to measure acceptance (2000)",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="Warmline under cProfile, by processor time: build/bench-*.prof",
    )
    return parser.parse_args()


def _shown(name: str, measure: Callable[[Say], list[Figure]]) -> list[Figure]:
    with console.status(name) as status:
        return measure(lambda what, done, of: status.update(f"{name}: {what}"))


def _measured(kind: str, count: int, only: str | None, *, profile: bool) -> list[Figure]:
    counts = {"accepted": 2 * count, "flood": count, "steady": min(count, int(RATE * STEADY_S))}
    found: dict[str, Figure] = {}
    with Progress(
        TextColumn(f"{kind:<10} {{task.description}}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    ) as progress:
        task = progress.add_task("starting", total=None)

        def say(what: str, done: int, of: int) -> None:
            progress.update(task, description=what, completed=done, total=of)

        for name in [only] if only else list(RUNS):
            command: Sequence[str] = ()
            if profile:
                path = BUILD / f"bench-{kind}-{name}.prof"
                command = (sys.executable, "-m", "bench.profiled", str(path))
            for figure in RUNS[name](kind, counts[name], say, command):
                before = found.get(figure.name)  # of the memory, the highest peak counts
                if before is None or figure.value > before.value:
                    found[figure.name] = figure
    return list(found.values())


def _machine(when: str) -> list[Figure]:
    return [
        Figure(f"machine.python.{when}", machine.python_loops_per_s(), "M loops/s"),
        Figure(f"machine.commits.{when}", machine.commits_per_s(), "commits/s"),
    ]


if __name__ == "__main__":
    sys.exit(main())
