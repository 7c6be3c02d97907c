"""What the policy looks at: how candidates stand at this moment, by the ledger.

Asked for a whole batch in the transaction of its claim, and for the one person again as the
hand-over of their mail begins.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from django.db.models import Q

from warmline.config.project import Project
from warmline.core.events import ApplicationStatus, StageKind
from warmline.core.policy import CandidateState, Wishes
from warmline.core.sequences import StepClass
from warmline.core.timing import Window, next_fit
from warmline.flows.consents import consents_of, why_no_consent
from warmline.flows.fields import Known
from warmline.flows.runtime import Runtime
from warmline.flows.versions import sequence_of
from warmline.flows.whereabouts import POLICY, Whereabouts, is_holiday, where_is
from warmline.store.models import (
    Enrolment,
    Message,
    Preference,
    Segmentation,
    Suppression,
)
from warmline.store.queries import LEFT, Present, present, sent_since
from warmline.store.statuses import SuppressionReason

_NO_WISHES = Wishes()
_NOWHERE = Whereabouts("", "UTC", POLICY)


@dataclass(slots=True)
class Standing:
    """`states` by candidate. Where they are and whether a consent stands holds until a claimed
    mail leaves; withdrawing one suppresses, which is looked for again."""

    states: dict[int, CandidateState] = field(default_factory=dict)


def standing(
    runtime: Runtime, people: Mapping[int, Known], now: datetime, *, nurtured: Collection[int]
) -> Standing:
    """How these people stand. An address that bounced is no address: `Known.emails` is left with
    those that may be written to. `nurtured`: of whom more is asked than a receipt needs, which
    most mails are: where they are, what they agreed to, and what they got."""
    addresses = [email for one in people.values() for email in one.emails]
    rows = Suppression.objects.filter(address__in=addresses)
    suppressed = {row.address: (row.reason, row.source) for row in rows}
    segments = Segmentation.objects.in_bulk(list(people))
    wishes = {
        row.candidate_id: Wishes(row.paused_until, row.days_between, row.topics_off)
        for row in (Preference.objects.filter(candidate__in=nurtured) if nurtured else ())
    }
    sent = _sent(runtime, nurtured, wishes, now) if nurtured else {}
    consents = consents_of(nurtured) if nurtured else {}
    everywhere = runtime.project.file.policy.rules.quiet_receipts
    rules = runtime.project.segment_rules
    found = Standing()
    for candidate_id, one in people.items():
        row = segments.get(candidate_id)
        told = [(e, *suppressed.get(e, ("", ""))) for e in one.emails]
        where = _NOWHERE
        if candidate_id in nurtured or everywhere:
            where = whereabouts(runtime.project, one)
        found.states[candidate_id], one.emails = state_of(
            told,
            do_not_contact=one.candidate.do_not_contact,
            merged=one.candidate.merged_into_id is not None,
            erased=one.candidate.erased_at is not None,
            nurture_hold=rules.nurture_hold(row.segment, row.score, row.placed_at, now=now)
            if row
            else "",
            no_consent=why_no_consent(
                runtime.project, where.country, one, consents.get(candidate_id, []), now
            )
            if candidate_id in nurtured
            else "",
            candidacies=[(a.status, a.stage.kind if a.stage else None) for a in one.applications],
            wishes=wishes.get(candidate_id, _NO_WISHES),
            sent=sent.get(candidate_id, ()),
            zone=where.clock,
            country=where.country,
        )
    return found


def standing_now(
    runtime: Runtime, message: Message, before: CandidateState, now: datetime
) -> tuple[CandidateState, list[str], Present]:
    """The person of this message once more, under the lock; the addresses that may be written to,
    and what the ledger holds of them. `before`: how they stood when the message was claimed."""
    seen = present(message.candidate_id)
    wishes = Wishes(seen.paused_until, seen.days_between, seen.topics_off)
    since = None
    if message.step_class == StepClass.MARKETING:
        since = _horizon(runtime, [wishes], now)
    state, usable = state_of(
        seen.addresses,
        do_not_contact=seen.do_not_contact,
        merged=seen.merged,
        erased=seen.erased,
        nurture_hold=runtime.project.segment_rules.nurture_hold(
            seen.segment, seen.score, seen.placed_at, now=now
        ),
        no_consent=before.no_consent,
        candidacies=seen.candidacies,
        wishes=wishes,
        sent=sent_since(message.candidate_id, since) if since else (),
        zone=before.zone,
        country=before.country,
    )
    return state, usable, seen


def whereabouts(project: Project, one: Known) -> Whereabouts:
    """Where a person is; the office is that of the job that they applied for last."""
    latest = one.latest
    office = latest.job.office if latest and latest.job else ""
    return where_is(project, one.candidate, office)


def state_of(
    addresses: Iterable[tuple[str, str, str]],
    *,
    do_not_contact: bool,
    merged: bool,
    erased: bool,
    nurture_hold: str,
    candidacies: Iterable[tuple[str, str | None]],
    no_consent: str = "",
    wishes: Wishes = _NO_WISHES,
    sent: Collection[datetime] = (),
    zone: tzinfo = UTC,
    country: str = "",
) -> tuple[CandidateState, list[str]]:
    """The state, and the addresses that may be written to, preferred first. `addresses`: each
    with the reason and the source of its suppression. No from the person, on any address, is no;
    a dead mailbox speaks only for itself."""
    told = list(addresses)
    usable = [e for e, reason, _ in told if not reason]
    said_no = [
        f"{reason} ({source})"
        for _, reason, source in told
        if reason and reason != SuppressionReason.BOUNCED
    ]
    bounced = "bounced" if told and not usable else ""
    state = CandidateState(
        has_address=bool(told),
        suppressed=said_no[0] if said_no else bounced,
        do_not_contact=do_not_contact,
        merged=merged,
        erased=erased,
        nurture_hold=nurture_hold,
        no_consent=no_consent,
        applications=[
            (ApplicationStatus(status), StageKind(kind) if kind else None)
            for status, kind in candidacies
        ],
        wishes=wishes,
        sent=tuple(sent),
        zone=zone,
        country=country,
    )
    return state, usable


def topic_of(runtime: Runtime, message: Message, enrolment: Enrolment) -> str:
    """The topic that the letter's front matter names; empty where it names none."""
    loaded = sequence_of(runtime.project, enrolment)
    step = loaded.sequence.step(message.step) if loaded else None
    name = message.piece or (step.name if step else "")
    present = runtime.project.sequences.get(enrolment.sequence)
    for one in (present, loaded) if "/" in name else (loaded,):
        if one is not None and name in one.topics:
            return one.topics[name]
    return ""


def hours_of(
    runtime: Runtime, sequence: str, state: CandidateState
) -> Callable[[datetime], datetime] | None:
    """The hours of a sequence, where the reader is: the first moment from a given one on that lies
    within them. None where it has none."""
    loaded = runtime.project.sequences.get(sequence)
    window: Window | None = loaded.sequence.window if loaded else None
    if window is None:
        return None
    zone = state.zone if isinstance(state.zone, ZoneInfo) else ZoneInfo("UTC")
    return lambda at: next_fit(at, zone, window, lambda day: is_holiday(state.country, day))


def _sent(
    runtime: Runtime,
    people: Collection[int],
    wishes: Mapping[int, Wishes],
    now: datetime,
) -> dict[int, list[datetime]]:
    """When nurture mails left for these people, as far back as a cap looks. What was sent to
    somebody whom they were merged with was sent to them."""
    since = _horizon(runtime, wishes.values(), now)
    if since is None:
        return {}
    ids = list(people)
    mine = Q(candidate__in=ids) | Q(candidate__merged_into__in=ids)
    rows = Message.objects.filter(
        mine, step_class=StepClass.MARKETING, status__in=LEFT, sending_at__gt=since
    )
    found: dict[int, list[datetime]] = {}
    for own, kept, at in rows.values_list("candidate", "candidate__merged_into", "sending_at"):
        whom = own if own in people else kept
        if whom is not None and at is not None:
            found.setdefault(whom, []).append(at)
    return found


def _horizon(runtime: Runtime, wishes: Iterable[Wishes], now: datetime) -> datetime | None:
    """How far back anybody asks what was sent; None where nobody does."""
    frequency = runtime.project.file.policy.rules.frequency
    days = max([frequency.days if frequency else 0, *(w.days_between for w in wishes)])
    return now - timedelta(days=days) if days else None
