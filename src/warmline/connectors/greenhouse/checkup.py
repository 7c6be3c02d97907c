"""What `warmline check` finds out: credentials, rights on each listing, each field needed.

Only tokens are asked for and listings read. Whether something may be written is read from the
token's scopes, where Greenhouse tells them: nothing is written to find out.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from warmline.connectors.greenhouse import customfields
from warmline.connectors.greenhouse.harvest import Access, Harvest, access_hint
from warmline.core.actions import OF_THE_EVENT
from warmline.core.errors import AuthFailed, Refused, Throttled, Unreachable, WarmlineError
from warmline.kit.http import Door
from warmline.ports import Access as Need
from warmline.ports import Finding, Needs, Verdict

# What polling reads; the others only where they are needed.
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
TAG_SCOPES = (
    ("candidate_tags", "create"),
    ("applied_candidate_tags", "create"),
    ("applied_candidate_tags", "destroy"),
)
NOTE_SCOPES = (("notes", "create"),)
PATCH_SCOPES = (("candidates", "update"),)
TAGS, NOTES = "tags", "notes"
DO_NOT_CONTACT = "do_not_contact"
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
    "rejection_date": ((("applications", "rejected_at"),),),
    "skill_tags": ((("candidates", "tags"),),),
    TAGS: ((("candidate_tags", ""),), (("applied_candidate_tags", ""),)),
    NOTES: ((("notes", ""),),),
}
IN_CUSTOM_FIELD = ((("custom_fields", ""),),)
# What the setting `fields` has no custom field for stands in the note alone.
IN_NOTE = FIELDS[NOTES]

SUBSCRIPTIONS = Finding(
    "webhook subscriptions",
    Verdict.UNKNOWN,
    "Greenhouse shows its web hooks in its pages alone (Configure, Dev Center, Web Hooks): look"
    " there that each needed one is there and enabled",
)
_SERVER_ERRORS = tuple(range(500, 600))
# Of what is looked up by name, all is read.
_ASKED = {customfields.RESOURCE: customfields.OF_CANDIDATES}


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
    harvest: Harvest,
    access: Access,
    needs: Needs,
    named: Mapping[str, str],
    *,
    now: Callable[[], datetime],
) -> list[Finding]:
    """A finding on the credentials, on each listing, on each field needed and on the
    do-not-contact mark, which is needed whatever the triggers say. `named`: field → name_key of
    the custom field that it goes into."""
    needed = {DO_NOT_CONTACT: frozenset({Need.READ}), **needs.fields}
    signed_in = _signed_in(harvest)
    first = Finding("API credentials", signed_in.verdict, signed_in.advice)
    if signed_in.verdict is not Verdict.OK:
        return [first, *(_unseen(field, named, needed[field], signed_in) for field in needed)]
    places = [place for field in needed for part in _parts(field, named) for place in part]
    wanted = dict.fromkeys((*RESOURCES, *(resource for resource, _ in places)))
    listings = _listings(harvest, access, tuple(wanted), now)
    writes = any(Need.WRITE in how for how in needed.values())
    scopes = _scopes(harvest, access, now) if writes else None
    return [
        first,
        *(_listed(resource, listing) for resource, listing in listings.items()),
        *(
            _field(field, named, needed[field], listings, _writable(field, access, named, scopes))
            for field in needed
        ),
        SUBSCRIPTIONS,
    ]


def _parts(field: str, named: Mapping[str, str]) -> tuple[tuple[Place, ...], ...]:
    """Where a field stands; nowhere where Greenhouse has nothing by this name."""
    if field in OF_THE_EVENT:
        return IN_CUSTOM_FIELD if field in named else IN_NOTE
    return FIELDS.get(field, ())


def _signed_in(harvest: Harvest) -> Seen:
    try:
        harvest.token()
    except WarmlineError as error:
        verdict = Verdict.of_error(error)
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
            params=_ASKED.get(resource, {"per_page": str(SAMPLE_ROWS)}),
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
        advice = (
            f"{said or f'Greenhouse answered {status}'}: ask Greenhouse which plan has it, or leave"
            " what needs it out of the triggers"
        )
    elif verdict is Verdict.FORBIDDEN:
        advice = access_hint(resource)
    else:
        advice = f"Greenhouse answered {status}: {_elsewhere(verdict, 'base_url')}"
    return Seen(verdict, advice)


def _listed(resource: str, listing: Listing) -> Finding:
    advice = listing.seen.advice
    if listing.seen.verdict is Verdict.OK and not listing.rows:
        advice = "there is no record yet to look at"
    return Finding(f"list {resource}", listing.seen.verdict, advice)


def _field(
    field: str,
    named: Mapping[str, str],
    needed: frozenset[Need],
    listings: Mapping[str, Listing],
    write: Seen,
) -> Finding:
    parts = _parts(field, named)
    if not parts:
        advice = "Warmline reads nothing by this name from Greenhouse: leave it out of the triggers"
        missing = Seen(Verdict.MISSING, advice)
        return _unseen(field, named, needed, missing)
    seen = [_part(places, listings) for places in parts]
    read = next(one for one in seen if one.verdict is Verdict.worst(s.verdict for s in seen))
    if field in named and read.verdict is Verdict.OK:
        known = customfields.definitions(listings[customfields.RESOURCE].rows)
        if reason := customfields.misfit(field, named[field], known):
            read = write = Seen(Verdict.MISSING, reason)
    said = (
        read.advice if Need.READ in needed else "",
        write.advice if Need.WRITE in needed else "",
    )
    return Finding.of_field(
        field,
        _what(field, named, parts),
        needed,
        read=read.verdict,
        write=write.verdict,
        advice="; ".join(dict.fromkeys(filter(None, said))),
    )


def _what(field: str, named: Mapping[str, str], parts: Sequence[Sequence[Place]]) -> str:
    if field in OF_THE_EVENT and field in named:
        return f"custom field {named[field]}"
    return " and ".join(" or ".join(map(_name, places)) for places in parts)


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


def _unseen(field: str, named: Mapping[str, str], needed: frozenset[Need], cause: Seen) -> Finding:
    parts = [places[:1] for places in _parts(field, named)]
    what = _what(field, named, parts) or field
    return Finding.of_field(
        field, what, needed, read=cause.verdict, write=cause.verdict, advice=cause.advice
    )


def _writable(
    field: str, access: Access, named: Mapping[str, str], scopes: frozenset[str] | None
) -> Seen:
    """By the token's own scopes. Where these are not told, it is not known: the only other way to
    find out is to write."""
    wanted = {TAGS: TAG_SCOPES, NOTES: NOTE_SCOPES, DO_NOT_CONTACT: PATCH_SCOPES}.get(field)
    if field in OF_THE_EVENT:
        wanted = PATCH_SCOPES if field in named else NOTE_SCOPES
    if wanted is None:
        return Seen(
            Verdict.READ_ONLY,
            "of candidates, Warmline writes tags, notes, the custom fields of the setting `fields`"
            " and the do-not-contact mark to Greenhouse, and nothing else",
        )
    if wanted is NOTE_SCOPES and not access.user_id:
        return Seen(Verdict.MISSING, "a note needs an author: set user_id to a Site Admin's id")
    if scopes is None:
        return Seen(
            Verdict.UNKNOWN,
            "Greenhouse does not tell the token's scopes, and nothing is written to find out: see"
            " that it has " + ", ".join(f"harvest:{r}:{verb}" for r, verb in wanted),
        )
    lacking = [(r, verb) for r, verb in wanted if f"harvest:{r}:{verb}" not in scopes]
    if not lacking:
        return Seen(Verdict.OK)
    told = ", ".join(f"harvest:{resource}:{verb}" for resource, verb in lacking)
    return Seen(Verdict.FORBIDDEN, f"give the API credential the scopes {told}")


def _scopes(harvest: Harvest, access: Access, now: Callable[[], datetime]) -> frozenset[str] | None:
    """The token's, as the sign-in's `introspect` (RFC 7662) tells them; None where it does not."""
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
