"""Writing to many records in one call: each has a fate of its own, and trouble is told apart.

What writes (tags, fields, notes) is handed in; here stands what is the same for all of it: who is
tried again, what a refusal is about, when to stop, and what the fates make of an action.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Generic, Protocol, TypeVar

from warmline.connectors.greenhouse.harvest import Harvest, NotAllowed, row_id
from warmline.connectors.greenhouse.taglist import NotNow
from warmline.core.errors import (
    Malformed,
    Refused,
    Throttled,
    Unreachable,
    Unsure,
    WarmlineError,
)
from warmline.core.outcomes import Outcome, OutcomeKind

CANDIDATES = "candidates"
# Two tag writes an action and the reads fit into one window of the rate limit (75 calls in 30 s).
BATCH_MAX = 25
DOUBTS_MAX = 2  # writes in a row without an answer: the vendor is in trouble, and each costs 20 s
FORBIDDEN_MAX = 3  # 403 in a row before any success: the credentials, not the candidate
BUDGET = timedelta(seconds=60)  # of one call, so that it ends before its claim lapses
GONE = "Greenhouse has no such candidate any more (deleted or merged into another): record "

W = TypeVar("W")


class Fate(Enum):
    """What became of one record of one action."""

    OPEN = auto()  # not tried yet
    ASIDE = auto()  # refused once: looked at again at the end
    DONE = auto()
    GONE = auto()  # no such candidate any more
    REFUSED = auto()
    FORBIDDEN = auto()  # 403: it depends on the others whether this record is the cause
    LATER = auto()
    UNKNOWN = auto()


@dataclass(slots=True)
class Task(Generic[W]):
    """One record of one action, and what is wished for it. So many `writes` were confirmed."""

    index: int
    record: str
    wish: W
    fate: Fate = Fate.OPEN
    reason: str = ""
    after_s: float | None = None
    writes: int = 0
    call: str = ""  # the write at hand: method and resource

    def end(self, fate: Fate, reason: str = "", after_s: float | None = None) -> None:
        self.fate, self.reason, self.after_s = fate, reason, after_s


class Pen:
    """Single writes, and what they tell of the credentials and of the vendor. Not shared by
    threads but for `permitted`: the calls that Greenhouse has let us make. A 403 after that is
    about the one record."""

    def __init__(self, harvest: Harvest, permitted: set[str]) -> None:
        self._harvest = harvest
        self.permitted = permitted
        self.doubts = 0

    def write(self, task: Task[W], method: str, path: str, body: object = None) -> object:
        """What `Harvest.write` says of it; `path` begins with the resource."""
        task.call = f"{method} {path.partition('/')[0]}"
        try:
            answer = self._harvest.write(method, path, body)
        except (Refused, NotAllowed):
            self.doubts = 0  # a no is an answer too
            raise
        self.doubts = 0
        self.permitted.add(task.call)
        task.writes += 1
        return answer


class Work(Protocol[W]):
    """What is done to the records of a run."""

    def read(self, records: Collection[str]) -> None:
        """Read, before anything is written, what stands on these records."""
        ...

    def change(self, task: Task[W]) -> None:
        """Write what is wished and is not so yet. Refused: the record is looked at again at the
        end, and tried once more."""
        ...

    def refresh(self) -> None:
        """Something was refused: what was kept of the account may be out of date."""
        ...


@dataclass(slots=True)
class Run(Generic[W]):
    """The tasks of one call. Not shared by threads."""

    harvest: Harvest
    work: Work[W]
    pen: Pen
    now: Callable[[], datetime]
    tasks: Sequence[Task[W]]
    forbidden: int = field(default=0)

    def go(self) -> None:
        """Give every open task its fate."""
        ends_at = self.now() + BUDGET
        try:
            self._pass([task for task in self.tasks if task.fate is Fate.OPEN], ends_at)
            if aside := [task for task in self.tasks if task.fate is Fate.ASIDE]:
                self._look_again(aside)
                self._pass([task for task in aside if task.fate is Fate.OPEN], ends_at)
        except Throttled as error:
            self._break_off(error.reason, error.after_s)
        except WarmlineError as error:
            self._break_off(": ".join(filter(None, (error.reason, error.hint))), None)

    def _pass(self, tasks: Sequence[Task[W]], ends_at: datetime) -> None:
        """Each in order. Two actions may be about one record: where the first did not get through,
        the second must not overtake it."""
        held: dict[str, Task[W]] = {}
        for task in tasks:
            if self.now() >= ends_at:
                raise Throttled("it took too long: the rest follows", after_s=0.0)
            before = held.get(task.record)
            if before is None:
                self._one(task)
            else:
                task.end(before.fate, before.reason, before.after_s)
                if before.fate is Fate.UNKNOWN:  # that one is in doubt, this one was not tried
                    task.end(Fate.LATER, before.reason)
            if task.fate is not Fate.DONE:
                held[task.record] = task

    def _one(self, task: Task[W]) -> None:
        try:
            self.work.change(task)
            task.end(Fate.DONE)
        except NotNow as error:
            task.end(Fate.LATER, error.reason, error.after_s)
        except Unsure as error:
            task.end(Fate.UNKNOWN, error.reason)
            self.pen.doubts += 1
            if self.pen.doubts >= DOUBTS_MAX:
                raise Unreachable(error.reason) from None
        except Refused as error:
            # The second time its word stands.
            again = task.reason == ""
            task.end(Fate.ASIDE if again else Fate.REFUSED, f"record {task.record}: {error.reason}")
        except NotAllowed as error:
            task.end(Fate.FORBIDDEN, f"record {task.record}: {error.reason}: {error.hint}")
            self.forbidden += 1
            if self.forbidden >= FORBIDDEN_MAX and task.call not in self.pen.permitted:
                raise

    def _look_again(self, aside: Sequence[Task[W]]) -> None:
        """Why was it refused? The candidate is gone, or somebody was faster, or what we know of the
        account is out of date. Whoever is left is tried once more."""
        there = standing(self.harvest, {task.record for task in aside})
        left = []
        for task in aside:
            if task.record in there:
                task.fate = Fate.OPEN
                left.append(task.record)
            else:
                task.end(Fate.GONE, GONE + task.record)
        if left:
            self.work.refresh()
            self.work.read(left)

    def _break_off(self, reason: str, after_s: float | None) -> None:
        """What is done is done; the rest is for later."""
        for task in self.tasks:
            if task.fate in (Fate.OPEN, Fate.ASIDE):
                task.end(Fate.LATER, reason, after_s)

    def outcome(self, index: int, already: str) -> Outcome:
        """What the fates of its records make of an action. `already`: what to say where nothing
        had to be written."""
        mine = [task for task in self.tasks if task.index == index]
        by_fate: dict[Fate, list[Task[W]]] = {}
        for task in mine:
            by_fate.setdefault(self._judged(task), []).append(task)
        writes = sum(task.writes for task in mine)
        gone = [task.record for task in by_fate.get(Fate.GONE, ())]
        detail = {"written": str(writes)} if writes else {}
        if gone:
            detail["gone"] = ",".join(gone)
        for fate, kind in _OUTCOMES.items():
            if tasks := by_fate.get(fate):
                waits = [task.after_s for task in tasks]
                after_s = None if None in waits else max(s for s in waits if s is not None)
                return Outcome(kind, tasks[0].reason, after_s=after_s, detail=detail)
        if Fate.DONE not in by_fate:
            return Outcome(OutcomeKind.REFUSED, mine[0].reason, detail=detail)
        if not writes:
            return Outcome(OutcomeKind.ALREADY_DONE, already, detail=detail)
        return Outcome(OutcomeKind.DONE, detail=detail)

    def _judged(self, task: Task[W]) -> Fate:
        """A 403 is about this record (private, or out of the user's reach) where Greenhouse lets
        us do the same to others, and about the credentials where it lets us do it to nobody."""
        if task.fate is not Fate.FORBIDDEN:
            return task.fate
        return Fate.REFUSED if task.call in self.pen.permitted else Fate.LATER


# The first of these that one of an action's records met is the action's.
_OUTCOMES: Mapping[Fate, OutcomeKind] = {
    Fate.UNKNOWN: OutcomeKind.UNKNOWN,
    Fate.LATER: OutcomeKind.LATER,
    Fate.REFUSED: OutcomeKind.REFUSED,
}


def standing(harvest: Harvest, records: Iterable[str]) -> set[str]:
    """Those that Greenhouse still has. Raises Unreachable where the answer cannot be read."""
    try:
        return {row_id(row) for row in harvest.look_up(CANDIDATES, records)}
    except (Malformed, Refused) as error:
        raise Unreachable(error.reason) from None
