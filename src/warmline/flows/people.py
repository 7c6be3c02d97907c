"""Who is meant by what a system says of a person; and what is then known of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from django.db import models

from warmline.core.candidates import normal_email
from warmline.core.events import CandidateFacts
from warmline.flows import merge
from warmline.flows.batch import Applied, Batch, Heard, clean
from warmline.flows.incidents import resolve
from warmline.flows.opt_out import suppress_candidate
from warmline.flows.release import no_address_incident
from warmline.store.models import Candidate, CandidateEmail, ExternalId
from warmline.store.statuses import SuppressionReason

# Addresses that the newest word on a person leaves out stay theirs, ranked behind these.
FORMER_RANK = 100
# Greenhouse repeats a webhook for about 15 hours.
RETRIED_FOR = timedelta(days=1)


class People:
    def __init__(self, batch: Batch, *, is_crm: bool) -> None:
        self._batch, self._is_crm = batch, is_crm
        # Candidates known before who got an address: what waited for one can go.
        self.addressed: list[Candidate] = []

    def apply(self, heard: Heard, facts: CandidateFacts, applied: Applied) -> bool:
        """Apply the facts; the candidate meant goes into `applied`. True where it changed them."""
        candidate, changed = self._who(heard, facts)
        if candidate is None:
            if facts.gone:
                self._batch.tombstones.add(facts.external_id)
            return False
        applied.candidate = candidate
        if facts.merged_into:
            applied.candidate = self._merged(heard, facts, candidate)
            self._mark(heard, facts, applied.candidate)
            return True
        if facts.gone:
            return self._gone(heard, facts, candidate)
        if candidate.erased_at is not None:
            return False  # nothing more is kept of somebody who is gone
        newer = heard.at >= candidate.as_of and not self._may_be_late(heard, candidate)
        changed |= self._say(heard, facts, candidate, newer=newer)
        changed |= self._addresses(candidate, facts.emails, newer=newer)
        changed |= self._mark(heard, facts, candidate)
        return changed

    def _may_be_late(self, heard: Heard, candidate: Candidate) -> bool:
        """News without a time may be a retry of hours ago, and must not outrank what has one.
        While polls bring dated news of everybody within minutes, it only fills gaps where there
        is dated news of the last day; without polls the order of arrival is all there is."""
        if heard.event.occurred_at is not None or candidate.pk is None:
            return False
        recent = heard.received_at - candidate.as_of < RETRIED_FOR
        return recent and self._batch.polled_lately(heard.received_at)

    def _mark(self, heard: Heard, facts: CandidateFacts, candidate: Candidate) -> bool:
        """The recruiters' do-not-contact mark. An opt-out in the CRM has an event and a word of
        its own."""
        if facts.can_email is not False or self._is_crm or candidate.do_not_contact:
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
            "tags": [clean(tag, 200) for tag in facts.tags or ()],
            "phones": [clean(phone, 64) for phone in facts.phones],
        }
        wanted = {k: v for k, v in said.items() if v and (newer or not getattr(candidate, k))}
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
        owners = self._owners(facts.emails)
        made = candidate is None and not owners
        if candidate is None and owners:
            candidate = owners[0]
        elif candidate is None:
            if self._not_a_person(facts):
                return None, False
            candidate = batch.add(
                Candidate(created_at=heard.received_at, as_of=heard.at, tags=[], phones=[])
            )
        for other in owners:
            other = batch.one(other)  # a fold a moment ago may have made them one already
            if other is not candidate:
                candidate = self.fold(candidate, other, "they share an e-mail address", heard)
        self._record(facts, known, candidate)
        return candidate, made

    def _not_a_person(self, facts: CandidateFacts) -> bool:
        """News of somebody we never heard of, too thin to make a candidate of; or of a record
        that was deleted before the news of its making came."""
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

    def _owners(self, emails: Iterable[str]) -> list[Candidate]:
        found: list[Candidate] = []
        for email in emails:
            normal = normal_email(email)
            row = self._batch.emails.get(normal) if normal else None
            if row is not None and all(row.candidate is not c for c in found):
                found.append(row.candidate)
        return found

    def fold(self, one: Candidate, other: Candidate, evidence: str, heard: Heard) -> Candidate:
        """Two candidates are one person. The ledger must be whole first; merges are rare."""
        self._batch.flush()
        kept, gone = (one, other) if (one.pk or 0) < (other.pk or 0) else (other, one)
        merge.fold(kept, gone, evidence=evidence, now=heard.received_at)
        self._batch.folded(kept, gone)
        if CandidateEmail.objects.filter(candidate=kept).exists():
            self.addressed.append(kept)
            resolve([no_address_incident(gone.pk)], f"merged into {kept.pk}", now=heard.received_at)
        return kept

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

    def _addresses(self, candidate: Candidate, emails: Sequence[str], *, newer: bool) -> bool:
        """The newest word of an ATS says which addresses are current, the preferred one first.
        What a CRM or older news tells is added behind them."""
        batch, current = self._batch, newer and not self._is_crm
        normals = list(dict.fromkeys(n for e in emails if (n := normal_email(e))))
        changed = False
        for rank, normal in enumerate(normals[:FORMER_RANK]):
            row = batch.emails.get(normal)
            if row is None:
                batch.emails[normal] = batch.add(
                    CandidateEmail(
                        candidate=candidate,
                        normal=normal,
                        rank=rank if current else rank + FORMER_RANK,
                    )
                )
                changed = True
                if candidate.pk is not None:
                    self.addressed.append(candidate)
            elif current:
                changed |= batch.set(row, rank=rank)
        if current and normals:
            for row in batch.addresses(candidate):
                if row.rank < FORMER_RANK and row.normal not in normals:
                    changed |= batch.set(row, rank=row.rank + FORMER_RANK)
        return changed
