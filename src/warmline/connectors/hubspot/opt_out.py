"""A person's no, written to HubSpot: every address of theirs is unsubscribed from all mail there.

HubSpot keeps opt-outs by address and not by contact. Each address is read before it is written to,
so that asking again is safe; and nothing here can ever subscribe anybody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from warmline.connectors.hubspot.contacts import (
    Contact,
    Contacts,
    Fate,
    How,
    Write,
    body_of,
    reason_of,
)
from warmline.connectors.hubspot.mapping import Property, same, values_for
from warmline.core.actions import Action
from warmline.core.candidates import normal_email
from warmline.core.errors import AuthFailed, Refused, Throttled, Unreachable, Unsure
from warmline.core.outcomes import Outcome, OutcomeKind

STATUSES = "/communication-preferences/v4/statuses"
DEFINITIONS = "/communication-preferences/v4/definitions"
ADDRESSES_MAX = 100  # of one person: as many as the ledger takes from one record
# HubSpot's word on this one address. A 404 is an address that it does not know.
_ABOUT_THE_ADDRESS = (400, 404, 409, 422)
_UNKNOWN = 404


@dataclass(slots=True)
class _Said:
    """What came of a person's addresses."""

    already: int = 0
    done: int = 0
    refused: list[tuple[int, str]] = field(default_factory=list)  # status, reason

    @property
    def detail(self) -> dict[str, str]:
        found = {"addresses": str(self.already + self.done)}
        if self.refused:
            words = "; ".join(dict.fromkeys(reason for _, reason in self.refused))
            found["skipped"] = f"{len(self.refused)} address(es): {words}"
        return found


def opt_out(
    api: Contacts, table: Mapping[str, Property], actions: Sequence[Action]
) -> list[Outcome]:
    """One outcome an action, in order. Raises where nothing at all was decided by HubSpot."""
    outcomes: list[Outcome] = []
    for action in actions:
        try:
            outcomes.append(_one(api, table, action))
        except Unsure as error:
            outcomes.append(Outcome(OutcomeKind.UNKNOWN, error.reason))
        except (AuthFailed, Throttled, Unreachable) as error:
            if not outcomes:
                raise
            after_s = error.after_s if isinstance(error, Throttled) else None
            later = Outcome(OutcomeKind.LATER, error.reason, after_s=after_s)
            return outcomes + [later] * (len(actions) - len(outcomes))
    return outcomes


def find(api: Contacts, table: Mapping[str, Property], action: Action) -> Outcome | None:
    """DONE where every address is unsubscribed and the contact says so; else None."""
    try:
        values = values_for(action.fields, table)
    except ValueError:
        return None
    contact = _contact(api, action, values)
    emails = _addresses(action, contact)
    if not emails or not all(_opted_out(api, email) for email in emails):
        return None
    if contact is not None and _lacking(contact, table, values):
        return None
    return Outcome(OutcomeKind.DONE, "found unsubscribed", contact.id if contact else "")


def _one(api: Contacts, table: Mapping[str, Property], action: Action) -> Outcome:
    try:
        values = values_for(action.fields, table)
    except ValueError as error:
        return Outcome(OutcomeKind.REFUSED, str(error))
    contact = _contact(api, action, values)
    emails = _addresses(action, contact)
    if not emails:
        return Outcome(OutcomeKind.REFUSED, "the person has no usable address to unsubscribe")
    said = _Said()
    for email in emails:
        _unsubscribe(api, email, said)
    number = contact.id if contact is not None else ""
    if not said.already and not said.done:
        unknown = all(status == _UNKNOWN for status, _ in said.refused)
        kind = OutcomeKind.SKIPPED if unknown else OutcomeKind.REFUSED
        reason = "; ".join(dict.fromkeys(reason for _, reason in said.refused))
        return Outcome(kind, reason, number, detail=said.detail)
    lacking = _lacking(contact, table, values) if contact is not None else {}
    if contact is not None and lacking:
        refusal = _write(api, contact, lacking, said)
        if refusal is not None:
            return refusal
    kind = OutcomeKind.DONE if said.done or lacking else OutcomeKind.ALREADY_DONE
    reason = "" if kind is OutcomeKind.DONE else "every address was unsubscribed already"
    return Outcome(kind, reason, number, detail=said.detail)


def _contact(api: Contacts, action: Action, values: Mapping[str, str]) -> Contact | None:
    """The person's contact, by its id, else by any address; None where there is none."""
    names = ("email", "hs_additional_emails", *values)
    keys = [(action.contact.external_id, False)] if action.contact.external_id else []
    keys += [(email, True) for email in _addresses(action, None)]
    for key, by_email in keys:
        contact = api.read(key, names, by_email=by_email)
        if contact is not None:
            return contact
    return None


def _addresses(action: Action, contact: Contact | None) -> list[str]:
    """Those that we know of and those that the contact has in HubSpot, each once."""
    ours = [email for raw in action.contact.emails if (email := normal_email(raw))]
    theirs = contact.addresses() if contact is not None else []
    return list(dict.fromkeys([*ours, *theirs]))[:ADDRESSES_MAX]


def _unsubscribe(api: Contacts, email: str, said: _Said) -> None:
    if _opted_out(api, email):
        said.already += 1
        return
    try:
        answer = api.post(
            f"{_path(email)}?channel=EMAIL", None, writes=True, accept=_ABOUT_THE_ADDRESS
        )
    except Refused as error:  # a proxy's or a moved address's answer
        said.refused.append((error.status or 0, error.reason))
        return
    if answer.is_success:
        told = body_of(answer).get("results")
        # A 204 is its word; a proxy's page, or an error under a good status, is not.
        if answer.content.strip() and not (isinstance(told, list) and any(map(_is_all, told))):
            raise Unsure(f"HubSpot answered an opt-out with {answer.status_code} and no opt-out")
        said.done += 1
    else:
        said.refused.append((answer.status_code, reason_of(answer)))


def _opted_out(api: Contacts, email: str) -> bool:
    """Whether the address has opted out of everything: HubSpot's empty list says that it has not.
    What it does not know, or would not look up, has not."""
    answer = api.get(_path(email), {"channel": "EMAIL"}, accept=_ABOUT_THE_ADDRESS)
    if not answer.is_success:
        return False
    results = body_of(answer).get("results")
    if not isinstance(results, list):
        raise Unreachable("HubSpot answered a look-up of an opt-out with something that is no list")
    return any(_is_all(one) for one in results)


def _is_all(found: object) -> bool:
    """An opt-out of the whole account, or of its first brand, which is what is written here."""
    one = found if isinstance(found, dict) else {}
    whole = one.get("wideStatusType") == "PORTAL_WIDE" or one.get("businessUnitId") in (None, 0)
    return one.get("status") == "UNSUBSCRIBED" and whole


def _lacking(
    contact: Contact, table: Mapping[str, Property], values: Mapping[str, str]
) -> dict[str, str]:
    """The values that the contact does not hold yet."""
    kinds = {entry.name: entry.kind for entry in table.values()}
    held = contact.properties
    return {
        name: text for name, text in values.items() if not same(text, held.get(name), kinds[name])
    }


def _write(
    api: Contacts, contact: Contact, values: Mapping[str, str], said: _Said
) -> Outcome | None:
    """None where it is written. The addresses are unsubscribed by now: that is said with it."""
    [answer] = api.write(How.UPDATE, [Write(contact.id, values)])
    if answer is None or answer.fate in (Fate.WRITTEN, Fate.GONE, Fate.CONFLICT):
        return None  # gone meanwhile: there is no contact that could say it
    kind = {Fate.LATER: OutcomeKind.LATER, Fate.UNKNOWN: OutcomeKind.UNKNOWN}.get(
        answer.fate, OutcomeKind.REFUSED
    )
    reason = f"unsubscribed, but the contact does not say so: {answer.reason}"
    return Outcome(kind, reason, contact.id, answer.after_s, said.detail)


def _path(email: str) -> str:
    return f"{STATUSES}/{quote(email, safe='@')}/unsubscribe-all"
