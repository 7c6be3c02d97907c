"""`warmline backfill`: what the whole history would bring to the CRM and onto the silver medalists'
sequence; with `--apply`, it is done."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

import typer
from rich.progress import Progress
from rich.table import Table

from warmline.cli.long_run import alone_or_watching, many_rows, progress_bars, sleeper, stoppable
from warmline.cli.setup import err, out
from warmline.config.project import Project
from warmline.core.errors import WarmlineError
from warmline.flows import backfill as flow
from warmline.flows import first_sync
from warmline.flows.runtime import Runtime, build
from warmline.flows.work_off import work_off

DAYS_SHOWN = 5


def backfill(
    loaded: Project, *, apply: bool, months: int, per_day: int, at_once: int, as_json: bool
) -> None:
    runtime = build(loaded)
    if not first_sync.allowed(runtime):
        raise WarmlineError(
            "nothing is exported before everybody is tagged with their segment",
            hint="`warmline segment --apply` first",
        )
    if apply:
        many_rows()
    with stoppable(runtime), progress_bars() as progress:
        enrolling = flow.silver(runtime, months=months, per_day=per_day, apply=apply)
        exports = []
        for target in flow.targets(runtime):
            if apply:
                _write(runtime, target, progress, at_once)
            exports.append(flow.outlook(runtime, target))
    _show(exports, enrolling, apply=apply, per_day=per_day, as_json=as_json)
    if runtime.stopping.is_set():
        err.print("stopped; run it again to go on where it stopped")
        raise typer.Exit(130)
    if apply and any(one.waiting or one.refused for one in exports):
        err.print("not all is written: see `warmline failures`, then run it again")
        raise typer.Exit(1)


def _write(runtime: Runtime, target: str, progress: Progress, at_once: int) -> None:
    planning = flow.Planning(runtime, target)
    total = flow.waiting(target).count() + planning.left
    task = progress.add_task(f"writing to {target}", total=total)

    def told(left: int) -> None:
        progress.update(task, completed=max(0, total - left))

    def waiting() -> int:
        """Of a running Warmline, which does what is planned."""
        while planning.left and not runtime.stopping.is_set():
            planning.stretch()
        return flow.waiting(target).count()

    alone_or_watching(
        runtime,
        lambda: work_off(
            runtime,
            target,
            flow.waiting(target),
            sleep=sleeper(runtime),
            told=told,
            threads=at_once,
            plans=planning,
        ),
        waiting=waiting,
        told=told,
    )


def _show(
    exports: list[flow.Export],
    enrolling: flow.Enrolling,
    *,
    apply: bool,
    per_day: int,
    as_json: bool,
) -> None:
    if as_json:
        told: dict[str, Any] = {
            "applied": apply,
            "contacts": [_told(one) for one in exports],
            "silver_medalists": {
                **_told(enrolling),
                "since": enrolling.since and enrolling.since.isoformat(),
            },
        }
        out.print(json.dumps(told, indent=1), markup=False, soft_wrap=True)
        return
    for one in exports:
        out.print(_contacts(one))
    out.print(_silver(enrolling, per_day, apply=apply))
    if not apply:
        out.print("nothing was written; `warmline backfill --apply` does this")


def _told(found: flow.Export | flow.Enrolling) -> dict[str, Any]:
    # `dataclasses.asdict` breaks a Counter before Python 3.12: it counts the pairs.
    return {one.name: getattr(found, one.name) for one in fields(found)}


def _contacts(one: flow.Export) -> Table:
    table = Table(title=f"contacts in {one.connection}", title_justify="left")
    table.add_column("")
    table.add_column("people", justify="right")
    table.add_row("have their contact", f"{one.there:,}")
    table.add_row(f"to write, in {one.calls:,} calls at least", f"{one.to_write:,}")
    if one.waiting:
        table.add_row("of these, waiting", f"{one.waiting:,}")
    if one.refused:
        table.add_row("of these, refused", f"{one.refused:,}")
    for why, n in one.left_out.items():
        table.add_row(f"left out: {why}", f"{n:,}")
    return table


def _silver(found: flow.Enrolling, per_day: int, *, apply: bool) -> Table:
    if not found.sequence:
        table = Table(title="silver medalists", title_justify="left")
        table.add_column("")
        table.add_row("no enabled trigger enrols them in a sequence after a rejection")
        return table
    since = f"{found.since:%Y-%m-%d}" if found.since else ""
    table = Table(title=f"silver medalists onto {found.sequence}", title_justify="left")
    table.add_column("")
    table.add_column("people", justify="right")
    table.add_row("on it before", f"{found.there:,}")
    days = sorted(found.by_day.items())
    word = "enrolled" if apply else "to enrol"
    table.add_row(f"{word}: rejected since {since}", f"{found.by_day.total():,}")
    for day, n in days[:DAYS_SHOWN]:
        table.add_row(f"  first letter on {day}", f"{n:,}")
    if len(days) > DAYS_SHOWN:
        table.add_row(
            f"  and so on, at most {per_day:,} a day, until {days[-1][0]}",
            f"{sum(n for _, n in days[DAYS_SHOWN:]):,}",
        )
    for why, n in found.left_out.items():
        table.add_row(f"left out: {why}", f"{n:,}")
    return table
