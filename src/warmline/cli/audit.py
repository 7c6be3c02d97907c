"""`warmline audit`: the options, progress, and the summary in the terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from warmline.cli.setup import err, is_interrupt, out, settings_of
from warmline.config.project import FILE, Project, load
from warmline.config.yaml_lines import read_yaml
from warmline.core.errors import ConfigError
from warmline.core.segments import SegmentRules
from warmline.flows.audit import (
    PHASES,
    Figures,
    Gate,
    Reads,
    Settings,
    as_json,
    audit_connection,
    audit_export,
    gate_of,
    hits,
)
from warmline.flows.audit.page import percent
from warmline.flows.audit.rules import Severity
from warmline.flows.runtime import build, utc_now

FOLDER = "audit"
DATE_ORDERS = ("auto", "dmy", "mdy")
_STYLES = {Severity.CRITICAL: "bold red", Severity.HIGH: "red", Severity.MEDIUM: "yellow"}


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, as typed."""

    export: Path | None
    connection: str | None
    project: Path | None
    maps: Sequence[str] = ()
    mapping: Path | None = None
    encoding: str = "auto"
    date_order: str = "auto"
    out: Path | None = None
    work: Path | None = None
    fail_on: Sequence[str] = ()
    as_json: bool = False


def audit(options: Options) -> None:
    """Exit status 1 where a gate is hit."""
    os.umask(0o077)  # what is written holds personal data
    gates = [gate_of(text) for text in options.fail_on]
    if (options.export is None) == (options.connection is None):
        raise ConfigError(
            "expected an EXPORT to audit, or a connection with --from, and not both",
            hint="for example: warmline audit people.csv, or warmline audit --from ats",
        )
    if options.date_order not in DATE_ORDERS:
        raise ConfigError(
            f"--date-order is {options.date_order!r}; expected one of {', '.join(DATE_ORDERS)}"
        )
    reads = Reads(_columns(options), options.encoding)
    with _told(quiet=options.as_json) as told:
        try:
            figures, folder = _run(options, reads, told)
        except BaseException as error:
            if not is_interrupt(error):
                raise
            err.print("stopped; what is finished is kept: the same command goes on from there")
            raise typer.Exit(130) from None
    told_gates = hits(gates, figures.counts, figures.shares, figures.lacking)
    if options.as_json:
        found = as_json(figures) | {"folder": str(folder), "gates": told_gates}
        sys.stdout.write(json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    else:
        summary(figures, folder)
    _judge(gates, told_gates)


def _judge(gates: Sequence[Gate], told: Sequence[str]) -> None:
    if told:
        for sentence in told:
            err.print(f"gate hit: {sentence}", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(1)
    if gates:
        err.print("no gate was hit", style="green")


def _run(options: Options, reads: Reads, told: Callable[[str], None]) -> tuple[Figures, Path]:
    if options.connection is not None:
        settings = settings_of(options.project)
        project = load(settings.project)
        runtime = build(project)
        where = _settings(options, project.folder, options.connection, reads, project.segment_rules)
        try:
            figures = audit_connection(
                runtime, options.connection, where, now=utc_now(), told=told, sleep=time.sleep
            )
        finally:
            runtime.close()
        return figures, where.out
    assert options.export is not None  # noqa: S101 - one of the two is given
    found = _project(options)
    folder = found.folder if found else Path()
    rules = found.segment_rules if found else None
    where = _settings(options, folder, options.export.name, reads, rules)
    return audit_export(options.export, where, now=utc_now(), told=told), where.out


def _project(options: Options) -> Project | None:
    """The project, where there is one: an audit is the first thing that a newcomer does."""
    folder = options.project or Path(os.environ.get("WARMLINE_PROJECT", "."))
    if not (folder / FILE).exists():
        if options.project is not None:
            load(folder)  # says what is wrong with a folder that was named
        return None
    try:
        return load(folder)
    except ConfigError as error:
        err.print(
            f"the segments are the usual ones, since the project cannot be read: {error}",
            style="yellow",
            markup=False,
            soft_wrap=True,
        )
        return None


def _settings(
    options: Options, folder: Path, name: str, reads: Reads, rules: SegmentRules | None
) -> Settings:
    own = folder / FOLDER
    if options.out is None or options.work is None:
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
        ignored = own / ".gitignore"
        if not ignored.exists():
            ignored.write_text("# Personal data: never into Git.\n*\n")
    return Settings(
        work=options.work or own / "work",
        out=options.out or own / name,
        reads=reads,
        date_order=options.date_order,
        rules=rules,
    )


def _columns(options: Options) -> dict[str, str]:
    """`--map` and `--mapping` together. A field that both name is a contradiction."""
    found: dict[str, str] = {}
    if options.mapping is not None:
        data, _ = read_yaml(options.mapping)
        columns = data.get("columns", data) if isinstance(data, dict) else None
        if not isinstance(columns, dict):
            raise ConfigError("expected lines such as `email: E-mail privé`",
                              file=str(options.mapping))  # fmt: skip
        found = {str(field): str(header) for field, header in columns.items()}
    for text in options.maps:
        field, equals, header = text.partition("=")
        field, header = field.strip(), header.strip()
        if not (equals and field and header):
            raise ConfigError(f"--map {text!r} cannot be read; expected FIELD=HEADER")
        if field in found:
            raise ConfigError(
                f"{field} is mapped twice: to {found[field]!r} and to {header!r}; expected one "
                "column a field"
            )
        found[field] = header
    return found


@contextmanager
def _told(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A line a phase with the time it took; nothing at all where only JSON is wanted."""
    if quiet:
        yield lambda text: None
        return
    phases = set(PHASES.values())
    if not err.is_terminal or err.is_dumb_terminal:
        yield lambda text: err.print(text, markup=False) if text in phases else None
        return
    columns = (
        SpinnerColumn(finished_text="[green]✓[/green]"),
        TextColumn("{task.description}", markup=False),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=err) as progress:
        begun: list[tuple[TaskID, str]] = []

        def tell(text: str) -> None:
            if text in phases:
                if begun:
                    progress.update(begun[-1][0], description=begun[-1][1], total=1, completed=1)
                begun.append((progress.add_task(text, total=None), text))
            elif begun:
                progress.update(begun[-1][0], description=f"{begun[-1][1]}: {text}")

        yield tell
        if begun:
            progress.update(begun[-1][0], description=begun[-1][1], total=1, completed=1)


def summary(figures: Figures, folder: Path) -> None:
    """What was found, ranked by what to mend first."""
    out.print(
        f"{figures.records:,} records, {figures.applications:,} applications, "
        f"{figures.people:,} people after joining certain matches"
    )
    read = figures.reading
    out.print(f"{read.source}: {read.form}", markup=False, soft_wrap=True)
    for note in read.notes:
        out.print(f"note: {note.sentence()}", style="yellow", markup=False, soft_wrap=True)
    table = Table(box=SIMPLE_HEAD, title="What to mend first", title_justify="left")
    table.add_column("", justify="right")
    table.add_column("finding", no_wrap=True)
    table.add_column("found", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("what to do", overflow="fold")
    found = [finding for finding in figures.findings if finding.count]
    for place, finding in enumerate(found, 1):
        rule = finding.rule
        of = f" {finding.unit}" if rule.of != "records" else ""
        whole = round(finding.count / finding.share) if finding.share else 0
        table.add_row(
            str(place),
            f"[{_STYLES.get(rule.severity, 'default')}]{escape(rule.title)}[/]",
            f"{finding.count:,}{of}",
            percent(finding.count, whole),
            escape(rule.todo),
        )
    if found:
        out.print(table)
    else:
        out.print("nothing to mend", style="green")
    for finding in figures.findings:
        if finding.lacks:
            out.print(
                f"not judged: {finding.rule.title} (no column for {finding.lacks})",
                style="yellow",
                markup=False,
            )
    share = percent(figures.ready, figures.records)
    out.print(f"ready to sync: {figures.ready:,} of {figures.records:,} ({share})", style="bold")
    out.print(f"report: {folder / 'report.html'}", markup=False, soft_wrap=True)
