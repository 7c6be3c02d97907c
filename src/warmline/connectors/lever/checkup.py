"""What `warmline check` finds out: the key, its rights to each listing, each field needed, the
archive reasons, the webhooks. Reads only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from warmline.connectors.lever.api import EVERYTHING, Account, NotAllowed, Row, has_id
from warmline.connectors.lever.mapping import HINTS
from warmline.core.errors import AuthFailed, Refused, Unreachable, WarmlineError
from warmline.ports import Access as Need
from warmline.ports import Finding, Needs, Verdict

SAMPLE_ROWS = 20
TAGS = "tags"
DO_NOT_CONTACT = "do_not_contact"
# One person's interviews, feedback and notes are listed to see whether the key may.
OF_ONE = ("interviews", "feedback", "notes")

# (listing, key); an empty key: the listing alone, which may well be empty.
Place = tuple[str, str]
# Field → each thing that it is made of → where that may stand: in one of them, be it null.
FIELDS: Mapping[str, tuple[tuple[Place, ...], ...]] = {
    "email": ((("opportunities", "emails"),),),
    "name": ((("opportunities", "name"),),),
    DO_NOT_CONTACT: ((("opportunities", "dataProtection"),),),
    "applied_role": ((("opportunities", "applications"),), (("postings", "text"),)),
    "application_date": ((("opportunities", "createdAt"),),),
    "recruiter_owner": ((("opportunities", "owner"),), (("users", "email"),)),
    "stage": ((("opportunities", "stage"),), (("stages", "text"),)),
    "interview_date": ((("interviews", "date"),),),
    "interviewer": ((("interviews", "interviewers"),),),
    "rejection_date": ((("opportunities", "archived"),), (("archive_reasons", "type"),)),
    "skill_tags": ((("opportunities", "tags"),),),
    TAGS: ((("opportunities", "tags"),),),
}
WRITABLE = frozenset({TAGS})


@dataclass(frozen=True, slots=True)
class Seen:
    """How one thing stands, and what to do about it."""

    verdict: Verdict
    advice: str = ""


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing and its first rows."""

    seen: Seen
    rows: tuple[Row, ...] = ()


def run(account: Account, needs: Needs, *, hook_url: str) -> list[Finding]:
    """Findings on the key, on each listing, on each field needed and on the do-not-contact mark,
    which is needed whatever the triggers say."""
    needed = {DO_NOT_CONTACT: frozenset({Need.READ}), **needs.fields}
    first = _listing(account, "opportunities", expand="applications", **EVERYTHING)
    key = _key(first.seen)
    found = [Finding("API key", key.verdict, key.advice)]
    if key.verdict is not Verdict.OK:
        return [*found, *(_unseen(field, needed[field], key) for field in needed)]
    listings = {"opportunities": first} | _others(account, first)
    return [
        *found,
        *(_listed(name, listing) for name, listing in listings.items()),
        _hired(listings["archive_reasons"]),
        *(_field(field, needed[field], listings) for field in needed),
        _subscriptions(account, hook_url),
    ]


def _key(seen: Seen) -> Seen:
    """A key that may not list opportunities is a good key all the same."""
    return Seen(Verdict.OK) if seen.verdict in (Verdict.FORBIDDEN, Verdict.PLAN) else seen


def _others(account: Account, first: Listing) -> dict[str, Listing]:
    found: dict[str, Listing] = {}
    for name, params in (
        ("stages", {}),
        ("archive_reasons", {}),
        ("postings", dict(EVERYTHING)),
        ("users", {}),
    ):
        found[name] = _listing(account, name, **params)
    found["opportunities/deleted"] = _listing(account, "opportunities/deleted")
    one = next((row for row in first.rows if has_id(row)), None)
    for name in OF_ONE:
        if one is None:
            seen = Seen(Verdict.UNKNOWN, "there is no opportunity yet to look at")
            found[name] = Listing(seen)
        else:
            found[name] = _listing(account, f"opportunities/{one['id']}/{name}")
    return found


def _listing(account: Account, path: str, **params: str) -> Listing:
    try:
        rows, _ = account.page(path, {"limit": str(SAMPLE_ROWS), **params})
    except WarmlineError as error:
        return Listing(_wrong(error))
    return Listing(Seen(Verdict.OK), tuple(row for row in rows if isinstance(row, dict)))


def _wrong(error: WarmlineError) -> Seen:
    advice = ": ".join(filter(None, (error.reason, error.hint)))
    if isinstance(error, NotAllowed):
        return Seen(error.verdict, advice)
    if isinstance(error, Refused):
        verdict = Verdict.of_answer(error.status or 0, error.reason)
        return Seen(verdict, f"{advice}: is base_url Lever's API (…/v1)?")
    if isinstance(error, Unreachable) and error.__context__ is None:
        return Seen(Verdict.FAILED, f"{advice}: try again later")  # the door was answered
    verdict = Verdict.of_error(error)
    if verdict is Verdict.UNREACHABLE:
        advice += ": check base_url, the network and the firewall"
    if verdict is Verdict.FAILED and not isinstance(error, AuthFailed):
        advice += ": is base_url Lever's API (…/v1)?"
    return Seen(verdict, advice)


def _listed(name: str, listing: Listing) -> Finding:
    advice = listing.seen.advice
    if listing.seen.verdict is Verdict.OK and not listing.rows:
        advice = "there is no record yet to look at"
    return Finding(f"list {name}", listing.seen.verdict, advice)


def _hired(reasons: Listing) -> Finding:
    """Whoever is archived for a reason that is none of these was rejected."""
    what = "archive reason that means hired"
    if reasons.seen.verdict is not Verdict.OK:
        return Finding(what, reasons.seen.verdict, reasons.seen.advice)
    named = [str(row.get("text")) for row in reasons.rows if row.get("type") == "hired"]
    if named:
        return Finding(what, Verdict.OK, ", ".join(named))
    advice = "no archive reason is of the type hired: everybody archived would count as rejected"
    return Finding(what, Verdict.MISSING, advice)


def _field(field: str, needed: frozenset[Need], listings: Mapping[str, Listing]) -> Finding:
    parts = FIELDS.get(field)
    if parts is None:
        advice = "Warmline reads nothing by this name from Lever: leave it out of the triggers"
        return _unseen(field, needed, Seen(Verdict.MISSING, advice))
    seen = [_part(places, listings) for places in parts]
    read = next(one for one in seen if one.verdict is Verdict.worst(s.verdict for s in seen))
    write = Seen(Verdict.READ_ONLY, "of people, Warmline writes tags and notes alone to Lever")
    if field in WRITABLE:
        write = Seen(
            Verdict.UNKNOWN,
            "nothing is written to find out: see that the API key may write tags and notes",
        )
    said = (
        read.advice if Need.READ in needed else "",
        write.advice if Need.WRITE in needed else "",
    )
    return Finding.of_field(
        field,
        " and ".join(" or ".join(map(_name, places)) for places in parts),
        needed,
        read=read.verdict,
        write=write.verdict,
        advice="; ".join(dict.fromkeys(filter(None, said))),
    )


def _part(places: tuple[Place, ...], listings: Mapping[str, Listing]) -> Seen:
    looked = [_place(listings[listing], key) for listing, key in places]
    fine = next((one for one in looked if one.verdict is Verdict.OK), None)
    if fine is not None:
        return fine
    worst = Verdict.worst(one.verdict for one in looked if one.verdict is not Verdict.MISSING)
    if worst.to_mend or worst is Verdict.UNKNOWN:
        return next(one for one in looked if one.verdict is worst)
    where = " or ".join(map(_name, places))
    return Seen(Verdict.MISSING, f"no sample record has {where}: may the API key see it?")


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


def _subscriptions(account: Account, hook_url: str) -> Finding:
    """Lever lists the webhooks that were made through its API; those made by hand it does not."""
    what = "webhook subscriptions"
    listing = _listing(account, "webhooks")
    by_hand = "look in Lever: Settings, Integrations and API, Webhooks"
    if listing.seen.verdict is not Verdict.OK or not hook_url:
        return Finding(
            what, Verdict.UNKNOWN, f"{listing.seen.advice or 'not looked for'}; {by_hand}"
        )
    mine = {str(row.get("event")) for row in listing.rows if _leads_here(row, hook_url)}
    lacking = [event for event in HINTS if event not in mine]
    if not lacking:
        return Finding(what, Verdict.OK)
    advice = f"the API lists none to {hook_url} for {', '.join(lacking)}; {by_hand}"
    return Finding(what, Verdict.UNKNOWN, advice)


def _leads_here(row: Mapping[str, Any], hook_url: str) -> bool:
    return str(row.get("url", "")).rstrip("/") == hook_url.rstrip("/")
