"""HubSpot's contacts over HTTP: read one, read many, write a batch and take its answer apart.

A batch answer is 200 (all written), 207 (some) or an error for the whole call because of one input.
Each input gets a fate of its own here, or None where this answer does not tell which input it is
about: then the caller sends a smaller batch, which is safe, since a write by record id or by e-mail
address says the same thing however often it is said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import quote

import httpx

from warmline.core.candidates import normal_email
from warmline.core.errors import Malformed, Refused, Unreachable
from warmline.kit.http import FALLBACK_WAIT_S, Door

OBJECTS = "/crm/v3/objects/contacts"
PROPERTIES = "/crm/v3/properties/contacts"
BATCH_MAX = 100
MERGED_IDS = "hs_merged_object_ids"  # of a record: the ids that lead to it
REASON_CHARS_MAX = 200
# Answers that are about what we sent, with a body that says which part of it.
_ABOUT_INPUTS = (400, 404, 409, 413, 422)
_PASSING = frozenset(
    {
        "RATE_LIMIT",
        "RATE_LIMITS",
        "INTERNAL_ERROR",
        "SERVER_ERROR",
        "SERVICE_UNAVAILABLE",
        "TIMEOUT",
    }
)


@dataclass(frozen=True, slots=True)
class Contact:
    """One contact as HubSpot has it. `id` may differ from the one asked for: they were merged."""

    id: str
    properties: Mapping[str, str]

    def addresses(self) -> list[str]:
        """Normalised: the primary one and the secondary ones."""
        more = self.properties.get("hs_additional_emails", "").split(";")
        return [
            found
            for raw in (self.properties.get("email", ""), *more)
            if (found := normal_email(raw))
        ]


@dataclass(frozen=True, slots=True)
class Write:
    """One input of a batch. `id` is a record id (update) or a normalised address (upsert)."""

    id: str
    properties: Mapping[str, str]


class How(StrEnum):
    UPDATE = "update"  # by record id
    UPSERT = "upsert"  # by e-mail address


class Fate(StrEnum):
    WRITTEN = "written"  # confirmed; `id` is the record's
    GONE = "gone"  # no record has this id
    CONFLICT = "conflict"  # the address belongs to the record `id`
    REFUSED = "refused"  # never in this form
    LATER = "later"  # not now
    UNKNOWN = "unknown"  # sent, and the answer says nothing readable


@dataclass(frozen=True, slots=True)
class Answer:
    fate: Fate
    id: str = ""
    new: bool | None = None
    reason: str = ""
    after_s: float | None = None


class Contacts:
    """Raises what hits a whole call: Unreachable, Unsure, Throttled, AuthFailed."""

    def __init__(self, door: Door, access_token: str) -> None:
        self._door = door
        self._headers = {"authorization": f"Bearer {access_token}"}

    def get(
        self, path: str, params: Mapping[str, str] | None = None, *, accept: tuple[int, ...] = ()
    ) -> httpx.Response:
        """A read that the vendor refuses in a way not in `accept`, or answers with more than we
        take, was not made: Unreachable."""
        try:
            return self._door.call("GET", path, params=params, headers=self._headers, accept=accept)
        except (Malformed, Refused) as error:
            raise Unreachable(error.reason) from None

    def post(
        self, path: str, body: object, *, writes: bool, accept: tuple[int, ...]
    ) -> httpx.Response:
        return self._door.call(
            "POST", path, body=body, headers=self._headers, writes=writes, accept=accept
        )

    def put(self, path: str, body: object, *, accept: tuple[int, ...]) -> httpx.Response:
        """A write that says the same however often it is said."""
        return self._door.call(
            "PUT", path, body=body, headers=self._headers, writes=True, accept=accept
        )

    def read(
        self, key: str, properties: Iterable[str], *, by_email: bool = False
    ) -> Contact | None:
        """The contact with this record id (merged ids too) or address (secondary ones too)."""
        params = {"properties": ",".join(properties)}
        if by_email:
            params["idProperty"] = "email"
        answer = self.get(f"{OBJECTS}/{quote(key, safe='')}", params, accept=(400, 404))
        if answer.status_code != 200:
            found = _Error.of(body_of(answer), answer.status_code)
            if found.category == "OBJECT_NOT_FOUND" or (by_email and found.is_about_an_address()):
                return None  # what HubSpot does not take for an address is on no contact
            raise Unreachable(f"HubSpot would not look a contact up: {found.reason()}")
        contact = _contact(body_of(answer))
        if contact is None:
            raise Unreachable("HubSpot answered a look-up with something that is no contact")
        return contact

    def read_many(self, addresses: Sequence[str]) -> list[Contact]:
        """Those of these addresses that HubSpot finds in one call; a miss proves nothing."""
        body = {
            "idProperty": "email",
            "properties": ["email", "hs_additional_emails"],
            "propertiesWithHistory": [],
            "inputs": [{"id": address} for address in addresses],
        }
        try:
            answer = self.post(f"{OBJECTS}/batch/read", body, writes=False, accept=(400, 404))
        except (Malformed, Refused) as error:
            raise Unreachable(error.reason) from None
        if not answer.is_success:
            return []  # none of them, or one that HubSpot dislikes: the caller asks singly
        results = body_of(answer).get("results")
        if not isinstance(results, list):
            raise Unreachable("HubSpot answered a look-up with something that is no list")
        return [contact for result in results if (contact := _contact(result))]

    def by_id(self, ids: Sequence[str], properties: Iterable[str]) -> dict[str, Contact | None]:
        """Each id with the contact that it leads to today (another one where it was merged), None
        where it is gone. A hundred a call."""
        names, wanted = [*properties, MERGED_IDS], list(dict.fromkeys(ids))
        found: dict[str, Contact | None] = {}
        for start in range(0, len(wanted), BATCH_MAX):
            found |= self._some_by_id(wanted[start : start + BATCH_MAX], names)
        return found

    def _some_by_id(self, ids: Sequence[str], names: Sequence[str]) -> dict[str, Contact | None]:
        """One call. A record answers to its own id; what the answer leaves open is asked for alone:
        that an answer does not mention an id is no proof that it is gone."""
        body = {
            "properties": list(names),
            "propertiesWithHistory": [],
            "inputs": [{"id": one} for one in ids],
        }
        try:
            answer = self.post(f"{OBJECTS}/batch/read", body, writes=False, accept=(400, 404))
        except Refused as error:
            raise Unreachable(error.reason) from None
        told = body_of(answer)
        results = told.get("results")
        if answer.is_success and not isinstance(results, list):
            raise Unreachable("HubSpot answered a look-up with something that is no list")
        found: dict[str, Contact | None] = {}
        for contact in filter(None, map(_contact, results if isinstance(results, list) else [])):
            for one in (contact.id, *contact.properties.get(MERGED_IDS, "").split(";")):
                found.setdefault(one, contact)
        for complaint in map(_Error.of, _dicts(told.get("errors"))):
            if complaint.category == "OBJECT_NOT_FOUND":
                for one in complaint.context.get("ids", ()):
                    found.setdefault(one, None)
        return {one: found[one] if one in found else self.read(one, names) for one in ids}

    def write(self, how: How, writes: Sequence[Write]) -> list[Answer | None]:
        """One call; an answer for each write, None where it cannot be told. Never None for one."""
        inputs = [
            {"id": write.id, "properties": dict(write.properties), "objectWriteTraceId": str(index)}
            | ({"idProperty": "email"} if how is How.UPSERT else {})
            for index, write in enumerate(writes)
        ]
        path = f"{OBJECTS}/batch/{how.value}"
        try:
            answer = self.post(path, {"inputs": inputs}, writes=True, accept=_ABOUT_INPUTS)
        except Refused as error:  # a proxy's or a moved address's answer: no input is at fault
            return [Answer(Fate.REFUSED, reason=error.reason)] * len(writes)
        body = body_of(answer)
        if not answer.is_success:
            return _blamed(how, writes, _Error.of(body, answer.status_code))
        results, errors = body.get("results"), body.get("errors", [])
        if not isinstance(results, list) or not isinstance(errors, list):
            reason = f"HubSpot answered a write with {answer.status_code} and nothing readable"
            return [Answer(Fate.UNKNOWN, reason=reason)] * len(writes)
        return _taken_apart(how, writes, results, [_Error.of(error) for error in errors])


def body_of(answer: httpx.Response) -> dict[str, Any]:
    """The answer's JSON object; empty where it is none."""
    try:
        found = answer.json()
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def plain(text: str) -> str:
    """HubSpot's words without addresses and tokens, cut to a line."""
    words = re.sub(
        r"Bearer\s+\S+|\S*(?:@|%40|pat-|Bearer)\S*", "***", text, flags=re.IGNORECASE
    ).split()
    return " ".join(words)[:REASON_CHARS_MAX]


def reason_of(answer: httpx.Response) -> str:
    """HubSpot's words in an answer that is no success."""
    body = body_of(answer)
    words = f"{body.get('category') or ''}: {body.get('message') or ''}".strip(": ")
    return f"HubSpot answered {answer.status_code}, {plain(words) or 'without a reason'}"


@dataclass(frozen=True, slots=True)
class _Error:
    """An error of HubSpot's: of a whole call or of one input."""

    category: str
    message: str
    context: Mapping[str, tuple[str, ...]]
    complaints: tuple[tuple[str, str, str], ...]  # (code, property, message)

    @classmethod
    def of(cls, body: object, status: int = 0) -> _Error:
        found = body if isinstance(body, dict) else {}
        message = _text(found.get("message"))
        context = {
            str(key): tuple(map(_text, value if isinstance(value, list) else [value]))
            for key, value in _dict(found.get("context")).items()
        }
        if trace := _text(found.get("objectWriteTraceId")):
            context["objectWriteTraceId"] = (trace,)
        category = _text(found.get("category") or found.get("errorType")).upper()
        if status == 404:
            category = category or "OBJECT_NOT_FOUND"
        complaints = tuple(
            (_text(one.get("code") or one.get("error")), _named(one), _text(one.get("message")))
            for one in (*_dicts(found.get("errors")), *_dicts(_tail(message)))
        )
        return cls(category, message or (f"status {status}" if status else ""), context, complaints)

    def reason(self) -> str:
        said = "; ".join(message for _, _, message in self.complaints if message) or self.message
        return plain(f"HubSpot said {self.category or 'no'}: {said or 'no message'}")

    def missing_properties(self) -> set[str]:
        return {name for code, name, _ in self.complaints if code == "PROPERTY_DOESNT_EXIST"}

    def is_about_an_address(self) -> bool:
        return any(code == "INVALID_EMAIL" for code, _, _ in self.complaints) or bool(
            re.search(r"invalid.*email|email.*invalid", self.message, re.IGNORECASE | re.DOTALL)
        )

    def existing_id(self) -> str:
        for found in self.context.get("existingId", ()):
            if found:
                return found
        match = re.search(r"Existing ID: (\d+)", self.message)
        return match[1] if match else ""

    def about(self, writes: Sequence[Write]) -> set[int]:
        """Which inputs it names: by our trace id, by id in its context, by address in its message.

        A bare number in a message may be anything, so record ids are not looked for there.
        """
        traced = {
            int(text)
            for text in self.context.get("objectWriteTraceId", ())
            if text.isdecimal() and int(text) < len(writes)
        }
        if traced:
            return traced
        keys = ("ids", "id", "emails", "email")
        named = {text.lower() for key in keys for text in self.context.get(key, ())}
        if not named:
            words = (word.strip("\"',:;()[]{}<>.").lower() for word in self.message.split())
            named = {word for word in words if "@" in word}
        return {index for index, write in enumerate(writes) if write.id.lower() in named}

    def answer(self, how: How) -> Answer:
        """What it means for the one input that it is about."""
        if how is How.UPSERT and (existing := self.existing_id()):
            return Answer(Fate.CONFLICT, id=existing, reason=self.reason())
        if how is How.UPDATE and self.category == "OBJECT_NOT_FOUND":
            return Answer(Fate.GONE, reason=self.reason())
        if self.category in _PASSING:
            return Answer(Fate.LATER, reason=self.reason(), after_s=FALLBACK_WAIT_S)
        return Answer(Fate.REFUSED, reason=self.reason())


def _blamed(how: How, writes: Sequence[Write], error: _Error) -> list[Answer | None]:
    """Whose fault a whole call's failure is, as far as it says. Nothing of it was written."""
    answer = error.answer(how)
    if len(writes) == 1 or answer.fate is Fate.LATER:
        return [answer] * len(writes)
    blamed: set[int] = set()
    if answer.fate is Fate.GONE:
        blamed = error.about(writes)
    elif missing := error.missing_properties():
        blamed = {i for i, write in enumerate(writes) if missing & write.properties.keys()}
    return [answer if index in blamed else None for index in range(len(writes))]


def _taken_apart(
    how: How, writes: Sequence[Write], results: Sequence[object], errors: Sequence[_Error]
) -> list[Answer | None]:
    answers: list[Answer | None] = [None] * len(writes)
    strays: list[Answer] = []
    for result in results:
        contact = _contact(result)
        if contact is None:
            continue
        index = _place(how, contact, result, writes)
        new = _dict(result).get("new")
        known_new = False if how is How.UPDATE else new if isinstance(new, bool) else None
        written = Answer(Fate.WRITTEN, id=contact.id, new=known_new)
        if index is None or answers[index] is not None:
            strays.append(written)
        else:
            answers[index] = written
    unplaced: list[_Error] = []
    for error in errors:
        about = {index for index in error.about(writes) if answers[index] is None}
        for index in about:
            answers[index] = error.answer(how)
        if not about:
            unplaced.append(error)
    left = [index for index, answer in enumerate(answers) if answer is None]
    if len(left) == 1:  # by elimination: a merged id, a secondary address
        if len(strays) == 1 and not unplaced:
            answers[left[0]] = strays[0]
        elif len(unplaced) == 1 and not strays:
            answers[left[0]] = unplaced[0].answer(how)
    if len(writes) == 1 and answers[0] is None:
        answers[0] = Answer(Fate.UNKNOWN, reason="HubSpot's answer does not mention the contact")
    return answers


def _place(how: How, contact: Contact, result: object, writes: Sequence[Write]) -> int | None:
    """Which input this result is of."""
    trace = _text(_dict(result).get("objectWriteTraceId"))
    if trace.isdecimal() and int(trace) < len(writes):
        return int(trace)
    keys = {contact.id} if how is How.UPDATE else set(contact.addresses())
    return next((index for index, write in enumerate(writes) if write.id in keys), None)


def _contact(found: object) -> Contact | None:
    body = _dict(found)
    record_id = _text(body.get("id"))
    if not record_id:
        return None
    held = _dict(body.get("properties"))
    return Contact(record_id, {str(name): _text(value) for name, value in held.items()})


def _named(complaint: Mapping[str, Any]) -> str:
    """The property that a complaint is about: HubSpot puts its name in one of three places."""
    context = _dict(complaint.get("context"))
    listed = context.get("propertyName")
    first = listed[0] if isinstance(listed, list) and listed else listed
    return _text(complaint.get("name") or complaint.get("in") or first)


def _tail(message: str) -> object:
    """ "Property values were not valid: [{…}]": the list."""
    _, bracket, rest = message.partition("[{")
    if not bracket:
        return []
    try:
        return json.loads(bracket + rest)
    except (ValueError, RecursionError):
        return []


def _text(found: object) -> str:
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def _dict(found: object) -> dict[str, Any]:
    return found if isinstance(found, dict) else {}


def _dicts(found: object) -> list[dict[str, Any]]:
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
