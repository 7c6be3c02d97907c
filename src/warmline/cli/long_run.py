"""Verbs that take long: they show how far they are, stop at Ctrl-C after the piece in hand, and let
a running Warmline do the work where there is one."""

from __future__ import annotations

import gc
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from warmline.cli.setup import err
from warmline.core.errors import WarmlineError
from warmline.flows.runtime import Runtime
from warmline.store.sole import SoleRunner

LOOK_EVERY_S = 1.0


@contextmanager
def stoppable(runtime: Runtime) -> Iterator[None]:
    """Ctrl-C ends after the piece in hand, and a second one at once: the next run settles it."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        if runtime.stopping.is_set():
            raise KeyboardInterrupt
        runtime.stopping.set()
        err.print("ending after the piece in hand; Ctrl-C again breaks off")

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def many_rows() -> None:
    """For a process that does nothing but write a whole history, and then ends: rows by the hundred
    thousand come and go, and Python's search for cycles among them, which hardly are any, takes an
    eighth of the time. Rarer, and without what was there before, it takes next to none."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def progress_bars() -> Progress:
    """On standard error, gone when it is over."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )


def sleeper(runtime: Runtime) -> Callable[[float], None]:
    """Sleeps, and wakes when stopped."""

    def sleep(seconds: float) -> None:
        runtime.stopping.wait(seconds)

    return sleep


def alone_or_watching(
    runtime: Runtime,
    work: Callable[[], int],
    *,
    waiting: Callable[[], int],
    told: Callable[[int], None],
) -> int:
    """Do the work in this process; where a running Warmline holds the ledger, watch it do it.
    Returns how much is left."""
    with ExitStack() as stack:
        try:
            stack.enter_context(SoleRunner())
        except WarmlineError:
            while (left := waiting()) and not runtime.stopping.is_set():
                told(left)
                time.sleep(LOOK_EVERY_S)
            return left
        return work()
