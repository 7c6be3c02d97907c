"""What draining a lane means, whatever runs the lanes."""

from __future__ import annotations

from collections.abc import Collection

from warmline.flows import act, alerts, interpret
from warmline.flows.absent import look_for_missing
from warmline.flows.delegation import follow, hosts
from warmline.flows.enrol import tick as enrol_tick
from warmline.flows.first_sync import tell, waits
from warmline.flows.holds import tick as held_tick
from warmline.flows.incidents import open_incident
from warmline.flows.judge import tick as judge_tick
from warmline.flows.nurture import tick as nurture_tick
from warmline.flows.pauses import paused
from warmline.flows.reconcile import poll
from warmline.flows.recover import due_lanes, recover
from warmline.flows.runtime import Lane, Runtime
from warmline.flows.segment import tick as segment_tick
from warmline.flows.send import Post
from warmline.flows.tell import tick as tell_tick
from warmline.flows.watch import watch
from warmline.store.db import writing


class Worker:
    """Drains lanes of any family, with a mail connection of its own. Not shared by threads."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._post = Post(runtime)

    def drain(self, family: str, lanes: Collection[int]) -> bool:
        """One batch. True where there may be more."""
        if waits(self._runtime, family):
            return False
        kind, _, name = family.partition(":")
        if kind == "intake":
            if name not in self._runtime.connectors:
                return False  # of a connection that the project no longer has: it waits
            return interpret.drain(self._runtime, name)
        if kind == "act":
            if name not in self._runtime.connections_that("applies_actions"):
                return False
            return act.drain(self._runtime, name, lanes)
        if kind == "alerts":
            return name in self._runtime.channels and alerts.drain(self._runtime, name)
        return self._post.drain(lanes)

    def close(self) -> None:
        self._post.close()


def families(runtime: Runtime) -> list[str]:
    """Every family of lanes that this project can have work in."""
    return [
        *(f"intake:{name}" for name in runtime.connections_that("parses")),
        *(f"act:{name}" for name in runtime.connections_that("applies_actions")),
        "mail",
        *(f"alerts:{name}" for name in runtime.channels),
    ]


def tick(runtime: Runtime) -> set[Lane]:
    """What the engine does on time: watch over everything, at most once a minute, and look."""
    watch(runtime)
    return look(runtime)


def look(runtime: Runtime) -> set[Lane]:
    """One tick: take up what lapsed, plan what falls due, name the lanes that have work."""
    recover(runtime)
    tell_tick(runtime)
    lanes = held_tick(runtime) | enrol_tick(runtime) | nurture_tick(runtime) | segment_tick(runtime)
    lanes |= judge_tick(runtime)
    lanes |= due_lanes(runtime)
    named = {lane.family for lane in lanes}
    _orphans(runtime, named - set(families(runtime)))
    if any(waits(runtime, family) for family in named):
        tell(runtime)
    return lanes | alerts.tick(runtime)


def read_around(runtime: Runtime, connection: str) -> bool:
    """One poll of a connection, and a look for what went missing there. False while it is paused:
    the poll after it goes on from the cursor."""
    if paused().connection(connection):
        return False
    poll(runtime, connection)
    whole = connection not in runtime.poll_again_s
    if whole and connection in runtime.connections_that("finds_missing"):
        look_for_missing(runtime, connection)
    if whole and hosts(runtime, connection):
        follow(runtime, connection)
    return True


def _orphans(runtime: Runtime, names: set[str]) -> None:
    """Work for a connection that the project no longer has, or whose connector no longer does such
    work: it waits, and somebody must know. Told once a process."""
    for name in sorted(names - runtime.orphans_told):
        runtime.orphans_told.add(name)
        with writing():
            open_incident(
                f"orphans:{name}",
                f"work waits for {name}, and nothing in this project does it",
                now=runtime.now(),
                connection=name.partition(":")[2],
                hint="put the connection back into warmline.yaml, or let the work wait",
            )


def run_until_idle(runtime: Runtime, worker: Worker, *, rounds_max: int = 100_000) -> int:
    """Drain everything that is due at `runtime.now()`, in this thread. Returns the batches done.

    For virtual clocks and for verbs that need no engine: what is due later stays for later.
    """
    done = 0
    while done < rounds_max:
        lanes = look(runtime)
        if not lanes:
            return done
        batches = _drain(worker, lanes)
        done += batches
        if not batches and look(runtime) == lanes:
            return done
    raise RuntimeError(f"still busy after {rounds_max} batches")


def run_through(runtime: Runtime, worker: Worker, *, rounds_max: int = 100_000) -> None:
    """As `run_until_idle`, with one look less where only mails were due: a mail that has left makes
    no other work. For clocks that stop ten thousand times."""
    before: set[Lane] = set()
    for _ in range(rounds_max):
        lanes = look(runtime)
        if not lanes or lanes == before:
            return
        _drain(worker, lanes)
        if all(lane.family == "mail" for lane in lanes):
            return
        before = lanes
    raise RuntimeError(f"still busy after {rounds_max} batches")


def _drain(worker: Worker, lanes: Collection[Lane]) -> int:
    """Each family until nothing is left. How many full batches were done."""
    grouped: dict[str, set[int]] = {}
    for lane in lanes:
        grouped.setdefault(lane.family, set()).add(lane.number)
    done = 0
    for family in sorted(grouped):
        while worker.drain(family, grouped[family]):
            done += 1
    return done
