"""Contacts read back, to compare them with what should stand there: in our words and spellings."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from warmline.connectors.hubspot.contacts import Contact, Contacts
from warmline.connectors.hubspot.mapping import OPTED_OUT, Property, as_written
from warmline.ports import Standing


def records(
    api: Contacts, table: Mapping[str, Property], ids: Sequence[str], fields: Collection[str]
) -> list[Standing]:
    """One a given id, in order. A field that has no property is left out."""
    wanted = {field: table[field] for field in fields if field in table}
    names = [entry.name for entry in wanted.values()]
    found = api.by_id(ids, ["email", OPTED_OUT, *names])
    return [_standing(one, found[one], wanted, email="email" in fields) for one in ids]


def _standing(
    asked: str, contact: Contact | None, wanted: Mapping[str, Property], *, email: bool
) -> Standing:
    if contact is None:
        return Standing(asked)
    held = contact.properties
    fields = {
        field: as_written(held.get(entry.name, ""), entry.kind) for field, entry in wanted.items()
    }
    if email:
        fields["email"] = held.get("email", "").strip().lower()
    return Standing(
        external_id=asked,
        stands_as=contact.id,
        fields=fields,
        opted_out=held.get(OPTED_OUT, "").lower() == "true",
    )
