"""The batch endpoints of contacts: up to a hundred inputs, each with an outcome of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import falcon

from warmline.sandbox.clock import iso_ms
from warmline.sandbox.control import read_json, write_json
from warmline.sandbox.hubspot.contacts import ConflictError, Contact
from warmline.sandbox.hubspot.errors import ApiError, conflict, invalid, not_found
from warmline.sandbox.hubspot.properties import PropertyError
from warmline.sandbox.hubspot.simulator import HubSpot

INPUTS_MAX = 100
Input = dict[str, Any]


class Batches:
    """`POST /crm/v3/objects/contacts/batch/{read,upsert,update,create,archive}`."""

    def __init__(self, hs: HubSpot) -> None:
        """Read and write `hs`."""
        self._hs = hs

    def on_post(self, req: falcon.Request, resp: falcon.Response, action: str) -> None:
        """Dispatch."""
        steps: dict[str, Callable[[Input, list[Input]], Callable[[Input], Any]]] = {
            "read": self._read,
            "upsert": self._upsert,
            "update": self._update,
            "create": self._create,
            "archive": self._archive,
        }
        if action not in steps:
            raise falcon.HTTPNotFound
        body = object_of(req)
        inputs = body.get("inputs")
        if not isinstance(inputs, list) or not all(isinstance(item, dict) for item in inputs):
            raise ApiError(400, "VALIDATION_ERROR", "Invalid input JSON: inputs must be a list.")
        if len(inputs) > INPUTS_MAX:
            message = f"The maximum number of inputs supported in a batch request is {INPUTS_MAX}."
            raise ApiError(400, "VALIDATION_ERROR", message)
        with self._hs.contacts.lock:
            started = iso_ms(self._hs.now())
            status, answer = self._run(inputs, steps[action](body, inputs))
        if action == "archive":
            resp.status = 204
            return
        answer.update(startedAt=started, completedAt=iso_ms(self._hs.now()))
        write_json(resp, answer, 201 if action == "create" and status == 200 else status)

    def _run(self, inputs: list[Input], step: Callable[[Input], Any]) -> tuple[int, Input]:
        results: list[Any] = []
        errors: list[Input] = []
        missing: list[str] = []
        for number, item in enumerate(inputs):
            trace = str(item.get("objectWriteTraceId", number))
            key = str(item.get("id", ""))
            try:
                results.append(step(item))
            except PropertyError as bad:
                errors.append(
                    invalid(bad).item(objectWriteTraceId=[trace], id=[key] if key else [])
                )
            except ConflictError as bad:
                errors.append(conflict(bad).item(objectWriteTraceId=[trace]))
            except LookupError:
                missing.append(key)
        if missing:
            message = (
                "Could not get some CONTACT objects, they may be deleted or not exist. "
                "Check that ids are valid."
            )
            errors.append(
                ApiError(404, "OBJECT_NOT_FOUND", message, context={"ids": missing}).item()
            )
        answer: Input = {"status": "COMPLETE", "results": results}
        if errors:
            answer.update(numErrors=len(errors), errors=errors)
        return (207 if errors else 200), answer

    def _read(self, body: Input, inputs: list[Input]) -> Callable[[Input], Any]:
        names = body.get("properties") or []
        id_property = body.get("idProperty")
        # The vendor answers a record once, however often it was asked for.
        return lambda item: self._hs.shown(self._found(item, id_property), names)

    def _upsert(self, body: Input, inputs: list[Input]) -> Callable[[Input], Any]:
        for item in inputs:
            if item.get("idProperty") != "email":
                raise ApiError(400, "VALIDATION_ERROR", "idProperty must be email.")
        self._check_inputs(inputs, [str(item.get("id", "")).strip().lower() for item in inputs])
        contacts = self._hs.contacts

        def upsert(item: Input) -> Any:
            email = str(item.get("id", ""))
            contact = contacts.find(email, "email")
            properties = item.get("properties") or {}
            if contact is None:
                made = contacts.create({"email": email, **properties})
                return {**self._hs.shown(made, properties), "new": True}
            return {
                **self._hs.shown(contacts.update(contact, properties), properties),
                "new": False,
            }

        return upsert

    def _update(self, body: Input, inputs: list[Input]) -> Callable[[Input], Any]:
        self._check_inputs(inputs, [str(item.get("id", "")) for item in inputs])

        def update(item: Input) -> Any:
            properties = item.get("properties") or {}
            contact = self._found(item, item.get("idProperty"))
            return self._hs.shown(self._hs.contacts.update(contact, properties), properties)

        return update

    def _create(self, body: Input, inputs: list[Input]) -> Callable[[Input], Any]:
        emails = [str((i.get("properties") or {}).get("email", "")).lower() for i in inputs]
        self._check_inputs(inputs, [email for email in emails if email])

        def create(item: Input) -> Any:
            properties = item.get("properties") or {}
            return self._hs.shown(self._hs.contacts.create(properties), properties)

        return create

    def _archive(self, body: Input, inputs: list[Input]) -> Callable[[Input], Any]:
        def archive(item: Input) -> None:
            contact = self._hs.contacts.find(str(item.get("id", "")))
            if contact is not None:
                self._hs.contacts.archive(contact)

        return archive

    def _check_inputs(self, inputs: list[Input], keys: list[str]) -> None:
        """What spoils the whole batch: the same record twice, or a property that is not there."""
        twice = list(dict.fromkeys(key for key in keys if keys.count(key) > 1))
        if twice:
            message = (
                f"Duplicate IDs found in batch input: [{', '.join(twice)}]. IDs must be unique"
            )
            raise ApiError(400, "VALIDATION_ERROR", message, context={"ids": twice})
        for item in inputs:
            for name in self._hs.contacts.unknown(item.get("properties") or {}):
                message = f'Property "{name}" does not exist'
                raise invalid(PropertyError(name, "PROPERTY_DOESNT_EXIST", message))

    def _found(self, item: Input, id_property: str | None) -> Contact:
        contact = self._hs.contacts.find(str(item.get("id", "")), id_property)
        if contact is None:
            raise LookupError(item.get("id"))
        return contact


def object_of(req: falcon.Request) -> Input:
    """The JSON object of a request. Raises ApiError."""
    try:
        body = read_json(req)
    except falcon.HTTPBadRequest as bad:
        raise ApiError(400, "VALIDATION_ERROR", "Invalid input JSON") from bad
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise ApiError(400, "VALIDATION_ERROR", "Invalid input JSON: an object is needed.")
    return body


def found_or_404(hs: HubSpot, key: str, id_property: str | None) -> Contact:
    """The contact. Raises ApiError."""
    if id_property not in {None, "email", "hs_object_id"}:
        raise ApiError(400, "VALIDATION_ERROR", f"{id_property} is not a unique property.")
    contact = hs.contacts.find(key, id_property)
    if contact is None:
        raise not_found(key)
    return contact
