"""Who is meant by what a system says of a person; and what is then known of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from typing import Any

from django.db import models

from warmline.core.actions import ActionKind
from warmline.core.candidates import normal_email
from warmline.core.events import CandidateFacts
from warmline.core.matching import Agreement, is_role_address, mailbox_key, names_agree
from warmline.flows import likeness, merge
from warmline.flows.batch import Applied, Batch, Heard, clean
from warmline.flows.incidents import resolve
from warmline.flows.merge import record_key
from warmline.flows.opt_out import suppress_candidate, suppress_newcomers
from warmline.flows.release import no_address_incident
from warmline.store.models import LONG_AGO, Action, Candidate, CandidateEmail, ExternalId
from warmline.store.statuses import ActionStatus, SuppressionReason

# More addresses than this in one record are no person's.
ADDRESSES_MAX = 100
# Greenhouse repeats a webhook for about 15 hours.
RETRIED_FOR = timedelta(days=1)


# Field of the trigger map → what holds it here, for a field that the CRM is the authority on.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "name": ("first_name", "last_name"),
    "recruiter_owner": ("owner_name", "owner_email"),
}


class People:
    def __init__(
        self,
        batch: Batch,
        *,
        is_crm: bool,
        own_tags: Collection[str] = (),
        wins: Collection[str] = (),
    ) -> None:
        self._batch, self._is_crm, self._own_tags = batch, is_crm, own_tags
        self._wins = {column for name in wins for column in _COLUMNS.get(name, ())}
        # Candidates known before who got an address: what waited for one can go.
        self.addressed: list[Candidate] = []
        # Candidates known before who got a record.
        self.recorded: list[Candidate] = []
        # Both sides of every merge.
        self.joined: list[Candidate] = []
        # Of whom something was learned that others may have too, and when.
        self._learned: dict[int, tuple[Candidate, Heard]] = {}
        self._doubts: list[likeness.Pair] = []
        # Who got an address.
        self._unmarked: list[tuple[Heard, Candidate]] = []
        self._at = LONG_AGO

    def apply(self, heard: Heard, facts: CandidateFacts, applied: Applied) -> bool:
        """Apply the facts; the candidate meant goes into `applied`. True where it changed them."""
        self._at = heard.received_at
        candidate, made = self._who(heard, facts)
        if candidate is None:
            if facts.gone:
                self._batch.tombstones.add(facts.external_id)
            return False
        applied.candidate = candidate
        if facts.merged_into:
            if self._merged_already(facts, candidate):
                return False
            applied.candidate = self._merged(heard, facts, candidate)
            self._mark(heard, facts, applied.candidate)
            return True
        if facts.gone:
            return self._gone(heard, facts, candidate)
        if candidate.erased_at is not None:
            return False  # nothing more is kept of somebody who is gone
        newer = heard.at >= candidate.as_of and not self._may_be_late(heard, candidate)
        # What the CRM says of a person fills gaps: the ATS is its source, but for `wins`.
        edited = self._say(heard, facts, candidate, newer=newer and not self._is_crm)
        if self._addresses(heard, candidate, facts, newer=newer):
            edited = True
            self._unmarked.append((heard, candidate))
        if made or edited:
            self._learned[id(candidate)] = (candidate, heard)
        edited |= self._mark(heard, facts, candidate)
        applied.edited = edited and not made
        return made or edited

    def _may_be_late(self, heard: Heard, candidate: Candidate) -> bool:
        """News without a time may be a retry of hours ago, and must not outrank what has one.
        While polls bring dated news of everybody within minutes, it only fills gaps where there
        is dated news of the last day; without polls the order of arrival is all there is."""
        if heard.event.occurred_at is not None or candidate.pk is None:
            return False
        if self._is_crm:
            return True  # a poll's: it tells how a contact stands, and nobody knows since when
        recent = heard.received_at - candidate.as_of < RETRIED_FOR
        return recent and self._batch.polled_lately(heard.received_at)

    def _mark(self, heard: Heard, facts: CandidateFacts, candidate: Candidate) -> bool:
        """The recruiters' do-not-contact mark. An opt-out in the CRM has an event and a word of
        its own. The mark is kept with the record too: a merge that is undone leaves it there."""
        if facts.can_email is not False or self._is_crm or self._marked_by_us(candidate):
            return False
        record = self._batch.ids.get(facts.external_id)
        marked = record is not None and self._batch.set(record, do_not_contact=True)
        if candidate.do_not_contact and not marked:
            return False
        self._batch.set(candidate, do_not_contact=True)
        self._batch.flush()
        suppress_candidate(
            candidate,
            SuppressionReason.DO_NOT_CONTACT,
            source=self._batch.connection,
            now=heard.at,
        )
        return True

    def _marked_by_us(self, candidate: Candidate) -> bool:
        """Who unsubscribed here is marked there by us: that this comes back is no recruiter's word
        (I7). An action that was refused half-way may have marked them too."""
        if not candidate.opted_out or candidate.pk is None:
            return False
        ours = Action.objects.filter(
            candidate=candidate,
            target=self._batch.connection,
            kind=ActionKind.CANDIDATE_DO_NOT_CONTACT,
        )
        return ours.exclude(status=ActionStatus.SKIPPED).exists()

    def _say(
        self, heard: Heard, facts: CandidateFacts, candidate: Candidate, *, newer: bool
    ) -> bool:
        """A newer word replaces; an older one only fills what nobody has said yet. What was not
        said this time is never taken as "empty it"."""
        owner = facts.owner
        said: dict[str, Any] = {
            "first_name": clean(facts.first_name, 200),
            "last_name": clean(facts.last_name, 200),
            "owner_name": clean(owner.name, 200) if owner else "",
            "owner_email": clean(owner.email, 254) if owner else "",
            "tags": [
                clean(tag, 200) for tag in facts.tags or () if tag.casefold() not in self._own_tags
            ],
            "phones": [clean(phone, 64) for phone in facts.phones],
            "links": [clean(link, 500) for link in facts.links],
            "employer": clean(facts.employer, 200),
            "place": clean(facts.place, 200),
        }
        if facts.created_at is not None:  # the oldest of the person's records
            since = candidate.sourced_at or facts.created_at
            self._batch.set(candidate, sourced_at=min(since, facts.created_at))
        wanted = {
            k: v
            for k, v in said.items()
            if v and (newer or k in self._wins or not getattr(candidate, k))
        }
        changed = self._batch.set(candidate, **wanted)
        if newer and (facts.first_name or facts.last_name or facts.emails):
            self._batch.set(candidate, as_of=heard.at)
        return changed

    def _who(self, heard: Heard, facts: CandidateFacts) -> tuple[Candidate | None, bool]:
        """The candidate meant, by record id, then by any address; made where there is none. True
        where one was made."""
        batch = self._batch
        known = batch.ids.get(facts.external_id)
        if known is not None and not (self._is_crm and known.gone_at is not None):
            if known.candidate.erased_at is not None and known.gone_at is not None:
                return known.candidate, False  # deleted: late news does not bring it back
            candidate: Candidate | None = known.candidate
        else:
            candidate = None
        sure, doubts = self._owners(facts, candidate)
        made = candidate is None and not sure
        if candidate is None and sure:
            candidate = sure[0][0]
        elif candidate is None:
            if self._not_a_person(heard, facts):
                # News of a contact that is gone is still news of the person: an opt-out, for one.
                return (known.candidate if known is not None else None), False
            candidate = batch.add(
                Candidate(
                    created_at=heard.received_at, as_of=heard.at, tags=[], phones=[], links=[]
                )
            )
        for other, evidence in sure:
            other = batch.one(other)  # a fold a moment ago may have made them one already
            if other is not candidate and not self._apart(candidate, other):
                candidate = self.fold(candidate, other, evidence, heard)
        self._doubts += [likeness.Pair(candidate, other, evidence) for other, evidence in doubts]
        self._record(facts, known, candidate)
        return candidate, made

    def _not_a_person(self, heard: Heard, facts: CandidateFacts) -> bool:
        """News of somebody we never heard of, too thin to make a candidate of; or of a record
        that was deleted before the news of its making came. A CRM is full of people who never
        applied: a poll of it makes nobody a candidate."""
        if self._is_crm and heard.event.occurred_at is None:
            return True
        thin = not (facts.emails or facts.first_name or facts.last_name)
        return (
            thin
            or facts.gone
            or facts.merged_into is not None
            or facts.external_id in self._batch.tombstones
        )

    def _record(
        self, facts: CandidateFacts, known: ExternalId | None, candidate: Candidate
    ) -> None:
        """This record of the other system stands for this candidate."""
        batch = self._batch
        if known is None:
            batch.ids[facts.external_id] = batch.add(
                ExternalId(
                    candidate=candidate,
                    connection=batch.connection,
                    external_id=facts.external_id[:128],
                    contact=self._is_crm and not self._has_contact(candidate),
                )
            )
            self.recorded.append(candidate)
            if candidate.erased_at is not None:  # the person is back, under a new record
                batch.set(candidate, erased_at=None)
        elif self._is_crm and known.gone_at is not None:
            batch.set(known, gone_at=None, contact=not self._has_contact(candidate))
            batch.set(known, candidate=candidate)

    def _has_contact(self, candidate: Candidate) -> bool:
        """Whether a contact of theirs lives, in the batch's own rows or beside them."""
        mine = self._batch.ids.values()
        if any(r.contact and r.gone_at is None for r in mine if r.candidate is candidate):
            return True
        return candidate.pk is not None and (
            self._records(candidate)
            .filter(contact=True)
            .exclude(pk__in=[row.pk for row in mine if row.pk is not None])
            .exists()
        )

    def _records(self, candidate: Candidate) -> models.QuerySet[ExternalId]:
        """The candidate's living records in this system, once the batch is written."""
        return ExternalId.objects.filter(
            candidate=candidate, connection=self._batch.connection, gone_at__isnull=True
        )

    def _owners(
        self, facts: CandidateFacts, known: Candidate | None
    ) -> tuple[list[tuple[Candidate, str]], list[tuple[Candidate, str]]]:
        """Who has these addresses, with the evidence: certain to be this person, and in doubt.

        One address is one contact in the CRM, and so one person. Two exceptions wait for a
        person's word: a role address (jobs@agency…) under two different names, and one mailbox
        written in two ways under two different names.
        """
        first = facts.first_name or (known.first_name if known else "")
        last = facts.last_name or (known.last_name if known else "")
        sure: list[tuple[Candidate, str]] = []
        doubts: list[tuple[Candidate, str]] = []
        for normal in filter(None, map(normal_email, facts.emails)):
            for row in self._batch.same_mailbox(normal):
                other = row.candidate
                if other is known or any(other is c for c, _ in (*sure, *doubts)):
                    continue
                exact = row.normal == normal
                agreement = names_agree(first, last, other.first_name, other.last_name)
                if exact and not is_role_address(normal):
                    sure.append((other, "they share an e-mail address"))
                elif is_role_address(normal):
                    if agreement in (Agreement.SAME, Agreement.ALIKE):
                        sure.append((other, "they share a role address and a name"))
                    else:
                        doubts.append((other, "they share a role address, and not a name"))
                elif agreement is Agreement.DIFFERENT:
                    doubts.append((other, "they share one mailbox, and their names differ"))
                else:
                    sure.append((other, "they have addresses of one mailbox"))
        return sure, doubts

    def _apart(self, one: Candidate, other: Candidate) -> bool:
        """A person said that these are two: no evidence joins them again."""
        if one.pk is None or other.pk is None:
            return False
        return likeness.kept_apart(one, other)

    def look_alike(self) -> None:
        """The ledger is written: who, of those of whom something new is known, may be somebody who
        is here already? The certain ones are joined, the others wait for a person's word."""
        doubts = [
            likeness.Pair(self._batch.one(p.one), self._batch.one(p.other), p.evidence)
            for p in self._doubts
        ]
        learned = {self._batch.one(c).pk: heard for c, heard in self._learned.values()}
        self._learned, self._doubts = {}, []
        for heard, candidate in [(h, self._batch.one(c)) for h, c in self._unmarked]:
            said = candidate.opted_out or (
                SuppressionReason.DO_NOT_CONTACT if candidate.do_not_contact else ""
            )
            if said:  # the no came before the address
                suppress_newcomers(candidate, SuppressionReason(said), now=heard.at)
        self._unmarked = []
        if not learned and not doubts:
            return
        people = [self._batch.one(c) for c in Candidate.objects.filter(pk__in=learned)]
        for pair in likeness.find(people):
            one, other = self._batch.one(pair.one), self._batch.one(pair.other)
            if one is other:
                continue
            if pair.sure and not likeness.kept_apart(one, other):
                self.fold(one, other, pair.evidence, learned[pair.one.pk])
            else:
                doubts.append(likeness.Pair(one, other, pair.evidence))
        likeness.wait(doubts, now=self._at)

    def fold(self, one: Candidate, other: Candidate, evidence: str, heard: Heard) -> Candidate:
        """Two candidates are one person. The ledger must be whole first; merges are rare."""
        self._batch.flush()
        kept, gone = (one, other) if (one.pk or 0) < (other.pk or 0) else (other, one)
        merge.fold(kept, gone, evidence=evidence, now=heard.received_at)
        self._batch.folded(kept, gone)
        self.joined += [kept, gone]
        if CandidateEmail.objects.filter(candidate=kept).exists():
            self.addressed.append(kept)
            resolve([no_address_incident(gone.pk)], f"merged into {kept.pk}", now=heard.received_at)
        return kept

    def _merged_already(self, facts: CandidateFacts, candidate: Candidate) -> bool:
        """The echo of a merge of our own, or one heard twice."""
        old = self._batch.ids.get(facts.external_id)
        into = self._batch.ids.get(facts.merged_into or "")
        return (
            old is not None
            and old.gone_at is not None
            and into is not None
            and into.candidate is candidate
        )

    def _merged(self, heard: Heard, facts: CandidateFacts, candidate: Candidate) -> Candidate:
        """The vendor merged two of its records: the old id stands for the new one's person.
        Returns who that is."""
        batch, into_id = self._batch, facts.merged_into or ""
        old, into = batch.ids.get(facts.external_id), batch.ids.get(into_id)
        if old is not None:
            batch.set(old, gone_at=heard.received_at)
        if into is None:
            into = batch.ids[into_id] = batch.add(
                ExternalId(
                    candidate=candidate,
                    connection=batch.connection,
                    external_id=into_id[:128],
                )
            )
        elif into.candidate is not candidate:
            evidence = f"merged in {batch.connection}"
            candidate = self.fold(into.candidate, candidate, evidence, heard)
        batch.flush()
        if self._is_crm and into.gone_at is None and not self._has_contact(candidate):
            batch.set(into, contact=True)
            batch.flush()
        self._one_left(candidate, heard)
        return candidate

    def _one_left(self, candidate: Candidate, heard: Heard) -> None:
        """The CRM's two contacts of one person (see `merge.fold`) have become one."""
        if self._is_crm and self._records(candidate).count() == 1:
            resolve([merge.two_contacts(candidate.pk)], "one is left", now=heard.received_at)

    def _gone(self, heard: Heard, facts: CandidateFacts, candidate: Candidate) -> bool:
        """A deleted record. Deleted in the ATS, or for privacy's sake anywhere, the person is gone
        for us too; deleted in the CRM otherwise, only the contact is."""
        batch = self._batch
        row = batch.ids.get(facts.external_id)
        if row is None or row.gone_at is not None:
            return False
        batch.set(row, gone_at=heard.received_at)
        batch.flush()
        self._one_left(candidate, heard)
        if self._is_crm and not heard.event.fields.get("privacy"):
            return True  # somebody tidied up; the next change makes the contact anew
        if not self._records(candidate).exists() and candidate.erased_at is None:
            batch.set(candidate, erased_at=heard.received_at)
            batch.flush()
            suppress_candidate(candidate, None, source=batch.connection, now=heard.at)
        return True

    def _addresses(
        self, heard: Heard, candidate: Candidate, facts: CandidateFacts, *, newer: bool
    ) -> bool:
        """The newest word of an ATS that names an address says where it stands; what a CRM tells,
        or undated news that may be old, comes last. So the order is the same in whichever order
        the news came. True where an address is new, or another one is preferred."""
        batch = self._batch
        dated = heard.event.occurred_at is not None or newer
        told_at = heard.at if dated and not self._is_crm else LONG_AGO
        normals = list(dict.fromkeys(n for e in facts.emails if (n := normal_email(e))))
        del normals[ADDRESSES_MAX:]
        before = batch.addresses(candidate)
        for rank, normal in enumerate(normals):
            row = batch.emails.get(normal)
            if row is None:
                batch.emails[normal] = batch.add(
                    CandidateEmail(
                        candidate=candidate,
                        normal=normal,
                        mailbox=mailbox_key(normal),
                        record=record_key(batch.connection, facts.external_id),
                        told_at=told_at,
                        rank=rank,
                    )
                )
                if candidate.pk is not None:
                    self.addressed.append(candidate)
            elif row.candidate is candidate and told_at >= row.told_at and told_at > LONG_AGO:
                batch.set(row, told_at=told_at, rank=rank)
        for row in before:  # of two words of one moment the later one stands
            if normals and row.told_at == told_at > LONG_AGO and row.normal not in normals:
                batch.set(row, told_at=told_at - timedelta(microseconds=1))
        return [r.normal for r in before] != [r.normal for r in batch.addresses(candidate)]
