"""How Greenhouse writes ids, texts and times in its JSON; the rest is read by `kit.json_reader`."""

from __future__ import annotations

from datetime import UTC, datetime

from warmline.kit.json_reader import JsonObject, JsonReader, clean, words

__all__ = [
    "JsonObject", "an_object", "clean", "fault", "flag_or_none", "identifier", "identifier_or_none",
    "load", "moment_or_none", "name_or_none", "object_or_none", "objects", "text_or_none", "words",
]  # fmt: skip

ID_LENGTH_MAX = 64
_JSON = JsonReader("greenhouse")
load, fault = _JSON.load, _JSON.fault
an_object, object_or_none, objects = _JSON.an_object, _JSON.object_or_none, _JSON.objects
flag_or_none = _JSON.flag_or_none


def identifier(source: JsonObject, key: str, where: str) -> str:
    found = identifier_or_none(source, key, where)
    if found is None:
        raise fault(f"{where}.{key}", source.get(key), "an id")
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
    raise fault(f"{where}.{key}", found, "an id")


def text_or_none(source: JsonObject, key: str, where: str) -> str | None:
    """As the vendor wrote it."""
    found = source.get(key)
    if found is None:
        return None
    if isinstance(found, str):
        return clean(found)
    raise fault(f"{where}.{key}", found, "text or null")


def name_or_none(source: JsonObject, key: str, where: str) -> str | None:
    """Without the blanks around it; None where nothing is left."""
    found = text_or_none(source, key, where)
    return (found.strip() or None) if found else None


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
    raise fault(f"{where}.{key}", found, "a time in ISO 8601")
