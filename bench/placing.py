"""`python -m bench.placing PROJECT migrate|place`: a child of bench.data: the ledger's tables made;
or everybody placed in a segment, then one candidate after the other, timed, as JSON."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from warmline.cli.setup import open_project
from warmline.config.project import Project

ONES = 300


def main() -> int:
    folder, what = Path(sys.argv[1]), sys.argv[2]
    _, loaded = open_project(folder)
    if what == "place":
        print(json.dumps(_place(loaded)))
    return 0


def _place(loaded: Project) -> dict[str, Any]:
    # Django must be set up first.
    from warmline.flows.everybody import survey
    from warmline.flows.runtime import build

    runtime = build(loaded)
    began, cpu_s = time.perf_counter(), time.process_time()
    found = survey(runtime, write=True)
    all_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    ones = [_one(runtime, pk) for pk in _people()]
    return {
        "placed": found.candidates,
        "counts": dict(found.counts),
        "all_s": all_s,
        "all_cpu_s": cpu_s,
        "one_ms_p50": median(ones),
        "one_ms_p99": quantiles(ones, n=100)[98],
    }


def _people() -> list[int]:
    """Candidates in a pipeline, from all over the ledger."""
    from warmline.store.models import Segmentation

    there = Segmentation.objects.filter(segment="active_applicant").order_by("candidate_id")
    pks = list(there.values_list("candidate_id", flat=True))
    return pks[:: max(1, len(pks) // ONES)][:ONES]


def _one(runtime: Any, pk: int) -> float:
    """Their open applications are closed, and they are placed anew: milliseconds of it all."""
    from warmline.flows.segment import place_now
    from warmline.store.db import writing
    from warmline.store.models import Application, Candidate

    began = time.perf_counter()
    with writing():
        now = runtime.now()
        open_ones = Application.objects.filter(candidate_id=pk, status="active")
        open_ones.update(status="rejected", rejected_at=now, moved_at=now, as_of=now)
        place_now(runtime, [Candidate.objects.get(pk=pk)])
    return (time.perf_counter() - began) * 1000


if __name__ == "__main__":
    sys.exit(main())
