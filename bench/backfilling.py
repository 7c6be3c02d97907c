"""`python -m bench.backfilling PROJECT`: a child of bench.data: the whole history into the CRM, as
JSON with its times."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from warmline.cli.long_run import many_rows
from warmline.cli.setup import open_project

AT_ONCE = 4  # what the verb does


def main() -> int:
    _, loaded = open_project(Path(sys.argv[1]))
    # Django must be set up first.
    from warmline.flows import backfill, first_sync
    from warmline.flows.everybody import survey
    from warmline.flows.runtime import build
    from warmline.flows.work_off import work_off
    from warmline.store.db import writing

    runtime = build(loaded)
    survey(runtime, write=True)
    with writing():
        first_sync.allow(runtime.now())
    many_rows()
    before = backfill.outlook(runtime, "crm")
    began, cpu_s = time.perf_counter(), time.process_time()
    planning = backfill.Planning(runtime, "crm")
    left = work_off(
        runtime,
        "crm",
        backfill.waiting("crm"),
        sleep=time.sleep,
        threads=AT_ONCE,
        plans=planning,
    )
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    after = backfill.outlook(runtime, "crm")
    told = {
        "planned": planning.done,
        "left": left,
        "written": after.there - before.there,
        "least_calls": before.calls,
        "took_s": took_s,
        "cpu_s": cpu_s,
    }
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
