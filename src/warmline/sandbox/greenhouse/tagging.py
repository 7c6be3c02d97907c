"""Tags in the simulated Greenhouse: the company's list, and the row for each tag on a candidate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from warmline.sandbox.greenhouse.tables import InvalidError, Row

if TYPE_CHECKING:
    from warmline.sandbox.greenhouse.world import World


class Tagging:
    """The tags of one company. The caller holds `World.lock`.

    `writes` and `removals` count what the API was told, by (candidate id, tag name), whether or
    not it changed anything: a test sees there that everybody was tagged exactly once.
    """

    def __init__(self, world: World) -> None:
        """Nobody has a tag yet."""
        self._world = world
        self._ids: dict[str, int] = {}
        self.writes: Counter[tuple[int, str]] = Counter()
        self.removals: Counter[tuple[int, str]] = Counter()

    def named(self, name: str) -> int:
        """The id of the tag of that name, made when there is none."""
        if name not in self._ids:
            self._ids[name] = self.add(name)["id"]
        return self._ids[name]

    def taken(self, name: str) -> bool:
        """Whether there is a tag of that name, in any case of letters."""
        wanted = name.casefold()
        rows = self._world.candidate_tags.rows.values()
        return any(row["name"].casefold() == wanted for row in rows)

    def add(self, name: str) -> Row:
        """One more tag in the list, though there be one of the same name."""
        return self._world.add("candidate_tags", {"name": name})

    def rename(self, tag_id: int, name: str) -> None:
        """Another name for a tag, and for whoever carries it."""
        row = self._world.candidate_tags.get(tag_id)
        self._ids.pop(row["name"], None)
        row["name"] = name
        self._ids.setdefault(name, tag_id)
        for candidate_id in self._carriers(tag_id):
            self._show(self._world.candidates.get(candidate_id))

    def remove(self, tag_id: int) -> None:
        """Drop a tag from the list and from every candidate."""
        row = self._world.candidate_tags.get(tag_id)
        for applied in list(self._world.applied_candidate_tags.rows.values()):
            if applied["candidate_tag_id"] == tag_id:
                self.take_off(applied)
        if self._ids.get(row["name"]) == tag_id:
            del self._ids[row["name"]]
        self._world.candidate_tags.remove(tag_id)

    def put_on(self, candidate: Row, tag_id: int) -> Row:
        """Put a tag on a candidate; the row that stands for it. Raises InvalidError where one is
        there."""
        if self._row(candidate, tag_id) is not None:
            raise InvalidError("candidate_tag_id", "has already been taken")
        fields = {"candidate_id": candidate["id"], "candidate_tag_id": tag_id}
        row = self._world.add("applied_candidate_tags", fields)
        self._show(candidate)
        return row

    def take_off(self, row: Row) -> None:
        """Take a tag off, by its row."""
        self._world.applied_candidate_tags.remove(row["id"])
        self._show(self._world.candidates.get(row["candidate_id"]))

    def replace(self, candidate: Row, names: Iterable[Any]) -> None:
        """Exactly these, in this order: what is not named comes off."""
        wanted = list(dict.fromkeys(str(name) for name in names))
        ids = [self.named(name) for name in wanted]
        for row in self._world.applied_candidate_tags.where("candidate_id", candidate["id"]):
            if row["candidate_tag_id"] not in ids:
                self.take_off(row)
        for tag_id in ids:
            if self._row(candidate, tag_id) is None:
                self.put_on(candidate, tag_id)
        candidate["tags"] = wanted

    def counts(self) -> list[Row]:
        """The two counters, as the control API shows them."""
        keys = sorted({*self.writes, *self.removals})
        return [
            {
                "candidate_id": candidate_id,
                "tag": tag,
                "writes": self.writes[candidate_id, tag],
                "removals": self.removals[candidate_id, tag],
            }
            for candidate_id, tag in keys
        ]

    def name_of(self, tag_id: int) -> str:
        """What the tag is called. Raises LookupError."""
        return str(self._world.candidate_tags.get(tag_id)["name"])

    def _row(self, candidate: Row, tag_id: int) -> Row | None:
        rows = self._world.applied_candidate_tags.where("candidate_id", candidate["id"])
        return next((row for row in rows if row["candidate_tag_id"] == tag_id), None)

    def _carriers(self, tag_id: int) -> set[int]:
        rows = self._world.applied_candidate_tags.rows.values()
        return {row["candidate_id"] for row in rows if row["candidate_tag_id"] == tag_id}

    def _show(self, candidate: Row) -> None:
        """What the candidate's own row says of it: names, each once."""
        rows = self._world.applied_candidate_tags.where("candidate_id", candidate["id"])
        names = (self.name_of(row["candidate_tag_id"]) for row in rows)
        candidate["tags"] = list(dict.fromkeys(names))
        self._world.touch(candidate)
