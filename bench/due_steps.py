"""`python -m bench.due_steps PROJECT N`: a child of bench.nurture: an empty ledger is filled with N
enrolments that are spread over a year, and those that are due are found, again and again."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from warmline.cli.setup import open_project

TIMES = 200
# Of all enrolments so many fall due at once: more than one batch of the tick.
DUE = 2000
_NUMBERS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"


def main() -> int:
    _, loaded = open_project(Path(sys.argv[1]))
    # Django must be set up first.
    from django.db import connection

    from warmline.flows.nurture import BATCH, tick
    from warmline.flows.runtime import build
    from warmline.store.models import Enrolment
    from warmline.store.statuses import EnrolmentStatus

    count, now = int(sys.argv[2]), datetime.now(UTC)
    _fill(count, now)
    rows = Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE, next_due_at__lte=now)
    took: list[float] = []
    for _ in range(TIMES):
        began = time.perf_counter()
        due = list(rows.order_by("next_due_at")[:BATCH])
        took.append((time.perf_counter() - began) * 1000)
        assert len(due) == BATCH
    runtime = build(loaded, now=lambda: now - timedelta(days=1))
    began = time.perf_counter()
    for _ in range(TIMES):
        tick(runtime)  # what it costs each second where nothing is due
    print(
        json.dumps(
            {
                "store": connection.vendor,
                "enrolments": Enrolment.objects.count(),
                "due": rows.count(),
                "ms_p50": median(took),
                "ms_p99": quantiles(took, n=100)[98],
                "empty_ms": (time.perf_counter() - began) * 1000 / TIMES,
            }
        )
    )
    return 0


def _fill(count: int, now: datetime) -> None:
    from django.db import connection, transaction

    from warmline.store.models import Candidate, Delivery, Enrolment, Event

    first = Delivery(connection="warmline", key="bench", channel="operator", body=b"",
                     received_at=now)  # fmt: skip
    first.save()
    event = Event(connection="warmline", key="bench", kind="candidate.segmented", word="bench",
                  occurred_at=now, recorded_at=now, delivery=first)  # fmt: skip
    event.save()
    step_s = 365 * 86400 / count
    if connection.vendor == "sqlite":
        # As Django writes a moment; those that are due lie in the past.
        due = f"strftime('%Y-%m-%d %H:%M:%S', '{now:%Y-%m-%d %H:%M:%S}', ((i - {DUE}) * {step_s})"
        due += " || ' seconds')"
    else:
        due = f"CAST('{now.isoformat()}' AS timestamptz) + (i - {DUE}) * interval '1 second'"
        due += f" * {step_s}"
    enrolment = Enrolment(
        candidate_id=1, sequence="welcome", version="bench", event=event, enrolled_at=now,
        next_step=2, next_due_at=now,
    )  # fmt: skip
    person = Candidate(as_of=now, created_at=now)
    with transaction.atomic():
        _spread(person, count, {"id": "i"})
        _spread(enrolment, count, {"id": "i", "candidate_id": "i", "next_due_at": due})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _spread(row: Any, count: int, varying: dict[str, str]) -> None:
    """So many rows like this one, but for what varies: SQL over the number `i`."""
    from django.db import connection

    fields = row._meta.local_concrete_fields
    chosen: list[str] = []
    values: list[Any] = []
    for field in fields:
        if field.column in varying:
            chosen.append(varying[field.column].replace("%", "%%"))
            continue
        values.append(field.get_db_prep_save(getattr(row, field.attname), connection))
        kind = field.db_type(connection)
        chosen.append("%s" if connection.vendor == "sqlite" else f"CAST(%s AS {kind})")
    columns = ", ".join(f'"{field.column}"' for field in fields)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {row._meta.db_table} ({columns})"  # noqa: S608 - our own names
            f" {_NUMBERS.format(count=count)} SELECT {', '.join(chosen)} FROM n",
            values,
        )


if __name__ == "__main__":
    sys.exit(main())
