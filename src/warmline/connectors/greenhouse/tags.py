"""The segment's tag on candidates: read what they carry, put ours on, take ours off, no other.

Harvest v3 has a row for each tag on each candidate, so that one is added or removed without writing
the others: what a recruiter changes at the same moment stands. The new tag goes on before an old
one comes off: a kill in between leaves one too many, never none, and the repetition mends it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto

from warmline.connectors.greenhouse.harvest import Harvest, NotAllowed, is_id, number_of, row_id
from warmline.connectors.greenhouse.taglist import NotNow, TagList, plain
from warmline.core.actions import Action, ActionKind, TagChange
from warmline.core.errors import (
    Malformed,
    Refused,
    Throttled,
    Unreachable,
    Unsure,
    WarmlineError,
)
from warmline.core.outcomes import Outcome, OutcomeKind

APPLIED = "applied_candidate_tags"
CANDIDATES = "candidates"
# Two writes an action and the reads fit into one window of the rate limit (75 calls in 30 s).
BATCH_MAX = 25
RECORDS_MAX = 50  # of one action; a person with more is no person
DOUBTS_MAX = 2  # writes in a row without an answer: the vendor is in trouble, and each costs 20 s
FORBIDDEN_MAX = 3  # 403 in a row before any success: the credentials, not the candidate
BUDGET = timedelta(seconds=60)  # of one call, so that it ends before its claim lapses
GONE = "Greenhouse has no such candidate any more (deleted or merged into another): record "


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
class Task:
    """One record of one action. So many `writes` were confirmed."""

    index: int
    record: str
    change: TagChange
    fate: Fate = Fate.OPEN
    reason: str = ""
    after_s: float | None = None
    writes: int = 0
    method: str = ""  # of the write at hand

    def end(self, fate: Fate, reason: str = "", after_s: float | None = None) -> None:
        self.fate, self.reason, self.after_s = fate, reason, after_s


class Tags:
    """Tags of one account's candidates. Thread-safe."""

    def __init__(self, harvest: Harvest, *, now: Callable[[], datetime]) -> None:
        self._harvest = harvest
        self._now = now
        self._list = TagList(harvest, now=now)
        # Methods that Greenhouse has let us use: a 403 after that is about the one record.
        self._permitted: set[str] = set()

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        """One outcome an action, in order; `detail` has the number of `written` changes and the
        ids of records that are `gone`. Raises Throttled, Unreachable or AuthFailed where nothing
        could be read and so nothing was written."""
        return _Run(self._harvest, self._list, self._permitted, self._now, actions).outcomes()

    def find(self, action: Action) -> Outcome | None:
        """DONE where every record that still stands carries the tag and none of those to be
        removed; None where one does not, or where none stands. Raises where it cannot be read."""
        change = action.tags
        if _unfit(action) or change is None:
            return None
        carried = read_carried(self._harvest, change.records)
        self._list.learn(tag for rows in carried.values() for _, tag in rows)
        wanted = self._list.ids(change.add)
        unwanted = _unwanted(self._list, change, wanted)
        lacking = set()
        for record in change.records:
            on_it = {tag for _, tag in carried[record]}
            if on_it & unwanted:
                return None
            if change.add and not on_it.intersection(wanted):
                lacking.add(record)
        gone = lacking - standing(self._harvest, lacking) if lacking else set()
        if lacking - gone or gone == set(change.records):
            return None
        detail = {"gone": ",".join(sorted(gone))} if gone else {}
        return Outcome(OutcomeKind.DONE, "found written", detail=detail)


Carried = dict[str, list[tuple[str, str]]]


def read_carried(harvest: Harvest, records: Iterable[str]) -> Carried:
    """Record → (row id, tag id) of each tag on it. Raises Unreachable where the answer is none
    that can be read: nothing was written."""
    wanted = dict.fromkeys(records)
    found: Carried = {record: [] for record in wanted}
    try:
        rows = harvest.look_up(APPLIED, wanted, by="candidate_ids")
    except (Malformed, Refused) as error:
        raise Unreachable(error.reason) from None
    for row in rows:
        record = number_of(row, "candidate_id")
        if record in found and row_id(row):
            found[record].append((row_id(row), number_of(row, "candidate_tag_id")))
    return found


def standing(harvest: Harvest, records: Iterable[str]) -> set[str]:
    """Those that Greenhouse still has. Raises Unreachable where the answer cannot be read."""
    try:
        return {row_id(row) for row in harvest.look_up(CANDIDATES, records)}
    except (Malformed, Refused) as error:
        raise Unreachable(error.reason) from None


def _unfit(action: Action) -> str:
    """Why the action cannot be one of ours; empty where it can."""
    change = action.tags
    if action.kind is not ActionKind.CANDIDATE_TAG:
        return f"Greenhouse cannot do {action.kind}"
    if change is None or not change.records:
        return "the action names no record to tag"
    if not (plain(change.add) or any(map(plain, change.remove))):
        return "the action names no tag"
    if len(change.records) > RECORDS_MAX:
        return f"{len(change.records)} records of one candidate, expected at most {RECORDS_MAX}"
    if not all(map(is_id, change.records)):
        return "a record's id is not a number, as Greenhouse's are"
    return ""


def _unwanted(tags: TagList, change: TagChange, wanted: Iterable[str]) -> set[str]:
    """Ids of the tags to take off; never those of the tag to put on."""
    return {number for name in change.remove for number in tags.ids(name)} - set(wanted)


@dataclass(slots=True)
class _Run:
    """One `apply`. Not shared by threads."""

    harvest: Harvest
    tags: TagList
    permitted: set[str]
    now: Callable[[], datetime]
    actions: Sequence[Action]
    unfit: dict[int, str] = field(default_factory=dict)
    tasks: list[Task] = field(default_factory=list)
    carried: Carried = field(default_factory=dict)
    doubts: int = 0
    forbidden: int = 0

    def outcomes(self) -> list[Outcome]:
        for index, action in enumerate(self.actions):
            self.unfit[index] = _unfit(action)
            if not self.unfit[index] and action.tags is not None:
                records = dict.fromkeys(action.tags.records)
                self.tasks += [Task(index, record, action.tags) for record in records]
        if self.tasks:
            self._read({task.record for task in self.tasks})
            self._work()
        return [self._outcome(index) for index in range(len(self.actions))]

    def _read(self, records: Iterable[str]) -> None:
        self.carried |= read_carried(self.harvest, records)
        try:
            self.tags.learn(tag for rows in self.carried.values() for _, tag in rows)
        except (Malformed, Refused) as error:
            raise Unreachable(error.reason) from None

    def _work(self) -> None:
        ends_at = self.now() + BUDGET
        try:
            self._pass(self.tasks, ends_at)
            if aside := [task for task in self.tasks if task.fate is Fate.ASIDE]:
                self._look_again(aside)
                self._pass([task for task in aside if task.fate is Fate.OPEN], ends_at)
        except Throttled as error:
            self._break_off(error.reason, error.after_s)
        except WarmlineError as error:
            self._break_off(": ".join(filter(None, (error.reason, error.hint))), None)

    def _pass(self, tasks: Sequence[Task], ends_at: datetime) -> None:
        """Each in order. Two actions may be about one record: where the first did not get through,
        the second must not overtake it."""
        held: dict[str, Task] = {}
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

    def _one(self, task: Task) -> None:
        try:
            self._change(task)
            task.end(Fate.DONE)
        except NotNow as error:
            task.end(Fate.LATER, error.reason, error.after_s)
        except Unsure as error:
            task.end(Fate.UNKNOWN, error.reason)
            self.doubts += 1
            if self.doubts >= DOUBTS_MAX:
                raise Unreachable(error.reason) from None
        except Refused as error:
            # The second time its word stands.
            again = task.reason == ""
            task.end(Fate.ASIDE if again else Fate.REFUSED, f"record {task.record}: {error.reason}")
        except NotAllowed as error:
            task.end(Fate.FORBIDDEN, f"record {task.record}: {error.reason}: {error.hint}")
            self.forbidden += 1
            if self.forbidden >= FORBIDDEN_MAX and task.method not in self.permitted:
                raise

    def _change(self, task: Task) -> None:
        rows = self.carried[task.record]
        add = plain(task.change.add)
        wanted = self.tags.ids(add) if add else ()
        if add and not {tag for _, tag in rows}.intersection(wanted):
            wanted = self.tags.made(task.change.add)
            rows.append((self._put_on(task, wanted[0]), wanted[0]))
        unwanted = _unwanted(self.tags, task.change, wanted)
        for row, tag in [entry for entry in rows if entry[1] in unwanted]:
            self._take_off(task, row)
            rows.remove((row, tag))

    def _put_on(self, task: Task, tag: str) -> str:
        """The id of the row that stands for it; empty where the vendor did not say."""
        task.method = "POST"
        body = {"candidate_id": int(task.record), "candidate_tag_id": int(tag)}
        answer = self.harvest.write(task.method, APPLIED, body)
        self._confirmed(task)
        return row_id(answer)

    def _take_off(self, task: Task, row: str) -> None:
        if not row:  # put on by an earlier action of this very call
            raise NotNow("the tag that was just put on is read first", after_s=0.0)
        task.method = "DELETE"
        try:
            self.harvest.write(task.method, f"{APPLIED}/{row}")
        except Refused as error:
            if error.status != 404:  # 404: somebody else took it off
                raise
            self.doubts = 0
        else:
            self._confirmed(task)

    def _confirmed(self, task: Task) -> None:
        task.writes += 1
        self.doubts = 0
        self.permitted.add(task.method)

    def _look_again(self, aside: Sequence[Task]) -> None:
        """Why was it refused? The candidate is gone, or somebody was faster, or our list of tags
        is out of date. Whoever is left is tried once more."""
        there = standing(self.harvest, {task.record for task in aside})
        left = []
        for task in aside:
            if task.record in there:
                task.fate = Fate.OPEN
                left.append(task.record)
            else:
                task.end(Fate.GONE, GONE + task.record)
        if left:
            self.tags.refresh()
            self._read(left)

    def _break_off(self, reason: str, after_s: float | None) -> None:
        """What is done is done; the rest is for later."""
        for task in self.tasks:
            if task.fate in (Fate.OPEN, Fate.ASIDE):
                task.end(Fate.LATER, reason, after_s)

    def _outcome(self, index: int) -> Outcome:
        if self.unfit[index]:
            return Outcome(OutcomeKind.REFUSED, self.unfit[index])
        mine = [task for task in self.tasks if task.index == index]
        by_fate: dict[Fate, list[Task]] = {}
        for task in mine:
            by_fate.setdefault(self._judged(task), []).append(task)
        writes = sum(task.writes for task in mine)
        gone = [task.record for task in by_fate.get(Fate.GONE, ())]
        detail = {"written": str(writes)} if writes else {}
        if gone:
            detail["gone"] = ",".join(gone)
        for fate, kind in (
            (Fate.UNKNOWN, OutcomeKind.UNKNOWN),
            (Fate.LATER, OutcomeKind.LATER),
            (Fate.REFUSED, OutcomeKind.REFUSED),
        ):
            if tasks := by_fate.get(fate):
                waits = [task.after_s for task in tasks]
                after_s = None if None in waits else max(s for s in waits if s is not None)
                return Outcome(kind, tasks[0].reason, after_s=after_s, detail=detail)
        if Fate.DONE not in by_fate:
            return Outcome(OutcomeKind.REFUSED, mine[0].reason, detail=detail)
        if not writes:
            return Outcome(OutcomeKind.ALREADY_DONE, "tagged so already", detail=detail)
        return Outcome(OutcomeKind.DONE, detail=detail)

    def _judged(self, task: Task) -> Fate:
        """A 403 is about this record (private, or out of the user's reach) where Greenhouse lets
        us do the same to others, and about the credentials where it lets us do it to nobody."""
        if task.fate is not Fate.FORBIDDEN:
            return task.fate
        return Fate.REFUSED if task.method in self.permitted else Fate.LATER
