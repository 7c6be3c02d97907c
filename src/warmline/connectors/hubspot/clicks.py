"""The clicks in HubSpot's own mails, by its e-mail events (v1), with the evidence of who made each.

The webhook of a click tells when, and neither what was clicked nor by whom. HubSpot's event of the
click tells link, mail, user agent, and whether its bot filter let it pass. That, the delivery and
the other clicks in the same mail are kept as one record; `parse` judges it (I9, I12). Where the
account does not let us read these events, there are none, and no click is anybody's.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from warmline.connectors.hubspot.contacts import BATCH_MAX, Contacts, body_of
from warmline.core.candidates import normal_email
from warmline.core.engagement import CONFIDENCE, WHY
from warmline.core.errors import Malformed, Unreachable
from warmline.core.events import CandidateFacts, Event, EventKind
from warmline.core.humans import BURST_S, Evidence, at_once, judge
from warmline.ports import Page, Received, Record, Verdict

STREAM = "clicks"
SCOPE = "content"
EVENTS, CAMPAIGNS = "/email/public/v1/events", "/email/public/v1/campaigns"
WORD = "CLICK"
PAGE = 100  # as many addresses as one look-up of contacts takes
MAIL_EVENTS_MAX = 1000  # of one person while one mail was clicked; the most that one call gives
PAGES_MAX = 1_000  # in one sweep
SUBJECTS_MAX = 1_000
# Of the last minute a click's siblings and HubSpot's filter may still be missing.
HOLD_BACK_MS, OVERLAP_MS = 60_000, 600_000
AGE_MS_MAX = 30 * 24 * 3600 * 1000  # a first reading of everything goes no further back
BURST_MS = round(BURST_S * 1000)
# A scope or a plan that is lacking is no failure: `check` tells of it, and it is asked for in an
# hour again.
REFUSED_FOR = timedelta(hours=1)
# A mail or a campaign that HubSpot does not find: what it would have told is missing.
_NOT_FOUND = (400, 404)
TEXT_CHARS_MAX = 1000
_KEPT = ("id", "created", "type", "url", "filteredEvent", "userAgent", "browser", "sentBy")

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Window:
    """The clicks from one moment to another, in milliseconds; `offset`: HubSpot's own place in
    their list, where a sweep is amid it."""

    start: int
    to: int
    offset: str = ""

    def __str__(self) -> str:
        return f"reading:{self.start}:{self.to}:{self.offset}"


@dataclass(frozen=True, slots=True)
class Mail:
    """What HubSpot tells of one mail to one person. `passed`: the ids of its clicks that the bot
    filter let pass, None where the clicks themselves tell that."""

    events: tuple[Row, ...] = ()
    subject: str = ""
    passed: frozenset[str] | None = None


class Clicks:
    """Reads them. Thread-safe."""

    def __init__(self, api: Contacts, *, now: Callable[[], datetime]) -> None:
        self._api, self._now = api, now
        self._lock = threading.Lock()
        self._not_before: datetime | None = None
        self._subjects: dict[str, str] = {}

    def changes(self, cursor: str, *, now: datetime) -> Iterator[Page]:
        """What was clicked since `cursor`; in the last month, where it is empty. Raises Malformed
        for a cursor that is none of ours."""
        kind, *parts = cursor.split(":", 3)
        numbers = [int(part) if part.isdecimal() else 0 for part in parts]
        if cursor == "":
            window = Window(_ms(now) - AGE_MS_MAX, _ms(now) - HOLD_BACK_MS)
        elif kind == "since" and len(parts) == 1:
            begin = max(numbers[0] - OVERLAP_MS, _ms(now) - AGE_MS_MAX)
            window = Window(begin, max(begin, _ms(now) - HOLD_BACK_MS))
        elif kind == "reading" and len(parts) == 3:
            window = Window(numbers[0], numbers[1], parts[2])
        else:
            raise Malformed(f"the cursor of {STREAM} is not one of HubSpot's: {cursor[:40]!r}")
        yield from self._sweep(window, now)

    def _sweep(self, window: Window, now: datetime) -> Iterator[Page]:
        for _ in range(PAGES_MAX):
            answer, window = self._page(window)
            if answer is None:
                # What was clicked while we might not read is never heard: it is no backlog.
                yield Page(STREAM, (), f"since:{_ms(now)}", last=True)
                return
            body = body_of(answer)
            records = self._records(_rows(answer))
            offset = str(body.get("offset") or "")
            if body.get("hasMore") is not True or not offset:
                yield Page(STREAM, records, f"since:{window.to}", last=True)
                return
            if offset == window.offset:
                raise Malformed("HubSpot's list of e-mail events does not go on")
            window = replace(window, offset=offset)
            yield Page(STREAM, records, str(window))

    def _page(self, window: Window) -> tuple[httpx.Response | None, Window]:
        """One page of the window; no answer where the account does not let us read. A place in the
        list that HubSpot no longer knows begins the window again."""
        if self._not_before is not None and self._now() < self._not_before:
            return None, window
        params = {"eventType": WORD, "limit": str(PAGE), **_between(window.start, window.to)}
        if window.offset:
            params["offset"] = window.offset
        answer = self._api.get(EVENTS, params, accept=(400, 403) if window.offset else (403,))
        if answer.status_code == 400:
            return self._page(replace(window, offset=""))
        if answer.status_code == 403:
            said = body_of(answer)
            plan = Verdict.of_answer(403, str(said.get("message", ""))) is Verdict.PLAN
            if said.get("category") != "MISSING_SCOPES" and not plan:
                raise Unreachable("HubSpot refused its e-mail events and does not say why")
            self._not_before = self._now() + REFUSED_FOR
            return None, window
        self._not_before = None
        return answer, window

    def _of_mail(self, params: Mapping[str, str]) -> list[Row]:
        return _rows(self._api.get(EVENTS, params, accept=_NOT_FOUND))

    def _records(self, rows: Sequence[Row]) -> tuple[Record, ...]:
        """One a click of somebody who is a contact."""
        people = self._people(rows)
        by_mail: dict[tuple[str, tuple[str, int] | None], list[Row]] = {}
        for row in rows:
            if (address := _address(row)) in people:
                by_mail.setdefault((address, _sent_by(row)), []).append(row)
        found = []
        for (address, sent), clicks in by_mail.items():
            mail = self._mail(address, sent, clicks)
            found += [_record(people[address], click, mail) for click in clicks]
        return tuple(found)

    def _people(self, rows: Sequence[Row]) -> dict[str, str]:
        """Address → contact. Addresses that a batch misses may still be somebody's second one."""
        addresses = list(dict.fromkeys(filter(None, map(_address, rows))))
        found: dict[str, str] = {}
        for start in range(0, len(addresses), BATCH_MAX):
            for contact in self._api.read_many(addresses[start : start + BATCH_MAX]):
                found |= dict.fromkeys(contact.addresses(), contact.id)
        for address in addresses:
            if address not in found:
                alone = self._api.read(address, ("email",), by_email=True)
                found |= {address: alone.id} if alone else {}
        return found

    def _mail(self, address: str, sent: tuple[str, int] | None, clicks: Sequence[Row]) -> Mail:
        """What is known of the mail in which these links were clicked. Nothing is asked where no
        answer could make one of the clicks a person's."""
        subject = self._subject(clicks[0].get("emailCampaignId"))
        if sent is None or all(click.get("filteredEvent") is True for click in clicks):
            return Mail(subject=subject)
        number, at = sent
        until = max(_created(click) for click in clicks) + BURST_MS
        params = {"recipient": address, "limit": str(MAIL_EVENTS_MAX), **_between(at, until)}
        told = self._of_mail(params)
        mine = tuple(one for one in told if one.get("id") == number or _sent_by(one) == sent)
        own = next((text for one in mine if (text := _text(one.get("subject")))), "")
        if all(isinstance(click.get("filteredEvent"), bool) for click in clicks):
            return Mail(mine, own or subject)
        params |= {"eventType": WORD, "excludeFilteredEvents": "true"}
        passed = self._of_mail(params)
        return Mail(mine, own or subject, frozenset(_text(one.get("id")) for one in passed))

    def _subject(self, campaign: object) -> str:
        """Of the mail as it was written; empty where HubSpot does not tell."""
        key = str(campaign or "")
        if not key.isdecimal():
            return ""
        with self._lock:
            if key in self._subjects:
                return self._subjects[key]
        try:
            answer = self._api.get(f"{CAMPAIGNS}/{key}", accept=_NOT_FOUND)
        except Unreachable:
            return ""  # the subject is not worth the poll
        subject = _text(body_of(answer).get("subject")) if answer.is_success else ""
        with self._lock:
            if len(self._subjects) >= SUBJECTS_MAX:
                self._subjects.clear()
            self._subjects[key] = subject
        return subject


def start(now: datetime) -> str:
    return f"since:{_ms(now)}"


def parse(received: Received) -> list[Event]:
    """The click of one record, and who made it."""
    try:
        body = json.loads(received.body)
    except (ValueError, RecursionError):
        raise Malformed("$: found something that is no JSON, expected an object") from None
    click = body.get("click") if isinstance(body, dict) else None
    if not isinstance(click, dict) or _created(click) < 0 or not _text(click.get("id")):
        raise Malformed("$.click: found something that is no event with an id and a time")
    contact = str(body.get("contact") or "")
    if not contact.isdecimal():
        raise Malformed("$.contact: found something else, expected a record id")
    mail = body.get("mail")
    events = [one for one in mail if isinstance(one, dict)] if isinstance(mail, list) else []
    found = judge(_evidence(click, events, body.get("passed")))
    link, subject = _text(click.get("url")), _text(body.get("subject"))
    at, sent = _created(click), _sent_by(click)
    day = f"{datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}"
    # A link of a mail that is clicked twice on one day is one act, and one note in the ATS.
    which = hashlib.sha256(f"{sent[0] if sent else click['id']} {link}".encode()).hexdigest()[:32]
    fields = {CONFIDENCE: str(found.who), WHY: found.why}
    fields |= {n: text for n, text in (("link_url", link), ("email_subject", subject)) if text}
    return [
        Event(
            kind=EventKind.MESSAGE_CLICKED,
            key=f"click:{which}:{day}:{found.who}",
            word=WORD,
            occurred_at=datetime.fromtimestamp(at / 1000, UTC),
            candidate=CandidateFacts(external_id=contact),
            fields=fields,
        )
    ]


def _evidence(click: Row, mail: Sequence[Row], passed: object) -> Evidence:
    at, agent, browser = _created(click), click.get("userAgent"), click.get("browser")
    delivered = [_created(one) for one in mail if one.get("type") == "DELIVERED"]
    came = min((one for one in delivered if one >= 0), default=None)
    clicks = [(_created(one) / 1000, _text(one.get("url"))) for one in mail if _is_click(one)]
    said = click.get("filteredEvent")
    if not isinstance(said, bool):
        said = not passed if isinstance(passed, bool) else None
    return Evidence(
        agent=_text(agent) if isinstance(agent, str) else None,
        agent_kind=_text(browser.get("type")) if isinstance(browser, dict) else "",
        delivered_s=None if came is None else (at - came) / 1000,
        others_s=at_once((at / 1000, _text(click.get("url"))), clicks),
        filtered=said,
    )


def _record(contact: str, click: Row, mail: Mail) -> Record:
    """The click, the delivery of its mail, and what else was clicked in it at about that time.
    The address is left out: the contact stands for it."""
    at = _created(click)
    near = [
        one
        for one in mail.events
        if one.get("type") == "DELIVERED"
        or (_is_click(one) and abs(_created(one) - at) <= BURST_MS and one["id"] != click["id"])
    ]
    body: dict[str, Any] = {
        "contact": contact,
        "click": _kept(click),
        "mail": sorted((_kept(one) for one in near), key=lambda one: (_created(one), one["id"])),
        "subject": mail.subject,
    }
    if mail.passed is not None:
        body["passed"] = click["id"] in mail.passed
    content = json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
    return Record(f"click:{click['id']}:{hashlib.sha256(content).hexdigest()[:16]}", content)


def _rows(answer: httpx.Response) -> list[Row]:
    """The events of an answer, none where it is a refusal. One that cannot be read as such is left
    out: it tells nothing."""
    if not answer.is_success:
        return []
    found = body_of(answer).get("events")
    if not isinstance(found, list):
        raise Malformed("HubSpot answered its list of e-mail events with something that is no list")
    return [
        one
        for one in found
        if isinstance(one, dict) and _text(one.get("id")) and _created(one) >= 0
    ]


def _kept(event: Row) -> dict[str, Any]:
    return {name: event[name] for name in _KEPT if name in event}


def _between(start: int, to: int) -> dict[str, str]:
    return {"startTimestamp": str(max(0, start)), "endTimestamp": str(to)}


def _is_click(event: Row) -> bool:
    return event.get("type") == WORD and _created(event) >= 0


def _created(event: Row) -> int:
    """In milliseconds; -1 where it is not said."""
    found = event.get("created")
    good = isinstance(found, int) and not isinstance(found, bool) and 0 <= found < 10**14
    return int(found) if good and found is not None else -1


def _sent_by(event: Row) -> tuple[str, int] | None:
    """The mail's own id and when it was sent."""
    found = event.get("sentBy")
    if not isinstance(found, dict) or not _text(found.get("id")) or _created(found) < 0:
        return None
    return _text(found.get("id")), _created(found)


def _address(event: Row) -> str:
    return normal_email(_text(event.get("recipient"))) or ""


def _text(found: object) -> str:
    return found.replace("\0", "").strip()[:TEXT_CHARS_MAX] if isinstance(found, str) else ""


def _ms(at: datetime) -> int:
    return round(at.astimezone(UTC).timestamp() * 1000)
