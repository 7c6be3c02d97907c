"""The simulated Harvest v3 behaves as card A1 of the vendor facts says."""

from __future__ import annotations

import json
from collections import Counter
from datetime import timedelta

import httpx
import pytest

from tests.sandbox.conftest import Receiver
from warmline.sandbox.clock import VirtualClock, parse_iso
from warmline.sandbox.greenhouse.history import PASTS
from warmline.sandbox.greenhouse.tables import RESOURCES
from warmline.sandbox.serve import Sandbox

C = "/v3/candidates"


def get_token(box: Sandbox, sub: int, password: str | None = None) -> httpx.Response:
    where = box.addresses()["greenhouse"]
    return httpx.post(
        where["token_url"],
        auth=(where["client_id"], password or where["client_secret"]),
        data={"grant_type": "client_credentials", "sub": str(sub)},
    )


def test_token_needs_the_right_client(box: Sandbox) -> None:
    assert get_token(box, 101, "wrong").status_code == 401
    good = get_token(box, 101)
    assert good.status_code == 200
    assert good.json()["expires_at"] == "2026-03-02T10:00:00.000Z"
    assert "expires_in" not in good.json()
    assert get_token(box, 999_999).status_code == 401


def test_bearer_is_required_and_expires(
    box: Sandbox, ats: httpx.Client, clock: VirtualClock
) -> None:
    assert httpx.get(box.greenhouse_url + C).status_code == 401
    assert ats.get(C).status_code == 200
    clock.advance(3601)
    answer = ats.get(C)
    assert answer.status_code == 401
    assert answer.json()["message"] == "Unauthorized"


def test_lists_need_a_site_admin_and_a_scope(box: Sandbox) -> None:
    recruiter = box.greenhouse.world.staff("recruiter")[0]["id"]
    headers = {"Authorization": "Bearer " + get_token(box, recruiter).json()["access_token"]}
    assert httpx.get(box.greenhouse_url + C, headers=headers).status_code == 403
    headers = {"Authorization": "Bearer " + get_token(box, 101).json()["access_token"]}
    box.greenhouse.scopes = frozenset({"harvest:jobs:list"})
    assert httpx.get(box.greenhouse_url + C, headers=headers).status_code == 403
    assert httpx.get(box.greenhouse_url + "/v3/jobs", headers=headers).status_code == 200


def test_paging_is_by_cursor_alone_and_newest_first(box: Sandbox, ats: httpx.Client) -> None:
    made = [box.greenhouse.apply()["candidate_id"] for _ in range(7)]
    answer = ats.get(C, params={"per_page": 3, "created_at": "gte|2026-01-01T00:00:00Z"})
    seen = [row["id"] for row in answer.json()]
    pages = 1
    while "next" in answer.links:
        address = httpx.URL(answer.links["next"]["url"])
        assert list(address.params) == ["cursor"]
        answer = ats.get(address)
        seen += [row["id"] for row in answer.json()]
        pages += 1
    assert seen == sorted(made, reverse=True)
    assert pages == 3


def test_a_cursor_with_company_is_refused(box: Sandbox, ats: httpx.Client) -> None:
    for _ in range(2):
        box.greenhouse.apply()
    cursor = httpx.URL(ats.get(C, params={"per_page": 1}).links["next"]["url"]).params["cursor"]
    assert ats.get(C, params={"cursor": cursor, "per_page": 1}).status_code == 422
    assert ats.get(C, params={"cursor": "nonsense"}).status_code == 422
    assert ats.get("/v3/jobs", params={"cursor": cursor}).status_code == 422


@pytest.mark.parametrize(
    "params",
    [
        {"nonsense": "1"},
        {"per_page": "501"},
        {"per_page": "0"},
        {"ids": ",".join(str(i) for i in range(1, 52))},
        {"ids": "one"},
        {"updated_at": "2026-01-01T00:00:00Z"},
        {"updated_at": "after|2026-01-01T00:00:00Z"},
        {"updated_at": "gte|yesterday"},
    ],
)
def test_bad_parameters_are_422(ats: httpx.Client, params: dict[str, str]) -> None:
    answer = ats.get(C, params=params)
    assert answer.status_code == 422
    assert answer.json()["message"] == "Validation error"
    assert answer.json()["errors"][0]["field"] == next(iter(params))


def test_filters(box: Sandbox, ats: httpx.Client, clock: VirtualClock) -> None:
    first = box.greenhouse.apply(
        {"first_name": "A", "last_name": "B", "email": "Ann@x.example.com"}
    )
    clock.advance(60)
    second = box.greenhouse.apply()
    at = "2026-03-02T09:00:30Z"

    def ids(path: str, **params: str | int) -> list[int]:
        return [row["id"] for row in ats.get(path, params=params).json()]

    assert ids(C, email="aNN@X.example.com") == [first["candidate_id"]]
    assert ids(C, ids=first["candidate_id"]) == [first["candidate_id"]]
    assert ids(C, updated_at=f"gte|{at}") == [second["candidate_id"]]
    assert ids(C, updated_at=f"lt|{at}") == [first["candidate_id"]]
    assert ids(C, last_activity_at=f"gt|2026-03-02T08:00:00Z|lte|{at}") == [first["candidate_id"]]
    assert ids("/v3/applications", candidate_ids=first["candidate_id"]) == [first["id"]]
    assert ids("/v3/applications", job_ids=second["job_id"])[0] == second["id"]
    assert len(ids("/v3/applications", status="active")) == 2
    assert ids("/v3/applications", status="rejected") == []
    assert ats.get("/v3/applications", params={"status": "in_process"}).status_code == 422
    assert ats.get("/v3/applications").json()[0]["status"] == "in_process"
    narrowed = ats.get(C, params={"fields": "id,first_name"}).json()[0]
    assert set(narrowed) == {"id", "first_name"}


@pytest.mark.parametrize("resource", sorted(RESOURCES))
def test_every_list_answers(ats: httpx.Client, resource: str) -> None:
    answer = ats.get(f"/v3/{resource}")
    assert answer.status_code == 200
    assert isinstance(answer.json(), list)


def test_rate_window_is_fixed_and_turns(
    box: Sandbox, ats: httpx.Client, clock: VirtualClock
) -> None:
    box.greenhouse.rate_limit = 3
    clock.advance(10)  # ten seconds into a window
    last = [ats.get(C) for _ in range(3)][-1]
    assert last.headers["X-RateLimit-Limit"] == "3"
    assert last.headers["X-RateLimit-Remaining"] == "0"
    assert int(last.headers["X-RateLimit-Reset"]) == int(clock().timestamp()) + 20
    over = ats.get(C)
    assert over.status_code == 429
    assert over.headers["Retry-After"] == "20"
    assert over.text == "Retry later"
    clock.advance(20)
    assert ats.get(C).status_code == 200


def test_create_and_replace(box: Sandbox, ats: httpx.Client) -> None:
    job = ats.get("/v3/jobs").json()[0]
    body = {
        "first_name": "Zoë",
        "last_name": "Nowak",
        "email_addresses": [{"value": "zoe@mail.example.com", "type": "personal"}],
        "application": {"job_id": job["id"]},
    }
    made = ats.post(C, json=body)
    assert made.status_code == 201
    candidate, application = made.json()["candidate"], made.json()["application"]
    assert application["candidate_id"] == candidate["id"]
    assert application["stage_name"] == "Application Review"
    emails = [{"value": "new@mail.example.com", "type": "work"}]
    change = {
        "email_addresses": emails,
        "can_email": False,
        "custom_fields": [{"name_key": "do_not_contact", "value": True}],
    }
    answer = ats.patch(f"{C}/{candidate['id']}", json=change)
    assert answer.status_code == 200
    assert answer.json()["id"] == candidate["id"]
    after = ats.get(C, params={"ids": candidate["id"]}).json()[0]
    assert after["email_addresses"] == emails
    assert after["can_email"] is False
    assert after["custom_fields"]["do_not_contact"]["value"] is True
    assert ats.get(C, params={"email": "zoe@mail.example.com"}).json() == []
    assert ats.post(C, json={**body, "application": None}).status_code == 422


@pytest.mark.parametrize(
    "field",
    [
        {"name_key": "no_such_field", "value": 1},
        {"name_key": "do_not_contact", "value": "yes"},
        {"name_key": "reengaged_on", "value": "01/02/2026"},
        {"name_key": "warmline_segment", "value": "nobody"},
    ],
)
def test_custom_fields_are_checked(
    box: Sandbox, ats: httpx.Client, field: dict[str, object]
) -> None:
    candidate = box.greenhouse.apply()["candidate_id"]
    answer = ats.patch(f"{C}/{candidate}", json={"custom_fields": [field]})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "custom_fields"


def test_tags_are_put_on_by_tag_and_taken_off_by_row(box: Sandbox, ats: httpx.Client) -> None:
    candidate = box.greenhouse.apply(tags=[])["candidate_id"]
    tag = ats.post("/v3/candidate_tags", json={"name": "Re-engaged"}).json()
    assert ats.post("/v3/candidate_tags", json={"name": "Re-engaged"}).status_code == 422
    path = "/v3/applied_candidate_tags"
    body = {"candidate_id": candidate, "candidate_tag_id": tag["id"]}
    applied = ats.post(path, json=body)
    assert applied.status_code == 201
    assert ats.get(C, params={"ids": candidate}).json()[0]["tags"] == ["Re-engaged"]
    assert ats.get(path, params={"candidate_ids": candidate}).json() == [applied.json()]
    assert ats.delete(f"{path}/{tag['id']}").status_code == 404
    assert ats.delete(f"{path}/{applied.json()['id']}").status_code == 204
    assert ats.get(C, params={"ids": candidate}).json()[0]["tags"] == []


def test_a_tag_goes_on_once_and_names_are_shown_once(box: Sandbox, ats: httpx.Client) -> None:
    tagging = box.greenhouse.world.tagging
    twins = [tagging.add("Twin")["id"] for _ in range(2)]
    candidate = box.greenhouse.apply(tags=["Go"])["candidate_id"]
    path = "/v3/applied_candidate_tags"
    rows = [
        ats.post(path, json={"candidate_id": candidate, "candidate_tag_id": tag}) for tag in twins
    ]
    again = ats.post(path, json={"candidate_id": candidate, "candidate_tag_id": twins[0]})
    assert again.status_code == 422
    assert again.json()["errors"][0]["field"] == "candidate_tag_id"
    assert ats.get(C, params={"ids": candidate}).json()[0]["tags"] == ["Go", "Twin"]
    ats.delete(f"{path}/{rows[0].json()['id']}")
    assert ats.get(C, params={"ids": candidate}).json()[0]["tags"] == ["Go", "Twin"]
    ats.delete(f"{path}/{rows[1].json()['id']}")
    assert ats.get(C, params={"ids": candidate}).json()[0]["tags"] == ["Go"]
    assert httpx.get(f"{box.greenhouse_url}/_control/tag_writes").json() == [
        {"candidate_id": candidate, "tag": "Twin", "writes": 3, "removals": 2}
    ]


@pytest.mark.parametrize(
    ("candidate", "tag", "field"),
    [(999, None, "candidate_id"), (None, 999, "candidate_tag_id"), ("x", None, "candidate_id")],
)
def test_a_tag_needs_a_candidate_and_a_tag(
    box: Sandbox, ats: httpx.Client, candidate: object, tag: object, field: str
) -> None:
    body = {
        "candidate_id": candidate or box.greenhouse.apply()["candidate_id"],
        "candidate_tag_id": tag or box.greenhouse.world.tagging.named("Go"),
    }
    answer = ats.post("/v3/applied_candidate_tags", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_tagging_changes_the_candidate_and_is_told(
    box: Sandbox, ats: httpx.Client, clock: VirtualClock, receiver: Receiver
) -> None:
    candidate = box.greenhouse.apply(tags=[])["candidate_id"]
    box.greenhouse.set_webhook(receiver.url, "k")
    receiver.calls.clear()
    clock.advance(60)
    body = {
        "candidate_id": candidate,
        "candidate_tag_id": box.greenhouse.world.tagging.named("Go"),
    }
    row = ats.post("/v3/applied_candidate_tags", json=body).json()
    shown = ats.get(C, params={"ids": candidate}).json()[0]
    assert (shown["tags"], shown["updated_at"]) == (["Go"], "2026-03-02T09:01:00.000Z")
    ats.delete(f"/v3/applied_candidate_tags/{row['id']}")
    box.greenhouse.outbox.deliver_due()
    told = [json.loads(body) for _, body in receiver.calls]
    assert [one["action"] for one in told] == ["update_candidate"] * 2
    assert [one["payload"]["candidate"]["tags"] for one in told] == [["Go"], []]


def test_deleting_a_tag_takes_it_off_everybody(box: Sandbox, ats: httpx.Client) -> None:
    candidate = box.greenhouse.apply(tags=["Go", "French"])["candidate_id"]
    tag = box.greenhouse.world.tagging.named("Go")
    assert ats.delete(f"/v3/candidate_tags/{tag}").status_code == 204
    assert ats.delete(f"/v3/candidate_tags/{tag}").status_code == 404
    assert ats.get(C, params={"ids": candidate}).json()[0]["tags"] == ["French"]
    assert tag not in [row["id"] for row in ats.get("/v3/candidate_tags").json()]
    assert box.greenhouse.world.tagging.named("Go") != tag


def test_a_patch_of_tags_replaces_them(box: Sandbox, ats: httpx.Client) -> None:
    candidate = box.greenhouse.apply(tags=["Go", "French"])["candidate_id"]
    assert ats.patch(f"{C}/{candidate}", json={"tags": ["Figma", "Go"]}).status_code == 200
    assert ats.get(C, params={"ids": candidate}).json()[0]["tags"] == ["Figma", "Go"]
    rows = ats.get("/v3/applied_candidate_tags", params={"candidate_ids": candidate}).json()
    assert len(rows) == 2


def test_a_private_candidate_is_a_stub_to_who_may_not_see(box: Sandbox, ats: httpx.Client) -> None:
    candidate = box.greenhouse.apply(tags=["Go"])["candidate_id"]
    ats.patch(f"{C}/{candidate}", json={"is_private": True})
    assert ats.get(C).json()[0]["first_name"]
    box.greenhouse.sees_private = False
    stub = ats.get(C).json()[0]
    assert (stub["id"], stub["private"], stub["first_name"]) == (candidate, True, None)
    assert ats.get("/v3/applied_candidate_tags").json() == []
    body = {
        "candidate_id": candidate,
        "candidate_tag_id": box.greenhouse.world.tagging.named("French"),
    }
    assert ats.post("/v3/applied_candidate_tags", json=body).status_code == 403


def test_a_past_for_many_is_made_quickly_and_untold(
    box: Sandbox, ats: httpx.Client, clock: VirtualClock, receiver: Receiver
) -> None:
    gh = box.greenhouse
    gh.set_webhook(receiver.url, "k")
    made = gh.add_history(90, seed=5)
    assert gh.outbox.state()["waiting"] == 0
    assert Counter(row["past"] for row in made) == dict.fromkeys(PASTS, 10)
    statuses: dict[str, set[tuple[bool, str, str]]] = {}
    for row in made:
        candidate = gh.world.candidates.get(row["candidate_id"])
        last = gh.world.applications.where("candidate_id", row["candidate_id"])[-1]
        stage = "Final Interview" if last["stage_name"] == "Final Interview" else "another"
        told = (last["prospect"], last["status"], stage)
        statuses.setdefault(row["past"], set()).add(told)
        age = clock() - parse_iso(candidate["updated_at"])
        low, high = PASTS[row["past"]]
        assert timedelta(days=low) <= age <= timedelta(days=high, seconds=1)
        assert candidate["created_at"] <= candidate["updated_at"]
    assert statuses == {
        "in_pipeline": {(False, "in_process", "another")},
        "at_final": {(False, "in_process", "Final Interview")},
        "rejected_at_final": {(False, "rejected", "Final Interview")},
        "rejected_early": {(False, "rejected", "another")},
        "prospect": {(True, "in_process", "another")},
        "hired": {(False, "hired", "Final Interview")},
        "came_back": {(False, "in_process", "another")},
        "rejected_at_final_long_ago": {(False, "rejected", "Final Interview")},
        "prospect_long_ago": {(True, "in_process", "another")},
    }
    assert gh.apply()["applied_at"] == "2026-03-02T09:00:00.000Z"  # and time is as before
    assert gh.outbox.state()["waiting"] == 1
    asked = httpx.post(f"{box.greenhouse_url}/_control/do/add_history", json={"number": 9})
    assert len(asked.json()) == 9


def test_some_have_a_profile_page_and_all_an_employer(box: Sandbox, ats: httpx.Client) -> None:
    for _ in range(6):
        box.greenhouse.apply()
    rows = ats.get(C).json()
    links = [item["value"] for row in rows for item in row["social_media_addresses"]]
    assert len(links) == len(set(links)) == 3
    assert all(row["company"] and row["addresses"] for row in rows)


def test_notes_show_visibility_under_another_name(box: Sandbox, ats: httpx.Client) -> None:
    application = box.greenhouse.apply()
    body = {"candidate_id": application["candidate_id"], "user_id": 101, "body": "Clicked."}
    good = ats.post("/v3/notes", json={**body, "visibility": "public", "note_type": "NOTE"})
    assert good.status_code == 201
    assert ats.get("/v3/notes").json()[0]["visibility"] == "publicly_visible"
    assert ats.post("/v3/notes", json={**body, "visibility": "publicly_visible"}).status_code == 422


def test_move_reject_unreject_hire(box: Sandbox, ats: httpx.Client, clock: VirtualClock) -> None:
    application = box.greenhouse.apply()
    path = f"/v3/applications/{application['id']}"
    stages = ats.get("/v3/job_interview_stages", params={"job_ids": application["job_id"]}).json()
    final = next(stage for stage in stages if stage["name"] == "Final Interview")
    clock.advance(86_400 * 2 - 1)
    body = {"from_stage_id": application["stage_id"], "to_stage_id": final["id"]}
    wrong = {**body, "from_stage_id": 1}
    token = get_token(box, 101).json()["access_token"]
    ats.headers["Authorization"] = f"Bearer {token}"
    assert ats.post(f"{path}/move", json=wrong).status_code == 422
    moved = ats.post(f"{path}/move", json=body)
    assert (moved.status_code, moved.content) == (204, b"")
    history = ats.get(
        "/v3/application_stages", params={"application_ids": application["id"]}
    ).json()
    assert [row["current"] for row in history] == [True, False]
    assert history[1]["days_in_stage"] == 1
    reason = ats.get("/v3/rejection_reasons").json()[0]["id"]
    assert ats.post(f"{path}/reject", json={}).status_code == 422
    assert ats.post(f"{path}/reject", json={"rejection_reason_id": reason}).status_code == 204
    details = ats.get("/v3/rejection_details", params={"application_ids": application["id"]}).json()
    assert details[0]["rejection_reason_id"] == reason
    shown = ats.get("/v3/applications", params={"ids": application["id"]}).json()[0]
    assert shown["status"] == "rejected"
    assert "rejection_reason" not in shown
    assert ats.post(f"{path}/hire").status_code == 422
    assert ats.post(f"{path}/unreject").status_code == 204
    assert ats.post(f"{path}/hire").status_code == 204
    assert ats.get("/v3/applications", params={"status": "hired"}).json()[0]["id"] == shown["id"]


def test_interviews_and_scorecards(box: Sandbox, ats: httpx.Client, clock: VirtualClock) -> None:
    gh = box.greenhouse
    application = gh.apply()
    starts, ends = clock() + timedelta(minutes=5), clock() + timedelta(minutes=35)
    interview = gh.schedule_interview(application["id"], starts, ends, location="Room 4")
    shown = ats.get("/v3/interviews", params={"starts_at": "gte|2026-03-02T09:00:00Z"}).json()[0]
    assert (shown["status"], shown["location"]) == ("scheduled", "Room 4")
    panel = ats.get("/v3/interviewers", params={"interview_ids": interview["id"]}).json()
    clock.advance(36 * 60)
    assert ats.get("/v3/interviews").json()[0]["status"] == "awaiting_feedback"
    gh.submit_scorecard(application["id"], "strong_yes")
    card = ats.get("/v3/scorecards", params={"application_ids": application["id"]}).json()[0]
    assert (card["candidate_rating"], card["status"]) == ("strong_yes", "complete")
    assert card["submitter_id"] == panel[0]["user_id"]
    assert ats.get("/v3/interviews").json()[0]["status"] == "complete"
    assert ats.get("/v3/interviewers").json()[0]["scorecard_id"] == card["id"]


def test_merge_keeps_applications_addresses_and_tags(box: Sandbox, ats: httpx.Client) -> None:
    one = box.greenhouse.apply({"first_name": "A", "email": "a@x.example.com"}, tags=["Go"])
    two = box.greenhouse.apply({"first_name": "A", "email": "b@x.example.com"}, tags=["French"])
    body = {"duplicate_candidate_id": two["candidate_id"]}
    assert ats.post(f"{C}/{one['candidate_id']}/merge", json=body).status_code == 204
    assert ats.get(C, params={"ids": two["candidate_id"]}).json() == []
    found = ats.get(C, params={"email": "b@x.example.com"}).json()
    assert [row["id"] for row in found] == [one["candidate_id"]]
    assert found[0]["tags"] == ["Go", "French"]
    params = {"candidate_ids": one["candidate_id"]}
    assert len(ats.get("/v3/applications", params=params).json()) == 2


def test_anonymize_and_delete(box: Sandbox, ats: httpx.Client) -> None:
    candidate = box.greenhouse.apply()["candidate_id"]
    answer = ats.patch(f"{C}/{candidate}/anonymize", json={"fields": ["full_name", "emails"]})
    assert answer.status_code == 204
    shown = ats.get(C, params={"ids": candidate}).json()[0]
    assert (shown["first_name"], shown["email_addresses"]) == ("(anonymized)", [])
    assert ats.delete(f"{C}/{candidate}").status_code == 204
    assert ats.get(C).json() == ats.get("/v3/applications").json() == []
    assert ats.patch(f"{C}/{candidate}", json={}).status_code == 404


def test_control_verbs(box: Sandbox) -> None:
    do = f"{box.greenhouse_url}/_control/do"
    made = httpx.post(f"{do}/apply", json={"job_id": 4001}).json()
    again = httpx.post(f"{do}/apply", json={"job_id": 4002, "candidate_id": made["candidate_id"]})
    assert again.json()["candidate_id"] == made["candidate_id"]
    assert again.json()["id"] != made["id"]
    prospect = httpx.post(f"{do}/add_prospect", json={}).json()
    assert (prospect["prospect"], prospect["job_id"]) == (True, None)
    bad = httpx.post(f"{do}/move", json={"application_id": made["id"], "stage": "Nowhere"})
    assert bad.status_code == 400
    assert "Application Review" in bad.json()["description"]
    assert httpx.post(f"{do}/apply", json={"jobs": 1}).status_code == 400
    assert httpx.post(f"{do}/no_such_verb", json={}).status_code == 404
    state = httpx.get(f"{box.greenhouse_url}/_control/state").json()
    assert state["counts"]["candidates"] == 2
