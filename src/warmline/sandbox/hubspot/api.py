"""HubSpot's HTTP: contacts, search, properties, owners and communication preferences."""

from __future__ import annotations

import re
from typing import Any

import falcon

from warmline.sandbox.control import (
    FaultsResource,
    Reading,
    WebhookResource,
    add_control_routes,
    write_json,
)
from warmline.sandbox.front import Front
from warmline.sandbox.hubspot.automation import Lists, Sequences
from warmline.sandbox.hubspot.batches import Batches, found_or_404, object_of
from warmline.sandbox.hubspot.contacts import INTEGRATION, ConflictError, Contact, MergeError
from warmline.sandbox.hubspot.emails import EmailEvents
from warmline.sandbox.hubspot.errors import ApiError, conflict, invalid, not_found
from warmline.sandbox.hubspot.limits import Gate, failure
from warmline.sandbox.hubspot.properties import EMAIL, TYPES, PropertyError
from warmline.sandbox.hubspot.search import SearchError, search
from warmline.sandbox.hubspot.simulator import APP_ID, PORTAL_ID, HubSpot
from warmline.sandbox.hubspot.subscriptions import SubscriptionError

PAGE_MAX = 100
_NAME = re.compile(r"[a-z][a-z0-9_]{0,99}")


class ContactsList:
    """`/crm/v3/objects/contacts`."""

    def __init__(self, hs: HubSpot) -> None:
        """Read and write `hs`."""
        self._hs = hs

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Every contact by id, a page at a time."""
        limit, after = _paging(req, 10, PAGE_MAX)
        contacts = self._hs.contacts
        with contacts.lock:
            ids = [i for i in sorted(contacts.by_id) if i > after][: limit + 1]
            results = [self._hs.shown(contacts.by_id[i], _names(req)) for i in ids[:limit]]
        write_json(resp, _page(results, str(ids[limit - 1]) if len(ids) > limit else None))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Create; 409 when the address is taken."""
        properties = object_of(req).get("properties") or {}
        with self._hs.contacts.lock:
            made = self._hs.contacts.create(properties)
            write_json(resp, self._hs.shown(made, properties), 201)


class OneContact:
    """`/crm/v3/objects/contacts/{id or address}`."""

    def __init__(self, hs: HubSpot) -> None:
        """Read and write `hs`."""
        self._hs = hs

    def on_get(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """By id, or with `?idProperty=email` by any of its addresses."""
        with self._hs.contacts.lock:
            contact = found_or_404(self._hs, key, req.get_param("idProperty"))
            write_json(resp, self._hs.shown(contact, _names(req)))

    def on_patch(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Write properties; an empty one clears."""
        properties = object_of(req).get("properties") or {}
        with self._hs.contacts.lock:
            contact = found_or_404(self._hs, key, req.get_param("idProperty"))
            write_json(
                resp, self._hs.shown(self._hs.contacts.update(contact, properties), properties)
            )

    def on_delete(self, req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """Archive; 204 also when it is gone already."""
        with self._hs.contacts.lock:
            if contact := self._hs.contacts.find(key):
                self._hs.contacts.archive(contact)
        resp.status = 204


class ContactActions:
    """`POST /crm/v3/objects/contacts/{search,merge,gdpr-delete}`."""

    def __init__(self, hs: HubSpot) -> None:
        """Read and write `hs`."""
        self._hs = hs

    def on_post_search(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Filtered, and seconds behind."""
        body = object_of(req)
        contacts = self._hs.contacts
        with contacts.lock:
            total, ids, after = search(contacts, body)
            names = body.get("properties") or []
            results = [
                {
                    **self._hs.shown(contacts.by_id[i], names),
                    # What is answered is what the index holds, stale or not.
                    "properties": _indexed_properties(contacts.indexed_row(i), names),
                }
                for i in ids
                if i in contacts.by_id
            ]
        write_json(resp, {"total": total, **_page(results, after)})

    def on_post_merge(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Two records become one with a new id. Ids that were merged away are refused, though
        reading resolves them (the wording of refusals is assumed)."""
        body = object_of(req)
        with self._hs.contacts.lock:
            one, two = (
                self._to_merge(body, name) for name in ("primaryObjectId", "objectIdToMerge")
            )
            if one is two:
                raise ApiError(400, "VALIDATION_ERROR", "Cannot merge a record with itself.")
            try:
                write_json(resp, self._hs.shown(self._hs.contacts.merge(one, two)))
            except MergeError as bad:
                raise ApiError(400, "VALIDATION_ERROR", str(bad)) from bad

    def _to_merge(self, body: dict[str, Any], name: str) -> Contact:
        key = str(body.get(name, ""))
        contact = found_or_404(self._hs, key, None)
        if str(contact.id) != key:
            message = f"{name} {key} was merged into {contact.id}: use that id instead."
            raise ApiError(400, "VALIDATION_ERROR", message)
        return contact

    def on_post_erase(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Erase; an address that nobody has is blocked instead."""
        body = object_of(req)
        key = str(body.get("objectId", ""))
        contact = self._hs.contacts.find(key, body.get("idProperty"))
        if contact is None and body.get("idProperty") != "email":
            raise not_found(key)
        self._hs.erase(contact, key, INTEGRATION)
        resp.status = 204


class Properties:
    """`/crm/v3/properties/contacts` and one property of it."""

    def __init__(self, hs: HubSpot) -> None:
        """Read and write `hs`."""
        self._hs = hs

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All of them."""
        write_json(resp, {"results": list(self._hs.contacts.definitions.values())})

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Define one."""
        body = object_of(req)
        name = str(body.get("name", ""))
        for field in ("name", "label", "type", "fieldType", "groupName"):
            if not body.get(field):
                message = f"Some required fields were not set: [{field}]"
                raise ApiError(400, "VALIDATION_ERROR", f"Invalid input JSON: {message}")
        if not _NAME.fullmatch(name) or body["type"] not in TYPES:
            raise ApiError(400, "VALIDATION_ERROR", f"Invalid property name or type: {name}")
        with self._hs.contacts.lock:
            if name in self._hs.contacts.definitions:
                message = f"A property named '{name}' already exists."
                raise ApiError(409, "OBJECT_ALREADY_EXISTS", message)
            made = self._hs.add_property(name, body["label"], body["type"])
            for field in ("fieldType", "groupName", "description", "options"):
                made[field] = body.get(field, made[field])
        write_json(resp, made, 201)

    def on_get_one(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """One of them."""
        made = self._hs.contacts.definitions.get(name)
        if made is None:
            raise ApiError(404, "OBJECT_NOT_FOUND", f"Property {name} does not exist")
        write_json(resp, made)


class Owners:
    """`GET /crm/v3/owners`."""

    def __init__(self, hs: HubSpot) -> None:
        """Read `hs`."""
        self._hs = hs

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """All of them, or the one with `?email=`."""
        limit, after = _paging(req, 100, 500)
        email = (req.get_param("email") or "").lower()
        rows = [o for o in self._hs.owners if email in {"", o["email"]} and int(o["id"]) > after]
        more = rows[limit - 1]["id"] if len(rows) > limit else None
        write_json(resp, _page(rows[:limit], more))


class TokenInfo:
    """`POST /oauth/v2/private-apps/get/access-token-info`: what the token may do."""

    def __init__(self, hs: HubSpot) -> None:
        """Read `hs`."""
        self._hs = hs

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Of the private app's own token; any other is not known."""
        if object_of(req).get("tokenKey") != self._hs.token:
            raise ApiError(404, "OBJECT_NOT_FOUND", "No private app has this token.")
        about = {"userId": 1001, "hubId": PORTAL_ID, "appId": APP_ID}
        write_json(resp, {**about, "scopes": sorted(self._hs.scopes)})


class Preferences:
    """`/communication-preferences/v4`: by address, not by contact."""

    def __init__(self, hs: HubSpot) -> None:
        """Read and write `hs`."""
        self._hs = hs

    def on_get_definitions(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The kinds of mail."""
        write_json(resp, {"status": "COMPLETE", "results": self._hs.subscriptions.definitions()})

    def on_get_statuses(self, req: falcon.Request, resp: falcon.Response, email: str) -> None:
        """Each kind's state for one address."""
        _need_email_channel(req.get_param("channel"))
        write_json(resp, {"status": "COMPLETE", "results": self._hs.subscriptions.statuses(email)})

    def on_post_statuses(self, req: falcon.Request, resp: falcon.Response, email: str) -> None:
        """Write one state."""
        body = object_of(req)
        _need_email_channel(body.get("channel"))
        try:
            number = int(body.get("subscriptionId", 0))
            made = self._hs.subscriptions.set(email, number, str(body.get("statusState")))
        except (TypeError, ValueError, SubscriptionError) as bad:
            raise ApiError(400, "VALIDATION_ERROR", str(bad)) from bad
        write_json(resp, made)

    def on_get_all(self, req: falcon.Request, resp: falcon.Response, email: str) -> None:
        """Empty results mean that the address has not opted out of everything."""
        _need_email_channel(req.get_param("channel"))
        _need_an_address(email)
        results = self._hs.subscriptions.unsubscribed_from_all(email)
        write_json(resp, {"status": "COMPLETE", "results": results})

    def on_post_all(self, req: falcon.Request, resp: falcon.Response, email: str) -> None:
        """Opt the address out of everything."""
        _need_email_channel(req.get_param("channel"))
        _need_an_address(email)
        hs = self._hs
        with hs.contacts.lock:
            hs.subscriptions.unsubscribe_all(email)
            contact = hs.contacts.find(email, "email")
            if contact:
                # The property is the vendor's own; the write that caused it was an integration's.
                hs.show_opt_out(contact, email, INTEGRATION)
            results = hs.subscriptions.unsubscribed_from_all(email)
        if req.get_param("verbose") == "true":
            write_json(resp, {"status": "COMPLETE", "results": results})
        else:
            resp.status = 204


def make_app(hs: HubSpot) -> Front:
    """The WSGI application of one simulated account."""
    app: Any = falcon.App(middleware=[Gate(hs)])
    app.req_options.strip_url_path_trailing_slash = True
    app.add_error_handler(ApiError, _failed)
    app.add_error_handler(PropertyError, lambda q, p, bad, _: _failed(q, p, invalid(bad), _))
    app.add_error_handler(ConflictError, lambda q, p, bad, _: _failed(q, p, conflict(bad), _))
    app.add_error_handler(SearchError, _bad_search)
    contacts, actions, preferences = "/crm/v3/objects/contacts", ContactActions(hs), Preferences(hs)
    app.add_route(contacts, ContactsList(hs))
    app.add_route(f"{contacts}/search", actions, suffix="search")
    app.add_route(f"{contacts}/merge", actions, suffix="merge")
    app.add_route(f"{contacts}/gdpr-delete", actions, suffix="erase")
    app.add_route(f"{contacts}/batch/{{action}}", Batches(hs))
    app.add_route(f"{contacts}/{{key}}", OneContact(hs))
    properties = Properties(hs)
    app.add_route("/crm/v3/properties/contacts", properties)
    app.add_route("/crm/v3/properties/contacts/{name}", properties, suffix="one")
    app.add_route("/crm/v3/owners", Owners(hs))
    app.add_route("/oauth/v2/private-apps/get/access-token-info", TokenInfo(hs))
    v4 = "/communication-preferences/v4"
    app.add_route(f"{v4}/definitions", preferences, suffix="definitions")
    app.add_route(f"{v4}/statuses/{{email}}", preferences, suffix="statuses")
    app.add_route(f"{v4}/statuses/{{email}}/unsubscribe-all", preferences, suffix="all")
    emails = EmailEvents(hs.emails)
    app.add_route("/email/public/v1/events", emails)
    app.add_route("/email/public/v1/campaigns/{key}", emails, suffix="campaign")
    automation = Sequences(hs.automation, hs.address_of, hs.senders)
    sequences = "/automation/v4/sequences"
    app.add_route(sequences, automation)
    app.add_route(f"{sequences}/enrollments", automation, suffix="enrolments")
    app.add_route(f"{sequences}/enrollments/contact/{{key}}", automation, suffix="contact")
    app.add_route(f"{sequences}/{{key}}", automation, suffix="one")
    lists = Lists(hs.automation, hs.address_of)
    app.add_route("/crm/v3/lists/records/0-1/{record}/memberships", lists, suffix="of_record")
    app.add_route("/crm/v3/lists/{key}", lists)
    app.add_route("/crm/v3/lists/{key}/memberships/{change}", lists, suffix="members")
    add_control_routes(app, faults=hs.faults, log=hs.log, state=hs.state, verbs=hs.verbs())
    app.add_route("/_control/webhook", WebhookResource(hs.set_webhook, hs.outbox.state))
    app.add_route("/_control/webhook/faults", FaultsResource(hs.outbox.faults))
    app.add_route("/_control/contacts", Reading(hs.all_contacts))
    return Front(
        app,
        faults=hs.faults,
        log=hs.log,
        failure=lambda kind: failure(hs, kind),
        closing=hs.closing,
    )


def _failed(_req: Any, resp: falcon.Response, bad: ApiError, _params: Any) -> None:
    write_json(resp, bad.body(), bad.status)


def _bad_search(_req: Any, resp: falcon.Response, bad: SearchError, _params: Any) -> None:
    write_json(resp, ApiError(400, "VALIDATION_ERROR", str(bad)).body(), 400)


def _names(req: falcon.Request) -> list[str]:
    return [name for part in req.get_param_as_list("properties") or [] for name in part.split(",")]


def _paging(req: falcon.Request, default: int, most: int) -> tuple[int, int]:
    limit = req.get_param_as_int("limit") or default
    if not 1 <= limit <= most:
        raise ApiError(400, "VALIDATION_ERROR", f"limit must be from 1 to {most}")
    return limit, req.get_param_as_int("after") or 0


def _page(results: list[Any], after: str | None) -> dict[str, Any]:
    page: dict[str, Any] = {"results": results}
    if after is not None:
        page["paging"] = {"next": {"after": after, "link": ""}}
    return page


def _indexed_properties(row: dict[str, str], names: list[str]) -> dict[str, str | None]:
    shown = ("createdate", "hs_object_id", "lastmodifieddate")
    wanted = dict.fromkeys([*shown, *(names or ("email", "firstname", "lastname"))])
    return {name: row.get(name) for name in wanted}


def _need_an_address(email: str) -> None:
    """The wording is assumed. An address that no contact has is taken: opt-outs are by address."""
    if not EMAIL.fullmatch(email):
        raise ApiError(400, "VALIDATION_ERROR", f"Invalid email address: {email}")


def _need_email_channel(channel: Any) -> None:
    if channel != "EMAIL":
        raise ApiError(400, "VALIDATION_ERROR", "channel must be EMAIL")
