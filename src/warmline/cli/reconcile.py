"""`warmline reconcile`: both sides held against the ledger; `--repair` mends what differs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict

import typer
from rich.progress import TaskID
from rich.table import Table

from warmline.cli.long_run import progress_bars, stoppable
from warmline.cli.setup import err, out
from warmline.config.project import Project
from warmline.core.errors import WarmlineError
from warmline.flows import first_sync
from warmline.flows.drift import Comparison, compare
from warmline.flows.runtime import Runtime, build
from warmline.store.models import ExternalId

SHOWN_MAX = 50


def reconcile(loaded: Project, connection: str | None, *, repair: bool, as_json: bool) -> None:
    runtime = build(loaded)
    able = runtime.connections_that("reads_records")
    if connection is not None and connection not in able:
        raise WarmlineError(f"{connection!r} cannot be compared; expected one of {sorted(able)}")
    if repair and not first_sync.allowed(runtime):
        raise WarmlineError(
            "nothing is written before everybody is tagged with their segment",
            hint="`warmline segment --apply` first",
        )
    found: dict[str, Comparison] = {}
    with stoppable(runtime), progress_bars() as progress:
        for name in [connection] if connection else able:
            total = ExternalId.objects.filter(connection=name, gone_at=None).count()
            task = progress.add_task(f"comparing {name}", total=total)

            def seen(records: int, task: TaskID = task) -> None:
                progress.advance(task, records)

            found[name] = _whole(runtime, name, repair=repair, seen=seen)
    _show(found, repair=repair, as_json=as_json)
    if runtime.stopping.is_set():
        err.print("stopped; run it again" + (" to go on where it stopped" if repair else ""))
        raise typer.Exit(130)
    if any(one.differences for one in found.values()):
        raise typer.Exit(1)


def _whole(runtime: Runtime, name: str, *, repair: bool, seen: Callable[[int], None]) -> Comparison:
    """All of it, waiting where the other side asks to."""
    whole = Comparison()
    while True:
        part = compare(runtime, name, repair=repair, seen=seen, after=whole.after)
        whole.records += part.records
        whole.differences += part.differences
        whole.after = part.after
        whole.finished = part.finished
        if part.after_s is None or runtime.stopping.wait(part.after_s):
            return whole


def _show(found: dict[str, Comparison], *, repair: bool, as_json: bool) -> None:
    if as_json:
        told = {
            name: {
                "records": one.records,
                "finished": one.finished,
                "differences": [asdict(d) for d in one.differences],
            }
            for name, one in found.items()
        }
        out.print(json.dumps({"repaired": repair, "connections": told}, indent=1), markup=False)
        return
    for name, one in found.items():
        out.print(f"{name}: {one.records:,} records, {len(one.differences):,} differences")
        if not one.differences:
            continue
        table = Table(*("candidate", "record", "what", "should be", "is", "trigger"))
        for d in one.differences[:SHOWN_MAX]:
            table.add_row(str(d.candidate_id), d.record, d.what, d.expected, d.found, d.trigger)
        out.print(table)
        if len(one.differences) > SHOWN_MAX:
            out.print(f"and {len(one.differences) - SHOWN_MAX:,} more: --json has all")
        for trigger, n in Counter(d.trigger for d in one.differences).most_common():
            out.print(f"  {n:,} sync errors of {trigger}", markup=False)
    if any(one.differences for one in found.values()):
        out.print(
            "what differs is written again by the running Warmline"
            if repair
            else "nothing was written; `warmline reconcile --repair` keeps, counts and mends this"
        )
