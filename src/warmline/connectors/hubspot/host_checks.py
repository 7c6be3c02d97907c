"""Is a sequence that lives in HubSpot there, and may people be put on it: nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from warmline.connectors.hubspot import checks
from warmline.connectors.hubspot.checks import FINE, Seen
from warmline.connectors.hubspot.contacts import PROPERTIES, Contacts, body_of, plain
from warmline.connectors.hubspot.hosting import LIST, LISTS, PROPERTY, SEQUENCE, SEQUENCES, cannot
from warmline.ports import Finding, Verdict

READ_SEQUENCES = "automation.sequences.read"
ENROL = "automation.sequences.enrollments.write"
READ_LISTS, WRITE_LISTS = "crm.lists.read", "crm.lists.write"
# Lists whose members are told by a filter take nobody by hand.
BY_HAND = ("MANUAL", "SNAPSHOT")


def check(api: Contacts, host: Mapping[str, str], *, token: str) -> list[Finding]:
    """Whether it is there, whether the scopes are, and what HubSpot cannot do."""
    scopes = checks.scopes(api, token)
    if SEQUENCE in host:
        found = [_sequence(api, host), _told(f"scope {ENROL}", checks.writes(scopes, ENROL))]
    elif LIST in host:
        found = [
            _list(api, host),
            _told(f"scope {WRITE_LISTS}", checks.writes(scopes, WRITE_LISTS)),
        ]
    else:
        found = [_property(api, host)]
    return [*found, *(Finding("cannot", Verdict.OK, words) for words in cannot(host))]


def _told(what: str, seen: Seen) -> Finding:
    return Finding(what, seen.verdict, seen.advice)


def _sequence(api: Contacts, host: Mapping[str, str]) -> Finding:
    what = f"sequence {host[SEQUENCE]}"
    seen, answer = checks.asked(
        api,
        f"{SEQUENCES}/{host[SEQUENCE]}",
        {"userId": host["user"]},
        scope=READ_SEQUENCES,
        one=f"HubSpot has no sequence {host[SEQUENCE]} that user {host['user']} may see",
    )
    if answer is not None and answer.is_success and "id" not in body_of(answer):
        seen = Seen(Verdict.FAILED, "HubSpot answered with something that is no sequence")
    return _told(what, seen)


def _list(api: Contacts, host: Mapping[str, str]) -> Finding:
    what = f"list {host[LIST]}"
    none = f"HubSpot has no list {host[LIST]}"
    seen, answer = checks.asked(api, f"{LISTS}/{host[LIST]}", scope=READ_LISTS, one=none)
    if answer is not None and answer.is_success:
        seen = _kind_of(body_of(answer))
    return _told(what, seen)


def _kind_of(body: Mapping[str, object]) -> Seen:
    told = body.get("list")
    one = told if isinstance(told, dict) else {}
    if one.get("objectTypeId") != "0-1":
        return Seen(Verdict.FAILED, "it is no list of contacts: name another one")
    if one.get("processingType") not in BY_HAND:
        kind = plain(str(one.get("processingType")))
        advice = f"its members are told by a filter ({kind}): name a static list"
        return Seen(Verdict.READ_ONLY, advice)
    return FINE


def _property(api: Contacts, host: Mapping[str, str]) -> Finding:
    name = host[PROPERTY]
    what = f"contact property {name}"
    path = f"{PROPERTIES}/{quote(name, safe='')}"
    none = f"create a contact property with the internal name {name}"
    seen, answer = checks.asked(api, path, scope=checks.READ_SCHEMA, one=none)
    if answer is None or not answer.is_success:
        return _told(what, seen)
    body = body_of(answer)
    held = body.get("modificationMetadata")
    if isinstance(held, dict) and held.get("readOnlyValue") is True:
        return Finding(what, Verdict.READ_ONLY, "HubSpot lets nobody write it: name another one")
    options = body.get("options")
    if body.get("type") == "enumeration" and isinstance(options, list):
        able = {str(one.get("value")) for one in options if isinstance(one, dict)} | {""}
        wrong = [v for v in (host["value"], host.get("left", "")) if v not in able]
        if wrong:
            return Finding(what, Verdict.MISSING, f"add the option {plain(wrong[0])!r} to it")
    return Finding(what, Verdict.OK)
