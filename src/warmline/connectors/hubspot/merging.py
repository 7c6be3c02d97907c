"""HubSpot's duplicate contacts: every contact listed, two of them made one.

Merging makes a record with a new id, and the old ids keep resolving to it; there is no way back.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from warmline.connectors.hubspot.contacts import OBJECTS, Contact, Contacts, body_of, plain
from warmline.connectors.hubspot.mapping import OPTED_OUT, moment
from warmline.core.errors import Malformed, Refused, Throttled, Unreachable, Unsure
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.ports import ContactPage, ContactRecord

PAGE = 100  # the most that the list gives at once
LISTED = (
    "email",
    "hs_additional_emails",
    "firstname",
    "lastname",
    "phone",
    "mobilephone",
    OPTED_OUT,
    "createdate",
)
# Answers that say no to this pair, with a reason in the body.
_NO = (400, 404, 409, 422)


def contacts(api: Contacts, cursor: str = "") -> Iterator[ContactPage]:
    """Every contact, oldest id first: by the list and not by the search, which stops at 10,000 and
    lags behind. Raises AuthFailed, Throttled, Unreachable, Malformed; go on from the last cursor.
    """
    params = {"limit": str(PAGE), "properties": ",".join(LISTED)}
    while True:
        answer = api.get(OBJECTS, params | ({"after": cursor} if cursor else {}))
        body = body_of(answer)
        results = body.get("results")
        if not isinstance(results, list):
            raise Malformed("HubSpot answered its list of contacts with something that is no list")
        found = tuple(record for one in results if (record := _record(one)) is not None)
        following = after(body)
        if following and following == cursor:
            raise Malformed(f"HubSpot's list of contacts does not go on after {cursor[:40]}")
        yield ContactPage(found, following)
        if not following:
            return
        cursor = following


def merge(api: Contacts, primary: str, other: str) -> Outcome:
    """Make `other` part of `primary`. Both are read first, so that asking again is safe: where
    they resolve to one record they are one already, and a record named twice is only read.

    DONE or ALREADY_DONE with the id that stands; REFUSED, with the id in `detail["gone"]` where a
    record is not there any more; LATER; UNKNOWN where no answer came. `detail["opted_out"]` is
    `true` where one of them had opted out when it was read. Raises AuthFailed.
    """
    try:
        return _merge(api, primary, other)
    except Throttled as error:
        return Outcome(OutcomeKind.LATER, error.reason, after_s=error.after_s)
    except (Unreachable, Malformed) as error:
        return Outcome(OutcomeKind.LATER, error.reason)
    except Unsure as error:
        return Outcome(OutcomeKind.UNKNOWN, error.reason)
    except Refused as error:  # a proxy's or a moved address's answer
        return Outcome(OutcomeKind.REFUSED, error.reason)


def _merge(api: Contacts, primary: str, other: str) -> Outcome:
    found = _read(api, primary, other)
    if isinstance(found, Outcome):
        return found
    kept, joined = found
    said_no = "true" in (kept.properties.get(OPTED_OUT), joined.properties.get(OPTED_OUT))
    detail = {"opted_out": "true"} if said_no else {}
    if kept.id == joined.id:
        return Outcome(OutcomeKind.ALREADY_DONE, external_id=kept.id, detail=detail)
    asked = {"primaryObjectId": kept.id, "objectIdToMerge": joined.id}
    answer = api.post(f"{OBJECTS}/merge", asked, writes=True, accept=_NO)
    body = body_of(answer)
    if answer.is_success:
        new = str(body.get("id") or "")
        if not new:
            reason = "HubSpot answered a merge with something that is no contact"
            return Outcome(OutcomeKind.UNKNOWN, reason, detail=detail)
        return Outcome(OutcomeKind.DONE, external_id=new, detail=detail)
    # It says no too where an earlier try, whose answer was lost, came through a moment ago.
    again = _read(api, primary, other)
    if not isinstance(again, Outcome) and again[0].id == again[1].id:
        return Outcome(OutcomeKind.ALREADY_DONE, external_id=again[0].id, detail=detail)
    said = f"{plain(str(body.get('category') or ''))}: {plain(str(body.get('message') or ''))}"
    reason = f"HubSpot answered {answer.status_code}, {said.strip(': ') or 'without a reason'}"
    return Outcome(OutcomeKind.REFUSED, reason, detail=detail)


def _read(api: Contacts, primary: str, other: str) -> tuple[Contact, Contact] | Outcome:
    """Both as they stand; REFUSED where one is not there."""
    found: dict[str, Contact] = {}
    for key in dict.fromkeys((primary, other)):
        contact = api.read(key, ("email", OPTED_OUT))
        if contact is None:
            reason = f"contact {key} is not there any more"
            return Outcome(OutcomeKind.REFUSED, reason, detail={"gone": key})
        found[key] = contact
    return found[primary], found[other]


def _record(found: object) -> ContactRecord | None:
    body: Mapping[str, object] = found if isinstance(found, dict) else {}
    record_id = str(body.get("id") or "")
    if not record_id:
        return None
    held = body.get("properties")
    pairs = held.items() if isinstance(held, dict) else ()
    texts = {str(name): value.strip() for name, value in pairs if isinstance(value, str)}
    more = texts.get("hs_additional_emails", "").split(";")
    emails = [one.strip() for one in (texts.get("email", ""), *more) if one.strip()]
    phones = [texts[name] for name in ("phone", "mobilephone") if texts.get(name)]
    return ContactRecord(
        external_id=record_id,
        emails=tuple(dict.fromkeys(emails)),
        first_name=texts.get("firstname", ""),
        last_name=texts.get("lastname", ""),
        phones=tuple(dict.fromkeys(phones)),
        opted_out=texts.get(OPTED_OUT, "").lower() == "true",
        created_at=moment(texts.get("createdate") or str(body.get("createdAt") or "")),
    )


def after(body: Mapping[str, object]) -> str:
    """The cursor of the next page; empty after the last one."""
    paging = body.get("paging")
    following = paging.get("next") if isinstance(paging, dict) else None
    return str(following.get("after") or "") if isinstance(following, dict) else ""
