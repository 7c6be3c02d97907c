"""Reading a vendor's JSON: each reader says where it stood, what it found and what it expected.

A reader takes the object, the key, and where the object stands (a JSON path). What decides
something is read strictly; `null` and an absent key are the same. No value is ever quoted in an
error: it could be somebody's address. What vendors write differently (ids, times) each connector
reads by itself, in its `shapes.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warmline.core.errors import Malformed

JsonObject = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JsonReader:
    """`vendor` is named first in each error. All readers raise Malformed."""

    vendor: str

    def load(self, body: bytes) -> dict[str, Any]:
        """The body as a JSON object."""
        try:
            found = json.loads(body)
        except (ValueError, RecursionError):
            raise Malformed(f"{self.vendor}: the body is not JSON") from None
        if not isinstance(found, dict):
            raise self.fault("$", found, "an object")
        return found

    def fault(self, path: str, found: object, expected: str) -> Malformed:
        """To be raised: what stood at `path` is not what was expected."""
        return Malformed(f"{self.vendor}: {path}: found {_named(found)}, expected {expected}")

    def an_object(self, source: JsonObject, key: str, where: str) -> dict[str, Any]:
        found = source.get(key)
        if not isinstance(found, dict):
            raise self.fault(f"{where}.{key}", found, "an object")
        return found

    def object_or_none(self, source: JsonObject, key: str, where: str) -> dict[str, Any] | None:
        found = source.get(key)
        if found is None or isinstance(found, dict):
            return found
        raise self.fault(f"{where}.{key}", found, "an object or null")

    def objects(self, source: JsonObject, key: str, where: str) -> list[dict[str, Any]]:
        """A list of objects; an absent one is empty."""
        found = source.get(key)
        if found is None:
            return []
        if not isinstance(found, list):
            raise self.fault(f"{where}.{key}", found, "a list")
        for index, entry in enumerate(found):
            if not isinstance(entry, dict):
                raise self.fault(f"{where}.{key}[{index}]", entry, "an object")
        return found

    def flag_or_none(self, source: JsonObject, key: str, where: str) -> bool | None:
        found = source.get(key)
        if found is None or isinstance(found, bool):
            return found
        raise self.fault(f"{where}.{key}", found, "true, false or null")


def words(found: object) -> tuple[str, ...]:
    """The texts of a list. Lenient: used where nothing is decided by it."""
    if not isinstance(found, list):
        return ()
    return tuple(clean(word) for word in found if isinstance(word, str) and word.strip())


def clean(text: str) -> str:
    """Without what a database cannot hold: NUL, and half a surrogate pair."""
    if text.isascii():
        return text.replace("\0", "") if "\0" in text else text
    return text.encode("utf-8", "replace").decode().replace("\0", "")


def _named(found: object) -> str:
    if found is None:
        return "nothing"
    if isinstance(found, bool):
        return "true or false"
    if isinstance(found, int | float):
        return "a number"
    if isinstance(found, str):
        return "text" if found else "empty text"
    return "a list" if isinstance(found, list) else "an object"
