"""The company's list of tags, by name: kept for a while, and a missing one is made."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from warmline.connectors.greenhouse import shapes
from warmline.connectors.greenhouse.harvest import PER_PAGE_MAX, Harvest, NotAllowed, row_id
from warmline.core.errors import Malformed, Refused, Unreachable, Unsure, WarmlineError

RESOURCE = "candidate_tags"
KEPT_FOR = timedelta(minutes=10)  # a tag may be renamed there meanwhile
PAGES_MAX = 40  # 20,000 tags
# A tag that may not be made is asked for again so often: by then somebody may have made it.
REFUSED_FOR = timedelta(minutes=5)
_SAID_LENGTH_MAX = 60


class NotNow(WarmlineError):
    """What one action needs cannot be had yet. `after_s`: seconds until it is worth another try,
    where that is known."""

    def __init__(self, reason: str, *, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.after_s = after_s


def plain(name: str) -> str:
    """The form in which two names of a tag are the same: without case and stray blanks."""
    return " ".join(name.casefold().split())


class TagList:
    """Tag names and their ids, of one account. Thread-safe: whoever comes while it is read or
    while a tag is made waits for it, so that no tag is made twice."""

    def __init__(self, harvest: Harvest, *, now: Callable[[], datetime]) -> None:
        self._harvest = harvest
        self._now = now
        self._lock = threading.Lock()
        self._ids: dict[str, list[str]] = {}
        self._known: set[str] = set()
        self._nameless: set[str] = set()  # on candidates, and in no list
        self._read_at: datetime | None = None
        self._refused: dict[str, tuple[datetime, str]] = {}

    def ids(self, name: str) -> tuple[str, ...]:
        """The ids of the tags of this name, the oldest first; several where the account has it
        twice, none where it has it not."""
        with self._lock:
            self._freshen()
            return tuple(self._ids.get(plain(name), ()))

    def made(self, name: str) -> tuple[str, ...]:
        """As `ids`, but a missing tag is made. Raises NotNow where that is refused or in doubt."""
        with self._lock:
            fresh = self._freshen()
            if found := self._ids.get(plain(name)):
                return tuple(found)
            if plain(name) in self._refused:
                until, reason = self._refused[plain(name)]
                if (left := (until - self._now()).total_seconds()) > 0:
                    raise NotNow(reason, after_s=left)
            if not fresh:
                self._read()  # somebody may have made it since
            if not self._ids.get(plain(name)):
                self._make(name.strip())
            return tuple(self._ids[plain(name)])

    def learn(self, tag_ids: Iterable[str]) -> None:
        """Read the list anew where one of these is not in it: it may be another tag of a name of
        ours. An id that even the new list has not is not asked about again."""
        with self._lock:
            fresh = self._freshen()
            unknown = set(tag_ids) - self._known - self._nameless
            if unknown and not fresh:
                self._read()
            self._nameless |= unknown - self._known

    def refresh(self) -> None:
        """Read it anew: one of its ids has vanished."""
        with self._lock:
            self._read()

    def _freshen(self) -> bool:
        """Read it where it is missing or old. True where it was read just now."""
        if self._read_at is not None and self._now() - self._read_at < KEPT_FOR:
            return False
        self._read()
        return True

    def _read(self) -> None:
        rows: list[Any] = []
        params = {"per_page": str(PER_PAGE_MAX)}
        for _ in range(PAGES_MAX):
            page, cursor = self._harvest.page(RESOURCE, params)
            rows += page
            if not cursor:
                break
            params = {"cursor": cursor}
        else:
            raise Malformed(f"Greenhouse: {RESOURCE}: no end after {PAGES_MAX} pages")
        ids: dict[str, list[str]] = {}
        known: set[str] = set()
        for row in rows:
            number, name = row_id(row), row.get("name") if isinstance(row, dict) else None
            if number and isinstance(name, str):
                known.add(number)
                ids.setdefault(plain(name), []).append(number)
        for same in ids.values():
            same.sort(key=int)
        self._ids, self._known, self._read_at = ids, known, self._now()

    def _make(self, name: str) -> None:
        try:
            made = self._harvest.write("POST", RESOURCE, {"name": name})
        except (Refused, NotAllowed) as error:
            self._read()  # "has already been taken": another process was faster
            if self._ids.get(plain(name)):
                return
            shown = shapes.clean(name)[:_SAID_LENGTH_MAX]
            reason = (
                f"Greenhouse has no tag {shown!r} and refuses to make it ({error.reason}): create a"
                " candidate tag of this name there by hand, or give the API credential the scope"
                f" harvest:{RESOURCE}:create"
            )
            self._refused[plain(name)] = (self._now() + REFUSED_FOR, reason)
            raise NotNow(reason, after_s=REFUSED_FOR.total_seconds()) from None
        except Unsure as error:
            # It may be there now: the next try reads the list before it makes one.
            raise NotNow(f"it is not known whether a tag was made: {error.reason}") from None
        if number := row_id(made):
            self._ids[plain(name)] = [number]
            self._known.add(number)
            return
        self._read()
        if not self._ids.get(plain(name)):
            raise Unreachable("Greenhouse made a tag, and does not list it yet")
