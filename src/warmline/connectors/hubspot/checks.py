"""Is HubSpot ready for us: the token, its scopes, each property that is written."""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from warmline.connectors.hubspot.contacts import OBJECTS, PROPERTIES, Contacts, body_of, plain
from warmline.connectors.hubspot.mapping import EDITOR, Kind, Property
from warmline.core.errors import WarmlineError
from warmline.ports import Finding, Verdict

READ_SCHEMA = "crm.schemas.contacts.read"
READ = "crm.objects.contacts.read"
WRITE = "crm.objects.contacts.write"
SCOPES = (READ, WRITE, READ_SCHEMA)
_REFUSED = (401, 403)


def check(contacts: Contacts, table: Mapping[str, Property]) -> list[Finding]:
    """The findings. Where the token fails, nothing else is asked."""
    try:
        return _checked(contacts, table)
    except WarmlineError as error:
        advice = (
            f"{error.reason}: try again, and look at base_url, the network and HubSpot's status"
        )
        return [Finding("HubSpot's API", Verdict.FAILED, advice)]


def _checked(contacts: Contacts, table: Mapping[str, Property]) -> list[Finding]:
    schema = contacts.get(PROPERTIES, accept=_REFUSED)
    if schema.status_code == 401:
        advice = "HubSpot refused the token: copy it anew from the private app's Auth tab"
        return [Finding("access token", Verdict.FORBIDDEN, advice)]
    found = [
        Finding("access token", Verdict.OK),
        _scope(READ, contacts.get(OBJECTS, {"limit": "1"}, accept=_REFUSED)),
        # No inputs, so nothing is written; HubSpot looks at the scope first.
        _scope(
            WRITE,
            contacts.post(
                f"{OBJECTS}/batch/update", {"inputs": []}, writes=False, accept=(400, *_REFUSED)
            ),
        ),
        _scope(READ_SCHEMA, schema),
    ]
    if schema.status_code == 403:
        return found
    results = body_of(schema).get("results")
    if not isinstance(results, list):
        advice = "HubSpot's list of properties could not be read: is base_url HubSpot's API?"
        return [*found, Finding("contact properties", Verdict.FAILED, advice)]
    there = {str(one.get("name")): one for one in results if isinstance(one, dict)}
    return [*found, *(_property(entry, there.get(entry.name)) for entry in table.values())]


def _scope(scope: str, answer: httpx.Response) -> Finding:
    what = f"scope {scope}"
    if answer.status_code not in _REFUSED:
        return Finding(what, Verdict.OK)
    context = body_of(answer).get("context")
    named = context.get("requiredGranularScopes") if isinstance(context, dict) else None
    scopes = [plain(str(one)) for one in named] if isinstance(named, list) else []
    advice = f"give the private app the scope {', '.join(scopes) or scope}"
    return Finding(what, Verdict.FORBIDDEN, advice)


def _property(entry: Property, there: Mapping[str, object] | None) -> Finding:
    what = f"contact property {entry.name}"
    if there is None:
        advice = (
            f"create a contact property with the label {entry.label!r}, the internal name "
            f"{entry.name} and the field type {EDITOR[entry.kind]!r}"
        )
        return Finding(what, Verdict.MISSING, advice)
    # Text takes any value; a date and a time must be kept apart.
    kind = str(there.get("type", ""))
    if kind not in (entry.kind.value, Kind.TEXT.value):
        advice = (
            f"its type is {plain(kind) or 'not said'}, which may refuse what is written: "
            f"create another one with the field type {EDITOR[entry.kind]!r} and name it in "
            "the connection's `properties`"
        )
        return Finding(what, Verdict.MISSING, advice)
    held = there.get("modificationMetadata")
    if isinstance(held, dict) and held.get("readOnlyValue") is True:
        return Finding(what, Verdict.FORBIDDEN, "HubSpot lets nobody write it: name another one")
    return Finding(what, Verdict.OK)
