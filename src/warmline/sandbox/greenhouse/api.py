"""Harvest v3 over HTTP: lists, writes and the vendor's error shapes."""

from __future__ import annotations

from collections.abc import Callable
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
from warmline.sandbox.front import Front
from warmline.sandbox.greenhouse.gate import DeniedError, Gate, Tokens, failure
from warmline.sandbox.greenhouse.simulator import Greenhouse
from warmline.sandbox.greenhouse.tables import RESOURCES, InvalidError, Row, list_page


class Lists:
    """`GET /v3/{resource}`, and the plain creations on the same paths."""

    def __init__(self, gh: Greenhouse) -> None:
        """Read and write `gh`."""
        self._gh = gh
        self._creates: dict[str, Callable[[Row], Any]] = {
            "candidates": self._create_candidate,
            "candidate_tags": self._create_tag,
            "applied_candidate_tags": self._apply_tag,
            "notes": self._create_note,
        }

    def on_get(self, req: falcon.Request, resp: falcon.Response, resource: str) -> None:
        """One page: a bare array, and the next page's address in Link."""
        if resource not in RESOURCES:
            raise falcon.HTTPNotFound
        world = self._gh.world
        params = {k: ",".join(v) if isinstance(v, list) else v for k, v in req.params.items()}
        with world.lock:
            if resource == "interviews":
                world.settle_interviews()
            rows, cursor = list_page(resource, world.tables[resource], params, world.by_email)
            write_json(resp, self._seen(resource, rows))
        if cursor:
            resp.set_header("Link", f'<{req.prefix}/v3/{resource}?cursor={cursor}>; rel="next"')

    def _seen(self, resource: str, rows: list[Row]) -> list[Row]:
        """What the acting user may see of them."""
        gh = self._gh
        if resource == "applied_candidate_tags":
            return [row for row in rows if gh.may_see(row["candidate_id"])]
        if resource != "candidates":
            return rows
        shown = (row for row in rows if row["id"] not in gh.world.hidden)
        return [row if gh.may_see(row["id"]) else _stub(row) for row in shown]

    def on_post(self, req: falcon.Request, resp: falcon.Response, resource: str) -> None:
        """Create."""
        if resource not in self._creates:
            raise falcon.HTTPNotFound
        with self._gh.world.lock:
            write_json(resp, self._creates[resource](_object(req)), 201)

    def _create_candidate(self, body: Row) -> Any:
        application = body.get("application")
        if not isinstance(application, dict) or not application.get("job_id"):
            raise InvalidError("application", "must carry a job_id")
        if not body.get("first_name") or not body.get("last_name"):
            raise InvalidError("first_name", "and last_name must be given")
        if application["job_id"] not in self._gh.world.jobs.rows:
            raise InvalidError("application.job_id", "is not a job")
        candidate = self._gh.world.add_candidate(body)
        made = self._gh.apply(job_id=application["job_id"], candidate_id=candidate["id"])
        return {"candidate": candidate, "application": made}

    def _create_tag(self, body: Row) -> Any:
        name = body.get("name")
        if not name:
            raise InvalidError("name", "must be given")
        if self._gh.world.tagging.taken(str(name)):
            raise InvalidError("name", "has already been taken")
        return self._gh.world.candidate_tags.get(self._gh.world.tagging.named(str(name)))

    def _apply_tag(self, body: Row) -> Any:
        world = self._gh.world
        candidate = world.candidates.rows.get(body.get("candidate_id", 0))
        if candidate is None:
            raise InvalidError("candidate_id", "is not a candidate")
        tag_id = body.get("candidate_tag_id")
        if tag_id not in world.candidate_tags.rows:
            raise InvalidError("candidate_tag_id", "is not a tag")
        if not self._gh.may_see(candidate["id"]):
            raise DeniedError(403, "You do not have access to this candidate.")
        world.tagging.writes[candidate["id"], world.tagging.name_of(tag_id)] += 1
        row = world.tagging.put_on(candidate, tag_id)
        self._gh.update_candidate(candidate["id"])
        return row

    def _create_note(self, body: Row) -> Any:
        world = self._gh.world
        application = world.applications.rows.get(body.get("application_id") or 0)
        if application is None and body.get("candidate_id") not in world.candidates.rows:
            raise InvalidError("candidate_id", "is not a candidate")
        if not body.get("body"):
            raise InvalidError("body", "must be given")
        if body.get("visibility") not in {"admin_only", "private", "public"}:
            raise InvalidError("visibility", "must be admin_only, private or public")
        if body.get("note_type", "NOTE") not in {"NOTE", "ACTIVITY", "EMAIL"}:
            raise InvalidError("note_type", "must be NOTE, ACTIVITY or EMAIL")
        if body.get("user_id") is not None and body["user_id"] not in world.users.rows:
            raise InvalidError("user_id", "is not a user")
        candidate_id = application["candidate_id"] if application else body["candidate_id"]
        if not self._gh.may_see(candidate_id):
            raise DeniedError(403, "You do not have access to this candidate.")
        world.writes["notes", candidate_id] += 1
        world.touch(world.candidates.get(candidate_id))
        return self._gh.add_note(
            application,
            body["body"],
            candidate_id=candidate_id,
            user_id=body.get("user_id"),
            visibility=body["visibility"],
            note_type=body.get("note_type", "NOTE"),
        )


class Rows:
    """`/v3/{resource}/{id}` and `/v3/{resource}/{id}/{action}`: changes to one row, mostly 204."""

    def __init__(self, gh: Greenhouse) -> None:
        """Change `gh`."""
        self._gh = gh

    def on_patch(self, req: falcon.Request, resp: falcon.Response, resource: str, row: int) -> None:
        """Change a candidate: answered with the candidate, or with nothing (`gh.terse`)."""
        world = self._gh.world
        with world.lock:
            self._need(resource, row, "candidates")
            if not self._gh.may_see(row):
                raise DeniedError(403, "You do not have access to this candidate.")
            changed = self._gh.update_candidate(row, **_object(req))
            world.writes["patches", row] += 1
            if self._gh.terse:
                resp.status = 204
            else:
                write_json(resp, changed)

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, resource: str, row: int
    ) -> None:
        """Take a tag off, by its row; delete a tag everywhere, or a candidate."""
        world = self._gh.world
        with world.lock:
            self._need(resource, row, "applied_candidate_tags", "candidate_tags", "candidates")
            if resource == "candidates":
                self._gh.delete_candidate(row)
            elif resource == "candidate_tags":
                world.tagging.remove(row)
            else:
                applied = world.applied_candidate_tags.get(row)
                name = world.tagging.name_of(applied["candidate_tag_id"])
                world.tagging.removals[applied["candidate_id"], name] += 1
                world.tagging.take_off(applied)
                self._gh.update_candidate(applied["candidate_id"])
        resp.status = 204

    def on_patch_action(
        self, req: falcon.Request, resp: falcon.Response, resource: str, row: int, action: str
    ) -> None:
        """`PATCH /v3/candidates/{id}/anonymize`."""
        self._need(resource, row, "candidates")
        if action != "anonymize":
            raise falcon.HTTPNotFound
        body = _object(req)
        fields = body.get("fields") or (req.get_param("fields") or "").split(",")
        self._gh.anonymize(row, [name for name in fields if name])
        resp.status = 204

    def on_post_action(
        self, req: falcon.Request, resp: falcon.Response, resource: str, row: int, action: str
    ) -> None:
        """What can be done to an application, and the merge of two candidates."""
        self._need(resource, row, "applications", "candidates")
        body = _object(req)
        if resource == "candidates":
            if action != "merge":
                raise falcon.HTTPNotFound
            other = body.get("duplicate_candidate_id") or body.get("candidate_id")
            if other not in self._gh.world.candidates.rows:
                raise InvalidError("duplicate_candidate_id", "is not a candidate")
            self._gh.merge(row, other)
        elif action in {"move", "reject", "unreject", "hire", "convert_to_candidate"}:
            with self._gh.world.lock:
                getattr(self, f"_{action}")(self._gh.world.applications.get(row), body)
        else:
            raise falcon.HTTPNotFound
        resp.status = 204

    def _move(self, application: Row, body: Row) -> None:
        origin = body.get("from_stage_id")
        # Clients send the instance of the stage; the job's own stage id is taken as well.
        if origin not in {None, application["stage_id"], application["job_interview_stage_id"]}:
            raise InvalidError("from_stage_id", "is not the current stage")
        stage = body.get("to_stage_id")
        if stage not in self._gh.world.job_interview_stages.rows:
            raise InvalidError("to_stage_id", "is not a stage")
        if self._gh.world.job_interview_stages.get(stage)["job_id"] != application["job_id"]:
            raise InvalidError("to_stage_id", "is not a stage of this application's job")
        self._gh.move(application["id"], stage)

    def _reject(self, application: Row, body: Row) -> None:
        reason = body.get("rejection_reason_id")
        if reason not in self._gh.world.rejection_reasons.rows:
            raise InvalidError("rejection_reason_id", "is not a rejection reason")
        self._gh.reject(application["id"], reason, body.get("notes") or "")

    def _unreject(self, application: Row, body: Row) -> None:
        self._gh.unreject(application["id"])

    def _hire(self, application: Row, body: Row) -> None:
        self._gh.hire(application["id"], body.get("start_date") or "")

    def _convert_to_candidate(self, application: Row, body: Row) -> None:
        job_id = body.get("job_id") or application["job_id"]
        if not application["prospect"] or job_id not in self._gh.world.jobs.rows:
            raise InvalidError("job_id", "must name a job, for a prospect")
        application["status"] = "converted"
        self._gh.world.touch(application)
        self._gh.apply(job_id=job_id, candidate_id=application["candidate_id"])

    def _need(self, resource: str, row: int, *allowed: str) -> None:
        if resource not in allowed or row not in self._gh.world.tables[resource].rows:
            raise falcon.HTTPNotFound


def make_app(gh: Greenhouse) -> Front:
    """The WSGI application of one simulated account."""
    tokens = Tokens(gh)
    app: Any = falcon.App(middleware=[Gate(gh, tokens)])
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.auto_parse_qs_csv = False
    app.add_error_handler(DeniedError, _denied)
    app.add_error_handler(InvalidError, _invalid)
    app.add_error_handler(CallError, _refused)
    app.add_error_handler(falcon.HTTPNotFound, _not_found)
    app.add_route("/token", tokens)
    app.add_route("/introspect", tokens, suffix="introspect")
    app.add_route("/v3/{resource}", Lists(gh))
    rows = Rows(gh)
    app.add_route("/v3/{resource}/{row:int}", rows)
    app.add_route("/v3/{resource}/{row:int}/{action}", rows, suffix="action")
    add_control_routes(app, faults=gh.faults, log=gh.log, state=gh.state, verbs=gh.verbs())
    app.add_route("/_control/webhook", WebhookResource(gh.set_webhook, gh.outbox.state))
    app.add_route("/_control/tag_writes", Reading(gh.tag_writes))
    app.add_route("/_control/candidate_writes", Reading(gh.candidate_writes))
    app.add_route("/_control/webhook/faults", FaultsResource(gh.outbox.faults))
    return Front(
        app,
        faults=gh.faults,
        log=gh.log,
        failure=lambda kind: failure(gh, kind),
        closing=gh.closing,
    )


def _stub(row: Row) -> Row:
    """A private candidate to somebody who may not see one."""
    kept = ("id", "private", "created_at", "updated_at")
    return {name: value if name in kept else None for name, value in row.items()}


def _object(req: falcon.Request) -> Row:
    body = read_json(req)
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise InvalidError("body", "must be an object")
    return body


def _denied(_req: Any, resp: falcon.Response, bad: DeniedError, _params: Any) -> None:
    write_json(resp, {"message": str(bad)}, bad.status)


def _invalid(_req: Any, resp: falcon.Response, bad: InvalidError, _params: Any) -> None:
    errors = [{"message": f"{bad.field} {bad}", "field": bad.field}]
    write_json(resp, {"message": "Validation error", "errors": errors}, 422)


def _refused(_req: Any, resp: falcon.Response, bad: CallError, _params: Any) -> None:
    errors = [{"message": str(bad), "field": None}]
    write_json(resp, {"message": "Validation error", "errors": errors}, 422)


def _not_found(req: falcon.Request, resp: falcon.Response, bad: Any, _params: Any) -> None:
    if req.path.startswith("/_control"):
        write_json(resp, bad.to_dict(), 404)
    else:
        write_json(resp, {"message": "Resource not found"}, 404)
