"""Is HubSpot ready for us: the token, its scopes, each field needed as the property it maps to.

Lists are read, and the token's own description. Nothing is written to find out whether it may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

from warmline.connectors.hubspot import clicks
from warmline.connectors.hubspot.contacts import OBJECTS, PROPERTIES, Contacts, body_of, plain
from warmline.connectors.hubspot.mapping import EDITOR, Kind, Property
from warmline.connectors.hubspot.mapping import PROPERTIES as KNOWN
from warmline.connectors.hubspot.opt_out import DEFINITIONS
from warmline.core.errors import WarmlineError
from warmline.ports import Access, Finding, Needs, Verdict

READ_SCHEMA = "crm.schemas.contacts.read"
READ = "crm.objects.contacts.read"
WRITE = "crm.objects.contacts.write"
# Either one lets opt-outs be written; the first lets them be read as well, which they are first.
PREFERENCES = "communication_preferences.read_write"
WRITE_PREFERENCES = "communication_preferences.write"
# What a private app's token may do, by the token itself. It needs no scope.
TOKEN_INFO = "/oauth/v2/private-apps/get/access-token-info"  # noqa: S105 -- an address
EMAIL = Property("email", "Email")
OPT_OUT = "opt_out"  # no field: what a person's no takes
HALVES = {"name": ("first_name", "last_name")}
SUBSCRIPTIONS = Finding(
    "webhook subscriptions",
    Verdict.UNKNOWN,
    "a private app's token cannot see them: look in HubSpot, in the app's Webhooks tab, that those"
    " of the connector's README are there and active",
)
# Every answer is looked at here, but for 429: the door keeps away after one.
_ANY = tuple(status for status in range(300, 600) if status != 429)


@dataclass(frozen=True, slots=True)
class Seen:
    """How one thing stands, and what to do about it."""

    verdict: Verdict
    advice: str = ""


FINE = Seen(Verdict.OK)


@dataclass(frozen=True, slots=True)
class Account:
    """What HubSpot lets these credentials do. `there` are its contact properties by name."""

    schema: Seen
    read: Seen
    write: Seen
    there: Mapping[str, Mapping[str, object]]
    opt_outs: tuple[Seen, Seen] = (FINE, FINE)  # to read and to write, where that is needed


def check(
    contacts: Contacts, table: Mapping[str, Property], needs: Needs, *, token: str
) -> list[Finding]:
    """A finding on the token, on each scope and on each field needed. Where HubSpot does not
    answer or refuses the token, nothing else is asked, and every field has that verdict."""
    schema, answer = asked(contacts, PROPERTIES, scope=READ_SCHEMA)
    if answer is None or schema.verdict is Verdict.CREDENTIALS:
        what = "access token" if schema.verdict is Verdict.CREDENTIALS else "HubSpot's API"
        account = Account(schema, schema, schema, {}, (schema, schema))
        return [Finding(what, schema.verdict, schema.advice), *_fields(table, needs, account)]
    there = _properties(answer) if schema.verdict is Verdict.OK else {}
    if there is None:
        advice = "HubSpot's list of properties could not be read: is base_url HubSpot's API?"
        schema, there = Seen(Verdict.FAILED, advice), {}
    read, listed = asked(contacts, OBJECTS, {"limit": "1"}, scope=READ)
    if listed is not None and listed.is_success and "results" not in body_of(listed):
        read = Seen(Verdict.FAILED, "HubSpot's list of contacts could not be read: try again")
    granted = scopes(contacts, token)
    opt_outs = _opt_outs(contacts, granted) if OPT_OUT in needs.fields else (FINE, FINE)
    account = Account(schema, read, writes(granted, WRITE), there, opt_outs)
    return [
        Finding("access token", Verdict.OK),
        _told(f"scope {READ_SCHEMA}", schema),
        _told(f"scope {READ}", read),
        _told(f"scope {WRITE}", account.write),
        _told(f"scope {clicks.SCOPE}", _clicks(contacts)),
        *_fields(table, needs, account),
        SUBSCRIPTIONS,
    ]


def _told(what: str, seen: Seen) -> Finding:
    return Finding(what, seen.verdict, seen.advice)


def asked(
    contacts: Contacts,
    path: str,
    params: Mapping[str, str] | None = None,
    *,
    scope: str,
    one: str = "",
) -> tuple[Seen, httpx.Response | None]:
    """How a read stands, and its answer; None where the vendor cannot be spoken with just now.
    `one` says what is not there where HubSpot does not find it."""
    try:
        answer = contacts.get(path, params, accept=_ANY)
    except WarmlineError as error:
        verdict = Verdict.of_error(error)
        advice = {
            Verdict.THROTTLED: "check again later",
            Verdict.UNREACHABLE: "check base_url, the network and the firewall",
        }.get(verdict, "look at base_url")
        return Seen(verdict, f"{error.reason}: {advice}"), None
    if answer.is_success:
        return FINE, answer
    if one and answer.status_code == 404:
        return Seen(Verdict.MISSING, one), answer
    seen = _refusal(answer, scope)
    return seen, answer if seen.verdict is not Verdict.FAILED else None


def _refusal(answer: httpx.Response, scope: str) -> Seen:
    """What HubSpot's no is about: the token, a scope, the plan, or HubSpot itself."""
    body, status = body_of(answer), answer.status_code
    said = plain(str(body.get("message", "")))
    scopes = _named_scopes(body)
    verdict = Verdict.of_answer(status, said)
    # Where HubSpot names the scope, its words do not count: they may speak of plans as well.
    if status == 403 and (scopes or body.get("category") == "MISSING_SCOPES"):
        verdict = Verdict.FORBIDDEN
    if verdict is Verdict.CREDENTIALS:
        advice = "HubSpot refused the token: copy it anew from the private app's Auth tab"
    elif verdict is Verdict.PLAN:
        words = said.rstrip(".") or f"HubSpot answered {status}"
        advice = f"{words}: ask HubSpot which plan has it, or leave what needs it out"
    elif verdict is Verdict.FORBIDDEN:
        advice = f"give the private app the scope {' or '.join(scopes) or scope}"
    else:
        where = "try again, and look at base_url, the network and HubSpot's status"
        advice = f"HubSpot answered {status}: {said or 'no message'}: {where}"
    return Seen(verdict, advice)


def _named_scopes(body: Mapping[str, object]) -> list[str]:
    """The scopes that a refusal names, of the call or of an error in it; any one is enough."""
    errors = body.get("errors")
    parts = [body, *(errors if isinstance(errors, list) else [])]
    for part in parts:
        context = part.get("context") if isinstance(part, dict) else None
        named = context.get("requiredGranularScopes") if isinstance(context, dict) else None
        if isinstance(named, list) and named:
            return [plain(str(one)) for one in named]
    return []


def _properties(answer: httpx.Response) -> dict[str, Mapping[str, object]] | None:
    results = body_of(answer).get("results")
    if not isinstance(results, list):
        return None
    return {str(one.get("name")): one for one in results if isinstance(one, dict)}


def scopes(contacts: Contacts, token: str) -> list[object] | None:
    """Those that the token has; None where HubSpot does not tell."""
    try:
        answer = contacts.post(TOKEN_INFO, {"tokenKey": token}, writes=False, accept=_ANY)
    except WarmlineError:
        return None
    scopes = body_of(answer).get("scopes")
    return scopes if answer.is_success and isinstance(scopes, list) else None


def writes(scopes: list[object] | None, *enough: str) -> Seen:
    """Whether something may be written, by the scopes that the token has: any of these will do."""
    if scopes is None:
        return Seen(
            Verdict.UNKNOWN,
            "HubSpot does not tell this token's scopes, and nothing is written to find out: see"
            f" that the private app has {enough[0]}",
        )
    if set(enough) & set(scopes):
        return FINE
    return Seen(Verdict.FORBIDDEN, f"give the private app the scope {enough[0]}")


def _clicks(contacts: Contacts) -> Seen:
    """Whether clicks can be told to be a person's. Without it nothing fails, so it is no fault."""
    seen, _ = asked(contacts, clicks.EVENTS, {"limit": "1"}, scope=clicks.SCOPE)
    if seen.verdict not in (Verdict.FORBIDDEN, Verdict.PLAN):
        return seen
    without = "without it no click in a mail of HubSpot's is known to be a person's, and none flags"
    return Seen(Verdict.OK, f"{seen.advice}; {without}")


def _opt_outs(contacts: Contacts, scopes: list[object] | None) -> tuple[Seen, Seen]:
    """Whether communication preferences may be read and written: by scope and by plan."""
    read, answer = asked(contacts, DEFINITIONS, scope=PREFERENCES)
    if answer is not None and answer.is_success and "results" not in body_of(answer):
        read = Seen(Verdict.FAILED, "HubSpot's subscription types could not be read: try again")
    if read.verdict in (Verdict.PLAN, Verdict.CREDENTIALS):
        return read, read  # what reading is refused for, writing is refused for
    return read, writes(scopes, PREFERENCES, WRITE_PREFERENCES)


def _fields(table: Mapping[str, Property], needs: Needs, account: Account) -> Iterator[Finding]:
    for field, needed in needs.fields.items():
        if field == OPT_OUT:
            read, write = account.opt_outs
            advice = "; ".join(dict.fromkeys(one.advice for one in (read, write) if one.advice))
            yield Finding.of_field(
                field,
                "communication preferences",
                needed,
                read=read.verdict,
                write=write.verdict,
                advice=advice,
            )
            continue
        if field == "email":
            entries = [EMAIL]
        else:
            entries = [table[name] for name in HALVES.get(field, (field,)) if name in table]
        if entries:
            yield _field(field, entries, needed, account)
        elif field in KNOWN or field in HALVES:
            left_out = "the connection's `properties` leave it out: it is never written"
            yield Finding("no contact property", Verdict.OK, left_out, field)
        else:
            advice = "Warmline has no contact property for it: leave it out of the triggers"
            missing = Verdict.MISSING
            yield Finding.of_field(
                field, "no contact property", needed, read=missing, write=missing, advice=advice
            )


def _field(
    field: str, entries: list[Property], needed: frozenset[Access], account: Account
) -> Finding:
    """One field, as the property or (a name) the properties that hold it."""
    pairs = [_property(entry, account) for entry in entries]
    reads = [account.read if read.verdict is Verdict.OK else read for read, _ in pairs]
    writes = [account.write if write.verdict is Verdict.OK else write for _, write in pairs]
    looked = [
        *(reads if Access.READ in needed else ()),
        *(writes if Access.WRITE in needed else ()),
    ]
    names = " and ".join(entry.name for entry in entries)
    return Finding.of_field(
        field,
        f"contact {'property' if len(entries) == 1 else 'properties'} {names}",
        needed,
        read=Verdict.worst(one.verdict for one in reads),
        write=Verdict.worst(one.verdict for one in writes),
        advice="; ".join(dict.fromkeys(one.advice for one in looked if one.advice)),
    )


def _property(entry: Property, account: Account) -> tuple[Seen, Seen]:
    """How it stands for reading and for writing, were every scope there."""
    if account.schema.verdict is not Verdict.OK:
        return account.schema, account.schema
    there = account.there.get(entry.name)
    if there is None:
        advice = (
            f"create a contact property with the label {entry.label!r}, the internal name "
            f"{entry.name} and the field type {EDITOR[entry.kind]!r}"
        )
        return Seen(Verdict.MISSING, advice), Seen(Verdict.MISSING, advice)
    # Text takes any value; a date and a time must be kept apart.
    kind = str(there.get("type", ""))
    if kind not in (entry.kind.value, Kind.TEXT.value):
        advice = (
            f"its type is {plain(kind) or 'not said'}, which may refuse what is written: "
            f"create another one with the field type {EDITOR[entry.kind]!r} and name it in "
            "the connection's `properties`"
        )
        return FINE, Seen(Verdict.FAILED, advice)
    held = there.get("modificationMetadata")
    if isinstance(held, dict) and held.get("readOnlyValue") is True:
        advice = "HubSpot lets nobody write it: name another one in the connection's `properties`"
        return FINE, Seen(Verdict.READ_ONLY, advice)
    return FINE, FINE
