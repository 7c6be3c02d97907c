"""Webhook payloads in the shapes that Greenhouse documents (and records of it show): v1 style."""

from __future__ import annotations

import json
from typing import Any

from warmline.sandbox.greenhouse.tables import Row
from warmline.sandbox.greenhouse.world import World
from warmline.sandbox.people import SOURCES

APP_URL = "https://app.greenhouse.io"
STATUS_V1 = {"in_process": "active"}
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def body_of(action: str, payload: Row) -> bytes:
    """The raw body, with the vendor's escapes for `<`, `>` and `&`."""
    text = json.dumps({"action": action, "payload": payload}, ensure_ascii=False)
    return text.translate(_ESCAPES).encode()


def when(stamp: str | None) -> str | None:
    """A v3 stamp with milliseconds as the webhooks' whole seconds."""
    return f"{stamp[:19]}Z" if stamp else None


def user(world: World, user_id: int | None) -> Row | None:
    """A member of staff, as credited_to, recruiter and coordinator."""
    if user_id is None or user_id not in world.users.rows:
        return None
    row = world.users.get(user_id)
    return {
        "id": row["id"],
        "email": row["primary_email"],
        "name": row["name"],
        "employee_id": row["employee_id"],
    }


def candidate(world: World, row: Row) -> Row:
    """`payload.candidate`, alone or inside an application."""
    return {
        "id": row["id"],
        "first_name": row["first_name"],
        "last_name": row["last_name"],
        "title": row["title"],
        "company": row["company"],
        "created_at": when(row["created_at"]),
        "external_id": row["external_id"],
        "photo_url": None,
        "url": f"{APP_URL}/people/{row['id']}",
        "is_private": row["private"],
        "can_email": row["can_email"],
        "phone_numbers": row["phone_numbers"],
        "email_addresses": row["email_addresses"],
        "addresses": row["addresses"],
        "website_addresses": row["website_addresses"],
        "social_media_addresses": row["social_media_addresses"],
        "educations": [],
        "employments": [],
        "recruiter": user(world, row["recruiter_id"]),
        "coordinator": user(world, row["coordinator_id"]),
        "attachments": [],
        "tags": row["tags"],
        "custom_fields": row["custom_fields"],
    }


def job(world: World, job_id: int) -> Row:
    """One entry of `payload.application.jobs`."""
    row = world.jobs.get(job_id)
    department = world.departments.get(row["department_id"])
    offices = [world.offices.get(office_id) for office_id in row["office_ids"]]
    return {
        "id": row["id"],
        "name": row["name"],
        "requisition_id": row["requisition_id"],
        "notes": row["notes"],
        "confidential": row["confidential"],
        "job_post_id": row["id"] + 550_000,
        "status": row["status"],
        "created_by_id": world.staff("admin")[0]["id"],
        "created_at": when(row["created_at"]),
        "opened_at": when(row["opened_at"]),
        "closed_at": when(row["closed_at"]),
        "url": f"{APP_URL}/sdash/{row['id']}",
        "departments": [{"id": department["id"], "name": department["name"], "external_id": None}],
        "offices": [
            {"id": o["id"], "name": o["name"], "location": o["location"], "external_id": None}
            for o in offices
        ],
        "custom_fields": row["custom_fields"],
    }


def current_stage(world: World, application: Row) -> Row | None:
    """`payload.application.current_stage` with its interview, or None for a prospect."""
    stage_id = application["job_interview_stage_id"]
    if stage_id is None:
        return None
    name = application["stage_name"]
    interviewers: list[Row] = []
    status = "collect_feedback" if name == "Application Review" else "to_be_scheduled"
    for interview in world.interviews.where("application_id", application["id"]):
        if interview["job_interview_stage_id"] == stage_id:
            status = interview["status"]
            interviewers = [
                {
                    "id": row["user_id"],
                    "display_name": world.users.get(row["user_id"])["name"],
                    "status": row["response_status"],
                }
                for row in world.interviewers.where("interview_id", interview["id"])
            ]
    kit = f"{APP_URL}/guides/{stage_id}/people/{application['candidate_id']}"
    return {
        "id": stage_id,
        "name": name,
        "interviews": [
            {
                "id": stage_id + 200_000,
                "name": name,
                "status": status,
                "interview_kit": {
                    "url": f"{kit}?application_id={application['id']}",
                    "content": "<p>How to lead this conversation.</p>",
                    "questions": [],
                },
                "interviewers": interviewers,
            }
        ],
    }


def application(world: World, row: Row) -> Row:
    """`payload.application` of every event about one."""
    person = world.candidates.get(row["candidate_id"])
    rejection = None
    if details := world.rejection_details.where("application_id", row["id"]):
        reason = world.rejection_reasons.get(details[-1]["rejection_reason_id"])
        kind = {"id": reason["id"] % 3 + 1, "name": reason["type"]}
        rejection = {"id": reason["id"], "name": reason["name"], "type": kind}
    payload: Row = {
        "id": row["id"],
        "rejected_at": when(row["rejected_at"]),
        "prospect": row["prospect"],
        "status": STATUS_V1.get(row["status"], row["status"]),
        "applied_at": when(row["applied_at"]),
        "last_activity_at": when(row["last_activity_at"]),
        "url": f"{APP_URL}/people/{person['id']}?application_id={row['id']}",
        "source": {"id": row["source_id"], "name": SOURCES[row["source_id"] - 1]},
        "credited_to": user(world, person["recruiter_id"]),
        "rejection_reason": rejection,
        "rejection_details": {"custom_fields": {}} if rejection else None,
        "current_stage": current_stage(world, row),
        "prospect_detail": {"prospect_pool": None, "prospect_stage": None, "prospect_owner": None},
        "custom_fields": row["custom_fields"],
        "candidate": candidate(world, person),
        "jobs": [] if row["job_id"] is None else [job(world, row["job_id"])],
    }
    if row["status"] == "hired":
        payload["job"] = payload["jobs"][0]
        payload["opening"] = {"opening_id": f"{row['job_id']}-1", "custom_fields": []}
        payload["offer"] = {
            "id": row["id"] + 400_000,
            "version": 1,
            "created_at": when(row["last_activity_at"]),
            "sent_at": row["last_activity_at"][:10],
            "resolved_at": when(row["last_activity_at"]),
            "starts_at": row.get("starts_at") or row["last_activity_at"][:10],
            "custom_fields": {},
        }
    return payload


def person(row: Row, **more: Any) -> Row:
    """`payload.person` of merge_candidate and delete_candidate."""
    return {
        "id": row["id"],
        "first_name": row["first_name"],
        "last_name": row["last_name"],
        "company": row["company"],
        "title": row["title"],
        "created_at": when(row["created_at"]),
        "headline": None,
        "is_private": row["private"],
        "recruiter_user_id": row["recruiter_id"],
        "coordinator_user_id": row["coordinator_id"],
        "can_email": row["can_email"],
        **more,
    }
