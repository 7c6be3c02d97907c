"""`warmline check`: the project folder, then each connection and each field, as a table or JSON;
`warmline check mail`: the DNS of the sending domains."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence

import typer
from rich.markup import escape
from rich.table import Table

from warmline.cli.setup import out
from warmline.config.project import Project
from warmline.flows.check import Report
from warmline.flows.check import check as look
from warmline.flows.runtime import build
from warmline.ports import Finding, Verdict

_STYLES = {Verdict.OK: "green", Verdict.UNKNOWN: "yellow"}  # any other: red


def check(loaded: Project, *, offline: bool, as_json: bool) -> None:
    """Exit status 1 where there is something to mend; what could not be seen is not."""
    runtime = build(loaded)
    try:
        report = look(runtime, ask=not offline)
    finally:
        runtime.close()
    if as_json:
        # Past Rich, which would fold long lines.
        sys.stdout.write(json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n")
    else:
        _folder(loaded)
        if report.asked:
            _told(report)
    if not report.ok:
        raise typer.Exit(1)


def check_mail(loaded: Project, *, as_json: bool) -> None:
    """Exit status 1 where there is something to mend; what could not be seen is not."""
    from warmline.flows.check_mail import check_mail as look_at_dns

    report = look_at_dns(loaded)
    if as_json:
        sys.stdout.write(json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n")
    else:
        for name, found in (*report.domains.items(), *report.hosts.items()):
            _mail_lines(name, found)
        for finding in report.unseen:
            out.print(f"{finding.what}: {finding.advice}", markup=False, soft_wrap=True)
        out.print(f"{report.to_mend or 'nothing'} to mend")
    if not report.ok:
        raise typer.Exit(1)


def _mail_lines(title: str, findings: Sequence[Finding]) -> None:
    """Lines and no table: a record is to be copied whole."""
    out.print(title, style="bold", markup=False)
    wide = max((len(finding.what) for finding in findings), default=0)
    for finding in findings:
        verdict = _styled(finding.verdict, f"{finding.verdict.value:<11}")
        out.print(
            f"  {verdict} {escape(f'{finding.what:<{wide}}  {finding.advice}')}", soft_wrap=True
        )


def _folder(loaded: Project) -> None:
    steps = sum(len(s.sequence.steps) for s in loaded.sequences.values())
    where = escape(str(loaded.folder / "warmline.yaml"))
    out.print(
        f"[green]ok[/green]  {where}: {len(loaded.connections)} "
        f"connections, {len(loaded.triggers.triggers)} triggers, {len(loaded.sequences)} "
        f"sequences with {steps} steps",
        soft_wrap=True,
    )


def _told(report: Report) -> None:
    for name, one in report.connections.items():
        out.print(_table(f"{name} ({one.connector})", one.findings))
    for name, door in report.webhooks.items():
        out.print(_table(f"webhooks to {name}", door.findings))
    out.print(_table("alerts", report.alerts))
    unseen = f"; {report.unseen} not seen" if report.unseen else ""
    out.print(f"{report.to_mend or 'nothing'} to mend{unseen}")


def _table(title: str, findings: Iterable[Finding]) -> Table:
    """What is to be done is said once, however many lines wait for it."""
    table = Table(title=escape(title), title_justify="left", expand=True)
    table.add_column("field", overflow="fold", ratio=3)
    for column in ("read", "write", "verdict"):
        table.add_column(column, no_wrap=True)
    table.add_column("what to do", overflow="fold", ratio=5)
    said: set[str] = set()
    for finding in findings:
        told = finding.advice or (finding.what if finding.field else "")
        if finding.verdict.to_mend:
            first = told not in said
            said.add(told)
            told = told if first else "as above"
        table.add_row(
            escape(finding.field or finding.what),
            _access(finding.read),
            _access(finding.write),
            _styled(finding.verdict, finding.verdict.value),
            escape(told),
        )
    return table


def _access(verdict: Verdict | None) -> str:
    if verdict is None:
        return ""
    return _styled(verdict, {Verdict.OK: "yes", Verdict.UNKNOWN: "?"}.get(verdict, "no"))


def _styled(verdict: Verdict, text: str) -> str:
    style = _STYLES.get(verdict, "red")
    return f"[{style}]{text}[/{style}]"
