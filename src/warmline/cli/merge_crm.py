"""`warmline merge crm`: duplicate contacts in the CRM: the report, and with --apply the merges."""

from __future__ import annotations

import csv
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from warmline.cli.setup import err, out
from warmline.config.project import Project
from warmline.core.errors import WarmlineError
from warmline.core.outcomes import OutcomeKind
from warmline.flows.crm_duplicates import Contact, Doubt, Found, Group
from warmline.flows.merge_crm import Step, apply, crm_of, look
from warmline.flows.runtime import Runtime, build

SHOWN_MAX = 50
# What makes a spreadsheet take a cell for a formula (OWASP, CSV injection).
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MERGED = (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE)
COLUMNS = (
    "kind", "group", "contact", "role", "candidate", "addresses", "created", "opted_out",
    "evidence", "outcome", "reason", "standing",
)  # fmt: skip


def crm(
    loaded: Project, *, connection: str | None, apply: bool, out: Path | None, as_json: bool
) -> None:
    """Exit status 1 where something that was to be merged was not, 130 where it was interrupted."""
    runtime = build(loaded)
    steps: list[Step] = []
    trouble: WarmlineError | None = None
    try:
        found = _read(runtime, crm_of(runtime, connection))
        if apply:
            try:
                _apply(runtime, found, steps)
            except WarmlineError as error:
                trouble = error  # what was done before it is told first
    finally:
        runtime.close()
    if out is not None:
        write_csv(out, found, steps)
    if as_json:
        # Past Rich, which would fold long lines.
        sys.stdout.write(json.dumps(as_plain(found, steps, applied=apply), indent=1) + "\n")
    else:
        _tell(found, steps, applied=apply)
    if trouble is not None:
        raise trouble
    if runtime.stopping.is_set():
        raise typer.Exit(130)
    if any(step.kind not in _MERGED for step in steps):
        raise typer.Exit(1)


def _read(runtime: Runtime, connection: str) -> Found:
    with _progress(f"reading the contacts of {connection}", None) as advance:
        return look(runtime, connection, sleep=time.sleep, seen=advance)


def _apply(runtime: Runtime, found: Found, steps: list[Step]) -> None:
    unlisted = sum(len(group.unlisted) for group in found.groups)
    with first_interrupt_waits(runtime), _progress("merging", found.merges + unlisted) as advance:
        for step in apply(runtime, found, sleep=runtime.stopping.wait):
            steps.append(step)
            advance(1)


@contextmanager
def _progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=err, transient=True) as progress:
        task = progress.add_task(what, total=total)
        yield lambda count: progress.advance(task, count)


@contextmanager
def first_interrupt_waits(runtime: Runtime) -> Iterator[None]:
    """Ctrl-C: the pair in hand is finished. A second one breaks off; the next run settles it."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        if runtime.stopping.is_set():
            raise KeyboardInterrupt
        runtime.stopping.set()
        err.print("ending after this pair; Ctrl-C again breaks off")

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


# The report


def _tell(found: Found, steps: Sequence[Step], *, applied: bool) -> None:
    too_many, people = found.merges, len(found.duplicates)
    out.print(
        f"{len(found.contacts):,} contacts in {found.connection}: "
        + (f"{too_many:,} too many, of {people:,} people; " if too_many else "no duplicates; ")
        + f"{len(found.doubts):,} groups for a person to decide"
    )
    out.print(
        f"candidates with several applications: {found.several:,}, "
        f"of them with more than one contact: {found.several_twice:,}"
    )
    if not applied:
        _groups(found.duplicates)
    _doubts(found.doubts)
    unlisted = sum(len(group.unlisted) for group in found.groups)
    if unlisted and not applied:
        out.print(f"{unlisted:,} records of the ledger are not listed there: --apply reads them")
    if applied:
        _steps(found, steps)
    elif too_many:
        out.print("Nothing was changed. `--apply` merges them; in the CRM that cannot be undone.")


def _groups(groups: Sequence[Group]) -> None:
    if not groups:
        return
    table = Table(title=f"One person each: {len(groups):,}", title_justify="left", show_lines=True)
    for column in ("candidate", "evidence", "what would change"):
        table.add_column(column, overflow="fold")
    for group in groups[:SHOWN_MAX]:
        why = "\n".join(f"{contact.id}: {contact.why}" for contact in group.contacts)
        who = str(group.candidate_id) if group.candidate_id is not None else "unknown here"
        table.add_row(who, escape(why), escape("\n".join(group.changes())))
    out.print(table)
    _more(len(groups))


def _doubts(doubts: Sequence[Doubt]) -> None:
    if not doubts:
        return
    table = Table(title=f"Probable, never merged: {len(doubts):,}", title_justify="left")
    for column in ("contacts", "candidates", "evidence"):
        table.add_column(column, overflow="fold")
    for doubt in doubts[:SHOWN_MAX]:
        contacts = "\n".join(f"{contact.id} ({contact.shown})" for contact in doubt.contacts)
        people = ", ".join(map(str, doubt.candidate_ids))
        table.add_row(escape(contacts), people, escape(doubt.evidence))
    out.print(table)
    _more(len(doubts))


def _more(count: int) -> None:
    if count > SHOWN_MAX:
        out.print(f"and {count - SHOWN_MAX:,} more: --out or --json has all")


def _steps(found: Found, steps: Sequence[Step]) -> None:
    counts = Counter("merged" if step.kind in _MERGED else str(step.kind) for step in steps)
    told = ", ".join(f"{count:,} {word}" for word, count in sorted(counts.items()))
    out.print(f"{told or 'nothing was to be done'}")
    for step in [step for step in steps if step.kind not in _MERGED][:SHOWN_MAX]:
        text = f"  {step.other} into {step.primary}: {step.kind}: {step.reason}"
        out.print(text, markup=False, soft_wrap=True)
    tried = {step.other for step in steps}
    groups = found.duplicates
    left = sum(1 for group in groups for one in group.contacts[1:] if one.id not in tried)
    if left:
        out.print(f"{left:,} were not tried: run it again")


def as_plain(found: Found, steps: Sequence[Step], *, applied: bool) -> dict[str, object]:
    """The report as JSON has it. Addresses are masked."""
    return {
        "connection": found.connection,
        "contacts": len(found.contacts),
        "duplicates": found.merges,
        "several_applications": found.several,
        "several_applications_with_duplicates": found.several_twice,
        "groups": [
            {
                "candidate": group.candidate_id,
                "primary": group.contacts[0].id if group.contacts else None,
                "contacts": [_plain(contact) for contact in group.contacts],
                "unlisted": list(group.unlisted),
                "changes": group.changes(),
            }
            for group in found.groups
        ],
        "probable": [
            {
                "candidates": list(doubt.candidate_ids),
                "contacts": [_plain(contact) for contact in doubt.contacts],
                "evidence": doubt.evidence,
            }
            for doubt in found.doubts
        ],
        "applied": applied,
        "steps": [
            {
                "candidate": step.candidate_id,
                "primary": step.primary,
                "contact": step.other,
                "outcome": str(step.kind),
                "reason": step.reason,
                "standing": step.standing,
            }
            for step in steps
        ],
    }


def _plain(contact: Contact) -> dict[str, object]:
    return {
        "id": contact.id,
        "addresses": contact.shown,
        "created_at": contact.created_at.isoformat() if contact.created_at else None,
        "opted_out": contact.opted_out,
        "evidence": contact.why,
    }


def write_csv(path: Path, found: Found, steps: Sequence[Step]) -> None:
    """A line a contact, for its owner's eyes only. A cell that a spreadsheet would run is text."""
    done = {step.other: step for step in steps}
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.fchmod(descriptor, 0o600)  # also where the file was there before
    with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(COLUMNS)
        for number, group in enumerate(found.duplicates, 1):
            for place, contact in enumerate(group.contacts):
                role = "other" if place else "primary"
                step = done.get(contact.id)
                told = (str(step.kind), step.reason, step.standing) if step else ("", "", "")
                who = str(group.candidate_id or "")
                line = ("certain", str(number), *_cells(contact, role, who, contact.why), *told)
                rows.writerow(map(_cell, line))
        for number, doubt in enumerate(found.doubts, 1):
            who = " ".join(map(str, doubt.candidate_ids))
            for contact in doubt.contacts:
                cells = _cells(contact, "", who, doubt.evidence)
                rows.writerow(map(_cell, ("probable", str(number), *cells, "", "", "")))


def _cells(contact: Contact, role: str, who: str, evidence: str) -> tuple[str, ...]:
    created = contact.created_at.isoformat() if contact.created_at else ""
    opted_out = "yes" if contact.opted_out else "no"
    return contact.id, role, who, contact.shown, created, opted_out, evidence


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
