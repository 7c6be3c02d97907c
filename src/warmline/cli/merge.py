"""`warmline merge`: who may be one person, the journal of merges, and taking one back."""

from __future__ import annotations

import json
from datetime import timedelta

from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from warmline.cli.setup import err, out
from warmline.cli.verbs import say, who
from warmline.config.project import Project
from warmline.core.candidates import masked
from warmline.core.errors import WarmlineError
from warmline.flows import likeness, review
from warmline.flows.merge import former_merges
from warmline.flows.runtime import build
from warmline.store.models import Candidate, CandidateEmail, ExternalId, Likeness

SHOWN_MAX = 50


def show(*, as_json: bool) -> None:
    """The review list."""
    rows = likeness.waiting()
    if as_json:
        out.print(json.dumps([_plain(row) for row in rows], indent=1), markup=False, soft_wrap=True)
        return
    if not rows:
        out.print("nobody waits for a word: no two candidates are likely to be one person")
        return
    table = Table(title=f"May be one person: {len(rows):,}", show_lines=True)
    for column in ("pair", "one", "the other", "evidence", "probability"):
        table.add_column(column, overflow="fold")
    for row in rows[:SHOWN_MAX]:
        score = f"{row.score:.3f}" if row.score is not None else ""
        table.add_row(str(row.pk), _who(row.one), _who(row.other), "\n".join(row.evidence), score)
    out.print(table)
    if len(rows) > SHOWN_MAX:
        out.print(f"and {len(rows) - SHOWN_MAX:,} more: --json shows all")
    out.print("`warmline merge review PAIR --join` makes them one; `--apart` keeps them two.")


def decide(loaded: Project, pair: int, *, join: bool, apart: bool) -> None:
    if join == apart:
        raise WarmlineError("say --join or --apart", hint="one of them, not both")
    runtime = build(loaded)
    if join:
        merge = review.join(runtime, pair, who=who())
        out.print(
            f"candidate {merge.folded_id} is part of {merge.kept_id} now; "
            f"`warmline merge undo {merge.pk}` takes it back"
        )
    else:
        review.keep_apart(runtime, pair, who=who())
        out.print(f"pair {pair} stays two people, whatever they have in common")


def undo(loaded: Project, merge: int) -> None:
    done = review.undo(build(loaded), merge, who=who())
    out.print(
        f"candidates {done.kept_id} and {done.folded_id} are two again, and are not joined by "
        "evidence any more"
    )


def journal(loaded: Project, *, days: int, as_json: bool) -> None:
    rows = former_merges(timedelta(days=days), build(loaded).now())
    if as_json:
        text = json.dumps(
            [
                {
                    "merge": row.pk,
                    "kept": row.kept_id,
                    "folded": row.folded_id,
                    "evidence": row.evidence,
                    "merged_at": row.merged_at.isoformat(),
                    "undone_at": row.undone_at.isoformat() if row.undone_at else None,
                    "undone_by": row.undone_by,
                }
                for row in rows
            ],
            indent=1,
        )
        out.print(text, markup=False, soft_wrap=True)
        return
    if not rows:
        out.print(f"nobody was merged in the last {days} days")
        return
    for row in rows:
        undone = f"; undone by {row.undone_by}, {row.undone_at:%Y-%m-%d}" if row.undone_at else ""
        say(
            f"merge {row.pk}  {row.merged_at:%Y-%m-%d %H:%M}Z  candidate {row.folded_id} became "
            f"part of {row.kept_id}: {row.evidence}{undone}"
        )


def find(loaded: Project) -> None:
    runtime = build(loaded)
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    ) as progress:
        task = progress.add_task("reading the candidates", total=None)
        found = review.find(runtime, told=lambda phase: progress.update(task, description=phase))
    out.print(
        f"{found.candidates:,} candidates compared: {found.new:,} pairs came new to the review "
        f"list, {found.waiting:,} wait there"
    )
    for what in found.left_out:
        err.print(f"left out: {what}", markup=False)


def _who(candidate: Candidate) -> str:
    """Enough to tell two people apart; no whole address on a screen that is shared."""
    standing = candidate.merged_into or candidate
    emails = CandidateEmail.objects.filter(candidate=standing).order_by(
        *CandidateEmail.PREFERRED_FIRST
    )
    records = ExternalId.objects.filter(candidate=standing, gone_at=None).order_by("id")
    lines = [
        f"{standing.pk}: {standing.name or '(no name)'}",
        *(masked(row.normal) for row in emails),
        *(f"{row.connection} {row.external_id}" for row in records),
    ]
    if standing.employer or standing.place:
        lines.append(", ".join(filter(None, (standing.employer, standing.place))))
    return "\n".join(lines).replace("[", "\\[")


def _plain(row: Likeness) -> dict[str, object]:
    return {
        "pair": row.pk,
        "candidates": [row.one_id, row.other_id],
        "evidence": row.evidence,
        "probability": row.score,
        "found_at": row.found_at.isoformat(),
    }
