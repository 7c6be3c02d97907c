"""The Lever API over HTTP: its key, its rate, its paging tokens, and its error shape."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import falcon

from warmline.sandbox.control import (
    CallError,
    FaultsResource,
    Reading,
    WebhookResource,
    add_control_routes,
    read_json,
    write_json,
)
from warmline.sandbox.front import Answer, Front
from warmline.sandbox.lever.simulator import Lever
from warmline.sandbox.lever.world import Row

LIMIT_MAX = 100
OFFSETS_MAX = 10_000
_OF_OPPORTUNITY = ("interviews", "panels", "feedback", "notes")


class ApiError(Exception):
    """An answer that is no success, in Lever's shape."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Gate:
    """Middleware: the key, its rights, and the token bucket."""

    def __init__(self, lever: Lever) -> None:
        self._lever = lever
        self._lock = threading.Lock()
        self._left = lever.burst
        self._at = lever.now().timestamp()

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let the call pass, or answer it."""
        if not req.path.startswith("/v1/"):
            return
        pair = base64.b64encode(f"{self._lever.api_key}:".encode()).decode()
        if req.get_header("Authorization") != f"Basic {pair}":
            raise ApiError(401, "Unauthorized", "Invalid API key.")
        if not self._take():
            raise ApiError(429, "TooManyRequests", "You have exceeded your request limit.")
        words = [word for word in req.path.split("/")[2:] if word]
        named = {"addTags": "tags", "removeTags": "tags", "deleted": "opportunities"}
        resource = words[2] if len(words) > 2 else words[0]
        verb = "read" if req.method == "GET" else "write"
        right = f"{verb} {named.get(resource, resource)}"
        if right in self._lever.forbidden:
            raise ApiError(403, "Forbidden", f"This API key lacks permission to {right}.")

    def _take(self) -> bool:
        lever = self._lever
        with self._lock:
            now = lever.now().timestamp()
            self._left = min(lever.burst, self._left + max(0.0, now - self._at) * lever.rate)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


class Api:
    """Every path below `/v1`."""

    def __init__(self, lever: Lever) -> None:
        self._lever = lever
        self._world = lever.world
        world = lever.world
        self._tables: Mapping[str, Mapping[str, Row]] = {
            "stages": world.stages,
            "archive_reasons": world.archive_reasons,
            "postings": world.postings,
            "users": world.users,
            "contacts": world.contacts,
        }

    # Listings

    def on_get(self, req: falcon.Request, resp: falcon.Response, resource: str) -> None:
        with self._world.lock:
            write_json(resp, self._page(req, self._listed(req, resource)))

    def on_post(self, req: falcon.Request, resp: falcon.Response, resource: str) -> None:
        """The one thing that is made here: a webhook."""
        if resource != "webhooks":
            raise _not_found()
        body = _object(req)
        try:
            made = self._lever.add_webhook(str(body.get("event")), str(body.get("url")))
        except CallError as bad:
            raise ApiError(400, "BadRequest", str(bad)) from bad
        write_json(resp, {"data": made}, 201)

    def _listed(self, req: falcon.Request, resource: str) -> list[Row]:
        if resource == "opportunities":
            expand = req.get_param_as_list("expand") or []
            return [self._world.shown(row, expand) for row in self._opportunities(req)]
        if resource == "webhooks":
            return [_without_token(row) for row in self._lever.webhooks.values()]
        if resource == "tags":
            return [{"text": tag, "count": 1} for tag in self._world.known_tags]
        if resource not in self._tables or resource == "contacts":
            raise _not_found()
        rows = list(self._tables[resource].values())
        if resource == "archive_reasons" and (kind := req.get_param("type")):
            rows = [row for row in rows if row["type"] == kind]
        return rows

    def _opportunities(self, req: falcon.Request) -> list[Row]:
        rows = [row for row in self._world.opportunities.values() if self._sees(row)]
        if req.get_param("confidentiality") != "all":
            rows = [row for row in rows if row["confidentiality"] == "non-confidential"]
        for name, column in (("contact_id", "contact"), ("stage_id", "stage")):
            if wanted := req.get_param_as_list(name):
                rows = [row for row in rows if row[column] in wanted]
        if (email := req.get_param("email")) is not None:
            contact = self._world.by_email(email)
            rows = [row for row in rows if contact and row["contact"] == contact["id"]]
        if wanted := req.get_param_as_list("tag"):
            rows = [row for row in rows if set(wanted) & set(row["tags"])]
        if (archived := req.get_param("archived")) is not None:
            rows = [row for row in rows if (row["archived"] is not None) == (archived == "true")]
        since, until = _number(req, "updated_at_start"), _number(req, "updated_at_end")
        if since is not None:
            rows = [row for row in rows if (row["updatedAt"] or row["createdAt"]) >= since]
        if until is not None:
            rows = [row for row in rows if (row["updatedAt"] or row["createdAt"]) <= until]
        return sorted(rows, key=lambda row: -row["createdAt"])

    def _sees(self, row: Row) -> bool:
        return self._lever.sees_confidential or row["confidentiality"] == "non-confidential"

    def _page(self, req: falcon.Request, rows: Sequence[Row]) -> Row:
        limit = _number(req, "limit")
        limit = LIMIT_MAX if limit is None else limit
        if not 1 <= limit <= LIMIT_MAX:
            raise ApiError(400, "BadRequest", "limit must be between 1 and 100")
        said = {k: v for k, v in req.params.items() if k not in ("offset", "limit")}
        what = f"{req.path}?{sorted(said.items())}"
        start, offset = 0, req.get_param("offset")
        if offset is not None:
            of, start = self._lever.offsets.get(offset, ("", 0))
            if of != what:
                raise ApiError(400, "BadRequest", "Invalid offset token")
        page: Row = {"data": list(rows[start : start + limit]), "hasNext": False}
        if start + limit < len(rows):
            if len(self._lever.offsets) >= OFFSETS_MAX:
                self._lever.offsets.clear()
            token = f"%5B{self._world.new_id()}%5D"
            self._lever.offsets[token] = (what, start + limit)
            page |= {"hasNext": True, "next": token}
        return page

    # One record

    def on_get_one(
        self, req: falcon.Request, resp: falcon.Response, resource: str, number: str
    ) -> None:
        with self._world.lock:
            if resource == "opportunities" and number == "deleted":
                since = _number(req, "deleted_at_start") or 0
                rows = [row for row in self._world.deleted if row["deletedAt"] >= since]
                write_json(resp, self._page(req, rows))
            elif resource == "opportunities":
                row = self._opportunity(number)
                expand = req.get_param_as_list("expand") or []
                write_json(resp, {"data": self._world.shown(row, expand)})
            else:
                write_json(resp, {"data": self._one(resource, number)})

    def on_put_one(
        self, req: falcon.Request, resp: falcon.Response, resource: str, number: str
    ) -> None:
        if resource != "contacts":
            raise _not_found()
        self._one(resource, number)
        write_json(resp, {"data": self._lever.update_contact(number, **_object(req))})

    def on_delete_one(
        self, req: falcon.Request, resp: falcon.Response, resource: str, number: str
    ) -> None:
        if resource != "webhooks" or number not in self._lever.webhooks:
            raise _not_found()
        del self._lever.webhooks[number]
        resp.status = 204

    def _one(self, resource: str, number: str) -> Row:
        found = self._tables.get(resource, {}).get(number)
        if found is None:
            raise _not_found()
        return found

    # What hangs on an opportunity

    def on_get_of(self, req: falcon.Request, resp: falcon.Response, number: str, what: str) -> None:
        with self._world.lock:
            self._opportunity(number)
            if what not in _OF_OPPORTUNITY:
                raise _not_found()
            rows = self._world.of_opportunity(self._of(what), number)
            if what == "panels":
                rows = [{"id": row["panel"], "interviews": [row]} for row in rows]
            write_json(resp, self._page(req, rows))

    def on_get_of_one(
        self, req: falcon.Request, resp: falcon.Response, number: str, what: str, one: str
    ) -> None:
        with self._world.lock:
            self._opportunity(number)
            found = self._of(what).get(one) if what in _OF_OPPORTUNITY else None
            if found is None or found["opportunityId"] != number:
                raise _not_found()
            write_json(resp, {"data": found})

    def on_post_of(
        self, req: falcon.Request, resp: falcon.Response, number: str, what: str
    ) -> None:
        """A note, or tags that come on or off."""
        body = _object(req)
        with self._world.lock:
            row = self._opportunity(number)
            user = req.get_param("perform_as")
            if user is not None and user not in self._world.users:
                raise ApiError(400, "BadRequest", "perform_as is not a user")
            if what == "notes":
                value = body.get("value")
                if not isinstance(value, str) or not value:
                    raise ApiError(400, "BadRequest", "value must be given")
                self._lever.writes[f"note {number}"] += 1
                secret = bool(body.get("secret"))
                note = self._lever.add_note(number, value, user=user, secret=secret)
                write_json(resp, {"data": note}, 201)
                return
            tags = body.get("tags")
            if what not in ("addTags", "removeTags"):
                raise _not_found()
            if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
                raise ApiError(400, "BadRequest", "tags must be a list of strings")
            verb = "add" if what == "addTags" else "remove"
            self._lever.writes.update(f"{verb} {number} {tag}" for tag in tags)
            self._lever.change_tags(row, **{verb: tags})
            write_json(resp, {"data": self._world.shown(row)})

    def _of(self, what: str) -> Mapping[str, Row]:
        table = "interviews" if what == "panels" else what
        found: Mapping[str, Row] = getattr(self._world, table)
        return found

    def _opportunity(self, number: str) -> Row:
        found = self._world.opportunities.get(number)
        if found is None or not self._sees(found):
            raise _not_found()
        return found


def make_app(lever: Lever) -> Front:
    """The WSGI application of one simulated account."""
    app: Any = falcon.App(middleware=[Gate(lever)])
    app.req_options.auto_parse_qs_csv = False
    app.add_error_handler(ApiError, _failed)
    app.add_error_handler(CallError, _refused)
    app.add_error_handler(falcon.HTTPNotFound, _nothing_here)
    api = Api(lever)
    app.add_route("/v1/{resource}", api)
    app.add_route("/v1/{resource}/{number}", api, suffix="one")
    app.add_route("/v1/opportunities/{number}/{what}", api, suffix="of")
    app.add_route("/v1/opportunities/{number}/{what}/{one}", api, suffix="of_one")
    verbs = lever.verbs()
    add_control_routes(app, faults=lever.faults, log=lever.log, state=lever.state, verbs=verbs)
    app.add_route("/_control/webhook", WebhookResource(lever.set_webhook, lever.outbox.state))
    app.add_route("/_control/webhook/faults", FaultsResource(lever.outbox.faults))
    app.add_route("/_control/writes", Reading(lambda: dict(lever.writes)))
    return Front(
        app,
        faults=lever.faults,
        log=lever.log,
        failure=_failure,
        closing=lever.closing,
    )


_FAILURES: Mapping[str, tuple[str, str, str]] = {
    "rate_limited": ("429 Too Many Requests", "TooManyRequests", "Too many requests."),
    "unavailable": ("503 Service Unavailable", "ServiceUnavailable", "Try again later."),
    # The wording is assumed: no such answer is documented.
    "plan": ("403 Forbidden", "Forbidden", "Your plan does not include access to this feature."),
    "error": ("500 Internal Server Error", "InternalServerError", "Something went wrong."),
}


def _failure(kind: str) -> Answer:
    """Lever's own answer to a fault on order. It names no time to wait."""
    status, code, message = _FAILURES[kind]
    body = json.dumps({"code": code, "message": message}).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    return status, headers, body


def _without_token(row: Row) -> Row:
    kept = {k: v for k, v in row["configuration"].items() if k != "signatureToken"}
    return {**row, "configuration": kept}


def _number(req: falcon.Request, name: str) -> int | None:
    text = req.get_param(name)
    if text is None:
        return None
    if not text.lstrip("-").isdecimal():
        raise ApiError(400, "BadRequest", f"{name} must be a number")
    return int(text)


def _object(req: falcon.Request) -> Row:
    body = read_json(req)
    if not isinstance(body, dict):
        raise ApiError(400, "BadRequest", "the body must be an object")
    return body


def _not_found() -> ApiError:
    return ApiError(404, "ResourceNotFound", "Resource was not found.")


def _failed(_req: Any, resp: falcon.Response, bad: ApiError, _params: Any) -> None:
    write_json(resp, {"code": bad.code, "message": str(bad)}, bad.status)


def _refused(_req: Any, resp: falcon.Response, bad: CallError, _params: Any) -> None:
    write_json(resp, {"code": "BadRequest", "message": str(bad)}, 400)


def _nothing_here(req: falcon.Request, resp: falcon.Response, bad: Any, _params: Any) -> None:
    if req.path.startswith("/_control"):
        write_json(resp, bad.to_dict(), 404)
    else:
        _failed(req, resp, _not_found(), None)
