"""What `warmline sequences` prints."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from rich.markup import escape
from rich.table import Table

from warmline.cli.setup import out
from warmline.cli.verbs import say
from warmline.config.project import Project
from warmline.config.sequences import LoadedSequence
from warmline.core.errors import WarmlineError
from warmline.core.sequences import Step
from warmline.flows import explain
from warmline.flows import overview as program
from warmline.flows.runtime import build
from warmline.flows.timetable import Timetable
from warmline.flows.versions import sequence_of as program_of
from warmline.store.models import Candidate
from warmline.store.statuses import EnrolmentStatus


def _json(told: object) -> None:
    sys.stdout.write(json.dumps(told, indent=1) + "\n")


def _at(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z" if moment else ""


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _letters(step: Step) -> str:
    """What the step sends, in one line."""
    if step.variants:
        said = ", ".join(f"{arm}: {_file(piece)}" for arm, piece in step.variants)
    else:
        said = "; ".join(
            f"{_file(b.letter)} when {b.when.text}" if b.when else _file(b.letter)
            for b in step.branches
        )
    return said + (f" (holdout {step.holdout:.0%})" if step.holdout else "")


def _file(piece: str) -> str:
    return PurePosixPath(piece).name


def _hours(loaded: LoadedSequence) -> str:
    window = loaded.sequence.window
    if window is None:
        return "at any hour"
    closes = f"{window.closes:%H:%M}" if window.closes.hour or window.closes.minute else "24:00"
    return f"{window.opens:%H:%M} to {closes} of the reader's {window.days} days"


def show_all(loaded: Project, *, as_json: bool) -> None:
    found = program.standings(build(loaded))
    if as_json:
        _json(
            [
                {
                    "name": one.loaded.sequence.name,
                    "title": one.loaded.sequence.title,
                    "version": one.loaded.sequence.version,
                    "segment": one.loaded.segment,
                    "priority": one.loaded.sequence.priority,
                    "steps": len(one.loaded.sequence.steps),
                    "monthly": one.loaded.sequence.monthly is not None,
                    **one.counts,
                    "on_older_files": one.elsewhere,
                    "next_due_at": _iso(one.next_due_at),
                }
                for one in found
            ]
        )
        return
    table = Table(title=f"{len(found)} sequences")
    for column in ("sequence", "for", "steps", *EnrolmentStatus, "next due", "version"):
        table.add_column(column)
    for one in found:
        sequence = one.loaded.sequence
        months = " + months" if sequence.monthly else ""
        table.add_row(
            escape(f"{sequence.name}: {sequence.title}"),
            one.loaded.segment,
            f"{len(sequence.steps)}{months}",
            *(f"{one.counts[status]:,}" for status in EnrolmentStatus),
            _at(one.next_due_at),
            sequence.version,
        )
    out.print(table)
    for one in found:
        if one.elsewhere:
            name = one.loaded.sequence.name
            say(f"{one.elsewhere:,} on {name} go on with older files; see `sequences move`")


def show_one(loaded: Project, name: str, *, as_json: bool) -> None:
    runtime = build(loaded)
    one = program.sequence(runtime, name)
    sequence = one.sequence
    cannot = runtime.connectors[sequence.target].cannot(sequence.host) if sequence.target else ()
    exits = sorted({"unsubscribed", *sequence.exits})
    if as_json:
        _json(
            {
                "name": name,
                "title": sequence.title,
                "version": sequence.version,
                "segment": one.segment,
                "priority": sequence.priority,
                "reentry_days": sequence.reentry_days,
                "exits": exits,
                "hold": sequence.hold.text if sequence.hold else "",
                "hours": _hours(one),
                "lives_in": sequence.target or "warmline",
                "with": dict(sequence.host),
                "cannot": list(cannot),
                "steps": [_plain(step) for step in sequence.steps],
                "monthly": None
                if sequence.monthly is None
                else {
                    "from_day": sequence.monthly.from_day,
                    "every_days": sequence.monthly.every_days,
                    "class": sequence.monthly.step_class,
                    "pieces": list(sequence.monthly.pieces),
                },
            }
        )
        return
    say(f"{sequence.title} ({name}), version {sequence.version}", style="bold")
    say(f"for          {one.segment}, priority {sequence.priority}")
    say(f"leaves       {_hours(one)}; a receipt of day 0 at once")
    say(f"ends by      {', '.join(exits)}")
    again = sequence.reentry_days
    say(f"again        {'never' if again is None else f'{again} days after the last run ended'}")
    if sequence.hold is not None:
        say(f"waits while  {sequence.hold.text}")
    if sequence.target:
        where = ", ".join(f"{key} {value}" for key, value in sequence.host.items())
        say(f"lives in     {sequence.target}: {where}")
        for words in cannot:
            say(f"cannot       {words}")
        return
    table = Table()
    for column in ("step", "day", "class", "letter"):
        table.add_column(column)
    for step in sequence.steps:
        table.add_row(
            str(step.number), str(step.day), step.step_class, escape(_letters(step) or step.name)
        )
    if sequence.monthly is not None:
        months = sequence.monthly
        table.add_row(
            "monthly",
            f"{months.from_day}, then every {months.every_days}",
            months.step_class,
            f"one of {len(months.pieces)} pieces",
        )
    out.print(table)


def _plain(step: Step) -> dict[str, Any]:
    return {
        "number": step.number,
        "day": step.day,
        "class": step.step_class,
        "letter": step.name,
        "branches": [
            {"when": b.when.text if b.when else "", "piece": b.letter} for b in step.branches
        ],
        "variants": dict(step.variants),
        "holdout": step.holdout,
    }


def show_who(loaded: Project, name: str, *, page: int, as_json: bool) -> None:
    runtime = build(loaded)
    program.sequence(runtime, name)
    rows, total = program.who(name, page=page)
    told = []
    for row in rows:
        there = program_of(loaded, row)
        step = there.sequence.step(row.next_step) if there else None
        told.append((row, step.name if step else ""))
    if as_json:
        _json(
            {
                "total": total,
                "page": page,
                "enrolments": [
                    {
                        "candidate": row.candidate_id,
                        "run": row.run,
                        "version": row.version,
                        "status": row.status,
                        "next_step": step,
                        "next_due_at": _iso(row.next_due_at),
                        "enrolled_at": _iso(row.enrolled_at),
                        "ended_at": _iso(row.ended_at),
                        "reason": row.reason,
                    }
                    for row, step in told
                ],
            }
        )
        return
    table = Table(title=f"{total:,} on {name}")
    for column in ("candidate", "status", "next step", "due", "since", "reason"):
        table.add_column(column)
    for row, step_name in told:
        table.add_row(
            str(row.candidate_id),
            row.status,
            escape(step_name),
            _at(row.next_due_at),
            f"{row.enrolled_at:%Y-%m-%d}",
            escape(row.reason),
        )
    out.print(table)
    if total > page * program.PAGE:
        say(f"--page {page + 1} shows more")


def _candidate(query: str) -> Candidate:
    found = explain.find(query)
    if not found:
        raise WarmlineError(
            f"no candidate is known by {query!r}",
            hint="give a number, a whole e-mail address, or an id of the ATS or CRM",
        )
    if len(found) > 1:
        numbers = ", ".join(str(one.pk) for one in found)
        raise WarmlineError(f"{query!r} is more than one candidate: {numbers}")
    return found[0]


def show_preview(loaded: Project, name: str, query: str, *, as_json: bool) -> None:
    runtime = build(loaded)
    program.sequence(runtime, name)
    candidate = _candidate(query)
    row, coming, against = program.preview(runtime, name, candidate)
    there = program_of(loaded, row)
    zone = Timetable.of(loaded, row.candidate, row.application).zone if there else None
    if as_json:
        _json(
            {
                "candidate": candidate.pk,
                "enrolled": row.pk is not None,
                "zone": str(zone),
                "against": against,
                "letters": [
                    {
                        "step": one.step.number,
                        "day": one.step.day,
                        "at": one.at.isoformat(),
                        "local": one.at.astimezone(zone).isoformat(),
                        "piece": one.piece,
                        "why_not": one.why,
                    }
                    for one in coming
                ],
            }
        )
        return
    on = "is on it" if row.pk is not None else "is not on it; as if enrolled now"
    say(f"candidate {candidate.pk} {on}; times are of {zone}")
    for why in against:
        say(f"but          {why}", style="yellow")
    table = Table()
    for column in ("day", "leaves", "letter", ""):
        table.add_column(column)
    for one in coming:
        local = one.at.astimezone(zone)
        table.add_row(
            str(one.step.day), f"{local:%a %Y-%m-%d %H:%M}", escape(one.piece), escape(one.why)
        )
    out.print(table)
    out.print("Nothing was written. The policy is asked again as each letter leaves.")


def move(
    loaded: Project,
    name: str,
    query: str | None,
    *,
    to_current: bool,
    apply: bool,
    as_json: bool,
) -> None:
    if not to_current:
        raise WarmlineError("say where to: --to-current", hint="it is the only place there is")
    runtime = build(loaded)
    one = program.sequence(runtime, name)
    candidate = _candidate(query) if query is not None else None
    moves = program.moving(runtime, name, candidate)
    moved = program.move(runtime, name, moves) if apply else 0
    stays = [m for m in moves if m.stays]
    if as_json:
        _json(
            {
                "to": one.sequence.version,
                "applied": apply,
                "moved": moved,
                "enrolments": [
                    {
                        "candidate": m.enrolment.candidate_id,
                        "from": m.enrolment.version,
                        "next_step": [m.enrolment.next_step, m.next_step],
                        "next_due_at": [_iso(m.enrolment.next_due_at), _iso(m.next_due_at)],
                        "stays": m.stays,
                    }
                    for m in moves
                ],
            }
        )
        return
    if not moves:
        out.print(f"nobody on {name} goes on with older files")
        return
    table = Table(title=f"{len(moves):,} on older files of {name}")
    for column in ("candidate", "from", "next step", "due", ""):
        table.add_column(column)
    for m in moves[: program.PAGE]:
        was = m.enrolment
        table.add_row(
            str(was.candidate_id),
            was.version,
            f"{was.next_step} -> {m.next_step}",
            f"{_at(was.next_due_at)} -> {_at(m.next_due_at)}",
            escape(m.stays and f"stays: {m.stays}"),
        )
    out.print(table)
    if len(moves) > program.PAGE:
        say(f"and {len(moves) - program.PAGE:,} more; --json has them all")
    going = len(moves) - len(stays)
    if apply:
        out.print(f"{moved:,} go on with version {one.sequence.version}; {len(stays):,} stay")
    else:
        out.print(f"nothing was changed; --apply moves {going:,} and leaves {len(stays):,}")
