"""A seeded month in which people change on both sides while webhooks are lost, doubled and held up
by up to an hour, and both vendors fail at times. At its end both sides must agree.

What must hold is asked of the simulators and not of the ledger.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from warmline.core.errors import WarmlineError
from warmline.engine.work import Worker, run_until_idle
from warmline.flows.absent import look_for_missing
from warmline.flows.drift import LOOK_EVERY_S, compare
from warmline.flows.reconcile import poll
from warmline.flows.repair import Difference
from warmline.flows.runtime import Runtime
from warmline.flows.track import unsubscribe
from warmline.sandbox.faults import FaultPlan
from warmline.sandbox.serve import Sandbox
from warmline.store.models import Action, Cursor, Drift, Message

LOST, DOUBLED, HELD_UP = 0.05, 0.05, 0.2
HOUR_S = 3600
POLL_S = 300  # between two polls, and so between two looks for what is missing
TRIES = 500  # to get once round; a few thousand records take some fifty
# What either vendor does to our calls at times.
_ATS_FAILS = (
    {"kind": "error", "share": 0.01},
    {"kind": "rate_limited", "share": 0.01},
    {"kind": "timeout_after", "share": 0.005, "seconds": 0.01},
)
_CRM_FAILS = (
    {"kind": "error", "share": 0.02},
    {"kind": "rate_limited", "share": 0.02},
    {"kind": "timeout_after", "share": 0.01, "seconds": 0.01},
)
STAGES = ("Phone Screen", "Technical Interview", "Final Interview", "Offer")
WRITES = ("POST", "PATCH", "PUT", "DELETE")
# Reads by POST.
_READS = ("/batch/read", "/search", "/token", "/introspect")


@dataclass(slots=True)
class Person:
    """Somebody as the players know them: their records in the ATS, and whether they said no."""

    records: list[int] = field(default_factory=list)
    emails: set[str] = field(default_factory=set)
    said_no: bool = False
    marked: bool = False  # by a recruiter, on the records of then


@dataclass(slots=True)
class Found:
    """What is wrong at the end, in words, and what it took."""

    wrong: list[str] = field(default_factory=list)
    writes_at_rest: int = 0
    counts: Counter[str] = field(default_factory=Counter)


class Month:
    """`advance` moves the virtual clock by seconds. Webhooks go where the simulators send them."""

    def __init__(
        self,
        runtime: Runtime,
        worker: Worker,
        box: Sandbox,
        advance: Callable[[float], object],
        *,
        people: int,
        seed: int,
    ) -> None:
        self.runtime, self.worker, self.box, self.advance = runtime, worker, box, advance
        self.people: list[Person] = []
        self.wanted = people
        self.rng = random.Random(seed)
        self.open: dict[int, int] = {}  # application in process → person
        self.deeds: Counter[str] = Counter()

    # The month

    def play(self, *, days: float, tick: timedelta = timedelta(minutes=30)) -> None:
        ticks = int(timedelta(days=days) / tick)
        self._faults(on=True)
        for number in range(ticks):
            due = self.wanted * (number + 1) // ticks - len(self.people)
            for _ in range(due):
                self._do(self._apply)
            for _ in range(max(1, 4 * self.wanted // ticks)):
                self._do(self.rng.choices(*self._choices())[0])
            self.advance(tick.total_seconds())
            self.step()
            if number % max(1, int(timedelta(days=1) / tick)) == 0:
                self.reconcile()

    def step(self) -> None:
        """What is due now: webhooks of either side, the polls, and Warmline's own work."""
        self.box.greenhouse.outbox.deliver_due()
        self.box.hubspot.outbox.deliver_due()
        for name in ("ats", "crm"):
            poll(self.runtime, name)
        run_until_idle(self.runtime, self.worker)

    def reconcile(self) -> None:
        """What the engine does over a day: the looks that follow the polls, once round, and the
        comparison, which goes on where the vendor asked to wait or failed."""
        for name in ("ats", "crm"):
            for _ in range(TRIES):
                look_for_missing(self.runtime, name)
                if not Cursor.objects.filter(connection=name, stream="absent").exclude(position=""):
                    break
                self.advance(POLL_S)
            self._compare(name, repair=True)
        run_until_idle(self.runtime, self.worker)

    def _compare(self, name: str, *, repair: bool) -> list[Difference]:
        differences: list[Difference] = []
        after = 0
        for _ in range(TRIES):
            try:
                found = compare(self.runtime, name, repair=repair, after=after)
            except WarmlineError:  # the vendor fails at times
                self.deeds["comparison cut off"] += 1
                self.advance(LOOK_EVERY_S)
                continue
            differences += found.differences
            after = found.after
            if found.finished:
                return differences
            self.advance(found.after_s or LOOK_EVERY_S)
        raise AssertionError(f"{name} was never compared to the end")

    def settle(self) -> None:
        """The vendors are well again; what was lost is found."""
        self._faults(on=False)
        for _ in range(6):
            self.advance(6 * HOUR_S)
            self.step()
            self.reconcile()

    def _choices(self) -> tuple[list[Callable[[], None]], list[int]]:
        deeds = {
            self._move: 30, self._reject: 8, self._hire: 2, self._interview: 8, self._rename: 8,
            self._retag: 6, self._again: 8, self._delete: 1, self._edit_in_crm: 8,
            self._no_in_crm: 2, self._no_here: 3, self._mark_in_ats: 1, self._reply: 4,
            self._click: 6, self._delete_in_crm: 1,
        }  # fmt: skip
        return list(deeds), list(deeds.values())

    def _do(self, deed: Callable[[], None]) -> None:
        try:
            deed()
        except (LookupError, _NotNow):
            return
        self.deeds[deed.__name__.strip("_")] += 1

    def _faults(self, *, on: bool) -> None:
        for plan, rules in ((self.box.greenhouse.faults, _ATS_FAILS),
                            (self.box.hubspot.faults, _CRM_FAILS)):  # fmt: skip
            _set(plan, rules if on else (), self.rng)
        ways = (
            {"kind": "drop", "share": LOST},
            {"kind": "duplicate", "share": DOUBLED},
            {"kind": "reorder", "share": HELD_UP, "seconds": HOUR_S},
        )
        for outbox in (self.box.greenhouse.outbox, self.box.hubspot.outbox):
            _set(outbox.faults, ways if on else (), self.rng)

    # What people do

    def _somebody(self) -> Person:
        return self.rng.choice([one for one in self.people if one.records])

    def _application(self) -> int:
        return self.rng.choice(list(self.open))

    def _apply(self) -> None:
        number = len(self.people)
        email = f"p{number}@people.example"
        row = self.box.greenhouse.apply(
            {"first_name": f"Ada{number}", "last_name": f"Lind{number}", "email": email}
        )
        self.people.append(Person([row["candidate_id"]], {email}))
        self.open[row["id"]] = number

    def _again(self) -> None:
        """For another job: on their record, or by a new one under the same address."""
        one = self._somebody()
        if self.rng.random() < 0.5:
            row = self.box.greenhouse.apply(candidate_id=one.records[0])
        else:
            row = self.box.greenhouse.apply(
                {"first_name": "A", "last_name": "Lind", "email": min(one.emails).upper()}
            )
            one.records.append(row["candidate_id"])
        self.open[row["id"]] = self.people.index(one)

    def _move(self) -> None:
        self.box.greenhouse.move(self._application(), self.rng.choice(STAGES))

    def _reject(self) -> None:
        number = self._application()
        self.box.greenhouse.reject(number)
        del self.open[number]

    def _hire(self) -> None:
        number = self._application()
        self.box.greenhouse.hire(number)
        del self.open[number]

    def _interview(self) -> None:
        at = self.runtime.now() + timedelta(days=self.rng.randint(1, 9))
        self.box.greenhouse.schedule_interview(self._application(), at, at + timedelta(hours=1))

    def _rename(self) -> None:
        one = self._somebody()
        name = f"Eva{self.rng.randrange(10**6)}"
        for record in one.records:
            self.box.greenhouse.update_candidate(record, first_name=name)

    def _retag(self) -> None:
        record = self._somebody().records[0]
        row = self.box.greenhouse.world.candidates.get(record)
        kept = [tag for tag in row["tags"] if tag.startswith(("warmline", "do-not"))]
        tags = [*kept, self.rng.choice(["python", "baker", "sales"])]
        self.box.greenhouse.update_candidate(record, tags=tags)

    def _delete(self) -> None:
        one = self._somebody()
        if len(one.records) > 1 or one.said_no or one.marked:
            raise _NotNow
        self.box.greenhouse.delete_candidate(one.records.pop())
        number = self.people.index(one)
        self.open = {a: n for a, n in self.open.items() if n != number}

    def _mark_in_ats(self) -> None:
        one = self._somebody()
        for record in one.records:
            self.box.greenhouse.update_candidate(record, can_email=False)
        one.marked = True

    def _contact(self) -> str:
        one = self._somebody()
        email = min(one.emails)
        if self.box.hubspot.contacts.find(email, "email") is None:
            raise _NotNow
        return email

    def _edit_in_crm(self) -> None:
        """Somebody writes over what is the ATS's."""
        name = self.rng.choice(["applied_role", "recruiter_owner", "lastname"])
        self.box.hubspot.set_property(self._contact(), name, f"edited {self.rng.random():.4f}")

    def _no_in_crm(self) -> None:
        email = self._contact()
        self.box.hubspot.opt_out(email)
        self._whose(email).said_no = True

    def _reply(self) -> None:
        self.box.hubspot.reply(self._contact())

    def _click(self) -> None:
        self.box.hubspot.click(self._contact())

    def _delete_in_crm(self) -> None:
        raise _NotNow  # a contact that a person deleted is not made again without a cause

    def _no_here(self) -> None:
        messages = Message.objects.filter(status="handed_off").order_by("pk")
        count = messages.count()
        if not count:
            raise _NotNow
        message = messages[self.rng.randrange(count)]
        unsubscribe(self.runtime, message.pk, how="one-click")
        self._whose(message.to_address).said_no = True

    def _whose(self, email: str) -> Person:
        return next(one for one in self.people if email.lower() in one.emails)

    # What must hold

    def found(self) -> Found:
        found = Found()
        contacts: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for contact in self.box.hubspot.all_contacts():
            for email in contact["emails"]:
                contacts[email.lower()].append(contact)
        for number, one in enumerate(self.people):
            found.wrong += [f"person {number}: {why}" for why in self._wrong(one, contacts)]
        for name in ("ats", "crm"):
            left = self._compare(name, repair=False)
            found.wrong += [f"{name}: {d.what} of record {d.record}" for d in left]
        found.writes_at_rest = self._writes_at_rest()
        self._count(found)
        return found

    def _wrong(self, one: Person, contacts: Mapping[str, list[Mapping[str, Any]]]) -> list[str]:
        wrong: list[str] = []
        ids = {c["id"] for email in one.emails for c in contacts.get(email, ())}
        if len(ids) > 1:
            wrong.append(f"contacts {sorted(ids)}")
        rows = [self.box.greenhouse.world.candidates.get(record) for record in one.records]
        if one.said_no:
            wrong += [f"record {r['id']} may be written to" for r in rows if r["can_email"]]
        if one.said_no or one.marked:
            wrong += [
                "not opted out in the CRM"
                for email in one.emails
                if ids and not self.box.hubspot.subscriptions.none_at_all(email)
            ]
        if rows and ids:
            (contact,) = {c["id"]: c for e in one.emails for c in contacts.get(e, ())}.values()
            wrong += self._fields(contact["properties"], rows)
        return wrong

    def _fields(self, there: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> list[str]:
        newest = max(rows, key=lambda row: row["updated_at"])
        world = self.box.greenhouse.world
        mine = [
            a for a in world.applications.rows.values()
            if a["candidate_id"] in {row["id"] for row in rows}
        ]  # fmt: skip
        last = max(mine, key=lambda a: (a["applied_at"] or a["created_at"], a["id"]), default=None)
        expected = {"lastname": newest["last_name"]} if len(rows) == 1 else {}
        if len(rows) == 1:
            expected["firstname"] = newest["first_name"]
        if last is not None:
            expected["applied_role"] = world.jobs.get(last["job_id"])["name"]
        return [
            f"{name} is {there.get(name)!r}, expected {value!r}"
            for name, value in expected.items()
            if there.get(name) != value
        ]

    def _writes_at_rest(self) -> int:
        """Nobody does anything for a day: nothing is written to either side."""
        before = self._writes()
        for _ in range(4):
            self.advance(6 * HOUR_S)
            self.step()
        self.reconcile()
        return self._writes() - before

    def _writes(self) -> int:
        total = 0
        for log in (self.box.greenhouse.log, self.box.hubspot.log):
            by_call: dict[str, int] = log.as_json()["by_call"]
            total += sum(
                n
                for call, n in by_call.items()
                if call.startswith(WRITES) and not call.split()[1].endswith(_READS)
            )
        return total

    def _count(self, found: Found) -> None:
        for name, outbox in (("ats", self.box.greenhouse.outbox), ("crm", self.box.hubspot.outbox)):
            for word, n in outbox.counts.items():
                found.counts[f"webhooks of {name}: {word}"] = n
        found.counts["people"] = len(self.people)
        found.counts["differences found and mended"] = Drift.objects.count()
        found.counts["actions"] = Action.objects.count()
        found.counts["writes"] = self._writes()


class _NotNow(Exception):
    """Nobody is there of whom this could be told."""


def _set(plan: FaultPlan, rules: tuple[Mapping[str, Any], ...], rng: random.Random) -> None:
    plan.clear()
    for rule in rules:
        plan.add({**rule, "seed": rng.randrange(2**31)})


def since(start: datetime, now: datetime) -> float:
    return (now - start) / timedelta(days=1)
