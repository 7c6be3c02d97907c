"""Which contacts of a CRM are one person's: certain enough to be merged there, or for a person to
look at. Reads only.

A merge in the CRM cannot be undone, so certain means: they stand for one candidate here, or their
addresses are one mailbox and no name contradicts it. What leads to two candidates is told, and is
never merged. An office's address (`jobs@`) is no evidence.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import combinations

from django.db.models import Count, F

from warmline.core.candidates import masked, normal_email
from warmline.core.events import ApplicationStatus
from warmline.core.matching import Agreement, is_role_address, mailbox_key, names_agree
from warmline.flows import likeness
from warmline.ports import ContactRecord
from warmline.store.models import Application, CandidateEmail, ExternalId, Likeness
from warmline.store.statuses import LikenessStatus

# More contacts than this with one mailbox are something else: a test account, a form's default.
MAILBOX_MAX = 10
_CHUNK = 5000
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)
_NOBODY: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact as it was listed. `emails` in normal form, the preferred one first; `owners`: the
    candidates that its record or its addresses lead to; `why`: how, in words."""

    id: str
    emails: tuple[str, ...] = ()
    first_name: str = ""
    last_name: str = ""
    opted_out: bool = False
    created_at: datetime | None = None
    owners: frozenset[int] = _NOBODY
    why: str = ""

    @classmethod
    def of(cls, record: ContactRecord) -> Contact:
        normals = (normal_email(raw) for raw in record.emails)
        return cls(
            record.external_id,
            tuple(dict.fromkeys(one for one in normals if one)),
            record.first_name,
            record.last_name,
            record.opted_out,
            record.created_at,
        )

    @property
    def shown(self) -> str:
        """Its addresses, masked."""
        return ", ".join(map(masked, self.emails)) or "no address"


@dataclass(frozen=True, slots=True)
class Group:
    """One person's contacts, certainly: the one that stays first. `unlisted` are records which the
    ledger takes for living contacts of theirs and the CRM does not list: merged or deleted there.
    `candidate_id` is None for somebody whom the ledger does not know."""

    candidate_id: int | None
    contacts: tuple[Contact, ...]
    unlisted: tuple[str, ...] = ()

    @property
    def opted_out(self) -> bool:
        return any(contact.opted_out for contact in self.contacts)

    def changes(self) -> list[str]:
        """What a merge would change, in words without whole addresses."""
        if len(self.contacts) < 2:
            return []
        primary, *others = self.contacts
        said = [f"{one.id} ({one.shown}) becomes part of {primary.id}" for one in others]
        if self.opted_out:
            said.append("one of them has opted out: nobody writes to any of these addresses")
        return said


@dataclass(frozen=True, slots=True)
class Doubt:
    """Contacts that may be one person's. For a person to decide; never merged."""

    contacts: tuple[Contact, ...]
    candidate_ids: tuple[int, ...]
    evidence: str


@dataclass(frozen=True, slots=True)
class Found:
    """`several`: candidates with several applications who have a contact; `several_twice`: those
    of them who have more than one."""

    connection: str
    contacts: Mapping[str, Contact]
    groups: tuple[Group, ...]
    doubts: tuple[Doubt, ...]
    several: int = 0
    several_twice: int = 0

    @property
    def duplicates(self) -> tuple[Group, ...]:
        """The groups of which something is to be merged."""
        return tuple(group for group in self.groups if len(group.contacts) > 1)

    @property
    def merges(self) -> int:
        """How many contacts are too many, for certain."""
        return sum(len(group.contacts) - 1 for group in self.duplicates)


@dataclass(slots=True)
class _Ledger:
    """What the ledger knows of these contacts. Candidates are the ones who stand today."""

    records: dict[str, int] = field(default_factory=dict)  # living contacts
    written_to: set[str] = field(default_factory=set)  # of these, the ones that we write to
    addresses: dict[str, int] = field(default_factory=dict)
    mailboxes: dict[str, dict[int, tuple[str, str]]] = field(default_factory=dict)  # with names
    erased: set[int] = field(default_factory=set)
    apart: set[tuple[int, int]] = field(default_factory=set)

    @classmethod
    def read(cls, connection: str, contacts: Collection[Contact]) -> _Ledger:
        ledger = cls()
        rows = ExternalId.objects.filter(connection=connection, gone_at__isnull=True).values_list(
            "external_id", "contact", "candidate", "candidate__merged_into", "candidate__erased_at"
        )
        for external_id, contact, pk, into, erased in rows.iterator(_CHUNK):
            ledger.records[external_id] = into or pk
            if contact:
                ledger.written_to.add(external_id)
            if erased is not None:
                ledger.erased.add(into or pk)
        ledger._read_addresses({email for contact in contacts for email in contact.emails})
        pairs = Likeness.objects.filter(status=LikenessStatus.KEPT_APART).values_list(
            "one", "one__merged_into", "other", "other__merged_into"
        )
        for one, one_into, other, other_into in pairs:
            a, b = sorted((one_into or one, other_into or other))
            ledger.apart.add((a, b))
        return ledger

    def _read_addresses(self, asked: set[str]) -> None:
        """One pass over all addresses: asking for each of a million by name takes longer."""
        boxes = {mailbox_key(normal) for normal in asked}
        rows = CandidateEmail.objects.values_list(
            "normal",
            "candidate",
            "candidate__merged_into",
            "candidate__erased_at",
            "candidate__first_name",
            "candidate__last_name",
        )
        for normal, pk, into, erased, first, last in rows.iterator(_CHUNK):
            box = mailbox_key(normal)
            if box not in boxes or is_role_address(normal):
                continue
            owner = into or pk
            if normal in asked:
                self.addresses[normal] = owner
            self.mailboxes.setdefault(box, {})[owner] = (first, last)
            if erased is not None:
                self.erased.add(owner)

    def known(self, contact: Contact) -> Contact:
        """The contact with its owners, and how they were found."""
        owners: set[int] = set()
        why = ""
        if contact.id in self.records:
            owners.add(self.records[contact.id])
            why = "a record of the candidate"
        for normal in contact.emails:  # an office's is among none of these
            exact = self.addresses.get(normal)
            if exact is not None:
                owners.add(exact)
                why = why or "has an address of the candidate"
                continue
            for owner, (first, last) in self.mailboxes.get(mailbox_key(normal), {}).items():
                agree = names_agree(contact.first_name, contact.last_name, first, last)
                if agree is not Agreement.DIFFERENT:
                    owners.add(owner)
                    why = why or "has an address of the candidate's mailbox"
        return replace(contact, owners=frozenset(owners) or _NOBODY, why=why)

    def rank(self, contact: Contact) -> tuple[bool, datetime, int, str]:
        """The one that stays comes first: the one we write to, else the oldest."""
        at = contact.created_at or _NEVER
        return contact.id not in self.written_to, at, len(contact.id), contact.id


def find(connection: str, listed: Iterable[ContactRecord]) -> Found:
    """Sort the whole listing of a CRM into people, by what the ledger and the addresses say."""
    plain = {contact.id: contact for contact in map(Contact.of, listed)}
    ledger = _Ledger.read(connection, plain.values())
    contacts = {key: ledger.known(contact) for key, contact in plain.items()}
    search = _Search(connection, ledger, contacts)
    search.run()
    several = _several(contacts.values())
    return Found(
        connection,
        contacts,
        tuple(sorted(search.groups, key=_order)),
        tuple(search.doubts.values()),
        len(several),
        sum(1 for count in several.values() if count > 1),
    )


def _order(group: Group) -> tuple[int, str]:
    first = group.contacts[0].id if group.contacts else group.unlisted[0]
    return len(first), first


def _several(contacts: Iterable[Contact]) -> dict[int, int]:
    """Candidates with several applications, and how many contacts lead to each."""
    rows = (
        Application.objects.exclude(status=ApplicationStatus.DELETED)
        .filter(candidate__merged_into=None, candidate__erased_at=None)
        .values(owner=F("candidate"))
        .annotate(n=Count("id"))
        .filter(n__gt=1)
    )
    many = set(rows.values_list("owner", flat=True))
    counts: dict[int, int] = {}
    for contact in contacts:
        for owner in contact.owners & many:
            counts[owner] = counts.get(owner, 0) + 1
    return counts


class _Search:
    def __init__(self, connection: str, ledger: _Ledger, contacts: Mapping[str, Contact]) -> None:
        self._connection, self._ledger, self._contacts = connection, ledger, contacts
        self._parent: dict[str, str] = {}
        self.groups: list[Group] = []
        self.doubts: dict[frozenset[str], Doubt] = {}

    def run(self) -> None:
        mine: dict[int, list[Contact]] = {}
        for contact in self._contacts.values():
            if len(contact.owners) == 1:
                mine.setdefault(next(iter(contact.owners)), []).append(contact)
        for same in mine.values():
            self._join(same)
        for box, same in self._of_one_mailbox():
            self._mailbox(box, same)
        members: dict[str, list[Contact]] = {}
        for key in self._parent:
            members.setdefault(self._root(key), []).append(self._contacts[key])
        unlisted = self._unlisted()
        for same in members.values():
            self._component(same, unlisted)
        for contact in self._contacts.values():
            if len(contact.owners) > 1:
                theirs = [one for owner in sorted(contact.owners) for one in mine.get(owner, ())]
                self._doubt([contact, *theirs], contact.owners)
        for owner, ids in unlisted.items():  # whoever has at most one listed contact
            self._group(owner, mine.get(owner, [])[:1], ids)
        self._likely(mine)

    def _join(self, same: Sequence[Contact]) -> None:
        for contact in same:
            self._parent.setdefault(contact.id, contact.id)
            self._parent[self._root(contact.id)] = self._root(same[0].id)

    def _root(self, key: str) -> str:
        while self._parent[key] != key:
            self._parent[key] = key = self._parent[self._parent[key]]
        return key

    def _of_one_mailbox(self) -> Iterator[tuple[str, list[Contact]]]:
        boxes: dict[str, list[Contact]] = {}
        for contact in self._contacts.values():
            for box in dict.fromkeys(map(mailbox_key, contact.emails)):
                boxes.setdefault(box, []).append(contact)
        return ((box, same) for box, same in boxes.items() if len(same) > 1)

    def _mailbox(self, box: str, same: list[Contact]) -> None:
        owners = {contact.owners for contact in same}
        names = [(contact.first_name, contact.last_name) for contact in same]
        if len(owners) == 1 and len(next(iter(owners))) == 1:
            pass  # one candidate's anyway
        elif len(same) > MAILBOX_MAX:
            self._doubt(same[:MAILBOX_MAX], _NOBODY, f"{len(same)} contacts have one mailbox")
        elif is_role_address(box):
            self._doubt(same, _NOBODY, "they share a role address")
        elif any(names_agree(*a, *b) is Agreement.DIFFERENT for a, b in combinations(names, 2)):
            self._doubt(same, _NOBODY, "they share one mailbox, and their names differ")
        else:
            self._join(same)

    def _unlisted(self) -> dict[int, list[str]]:
        """Living contacts of the ledger which the CRM does not list, by candidate."""
        found: dict[int, list[str]] = {}
        for external_id, owner in self._ledger.records.items():
            if external_id not in self._contacts:
                found.setdefault(owner, []).append(external_id)
        return found

    def _component(self, same: list[Contact], unlisted: dict[int, list[str]]) -> None:
        """Those that evidence leads from one to the next: one person's, unless it leads to two."""
        owners = frozenset(owner for contact in same for owner in contact.owners)
        if len(owners) <= 1:
            owner = next(iter(owners), None)
            if len(same) > 1 or owner is None:
                gone = unlisted.pop(owner, []) if owner is not None else []
                self._group(owner, same, gone)
            return
        for owner in sorted(owners):
            theirs = [contact for contact in same if contact.owners == {owner}]
            if len(theirs) > 1:
                self._group(owner, theirs, unlisted.pop(owner, []))
        self._doubt(same, owners)

    def _group(self, owner: int | None, same: Sequence[Contact], unlisted: Sequence[str]) -> None:
        if len(same) + len(unlisted) < 2:
            return
        if owner is not None and owner in self._ledger.erased:
            self._doubt(same, (owner,), "the person's record was deleted")
            return
        ranked = tuple(
            contact if contact.why else replace(contact, why="has an address of the same mailbox")
            for contact in sorted(same, key=self._ledger.rank)
        )
        self.groups.append(Group(owner, ranked, tuple(unlisted)))

    def _doubt(self, same: Sequence[Contact], owners: Collection[int], why: str = "") -> None:
        contacts = list({contact.id: contact for contact in same}.values())
        if len(contacts) < 2:
            return
        people = sorted({*owners, *(owner for contact in contacts for owner in contact.owners)})
        why = why or f"they lead to candidates {' and '.join(map(str, people))}"
        if any(pair in self._ledger.apart for pair in combinations(people, 2)):
            why += "; a person has kept these apart"
        key = frozenset(contact.id for contact in contacts)
        self.doubts.setdefault(key, Doubt(tuple(contacts), tuple(people), why))

    def _likely(self, mine: Mapping[int, Sequence[Contact]]) -> None:
        """Candidates on the review list who have a contact each."""
        for row in likeness.waiting():
            one, other = (pk.merged_into_id or pk.pk for pk in (row.one, row.other))
            if one in mine and other in mine:
                evidence = "; ".join([*row.evidence, f"pair {row.pk} of `warmline merge review`"])
                self._doubt([*mine[one], *mine[other]], (one, other), evidence)
