"""What the simulated company has on the first day: staff, reasons, fields, tags and jobs."""

from __future__ import annotations

from warmline.sandbox.greenhouse.world import World
from warmline.sandbox.people import JOBS, STAFF, TAGS

REJECTION_REASONS = (
    ("Hired someone else", "We chose another candidate"),
    ("Not enough experience", "Wrong skill set"),
    ("Position closed", "Other"),
    ("Candidate withdrew", "They turned us down"),
    ("Salary expectations", "They turned us down"),
)
SEGMENTS = ("active_applicant", "silver_medalist", "passive_lead", "archived")
CUSTOM_FIELDS = (
    # name_key, name, value_type, options: what a company would add so that warm signals show.
    ("warmline_segment", "Segment", "single_select", SEGMENTS),
    ("reengaged_on", "Re-engaged on", "date", ()),
    ("reengaged_subject", "Re-engaged by e-mail", "short_text", ()),
    ("reengaged_link", "Re-engaged by link", "url", ()),
    ("do_not_contact", "Do not contact", "yes_no", ()),
    ("do_not_contact_on", "Do not contact since", "date", ()),
    ("desired_salary", "Desired salary", "short_text", ()),
)


def seed(world: World) -> None:
    """Fill an empty world with staff, reasons, fields, tags and jobs."""
    for person in STAFF:
        world.add(
            "users",
            {
                "first_name": person.first_name,
                "last_name": person.last_name,
                "name": f"{person.first_name} {person.last_name}",
                "primary_email": person.email,
                "emails": [person.email],
                "employee_id": None,
                "site_admin": person.role == "admin",
                "deactivated": False,
                "role": person.role,
            },
        )
    for name, kind in REJECTION_REASONS:
        world.add("rejection_reasons", {"name": name, "type": kind, "include_defaults": True})
    for key, name, value_type, options in CUSTOM_FIELDS:
        world.add_custom_field(key, name, value_type, options)
    for tag in TAGS:
        world.tagging.named(tag)
    _seed_jobs(world)


def _seed_jobs(world: World) -> None:
    departments: dict[str, int] = {}
    offices: dict[str, int] = {}
    for opening in JOBS:
        if opening.department not in departments:
            row = world.add("departments", {"name": opening.department, "parent_id": None})
            departments[opening.department] = row["id"]
        if opening.office not in offices:
            row = world.add("offices", {"name": opening.office, "location": opening.location})
            offices[opening.office] = row["id"]
        job = world.add(
            "jobs",
            {
                "name": opening.name,
                "requisition_id": opening.requisition,
                "notes": None,
                "confidential": False,
                "status": "open",
                "opened_at": world.stamp(),
                "closed_at": None,
                "department_id": departments[opening.department],
                "office_ids": [offices[opening.office]],
                "custom_fields": {},
            },
        )
        for order, stage in enumerate(opening.stages):
            fields = {"job_id": job["id"], "name": stage, "sort_order": order, "active": True}
            world.add("job_interview_stages", fields)
