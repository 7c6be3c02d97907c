"""Lanes drained by threads in the one process: the default engine.

New work wakes a thread at once; the tick finds what falls due and every lane whose poke was lost.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Sequence

from django.db import DatabaseError, connections

from warmline.core.errors import WarmlineError
from warmline.engine.work import Worker, families, read_around, tick
from warmline.flows.drift import LOOK_EVERY_S, compare_when_due
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.intake import busy
from warmline.flows.recover import recover
from warmline.flows.runtime import Lane, Runtime
from warmline.store.db import writing
from warmline.store.sole import SoleRunner
from warmline.store.statuses import LANES

log = logging.getLogger("warmline.engine")

# How long a thread waits after it is woken, so that what comes together is done together: a
# batch of five costs little more than one. A candidate waits under half a second for it in all.
# Where a full batch was just done there is enough to do, and nothing is waited for.
GATHER_S = {"intake": 0.2, "act": 0.5, "mail": 0.2, "alerts": 0.0}
PAUSE_AFTER_CRASH_S = 1.0
# While webhooks come in a burst, a lane waits for up to a quarter of a second.
STAND_BACK_S, STAND_BACK_TIMES = 0.01, 25


class _Family:
    """The poked lanes of one kind of work, and the threads that drain them. A lane is drained by
    one thread at a time; a thread takes its share of the poked lanes as one batch."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self.share = -(-LANES // threads)
        self._poked: set[int] = set()
        self._running: set[int] = set()
        self._changed = threading.Condition()

    def poke(self, numbers: Iterable[int]) -> None:
        with self._changed:
            self._poked.update(numbers)
            self._changed.notify()

    def take(self, stop: threading.Event) -> set[int]:
        """Lanes to drain now, exclusively; empty when stopping."""
        with self._changed:
            while not stop.is_set():
                free = self._poked - self._running
                if free:
                    taken = set(sorted(free)[: self.share])
                    self._poked -= taken
                    self._running |= taken
                    return taken
                self._changed.wait(timeout=1.0)
        return set()

    def give_back(self, lanes: set[int], *, more: bool) -> None:
        with self._changed:
            self._running -= lanes
            if more:
                self._poked |= lanes
            self._changed.notify()

    def wake(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Inline:
    def __init__(self, runtime: Runtime, *, mail_threads: int = 2, tick_s: float = 1.0) -> None:
        self._runtime = runtime
        self._tick_s = tick_s
        self._families = {
            name: _Family(name, mail_threads if name == "mail" else _threads(name))
            for name in families(runtime)
        }
        self._crashes: set[str] = set()
        self.started = threading.Event()  # the ledger is ours, and what was left behind is back
        runtime.poke = self.poke
        runtime.engine_polls = True

    def poke(self, lanes: Iterable[Lane]) -> None:
        """After commit, a hint: these lanes have work."""
        grouped: dict[str, set[int]] = {}
        for lane in lanes:
            grouped.setdefault(lane.family, set()).add(lane.number)
        for name, numbers in grouped.items():
            family = self._families.get(name)
            if family is not None:
                family.poke(numbers)

    def run(self, stop: threading.Event) -> None:
        """Drain poked lanes and tick until `stop`; then finish or release what is claimed.

        Raises WarmlineError where another process runs this ledger already.
        """
        runtime = self._runtime
        runtime.stopping = stop
        with SoleRunner() as sole:
            recovered = recover(runtime, alone=True)
            log.info("action=engine_started recovered=%d", recovered)
            self.started.set()
            threads = [
                threading.Thread(target=self._work, args=(family,), name=f"{family.name}-{i}")
                for family in self._families.values()
                for i in range(family.threads)
            ]
            threads += [
                threading.Thread(target=self._poll, args=(name,), name=f"poll:{name}")
                for name in runtime.connections_that("lists_changes")
                if runtime.role(name) != "files"
            ]
            threads += [
                threading.Thread(target=self._compare, args=(name,), name=f"compare:{name}")
                for name in runtime.connections_that("reads_records")
            ]
            for thread in threads:
                thread.start()
            why_ended = self._tick(stop, sole, threads)
            for family in self._families.values():
                family.wake()
            for thread in threads:
                thread.join()
            recover(runtime, alone=False)
            connections.close_all()
            log.info("action=engine_stopped")
        if why_ended:
            hint = "start Warmline again; what was under way is taken up"
            raise WarmlineError(why_ended, hint=hint)

    def _tick(
        self, stop: threading.Event, sole: SoleRunner, threads: Sequence[threading.Thread]
    ) -> str:
        """Until `stop`. Returns why it must end by itself: the ledger is no longer ours, and
        another process may have taken it; or a thread died, and its lanes would wait for ever."""
        while not stop.is_set():
            dead = [thread.name for thread in threads if not thread.is_alive()]
            if dead or not sole.held():
                stop.set()
                if dead:
                    return f"the thread of {dead[0]} died; the log has the details"
                return "the ledger's lock was lost: the database ended the connection that held it"
            try:
                self.poke(tick(self._runtime))
                self._well("tick")
            except Exception as error:
                self._crashed("tick", error)
            stop.wait(self._tick_s)
        return ""

    def _work(self, family: _Family) -> None:
        stop = self._runtime.stopping
        worker = Worker(self._runtime)
        gather_s = GATHER_S[family.name.partition(":")[0]]
        more = False
        while lanes := family.take(stop):
            try:
                if not more:
                    stop.wait(gather_s)
                self._let_through()
                more = worker.drain(family.name, lanes)
                self._well(family.name)
            except Exception as error:
                self._crashed(family.name, error)
                more = True  # what it left behind
                stop.wait(PAUSE_AFTER_CRASH_S)
            finally:
                family.give_back(lanes, more=more)
        worker.close()
        connections.close_all()

    def _let_through(self) -> None:
        """Senders first: while a burst comes in, lanes stand back, but never for long."""
        for _ in range(STAND_BACK_TIMES):
            if not busy() or self._runtime.stopping.wait(STAND_BACK_S):
                return

    def _poll(self, name: str) -> None:
        stop = self._runtime.stopping
        every_s = self._runtime.project.file.poll_minutes * 60
        while not stop.is_set():
            try:
                if read_around(self._runtime, name):
                    self._well(f"poll:{name}")
            except Exception as error:
                self._crashed(f"poll:{name}", error)
            self._until_next_poll(name, every_s)
        connections.close_all()

    def _until_next_poll(self, name: str, every_s: float) -> None:
        """Or until a mail waits for it (`flows.fresh`)."""
        runtime = self._runtime
        ends = time.monotonic() + min(every_s, runtime.poll_again_s.pop(name, every_s))
        while (left := ends - time.monotonic()) > 0 and name not in runtime.poll_now:
            if runtime.stopping.wait(min(left, 1.0)):
                break
        runtime.poll_now.discard(name)

    def _compare(self, name: str) -> None:
        """Both sides, held against each other once a day (`compare_hours`)."""
        stop = self._runtime.stopping
        wait_s = LOOK_EVERY_S
        while not stop.wait(wait_s):
            try:
                wait_s = compare_when_due(self._runtime, name)
                self._well(f"compare:{name}")
            except Exception as error:
                self._crashed(f"compare:{name}", error)
                wait_s = LOOK_EVERY_S
        connections.close_all()

    def _crashed(self, where: str, error: Exception) -> None:
        """A bug, or the database is away (a full disk, for one). The work waits in its rows."""
        # A database's message may quote the row, with the address in it.
        told = None if isinstance(error, DatabaseError) else error
        log.error("action=crashed where=%s error=%s", where, type(error).__name__, exc_info=told)
        connections.close_all()
        self._crashes.add(where)
        try:
            with writing():
                open_incident(
                    f"engine:{where}",
                    f"{where} failed: {type(error).__name__}",
                    now=self._runtime.now(),
                    hint="the work waits and is tried again; the log has the details",
                )
        except Exception:
            log.exception("action=incident_not_written where=%s", where)

    def _well(self, where: str) -> None:
        """What crashed got through: its incident is over. Only its own success says so."""
        if where in self._crashes:
            self._crashes.discard(where)
            with writing():
                resolve([f"engine:{where}"], "it works again", now=self._runtime.now())


def _threads(family: str) -> int:
    """Interpreting is one at a time a connection, in order; calls to a vendor overlap."""
    return 2 if family.startswith("act:") else 1
