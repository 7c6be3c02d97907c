"""`python -m bench.month`: a seeded month of 5,000 people who change on both sides, with webhooks
lost, doubled and held up, and both vendors failing at times. Exit status 1 where the two sides do
not agree at its end."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import random
import sys
import tempfile
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from tests.harness import HOST, SECRETS

from bench.kept import keep, table
from bench.runs import Figure
from warmline.cli.setup import open_ledger, settings_of
from warmline.cli.starter import copy_starter
from warmline.config.project import load
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.serve import Sandbox

if TYPE_CHECKING:
    from tests.month import Found

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
SHOWN_MAX = 20
console = Console(highlight=False)


def main() -> int:
    asked = _arguments()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="wl-month-") as folder:
        found = _played(Path(folder) / "project", asked)
    took_s = time.monotonic() - began
    counts = Table(title="The month")
    counts.add_column("")
    counts.add_column("number", justify="right")
    for name, number in sorted(found.counts.items()):
        counts.add_row(name, f"{number:,}")
    console.print(counts)
    figures = [
        Figure("month.people", found.counts["people"], "people"),
        Figure("month.disagreements", len(found.wrong), "", 0),
        Figure("month.writes_at_rest", found.writes_at_rest, "calls", 0),
        Figure("month.seconds", took_s, "s"),
    ]
    console.print(table("Both sides, at the end of a month of trouble", figures))
    keep(figures)
    for why in found.wrong[:SHOWN_MAX]:
        console.print(why, markup=False)
    return 1 if found.wrong or found.writes_at_rest else 0


def _played(folder: Path, asked: argparse.Namespace) -> Found:
    copy_starter(folder)
    os.environ.update(SECRETS)
    os.environ["WARMLINE_DATABASE_URL"] = f"sqlite:///{folder.parent}/ledger.sqlite3"
    open_ledger(settings_of(folder))
    logging.disable(logging.CRITICAL)
    # Django is set up by now.
    from tests.month import Month

    from warmline.engine.work import Worker
    from warmline.flows import first_sync
    from warmline.flows.runtime import build
    from warmline.web.site import Server

    clock = VirtualClock(START)
    with ExitStack() as last:
        box = last.enter_context(Sandbox(now=clock, seed=asked.seed, background=False))
        path = folder / "warmline.yaml"
        text = path.read_text()
        for old, new in {
            "http://127.0.0.1:8801": box.greenhouse_url,
            "http://127.0.0.1:8802": box.hubspot_url,
            "port: 8804": f"port: {box.smtp_port}",
        }.items():
            text = text.replace(old, new)
        path.write_text(text)
        runtime = build(load(folder), now=clock, chance=random.Random(asked.seed).random)
        last.callback(runtime.close)
        first_sync.allow(clock())
        server = Server(runtime, HOST, 0, 4)
        server.start()
        last.callback(server.stop)
        last.callback(box.greenhouse.outbox.close)
        last.callback(box.hubspot.outbox.close)
        url = f"http://{HOST}:{server.port}"
        file = runtime.project.file.model_copy(update={"public_url": url})
        runtime.project = dataclasses.replace(runtime.project, file=file)
        box.greenhouse.outbox.timeout_s = box.hubspot.outbox.timeout_s = 120.0
        box.greenhouse.set_webhook(f"{url}/in/ats", SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"])
        box.hubspot.set_webhook(f"{url}/in/crm", SECRETS["WARMLINE_CRM_CLIENT_SECRET"])
        month = Month(
            runtime, Worker(runtime), box, clock.advance, people=asked.people, seed=asked.seed
        )
        with console.status(f"{asked.people:,} people, {asked.days} days"):
            month.play(days=asked.days, tick=timedelta(hours=1))
            month.settle()
            return month.found()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.month", description=__doc__)
    parser.add_argument("--people", type=int, default=5000, metavar="N")
    parser.add_argument("--days", type=float, default=30, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="N")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
