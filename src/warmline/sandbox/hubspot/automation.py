"""HubSpot's own sequences and its lists, as far as somebody outside can reach them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import falcon

from warmline.sandbox.clock import Now, iso_ms
from warmline.sandbox.control import write_json
from warmline.sandbox.hubspot.errors import ApiError

# A user may put so many contacts on sequences in a day (said by HubSpot's help pages; not by the
# API's).
ENROLMENTS_A_DAY = 1000
MEMBERSHIPS_MAX = 100_000  # of one call


@dataclass
class Enrolment:
    """A contact on a sequence."""

    id: str
    contact_id: str
    sequence_id: str
    user_id: str
    sender: str
    address: str
    at: str

    def lite(self) -> dict[str, str]:
        """As enrolling answers it."""
        return {
            "id": self.id,
            "enrolledAt": self.at,
            "toEmail": self.address,
            "updatedAt": self.at,
        }


@dataclass
class Automation:
    """What is there: sequences by id, lists by id with their members."""

    now: Now
    sequences: dict[str, str] = field(
        default_factory=lambda: {"910001": "Silver medalists", "910002": "Welcome"}
    )
    lists: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            "31": {"name": "Silver medalists", "processingType": "MANUAL", "objectTypeId": "0-1"},
            "32": {"name": "Everybody", "processingType": "DYNAMIC", "objectTypeId": "0-1"},
        }
    )
    members: dict[str, set[str]] = field(default_factory=lambda: {"31": set(), "32": set()})
    enrolments: dict[str, Enrolment] = field(default_factory=dict)  # by contact
    lock: threading.RLock = field(default_factory=threading.RLock)
    _number: int = 0
    _today: dict[tuple[str, str], int] = field(default_factory=dict)

    def enrol(
        self, contact_id: str, address: str, sequence_id: str, user_id: str, sender: str
    ) -> Enrolment:
        """Put a contact on a sequence; it may be on one at a time (the wording is assumed)."""
        with self.lock:
            if sequence_id not in self.sequences:
                raise ApiError(404, "OBJECT_NOT_FOUND", f"Sequence {sequence_id} does not exist")
            if contact_id in self.enrolments:
                message = f"Contact {contact_id} is already enrolled in a sequence."
                raise ApiError(400, "VALIDATION_ERROR", message)
            day = (user_id, self.now().date().isoformat())
            if self._today.get(day, 0) >= ENROLMENTS_A_DAY:
                raise ApiError(
                    400, "VALIDATION_ERROR", "The daily limit of enrollments is reached."
                )
            self._today[day] = self._today.get(day, 0) + 1
            self._number += 1
            made = Enrolment(
                str(880_000 + self._number), contact_id, sequence_id, user_id, sender, address,
                iso_ms(self.now()),
            )  # fmt: skip
            self.enrolments[contact_id] = made
            return made

    def end(self, contact_id: str) -> None:
        """The contact replied, booked a meeting, opted out, or came to the end."""
        with self.lock:
            self.enrolments.pop(contact_id, None)


class Sequences:
    """`/automation/v4/sequences`."""

    def __init__(
        self,
        automation: Automation,
        address_of: Callable[[str], str | None],
        senders: Callable[[], dict[str, str]],
    ) -> None:
        """`address_of` a contact by id (None: there is none); `senders`: address to user id."""
        self._automation, self._address_of, self._senders = automation, address_of, senders

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All of them."""
        _user(req)
        rows = [_shown(*one) for one in self._automation.sequences.items()]
        write_json(resp, {"total": len(rows), "results": rows})

    def on_get_one(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """One of them."""
        _user(req)
        if key not in self._automation.sequences:
            raise ApiError(404, "OBJECT_NOT_FOUND", f"Sequence {key} does not exist")
        write_json(resp, _shown(key, self._automation.sequences[key]))

    def on_post_enrolments(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Put one contact on one of them."""
        user, body = _user(req), req.get_media()
        wanted = ("contactId", "senderEmail", "sequenceId")
        if not isinstance(body, dict) or not all(body.get(name) for name in wanted):
            message = f"Some required fields were not set: [{', '.join(wanted)}]"
            raise ApiError(400, "VALIDATION_ERROR", f"Invalid input JSON: {message}")
        contact, sender = str(body["contactId"]), str(body["senderEmail"]).lower()
        address = self._address_of(contact)
        if address is None:
            raise ApiError(404, "OBJECT_NOT_FOUND", f"Contact {contact} does not exist")
        if self._senders().get(sender) != user:
            message = "The sender has no connected inbox, or is not the user's."
            raise ApiError(400, "VALIDATION_ERROR", message)
        made = self._automation.enrol(contact, address, str(body["sequenceId"]), user, sender)
        write_json(resp, made.lite())

    def on_get_contact(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Where one contact stands: one object, and 404 where it is on none."""
        made = self._automation.enrolments.get(key)
        if made is None:
            raise ApiError(404, "OBJECT_NOT_FOUND", f"Contact {key} is not enrolled in a sequence")
        more = {
            "sequenceId": made.sequence_id,
            "sequenceName": self._automation.sequences[made.sequence_id],
            "enrolledBy": made.user_id,
            "enrolledByEmail": made.sender,
        }
        write_json(resp, made.lite() | more)


class Lists:
    """`/crm/v3/lists`."""

    def __init__(self, automation: Automation, address_of: Callable[[str], str | None]) -> None:
        """Read and write `automation`."""
        self._automation, self._address_of = automation, address_of

    def on_get(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """One list."""
        write_json(resp, {"list": {"listId": key, **self._list(key)}})

    def on_put_members(
        self, req: falcon.Request, resp: falcon.Response, key: str, change: str
    ) -> None:
        """The body is a bare array of ids; the answer's spelling is the vendor's own."""
        found, body = self._list(key), req.get_media()
        if change not in ("add", "remove"):
            raise ApiError(404, "OBJECT_NOT_FOUND", "No such call")
        if found["processingType"] not in ("MANUAL", "SNAPSHOT"):
            message = f"List {key} is {found['processingType']} and takes nobody by hand."
            raise ApiError(400, "VALIDATION_ERROR", message)
        if not isinstance(body, list) or len(body) > MEMBERSHIPS_MAX:
            raise ApiError(400, "VALIDATION_ERROR", "Expected an array of record ids.")
        with self._automation.lock:
            members, ids = self._automation.members[key], [str(one) for one in body]
            there = [one for one in ids if self._address_of(one) is not None]
            changed = [one for one in there if (one in members) == (change == "remove")]
            if change == "add":
                members.update(there)
            else:
                members.difference_update(there)
        told: dict[str, list[str]] = {"recordsIdsAdded": [], "recordIdsRemoved": []}
        told["recordsIdsAdded" if change == "add" else "recordIdsRemoved"] = changed
        told["recordIdsMissing"] = [one for one in ids if one not in there]
        write_json(resp, told)

    def on_get_of_record(self, req: falcon.Request, resp: falcon.Response, record: str) -> None:
        """The lists that one contact is on."""
        members = self._automation.members.items()
        rows = [{"listId": key, "listVersion": 1} for key, ids in members if record in ids]
        write_json(resp, {"total": len(rows), "results": rows})

    def _list(self, key: str) -> dict[str, Any]:
        if key not in self._automation.lists:
            raise ApiError(404, "OBJECT_NOT_FOUND", f"List does not exist with ID {key}.")
        return self._automation.lists[key]


def _user(req: falcon.Request) -> str:
    user = req.get_param("userId") or ""
    if not user:
        raise ApiError(400, "VALIDATION_ERROR", "query parameter userId is required")
    return user


def _shown(key: str, name: str) -> dict[str, str]:
    return {"id": key, "name": name, "userId": "1001"}
