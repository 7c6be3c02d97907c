"""Reading the vendor's JSON: each reader says where it stood, what it found and what it expected.

A reader takes the object, the key, and where the object stands (a JSON path). What decides
something (ids, addresses, times, flags) is read strictly; `null` and an absent key are the same.
No value is ever quoted in an error: it could be somebody's address.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NoReturn

from warmline.core.errors import Malformed

ID_LENGTH_MAX = 64

JsonObject = Mapping[str, Any]


def load(body: bytes) -> dict[str, Any]:
    """The body as a JSON object."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise Malformed("greenhouse: the body is not JSON") from None
    if not isinstance(found, dict):
        fail("$", found, "an object")
    return found


def fail(path: str, found: object, expected: str) -> NoReturn:
    raise Malformed(f"greenhouse: {path}: found {_named(found)}, expected {expected}")


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
    found = identifier_or_none(source, key, where)
    if found is None:
        fail(f"{where}.{key}", source.get(key), "an id")
    return found


def identifier_or_none(source: JsonObject, key: str, where: str) -> str | None:
    found = source.get(key)
    if found is None:
        return None
    # In Python True is an int, and in JSON it is no id.
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 2**63:
        return str(found)
    if isinstance(found, str) and 0 < len(found) <= ID_LENGTH_MAX:
        return clean(found)
    fail(f"{where}.{key}", found, "an id")


def text_or_none(source: JsonObject, key: str, where: str) -> str | None:
    """As the vendor wrote it."""
    found = source.get(key)
    if found is None:
        return None
    if isinstance(found, str):
        return clean(found)
    fail(f"{where}.{key}", found, "text or null")


def name_or_none(source: JsonObject, key: str, where: str) -> str | None:
    """Without the blanks around it; None where nothing is left."""
    found = text_or_none(source, key, where)
    return (found.strip() or None) if found else None


def flag_or_none(source: JsonObject, key: str, where: str) -> bool | None:
    found = source.get(key)
    if found is None or isinstance(found, bool):
        return found
    fail(f"{where}.{key}", found, "true, false or null")


def moment_or_none(source: JsonObject, key: str, where: str) -> datetime | None:
    """A moment in UTC. One without an offset is read as UTC, as Greenhouse documents its times."""
    found = source.get(key)
    if found is None or found == "":
        return None
    if isinstance(found, str):
        try:
            moment = datetime.fromisoformat(found)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            pass
    fail(f"{where}.{key}", found, "a time in ISO 8601")


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
