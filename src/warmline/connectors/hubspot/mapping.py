"""Warmline's words and HubSpot's, side by side: every translation is a row of a table here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum

from warmline.core.errors import ConfigError
from warmline.core.events import EventKind


class Kind(StrEnum):
    """What a property holds, as HubSpot's `type` has it."""

    TEXT = "string"  # any text
    DATE = "date"  # a day, YYYY-MM-DD
    TIME = "datetime"  # a moment, ISO 8601 in UTC


# What the property editor in HubSpot calls each kind.
EDITOR: Mapping[Kind, str] = {
    Kind.TEXT: "Single-line text",
    Kind.DATE: "Date picker",
    Kind.TIME: "Date and time picker",
}


@dataclass(frozen=True, slots=True)
class Property:
    """A contact property: its internal name, its label in HubSpot, what it holds."""

    name: str
    label: str
    kind: Kind = Kind.TEXT


# Warmline field -> HubSpot property. `name` is written as its two halves. `email` has no row: it
# finds the contact, or is the primary address of a new one, and never overwrites another.
PROPERTIES: Mapping[str, Property] = {
    "first_name": Property("firstname", "First name"),
    "last_name": Property("lastname", "Last name"),
    "applied_role": Property("applied_role", "Applied role"),
    "application_date": Property("application_date", "Application date", Kind.DATE),
    "recruiter_owner": Property("recruiter_owner", "Recruiter owner"),
    "stage": Property("candidate_stage", "Candidate stage"),
    "interview_date": Property("interview_date", "Interview date", Kind.TIME),
    "interviewer": Property("interviewer", "Interviewer"),
    "rejection_date": Property("rejection_date", "Rejection date", Kind.DATE),
    "skill_tags": Property("skill_tags", "Skill tags"),
    "click_date": Property("click_date", "Click date", Kind.TIME),
    "email_subject": Property("email_subject", "Email subject"),
    "link_url": Property("link_url", "Link URL"),
    "unsubscribe_date": Property("unsubscribe_date", "Unsubscribe date", Kind.DATE),
}

# HubSpot's subscription type -> what happened. A property change is looked up further below.
SUBSCRIPTIONS: Mapping[str, EventKind] = {
    "contact.creation": EventKind.CANDIDATE_UPDATED,
    "contact.restore": EventKind.CANDIDATE_UPDATED,
    "contact.propertyChange": EventKind.CANDIDATE_UPDATED,
    "contact.merge": EventKind.CANDIDATE_MERGED,
    "contact.deletion": EventKind.CANDIDATE_DELETED,
    "contact.privacyDeletion": EventKind.CANDIDATE_DELETED,
}

# Known words that say nothing to us.
UNMAPPED: frozenset[str] = frozenset({"contact.associationChange"})

# A changed property that means more than "the record was edited". We write none of them.
SIGNALS: Mapping[str, EventKind] = {
    "hs_email_optout": EventKind.CANDIDATE_UNSUBSCRIBED,
    "hs_email_last_open_date": EventKind.MESSAGE_OPENED,
    "hs_email_last_click_date": EventKind.MESSAGE_CLICKED,
    "hs_email_last_reply_date": EventKind.MESSAGE_REPLIED,
    "hs_sales_email_last_replied": EventKind.MESSAGE_REPLIED,
    "hs_email_hard_bounce_reason_enum": EventKind.MESSAGE_BOUNCED,
}

# Whether the contact's primary address has opted out of all mail.
OPTED_OUT = "hs_email_optout"

# One for each subscription type of the account: `hs_email_optout_<id>`.
OPTOUT_PREFIX = "hs_email_optout_"


def signal(property_name: str) -> EventKind | None:
    if property_name.startswith(OPTOUT_PREFIX):
        return EventKind.CANDIDATE_UNSUBSCRIBED
    return SIGNALS.get(property_name)


def properties_from(overrides: object) -> dict[str, Property]:
    """The table above with the connection's own names. ConfigError where they cannot be."""
    table = dict(PROPERTIES)
    if overrides is None:
        return table
    if not isinstance(overrides, Mapping):
        raise ConfigError("hubspot: `properties` must be a table of field: property")
    for field, name in overrides.items():
        if field not in PROPERTIES:
            raise ConfigError(
                f"hubspot: `properties` names the field {str(field)[:40]!r}; "
                f"expected some of {', '.join(PROPERTIES)}",
                hint="name is written as first_name and last_name; email cannot be moved",
            )
        if name is None or name == "":
            del table[field]
            continue
        if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,99}", name):
            raise ConfigError(
                f"hubspot: `properties.{field}` must be a property's internal name "
                "(lower-case letters, digits, underscores)"
            )
        if name == "email" or name.startswith("hs_"):
            raise ConfigError(f"hubspot: `properties.{field}`: {name} is HubSpot's own")
        table[field] = replace(table[field], name=name)
    names = [entry.name for entry in table.values()]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"hubspot: `properties` gives {', '.join(doubled)} to two fields")
    return table


def values_for(fields: Mapping[str, str], table: Mapping[str, Property]) -> dict[str, str]:
    """What to write: property -> value. ValueError, naming the field, where a date is none.

    An empty value clears its property, but for the names: nobody's name is erased by an absence.
    """
    found: dict[str, str] = {}
    halves = _names(fields)
    for field, entry in table.items():
        value = halves.get(field) if field in _HALVES else fields.get(field)
        if value is not None:
            found[entry.name] = _written(field, value.strip(), entry.kind)
    return found


def same(wanted: str, held: str | None, kind: Kind) -> bool:
    """Whether the property holds what was to be written, however HubSpot spells it."""
    held = (held or "").strip()
    if wanted == held or not wanted or not held:
        return wanted == held
    if kind is Kind.TEXT:
        return False
    there = moment(held)
    if there is None:
        return False
    if kind is Kind.DATE:
        return there.date().isoformat() == wanted
    return there == moment(wanted)


def as_written(held: str, kind: Kind) -> str:
    """What stands in a property, in the ledger's own spelling: a day as YYYY-MM-DD, a moment as ISO
    8601 in UTC. What is no time there is given as it stands."""
    held = held.strip()
    there = None if kind is Kind.TEXT else moment(held)
    if there is None:
        return held
    return (
        there.date().isoformat() if kind is Kind.DATE else there.isoformat().replace("+00:00", "Z")
    )


def moment(text: str) -> datetime | None:
    """ISO 8601 or milliseconds since 1970, as HubSpot writes times; None where it is neither."""
    try:
        if re.fullmatch(r"\d{1,15}", text):
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None


_HALVES = ("first_name", "last_name")


def _names(fields: Mapping[str, str]) -> dict[str, str]:
    """The two halves: as given, else the first word of the name and the rest of it."""
    halves = {half: fields.get(half, "").strip() for half in _HALVES}
    if not any(halves.values()):
        first, _, last = fields.get("name", "").strip().partition(" ")
        halves = {"first_name": first, "last_name": last.strip()}
    return {half: value for half, value in halves.items() if value}


def _written(field: str, value: str, kind: Kind) -> str:
    if kind is Kind.TEXT or not value:
        return value
    found = None if value.isdigit() else moment(value)
    if found is None:
        raise ValueError(f"{field} is not an ISO 8601 time")
    if kind is Kind.DATE:
        return found.date().isoformat()
    return found.isoformat(timespec="milliseconds").replace("+00:00", "Z")
