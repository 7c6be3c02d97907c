"""`warmline pause`, `resume` and `pauses`: what waits because a person said so."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import datetime

from warmline.cli.setup import out
from warmline.cli.verbs import say, who
from warmline.config.project import Project
from warmline.core.errors import WarmlineError
from warmline.flows import pauses
from warmline.flows.runtime import Runtime, build
from warmline.store.models import Pause
from warmline.store.statuses import PauseScope

REASONS = ("deduplication",)


def scope_of(
    trigger: str | None, connection: str | None, sequence: str | None, everything: bool
) -> tuple[PauseScope, str]:
    """The one of the four that was said. Raises WarmlineError."""
    said = [
        (scope, name)
        for scope, name in (
            (PauseScope.TRIGGER, trigger),
            (PauseScope.CONNECTION, connection),
            (PauseScope.SEQUENCE, sequence),
            (PauseScope.ALL, "" if everything else None),
        )
        if name is not None
    ]
    if len(said) != 1:
        raise WarmlineError(
            "say one of --trigger NAME, --connection NAME, --sequence NAME or --all",
            hint="one at a time: each pause is resumed by itself",
        )
    return said[0]


def pause(
    loaded: Project, scope: PauseScope, name: str, *, why: str, reason: str, deduplication: bool
) -> None:
    if reason and reason not in REASONS:
        raise WarmlineError(f"--for is {reason!r}; expected {' or '.join(REASONS)}")
    runtime = build(loaded)
    deduplication = deduplication or reason == "deduplication"
    made = pauses.pause(
        runtime,
        scope,
        name,
        why=why or ("deduplication" if deduplication else ""),
        by=who(),
        deduplication=deduplication,
    )
    say(f"{pauses.called(scope, name)} is paused; now wait: {_waiting(runtime, made)}")
    say("Webhooks are received and read, and an opt-out holds at once. It goes on with")
    say(f"  warmline resume {_option(scope, name)}")
    if deduplication:
        say("once `warmline merge crm` has found no duplicates.")


def resume(loaded: Project, scope: PauseScope, name: str, *, why: str, despite: str | None) -> None:
    if despite is not None and not despite.strip():
        raise WarmlineError("--despite needs a reason")
    runtime = build(loaded)
    ended = pauses.resume(runtime, scope, name, by=who(), why=why, despite=despite or "")
    waited = (ended.until or ended.since) - ended.since
    say(f"{pauses.called(scope, name)} goes on after {_span(waited.total_seconds())}")
    say(f"what waited: {_waiting(runtime, ended)}; a mail over 2 days late is held and shown")
    if ended.deduplication:
        say("each contact is looked up before one is created: no duplicate comes back this way")
    for row in pauses.standing():
        say(f"still paused: {_line(row)}")


def show(loaded: Project, *, past: bool, as_json: bool) -> None:
    runtime = build(loaded)
    rows = pauses.history() if past else pauses.standing()
    if as_json:
        told = [_plain(runtime, row) for row in rows]
        sys.stdout.write(json.dumps(told, indent=1) + "\n")
        return
    if not rows:
        out.print("nothing was ever paused" if past else "nothing is paused")
        return
    for row in rows:
        say(_line(row))
        if row.until is not None:
            why = f": {row.ended_why}" if row.ended_why else ""
            say(f"  ended {_at(row.until)} by {row.ended_by}{why}")
            continue
        say(f"  waiting: {_waiting(runtime, row)}")
        if row.deduplication:
            lacking = pauses.unconfirmed(runtime, row)
            say(f"  for deduplication: {'; '.join(lacking) or 'no duplicates are left'}")


def told_at_start() -> None:
    """What `up` says of it."""
    for row in pauses.standing():
        say(f"paused: {_line(row)}", style="yellow")


def _line(row: Pause) -> str:
    return f"{pauses.called(row.scope, row.name)} since {_at(row.since)} by {row.by}: {row.why}"


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z"


def _waiting(runtime: Runtime, row: Pause) -> str:
    waits = pauses.waiting(runtime, row)
    parts = (("action", waits.actions), ("mail", waits.mails), ("step", waits.steps))
    said = [f"{count:,} {word}{'' if count == 1 else 's'}" for word, count in parts if count]
    return ", ".join(said) or "nothing"


def _option(scope: PauseScope, name: str) -> str:
    return "--all" if scope is PauseScope.ALL else f"--{scope} {shlex.quote(name)}"


def _span(seconds: float) -> str:
    for size, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {word}"
    return f"{seconds:.0f} seconds"


def _plain(runtime: Runtime, row: Pause) -> dict[str, object]:
    waits = pauses.waiting(runtime, row) if row.until is None else None
    return {
        "scope": row.scope,
        "name": row.name,
        "why": row.why,
        "by": row.by,
        "since": row.since.isoformat(),
        "deduplication": row.deduplication,
        "unconfirmed": pauses.unconfirmed(runtime, row)
        if row.deduplication and row.until is None
        else [],
        "until": row.until.isoformat() if row.until else None,
        "ended_by": row.ended_by,
        "ended_why": row.ended_why,
        "waiting": None
        if waits is None
        else {"actions": waits.actions, "mails": waits.mails, "steps": waits.steps},
    }
