"""The Lever API: its key, its pace, its pages, single records, and the names behind ids."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeGuard

from warmline.connectors.lever.pacing import Pace
from warmline.core.errors import AuthFailed, ConfigError, Malformed, Refused, Throttled, Unsure
from warmline.kit.http import TIMEOUT_S, Door
from warmline.ports import Verdict

LIMIT_MAX = 100
LOOK_UP_PAGES_MAX = 20  # 2,000 notes or opportunities of one person: something is wrong
NAMES_MAX = 50_000
NAMES_KEPT_FOR = timedelta(hours=1)
EVERYTHING = {"confidentiality": "all"}  # without it Lever leaves confidential ones out
STALE_OFFSET = re.compile(r"invalid offset token", re.IGNORECASE)
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Access:
    """What it takes to speak to one account."""

    base_url: str
    api_key: str
    perform_as: str = ""
    timeout_s: float = TIMEOUT_S


class NotAllowed(AuthFailed):
    """403: the key is good and lacks the right to this endpoint, or the account's plan does."""

    def __init__(self, reason: str, *, hint: str, verdict: Verdict) -> None:
        super().__init__(reason, hint=hint)
        self.verdict = verdict


class Account:
    """One Lever account. Thread-safe. Throttled, Unreachable and AuthFailed pass to the caller."""

    def __init__(self, access: Access, *, now: Callable[[], datetime]) -> None:
        self._access = access
        self._now = now
        self._door = Door(access.base_url, vendor="Lever", timeout_s=access.timeout_s, now=now)
        self._pace = Pace(now)
        self._lock = threading.Lock()
        # What rarely changes, by path. None: Lever has no such record, or shows it to nobody.
        self._kept: dict[str, Row | None] = {}
        self._kept_since = now()

    def close(self) -> None:
        self._door.close()

    def page(self, path: str, params: Mapping[str, str]) -> tuple[list[Any], str]:
        """The rows of one page, and the token of the next one, empty where there is none."""
        found = self._ask("GET", path, params=params)
        rows = found.get("data")
        if not isinstance(rows, list):
            raise Malformed(f"Lever: /{path}: found no list under data")
        following = found.get("next") if found.get("hasNext") else ""
        if not isinstance(following, str):
            raise Malformed(f"Lever: /{path}: hasNext without a token under next")
        return rows, following

    def rows(self, path: str, **params: str) -> Iterator[Row]:
        """Every row of a listing that is known to be short."""
        query = {"limit": str(LIMIT_MAX), **params}
        for _ in range(LOOK_UP_PAGES_MAX):
            rows, following = self.page(path, query)
            yield from (row for row in rows if isinstance(row, dict))
            if not following:
                return
            query["offset"] = following
        raise Malformed(f"Lever: /{path}: no end after {LOOK_UP_PAGES_MAX} pages")

    def one(self, path: str, **params: str) -> Row | None:
        """One record; None where Lever has none such."""
        try:
            found = self._ask("GET", path, params=params).get("data")
        except Refused as error:
            if error.status in (404, 410):
                return None
            raise
        if not isinstance(found, dict):
            raise Malformed(f"Lever: /{path}: found no object under data")
        return found

    def opportunities(self, contact: str) -> list[Row]:
        """Every opportunity of one person, the oldest first."""
        found = [
            row
            for row in self.rows(
                "opportunities", contact_id=contact, expand="applications", **EVERYTHING
            )
            if row.get("contact") == contact
        ]
        return sorted(found, key=lambda row: _number(row.get("createdAt")))

    def named(self, path: str) -> Row | None:
        """A record that rarely changes, such as `users/<id>`, from memory where it is there."""
        self._freshen()
        if path not in self._kept:
            try:
                found = self.one(path)
            except NotAllowed:
                found = None  # a confidential posting, or a listing that the key may not read
            with self._lock:
                if len(self._kept) >= NAMES_MAX:
                    self._kept.clear()
                self._kept[path] = found
        return self._kept.get(path)

    def listed(self, path: str, **params: str) -> dict[str, Row]:
        """A short listing by id, from memory where it is there."""
        self._freshen()
        key = f"{path}?{sorted(params.items())}"
        if key not in self._kept:
            rows = {row["id"]: row for row in self.rows(path, **params) if has_id(row)}
            with self._lock:
                self._kept[key] = rows
        return self._kept.get(key) or {}

    def write(self, path: str, body: object) -> Row:
        """One change, by POST. Raises NotAllowed on 403, Refused on another no, Unsure where no
        answer came, or one that holds no record: an error under a good status confirms nothing."""
        params = {"perform_as": self._access.perform_as} if self._access.perform_as else {}
        found = self._ask("POST", path, params=params, body=body)
        if not isinstance(found.get("data"), dict):
            raise Unsure(f"Lever: /{path}: a change was answered without a record")
        return found

    def _freshen(self) -> None:
        with self._lock:
            if abs(self._now() - self._kept_since) >= NAMES_KEPT_FOR:
                self._kept.clear()
                self._kept_since = self._now()

    def _ask(
        self, method: str, path: str, *, params: Mapping[str, str], body: object = None
    ) -> Row:
        if not self._access.api_key:
            raise ConfigError(
                "lever: api_key is not set, and nothing can be read or written without it",
                hint="create one in Lever: Settings, Integrations and API, API credentials",
            )
        self._pace.take()
        pair = base64.b64encode(f"{self._access.api_key}:".encode()).decode()
        try:
            answer = self._door.call(
                method,
                f"/{path}",
                params=params,
                body=body,
                headers={"authorization": f"Basic {pair}"},
                accept=(401,),
            )
        except AuthFailed as error:  # the door's words for 403
            raise denied(method, path, error.reason) from None
        except Throttled as error:
            raise Throttled(
                error.reason, after_s=max(error.after_s, self._pace.refused())
            ) from None
        self._pace.answered()
        if answer.status_code == 401:
            raise AuthFailed(
                "Lever does not know this API key (401)",
                hint="check api_key, and that base_url is that of the account's own kind: sandbox"
                " accounts have another one",
            )
        if not answer.content and method != "GET":
            return {}
        try:
            found = self._door.json(answer)
        except Malformed:
            if method != "GET":
                return {}  # it was done: the status says so
            raise
        if not isinstance(found, dict):
            raise Malformed(f"Lever: /{path}: the answer is no object")
        return found


def denied(method: str, path: str, said: str) -> NotAllowed:
    """403: what the key may do, or what the account's plan includes."""
    resource = resource_of(path)
    verb = "read" if method == "GET" else "write"
    verdict = Verdict.of_answer(403, said)
    hint = f"give the key the right to {verb} {resource} in Lever: Settings, Integrations and API"
    if verdict is Verdict.PLAN:
        hint = "ask Lever which plan has it, or leave what needs it out of the triggers"
    return NotAllowed(
        f"Lever does not let this API key {verb} {resource} ({said})", hint=hint, verdict=verdict
    )


def resource_of(path: str) -> str:
    """`opportunities/<id>/notes` is about notes."""
    words = [word for word in path.split("/") if not re.search(r"\d", word)]
    named = {"addTags": "tags", "removeTags": "tags", "deleted": "opportunities"}
    return named.get(words[-1], words[-1]) if words else path


def is_id(found: object) -> TypeGuard[str]:
    """Whether Lever could have given this id; anything else must not stand in an address."""
    return isinstance(found, str) and _ID.fullmatch(found) is not None


def has_id(row: Mapping[str, Any]) -> bool:
    return is_id(row.get("id"))


def _number(found: object) -> int:
    return found if type(found) is int else 0
