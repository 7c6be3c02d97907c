"""What `warmline check` finds out: credentials, rights on each listing, each field needed.

Only tokens are asked for and listings read. What may be written is read from the token's scopes,
where Greenhouse tells them: nothing is written to find out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from warmline.connectors.greenhouse.harvest import Access, Harvest, access_hint
from warmline.core.errors import AuthFailed, Refused, Throttled, Unreachable, WarmlineError
from warmline.kit.http import Door
from warmline.ports import Access as Need
from warmline.ports import Finding, Needs, Verdict

# What polling reads; the tags only where they are needed.
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
TAGS, NOTE, DO_NOT_CONTACT = "tags", "note", "do_not_contact"
# Listings that only these fields need.
MORE_RESOURCES: Mapping[str, tuple[str, ...]] = {
    TAGS: ("candidate_tags", "applied_candidate_tags"),
    NOTE: ("notes",),
}
# What may be written of a candidate, and the scopes that it takes: resource and verb.
WRITE_SCOPES: Mapping[str, tuple[tuple[str, str], ...]] = {
    TAGS: (
        ("candidate_tags", "create"),
        ("applied_candidate_tags", "create"),
        ("applied_candidate_tags", "destroy"),
    ),
    NOTE: (("notes", "create"),),
    DO_NOT_CONTACT: (("candidates", "update"),),
}
# Enough that a private candidate's bare record, or an interview without an hour, is not alone.
SAMPLE_ROWS = 20

# (listing, key); an empty key: the listing alone, which may well be empty.
Place = tuple[str, str]
# Field → each thing that it is made of → where that may stand: in one of them, be it null.
FIELDS: Mapping[str, tuple[tuple[Place, ...], ...]] = {
    "email": ((("candidates", "email_addresses"),),),
    "name": ((("candidates", "first_name"),),),
    DO_NOT_CONTACT: ((("candidates", "can_email"),),),
    "applied_role": ((("applications", "job_id"),), (("jobs", "name"),)),
    "application_date": ((("applications", "applied_at"), ("applications", "created_at")),),
    "recruiter_owner": (
        (("applications", "recruiter_id"), ("candidates", "recruiter_id")),
        (("users", "primary_email"),),
    ),
    "stage": (
        (("application_stages", "job_interview_stage_id"),),
        (("job_interview_stages", "name"),),
    ),
    "interview_date": ((("interviews", "starts_at"),),),
    "interviewer": ((("interviewers", "user_id"), ("interviewers", "email")),),
    TAGS: ((("candidate_tags", ""),), (("applied_candidate_tags", ""),)),
    NOTE: ((("notes", ""),),),
    "rejection_date": ((("applications", "rejected_at"),),),
    "skill_tags": ((("candidates", "tags"),),),
}

SUBSCRIPTIONS = Finding(
    "webhook subscriptions",
    Verdict.UNKNOWN,
    "Greenhouse shows its web hooks in its pages alone (Configure, Dev Center, Web Hooks): look"
    " there that each needed one is there and enabled",
)
_SERVER_ERRORS = tuple(range(500, 600))


@dataclass(frozen=True, slots=True)
class Seen:
    """How one thing stands, and what to do about it."""

    verdict: Verdict
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing as it answered, with a sample of its records."""

    seen: Seen
    rows: tuple[Mapping[str, Any], ...] = ()


def run(
    harvest: Harvest, access: Access, needs: Needs, *, now: Callable[[], datetime]
) -> list[Finding]:
    """A finding on the credentials, on each listing, on each field needed and on the
    do-not-contact mark, which is needed whatever the triggers say."""
    needed = {DO_NOT_CONTACT: frozenset({Need.READ}), **needs.fields}
    signed_in = _signed_in(harvest)
    first = Finding("API credentials", signed_in.verdict, signed_in.advice)
    if signed_in.verdict is not Verdict.OK:
        return [first, *(_unseen(field, needed[field], signed_in) for field in needed)]
    wanted = (
        *RESOURCES,
        *(r for field, more in MORE_RESOURCES.items() if field in needed for r in more),
    )
    listings = _listings(harvest, access, wanted, now)
    written = {
        field for field, how in needed.items() if Need.WRITE in how and field in WRITE_SCOPES
    }
    scopes = _scopes(harvest, access, now) if written else None
    writable = {field: _writable(scopes, WRITE_SCOPES[field]) for field in written}
    return [
        first,
        *(_listed(resource, listing) for resource, listing in listings.items()),
        *(_field(field, needed[field], listings, writable) for field in needed),
        SUBSCRIPTIONS,
    ]


def _signed_in(harvest: Harvest) -> Seen:
    try:
        harvest.token()
    except WarmlineError as error:
        verdict = Verdict.of_error(error)
        if verdict is Verdict.CREDENTIALS and Verdict.of_answer(403, error.reason) is Verdict.PLAN:
            return Seen(Verdict.PLAN, _about_plan(error.reason))
        if verdict in (Verdict.CREDENTIALS, Verdict.MISSING):
            return Seen(verdict, f"{error.reason}: {error.hint}")
        if isinstance(error, Unreachable) and error.__context__ is None:
            verdict = Verdict.FAILED  # the door was answered, and by a server's error
        advice = f"{error.reason}: this says nothing about the credentials; {_elsewhere(verdict)}"
        return Seen(verdict, advice)
    return Seen(Verdict.OK)


def _elsewhere(verdict: Verdict, setting: str = "token_url") -> str:
    if verdict is Verdict.THROTTLED:
        return "check again later"
    if verdict is Verdict.UNREACHABLE:
        return f"check {setting}, the network and the firewall"
    return f"check {setting} and Greenhouse's status page, or try again later"


def _listings(
    harvest: Harvest, access: Access, wanted: Sequence[str], now: Callable[[], datetime]
) -> dict[str, Listing]:
    """Each asked for once. Where nothing answers, the others are not waited for as well."""
    found: dict[str, Listing] = {}
    with closing(
        Door(access.base_url, vendor="Greenhouse", timeout_s=access.timeout_s, now=now)
    ) as door:
        for resource in wanted:
            found[resource] = _listing(harvest, door, resource)
            if found[resource].seen.verdict in (Verdict.UNREACHABLE, Verdict.THROTTLED):
                return dict.fromkeys(wanted, Listing(found[resource].seen)) | found
    return found


def _listing(harvest: Harvest, door: Door, resource: str) -> Listing:
    try:
        answer = door.call(
            "GET",
            f"/{resource}",
            params={"per_page": str(SAMPLE_ROWS)},
            headers={"authorization": f"Bearer {harvest.token()}"},
            accept=(401, 402, *_SERVER_ERRORS),
        )
        if not answer.is_success:
            return Listing(_no(resource, answer.status_code, ""))
        rows = door.json(answer)
    except AuthFailed as error:  # the door's words for 403
        return Listing(_no(resource, 403, error.reason))
    except Refused as error:
        verdict = Verdict.of_answer(error.status or 0, error.reason)
        return Listing(Seen(verdict, f"{error.reason}: {_elsewhere(verdict, 'base_url')}"))
    except WarmlineError as error:
        verdict = Verdict.of_error(error)
        return Listing(Seen(verdict, f"{error.reason}: {_elsewhere(verdict, 'base_url')}"))
    if not isinstance(rows, list):
        advice = f"{resource} is no list: is base_url Greenhouse's Harvest v3 API?"
        return Listing(Seen(Verdict.FAILED, advice))
    return Listing(Seen(Verdict.OK), tuple(row for row in rows if isinstance(row, dict)))


def _no(resource: str, status: int, said: str) -> Seen:
    verdict = Verdict.of_answer(status, said)
    if verdict is Verdict.CREDENTIALS:
        advice = (
            "Greenhouse gave a token and then refused it: create the credential anew, of the kind"
            " Harvest V3 (OAuth), and look whether it is restricted to other addresses"
        )
    elif verdict is Verdict.PLAN:
        advice = _about_plan(said or f"Greenhouse answered {status}")
    elif verdict is Verdict.FORBIDDEN:
        advice = access_hint(resource)
    else:
        advice = f"Greenhouse answered {status}: {_elsewhere(verdict, 'base_url')}"
    return Seen(verdict, advice)


def _about_plan(said: str) -> str:
    return (
        f"{said.rstrip('.')}: ask Greenhouse which plan has it, or leave what needs it out of the"
        " triggers"
    )


def _listed(resource: str, listing: Listing) -> Finding:
    advice = listing.seen.advice
    if listing.seen.verdict is Verdict.OK and not listing.rows:
        advice = "there is no record yet to look at"
    return Finding(f"list {resource}", listing.seen.verdict, advice)


def _field(
    field: str,
    needed: frozenset[Need],
    listings: Mapping[str, Listing],
    writable: Mapping[str, Seen],
) -> Finding:
    parts = FIELDS.get(field)
    if parts is None:
        advice = "Warmline reads nothing by this name from Greenhouse: leave it out of the triggers"
        missing = Seen(Verdict.MISSING, advice)
        return _unseen(field, needed, missing)
    seen = [_part(places, listings) for places in parts]
    read = next(one for one in seen if one.verdict is Verdict.worst(s.verdict for s in seen))
    only = "of candidates, Warmline writes tags, notes and the do-not-contact mark to Greenhouse"
    write = writable.get(field, Seen(Verdict.READ_ONLY, only))
    said = (
        read.advice if Need.READ in needed else "",
        write.advice if Need.WRITE in needed else "",
    )
    return Finding.of_field(
        field,
        " and ".join(" or ".join(_name(place) for place in places) for places in parts),
        needed,
        read=read.verdict,
        write=write.verdict,
        advice="; ".join(dict.fromkeys(filter(None, said))),
    )


def _part(places: tuple[Place, ...], listings: Mapping[str, Listing]) -> Seen:
    """How one of the things stands that a field is made of: it is enough where it stands once."""
    looked = [_place(listings[resource], key) for resource, key in places]
    fine = next((one for one in looked if one.verdict is Verdict.OK), None)
    if fine is not None:
        return fine
    # A right that is missing comes before a key that is: it may be the reason for it.
    worst = Verdict.worst(one.verdict for one in looked if one.verdict is not Verdict.MISSING)
    if worst.to_mend or worst is Verdict.UNKNOWN:
        return next(one for one in looked if one.verdict is worst)
    where = " or ".join(map(_name, places))
    advice = f"no sample record has {where}: may user_id see private candidates and all jobs?"
    return Seen(Verdict.MISSING, advice)


def _place(listing: Listing, key: str) -> Seen:
    if listing.seen.verdict is not Verdict.OK or not key:
        return listing.seen
    if not listing.rows:
        return Seen(Verdict.UNKNOWN, "there is no record yet to look at")
    return Seen(Verdict.OK if any(key in row for row in listing.rows) else Verdict.MISSING)


def _name(place: Place) -> str:
    return ".".join(filter(None, place))


def _unseen(field: str, needed: frozenset[Need], cause: Seen) -> Finding:
    parts = FIELDS.get(field, ())
    what = " and ".join(_name(places[0]) for places in parts) or field
    return Finding.of_field(
        field, what, needed, read=cause.verdict, write=cause.verdict, advice=cause.advice
    )


def _writable(scopes: frozenset[str] | None, needed: Sequence[tuple[str, str]]) -> Seen:
    """By the token's own scopes (the sign-in's `introspect`, RFC 7662). Where these are not told,
    it is not known: the only other way to find out is to write."""
    if scopes is None:
        return Seen(
            Verdict.UNKNOWN,
            "Greenhouse does not tell the token's scopes, and nothing is written to find out: see"
            " that it has " + ", ".join(f"harvest:{r}:{verb}" for r, verb in needed),
        )
    lacking = [(r, verb) for r, verb in needed if f"harvest:{r}:{verb}" not in scopes]
    if not lacking:
        return Seen(Verdict.OK)
    named = ", ".join(f"harvest:{resource}:{verb}" for resource, verb in lacking)
    return Seen(Verdict.FORBIDDEN, f"give the API credential the scopes {named}")


def _scopes(harvest: Harvest, access: Access, now: Callable[[], datetime]) -> frozenset[str] | None:
    pair = base64.b64encode(f"{access.client_id}:{access.client_secret}".encode()).decode()
    url = access.token_url.removesuffix("/").rpartition("/")[0] + "/introspect"
    try:
        with closing(
            Door(access.token_url, vendor="Greenhouse sign-in", timeout_s=access.timeout_s, now=now)
        ) as door:
            answer = door.call(
                "POST",
                url,
                form={"token": harvest.token()},
                headers={"authorization": f"Basic {pair}"},
                writes=False,
            )
            found = door.json(answer)
    except (Throttled, WarmlineError):
        return None
    told = found.get("scope", found.get("scopes")) if isinstance(found, dict) else None
    if isinstance(told, list):
        told = " ".join(map(str, told))
    if not isinstance(told, str) or not told.strip() or found.get("active") is False:
        return None
    return frozenset(told.split())
