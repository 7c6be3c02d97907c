"""Duplicate contacts made one in the CRM itself: a pair at a time, each in the ledger before and
after.

Killed at any moment and started again it goes on where it was: what is still to be done is read
from the CRM and the ledger. Before a merge is asked for, both contacts are read again, both are
the candidate's records in the ledger, and the person is suppressed where either has opted out: the
merged record shows the primary address's opt-out only. After it, the new id is the contact. A
running Warmline may work on the same rows: each transaction holds the candidate's row and looks at
it again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from warmline.core.errors import (
    ConfigError,
    Malformed,
    Refused,
    Throttled,
    Unreachable,
    Unsure,
)
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.core.retries import asked_wait_s, backoff_s
from warmline.flows.contact_records import ContactRecords
from warmline.flows.crm_duplicates import Contact, Found, Group, find
from warmline.flows.runtime import Runtime
from warmline.ports import ContactRecord, MergesContacts
from warmline.store.db import writing
from warmline.store.models import DuplicateReport

log = logging.getLogger("warmline.merge_crm")

TRIES_MAX = 5  # of one call, where the CRM does not say how long to wait: about a minute
WAITS_MAX = 50  # for one call, where it does
WAIT_S_MAX = 900.0  # a longer wait is a daily limit: another day is a better time
_ONE = (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE)
Sleep = Callable[[float], object]


@dataclass(frozen=True, slots=True)
class Step:
    """What became of one contact of a group. `kind`: DONE or ALREADY_DONE (`standing` is the id
    that both have now), SKIPPED (something changed meanwhile), REFUSED by the CRM, LATER (it does
    not answer, or asks for a long wait), or UNKNOWN."""

    candidate_id: int | None
    primary: str
    other: str
    kind: OutcomeKind
    reason: str = ""
    standing: str = ""


def crm_of(runtime: Runtime, name: str | None) -> str:
    """The connection whose contacts are merged: the one named, or the only one that can. Raises
    ConfigError."""
    able = runtime.connections_that("merges_contacts")
    if name is None and len(able) == 1:
        return able[0]
    if name in able:
        return name
    found = repr(name) if name is not None else "no connection was named"
    raise ConfigError(
        f"{found}: contacts can be merged in {', '.join(able) or 'no connection of this project'}",
        hint="name one with --connection" if able else "",
    )


def look(runtime: Runtime, connection: str, *, sleep: Sleep, seen: Callable[[int], None]) -> Found:
    """Read every contact and sort them into people; what was found is kept as a report, which a
    deduplication pause asks for. `sleep` takes seconds; `seen` is told how many contacts a page
    brought. Raises AuthFailed, Throttled, Unreachable, Malformed."""
    began_at = runtime.now()
    found = find(connection, _listed(runtime, connection, sleep, seen))
    with writing():
        DuplicateReport.objects.create(
            connection=connection,
            made_at=began_at,
            contacts=len(found.contacts),
            duplicates=found.merges,
            probable=len(found.doubts),
        )
    return found


def _listed(
    runtime: Runtime, connection: str, sleep: Sleep, seen: Callable[[int], None]
) -> Iterator[ContactRecord]:
    """Every contact. What is asked to wait is waited for, and the listing goes on where it was."""
    connector: MergesContacts = runtime.connectors[connection]
    cursor, waiting = "", _Waiting(runtime, sleep)
    while True:
        try:
            for page in connector.contacts(cursor):
                yield from page.contacts
                seen(len(page.contacts))
                cursor, waiting = page.cursor, _Waiting(runtime, sleep)
            return
        except (Throttled, Unreachable) as error:
            if not waiting.may_go_on(error.after_s if isinstance(error, Throttled) else None):
                raise


class _Waiting:
    """How long, and how often, one call is waited for."""

    def __init__(self, runtime: Runtime, sleep: Sleep) -> None:
        self._runtime, self._sleep = runtime, sleep
        self._tries = self._waits = 0

    def may_go_on(self, after_s: float | None) -> bool:
        """Wait; False where it has gone on for long enough, or Warmline is told to stop."""
        if after_s is None:
            self._tries += 1
            wait_s = backoff_s(self._tries, self._runtime.chance())
        else:
            self._waits += 1
            wait_s = asked_wait_s(after_s, self._runtime.chance())
        over = self._tries >= TRIES_MAX or self._waits > WAITS_MAX or wait_s > WAIT_S_MAX
        if over or self._runtime.stopping.is_set():
            return False
        self._sleep(wait_s)
        return not self._runtime.stopping.is_set()


def apply(runtime: Runtime, found: Found, *, sleep: Sleep) -> Iterator[Step]:
    """Merge what is certain, a pair at a time, and say what became of each. Ends early where the
    CRM does not answer (the last step is LATER then) or `runtime.stopping` is set, which is looked
    at between two pairs. Raises AuthFailed."""
    merging = _Merging(runtime, found, sleep)
    duplicates = {contact.id for group in found.duplicates for contact in group.contacts}
    merging.records.forget_old_trouble(duplicates)
    for group in found.groups:
        for step in merging.group(group):
            log.info(
                "action=merge_contacts connection=%s candidate=%s contact=%s outcome=%s",
                found.connection, step.candidate_id, step.other, step.kind,
            )  # fmt: skip
            yield step
            if step.kind is OutcomeKind.LATER:
                return
        if runtime.stopping.is_set():
            return


class _Merging:
    def __init__(self, runtime: Runtime, found: Found, sleep: Sleep) -> None:
        self._runtime, self._found, self._sleep = runtime, found, sleep
        self._connector: MergesContacts = runtime.connectors[found.connection]
        self.records = ContactRecords(runtime, found.connection)

    def group(self, group: Group) -> Iterator[Step]:
        for contact_id in group.unlisted:
            if (step := self._settle(group, contact_id)) is not None:
                yield step
        contacts = group.contacts
        if group.unlisted and group.candidate_id is not None:  # what we write to may be known now
            written_to = self.records.contact_of(group.candidate_id)
            contacts = tuple(sorted(contacts, key=lambda one: one.id != written_to))
        standing = contacts[0].id if contacts else ""
        for other in contacts[1:]:
            if self._runtime.stopping.is_set():
                return
            step = self._pair(group, standing, other)
            standing = step.standing or standing
            yield step

    # One pair

    def _pair(self, group: Group, primary: str, other: Contact) -> Step:
        fresh = [self._ask(contact_id, contact_id) for contact_id in (primary, other.id)]
        for contact_id, read in zip((primary, other.id), fresh, strict=True):
            if read.kind is not OutcomeKind.ALREADY_DONE:
                return self._unread(group, primary, other, contact_id, read)
        said_no = group.opted_out or any(map(_opted_out, fresh))
        one = fresh[0].external_id == fresh[1].external_id
        if not one and [read.external_id for read in fresh] != [primary, other.id]:
            return self._step(group, primary, other, OutcomeKind.SKIPPED, "merged meanwhile there")
        reason = self.records.before(group, (primary, other.id), said_no=said_no)
        if reason:
            return self._step(group, primary, other, OutcomeKind.SKIPPED, reason)
        outcome = fresh[0] if one else self._ask(primary, other.id)
        if outcome.kind not in _ONE:
            return self._not_merged(group, primary, other, outcome)
        said_no = said_no or _opted_out(outcome)
        # Where somebody else merged them, the other one's values may have won.
        won = primary if outcome.kind is OutcomeKind.DONE else ""
        old, new = (primary, other.id), outcome.external_id
        self.records.after(group, old, new, said_no=said_no, won=won)
        return self._step(group, primary, other, outcome.kind, "", outcome.external_id)

    def _step(
        self,
        group: Group,
        primary: str,
        other: Contact,
        kind: OutcomeKind,
        reason: str,
        standing: str = "",
    ) -> Step:
        return Step(group.candidate_id, primary, other.id, kind, reason, standing)

    def _ask(self, primary: str, other: str) -> Outcome:
        """Ask until there is an answer, or no patience. A lost answer stays unknown, whatever is
        said of the tries after it: those read first, and settle it where they get through."""
        waiting, lost = _Waiting(self._runtime, self._sleep), ""
        while True:
            outcome = self._asked(primary, other)
            if outcome.kind is OutcomeKind.UNKNOWN:
                lost = outcome.reason
            elif outcome.kind is not OutcomeKind.LATER:
                return outcome
            if not waiting.may_go_on(outcome.after_s):
                return Outcome(OutcomeKind.UNKNOWN, lost) if lost else outcome

    def _asked(self, primary: str, other: str) -> Outcome:
        try:
            return self._connector.merge(primary, other)
        except Throttled as error:
            return Outcome(OutcomeKind.LATER, error.reason, after_s=error.after_s)
        except (Unreachable, Malformed) as error:
            return Outcome(OutcomeKind.LATER, error.reason)
        except Unsure as error:
            return Outcome(OutcomeKind.UNKNOWN, error.reason)
        except Refused as error:
            return Outcome(OutcomeKind.REFUSED, error.reason)

    def _unread(
        self, group: Group, primary: str, other: Contact, contact_id: str, read: Outcome
    ) -> Step:
        """Nothing was asked for: one of them could not be read, or is not there."""
        kind = OutcomeKind.LATER
        if read.kind is OutcomeKind.REFUSED:
            kind = OutcomeKind.SKIPPED
            if "gone" in read.detail:
                self.records.gone(group, contact_id)
        return self._step(group, primary, other, kind, read.reason)

    def _not_merged(self, group: Group, primary: str, other: Contact, outcome: Outcome) -> Step:
        """The CRM said no, or nothing: somebody must know (I8)."""
        if outcome.kind in (OutcomeKind.REFUSED, OutcomeKind.UNKNOWN):
            self.records.not_merged(group, primary, other.id, outcome.reason)
        return self._step(group, primary, other, outcome.kind, outcome.reason)

    # What the CRM does not list

    def _settle(self, group: Group, contact_id: str) -> Step | None:
        """The ledger takes this record for a living one, and it was not listed. It is read: merged
        into another, it is followed; deleted, the ledger learns so. None where it is there."""
        read = self._ask(contact_id, contact_id)
        standing = read.external_id
        if read.kind is OutcomeKind.REFUSED and "gone" in read.detail:
            self.records.gone(group, contact_id)
            kind, reason, standing = OutcomeKind.ALREADY_DONE, "it was deleted there", ""
        elif read.kind is not OutcomeKind.ALREADY_DONE:
            later = read.kind is not OutcomeKind.REFUSED
            kind = OutcomeKind.LATER if later else OutcomeKind.SKIPPED
            reason = read.reason
        elif standing == contact_id:
            return None
        else:
            listed = self._found.contacts.get(standing)
            if listed is not None and listed.owners - {group.candidate_id}:
                self.records.became_anothers(group, contact_id, standing)
            else:
                self.records.after(group, (contact_id,), standing, said_no=_opted_out(read))
            kind, reason = OutcomeKind.ALREADY_DONE, f"it had become part of {standing}"
        return Step(group.candidate_id, standing, contact_id, kind, reason)


def _opted_out(outcome: Outcome) -> bool:
    return outcome.detail.get("opted_out") == "true"
