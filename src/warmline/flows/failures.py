"""The failed list: what cannot succeed by itself and waits for a person's word.

Actions that were refused or given up, deliveries that could not be read, mails that the server
refused. Each has a number with a letter: `a17` an action, `d5` a delivery, `m9` a mail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.db.models import Count, Max, Min, QuerySet

from warmline.core.errors import WarmlineError
from warmline.core.policy import NO_ADDRESS
from warmline.flows.release import no_address_incident
from warmline.flows.runtime import Runtime
from warmline.kit.exchange import body
from warmline.kit.redaction import Redaction
from warmline.store.models import Action, Candidate, Delivery, Discard, Incident, Message
from warmline.store.statuses import ActionStatus, DeliveryStatus, IncidentStatus, MessageStatus

FAILED_DELIVERIES = (DeliveryStatus.FAILED, DeliveryStatus.MALFORMED)
MAIL = "mail"  # the trigger's name for every mail, whatever the sequence


class Kind(StrEnum):
    ACTION = "action"
    DELIVERY = "delivery"
    MAIL = "mail"


_LETTERS = {"a": Kind.ACTION, "d": Kind.DELIVERY, "m": Kind.MAIL}
_TABLES: Mapping[Kind, type[Any]] = {
    Kind.ACTION: Action,
    Kind.DELIVERY: Delivery,
    Kind.MAIL: Message,
}
FAILED: Mapping[Kind, tuple[str, ...]] = {
    Kind.ACTION: (ActionStatus.REFUSED,),
    Kind.DELIVERY: FAILED_DELIVERIES,
    Kind.MAIL: (MessageStatus.REFUSED,),
}
# What a person gave up may be taken up again, by its number.
ENDED: Mapping[Kind, tuple[str, ...]] = {
    Kind.ACTION: (ActionStatus.REFUSED, ActionStatus.DISCARDED),
    Kind.DELIVERY: (*FAILED_DELIVERIES, DeliveryStatus.DISCARDED),
    Kind.MAIL: (MessageStatus.REFUSED, MessageStatus.DISCARDED),
}
_REF = re.compile(r"([adm]?)(\d{1,18})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Failure:
    """One row of the list. `what`: the action, what came, or the mail; `record` is for people."""

    kind: Kind
    number: int
    what: str
    trigger: str
    connection: str
    record: str
    candidate_id: int | None
    reason: str
    at: datetime
    status: str
    incidents: tuple[str, ...]  # keys of what it may have opened

    @property
    def ref(self) -> str:
        return f"{self.kind[0]}{self.number}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which failures: those that match all that is said."""

    trigger: str = ""
    connection: str = ""
    candidate: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """Failures of one trigger for one reason; numbers in the reason aside."""

    trigger: str
    connection: str
    reason: str
    count: int
    first: datetime
    last: datetime
    example: str  # the ref of one of them


def failed(runtime: Runtime, kind: Kind, wanted: Wanted) -> QuerySet[Any]:
    """The rows of one kind that are on the list and match."""
    rows: QuerySet[Any] = _TABLES[kind].objects.filter(status__in=FAILED[kind])
    if wanted.candidate is not None:
        rows = rows.none() if kind is Kind.DELIVERY else rows.filter(candidate=wanted.candidate)
    if kind is Kind.ACTION:
        rows = rows.filter(trigger=wanted.trigger[:100]) if wanted.trigger else rows
        return rows.filter(target=wanted.connection) if wanted.connection else rows
    if kind is Kind.DELIVERY:
        rows = rows.none() if wanted.trigger else rows
        return rows.filter(connection=wanted.connection) if wanted.connection else rows
    if wanted.connection not in ("", runtime.project.file.mail.connection):
        return rows.none()
    sequence, slash, step = wanted.trigger.partition("/")
    if slash and step.isdecimal():
        return rows.filter(enrolment__sequence=sequence, step=int(step))
    return rows if wanted.trigger in ("", MAIL) else rows.none()


_NEWEST = {
    Kind.ACTION: ("-finished_at", "-id"),
    Kind.DELIVERY: ("-received_at", "-id"),
    Kind.MAIL: ("-due_at", "-id"),
}


def listed(
    runtime: Runtime, wanted: Wanted, *, page: int = 1, size: int = 50
) -> tuple[list[Failure], int]:
    """One page, newest first, and how many there are on all."""
    check(runtime, wanted)
    found: list[Failure] = []
    total = 0
    for kind in Kind:
        rows = failed(runtime, kind, wanted)
        total += rows.count()
        found += _failures(runtime, kind, rows.order_by(*_NEWEST[kind])[: page * size])
    found.sort(key=lambda failure: (failure.at, failure.ref), reverse=True)
    return found[(page - 1) * size : page * size], total


def groups(runtime: Runtime, wanted: Wanted) -> list[Group]:
    """By trigger and reason, the most frequent first."""
    check(runtime, wanted)
    merged: dict[tuple[str, str, str], Group] = {}
    mail = runtime.project.file.mail.connection
    for kind, fields, at in (
        (Kind.ACTION, ("trigger", "target"), "finished_at"),
        (Kind.DELIVERY, ("channel", "connection"), "received_at"),
        (Kind.MAIL, ("enrolment__sequence", "step"), "due_at"),
    ):
        rows = failed(runtime, kind, wanted).order_by().values_list(*fields, "reason")
        for one, two, reason, count, first, last, newest in rows.annotate(
            n=Count("id"), first=Min(at), last=Max(at), newest=Max("id")
        ):
            trigger, connection = (f"{one}/{two}", mail) if kind is Kind.MAIL else (one, two)
            group = Group(
                trigger, connection, _alike(reason), count, first, last, f"{kind[0]}{newest}"
            )
            key = (group.trigger, group.connection, group.reason)
            merged[key] = _both(merged[key], group) if key in merged else group
    return sorted(merged.values(), key=lambda g: (-g.count, g.trigger, g.reason))


def _alike(reason: str) -> str:
    """Without the numbers of the one record that it speaks of."""
    return re.sub(r"(?<![\w.])\d{3,}(?![\w.])", "#", re.sub(r"(record )\w+", r"\1#", reason))


def _both(one: Group, other: Group) -> Group:
    newer = one if one.last >= other.last else other
    return Group(
        one.trigger, one.connection, one.reason, one.count + other.count,
        min(one.first, other.first), newer.last, newer.example,
    )  # fmt: skip


def find(runtime: Runtime, ref: str) -> Failure:
    """The failure of this number, discarded ones too. A number without a letter will do where only
    one failure has it. Raises WarmlineError."""
    match = _REF.fullmatch(ref.strip())
    if match is None:
        raise WarmlineError(
            f"{ref!r} is no number of a failure; expected one like a17 (an action), "
            "d5 (a delivery) or m9 (a mail)"
        )
    letter, number = match[1].lower(), int(match[2])
    kinds = [_LETTERS[letter]] if letter else list(Kind)
    rows = {kind: _TABLES[kind].objects.filter(pk=number) for kind in kinds}
    found = [
        failure
        for kind, row in rows.items()
        for failure in _failures(runtime, kind, row.filter(status__in=ENDED[kind]))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        raise WarmlineError(
            f"{number} is ambiguous; expected one of {', '.join(one.ref for one in found)}"
        )
    there = [(kind, row.values_list("status", flat=True).first()) for kind, row in rows.items()]
    said = [f"{kind} {number} is {status}" for kind, status in there if status]
    if said:
        raise WarmlineError(f"{ref} has not failed: {', '.join(said)}")
    raise WarmlineError(f"there is no failure {ref}", hint="`warmline failures` lists them")


def check(runtime: Runtime, wanted: Wanted) -> None:
    """What is asked for must be able to be there. Raises WarmlineError."""
    if wanted.connection:
        refused = Action.objects.filter(status=ActionStatus.REFUSED)
        known = {*runtime.project.connections, *refused.values_list("target", flat=True).distinct()}
        if wanted.connection not in known:
            raise WarmlineError(
                f"there is no connection {wanted.connection!r}; expected one of {sorted(known)}"
            )
    if wanted.trigger:
        names = triggers(runtime)
        if wanted.trigger not in names:
            raise WarmlineError(
                f"there is no trigger {wanted.trigger!r}; expected one of {sorted(names)}"
            )
    if wanted.candidate is not None and not Candidate.objects.filter(pk=wanted.candidate).exists():
        raise WarmlineError(f"there is no candidate {wanted.candidate}")


def triggers(runtime: Runtime) -> set[str]:
    """Every name that a failure's trigger may have."""
    there = Action.objects.filter(status=ActionStatus.REFUSED).values_list("trigger", flat=True)
    mails = {
        f"{name}/{step.number}"
        for name, loaded in runtime.project.sequences.items()
        for step in loaded.sequence.steps
    }
    ours = {trigger.name for trigger in runtime.project.triggers.triggers}
    return {*ours, *there.distinct(), *mails, MAIL}


# One row as a failure


def _failures(runtime: Runtime, kind: Kind, rows: QuerySet[Any]) -> list[Failure]:
    if kind is Kind.ACTION:
        return [_action(row) for row in rows]
    if kind is Kind.DELIVERY:
        return [_delivery(row) for row in rows.defer("body")]
    return [_mail(runtime, row) for row in rows.select_related("enrolment")]


def _action(row: Action) -> Failure:
    no_address = row.reason == NO_ADDRESS
    return Failure(
        kind=Kind.ACTION,
        number=row.pk,
        what=row.kind,
        trigger=row.trigger,
        connection=row.target,
        record=f"candidate {row.candidate_id}",
        candidate_id=row.candidate_id,
        reason=row.reason,
        at=row.finished_at or row.planned_at,
        status=row.status,
        incidents=(no_address_incident(row.candidate_id) if no_address else f"action:{row.key}",),
    )


def _delivery(row: Delivery) -> Failure:
    return Failure(
        kind=Kind.DELIVERY,
        number=row.pk,
        what=f"{row.channel} {row.stream}".strip(),
        trigger=row.channel,
        connection=row.connection,
        record=f"delivery {row.pk}",
        candidate_id=None,
        reason=row.reason,
        at=row.received_at,
        status=row.status,
        incidents=tuple(f"{row.connection}:{word}:{row.key}" for word in ("delivery", "malformed")),
    )


def _mail(runtime: Runtime, row: Message) -> Failure:
    return Failure(
        kind=Kind.MAIL,
        number=row.pk,
        what=f"mail {row.enrolment.sequence}/{row.step}",
        trigger=f"{row.enrolment.sequence}/{row.step}",
        connection=runtime.project.file.mail.connection,
        record=f"candidate {row.candidate_id}",
        candidate_id=row.candidate_id,
        reason=row.reason,
        at=row.due_at,
        status=row.status,
        incidents=(f"message:{row.pk}",),
    )


@dataclass(frozen=True, slots=True)
class Detail:
    """All that is kept of a failure. `exchange`: an action's call and answer, or the bytes of a
    delivery; redacted. `facts`: what else is known, in words."""

    failure: Failure
    exchange: object
    facts: Mapping[str, str] = field(default_factory=dict)
    hint: str = ""
    discards: Sequence[Discard] = ()


def detail(failure: Failure) -> Detail:
    keys = [key[:400] for key in failure.incidents]
    incident = Incident.objects.filter(key__in=keys).order_by("-id").first()
    facts = {"incident": f"{incident.status}, {incident.count} times"} if incident else {}
    hint = incident.hint if incident and incident.status != IncidentStatus.RESOLVED else ""
    discards = list(Discard.objects.filter(failure=failure.ref).order_by("id"))
    exchange: object = None
    if failure.kind is Kind.ACTION:
        row = Action.objects.select_related("event").get(pk=failure.number)
        exchange = row.exchange
        facts |= {
            "event": f"{row.event.kind} of {row.event.connection}, delivery "
            f"{row.event.delivery_id}",
            "planned": f"{row.planned_at:%Y-%m-%d %H:%M:%S}Z",
            "tried": f"{row.attempts + 1} times",
        }
    elif failure.kind is Kind.DELIVERY:
        delivery = Delivery.objects.get(pk=failure.number)
        redaction = Redaction()
        exchange = {
            "call": f"{delivery.method} {redaction.path(delivery.url)}",
            "body": body(bytes(delivery.body), redaction),
        }
        facts |= {"bytes": str(len(bytes(delivery.body)))}
    else:
        mail = Message.objects.get(pk=failure.number)
        facts |= {"due": f"{mail.due_at:%Y-%m-%d %H:%M:%S}Z", "tried": f"{mail.attempts + 1} times"}
    return Detail(failure, exchange, facts, hint, discards)
