"""`warmline failures`: what cannot succeed by itself; shown, tried again, or left."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime

import typer
from rich.markup import escape
from rich.table import Table

from warmline.cli.setup import out
from warmline.cli.verbs import say, who
from warmline.config.project import Project
from warmline.core.errors import WarmlineError
from warmline.flows import failures, retry
from warmline.flows.failures import Failure, Wanted
from warmline.flows.recover import recover
from warmline.flows.runtime import Runtime, build
from warmline.store.sole import SoleRunner

PAGE = 50
SHOWN_MAX = 20
WAIT_S, LOOK_EVERY_S = 20.0, 0.5


def show(loaded: Project, wanted: Wanted, *, group: bool, page: int, as_json: bool) -> None:
    runtime = build(loaded)
    if group:
        _groups(failures.groups(runtime, wanted), as_json=as_json)
        return
    found, total = failures.listed(runtime, wanted, page=page, size=PAGE)
    if as_json:
        _json({"total": total, "page": page, "failures": [_plain(one) for one in found]})
        return
    if not total:
        out.print("nothing has failed" if wanted == Wanted() else "nothing like that has failed")
        return
    if not found:
        raise WarmlineError(f"there is no page {page}; the last is {-(-total // PAGE)}")
    table = Table(title=f"Failed: {total:,}", title_justify="left")
    for column, no_wrap in (("failure", True), ("when", True), ("what", False), ("record", False)):
        table.add_column(column, no_wrap=no_wrap, overflow="fold")
    table.add_column("reason", overflow="fold", ratio=3)
    for one in found:
        what = f"{one.what} in {one.connection}\n{one.trigger}"
        table.add_row(one.ref, _at(one.at), escape(what), one.record, escape(one.reason))
    out.print(table)
    if total > PAGE:
        out.print(f"page {page} of {-(-total // PAGE)}; --page shows another, --group counts them")
    out.print(
        "`warmline failures show NUMBER` tells all; `replay` tries again, `discard` leaves it."
    )


def _groups(found: Sequence[failures.Group], *, as_json: bool) -> None:
    if as_json:
        _json(
            {
                "groups": [
                    {
                        "trigger": one.trigger,
                        "connection": one.connection,
                        "reason": one.reason,
                        "count": one.count,
                        "first_at": one.first.isoformat(),
                        "last_at": one.last.isoformat(),
                        "example": one.example,
                    }
                    for one in found
                ]
            }
        )
        return
    if not found:
        out.print("nothing has failed")
        return
    table = Table(title=f"Failed: {sum(one.count for one in found):,}", title_justify="left")
    table.add_column("count", justify="right")
    table.add_column("trigger", overflow="fold")
    table.add_column("connection", no_wrap=True)
    table.add_column("reason", overflow="fold", ratio=3)
    table.add_column("last", no_wrap=True)
    table.add_column("example", no_wrap=True)
    for one in found:
        table.add_row(
            f"{one.count:,}", escape(one.trigger), one.connection, escape(one.reason),
            _at(one.last), one.example,
        )  # fmt: skip
    out.print(table)


def detail(loaded: Project, ref: str, *, as_json: bool) -> None:
    runtime = build(loaded)
    told = failures.detail(failures.find(runtime, ref))
    one = told.failure
    if as_json:
        _json(
            {
                **_plain(one),
                "facts": dict(told.facts),
                "hint": told.hint,
                "exchange": told.exchange,
                "discards": [
                    {"why": d.why, "by": d.by, "at": d.at.isoformat()} for d in told.discards
                ],
            }
        )
        return
    say(f"{one.ref}: {one.what} in {one.connection}, {one.status}", style="bold")
    lines = {
        "record": one.record,
        "trigger": one.trigger,
        "failed": _at(one.at),
        **told.facts,
        "reason": one.reason,
        "next": told.hint,
    }
    for word, text in lines.items():
        if text:
            say(f"{word:<10} {text}")
    for given in told.discards:
        say(f"{'discarded':<10} {_at(given.at)} by {given.by}: {given.why}")
    if told.exchange is None:
        say("exchange   none is kept: nothing was called for it, or it is of before")
        return
    say("exchange, without what is personal or secret")
    say(json.dumps(told.exchange, indent=1, ensure_ascii=False))


def replay(
    loaded: Project,
    refs: Sequence[str],
    *,
    trigger: str,
    everything: bool,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Exit status 1 where something failed again."""
    if sum((bool(refs), bool(trigger), everything)) != 1:
        raise WarmlineError(
            "say which: their numbers, --trigger NAME, or --all", hint="one of the three"
        )
    runtime = build(loaded)
    try:
        if refs:
            numbers = [(one.kind, one.number) for one in _named(runtime, refs)]
        else:
            failures.check(runtime, Wanted(trigger=trigger))
            numbers = retry.chosen(runtime, Wanted(trigger=trigger))
        if not numbers:
            out.print("nothing has failed" + (f" of {trigger!r}" if trigger else ""))
            return
        moved = retry.replay(runtime, numbers, who=who())
        if len(moved) < len(numbers):
            say(f"{len(numbers) - len(moved):,} cannot be: of a connection that is gone, or moved")
        alone = _try_here(runtime, moved)
        if not alone:
            _wait(runtime, moved, sleep)
        again = _told(retry.became(runtime, moved), alone=alone)
    finally:
        runtime.close()
    if again:
        raise typer.Exit(1)


def _try_here(runtime: Runtime, moved: Sequence[retry.Number]) -> bool:
    """Where no Warmline runs, this process tries them. False where one does."""
    try:
        with SoleRunner():
            recover(runtime, alone=True)
            retry.carry_out(runtime, moved)
    except WarmlineError:
        return False
    return True


def _wait(runtime: Runtime, moved: Sequence[retry.Number], sleep: Callable[[float], None]) -> None:
    """The running Warmline tries them within a second or so: see what it says."""
    for _ in range(int(WAIT_S / LOOK_EVERY_S)):
        stand = retry.became(runtime, moved)
        if not any(one.pending and not one.reason for one in stand):
            return
        sleep(LOOK_EVERY_S)


def _told(stand: Sequence[retry.Became], *, alone: bool) -> int:
    """Say what became of them; returns how many failed again."""
    again = [one for one in stand if one.again]
    pending = [one for one in stand if one.pending]
    rest = [one for one in stand if not one.again and not one.pending]
    for status, count in sorted(Counter(one.status for one in rest).items()):
        put_off = status in ("planned", "unknown", "received")
        say(f"{count:,} {'put off, and tried again by itself' if put_off else status}")
    for one in [one for one in rest if one.reason][:SHOWN_MAX]:
        say(f"  {one.ref} {one.status}: {one.reason}")
    if again:
        say(f"{len(again):,} failed again: the cause still stands")
    for one in again[:SHOWN_MAX]:
        say(f"  {one.ref} {one.status}: {one.reason}")
    if len(again) > SHOWN_MAX:
        say(f"  and {len(again) - SHOWN_MAX:,} more: `warmline failures --group`")
    for reason, count in sorted(Counter(one.reason for one in pending).items()):
        why = reason or ("`warmline up` does it" if alone else "the running Warmline gets to it")
        say(f"{count:,} waiting: {why}")
    return len(again)


def discard(loaded: Project, refs: Sequence[str], *, why: str) -> None:
    runtime = build(loaded)
    done = retry.discard(_named(runtime, refs), why=why, who=who(), now=runtime.now())
    for one in done:
        say(f"{one.ref} is discarded: {one.what} for {one.record} need not be done")
    if not done:
        out.print("nothing was discarded: somebody else was faster")


def _named(runtime: Runtime, refs: Sequence[str]) -> list[Failure]:
    """All of them, or none: a wrong number stops before anything is moved."""
    found = [failures.find(runtime, ref) for ref in refs]
    return list({one.ref: one for one in found}.values())


def _plain(one: Failure) -> dict[str, object]:
    return {
        "failure": one.ref,
        "what": one.what,
        "trigger": one.trigger,
        "connection": one.connection,
        "record": one.record,
        "candidate": one.candidate_id,
        "reason": one.reason,
        "at": one.at.isoformat(),
        "status": one.status,
    }


def _json(told: object) -> None:
    # Past Rich, which would fold long lines.
    sys.stdout.write(json.dumps(told, indent=1, ensure_ascii=False) + "\n")


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z"
