"""`warmline simulate`: the days to come, played on a copy of the ledger."""

from __future__ import annotations

import json
import os
import secrets
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from warmline.cli.setup import err, logs, out, settings_of
from warmline.config.project import Project, load
from warmline.config.settings import database
from warmline.core.errors import ConfigError
from warmline.store.scratch import Scratch, scratch_ledger

# What imports Django's models is imported once Django is set up, on the copy.
if TYPE_CHECKING:
    from warmline.flows.runtime import Runtime
    from warmline.flows.simulate.compare import Comparison
    from warmline.flows.simulate.findings import Simulation
    from warmline.flows.simulate.run import Asked

FOLDER = "simulations"
ROWS_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Options:
    project: Path | None
    days: int
    within_days: float
    backfill: bool
    months: int
    per_day: int
    against: str | None
    markdown: Path | None
    fail_on_change: bool
    out: Path | None
    as_json: bool


def simulate(options: Options) -> None:
    _check(options)
    # No link of a simulated mail is good for anything, and no key is kept for it.
    os.environ["WARMLINE_SECRET_KEY"] = secrets.token_urlsafe(50)
    settings = settings_of(options.project)
    loaded = load(settings.project)
    folder = options.out or _own_folder(settings.project)
    _writable(folder)
    if options.markdown is not None:
        _writable(options.markdown.absolute().parent)
    os.umask(0o077)
    logs("ERROR")
    stopping = threading.Event()
    with ExitStack() as stack:
        stack.enter_context(_stoppable(stopping))
        old = _old(options.against, settings.project)
        progress = stack.enter_context(_progress())
        copied = progress.add_task("copying the ledger", total=1)
        scratch = stack.enter_context(
            scratch_ledger(
                database(settings),
                lambda what, done, of: progress.update(
                    copied, description=what, completed=done, total=of
                ),
            )
        )
        progress.update(copied, description="the ledger copied", completed=1, total=1)
        found, compared = _play(options, loaded, old, scratch, progress, stopping)
    if found is None:
        err.print("stopped; nothing was written")
        raise typer.Exit(130)
    _tell(options, found, compared, folder)
    if options.fail_on_change and compared is not None and compared.changes:
        raise typer.Exit(1)


def _check(options: Options) -> None:
    for given, name in (
        (options.markdown, "--markdown"),
        (options.fail_on_change, "--fail-on-change"),
    ):
        if given and options.against is None:
            raise ConfigError(
                f"{name} tells what changes, and nothing is compared; expected --against OLD too"
            )


def _own_folder(project: Path) -> Path:
    """In the project, and never in Git."""
    own = project / FOLDER
    own.mkdir(mode=0o700, exist_ok=True)
    ignored = own / ".gitignore"
    if not ignored.exists():
        ignored.write_text("# Personal data: never into Git.\n*\n")
    return own / "latest"


def _writable(folder: Path) -> None:
    """Said before the work and not after it."""
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not place.is_dir():
        raise ConfigError(f"{place} is a file; expected a folder, or a name for a new one")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"{place} cannot be written to; name another folder with --out")


def _old(against: str | None, project: Path) -> Project | None:
    """Read at once: nothing of it stays on the disk."""
    if against is None:
        return None
    from warmline.config.versions import old_version

    with old_version(against, project) as old:
        return old


def _play(
    options: Options,
    loaded: Project,
    old: Project | None,
    scratch: Scratch,
    progress: Progress,
    stopping: threading.Event,
) -> tuple[Simulation | None, Comparison | None]:
    # Django must be set up first.
    from warmline.flows.runtime import utc_now
    from warmline.flows.simulate.compare import compare
    from warmline.flows.simulate.run import Asked

    asked = Asked(
        begins=utc_now(),
        days=options.days,
        within_days=options.within_days,
        backfill_months=options.months if options.backfill else None,
        backfill_per_day=options.per_day,
    )
    if old is not None:
        scratch.keep()
    after = _one(loaded, asked, f"{options.days} days", progress, stopping)
    if old is None or after is None:
        return after, None
    scratch.restore()
    before = _one(old, asked, f"the same with {options.against}", progress, stopping)
    if before is None:
        return None, None
    return after, compare(options.against or "", before, after)


def _one(
    project: Project, asked: Asked, what: str, progress: Progress, stopping: threading.Event
) -> Simulation | None:
    from warmline.engine.work import Worker, run_through
    from warmline.flows.simulate.run import Stage, simulate

    def settle(runtime: Runtime) -> Callable[[], object]:
        worker = Worker(runtime)
        return lambda: run_through(runtime, worker)

    task = progress.add_task(what, total=asked.days)

    def told(at: datetime) -> None:
        progress.update(task, completed=(at - asked.begins).total_seconds() / 86400)

    found = simulate(project, asked, Stage(settle, told, stopping))
    return None if found.stopped else found


@contextmanager
def _stoppable(stopping: threading.Event) -> Iterator[None]:
    """Ctrl-C ends it at the next stop of the clock, a second one at once. Nothing is left behind
    either way."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        if stopping.is_set():
            raise KeyboardInterrupt
        stopping.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )


def _tell(options: Options, found: Simulation, compared: Comparison | None, folder: Path) -> None:
    from warmline.flows.simulate.compare import markdown
    from warmline.flows.simulate.writing import REPORT, totals, write

    write(found, folder, compared)
    if options.markdown is not None and compared is not None:
        options.markdown.write_text(markdown(compared), encoding="utf-8")
    if options.as_json:
        told = totals(found, compared) | {"folder": str(folder)}
        sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=1) + "\n")
        return
    _summary(found)
    if compared is not None:
        _compared(compared)
    out.print(f"report: {folder / REPORT}", markup=False, soft_wrap=True)


def _summary(found: Simulation) -> None:
    sent = found.sent
    people = len({mail.candidate for mail in sent})
    out.print(
        f"{found.days} days from {found.begins:%Y-%m-%d}: {len(sent):,} mails to {people:,} of "
        f"{found.people:,} people"
    )
    for text in found.assumed:
        out.print(f"taken for granted: {text}", markup=False, soft_wrap=True)
    _counts("mails", Counter(f"{mail.where} {mail.piece}" for mail in sent), by_name=True)
    _counts("held, and why", found.why_held)
    _counts(
        f"collisions (two mails within {found.within_days:g} days)",
        Counter(one.what for one in found.collisions),
    )
    _counts("people who get nothing, and why", found.why_nothing)
    if found.senders:
        table = _table("volume a day (UTC)", "mails", "busiest day", "limit")
        for one in [*found.domains[:ROWS_SHOWN], *found.senders[:ROWS_SHOWN]]:
            day, most = one.busiest
            table.add_row(
                escape(one.name),
                f"{one.total:,}",
                f"{most:,} on {day}",
                f"{one.limits[day]:,}" if day in one.limits else "none",
            )
        out.print(table)


def _counts(title: str, counts: Counter[str], *, by_name: bool = False) -> None:
    if not counts:
        return
    table = _table(title, "")
    rows = sorted(counts.items()) if by_name else counts.most_common()
    for name, n in rows[:ROWS_SHOWN]:
        table.add_row(escape(name), f"{n:,}")
    if len(rows) > ROWS_SHOWN:
        table.add_row("others", f"{sum(n for _, n in rows[ROWS_SHOWN:]):,}")
    out.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", show_header=any(columns))
    table.add_column("", overflow="fold")
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _compared(found: Comparison) -> None:
    if not found.changes:
        out.print(f"against {found.old}: no mail changes", markup=False)
        return
    counts = found.counts
    table = _table(f"against {escape(found.old)}", "before", "now", *map(str, counts), "people")
    for part in found.parts:
        table.add_row(
            escape(f"{part.sequence}/{part.piece}"),
            f"{part.sent_before:,}",
            f"{part.sent_after:,}",
            *(f"{part.counts[kind]:,}" for kind in counts),
            f"{len(part.people):,}",
        )
    out.print(table)
    out.print(f"{len(found.changes):,} changes, {found.people:,} people affected")
