"""Two candidates are one person: everything of the one goes over to the other, in the journal.

A merge can be undone: each side then has what it had, and what came since through its own records.
An opt-out outlives both: what a person said on either side stays with whoever said it, and nobody
who said no becomes reachable.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.db.models import Q

from warmline.core.errors import WarmlineError
from warmline.core.events import EventKind
from warmline.core.policy import NO_ADDRESS
from warmline.core.triggers import OWN
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.journal import Journal, take_back
from warmline.flows.likeness import keep_apart
from warmline.flows.opt_out import INHERITED, outweighs, suppress_candidate
from warmline.flows.wishes import fold_wishes
from warmline.store.models import (
    Action,
    Application,
    Candidate,
    CandidateEmail,
    Consent,
    Enrolment,
    Event,
    ExternalId,
    IdentityKey,
    Likeness,
    Merge,
    Message,
    Suppression,
)
from warmline.store.queries import lock_candidate
from warmline.store.statuses import (
    OPEN,
    EnrolmentStatus,
    LikenessStatus,
    MessageStatus,
    SuppressionReason,
    lane_of,
)

_NOES = (
    EventKind.CANDIDATE_UNSUBSCRIBED, EventKind.CONSENT_WITHDRAWN, EventKind.MESSAGE_COMPLAINED,
)  # fmt: skip
_WAITING = (MessageStatus.PLANNED, MessageStatus.CLAIMED)
# What is known of a person by the newest word of it.
_SAID = (
    "first_name", "last_name", "owner_name", "owner_email", "tags", "phones", "links", "employer",
    "place",
)  # fmt: skip


def record_key(connection: str, external_id: str) -> str:
    """How `CandidateEmail.record` names the record that first told of an address."""
    return f"{connection}:{external_id}"[:200]


def fold(kept: Candidate, folded: Candidate, *, evidence: str, now: datetime) -> Merge:
    """Fold `folded` into `kept`. The caller holds the transaction; both have rows.

    The strictest opt-out on either side wins. Of two enrolments in the same sequence the one that
    is further goes on and the other stops, so that nobody is on a sequence twice (I3). Somebody
    whose one record was deleted lives on in the other.
    """
    for pk in sorted((kept.pk, folded.pk)):
        lock_candidate(pk)
    journal = Journal()
    journal.entries.append({"said": {name: getattr(kept, name) for name in _SAID}})
    _records(kept, folded, journal, now)
    _enrolments(kept, folded, journal)
    _newest(kept, folded, journal)
    for model in (CandidateEmail, Application, Event, IdentityKey, Consent):
        rows = list(model._default_manager.filter(candidate=folded))
        journal.update(rows, candidate_id=kept.pk)
    actions = list(Action.objects.filter(candidate=folded))
    journal.update(actions, candidate_id=kept.pk, lane=lane_of(kept.pk))
    if kept.erased_at is not None and folded.erased_at is None:
        journal.update([kept], erased_at=None)
    journal.update([folded], merged_into_id=kept.pk)
    journal.update(list(Candidate.objects.filter(merged_into=folded)), merged_into_id=kept.pk)
    pairs = Q(one=kept, other=folded) | Q(one=folded, other=kept)
    journal.update(
        list(Likeness.objects.filter(pairs, status=LikenessStatus.WAITING)),
        status=LikenessStatus.JOINED,
        decided_at=now,
    )
    fold_wishes(kept, folded, journal, now)
    _strictest(kept, folded, journal, now)
    return Merge.objects.create(
        kept=kept, folded=folded, evidence=evidence, journal=journal.entries, merged_at=now
    )


def _records(kept: Candidate, folded: Candidate, journal: Journal, now: datetime) -> None:
    """Records of other systems. Of two contacts in one CRM we write to the kept one's."""
    contacts = {
        row.connection: row
        for row in ExternalId.objects.filter(candidate=kept, contact=True, gone_at__isnull=True)
    }
    rows = list(ExternalId.objects.filter(candidate=folded))
    for row in rows:
        if row.contact and row.gone_at is None and row.connection in contacts:
            journal.update([row], contact=False)
            _two_contacts(kept, contacts[row.connection], row, now)
    journal.update(rows, candidate_id=kept.pk)


def _newest(kept: Candidate, folded: Candidate, journal: Journal) -> None:
    """What is known by the newest word, gaps filled by the older one: in whichever order the news
    came, the person is the same. Their addresses have times of their own."""
    newer, older = (folded, kept) if folded.as_of > kept.as_of else (kept, folded)
    said: dict[str, Any] = {name: getattr(newer, name) or getattr(older, name) for name in _SAID}
    sourced = [c.sourced_at for c in (kept, folded) if c.sourced_at is not None]
    journal.update(
        [kept],
        **said,
        as_of=newer.as_of,
        created_at=min(kept.created_at, folded.created_at),
        sourced_at=min(sourced) if sourced else None,
    )


def _enrolments(kept: Candidate, folded: Candidate, journal: Journal) -> None:
    taken = {row.sequence: row for row in Enrolment.objects.filter(candidate=kept).order_by("run")}
    for row in Enrolment.objects.filter(candidate=folded).order_by("run"):
        other = taken.get(row.sequence)
        run = row.run
        if other is not None:
            if _mailed(row) <= _mailed(other):
                _stop(row, journal)
                continue
            _stop(other, journal)
            run = other.run + 1
        taken[row.sequence] = row
        journal.update([row], candidate_id=kept.pk, run=run)
        messages = list(Message.objects.filter(enrolment=row))
        journal.update(messages, candidate_id=kept.pk, lane=lane_of(kept.pk))


def _mailed(enrolment: Enrolment) -> int:
    """How many of its mails have left, or may have."""
    left = [MessageStatus.SENDING, MessageStatus.HANDED_OFF, MessageStatus.UNKNOWN]
    return Message.objects.filter(enrolment=enrolment, status__in=left).count()


def _stop(enrolment: Enrolment, journal: Journal) -> None:
    """It ends here: what of it has not left never does."""
    _end([enrolment], "merged: on it already", journal)
    for_address = Q(status=MessageStatus.HELD, reason=NO_ADDRESS)
    _hold(
        Message.objects.filter(Q(status__in=_WAITING) | for_address, enrolment=enrolment),
        "merged: on the sequence already",
        journal,
    )


def _end(enrolments: Sequence[Enrolment], why: str, journal: Journal) -> None:
    open_ = [row for row in enrolments if row.status in OPEN]
    journal.update(open_, status=EnrolmentStatus.STOPPED, reason=why, next_due_at=None)


def _hold(messages: Any, why: str, journal: Journal) -> None:
    """A claim is taken away; taking back brings the message to where a lapsed claim would."""
    for row in messages:
        claimed = row.status == MessageStatus.CLAIMED
        before = {"status": MessageStatus.PLANNED, "claimed_by": "", "claim_until": None}
        journal.update(
            [row],
            before=before if claimed else None,
            status=MessageStatus.HELD,
            reason=why,
            claimed_by="",
            claim_until=None,
            expires_at=None,  # it is not looked at again
        )


def two_contacts(candidate_id: int) -> str:
    """The key of the incident that two contacts of one person open."""
    return f"contacts:{candidate_id}"


def _two_contacts(kept: Candidate, one: ExternalId, other: ExternalId, now: datetime) -> None:
    open_incident(
        two_contacts(kept.pk),
        "two contacts in the CRM for one person: merge them there",
        now=now,
        connection=one.connection,
        record=f"contacts {one.external_id} and {other.external_id}",
        candidate_id=kept.pk,
        hint=f"`warmline merge crm` does it; we write to {one.external_id}",
    )


def _strictest(kept: Candidate, folded: Candidate, journal: Journal, now: datetime) -> None:
    """No from either side is no from the person. What an address only inherits is marked so."""
    addresses = CandidateEmail.objects.filter(candidate=kept).values_list("normal", flat=True)
    said_no = Suppression.objects.filter(address__in=list(addresses)).exclude(
        reason=SuppressionReason.BOUNCED
    )
    if folded.do_not_contact and not kept.do_not_contact:
        journal.update([kept], do_not_contact=True)
    if folded.opted_out and outweighs(folded.opted_out, kept.opted_out):
        journal.update([kept], opted_out=folded.opted_out)
    first = said_no.order_by("since", "id").first()
    if first is not None:
        reason, detail = SuppressionReason(first.reason), first.detail
    elif kept.opted_out:
        reason, detail = SuppressionReason(kept.opted_out), ""
    elif kept.do_not_contact:
        reason, detail = SuppressionReason.DO_NOT_CONTACT, ""
    else:
        return
    known = set(
        Suppression.objects.filter(address__in=list(addresses)).values_list("address", flat=True)
    )
    inherited = [
        Suppression(address=address, reason=reason, source=INHERITED, detail=detail, since=now)
        for address in addresses
        if address not in known
    ]
    Suppression.objects.bulk_create(inherited)
    journal.made(inherited, source=INHERITED)
    _hold(Message.objects.filter(candidate=kept, status__in=_WAITING), str(reason), journal)
    _end(list(Enrolment.objects.filter(candidate=kept)), str(reason), journal)


def undo(merge_id: int, *, who: str, now: datetime) -> Merge:
    """Take a merge back, and keep the two apart from here on. The caller holds the transaction.

    What came since through the folded one's own records goes with it. Raises WarmlineError where
    there is no such merge, where it was undone, or where a later merge of either must go first.
    """
    merge = Merge.objects.select_related("kept", "folded").filter(pk=merge_id).first()
    if merge is None:
        raise WarmlineError(f"there is no merge {merge_id}", hint="`warmline merge log` lists them")
    if merge.undone_at is not None:
        raise WarmlineError(f"merge {merge_id} was undone by {merge.undone_by} already")
    if merge.journal is None:
        raise WarmlineError(
            f"merge {merge_id} was made before merges could be undone",
            hint="the records are one person here; change them in the ATS and the CRM",
        )
    both = [merge.kept_id, merge.folded_id]
    later = (
        Merge.objects.filter(Q(kept__in=both) | Q(folded__in=both), undone_at=None, pk__gt=merge.pk)
        .order_by("-id")
        .first()
    )
    if later is not None:
        raise WarmlineError(
            f"merge {merge_id} cannot be undone before merge {later.pk}, which built on it",
            hint=f"`warmline merge undo {later.pk}` first",
        )
    for pk in sorted(both):
        lock_candidate(pk)
    before = Candidate.objects.get(pk=merge.kept_id)
    records = ExternalId.objects.filter(pk__in=_moved(merge, "externalid"))
    _not_one_there(merge, records)
    _give_back(merge, records)
    take_back([entry for entry in merge.journal if "said" not in entry])
    _said_since(merge, before, records)
    for candidate in Candidate.objects.filter(pk__in=both):
        enrolled = Message.objects.filter(enrolment__candidate=candidate)
        enrolled.exclude(candidate=candidate).update(
            candidate=candidate, lane=lane_of(candidate.pk)
        )
        no = before.opted_out
        if no and outweighs(no, candidate.opted_out) and _said_no_since(merge):
            Candidate.objects.filter(pk=candidate.pk).update(opted_out=no)
        _marked(candidate, now)
        _left(candidate, now)
    resolve([two_contacts(merge.kept_id)], "the merge was undone", now=now)
    keep_apart(merge.kept, merge.folded, who=who, now=now)
    merge.undone_at, merge.undone_by = now, who[:64]
    merge.save(update_fields=["undone_at", "undone_by"])
    return merge


def _moved(merge: Merge, model: str) -> set[int]:
    """The rows of this model that the journal speaks of."""
    entries = [e for e in merge.journal or [] if e.get("model") == model]
    return {pk for entry in entries for pk in entry["ids"]}


def _not_one_there(merge: Merge, records: models.QuerySet[ExternalId]) -> None:
    """What the vendor has merged meanwhile is one record there, and one person here."""
    for row in records.filter(gone_at__gte=merge.merged_at):
        told = Event.objects.filter(
            connection=row.connection, record=row.external_id, kind=EventKind.CANDIDATE_MERGED
        )
        if told.exists():
            raise WarmlineError(
                f"merge {merge.pk} cannot be undone: they are one record in {row.connection} now",
                hint=f"{row.connection} merged {row.external_id} into another record",
            )


def _give_back(merge: Merge, records: models.QuerySet[ExternalId]) -> None:
    """What came since the merge through records of the folded one goes with them, before the
    journal brings back what was there before."""
    folded, lane = merge.folded, lane_of(merge.folded_id)
    for row in records:
        theirs = Event.objects.filter(candidate=merge.kept, connection=row.connection)
        named = theirs.filter(record=row.external_id).values("application")
        applications = list(
            Application.objects.filter(pk__in=named, candidate=merge.kept).values_list(
                "pk", flat=True
            )
        )
        news = theirs.filter(Q(record=row.external_id) | Q(application__in=applications))
        ids = list(news.exclude(pk__in=_moved(merge, "event")).values_list("pk", flat=True))
        Application.objects.filter(pk__in=applications).exclude(
            pk__in=_moved(merge, "application")
        ).update(candidate=folded)
        CandidateEmail.objects.filter(
            candidate=merge.kept, record=record_key(row.connection, row.external_id)
        ).exclude(pk__in=_moved(merge, "candidateemail")).update(candidate=folded)
        Action.objects.filter(event__in=ids).update(candidate=folded, lane=lane)
        for enrolment in Enrolment.objects.filter(event__in=ids, candidate=merge.kept):
            before = Enrolment.objects.filter(candidate=folded, sequence=enrolment.sequence)
            enrolment.candidate, enrolment.run = folded, 1 + before.count()
            enrolment.save(update_fields=["candidate", "run"])
        Consent.objects.filter(event__in=ids).update(candidate=folded)
        Event.objects.filter(pk__in=ids).update(candidate=folded)


def _said_since(merge: Merge, before: Candidate, records: models.QuerySet[ExternalId]) -> None:
    """Where the last word on the one they were came from a record of the folded one, it is the
    folded one's: the kept one has again what was known before the merge."""
    keys = {(row.connection, row.external_id) for row in records}
    news = Event.objects.filter(
        candidate__in=(merge.kept, merge.folded), recorded_at__gt=merge.merged_at
    ).exclude(connection=OWN)
    last = news.order_by("-occurred_at", "-id").first()
    said = next((e["said"] for e in merge.journal or [] if "said" in e), None)
    if last is None or said is None or (last.connection, last.record) not in keys:
        return
    Candidate.objects.filter(pk=merge.folded_id).update(
        **{name: getattr(before, name) for name in _SAID}, as_of=before.as_of
    )
    Candidate.objects.filter(pk=merge.kept_id).update(**said)


def _said_no_since(merge: Merge) -> bool:
    """Whether the person opted out while they were one: then both did."""
    return Event.objects.filter(
        candidate__in=(merge.kept, merge.folded),
        kind__in=_NOES,
        recorded_at__gte=merge.merged_at,
    ).exists()


def _left(candidate: Candidate, now: datetime) -> None:
    """Whose every record in the ATS was deleted while they were one is gone, like anybody else."""
    mine = ExternalId.objects.filter(candidate=candidate)
    crms = [
        name
        for name in mine.values_list("connection", flat=True).distinct()
        if ExternalId.objects.filter(connection=name, contact=True, gone_at=None).exists()
    ]
    ats = mine.exclude(connection__in=crms)
    if not ats.exists() or ats.filter(gone_at=None).exists():
        return
    Candidate.objects.filter(pk=candidate.pk, erased_at=None).update(erased_at=now)
    suppress_candidate(candidate, None, source="merge undone", now=now)


def _marked(candidate: Candidate, now: datetime) -> None:
    """A recruiter's mark on a record of theirs, made while they were one, or before."""
    marked = ExternalId.objects.filter(candidate=candidate, do_not_contact=True).first()
    if marked is None:
        return
    Candidate.objects.filter(pk=candidate.pk).update(do_not_contact=True)
    suppress_candidate(
        candidate, SuppressionReason.DO_NOT_CONTACT, source=marked.connection, now=now
    )


def former_merges(since: timedelta, now: datetime) -> list[Merge]:
    """The journal, newest first."""
    rows = Merge.objects.filter(merged_at__gte=now - since).select_related("kept", "folded")
    return list(rows.order_by("-id"))
