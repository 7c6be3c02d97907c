"""`warmline incidents` and `warmline alerts drill`: failures in hand, and whether anybody hears."""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime, timedelta

import typer
from rich.markup import escape
from rich.table import Table

from warmline.cli.setup import complain, logs, out
from warmline.cli.verbs import say, who
from warmline.config.project import Project
from warmline.config.settings import Settings
from warmline.core.errors import ConfigError, WarmlineError
from warmline.flows import drill as drills
from warmline.flows.incidents import RESOLVE_WITHIN, acknowledge, listed, resolve_by_hand, took
from warmline.flows.recover import recover
from warmline.flows.runtime import Runtime, build, utc_now
from warmline.store.models import Incident
from warmline.store.sole import SoleRunner
from warmline.store.statuses import IncidentStatus
from warmline.web.site import behind_a_proxy

LOOK_EVERY_S = 0.25


def show(*, everything: bool, as_json: bool) -> None:
    now = utc_now()
    rows = listed(everything=everything)
    if as_json:
        told = [_as_json(row, now) for row in rows]
        sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
        return
    if not rows:
        out.print("nothing has failed" if everything else "no failure is open")
        return
    table = Table(title="Incidents; each should be over within 24 hours", title_justify="left")
    table.add_column("no.", justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    table.add_column("age", no_wrap=True)
    table.add_column("times", justify="right", no_wrap=True)
    table.add_column("alerted", no_wrap=True)
    table.add_column("record, trigger", overflow="fold", ratio=2)
    table.add_column("reason, and what to do", overflow="fold", ratio=4)
    for row in rows:
        span = took(row, now)
        age = f"[red]{_span(span)}[/red]" if span > RESOLVE_WITHIN else _span(span)
        alerted = f"{row.alerted_at:%m-%d %H:%M}Z\nby {row.alerted_by}" if row.alerted_at else "no"
        where = [part for part in (row.record or row.connection, row.trigger) if part]
        table.add_row(
            str(row.pk),
            row.status + ("\ndrill" if row.drill else ""),
            age,
            str(row.count),
            escape(alerted),
            escape("\n".join(where)),
            escape(f"{row.reason}\n{_ending(row)}".strip()),
        )
    out.print(table)
    out.print(
        "`warmline incidents ack NUMBER` ends the reminders; "
        "`warmline incidents resolve NUMBER --why …` ends it."
    )


def _ending(row: Incident) -> str:
    if row.status == IncidentStatus.RESOLVED:
        by = f", by {row.resolved_by}" if row.resolved_by else ""
        return f"resolved{by}: {row.resolution}"
    if row.status == IncidentStatus.ACKNOWLEDGED:
        return f"acknowledged by {row.acknowledged_by}. {row.hint}"
    return row.hint


def _span(span: timedelta) -> str:
    minutes = max(0, int(span.total_seconds())) // 60
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _as_json(row: Incident, now: datetime) -> dict[str, object]:
    moments = {
        name: getattr(row, name) and getattr(row, name).isoformat()
        for name in ("opened_at", "last_at", "alerted_at", "acknowledged_at", "resolved_at")
    }
    return {
        "number": row.pk,
        "key": row.key,
        "status": row.status,
        "drill": row.drill,
        "record": row.record,
        "candidate": row.candidate_id,
        "trigger": row.trigger,
        "connection": row.connection,
        "reason": row.reason,
        "hint": row.hint,
        "count": row.count,
        **moments,
        "age_s": round(took(row, now).total_seconds()),
        "over_24_h": took(row, now) > RESOLVE_WITHIN,
        "alerted_by": row.alerted_by,
        "acknowledged_by": row.acknowledged_by,
        "resolution": row.resolution,
        "resolved_by": row.resolved_by,
    }


def ack(number: int) -> None:
    acknowledge(number, who=who(), now=utc_now())
    out.print(f"incident {number} is acknowledged; no more reminders of it")


def resolve(number: int, why: str) -> None:
    resolve_by_hand(number, who=who(), why=why, now=utc_now())
    out.print(f"incident {number} is resolved")


def drill(settings: Settings, loaded: Project) -> None:
    """Exit status 1 where a channel did not accept the alert, or where there is none."""
    logs("CRITICAL")  # what is told here is the drill's answer, not each step of its failure
    runtime = build(loaded)
    host, port = settings.listen_host, settings.listen_port
    if behind_a_proxy(runtime):
        host, port = settings.pages_host, settings.pages_port
    runtime.pages_url = f"http://{host}:{port}"
    try:
        delivery = drills.begin(runtime)
    except ConfigError as error:
        complain(error.reason, error.hint)
        raise typer.Exit(1) from None
    try:
        found = _alone(runtime, delivery)
        if found is None:
            out.print("something fails on purpose; waiting for the alert …")
            found = _look_on(runtime, delivery)
    finally:
        try:
            ended = drills.end(runtime, delivery)
        except WarmlineError as error:
            complain(error.reason, error.hint)
            raise typer.Exit(1) from None
        finally:
            runtime.close()
    _tell(found or ended)


def _alone(runtime: Runtime, delivery: int) -> list[drills.Answer] | None:
    """The whole road in this process, where no other runs it; None where one does."""
    try:
        with SoleRunner():
            recover(runtime, alone=True)
            out.print("no Warmline runs: the drill goes its way in this process")
            return drills.run_alone(runtime, delivery) or []
    except WarmlineError:
        return None


def _look_on(runtime: Runtime, delivery: int) -> list[drills.Answer] | None:
    deadline = time.monotonic() + drills.ARRIVES_WITHIN.total_seconds()
    while time.monotonic() < deadline:
        if (found := drills.answers(runtime, delivery)) is not None:
            return found
        time.sleep(LOOK_EVERY_S)
    return None


def _tell(found: list[drills.Answer]) -> None:
    for one in found:
        if one.at is not None and one.took is not None:
            say(
                f"ok      {one.channel} ({one.what}) accepted the alert at "
                f"{one.at:%Y-%m-%d %H:%M:%S}Z, {one.took.total_seconds():.1f} s after the failure",
                style="green",
            )
        else:
            say(f"failed  {one.channel} ({one.what}): {one.reason}", style="red")
    broken = [one.channel for one in found if one.at is None]
    if broken:
        complain(
            f"the alert did not get through by {', '.join(broken)}",
            "mend it and drill again; after a change of channels, restart `warmline up`",
        )
        raise typer.Exit(1)
    out.print("The alert arrived. The drill is kept: `warmline incidents --all`")
