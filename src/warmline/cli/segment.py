"""`warmline segment`: who is where, who would move; with `--apply`, the tags in the ATS."""

from __future__ import annotations

import csv
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import typer
from rich.progress import Progress
from rich.table import Table

from warmline.cli.long_run import LOOK_EVERY_S, alone_or_watching, progress_bars, sleeper, stoppable
from warmline.cli.setup import err, out
from warmline.cli.verbs import drain_alone
from warmline.config.project import Project
from warmline.core.errors import WarmlineError
from warmline.core.segments import Segment
from warmline.flows import first_sync, tag_all
from warmline.flows.everybody import Survey, survey
from warmline.flows.reconcile import history_is_read, poll, read_history
from warmline.flows.runtime import Runtime, build
from warmline.flows.segment import Move, counts
from warmline.store.db import writing
from warmline.store.models import Candidate, Delivery
from warmline.store.sole import SoleRunner
from warmline.store.statuses import DeliveryStatus


def segment(loaded: Project, *, apply: bool, read: bool, moves: Path | None, as_json: bool) -> None:
    runtime = build(loaded)
    with stoppable(runtime), progress_bars() as progress:
        if read:
            _read(runtime, progress)
        before = counts()
        with _moves(moves) as moved:
            found = _survey(runtime, progress, moved, write=apply)
        left, refused = _tag(runtime, progress) if apply else (0, 0)
    _show(runtime, found, before, apply=apply, as_json=as_json, left=left, refused=refused)
    if runtime.stopping.is_set():
        tags = f"; {left:,} tags wait" if left else ""
        err.print(f"stopped{tags}; run it again to go on where it stopped")
        raise typer.Exit(130)
    if left or refused:
        raise typer.Exit(1)


def _read(runtime: Runtime, progress: Progress) -> None:
    """Once: everybody whom the ATS has. After that, what changed since."""
    for name in runtime.connections_that("lists_changes"):
        if runtime.role(name) != "ats":
            continue
        if history_is_read(name):
            _catch_up(runtime, name, progress)
            continue
        task = progress.add_task(f"reading {name}", total=None)
        read_history(runtime, name, seen=lambda n, task=task: progress.advance(task, n))  # type: ignore[misc]
        progress.update(task, description=f"taking in {name}")
        if runtime.stopping.is_set():
            return
        if not drain_alone(runtime):
            _wait_for(runtime, name, progress)
        progress.remove_task(task)


def _catch_up(runtime: Runtime, connection: str, progress: Progress) -> None:
    """What changed since, unless a running Warmline asks for it anyway: days may lie between a
    first look and `--apply`, and whoever came in them is to be tagged too."""
    try:
        with SoleRunner():
            task = progress.add_task(f"reading what changed in {connection}", total=None)
            poll(runtime, connection, seen=lambda n: progress.advance(task, n))
            progress.remove_task(task)
    except WarmlineError:
        return
    drain_alone(runtime)


def _wait_for(runtime: Runtime, connection: str, progress: Progress) -> None:
    """A running Warmline takes it in."""
    unread = Delivery.objects.filter(connection=connection, status=DeliveryStatus.RECEIVED)
    task = progress.add_task("the running Warmline takes them in", total=unread.count())
    while (left := unread.count()) and not runtime.stopping.is_set():
        progress.update(task, completed=max(0, (progress.tasks[-1].total or 0) - left))
        time.sleep(LOOK_EVERY_S)


def _survey(runtime: Runtime, progress: Progress, moved: Any, *, write: bool) -> Survey:
    newest = Candidate.objects.order_by("-pk").first()
    task = progress.add_task("placing everybody", total=newest.pk if newest else 0)
    return survey(runtime, write=write, told=lambda n: progress.advance(task, n), moved=moved)


@contextmanager
def _moves(path: Path | None) -> Iterator[Any]:
    """A CSV of everybody who moves: numbers and words of ours only."""
    if path is None:
        yield lambda move: None
        return
    with _private(path) as file:
        rows = csv.writer(file)
        rows.writerow(["candidate", "from", "to", "rule", "score"])

        def write(move: Move) -> None:
            placed = move.placement
            rows.writerow(
                [move.candidate_id, move.before, placed.segment, placed.rule, f"{placed.score:.1f}"]
            )

        yield write


def _private(path: Path) -> TextIO:
    try:
        return os.fdopen(
            os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", newline=""
        )
    except OSError as error:
        raise WarmlineError(f"{path} cannot be written: {error.strerror}") from None


def _tag(runtime: Runtime, progress: Progress) -> tuple[int, int]:
    """Write the tags; then the first sync may go. Returns how many wait, and how many were
    refused."""
    left = refused = 0
    for name in tag_all.taggable(runtime):
        if runtime.stopping.is_set():
            break
        tag_all.plan_tags(runtime, name)
        total = tag_all.how_many_wait(name)
        task = progress.add_task(f"tagging in {name}", total=total)

        def told(waiting: int, task: Any = task, total: int = total) -> None:
            progress.update(task, completed=max(0, total - waiting))

        left += alone_or_watching(
            runtime,
            lambda name=name, told=told: tag_all.write_tags(  # type: ignore[misc]
                runtime, name, sleep=sleeper(runtime), told=told
            ),
            waiting=lambda name=name: tag_all.how_many_wait(name),  # type: ignore[misc]
            told=told,
        )
        refused += tag_all.refused(name).count()
    if not left and not runtime.stopping.is_set():
        with writing():
            first_sync.allow(runtime.now())
    return left, refused


def _show(
    runtime: Runtime,
    found: Survey,
    before: dict[Segment, int],
    *,
    apply: bool,
    as_json: bool,
    left: int,
    refused: int,
) -> None:
    tags = {name: tag_all.lacking(name).count() for name in tag_all.taggable(runtime)}
    if as_json:
        text = json.dumps(
            {
                "candidates": found.candidates,
                "applied": apply,
                "counts": {word: found.counts[word] for word in Segment},
                "counts_before": before,
                "moves": [
                    {"from": was or None, "to": to, "candidates": n}
                    for (was, to), n in sorted(found.moves.items())
                ],
                "records_without_their_tag": tags,
                "tags_waiting": left,
                "tags_refused": refused,
                "first_sync_allowed": first_sync.allowed(runtime),
            },
            indent=1,
        )
        out.print(text, markup=False, soft_wrap=True)
        return
    table = Table(title=f"{found.candidates} candidates")
    for column in ("segment", "by the rules", "kept before", "rules"):
        table.add_column(column, justify="right" if column[-1] == "e" else "left")
    for word in Segment:
        rules = [r.name for r in runtime.project.segment_rules.rules if r.segment is word]
        table.add_row(word, f"{found.counts[word]:,}", f"{before[word]:,}", "; ".join(rules))
    out.print(table)
    if found.moves:
        moves = Table(title="who moved" if apply else "who would move")
        for column in ("from", "to", "candidates"):
            moves.add_column(column)
        for (was, to), n in sorted(found.moves.items()):
            moves.add_row(was or "nowhere yet", to, f"{n:,}")
        out.print(moves)
    for name, n in tags.items():
        lack = (
            "record does not carry the tag of its"
            if n == 1
            else "records do not carry the tag of their"
        )
        out.print(f"{name}: {n:,} {lack} segment")
    if not apply:
        out.print("nothing was written; `warmline segment --apply` keeps this and writes the tags")
    elif runtime.stopping.is_set():
        return
    elif left or refused:
        err.print(
            f"{left:,} tags wait and {refused:,} were refused: see the incidents on the overview, "
            "then run it again"
        )
    else:
        out.print("everybody is placed and tagged; syncing may begin")
