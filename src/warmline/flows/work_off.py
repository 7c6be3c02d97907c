"""Actions that wait for one connection, carried out in this thread at the pace that the vendor
allows: for verbs that write a whole history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.db.models import Min, QuerySet

from warmline.flows import act
from warmline.flows.pauses import paused
from warmline.flows.recover import recover
from warmline.flows.runtime import Runtime
from warmline.store.models import Action
from warmline.store.statuses import LANES

# So long without one less: the other side is away.
STANDSTILL_MAX = timedelta(minutes=10)
SLEEP_S_MAX = 60.0


def work_off(
    runtime: Runtime,
    connection: str,
    waiting: QuerySet[Action],
    *,
    sleep: Callable[[float], None],
    told: Callable[[int], None] = lambda left: None,
    count: Callable[[], int] | None = None,
) -> int:
    """Until none of `waiting` is left, nothing more can be done for now (the other side is away,
    they are paused), or somebody stopped us. Returns how many still wait; `told` hears it on the
    way. The caller runs this ledger alone."""
    how_many = count or (lambda: waiting.all().count())
    size = runtime.connectors[connection].batch_max()
    recover(runtime, alone=True)  # what a killed runner held
    left, moved_at = how_many(), runtime.now()
    while not runtime.stopping.is_set():
        before, about = left, left
        while act.drain(runtime, connection, range(LANES)):
            about = max(0, about - size)  # counted anew when the batches run dry
            told(about)
            if runtime.stopping.is_set():
                break
        left = how_many()
        told(left)
        if left < before:
            moved_at = runtime.now()
        going = paused().actions(waiting)
        if not going.exists() or runtime.now() - moved_at > STANDSTILL_MAX:
            return left
        due = going.aggregate(due=Min("due_at"))["due"]
        if due is not None:
            sleep(min(max((due - runtime.now()).total_seconds(), 0.05), SLEEP_S_MAX))
    return how_many()
