"""Sequences that live in HubSpot: one of its own, a list that starts a workflow, or a property that
does. Each way says who is put on it, how it is left, and what HubSpot has no means for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from warmline.connectors.hubspot.contacts import (
    BATCH_MAX,
    Contact,
    Contacts,
    Fate,
    How,
    Write,
    body_of,
    reason_of,
)
from warmline.connectors.hubspot.mapping import OPTED_OUT
from warmline.core.actions import Action, ActionKind
from warmline.core.candidates import normal_email
from warmline.core.errors import (
    AuthFailed,
    ConfigError,
    Refused,
    Throttled,
    Unreachable,
    Unsure,
)
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.ports import Hosted

SEQUENCES = "/automation/v4/sequences"
ENROLMENTS = f"{SEQUENCES}/enrollments"
LISTS = "/crm/v3/lists"
# The keys of a sequence's `with:`, by the way that it lives here.
SEQUENCE, LIST, PROPERTY = "sequence", "list", "property"
KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # needed, allowed besides
    SEQUENCE: (("user", "sender"), ()),
    LIST: ((), ()),
    PROPERTY: (("value",), ("left",)),
}
NO_LEAVING = (
    "HubSpot has no call that takes a contact off one of its sequences: it ends there when the"
    " contact replies, books a meeting or unsubscribes, or when somebody ends it by hand"
)
_NO_CONTACT = "the person is no contact in HubSpot (yet), and nobody else can be put there"
_ABOUT_IT = (400, 404, 409, 422)
_NUMBER = re.compile(r"\d{1,20}")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


def host_of(options: Mapping[str, object]) -> dict[str, str]:
    """A sequence's `with:`: one of `{sequence, user, sender}`, `{list}`, `{property, value, left}`.
    Raises ConfigError."""
    ways = [way for way in KEYS if way in options]
    if len(ways) != 1:
        raise ConfigError(
            f"hubspot: `with` names {' and '.join(ways) or 'no place'}; expected one of sequence, "
            "list and property"
        )
    way = ways[0]
    needed, besides = KEYS[way]
    unknown = sorted(set(map(str, options)) - {way, *needed, *besides})
    missing = [key for key in needed if key not in options]
    if unknown or missing:
        raise ConfigError(
            f"hubspot: `with` of a {way} holds {sorted(map(str, options))}; expected "
            f"{', '.join((way, *needed))}"
            + (f" and perhaps {', '.join(besides)}" if besides else "")
        )
    host: dict[str, str] = {}
    for key, found in options.items():
        if isinstance(found, bool) or not isinstance(found, str | int):
            raise ConfigError(f"hubspot: `with.{key}` is {found!r}; expected text or a number")
        host[str(key)] = str(found).strip()
    _check(way, host)
    return host


def _check(way: str, host: Mapping[str, str]) -> None:
    for key in {SEQUENCE, LIST, "user"} & set(host):
        if not _NUMBER.fullmatch(host[key]):
            raise ConfigError(
                f"hubspot: `with.{key}` is {host[key]!r}; expected the number that HubSpot has for "
                "it (in the address of its page)"
            )
    if way == SEQUENCE and normal_email(host["sender"]) is None:
        raise ConfigError(
            "hubspot: `with.sender` is no address; expected that of a connected inbox in HubSpot"
        )
    if way == PROPERTY:
        if not _NAME.fullmatch(host[PROPERTY]):
            raise ConfigError(
                f"hubspot: `with.property` is {host[PROPERTY]!r}; expected the internal name of a "
                "contact property"
            )
        if not host["value"] or host["value"] == host.get("left", ""):
            raise ConfigError(
                "hubspot: `with.value` is empty, or the same as `with.left`; expected what starts "
                "the workflow"
            )


def cannot(host: Mapping[str, str]) -> tuple[str, ...]:
    """What there is no means for, by the way that a sequence lives here."""
    unseen = (
        "HubSpot tells of a contact that mail was opened, clicked or answered, and not which mail "
        "of the sequence it was: steps are not reported one by one"
    )
    if SEQUENCE in host:
        one = (
            "HubSpot takes one contact a call, on one sequence at a time, from a user with a Sales "
            "or Service seat (Professional or higher) and a connected inbox"
        )
        return (NO_LEAVING, one, unseen)
    leaving = (
        "the workflow's own settings decide whether leaving the list or the value ends it: turn on"
        " unenrolment there"
    )
    return (leaving, unseen)


def apply(api: Contacts, actions: Sequence[Action]) -> list[Outcome]:
    """`contact.enrol` and `contact.leave`: one outcome an action, in order; those of one list go in
    one call. Raises where nothing at all was decided by HubSpot."""
    outcomes: list[Outcome] = []
    for kind, place, group in _runs(actions):
        try:
            if place:
                outcomes += _members(api, kind, place, group)
            else:
                outcomes += [_one(api, action) for action in group]
        except Unsure as error:
            outcomes += [Outcome(OutcomeKind.UNKNOWN, error.reason)] * len(group)
        except (AuthFailed, Throttled, Unreachable) as error:
            if not outcomes:
                raise
            after_s = error.after_s if isinstance(error, Throttled) else None
            later = Outcome(OutcomeKind.LATER, error.reason, after_s=after_s)
            return outcomes + [later] * (len(actions) - len(outcomes))
    return outcomes


def find(api: Contacts, action: Action) -> Outcome | None:
    """DONE where the contact stands there (or, to leave, does not any more); else None."""
    contact = _contact(api, action)
    if contact is None:
        return None
    stands = hosted(api, action.host, [contact.id]).get(contact.id, Hosted(on=False))
    if stands.on != (action.kind is ActionKind.CONTACT_ENROL):
        return None
    return Outcome(OutcomeKind.DONE, "found so", stands.external_id)


def hosted(api: Contacts, host: Mapping[str, str], contacts: Sequence[str]) -> dict[str, Hosted]:
    """How each contact stands on it now."""
    if SEQUENCE in host:
        return {one: _on_sequence(api, host[SEQUENCE], one) for one in contacts}
    if LIST in host:
        return {one: Hosted(host[LIST] in _lists_of(api, one)) for one in contacts}
    held = api.by_id(contacts, [host[PROPERTY]])
    return {
        one: Hosted(contact is not None and contact.properties.get(host[PROPERTY]) == host["value"])
        for one, contact in held.items()
    }


def _runs(actions: Sequence[Action]) -> list[tuple[ActionKind, str, list[Action]]]:
    """Neighbours that go in one call: the kind, the list (empty: one by one), the actions."""
    runs: list[tuple[ActionKind, str, list[Action]]] = []
    for action in actions:
        place = action.host.get(LIST, "")
        last = runs[-1] if runs else None
        if last and place and last[:2] == (action.kind, place) and len(last[2]) < BATCH_MAX:
            last[2].append(action)
        else:
            runs.append((action.kind, place, [action]))
    return runs


def _one(api: Contacts, action: Action) -> Outcome:
    leaving = action.kind is ActionKind.CONTACT_LEAVE
    contact = _contact(api, action)
    if contact is None:
        return _gone(action)
    if SEQUENCE in action.host:
        act = _left if leaving else _enrol
        return act(api, action.host, contact)
    return _write(api, action.host, contact, leaving=leaving)


def _gone(action: Action) -> Outcome:
    """To leave, it is enough not to be there."""
    leaving = action.kind is ActionKind.CONTACT_LEAVE
    return Outcome(OutcomeKind.ALREADY_DONE if leaving else OutcomeKind.REFUSED, _NO_CONTACT)


def _contact(api: Contacts, action: Action) -> Contact | None:
    """The person's contact, by its id, else by any address."""
    names = ("email", OPTED_OUT, *([action.host[PROPERTY]] if PROPERTY in action.host else []))
    keys = [(action.contact.external_id, False)] if action.contact.external_id else []
    keys += [(email, True) for raw in action.contact.emails if (email := normal_email(raw))]
    for key, by_email in keys:
        contact = api.read(key, names, by_email=by_email)
        if contact is not None:
            return contact
    return None


# A sequence of HubSpot's own


def _enrol(api: Contacts, host: Mapping[str, str], contact: Contact) -> Outcome:
    """Looked up first: HubSpot would put the same contact on it twice, one after the other."""
    stands = _on_sequence(api, host[SEQUENCE], contact.id)
    if stands.on:
        return Outcome(OutcomeKind.ALREADY_DONE, "on it already", stands.external_id)
    body = {
        "contactId": contact.id,
        "senderEmail": host["sender"],
        "sequenceId": host[SEQUENCE],
    }
    try:
        answer = api.post(
            f"{ENROLMENTS}?userId={host['user']}", body, writes=True, accept=_ABOUT_IT
        )
    except Refused as error:
        return Outcome(OutcomeKind.REFUSED, error.reason)
    told = body_of(answer)
    if answer.is_success and told.get("id"):
        return Outcome(OutcomeKind.DONE, external_id=str(told["id"]))
    if answer.is_success:
        raise Unsure(f"HubSpot answered an enrolment with {answer.status_code} and no enrolment")
    return Outcome(OutcomeKind.REFUSED, reason_of(answer))


def _left(api: Contacts, host: Mapping[str, str], contact: Contact) -> Outcome:
    """There is no call for it. Whoever opted out, or is at its end, gets no more of it anyway."""
    if contact.properties.get(OPTED_OUT) == "true":
        return Outcome(OutcomeKind.ALREADY_DONE, "the contact opted out, which ends it")
    if not _on_sequence(api, host[SEQUENCE], contact.id).on:
        return Outcome(OutcomeKind.ALREADY_DONE, "it was so before")
    return Outcome(OutcomeKind.REFUSED, NO_LEAVING)


def _on_sequence(api: Contacts, sequence: str, contact_id: str) -> Hosted:
    """HubSpot tells of one enrolment of a contact; with no enrolment it answers 404, or nothing."""
    answer = api.get(f"{ENROLMENTS}/contact/{quote(contact_id, safe='')}", accept=(400, 404))
    told = body_of(answer)
    if answer.is_success and answer.content.strip() and "sequenceId" not in told:
        raise Unreachable("HubSpot answered a look-up of an enrolment with something else")
    if not answer.is_success or str(told.get("sequenceId") or "") != sequence:
        return Hosted(on=False)
    return Hosted(True, str(told.get("id") or ""), _moment(told.get("enrolledAt")))


def _moment(found: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(found) if isinstance(found, str) else None
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


# A list


def _members(
    api: Contacts, kind: ActionKind, number: str, actions: Sequence[Action]
) -> list[Outcome]:
    """Those of one list, in one call. What its answer leaves out was so before."""
    leaving = kind is ActionKind.CONTACT_LEAVE
    found = [_contact(api, action) for action in actions]
    ids = list(dict.fromkeys(contact.id for contact in found if contact))
    if not ids:
        return [_gone(action) for action in actions]
    path = f"{LISTS}/{number}/memberships/{'remove' if leaving else 'add'}"
    try:
        answer = api.put(path, ids, accept=_ABOUT_IT)
        said_no = "" if answer.is_success else reason_of(answer)
    except Refused as error:  # a proxy's or a moved address's answer
        said_no = error.reason
    if said_no:
        refused = Outcome(OutcomeKind.REFUSED, said_no)
        return [refused if contact else _gone(a) for contact, a in zip(found, actions, strict=True)]
    told = body_of(answer)
    # The odd spelling is HubSpot's own.
    keys = ("recordIdsRemoved", "recordsIdsRemoved") if leaving else ("recordsIdsAdded",)
    said = [told[key] for key in keys if isinstance(told.get(key), list)]
    if not said:
        raise Unsure(f"HubSpot answered a change of a list with {answer.status_code} and no list")
    changed = {str(one) for part in said for one in part}
    missing = {str(one) for one in told.get("recordIdsMissing") or ()}
    outcomes = []
    for contact, action in zip(found, actions, strict=True):
        if contact is None or contact.id in missing:
            outcomes.append(_gone(action))
        elif contact.id in changed:
            outcomes.append(Outcome(OutcomeKind.DONE))
        else:
            outcomes.append(Outcome(OutcomeKind.ALREADY_DONE, "it was so before"))
    return outcomes


def _lists_of(api: Contacts, contact_id: str) -> set[str]:
    """Those of one contact; a contact that is gone is on none."""
    path = f"{LISTS}/records/0-1/{quote(contact_id, safe='')}/memberships"
    answer = api.get(path, accept=(400, 404))
    rows: Any = body_of(answer).get("results") if answer.is_success else []
    if not isinstance(rows, list):
        raise Unreachable("HubSpot answered a look-up of lists with something that is no list")
    return {str(row.get("listId")) for row in rows if isinstance(row, dict)}


# A property


def _write(api: Contacts, host: Mapping[str, str], contact: Contact, *, leaving: bool) -> Outcome:
    """A value that somebody else put there meanwhile is not taken away on leaving."""
    name, held = host[PROPERTY], contact.properties.get(host[PROPERTY], "")
    wanted = host.get("left", "") if leaving else host["value"]
    if held == wanted or (leaving and held != host["value"]):
        return Outcome(OutcomeKind.ALREADY_DONE, "it was so before")
    [answer] = api.write(How.UPDATE, [Write(contact.id, {name: wanted})])
    if answer is None or answer.fate is Fate.GONE:
        return Outcome(OutcomeKind.REFUSED, _NO_CONTACT)
    kind = {
        Fate.WRITTEN: OutcomeKind.DONE,
        Fate.LATER: OutcomeKind.LATER,
        Fate.UNKNOWN: OutcomeKind.UNKNOWN,
    }.get(answer.fate, OutcomeKind.REFUSED)
    return Outcome(kind, answer.reason, after_s=answer.after_s)
