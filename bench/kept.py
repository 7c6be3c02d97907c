"""What the benchmarks print, and keep in `build/bench.json`: each run its own rows, and the others'
as they were."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from bench.runs import Figure

KEPT = Path("build") / "bench.json"


def keep(figures: Sequence[Figure], path: Path = KEPT) -> None:
    """Writes the figures among those that are kept: a row of the same name is replaced in its
    place, the others stay. A file that is no list of rows is begun anew."""
    rows = {row["name"]: row for row in _kept(path)}
    for figure in figures:
        rows[figure.name] = {
            "name": figure.name,
            "value": round(figure.value, 6),
            "unit": figure.unit,
            "aim": figure.aim,
        }
    path.parent.mkdir(parents=True, exist_ok=True)
    # A reader, or a run that was ended half-way, never sees half a file.
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.write_text(json.dumps(list(rows.values()), indent=1) + "\n")
    new.replace(path)


def _kept(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text())
    except (OSError, ValueError):
        return []
    if not isinstance(rows, list):
        return []
    return [row for row in rows if isinstance(row, dict) and "name" in row]


def table(title: str, figures: Sequence[Figure]) -> Table:
    """Name, value, unit and aim of each; green where the aim is met, red where it is not."""
    made = Table(title=title)
    made.add_column("name")
    made.add_column("value", justify="right")
    made.add_column("unit")
    made.add_column("aim", justify="right")
    for figure in figures:
        bound = "" if figure.aim is None else f"{'≥' if figure.at_least else '≤'} {figure.aim:g}"
        colour = "" if figure.aim is None else "[green]" if figure.met else "[red]"
        made.add_row(figure.name, f"{colour}{_short(figure.value)}", figure.unit, bound)
    return made


def _short(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 2 else f"{value:.4f}"
