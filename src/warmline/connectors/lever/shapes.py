"""Reading Lever's JSON: each reader says where it stood, what it found and what it expected.

What decides something (ids, addresses, times, flags) is read strictly; `null` and an absent key are
the same. No value is ever quoted in an error: it could be somebody's address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from warmline.connectors.lever.api import is_id
from warmline.core.errors import Malformed

JsonObject = Mapping[str, Any]
MS_MAX = 4_102_444_800_000  # the year 2100


def load(body: bytes) -> dict[str, Any]:
    """The body as a JSON object."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("lever: the body is not JSON") from None
    if not isinstance(found, dict):
        fail("$", found, "an object")
    return found


def fail(path: str, found: object, expected: str) -> NoReturn:
    raise Malformed(f"lever: {path}: found {_named(found)}, expected {expected}")


def an_object(source: JsonObject, key: str, where: str) -> dict[str, Any]:
    found = source.get(key)
    if not isinstance(found, dict):
        fail(f"{where}.{key}", found, "an object")
    return found


def object_or_none(source: JsonObject, key: str, where: str) -> dict[str, Any] | None:
    found = source.get(key)
    if found is None or isinstance(found, dict):
        return found
    fail(f"{where}.{key}", found, "an object or null")


def objects(source: JsonObject, key: str, where: str) -> list[dict[str, Any]]:
    """A list of objects; an absent one is empty."""
    found = source.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        fail(f"{where}.{key}", found, "a list")
    for index, entry in enumerate(found):
        if not isinstance(entry, dict):
            fail(f"{where}.{key}[{index}]", entry, "an object")
    return found


def identifier(source: JsonObject, key: str, where: str) -> str:
    found = source.get(key)
    if not is_id(found):
        fail(f"{where}.{key}", found, "an id")
    return str(found)


def identifier_or_none(source: JsonObject, key: str, where: str) -> str | None:
    return None if source.get(key) is None else identifier(source, key, where)


def text_or_none(source: JsonObject, key: str, where: str) -> str | None:
    """Without the blanks around it; None where nothing is left."""
    found = source.get(key)
    if found is None:
        return None
    if not isinstance(found, str):
        fail(f"{where}.{key}", found, "text or null")
    return clean(found).strip() or None


def flag_or_none(source: JsonObject, key: str, where: str) -> bool | None:
    found = source.get(key)
    if found is None or isinstance(found, bool):
        return found
    fail(f"{where}.{key}", found, "true, false or null")


def moment_or_none(source: JsonObject, key: str, where: str) -> datetime | None:
    """Lever counts milliseconds since 1970."""
    found = source.get(key)
    if found is None:
        return None
    if type(found) is int and 0 <= found <= MS_MAX:
        return datetime.fromtimestamp(found / 1000, UTC)
    fail(f"{where}.{key}", found, "a time in milliseconds since 1970")


def texts(source: JsonObject, key: str, where: str) -> tuple[str, ...]:
    """A list of texts; an absent one is empty. Empty texts are left out."""
    found = source.get(key)
    if found is None:
        return ()
    if not isinstance(found, list):
        fail(f"{where}.{key}", found, "a list")
    for index, entry in enumerate(found):
        if not isinstance(entry, str):
            fail(f"{where}.{key}[{index}]", entry, "text")
    return words(found)


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
