"""Contact properties: their definitions, and how a written value is checked and kept as text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from warmline.sandbox.clock import iso_ms, parse_iso

Definition = dict[str, Any]
EMAIL = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;.\"]{2,}")
DAY_MS = 86_400_000
VALUE_MAX = 65_536

STANDARD = (
    # name, label, type, read only
    ("email", "Email", "string", False),
    ("firstname", "First Name", "string", False),
    ("lastname", "Last Name", "string", False),
    ("phone", "Phone Number", "string", False),
    ("mobilephone", "Mobile Phone Number", "string", False),
    ("company", "Company Name", "string", False),
    ("jobtitle", "Job Title", "string", False),
    ("city", "City", "string", False),
    ("country", "Country/Region", "string", False),
    ("website", "Website URL", "string", False),
    ("lifecyclestage", "Lifecycle Stage", "string", False),
    ("hs_lead_status", "Lead Status", "string", False),
    ("hubspot_owner_id", "Contact owner", "string", False),
    ("hs_object_id", "Record ID", "number", True),
    ("createdate", "Create Date", "datetime", True),
    ("lastmodifieddate", "Last Modified Date", "datetime", True),
    ("hs_additional_emails", "Additional email addresses", "string", True),
    ("hs_email_optout", "Unsubscribed from all email", "bool", True),
    ("hs_email_hard_bounce_reason_enum", "Email hard bounce reason", "string", True),
    ("hs_email_last_open_date", "Last marketing email open date", "datetime", True),
    ("hs_email_last_click_date", "Last marketing email click date", "datetime", True),
    ("hs_email_last_reply_date", "Last marketing email reply date", "datetime", True),
    ("hs_email_last_email_name", "Last marketing email name", "string", True),
    ("hs_merged_object_ids", "Merged record IDs", "string", True),
)
CUSTOM = (
    # What the product's default mapping writes.
    ("applied_role", "Applied role", "string"),
    ("application_date", "Application date", "date"),
    ("recruiter_owner", "Recruiter owner", "string"),
    ("candidate_stage", "Candidate stage", "string"),
    ("interview_date", "Interview date", "datetime"),
    ("interviewer", "Interviewer", "string"),
    ("warmline_candidate_id", "Warmline candidate", "string"),
    ("warmline_segment", "Warmline segment", "string"),
    ("rejection_date", "Rejection date", "date"),
    ("skill_tags", "Skill tags", "string"),
    ("click_date", "Click date", "datetime"),
    ("email_subject", "Email subject", "string"),
    ("link_url", "Link URL", "string"),
    ("unsubscribe_date", "Unsubscribe date", "date"),
)
FIELD_TYPES = {"date": "date", "datetime": "date", "bool": "booleancheckbox"}
TYPES = frozenset({"string", "number", "date", "datetime", "bool", "enumeration", "phone_number"})


class PropertyError(ValueError):
    """A value that the property does not take: the vendor's error code and sentence."""

    def __init__(self, name: str, code: str, message: str) -> None:
        super().__init__(message)
        self.name = name
        self.code = code

    def as_json(self) -> dict[str, Any]:
        """One entry of the list inside the vendor's message."""
        return {
            "isValid": False,
            "message": str(self),
            "error": self.code,
            "name": self.name,
            "localizedErrorMessage": str(self),
        }


def definition(
    name: str, label: str, kind: str, read_only: bool, custom: bool, at: str
) -> Definition:
    """A property as `GET /crm/v3/properties/contacts` shows it."""
    return {
        "name": name,
        "label": label,
        "type": kind,
        "fieldType": FIELD_TYPES.get(kind, "text"),
        "description": "",
        "groupName": "contactinformation",
        "options": [],
        "displayOrder": -1,
        "calculated": False,
        "externalOptions": False,
        "hasUniqueValue": name in {"email", "hs_object_id"},
        "hidden": False,
        "hubspotDefined": not custom,
        "modificationMetadata": {
            "archivable": custom,
            "readOnlyDefinition": not custom,
            "readOnlyValue": read_only,
        },
        "formField": False,
        "archived": False,
        "createdAt": at,
        "updatedAt": at,
    }  # fmt: skip


def default_definitions(at: str) -> dict[str, Definition]:
    """The account as it stands on the first day."""
    found = {n: definition(n, label, k, ro, False, at) for n, label, k, ro in STANDARD}
    found.update({n: definition(n, label, k, False, True, at) for n, label, k in CUSTOM})
    return found


def clean_value(made: Definition, value: Any) -> str:
    """The text that is kept. An empty value clears. Raises PropertyError."""
    name, kind = made["name"], made["type"]
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        text = "true" if value else "false"
    elif isinstance(value, str | int | float):
        text = str(value)
    else:
        raise PropertyError(
            name, "INVALID_STRING", f"{name} takes text, not {type(value).__name__}."
        )
    if len(text) > VALUE_MAX:
        raise PropertyError(name, "PROPERTY_VALUE_TOO_LONG", f"{name} is longer than {VALUE_MAX}.")
    if name == "email":
        return _email(text)
    if kind == "date":
        return _date(name, text)
    if kind == "datetime":
        return _datetime(name, text)
    if kind == "number":
        return _number(name, text)
    if kind == "bool" and text not in {"true", "false"}:
        raise PropertyError(name, "INVALID_OPTION", f"{text} was not one of the allowed options.")
    if kind == "enumeration":
        options = [option["value"] for option in made["options"]]
        if text not in options:
            message = f"{text} was not one of the allowed options: {options}"
            raise PropertyError(name, "INVALID_OPTION", message)
    return text


def _email(text: str) -> str:
    address = text.strip().lower()
    if not EMAIL.fullmatch(address) or ".." in address:
        raise PropertyError("email", "INVALID_EMAIL", f"Email address {text} is invalid")
    return address


def _date(name: str, text: str) -> str:
    """YYYY-MM-DD, or epoch milliseconds at midnight UTC."""
    if text.lstrip("-").isdecimal():
        if int(text) % DAY_MS:
            raise PropertyError(name, "INVALID_DATE", f"{text} is at {name} not midnight UTC.")
        return datetime.fromtimestamp(int(text) / 1000, UTC).date().isoformat()
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        try:
            return datetime.fromisoformat(text).date().isoformat()
        except ValueError:
            pass
    raise PropertyError(name, "INVALID_DATE", f"{text} was not a valid date for {name}.")


def _datetime(name: str, text: str) -> str:
    """ISO 8601 or epoch milliseconds."""
    try:
        if text.lstrip("-").isdecimal():
            return iso_ms(datetime.fromtimestamp(int(text) / 1000, UTC))
        return iso_ms(parse_iso(text))
    except (ValueError, OverflowError) as bad:
        raise PropertyError(
            name, "INVALID_DATE", f"{text} was not a valid datetime for {name}."
        ) from bad


def _number(name: str, text: str) -> str:
    try:
        float(text)
    except ValueError as bad:
        raise PropertyError(name, "INVALID_INTEGER", f"{text} was not a valid number.") from bad
    return text
