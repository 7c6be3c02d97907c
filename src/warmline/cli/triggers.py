"""`warmline triggers`: the trigger map in the guide's own columns, whether each side can do its
part, and how often each row ran; `triggers test` says what one would send."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import typer
from rich.markup import escape
from rich.table import Table

from warmline.cli.setup import err, out
from warmline.config.project import Project
from warmline.core.actions import ActionKind
from warmline.core.errors import WarmlineError
from warmline.core.triggers import OWN, Trigger
from warmline.flows import explain
from warmline.flows.check import Report, ago, check
from warmline.flows.rehearse import Rehearsal, rehearse
from warmline.flows.runtime import Runtime, build
from warmline.flows.trigger_runs import ERROR_RATE_MAX, Runs, runs


def triggers(loaded: Project, *, offline: bool, as_json: bool) -> None:
    """Exit status 1 where a field that a row needs is not there, or cannot be read or written."""
    runtime = build(loaded)  # refuses an event, an action or a system that there is none of
    report = check(runtime, ask=not offline)
    ran = runs(runtime.now())
    wrong = {t.name: _wrong(report, t) for t in loaded.triggers.triggers if t.enabled}
    if as_json:
        rows = [_row(t, ran.get(t.name[:100], Runs()), wrong) for t in loaded.triggers.triggers]
        out.print(json.dumps(rows, indent=1), markup=False, soft_wrap=True)
    else:
        _table(runtime, ran)
        for name, found in wrong.items():
            for text in found:
                err.print(f"{name}: {text}", markup=False, soft_wrap=True)
        if offline:
            out.print("no system was asked (--offline)")
        elif not any(wrong.values()):
            out.print("each side has every event, action and field that the map names")
    if any(wrong.values()):
        raise typer.Exit(1)


def _wrong(report: Report, trigger: Trigger) -> list[str]:
    """What `warmline check` found wrong with the fields that this row passes."""
    found = []
    for name in dict.fromkeys((trigger.source, trigger.target)):
        checked = report.connections.get(name)
        if checked is None:
            continue
        for finding in checked.findings:
            about = finding.field in trigger.passes or (
                finding.field == "tags" and trigger.do is ActionKind.CANDIDATE_TAG
            )
            if about and finding.verdict.to_mend:
                said = f"{name}: {finding.field}: {finding.verdict}"
                found.append(f"{said}: {finding.advice}" if finding.advice else said)
    return found


def _row(trigger: Trigger, ran: Runs, wrong: dict[str, list[str]]) -> dict[str, Any]:
    return {
        "name": trigger.name,
        "event": trigger.on,
        "source": trigger.source,
        "action": trigger.do,
        "target": trigger.target,
        "fields": list(trigger.passes),
        "sequence": trigger.sequence,
        "when": trigger.when.text if trigger.when else "",
        "enabled": trigger.enabled,
        "last_run_at": ran.last and ran.last.isoformat(),
        "runs_7d": ran.ended,
        "refused_7d": ran.refused,
        "differences_7d": ran.drifted,
        "failure_rate_7d": round(ran.rate, 4),
        "wrong": wrong.get(trigger.name, []),
    }


def _table(runtime: Runtime, ran: dict[str, Runs]) -> None:
    now = runtime.now()
    table = Table(title="Trigger map", show_lines=True)
    table.add_column("event", overflow="fold", min_width=25)
    table.add_column("source", no_wrap=True)
    table.add_column("action", no_wrap=True)
    table.add_column("target", no_wrap=True)
    table.add_column("fields passed", overflow="fold", min_width=18)
    table.add_column("7 days", overflow="fold", min_width=9)
    for trigger in runtime.project.triggers.triggers:
        one = ran.get(trigger.name[:100], Runs())
        event = str(trigger.on) + (f"\nwhen {trigger.when.text}" if trigger.when else "")
        table.add_row(
            escape(event),
            trigger.source,
            str(trigger.do),
            trigger.target,
            ", ".join(trigger.passes) or (trigger.sequence and f"sequence: {trigger.sequence}"),
            _week(one, now) if trigger.enabled else "off",
        )
    out.print(table)


def _week(one: Runs, now: datetime) -> str:
    """How often it ran, how often it failed, and when last."""
    if one.last is None:
        return "never ran"
    last = f"last {ago(now - one.last)}"
    if not one.runs:
        return last
    colour = "red" if one.rate > ERROR_RATE_MAX else "default"
    failed = f"[{colour}]{one.failed:,} failed, {one.rate:.1%}[/{colour}]"
    return f"{one.runs:,} runs\n{failed}\n{last}"


def try_one(loaded: Project, name: str, candidate: str, *, as_json: bool) -> None:
    """What the trigger would send for the candidate. Exit status 1 where it would send nothing."""
    runtime = build(loaded)
    by_name = {t.name: t for t in loaded.triggers.triggers}
    trigger = by_name.get(name)
    if trigger is None:
        raise WarmlineError(
            f"no trigger is called {name!r}; expected one of {sorted(by_name)}",
            hint="a row without `name:` is called by its event and action",
        )
    people = explain.find(candidate)
    if len(people) != 1:
        found = "nobody is" if not people else f"{len(people)} candidates are"
        raise WarmlineError(
            f"{found} known by {candidate!r}",
            hint="give a number, a whole e-mail address, or an id of the ATS or CRM",
        )
    said = rehearse(runtime, trigger, people[0])
    if as_json:
        out.print(json.dumps(_told(said), indent=1), markup=False, soft_wrap=True)
    else:
        _say(said)
    if said.nothing and not said.already:
        raise typer.Exit(1)


def _told(said: Rehearsal) -> dict[str, Any]:
    return {
        "trigger": said.trigger.name,
        "candidate": said.candidate.pk,
        "event": said.event and {"id": said.event.pk, "at": said.event.occurred_at.isoformat()},
        "condition_holds": said.holds,
        "nothing": said.nothing,
        "where": said.where,
        "fields": dict(said.fields),
        "written": dict(said.written),
        "notes": said.notes,
    }


def _say(said: Rehearsal) -> None:
    def line(what: str, text: str) -> None:
        out.print(f"{what:<10} {text}", markup=False, soft_wrap=True)

    trigger = said.trigger
    line("trigger", trigger.name)
    line("candidate", f"{said.candidate.pk}: {said.candidate.name or '(no name)'}")
    if said.event is not None:
        line("event", f"{trigger.on} of {said.event.occurred_at:%Y-%m-%d %H:%M}Z")
    else:
        line("event", f"{trigger.on}: there was none; this is as if it happened now")
    if said.nothing:
        line("sends", f"nothing: {said.nothing}")
    else:
        line("does", f"{trigger.do} in {said.where or trigger.target or OWN}")
        for name, text in said.fields.items():
            line("  " + name, text)
        if said.written:
            line("as", ", ".join(f"{name}={text}" for name, text in said.written.items()))
    for note in said.notes:
        line("note", note)
    out.print("nothing was sent")
