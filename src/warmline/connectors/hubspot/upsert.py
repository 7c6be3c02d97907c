"""Contacts written in batches: folded, looked up, updated or created, and each action answered.

The way of one `apply`: actions about one contact are folded; who has several addresses and no id
is looked up by all of them; known records are updated by id; the others are upserted by their
preferred address. What HubSpot answers may send an input round again (its record is gone, or its
address belongs to another record), a bounded number of times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from warmline.connectors.hubspot.contacts import (
    BATCH_MAX,
    Answer,
    Contacts,
    Fate,
    How,
    Write,
)
from warmline.connectors.hubspot.mapping import Property, values_for
from warmline.core.actions import Action, ActionKind
from warmline.core.candidates import normal_email
from warmline.core.errors import AuthFailed, Throttled, Unreachable, Unsure
from warmline.core.outcomes import Outcome, OutcomeKind

ROUNDS_MAX = 3  # by id, by address, by the id that a conflict named
WRITE_CALLS_MAX = 64  # in one apply; a batch of a hundred with one bad input takes about ten
LOOKUPS_MAX = 100  # single look-ups in one apply
ADDRESSES_MAX = 10  # of one person
AGAIN_AFTER_S = 1.0

_KINDS: Mapping[Fate, OutcomeKind] = {
    Fate.WRITTEN: OutcomeKind.DONE,
    Fate.REFUSED: OutcomeKind.REFUSED,
    Fate.LATER: OutcomeKind.LATER,
    Fate.UNKNOWN: OutcomeKind.UNKNOWN,
}


@dataclass(slots=True)
class Person:
    """The contact that one or several actions of a batch are about."""

    indices: list[int]  # of its actions, in their order
    id: str
    emails: list[str]
    values: dict[str, str] = field(default_factory=dict)


def addresses(action: Action) -> list[str]:
    """The action's addresses in their unique form, preferred first."""
    found = (normal_email(raw) for raw in action.contact.emails)
    return list(dict.fromkeys(email for email in found if email))[:ADDRESSES_MAX]


class Upsert:
    """One `apply`. Not shared by threads."""

    def __init__(
        self, contacts: Contacts, table: Mapping[str, Property], actions: Sequence[Action]
    ) -> None:
        self._contacts = contacts
        self._actions = actions
        self._ids = [action.contact.external_id for action in actions]
        self._emails = [addresses(action) for action in actions]
        self._values: list[dict[str, str]] = []
        self._outcomes: list[Outcome | None] = [None] * len(actions)
        self._answered = False  # has HubSpot said anything about any of them?
        self._in_flight: list[int] = []
        self._calls_left = WRITE_CALLS_MAX
        self._lookups_left = LOOKUPS_MAX
        for index, action in enumerate(actions):
            self._values.append(self._prepared(index, action, table))

    def run(self) -> list[Outcome]:
        """An outcome for each action. Raises where nothing at all was decided by HubSpot."""
        try:
            for _ in range(ROUNDS_MAX):
                self._round()
        except (AuthFailed, Throttled, Unreachable, Unsure) as error:
            open_ = self._open()
            doubtful = isinstance(error, Unsure)
            if not self._answered and (not doubtful or set(self._in_flight) == set(open_)):
                raise
            self._break_off(error, self._in_flight if doubtful else [])
        self._settle(self._open(), Outcome(OutcomeKind.LATER, "HubSpot moved the record meanwhile"))
        return [outcome for outcome in self._outcomes if outcome is not None]

    def _prepared(
        self, index: int, action: Action, table: Mapping[str, Property]
    ) -> dict[str, str]:
        """The values to write; an action that cannot be one is refused here, without a call."""
        refusal, values = "", {}
        if action.kind is not ActionKind.CONTACT_UPSERT:
            refusal = f"HubSpot cannot do {action.kind}"
        elif not self._ids[index] and not self._emails[index]:
            refusal = "the candidate has no usable address to find the contact by"
        else:
            try:
                values = values_for(action.fields, table)
            except ValueError as error:
                refusal = str(error)
        if refusal:
            self._settle([index], Outcome(OutcomeKind.REFUSED, refusal))
        return values

    def _open(self) -> list[int]:
        return [index for index, outcome in enumerate(self._outcomes) if outcome is None]

    def _round(self) -> None:
        self._look_up(self._people())
        people = self._people()  # again: two of them may have turned out to be one record
        self._write_all(How.UPDATE, [person for person in people if person.id])
        self._write_all(How.UPSERT, [person for person in people if not person.id])

    def _people(self) -> list[Person]:
        """The open actions, folded: the same record id, the same candidate or a shared address is
        one contact, unless both sides have ids and these differ. Later values win."""
        people: dict[int, Person] = {}  # by the number of the fold, in their order
        index: dict[tuple[str, str | int], set[int]] = {}
        for number, action in enumerate(self._open()):
            one = Person([action], self._ids[action], list(self._emails[action]))
            near = {n for key in self._keys(one) for n in index.get(key, ())}
            for n in [n for n in sorted(near) if self._same_contact(people[n], one)]:
                other = people[n]
                if other.id and one.id and other.id != one.id:
                    continue
                for key in self._keys(people.pop(n)):
                    index[key].discard(n)
                one = Person(
                    sorted(other.indices + one.indices),
                    other.id or one.id,
                    list(dict.fromkeys(other.emails + one.emails)),
                )
            people[number] = one
            for key in self._keys(one):
                index.setdefault(key, set()).add(number)
        for person in people.values():
            for action in person.indices:
                person.values.update(self._values[action])
        return list(people.values())

    def _keys(self, person: Person) -> set[tuple[str, str | int]]:
        """Who has none of these in common is another contact."""
        found: set[tuple[str, str | int]] = {("email", email) for email in person.emails}
        found |= {("candidate", self._actions[index].candidate_id) for index in person.indices}
        return found | ({("id", person.id)} if person.id else set())

    def _same_contact(self, one: Person, other: Person) -> bool:
        """Of two that have something in common."""
        return not (one.id and other.id) or one.id == other.id

    def _look_up(self, people: Sequence[Person]) -> None:
        """Find the record of those with several addresses and no id. A single address needs no
        look-up: the upsert itself is one."""
        unknown = [person for person in people if not person.id and len(person.emails) > 1]
        wanted = list(dict.fromkeys(email for person in unknown for email in person.emails))
        ids: dict[str, str] = {}
        for start in range(0, len(wanted), BATCH_MAX):
            for contact in self._contacts.read_many(wanted[start : start + BATCH_MAX]):
                for email in contact.addresses():
                    ids.setdefault(email, contact.id)
        for person in unknown:
            found = next((ids[email] for email in person.emails if email in ids), "")
            found = found or self._confirmed(person)
            for index in person.indices:
                self._ids[index] = found

    def _confirmed(self, person: Person) -> str:
        """The batch read may not resolve secondary addresses, the single one does. The preferred
        address is left to the upsert, which resolves it."""
        for email in person.emails[1:]:
            if self._lookups_left == 0:
                reason = "too many look-ups for one batch"
                later = Outcome(OutcomeKind.LATER, reason, after_s=AGAIN_AFTER_S)
                self._settle(person.indices, later)
                return ""
            self._lookups_left -= 1
            contact = self._contacts.read(email, ("email",), by_email=True)
            if contact is not None:
                return contact.id
        return ""

    def _write_all(self, how: How, people: Sequence[Person]) -> None:
        """Send them; where an answer does not tell whom it is about, send them in halves."""
        parts = [
            list(people[start : start + BATCH_MAX]) for start in range(0, len(people), BATCH_MAX)
        ]
        while parts:
            part = parts.pop()
            indices = [index for person in part for index in person.indices]
            if self._calls_left == 0:
                reason = "HubSpot refused too many in one batch; the rest is tried again"
                self._settle(indices, Outcome(OutcomeKind.LATER, reason, after_s=AGAIN_AFTER_S))
                continue
            self._calls_left -= 1
            self._in_flight = indices
            writes = [
                Write(person.id if how is How.UPDATE else person.emails[0], person.values)
                for person in part
            ]
            answers = self._contacts.write(how, writes)
            self._in_flight = []
            unclear = []
            for person, answer in zip(part, answers, strict=True):
                if answer is None:
                    unclear.append(person)
                else:
                    self._note(person, answer)
            if unclear and len(unclear) < len(part):
                parts.append(unclear)
            elif unclear:
                half = len(unclear) // 2
                parts += [unclear[half:], unclear[:half]]

    def _note(self, person: Person, answer: Answer) -> None:
        """Settle it, or send it round again under another id."""
        if answer.fate is Fate.CONFLICT:
            self._route(person, answer.id)
            return
        if answer.fate is Fate.GONE:
            if person.emails:
                self._route(person, "")
            else:
                reason = f"the contact is gone and no address is known: {answer.reason}"
                self._settle(person.indices, Outcome(OutcomeKind.REFUSED, reason))
            return
        self._answered = True
        detail = {} if answer.new is None else {"new": "true" if answer.new else "false"}
        outcome = Outcome(
            _KINDS[answer.fate],
            reason=answer.reason,
            external_id=answer.id,
            after_s=answer.after_s,
            detail=detail,
        )
        self._settle(person.indices, outcome)

    def _route(self, person: Person, record_id: str) -> None:
        for index in person.indices:
            self._ids[index] = record_id
            self._emails[index] = person.emails  # so that they fold again without the old id

    def _break_off(self, error: Exception, doubtful: Iterable[int]) -> None:
        """A later call failed: keep what is done, and say of the rest what is true."""
        self._settle(doubtful, Outcome(OutcomeKind.UNKNOWN, str(error)))
        after_s = error.after_s if isinstance(error, Throttled) else None
        self._settle(self._open(), Outcome(OutcomeKind.LATER, str(error), after_s=after_s))

    def _settle(self, indices: Iterable[int], outcome: Outcome) -> None:
        for index in indices:
            self._outcomes[index] = outcome
