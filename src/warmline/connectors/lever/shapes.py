"""How Lever writes ids, texts and times in its JSON; the rest is read by `kit.json_reader`."""

from __future__ import annotations

from datetime import UTC, datetime

from warmline.connectors.lever.api import is_id
from warmline.kit.json_reader import JsonObject, JsonReader, clean, words

__all__ = [
    "JsonObject", "an_object", "clean", "fault", "flag_or_none", "identifier", "identifier_or_none",
    "load", "moment_or_none", "object_or_none", "objects", "text_or_none", "texts", "words",
]  # fmt: skip

MS_MAX = 4_102_444_800_000  # the year 2100
_JSON = JsonReader("lever")
load, fault = _JSON.load, _JSON.fault
an_object, object_or_none, objects = _JSON.an_object, _JSON.object_or_none, _JSON.objects
flag_or_none = _JSON.flag_or_none


def identifier(source: JsonObject, key: str, where: str) -> str:
    found = source.get(key)
    if not is_id(found):
        raise fault(f"{where}.{key}", found, "an id")
    return str(found)


def identifier_or_none(source: JsonObject, key: str, where: str) -> str | None:
    return None if source.get(key) is None else identifier(source, key, where)


def text_or_none(source: JsonObject, key: str, where: str) -> str | None:
    """Without the blanks around it; None where nothing is left."""
    found = source.get(key)
    if found is None:
        return None
    if not isinstance(found, str):
        raise fault(f"{where}.{key}", found, "text or null")
    return clean(found).strip() or None


def moment_or_none(source: JsonObject, key: str, where: str) -> datetime | None:
    """Lever counts milliseconds since 1970."""
    found = source.get(key)
    if found is None:
        return None
    if type(found) is int and 0 <= found <= MS_MAX:
        return datetime.fromtimestamp(found / 1000, UTC)
    raise fault(f"{where}.{key}", found, "a time in milliseconds since 1970")


def texts(source: JsonObject, key: str, where: str) -> tuple[str, ...]:
    """A list of texts; an absent one is empty. Empty texts are left out."""
    found = source.get(key)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise fault(f"{where}.{key}", found, "a list")
    for index, entry in enumerate(found):
        if not isinstance(entry, str):
            raise fault(f"{where}.{key}[{index}]", entry, "text")
    return words(found)
