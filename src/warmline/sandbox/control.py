"""The control API that every simulator carries under `/_control`: faults, counts, calls, verbs."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import falcon

from warmline.sandbox.faults import FaultPlan, RuleError
from warmline.sandbox.front import RequestLog

BODY_MAX = 16 * 1024 * 1024


class CallError(ValueError):
    """A control verb was asked for something that does not exist or does not fit."""


def read_json(req: falcon.Request) -> Any:
    """The request's JSON body; None when there is none. Raises falcon.HTTPBadRequest."""
    raw = req.bounded_stream.read(BODY_MAX)
    if not raw:
        return None
    try:
        return json.loads(raw)
    except ValueError as bad:
        raise falcon.HTTPBadRequest(title="Not JSON", description=str(bad)) from bad


def write_json(resp: falcon.Response, value: Any, status: int = 200) -> None:
    """Answer with `value` as JSON."""
    resp.status = status
    resp.content_type = "application/json"
    resp.data = json.dumps(value, ensure_ascii=False, default=str).encode()


class FaultsResource:
    """`/_control/faults`: the rules in force."""

    def __init__(self, plan: FaultPlan) -> None:
        """Show and change `plan`."""
        self._plan = plan

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """List the rules."""
        write_json(resp, self._plan.as_json())

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Add one rule or an array of them."""
        body = read_json(req)
        rules = body if isinstance(body, list) else [body]
        try:
            made = [self._plan.add(rule if isinstance(rule, dict) else {}) for rule in rules]
        except RuleError as bad:
            raise falcon.HTTPBadRequest(title="Bad rule", description=str(bad)) from bad
        write_json(resp, [rule.as_json() for rule in made], 201)

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Lift every rule."""
        self._plan.clear()
        resp.status = 204


class RequestsResource:
    """`/_control/requests`: the log of calls."""

    def __init__(self, log: RequestLog) -> None:
        """Show `log`."""
        self._log = log

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Newest first, `?limit=` of them, with counters over all."""
        write_json(resp, self._log.as_json(req.get_param_as_int("limit") or 1000))

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Start the log and its counters anew."""
        self._log.clear()
        resp.status = 204


class Reading:
    """A control page that answers a GET with whatever `read` returns."""

    def __init__(self, read: Callable[[], Any]) -> None:
        """`read` is called for each request."""
        self._read = read

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer."""
        write_json(resp, self._read())


class DoResource:
    """`POST /_control/do/<verb>`: what people do, as JSON."""

    def __init__(self, verbs: Mapping[str, Callable[..., Any]]) -> None:
        """`verbs` are called with the body's fields as keyword arguments."""
        self._verbs = verbs

    def on_get(self, req: falcon.Request, resp: falcon.Response, verb: str) -> None:
        """The signature of a verb."""
        write_json(resp, {"verb": verb, "signature": str(inspect.signature(self._verb(verb)))})

    def on_post(self, req: falcon.Request, resp: falcon.Response, verb: str) -> None:
        """Do it and answer with what came of it."""
        call = self._verb(verb)
        fields = read_json(req) or {}
        try:
            if not isinstance(fields, dict):
                raise CallError("The body is a JSON object of the verb's arguments.")
            inspect.signature(call).bind(**fields)
        except TypeError as bad:
            raise falcon.HTTPBadRequest(
                title="Bad arguments", description=f"{verb}{inspect.signature(call)}: {bad}"
            ) from bad
        except CallError as bad:
            raise falcon.HTTPBadRequest(title="Bad arguments", description=str(bad)) from bad
        try:
            write_json(resp, call(**fields))
        except (CallError, LookupError, ValueError) as bad:
            raise falcon.HTTPBadRequest(title="Refused", description=str(bad)) from bad

    def _verb(self, verb: str) -> Callable[..., Any]:
        if verb not in self._verbs:
            raise falcon.HTTPNotFound(
                title="Unknown verb", description=f"Known: {', '.join(sorted(self._verbs))}."
            )
        return self._verbs[verb]


class WebhookResource:
    """`/_control/webhook`: where webhooks go, and the faults on their way."""

    def __init__(
        self, configure: Callable[..., dict[str, Any]], state: Callable[[], dict[str, Any]]
    ) -> None:
        """`configure` takes the body's fields; `state` tells the counts."""
        self._configure = configure
        self._state = state

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Where they go, and the counts."""
        write_json(resp, self._state())

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Set the address and the secret; answers with `active`."""
        fields = read_json(req)
        if not isinstance(fields, dict) or not fields.get("url"):
            raise falcon.HTTPBadRequest(title="Bad webhook", description="Give url and secret.")
        try:
            write_json(resp, self._configure(**fields))
        except TypeError as bad:
            raise falcon.HTTPBadRequest(title="Bad webhook", description=str(bad)) from bad


def add_control_routes(
    app: Any,
    *,
    faults: FaultPlan,
    log: RequestLog,
    state: Callable[[], Any],
    verbs: Mapping[str, Callable[..., Any]] | None = None,
) -> None:
    """The routes that every simulator has."""
    app.add_route("/_control/faults", FaultsResource(faults))
    app.add_route("/_control/requests", RequestsResource(log))
    app.add_route("/_control/state", Reading(state))
    if verbs:
        app.add_route("/_control/do/{verb}", DoResource(verbs))
