"""The files of an audit: `findings.json`, a CSV for each finding, and the report."""

# ruff: noqa: S608 - what is put into the queries is our own or quoted

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from warmline.core.errors import ConfigError
from warmline.flows.audit.figures import Bar, Figures, Finding
from warmline.flows.audit.page import page
from warmline.flows.audit.rules import RULES
from warmline.flows.audit.sql import Connection, quoted

REPORT, FINDINGS, TABLES = "report.html", "findings.json", "findings"
# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV Injection"), its full-width
# forms, and blanks that hide one.
_DANGEROUS = r"^[\t\r\n]|^\s*[=+\-@＝＋－＠]"  # noqa: RUF001 - these are meant
_DUPLICATES = {"exact_duplicates": "exact", "probable_duplicates": "not exact"}


def write(con: Connection, figures: Figures, folder: Path) -> None:
    """Write all files into `folder`, which nobody else on the machine may read: they hold personal
    data. CSVs of an earlier audit there are replaced. Raises ConfigError where it cannot be made.
    """
    make_private(folder)
    tables = folder / TABLES
    make_private(tables)
    for rule in RULES:
        (tables / f"{rule}.csv").unlink(missing_ok=True)
    for finding in figures.findings:
        if finding.count:
            _table(con, finding, tables / f"{finding.rule.key}.csv")
    _put(folder / FINDINGS, json.dumps(as_json(figures), ensure_ascii=False, indent=2) + "\n")
    _put(folder / REPORT, page(figures))


def make_private(folder: Path) -> None:
    """A folder with mode 0700. One that was there keeps its mode: others may work in it, and what
    is written there is private by itself."""
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True)


def require_writable(folder: Path) -> None:
    """Said before the work and not after it. Raises ConfigError where no folder can be made."""
    place = next(each for each in (folder, *folder.parents) if each.exists())
    if not place.is_dir():
        raise ConfigError(f"{place} is a file; expected a folder, or a name for a new one")
    if not os.access(place, os.W_OK | os.X_OK):
        raise ConfigError(f"{place} cannot be written to; name another folder with --out")


def _put(path: Path, text: str) -> None:
    """Whole or not at all, readable by its owner alone."""
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", -1, "utf-8",
                   "replace") as file:  # fmt: skip
        file.write(text)
    beside.replace(path)


def escaped(value: str) -> str:
    """SQL for a cell that no spreadsheet executes: a leading apostrophe makes it a text."""
    text = f"{value}::VARCHAR"
    dangerous = f"regexp_matches({text}, {quoted(_DANGEROUS)})"
    return f"case when {dangerous} then '''' || {text} else {text} end"


def _table(con: Connection, finding: Finding, path: Path) -> None:
    path.touch(mode=0o600)
    name = "concat_ws(' ', {0}.first_name, {0}.last_name)"
    if finding.rule.key in _DUPLICATES:
        columns = {
            "record_id": "this.id", "row": "this.row", "name": name.format("this"),
            "email": "this.email", "other_id": "that.id", "other_row": "that.row",
            "other_name": name.format("that"), "other_email": "that.email",
            "score": "round(score, 4)", "evidence": "array_to_string(p.evidence, ', ')",
        }  # fmt: skip
        source = (
            "judged_pairs p join records this on this.id = p.one"
            f" join records that on that.id = p.other where {_DUPLICATES[finding.rule.key]}"
            " order by score desc, one, other"
        )
    else:
        columns = {
            "record_id": "records.id", "row": "found.row", "name": name.format("records"),
            "email": "records.email", "value": "value", "evidence": "evidence",
        }  # fmt: skip
        source = (
            "found left join records using (n)"
            f" where rule = {quoted(finding.rule.key)} order by found.row, evidence"
        )
    made = ", ".join(f'{escaped(value)} as "{header}"' for header, value in columns.items())
    con.execute(
        f"copy (select {made} from {source}) to {quoted(str(path))}"
        " (format csv, header, force_quote *, use_tmp_file false)"
    )
    path.chmod(0o600)


def as_json(figures: Figures) -> dict[str, Any]:
    """What `findings.json` holds: figures, ids and masked values; no names, no addresses."""
    reading = figures.reading
    return {
        "version": 1,
        "made_at": figures.made_at.isoformat(),
        "source": {
            "name": reading.source,
            "form": reading.form,
            "rows": reading.rows,
            "unread_rows": reading.unread_count,
            "columns": reading.columns,
            "unknown_columns": reading.unknown,
            "notes": [note.sentence() for note in reading.notes],
        },
        "totals": {
            "records": figures.records,
            "applications": figures.applications,
            "people": figures.people,
            "ready": figures.ready,
            "to_mend": figures.records - figures.ready,
        },
        "findings": [_finding_json(finding) for finding in figures.findings],
        "charts": {
            name: [_bar_json(name, bar) for bar in bars] for name, bars in figures.charts.items()
        },
    }


def _finding_json(finding: Finding) -> dict[str, Any]:
    rule = finding.rule
    return {
        "rule": rule.key,
        "title": rule.title,
        "severity": str(rule.severity),
        "blocks": rule.blocks,
        "of": rule.of,
        "judged": not finding.lacks,
        "lacks": finding.lacks,
        "count": finding.count,
        "share": round(finding.share, 6),
        **({"pairs": finding.pairs} if rule.key in _DUPLICATES else {}),
        "why": rule.why,
        "todo": rule.todo,
        "file": f"{TABLES}/{rule.key}.csv" if finding.count else "",
        "examples": [
            {"record": e.record, "row": e.row, "value": e.value, "evidence": e.evidence}
            for e in finding.examples
        ],
    }


def _bar_json(chart: str, bar: Bar) -> dict[str, Any]:
    first, second = ("exact", "probable") if chart == "duplicates" else ("ready", "to_mend")
    return {"name": bar.name, first: bar.count, second: bar.rest}
