"""The candidate's custom fields that a connection may be set to fill: are they there, does the type
fit, and which value goes in.

A PATCH names ours alone. The older Harvest documents that the fields which it does not name stay as
they are; that v3 does the same is said nowhere. So the first PATCH is looked at (`Proof`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from warmline.connectors.greenhouse import moments, shapes
from warmline.connectors.greenhouse.harvest import PER_PAGE_MAX, Harvest
from warmline.core.errors import Malformed, Refused, Unreachable

RESOURCE = "custom_fields"
OF_CANDIDATES = {"field_type": "candidate", "per_page": str(PER_PAGE_MAX)}
KEPT_FOR = timedelta(minutes=10)  # a field may be changed there meanwhile
PAGES_MAX = 10  # 5,000 fields
SHORT_TEXT_LENGTH_MAX = 255

_TEXT = ("short_text", "long_text")
# Field → the types of a custom field that can hold it.
TYPES: Mapping[str, tuple[str, ...]] = {
    "click_date": ("date", *_TEXT),
    "email_subject": _TEXT,
    "link_url": ("url", *_TEXT),
    "unsubscribe_date": ("date", *_TEXT),
}
DATES = frozenset({"click_date", "unsubscribe_date"})
Definitions = Mapping[str, str]  # name_key → value_type, of those in use


def definitions(rows: Iterable[object]) -> Definitions:
    """Of a listing of custom fields; those of other things and those put away are left out."""
    found = {}
    for row in rows:
        if not isinstance(row, dict) or row.get("field_type", "candidate") != "candidate":
            continue
        key, kind = row.get("name_key"), row.get("value_type")
        if isinstance(key, str) and isinstance(kind, str) and row.get("active") is not False:
            found[key] = kind
    return found


def misfit(field: str, key: str, known: Definitions) -> str:
    """Why the field cannot go there; empty where it can."""
    if key not in known:
        return (
            f"Greenhouse has no custom field {key!r} on candidates, which the setting fields names"
            f" for {field}: create it (Configure, Custom Options, Candidates; its immutable field"
            " key counts), or change the setting"
        )
    if known[key] not in TYPES[field]:
        return (
            f"the custom field {key!r} has the type {known[key]}, and {field} needs one of"
            f" {', '.join(TYPES[field])}: name another in the setting fields"
        )
    return ""


class CustomFields:
    """Those named in the connection's setting `fields` (field → name_key). Thread-safe."""

    def __init__(
        self, harvest: Harvest, named: Mapping[str, str], *, now: Callable[[], datetime]
    ) -> None:
        self._harvest = harvest
        self._named = named
        self._now = now
        self._lock = threading.Lock()
        self._known: Definitions = {}
        self._read_at: datetime | None = None

    def named(self, fields: Iterable[str]) -> dict[str, str]:
        """Of these fields, those that go into a custom field → its name_key."""
        return {field: self._named[field] for field in fields if field in self._named}

    def values(self, fields: Mapping[str, str]) -> dict[str, str]:
        """Field → the value for its custom field. Raises Refused where there is no such custom
        field or where the value does not fit it."""
        named = self.named(field for field, text in fields.items() if text.strip())
        if not named:
            return {}
        with self._lock:
            fresh = self._freshen()
            if not fresh and any(misfit(f, key, self._known) for f, key in named.items()):
                self._read()  # somebody may have mended it since
            known = self._known
        wrong = filter(None, (misfit(field, key, known) for field, key in named.items()))
        if reason := next(wrong, ""):
            raise Refused(reason)
        return {field: _value(field, known[key], fields[field]) for field, key in named.items()}

    def _freshen(self) -> bool:
        if self._read_at is not None and self._now() - self._read_at < KEPT_FOR:
            return False
        self._read()
        return True

    def _read(self) -> None:
        rows: list[Any] = []
        params = dict(OF_CANDIDATES)
        try:
            for _ in range(PAGES_MAX):
                page, cursor = self._harvest.page(RESOURCE, params)
                rows += page
                if not cursor:
                    break
                params = {"cursor": cursor}
        except (Malformed, Refused) as error:
            raise Unreachable(error.reason) from None
        self._known, self._read_at = definitions(rows), self._now()


def _value(field: str, kind: str, text: str) -> str:
    text = shapes.clean(text).strip()
    if field in DATES:
        found = moments.read(text)
        if found is None:
            raise Refused(f"{field}: found no date, expected one like 2026-03-02")
        if kind == "date":
            return found.day.isoformat()
    if kind == "url" and not text.lower().startswith(("http://", "https://")):
        raise Refused(f"{field}: found no web address, expected one that begins with https://")
    if kind == "short_text" and len(text) > SHORT_TEXT_LENGTH_MAX:
        return text[: SHORT_TEXT_LENGTH_MAX - 1] + "…"
    return text


def standing_values(row: Mapping[str, Any]) -> dict[str, Any]:
    """name_key → value, of a candidate as Greenhouse lists it; empty ones left out."""
    found = row.get("custom_fields")
    if not isinstance(found, dict):
        return {}
    values = {k: v.get("value") if isinstance(v, dict) else v for k, v in found.items()}
    return {key: value for key, value in values.items() if value not in (None, "", [])}


def to_write(
    wanted: Mapping[str, str], named: Mapping[str, str], there: Mapping[str, Any]
) -> dict[str, str]:
    """name_key → value, of what is not so yet. Nothing where the date that stands there is newer
    than ours: then the rest there belongs to it too (I6)."""
    for field in DATES.intersection(wanted):
        ours, theirs = moments.read(wanted[field]), moments.read(there.get(named[field]))
        if ours is not None and theirs is not None and theirs.after(ours):
            return {}
    values = {named[field]: value for field, value in wanted.items()}
    return {key: value for key, value in values.items() if there.get(key) != value}


def as_body(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"name_key": key, "value": value} for key, value in values.items()]


class Proof:
    """Does a PATCH leave the custom fields alone that it does not name? The first one that could
    tell does. Shared by the account's runs."""

    def __init__(self) -> None:
        self.open = True
        self.reason = ""  # why no custom field is written any more

    def lost(
        self, before: Mapping[str, Any], after: Mapping[str, Any], ours: Sequence[str]
    ) -> dict[str, Any]:
        """What stood there before and is empty now, where that is all of it: one may have been
        emptied by a recruiter. `ours`: the keys that were written."""
        others = {key: value for key, value in before.items() if key not in ours}
        lost = {key: value for key, value in others.items() if key not in after}
        if not others:
            return {}  # nothing to tell it by
        if lost != others:
            self.open = False
            return {}
        self.reason = (
            "Greenhouse emptied a candidate's other custom fields when ours were written (they were"
            " put back): none is written any more; take the setting fields out, and report it"
        )
        return lost
