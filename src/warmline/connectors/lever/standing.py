"""People as Lever has them now, to compare them with what should stand there."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from warmline.connectors.lever import facts
from warmline.connectors.lever.api import Account, Row, is_id
from warmline.connectors.lever.writing import DO_NOT_CONTACT_TAG, plain
from warmline.ports import Standing


def records(account: Account, ids: Sequence[str], fields: Collection[str]) -> list[Standing]:
    """One call a person, or two. Of `fields` Lever keeps the name and the address."""
    return [_standing(account, contact, fields) for contact in ids]


def _standing(account: Account, contact: str, fields: Collection[str]) -> Standing:
    rows = account.opportunities(contact) if is_id(contact) else []
    if not rows:
        found = account.one(f"contacts/{contact}") if is_id(contact) else None
        if found is None or found.get("isAnonymized"):
            return Standing(contact)
        return Standing(contact, stands_as=contact, fields=_fields(found, fields))
    newest = rows[-1]
    if facts.anonymized(newest):
        return Standing(contact)
    tags = _shared(rows)
    refused = any(facts.can_email(row) is False for row in rows)
    marked = any(plain(DO_NOT_CONTACT_TAG) == plain(tag) for row in rows for tag in _tags(row))
    return Standing(
        contact,
        stands_as=contact,
        fields=_fields(newest, fields),
        tags=tags,
        opted_out=refused or marked,
    )


def _shared(rows: Sequence[Row]) -> tuple[str, ...]:
    """The tags that every opportunity carries: one that lacks it is to get it."""
    return tuple(tag for tag in _tags(rows[0]) if all(tag in _tags(row) for row in rows))


def _tags(row: Row) -> list[str]:
    found = row.get("tags")
    return [tag for tag in found if isinstance(tag, str)] if isinstance(found, list) else []


def _fields(row: Row, wanted: Collection[str]) -> dict[str, str]:
    emails = row.get("emails")
    first = emails[0] if isinstance(emails, list) and emails else ""
    kept = {"name": str(row.get("name") or ""), "email": str(first)}
    return {name: value for name, value in kept.items() if name in wanted}
