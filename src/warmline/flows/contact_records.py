"""The ledger's side of a merge in the CRM: which records are whose before it, and after it.

Each change is a transaction of its own that holds the connection's records and the candidate's
row, and looks at both again: a running Warmline may have been there a moment ago.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from warmline.core.matching import is_role_address
from warmline.flows.crm_duplicates import Group
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.merge import two_contacts
from warmline.flows.opt_out import suppress, suppress_candidate
from warmline.flows.reconsider import reconsider
from warmline.flows.runtime import Lane, Runtime
from warmline.store.db import lock_records, writing
from warmline.store.models import Candidate, CandidateEmail, ExternalId, Incident
from warmline.store.queries import lock_candidate
from warmline.store.statuses import IncidentStatus, SuppressionReason

SAID_NO = "opted out on one of the contacts that were merged"


def incident_key(connection: str, contact_id: str) -> str:
    """The incident of a contact that could not be merged."""
    return f"contact-merge:{connection}:{contact_id}"


class ContactRecords:
    def __init__(self, runtime: Runtime, connection: str) -> None:
        self._runtime, self._connection = runtime, connection

    def before(self, group: Group, ids: Collection[str], *, said_no: bool) -> str:
        """Whether these two are still one person's, by the ledger as it is now; why not, where
        they are not. From here on news of either is the candidate's, and a no of either holds."""
        now, lanes = self._runtime.now(), set[Lane]()
        with writing():
            lock_records(self._connection)
            candidate = None
            if group.candidate_id is not None:
                lock_candidate(group.candidate_id)
                standing = Candidate.objects.filter(merged_into=None, erased_at=None)
                candidate = standing.filter(pk=group.candidate_id).first()
                if candidate is None:
                    return "the candidate was merged or deleted meanwhile"
            if self._owners(group, ids) - {group.candidate_id}:
                return "one of them is somebody else's by now"
            if candidate is not None:
                lanes = self._register(candidate, ids)
            if said_no:
                self._suppress(candidate, group, now)
        self._runtime.poke(lanes)
        return ""

    def contact_of(self, candidate_id: int) -> str:
        """The id of the contact that we write to; empty where there is none."""
        living = ExternalId.objects.filter(connection=self._connection, gone_at__isnull=True)
        row = living.filter(candidate=candidate_id, contact=True).first()
        return row.external_id if row is not None else ""

    def after(
        self, group: Group, old: Collection[str], new: str, *, said_no: bool, won: str = ""
    ) -> None:
        """One record is left, under the id `new`; the values of the record `won` have won."""
        now = self._runtime.now()
        with writing():
            lock_records(self._connection)
            lanes = self._follow(old, new, won, now)
            if said_no:
                candidates = Candidate.objects.select_related("merged_into")
                person = candidates.filter(pk=group.candidate_id or 0).first()
                self._suppress(person and (person.merged_into or person), group, now)
            keys = [incident_key(self._connection, contact_id) for contact_id in old]
            resolve(keys, "the contacts are one now", now=now)
        self._runtime.poke(lanes)

    def gone(self, group: Group, contact_id: str) -> None:
        """The CRM has no such record any more."""
        with writing():
            self._mark_gone(contact_id)
            if group.candidate_id is not None:
                self._one_left(group.candidate_id, self._runtime.now())

    def became_anothers(self, group: Group, contact_id: str, standing: str) -> None:
        """Somebody merged it there into a contact that leads to another candidate."""
        with writing():
            self._mark_gone(contact_id)
            if group.candidate_id is not None:
                self._two_people(group.candidate_id, (contact_id,), standing, self._runtime.now())

    def not_merged(self, group: Group, primary: str, other: str, reason: str) -> None:
        """The CRM said no, or nothing: somebody must know (I8)."""
        with writing():
            open_incident(
                incident_key(self._connection, other),
                f"contact {other} was not merged into {primary}: {reason}",
                now=self._runtime.now(),
                connection=self._connection,
                record=f"contacts {primary} and {other}",
                candidate_id=group.candidate_id,
                hint="look at both in the CRM, then `warmline merge crm --apply` again",
            )

    def forget_old_trouble(self, duplicates: Collection[str]) -> None:
        """Resolve the incidents of contacts that are none of these duplicates any more."""
        prefix = incident_key(self._connection, "")
        rows = Incident.objects.filter(key__startswith=prefix)
        open_ones = rows.exclude(status=IncidentStatus.RESOLVED)
        old = [row.key for row in open_ones if row.key.removeprefix(prefix) not in duplicates]
        if old:
            with writing():
                resolve(old, "it has no duplicate any more", now=self._runtime.now())

    # Inside: the caller holds the transaction

    def _rows(self, ids: Collection[str]) -> dict[str, ExternalId]:
        rows = ExternalId.objects.filter(connection=self._connection, external_id__in=ids)
        return {row.external_id: row for row in rows.select_related("candidate")}

    def _owners(self, group: Group, ids: Collection[str]) -> set[int]:
        """The candidates to whom these records, or the group's addresses, lead now."""
        records = ExternalId.objects.filter(
            connection=self._connection, external_id__in=ids, gone_at__isnull=True
        )
        normals = [n for c in group.contacts for n in c.emails if not is_role_address(n)]
        addresses = CandidateEmail.objects.filter(normal__in=normals)
        pairs = [
            *records.values_list("candidate", "candidate__merged_into"),
            *addresses.values_list("candidate", "candidate__merged_into"),
        ]
        return {into or pk for pk, into in pairs}

    def _register(self, candidate: Candidate, ids: Collection[str]) -> set[Lane]:
        """These living contacts are the candidate's. Returns the lanes to poke."""
        rows = self._rows(ids)
        learned: set[str] = set()
        for contact_id in ids:
            row = rows.get(contact_id)
            if row is not None and row.gone_at is None:
                continue
            ExternalId.objects.update_or_create(
                connection=self._connection,
                external_id=contact_id,
                defaults={
                    "candidate": candidate,
                    "contact": not self._has_contact(candidate.pk),
                    "gone_at": None,
                },
            )
            learned.add(contact_id)
        return reconsider(self._connection, learned)

    def _suppress(self, candidate: Candidate | None, group: Group, now: datetime) -> None:
        """The strictest wins: no from one contact is no from the person, at every address."""
        source, reason = self._connection, SuppressionReason.UNSUBSCRIBED
        if candidate is not None:
            suppress_candidate(candidate, reason, source=source, now=now, detail=SAID_NO)
        normals = sorted({normal for contact in group.contacts for normal in contact.emails})
        suppress(normals, reason, source=source, now=now, detail=SAID_NO)

    def _follow(self, old: Collection[str], new: str, won: str, now: datetime) -> set[Lane]:
        """The ids that were merged away are gone, and the one that stands is the person's contact.
        A webhook or another write may have said so already."""
        rows = self._rows([*old, new])
        mine = next((rows[one] for one in old if one in rows), None)
        if mine is None:
            return set()  # nobody whom the ledger knows
        owner = mine.candidate.merged_into_id or mine.candidate_id
        lock_candidate(owner)
        away = [row for key, row in rows.items() if key != new and row.gone_at is None]
        ExternalId.objects.filter(pk__in=[row.pk for row in away]).update(gone_at=now)
        row = rows.get(new)
        learned: set[str] = set()
        if row is None:
            # Values win where both had one: what we had emptied may be filled now.
            written: dict[str, Any] = rows[won].written if won in rows else {}
            ExternalId.objects.create(
                candidate_id=owner,
                connection=self._connection,
                external_id=new,
                contact=not self._has_contact(owner),
                written={name: value for name, value in written.items() if value},
            )
            learned.add(new)
        elif (row.candidate.merged_into_id or row.candidate_id) != owner:
            self._two_people(owner, old, new, now)
        elif row.gone_at is None and not self._has_contact(owner):
            ExternalId.objects.filter(pk=row.pk).update(contact=True)
        self._one_left(owner, now)
        return reconsider(self._connection, learned)

    def _has_contact(self, candidate_id: int) -> bool:
        return self.contact_of(candidate_id) != ""

    def _mark_gone(self, contact_id: str) -> None:
        ExternalId.objects.filter(
            connection=self._connection, external_id=contact_id, gone_at__isnull=True
        ).update(gone_at=self._runtime.now())

    def _one_left(self, owner: int, now: datetime) -> None:
        living = ExternalId.objects.filter(connection=self._connection, gone_at__isnull=True)
        if living.filter(candidate=owner).count() == 1:
            resolve([two_contacts(owner)], "one is left", now=now)

    def _two_people(self, owner: int, old: Collection[str], new: str, now: datetime) -> None:
        open_incident(
            two_contacts(owner),
            "a contact of this person became part of somebody else's in the CRM",
            now=now,
            connection=self._connection,
            record=f"contacts {', '.join(old)} and {new}",
            candidate_id=owner,
            hint="look at both in `warmline explain`; are they one person?",
        )
