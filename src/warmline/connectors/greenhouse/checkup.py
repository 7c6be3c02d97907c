"""What `warmline check` finds out: credentials, rights on each listing, each field needed."""

from __future__ import annotations

from typing import Any

from warmline.connectors.greenhouse.harvest import Harvest, access_hint
from warmline.core.errors import AuthFailed, ConfigError, WarmlineError
from warmline.ports import Finding, Verdict

RESOURCES = (
    "candidates",
    "applications",
    "application_stages",
    "jobs",
    "job_interview_stages",
    "interviews",
    "interviewers",
    "scorecards",
    "users",
)

# What it is → where it may stand. One of them must be there, be it null.
FIELDS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("e-mail", (("candidates", "email_addresses"),)),
    ("name", (("candidates", "first_name"),)),
    ("do-not-contact mark", (("candidates", "can_email"),)),
    ("applied role", (("applications", "job_id"),)),
    ("job title", (("jobs", "name"),)),
    ("pipeline stage", (("application_stages", "job_interview_stage_id"),)),
    ("stage name", (("job_interview_stages", "name"),)),
    ("recruiter", (("applications", "recruiter_id"), ("candidates", "recruiter_id"))),
    ("recruiter's e-mail", (("users", "primary_email"),)),
)


def run(harvest: Harvest, *, webhook_secret: str) -> list[Finding]:
    findings = [_webhook(webhook_secret), *_token(harvest)]
    if findings[-1].verdict is not Verdict.OK:
        return findings
    samples: dict[str, dict[str, Any] | None] = {}
    for resource in RESOURCES:
        findings.append(_listing(harvest, resource, samples))
    return [*findings, *_fields(samples)]


def _webhook(secret: str) -> Finding:
    if secret:
        return Finding("webhook secret", Verdict.OK)
    return Finding(
        "webhook secret",
        Verdict.MISSING,
        "without webhook_secret no webhook is accepted: choose one, set it here and as the Secret"
        " Key of the webhook in Greenhouse (Configure, Dev Center, Web Hooks)",
    )


def _token(harvest: Harvest) -> list[Finding]:
    what = "API credentials"
    try:
        harvest.token()
    except ConfigError as error:
        return [Finding(what, Verdict.MISSING, f"{error.reason}: {error.hint}")]
    except AuthFailed as error:
        return [Finding(what, Verdict.FORBIDDEN, f"{error.reason}: {error.hint}")]
    except WarmlineError as error:
        advice = f"{error.reason}: this says nothing about the credentials; check token_url and"
        return [Finding(what, Verdict.FAILED, f"{advice} the network, or try again later")]
    return [Finding(what, Verdict.OK)]


def _listing(harvest: Harvest, resource: str, samples: dict[str, dict[str, Any] | None]) -> Finding:
    what = f"list {resource}"
    try:
        rows, _ = harvest.page(resource, {"per_page": "1"})
    except AuthFailed:
        return Finding(what, Verdict.FORBIDDEN, access_hint(resource))
    except WarmlineError as error:
        advice = f"{error.reason}: check base_url and the network, or try again later"
        return Finding(what, Verdict.FAILED, advice)
    samples[resource] = rows[0] if rows and isinstance(rows[0], dict) else None
    return Finding(what, Verdict.OK, "" if rows else "there is no record yet to look at")


def _fields(samples: dict[str, dict[str, Any] | None]) -> list[Finding]:
    """A field of a listing that could not be read, or is empty, is not reported on twice."""
    findings = []
    for name, places in FIELDS:
        seen = [(resource, key) for resource, key in places if samples.get(resource) is not None]
        if not seen:
            continue
        if any(key in (samples[resource] or {}) for resource, key in seen):
            findings.append(Finding(f"field: {name}", Verdict.OK))
            continue
        where = " or ".join(f"{resource}.{key}" for resource, key in places)
        advice = f"a sample record has no {where}: may user_id see private candidates and all jobs?"
        findings.append(Finding(f"field: {name}", Verdict.MISSING, advice))
    return findings
