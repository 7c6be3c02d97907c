"""Tags on candidates: read what they carry, put one on, take ours off, no other.

Harvest v3 has a row for each tag on each candidate, so that one is added or removed without writing
the others: what a recruiter changes at the same moment stands. The new tag goes on before an old
one comes off: a kill in between leaves one too many, never none, and the repetition mends it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from warmline.connectors.greenhouse.fates import Pen, Task, W, standing
from warmline.connectors.greenhouse.harvest import Harvest, number_of, row_id
from warmline.connectors.greenhouse.taglist import NotNow, TagList, plain
from warmline.core.actions import TagChange
from warmline.core.errors import Malformed, Refused, Unreachable
from warmline.core.outcomes import Outcome, OutcomeKind

APPLIED = "applied_candidate_tags"
Carried = dict[str, list[tuple[str, str]]]


class Tagger:
    """The tags of the records of one run: read once, then changed. Not shared by threads."""

    def __init__(self, harvest: Harvest, tags: TagList, pen: Pen) -> None:
        self._harvest, self._tags, self._pen = harvest, tags, pen
        self._carried: Carried = {}

    def read(self, records: Iterable[str]) -> None:
        self._carried |= read_carried(self._harvest, records)
        try:
            self._tags.learn(tag for rows in self._carried.values() for _, tag in rows)
        except (Malformed, Refused) as error:
            raise Unreachable(error.reason) from None

    def change(self, task: Task[W], change: TagChange) -> None:
        rows = self._carried[task.record]
        add = plain(change.add)
        wanted = self._tags.ids(add) if add else ()
        if add and not {tag for _, tag in rows}.intersection(wanted):
            wanted = self._tags.made(change.add)
            rows.append((self._put_on(task, wanted[0]), wanted[0]))
        unwanted = _unwanted(self._tags, change, wanted)
        for row, tag in [entry for entry in rows if entry[1] in unwanted]:
            self._take_off(task, row)
            rows.remove((row, tag))

    def _put_on(self, task: Task[W], tag: str) -> str:
        """The id of the row that stands for it; empty where the vendor did not say."""
        body = {"candidate_id": int(task.record), "candidate_tag_id": int(tag)}
        return row_id(self._pen.write(task, "POST", APPLIED, body))

    def _take_off(self, task: Task[W], row: str) -> None:
        if not row:  # put on by an earlier action of this very call
            raise NotNow("the tag that was just put on is read first", after_s=0.0)
        try:
            self._pen.write(task, "DELETE", f"{APPLIED}/{row}")
        except Refused as error:
            if error.status != 404:  # 404: somebody else took it off
                raise


def find(harvest: Harvest, tags: TagList, change: TagChange) -> Outcome | None:
    """DONE where every record that still stands carries the tag and none of those to be removed;
    None where one does not, or where none stands. Raises where it cannot be read."""
    carried = read_carried(harvest, change.records)
    tags.learn(tag for rows in carried.values() for _, tag in rows)
    wanted = tags.ids(change.add)
    unwanted = _unwanted(tags, change, wanted)
    lacking = set()
    for record in change.records:
        on_it = {tag for _, tag in carried[record]}
        if on_it & unwanted:
            return None
        if change.add and not on_it.intersection(wanted):
            lacking.add(record)
    return found_but(harvest, change.records, lacking)


def found_but(
    harvest: Harvest, records: Collection[str], lacking: Collection[str]
) -> Outcome | None:
    """DONE where those that lack it are gone, and others are not; else None."""
    gone = set(lacking) - standing(harvest, lacking) if lacking else set()
    if set(lacking) - gone or gone == set(records):
        return None
    detail = {"gone": ",".join(sorted(gone))} if gone else {}
    return Outcome(OutcomeKind.DONE, "found written", detail=detail)


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


def _unwanted(tags: TagList, change: TagChange, wanted: Iterable[str]) -> set[str]:
    """Ids of the tags to take off; never those of the tag to put on."""
    return {number for name in change.remove for number in tags.ids(name)} - set(wanted)
