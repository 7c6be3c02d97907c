"""Actions that wait for one connection, carried out at the pace that the vendor allows: for verbs
that write a whole history.

A vendor takes a good part of a second to write a batch, and counts calls, not answers: one call
after the other never comes near its rate. So several threads may each have one under way. Each has
lanes of its own, as in the engine: the work of one candidate stays one after the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from datetime import timedelta
from queue import SimpleQueue
from typing import Protocol

from django.db import connections
from django.db.models import Min, QuerySet

from warmline.flows import act
from warmline.flows.pauses import paused
from warmline.flows.recover import recover
from warmline.flows.runtime import Runtime
from warmline.store.models import Action
from warmline.store.statuses import LANES

# Planned ahead of what is carried out, so that each thread has more than a full batch to claim.
AHEAD_BATCHES = 40
# So long without one less: the other side is away.
STANDSTILL_MAX = timedelta(minutes=10)
SLEEP_S_MAX = 60.0


class Plans(Protocol):
    """What is not planned yet: `left` of it, and a way to plan some more; False: that was all."""

    @property
    def left(self) -> int: ...

    def stretch(self) -> bool: ...


class _Planned:
    """That was all."""

    left = 0

    def stretch(self) -> bool:
        return False


def work_off(
    runtime: Runtime,
    connection: str,
    waiting: QuerySet[Action],
    *,
    sleep: Callable[[float], None],
    told: Callable[[int], None] = lambda left: None,
    count: Callable[[], int] | None = None,
    threads: int = 1,
    plans: Plans | None = None,
) -> int:
    """Until none of `waiting` is left, nothing more can be done for now (the other side is away,
    they are paused), or somebody stopped us. Returns how many still wait; `told` hears it on the
    way. One of `threads` is this one, if it is the only one. `plans` are carried on with while the
    first batches are under way. The caller runs this ledger alone."""
    plans = plans or _Planned()
    count = count or (lambda: waiting.all().count())
    size = runtime.connectors[connection].batch_max()
    recover(runtime, alone=True)  # what a killed runner held
    left, moved_at = count(), runtime.now()
    while not runtime.stopping.is_set():
        before, about = left + plans.left, left

        def batch_done() -> None:
            nonlocal about
            about = max(0, about - size)  # counted anew when the batches run dry
            about += _plan_ahead(plans, AHEAD_BATCHES * size - about, runtime.stopping)
            told(about + plans.left)

        about += _plan_ahead(plans, AHEAD_BATCHES * size - about, runtime.stopping)
        _drain(runtime, connection, threads, sleep, batch_done)
        left = count()
        told(left + plans.left)
        if left + plans.left < before:
            moved_at = runtime.now()
        if plans.left and left < size:
            continue
        going = paused().actions(waiting)
        if not going.exists() or runtime.now() - moved_at > STANDSTILL_MAX:
            return left + plans.left
        due = going.aggregate(due=Min("due_at"))["due"]
        if due is not None:
            wait_s = max((due - runtime.now()).total_seconds(), runtime.wait_s(connection), 0.05)
            sleep(min(wait_s, SLEEP_S_MAX))
    return count() + plans.left


def _plan_ahead(plans: Plans, wanted: int, stopping: threading.Event) -> int:
    """Plan at least so many more, as far as there are any. Returns how many."""
    before = plans.left
    while before - plans.left < wanted and not stopping.is_set() and plans.stretch():
        pass
    return before - plans.left


def _drain(
    runtime: Runtime,
    connection: str,
    threads: int,
    sleep: Callable[[float], None],
    batch_done: Callable[[], None],
) -> None:
    """All that is due. `batch_done` is called in this thread, whichever did the batch."""
    if threads == 1:
        for _ in _batches(runtime, connection, range(LANES), runtime.stopping, sleep):
            batch_done()
        return
    stop = threading.Event()
    said: SimpleQueue[bool | BaseException] = SimpleQueue()  # done one; that was all; failed

    def work(lanes: Collection[int]) -> None:
        end: bool | BaseException = False
        try:
            for _ in _batches(runtime, connection, lanes, stop, sleep):
                said.put(True)
        except BaseException as error:
            end = error
        finally:
            connections.close_all()
            said.put(end)

    for number in range(threads):
        # Daemons: a second Ctrl-C breaks off at once, and the next run takes up what was claimed.
        share = range(number, LANES, threads)
        threading.Thread(
            target=work, args=(share,), name=f"{connection}-{number}", daemon=True
        ).start()
    running, failed = threads, None
    while running:
        word = said.get()
        if word is True:
            batch_done()
            continue
        running -= 1
        if isinstance(word, BaseException):
            failed = failed or word
            stop.set()
    if failed is not None:
        raise failed


def _batches(
    runtime: Runtime,
    connection: str,
    lanes: Collection[int],
    stop: threading.Event,
    sleep: Callable[[float], None],
) -> Iterator[None]:
    """One item a full batch that was carried out, until these lanes are dry or somebody stops. A
    short wait for the vendor's pace is waited for here, before anything is claimed: what was
    claimed and refused would have to be put off row by row."""
    more = True
    while more and not (stop.is_set() or runtime.stopping.is_set()):
        wait_s = runtime.wait_s(connection)
        if wait_s > SLEEP_S_MAX:
            return
        if wait_s > 0:
            sleep(wait_s)
        elif more := act.drain(runtime, connection, lanes):
            yield
