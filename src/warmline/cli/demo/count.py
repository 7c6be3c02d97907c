"""What stands in the simulators and in the ledger when the demo's week is over."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import httpx
from django.db.models import Count

from warmline.cli.demo.checks import Caught, Contact, Found, Trouble
from warmline.cli.demo.script import Role, roles
from warmline.cli.demo.week import Week
from warmline.core.segments import Segment
from warmline.flows.report import overview
from warmline.flows.segment import counts
from warmline.ports import Channel
from warmline.sandbox.clock import parse_iso
from warmline.store.models import Action, Delivery, Enrolment, Event, ExternalId, Incident, Message
from warmline.store.statuses import (
    ActionStatus,
    DeliveryStatus,
    EnrolmentStatus,
    IncidentStatus,
    MessageStatus,
)

WELCOME = "welcome"
_PAGE = 1000
_KEPT_BACK = (MessageStatus.HELD, MessageStatus.REFUSED)


def count(week: Week) -> Found:
    """The simulators are asked over HTTP, as anybody could; the ledger through the report."""
    box = week.box
    hooks = _get(f"{box.greenhouse_url}/_control/state")
    crm = _get(f"{box.hubspot_url}/_control/state")
    prospects = [one for one in week.before if one["past"].startswith("prospect")]
    found = Found(
        applicants=week.applicants,
        applications=hooks["counts"]["applications"] - len(prospects),
        in_the_week=week.applications,
        people=len(week.applicants) + len(week.before),
        before=len(week.before) - len(prospects),
        days={
            f"{name}/{step.number}": step.day
            for name, loaded in week.runtime.project.sequences.items()
            for step in loaded.sequence.steps
            if name == WELCOME
        },
        mails=_mails(week),
        dead_tries=[
            rule["hits"] for rule in box.mailbox.faults.as_json() if rule["kind"] == "refuse"
        ],
        scanner_changed=week.scanner_changed,
        clicked=week.clicked,
        flagged=_flagged(week),
        webhooks=hooks["webhooks"],
        not_accepted=sum(
            outbox["attempts"] - outbox["delivered"]
            for outbox in (hooks["webhooks"], crm["webhooks"])
        ),
        polls=week.polls,
    )
    _contacts(week, found)
    _ledger(week, found)
    _tags(week, found)
    found.troubles = _troubles(week)
    return found


def _flagged(week: Week) -> list[str]:
    """The links that the notes in the ATS name, each as often as it is named."""
    notes = week.box.greenhouse.world.notes.rows.values()
    links = [re.search(r"https://jobs\.example\.com/[\d/]*\d", note["body"]) for note in notes]
    return [found[0] for found in links if found]


def _get(url: str, **params: str) -> Any:
    answer = httpx.get(url, params=params, trust_env=False, timeout=30)
    answer.raise_for_status()
    return answer.json()


def _contacts(week: Week, found: Found) -> None:
    """Those of the week's applicants, and of nobody we know; how many are of people before it."""
    rows = week.box.greenhouse.world.candidates.rows
    before = {
        address["value"].lower()
        for one in week.before
        if one["candidate_id"] in rows
        for address in rows[one["candidate_id"]]["email_addresses"]
    }
    for row in _get(f"{week.box.hubspot_url}/_control/contacts"):
        contact = Contact(row["id"], tuple(e.lower() for e in row["emails"]), row["properties"])
        if set(contact.emails) & before:
            found.contacts_before += 1
        else:
            found.contacts.append(contact)


def _mails(week: Week) -> list[Caught]:
    found: list[Caught] = []
    while True:
        page = _get(
            f"{week.box.mailbox_url}/api/messages", limit=str(_PAGE), offset=str(len(found))
        )["messages"]
        found += [
            Caught(mail["to"][0].lower(), mail["headers"]["x-warmline-step"],
                   parse_iso(mail["received_at"]))
            for mail in page
        ]  # fmt: skip
        if len(page) < _PAGE:
            return found


def _ledger(week: Week, found: Found) -> None:
    o = overview(week.runtime)
    found.ledger_applicants, found.ledger_applications = o.applicants, o.applications
    found.ledger_contacts = o.contacts
    found.ledger_sent = {f"{s.sequence}/{s.step}": s.sent for s in o.steps if s.sent}
    submitted = Event.objects.filter(kind="application.submitted")
    found.by_poll = submitted.filter(delivery__channel=Channel.POLL).count()
    found.stopped = _stopped(week)
    sent = Message.objects.filter(status=MessageStatus.HANDED_OFF)
    handed_off = sent.filter(enrolment__sequence=WELCOME).count()
    found.letters = handed_off + found.stopped.total()
    waiting = {
        "deliveries": Delivery.objects.filter(
            status__in=[DeliveryStatus.RECEIVED, DeliveryStatus.FAILED, DeliveryStatus.MALFORMED]
        ),
        "actions": Action.objects.filter(
            status__in=[
                ActionStatus.PLANNED,
                ActionStatus.CLAIMED,
                ActionStatus.UNKNOWN,
                ActionStatus.REFUSED,
            ]
        ),
        "mails": Message.objects.exclude(status__in=[MessageStatus.HANDED_OFF, *_KEPT_BACK]),
        "enrolments": Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE, sequence=WELCOME),
        "unknown words": Event.objects.filter(kind="unknown"),
    }
    found.waiting = {what: rows.count() for what, rows in waiting.items()}


def _tags(week: Week, found: Found) -> None:
    """Each candidate of the ATS has the tag of the segment that the ledger says, and none of the
    other three."""
    found.segments = {word.value: n for word, n in counts().items()}
    tag = week.runtime.project.file.segments.tag
    ours = {tag(segment) for segment in Segment}
    segments = {
        row.external_id: row.candidate.segmentation.segment
        for row in ExternalId.objects.filter(connection="ats", gone_at=None).select_related(
            "candidate__segmentation"
        )
    }
    candidates = week.box.greenhouse.world.candidates.rows
    found.in_ats = len(candidates)
    for number, row in candidates.items():
        segment = segments.get(str(number))
        if {name for name in row["tags"] if name in ours} != {
            tag(Segment(segment)) if segment else ""
        }:
            found.wrongly_tagged.append(f"candidate {number}: {segment or 'not known'}")


def _stopped(week: Week) -> Counter[str]:
    """Letters of the welcome that did not leave, by reason: held or refused when due, or not
    planned any more. The silver medalists' sequence goes on for longer than the play."""
    why: Counter[str] = Counter()
    kept_back = Message.objects.filter(status__in=_KEPT_BACK, enrolment__sequence=WELCOME)
    for status, reason, n in kept_back.values_list("status", "reason").annotate(n=Count("id")):
        why[_plainly(status, reason)] += n
    ended = Enrolment.objects.filter(status=EnrolmentStatus.STOPPED, sequence=WELCOME)
    for sequence, reason, planned in ended.annotate(n=Count("messages")).values_list(
        "sequence", "reason", "n"
    ):
        steps = len(week.runtime.project.sequences[sequence].sequence.steps)
        why[_plainly("", reason)] += steps - planned
    return why


def _plainly(status: str, reason: str) -> str:
    """Reasons of one kind together: a letter that was held, and those after it."""
    if status == MessageStatus.REFUSED or "bounced" in reason:
        return "no such mailbox (550)"
    return "unsubscribed" if "unsubscribed" in reason else reason.replace("_", " ")


_KINDS = (
    # key or beginning of the key, beginning of the reason, what it is called
    ("crm:trouble", "", "CRM: 500, 429, or no answer"),
    ("crm:poll", "", "CRM: it could not be polled"),
    ("mail:trouble", "", "mail server: try again later (451)"),
    ("message:", "mail to ", "mail server: no such mailbox (550)"),
    ("message:", "nobody knows", "mail server: took a mail, no answer"),
    ("no-address:", "", "candidate without an address"),
    ("ats:poll", "", "ATS: could not be read"),
)


def _troubles(week: Week) -> list[Trouble]:
    """Incidents by kind. Somebody with a dead mailbox stays open: a person corrects the address."""
    found: dict[str, Trouble] = {}
    ended: dict[str, Counter[str]] = {}
    dead = len(roles(week.script.parts, Role.DEAD))
    for row in Incident.objects.order_by("id"):
        what = next(
            (n for key, why, n in _KINDS if row.key.startswith(key) and row.reason.startswith(why)),
            row.key,
        )
        trouble = found.setdefault(what, Trouble(what, 0, 0, 0, dead * ("(550)" in what), ""))
        trouble.incidents += 1
        trouble.failures += row.count
        how = row.resolution
        if row.status != IncidentStatus.RESOLVED:
            trouble.open += 1
            how = f"open: {row.hint}"
        elif row.resolved_at is not None:
            trouble.longest = max(trouble.longest, row.resolved_at - row.opened_at)
        ended.setdefault(what, Counter())[how] += 1
    for what, trouble in found.items():
        trouble.ended = "; ".join(how for how, _ in ended[what].most_common())
    return list(found.values())
