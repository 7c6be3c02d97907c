"""What the mails add up to: collisions, and volume a day by sender and domain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta
from itertools import pairwise

from django.db.models import OuterRef, Subquery

from warmline.core.actions import ActionKind
from warmline.flows.simulate.findings import Collision, Mail, Volume
from warmline.store.models import Action, Enrolment, Message
from warmline.store.statuses import ActionStatus, EnrolmentStatus, MessageStatus

_DAY = timedelta(days=1)


def close_mails(mails: Sequence[Mail], begins: datetime, within_days: float) -> list[Collision]:
    """Two mails to one person less than so many days apart, those that left just before included.
    `mails` are those that leave."""
    within = timedelta(days=within_days)
    lately = Message.objects.filter(
        status=MessageStatus.HANDED_OFF,
        handed_off_at__gte=begins - within,
        handed_off_at__lt=begins,
    ).values_list("candidate_id", "handed_off_at", "enrolment__sequence", "step")
    by_person: dict[int, list[tuple[datetime, str]]] = {}
    for candidate, at, sequence, step in lately:
        if at is not None:
            by_person.setdefault(candidate, []).append((at, f"{sequence}/{step}"))
    addresses: dict[int, str] = {}
    for mail in mails:
        addresses[mail.candidate] = mail.address
        by_person.setdefault(mail.candidate, []).append((mail.at, mail.where))
    return [
        Collision(
            candidate=pk,
            address=addresses[pk],
            what="two mails",
            first=first,
            second=second,
            at=at,
            apart_days=round((at - before) / _DAY, 2),
        )
        for pk, found in by_person.items()
        if pk in addresses
        for (before, first), (at, second) in pairwise(sorted(found))
        if at - before < within
    ]


def wanted_twice(mails: Sequence[Mail], begins: datetime) -> list[Collision]:
    """Two sequences that want one person: both write to them in turn, one asks for somebody who is
    on the other, or waits for the other's end. `mails` are those that leave."""
    spans: dict[int, dict[str, list[datetime]]] = {}
    addresses: dict[int, str] = {}
    for mail in mails:
        addresses[mail.candidate] = mail.address
        spans.setdefault(mail.candidate, {}).setdefault(mail.sequence, []).append(mail.at)
    found: list[Collision] = []
    for pk, by_sequence in spans.items():
        if len(by_sequence) > 1:
            runs = sorted((min(at), max(at), name) for name, at in by_sequence.items())
            for (_, ended, one), (began, _, other) in pairwise(runs):
                if began < ended:
                    found.append(_wanted(pk, addresses[pk], one, other, began))
    asked = Action.objects.filter(
        kind=ActionKind.SEQUENCE_ENROL, status=ActionStatus.SKIPPED, finished_at__gte=begins
    )
    rows = asked.values_list("candidate_id", "trigger", "reason", "planned_at")
    for pk, trigger, reason, at in rows:
        found.append(_wanted(pk, addresses.get(pk, ""), trigger, reason, at))
    going = Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE, candidate=OuterRef("candidate"))
    waiting = Enrolment.objects.filter(status=EnrolmentStatus.WAITING).values_list(
        "candidate_id", Subquery(going.values("sequence")[:1]), "sequence", "enrolled_at"
    )
    for pk, first, second, at in waiting:
        found.append(_wanted(pk, addresses.get(pk, ""), first or "", second, max(at, begins)))
    return found


def _wanted(candidate: int, address: str, first: str, second: str, at: datetime) -> Collision:
    return Collision(candidate, address, "two sequences", first, second, at)


def volumes(
    names: Iterable[tuple[str, date]], days: Sequence[date], limit: int | None
) -> list[Volume]:
    """By name, the busiest first. `limit`: the most a day, once the name is warmed up."""
    found: dict[str, Volume] = {}
    for name, day in names:
        found.setdefault(name, Volume(name)).by_day[day] += 1
    for one in found.values():
        one.limits = dict.fromkeys(days, limit) if limit is not None else {}
    return sorted(found.values(), key=lambda one: (-one.total, one.name))
