"""`python -m bench.year`: a seeded year of 2,000 candidates in eight time zones. Each mail is held
against what the story asks for. Exit status 1 where they disagree."""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from tests.harness import SECRETS

from bench.kept import keep, table
from bench.runs import Figure
from warmline.cli.setup import open_ledger, settings_of
from warmline.cli.starter import copy_starter

if TYPE_CHECKING:
    from tests.year import Found

BEGINS = datetime(2026, 1, 5, 6, 10, tzinfo=UTC)
SHOWN_MAX = 40
console = Console(highlight=False)


def main() -> int:
    asked = _arguments()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wl-year-") as folder:
        found = _played(Path(folder) / "project", asked)
    took_s = time.monotonic() - began
    counts = Table(title="The year")
    counts.add_column("")
    counts.add_column("number", justify="right")
    for name, number in sorted(found.counts.items()):
        counts.add_row(name, f"{number:,}")
    console.print(counts)
    figures = [
        Figure("year.people", found.counts["people"], "people"),
        Figure("year.mails", found.counts["mails"], "mails"),
        Figure("year.disagreements", len(found.wrong), "", 0),
        Figure("year.seconds", took_s, "s"),
    ]
    console.print(table("Each mail of a year, against the story", figures))
    keep(figures)
    for why in found.wrong[:SHOWN_MAX]:
        console.print(why, markup=False, soft_wrap=True)
    return 1 if found.wrong else 0


def _played(folder: Path, asked: argparse.Namespace) -> Found:
    copy_starter(folder)
    os.environ.update(SECRETS)
    os.environ["WARMLINE_DATABASE_URL"] = f"sqlite:///{folder.parent}/ledger.sqlite3"
    open_ledger(settings_of(folder))
    logging.disable(logging.CRITICAL)
    # Django is set up by now.
    from tests.year_stage import MAIL_SECRETS, staged

    os.environ.update(MAIL_SECRETS)
    secret = SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"]
    with Progress(console=console) as progress:
        task = progress.add_task(f"{asked.people:,} people", total=asked.days)

        def told(at: datetime) -> None:
            progress.update(task, completed=(at - BEGINS).total_seconds() / 86400)

        with staged(
            folder, BEGINS, secret,
            people=asked.people, days=asked.days, seed=asked.seed,
            grid_hours=asked.grid_hours, told=told,
        ) as year:  # fmt: skip
            year.play()
            return year.found()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.year", description=__doc__)
    parser.add_argument("--people", type=int, default=2000, metavar="N")
    parser.add_argument("--days", type=int, default=365, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    parser.add_argument(
        "--grid-hours",
        type=int,
        default=4,
        metavar="N",
        help="people do things at ten past every so many hours, which saves stops of the clock",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
