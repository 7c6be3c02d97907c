"""Reading what changed: listing by listing, page by page.

Where a sweep stands is kept as text (`Mark`), so that one that was cut off, or asked to wait, goes
on where it stopped. Its end is the moment at which it began; the next one reads an overlap before
it too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from warmline.connectors.lever.api import (
    EVERYTHING,
    LIMIT_MAX,
    STALE_OFFSET,
    Account,
    Row,
    has_id,
)
from warmline.connectors.lever.reading import (
    DELETED,
    INTERVIEWS,
    OPPORTUNITIES,
    Reading,
)
from warmline.core.errors import ConfigError, Malformed, Refused
from warmline.ports import Page, Record

# Opportunities first, so that the interviews that follow find theirs.
STREAMS = (OPPORTUNITIES, INTERVIEWS, DELETED)
PAGES_MAX = 1_000_000  # of one sweep
SEEN_MAX = 50_000
# Lever may list deletions of the last thirty days only.
DELETED_SINCE_MAX = timedelta(days=29)
_LIMITS = {
    OPPORTUNITIES: LIMIT_MAX,
    INTERVIEWS: 25,  # two calls each
    DELETED: LIMIT_MAX,
}


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a sweep stands: it reads what changed `since` (milliseconds, None: everything), it
    began at `start`, `next` is Lever's token, and so many `pages` are behind it."""

    since: int | None
    start: int
    next: str = ""
    pages: int = 0

    @classmethod
    def read(cls, cursor: str, now: datetime) -> Mark:
        try:
            if not cursor.startswith("{"):
                return cls(since=int(cursor) if cursor else None, start=milliseconds(now))
            found = json.loads(cursor)
            since = found["since"]
            return cls(
                since=None if since is None else int(since),
                start=int(found["start"]),
                next=str(found["next"]),
                pages=int(found["pages"]),
            )
        except (ValueError, KeyError, TypeError):
            raise Malformed(
                "lever: the kept cursor is not one of ours",
                hint="clear it: the listing is read anew",
            ) from None

    def text(self) -> str:
        return json.dumps(asdict(self), separators=(",", ":"))


class Sweeps:
    """The three listings of one account."""

    def __init__(self, account: Account, reading: Reading, *, overlap: timedelta) -> None:
        self._account = account
        self._reading = reading
        self._overlap = overlap
        # Opportunities whose interviews were read as of this change: the overlap shows them again.
        self._seen: dict[str, object] = {}
        # The interviews of the page at hand, so that a page that had to wait half-way does not
        # begin from nothing again: it might never end.
        self._held: dict[str, Record | None] = {}
        self._held_for = ""

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        if stream not in STREAMS:
            raise ConfigError(f"lever has no listing {stream!r}; it has {', '.join(STREAMS)}")
        mark = Mark.read(cursor, now)
        resumed = bool(mark.next)
        passed = {mark.next}
        while True:
            if mark.pages >= PAGES_MAX:
                raise Malformed(f"Lever: {stream}: no end after {PAGES_MAX} pages")
            try:
                rows, following = self._page(stream, mark, now)
            except Refused as error:
                stale = error.status == 400 and STALE_OFFSET.search(error.reason)
                if not (resumed and stale):
                    raise
                # Lever forgot the token of a sweep that lay still: the sweep begins again.
                mark, resumed = Mark(since=mark.since, start=milliseconds(now)), False
                passed.clear()
                continue
            resumed = False
            if following and following in passed:
                raise Malformed(f"Lever: {stream}: a page names itself or an earlier one as next")
            passed.add(following)
            records = self._records(stream, mark, rows)
            mark = replace(mark, next=following, pages=mark.pages + 1)
            last = not following
            yield Page(stream, records, str(mark.start) if last else mark.text(), last)
            self._remember(stream, rows)  # the page is kept now
            if last:
                return

    def _page(self, stream: str, mark: Mark, now: datetime) -> tuple[list[Any], str]:
        params = {"limit": str(_LIMITS[stream])}
        since = None if mark.since is None else mark.since - milliseconds(self._overlap)
        if mark.next:
            params["offset"] = mark.next
        if stream == DELETED:
            oldest = milliseconds(now - DELETED_SINCE_MAX)
            params["deleted_at_start"] = str(max(since or 0, oldest))
            return self._account.page("opportunities/deleted", params)
        params |= {"expand": "applications", **EVERYTHING}
        if since is not None:
            params["updated_at_start"] = str(max(since, 0))
        return self._account.page("opportunities", params)

    def _records(self, stream: str, mark: Mark, rows: list[Any]) -> tuple[Record, ...]:
        whole = [row for row in rows if isinstance(row, dict) and has_id(row)]
        if len(whole) < len(rows):
            raise Malformed(f"Lever: {stream}: a record without an id")
        if stream == OPPORTUNITIES:
            return tuple(self._reading.opportunity(row) for row in whole)
        if stream == DELETED:
            return tuple(self._reading.deleted(row["id"]) for row in whole)
        where = f"{mark.since}:{mark.next}"
        if self._held_for != where:
            self._held.clear()
            self._held_for = where
        return tuple(record for row in whole if (record := self._interviews(row)) is not None)

    def _interviews(self, row: Row) -> Record | None:
        changed = row.get("updatedAt")
        if changed is not None and self._seen.get(row["id"]) == changed:
            return None
        which = f"{row['id']}:{changed}"
        if which not in self._held:
            self._held[which] = self._reading.interviews(row)
        return self._held[which]

    def _remember(self, stream: str, rows: list[Row]) -> None:
        if stream != INTERVIEWS:
            return
        if len(self._seen) >= SEEN_MAX:
            self._seen.clear()
        self._seen.update((row["id"], row.get("updatedAt")) for row in rows)
        self._held.clear()


def milliseconds(found: datetime | timedelta) -> int:
    if isinstance(found, timedelta):
        return round(found.total_seconds() * 1000)
    return round(found.astimezone(UTC).timestamp() * 1000)
