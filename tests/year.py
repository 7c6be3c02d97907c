"""A seeded year of candidates: they apply, are met, rejected or hired, read, click, answer, say no,
are merged and erased, in eight zones whose clocks are moved on different nights.

What people do in reaction to a mail they do to the mail that the catcher caught, by its own links,
over HTTP. Webhooks are signed, and taken in by `flows.intake`. At the end each mail caught is held
against what `tests.year_program` reckons from the story.
"""

from __future__ import annotations

import heapq
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from django.db.models import Count, Min

from tests.year_program import (
    FINAL,
    NOES,
    SILVER,
    WELCOME,
    Fact,
    Life,
    Mail,
    Program,
    Rules,
    may_leave,
)
from warmline.engine.work import Worker, run_through, run_until_idle
from warmline.flows.intake import receive
from warmline.flows.runtime import Runtime
from warmline.ports import Channel, Received
from warmline.sandbox.mailbox.store import open_mail
from warmline.sandbox.serve import Sandbox
from warmline.store.models import Action, Enrolment, Hit, Message
from warmline.store.statuses import ActionStatus, EnrolmentStatus, MessageStatus

PLACES = (
    ("Europe/Berlin", "DE", "Berlin, Germany"),
    ("America/New_York", "US", "New York, NY"),
    ("America/Santiago", "CL", "Santiago, Chile"),
    ("Australia/Sydney", "AU", "Sydney, Australia"),
    ("Asia/Kolkata", "IN", "Bangalore, India"),
    ("Europe/London", "GB", "London, UK"),
    ("America/Toronto", "CA", "Toronto, Canada"),
    ("Africa/Casablanca", "MA", "Casablanca, Morocco"),
)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/143.0 Safari/537.36"
SECRET = "user:pass"  # what the provider's webhooks carry
_BASIC = {"authorization": "Basic dXNlcjpwYXNz", "content-type": "application/json"}
_LINK = re.compile(r'(?:href|src)="(http://127\.0\.0\.1:\d+/([a-z])/[^"]+)"')
_TRAP = re.compile(r"/c/\d+-\d+-0-")  # the link that no person can see
JUDGED = timedelta(seconds=61)
MONTH = timedelta(days=30)  # what the preference page calls one
# The story's project: no exports to a CRM, whose calls are another test's, but every rule on mails.
_TRIGGERS = """triggers:
  - {on: application.submitted, from: ats, do: sequence.enrol, in: crm, with: {sequence: welcome}}
  - {name: silver medalist, on: application.rejected, from: ats,
     when: 'application.reached in ["final", "offer"]',
     do: sequence.enrol, in: crm, with: {sequence: silver-medalist}}
  - {name: answered, on: message.replied, from: mail,
     do: candidate.flag, in: ats, pass: [click_date, email_subject]}
  - {name: keep me posted, on: candidate.reengaged, from: warmline,
     do: candidate.flag, in: ats, pass: [click_date, email_subject, link_url]}
  - {name: clicked in a mail, on: message.clicked, from: warmline,
     when: 'event.confidence == "human"',
     do: candidate.flag, in: ats, pass: [click_date, email_subject, link_url]}
  - {name: unsubscribed here, on: candidate.unsubscribed, from: warmline,
     do: candidate.do_not_contact, in: ats, pass: [unsubscribe_date]}

"""


def prepare(folder: Path, provider_url: str) -> Rules:
    """The starter project as the year plays it; what its rules say."""
    path = folder / "warmline.yaml"
    text = path.read_text()
    mail = f"connector: anymail\n    provider: postmark\n    api_url: {provider_url}/postmark/\n"
    text, count = re.subn(r"connector: smtp\n(    (host|port|tls):.*\n)+", mail, text)
    assert count == 1
    text = re.sub(r"triggers:\n.*?(?=# How often the ATS)", _TRIGGERS, text, flags=re.DOTALL)
    old = "  frequency: {mails: 4, days: 30}"
    assert old in text
    rules = Rules()
    months = rules.canada_months
    text = text.replace(
        old,
        f"  frequency: {{mails: {rules.cap}, days: {rules.cap_days}}}\n"
        '  quiet_hours: {from: "20:00", to: "08:00"}\n'
        f"  consent: {{CA: {{application_months: {months}, relationship_months: {months}}}}}\n #",
    )
    path.write_text(text)
    silver = folder / "sequences" / SILVER / "sequence.yaml"
    silver.write_text(
        silver.read_text().replace("reentry_days: 365", f"reentry_days: {rules.reentry.days}")
    )
    for letter in (folder / "sequences").glob("*/*.md"):  # something to click in each
        letter.write_text(f"{letter.read_text()}\n[Our jobs](https://careers.example.com/jobs)\n")
    pieces = sorted((folder / "sequences" / "library").glob("*.md"))
    subjects = [
        line.removeprefix("subject: ").strip("'\" ")
        for piece in pieces
        for line in piece.read_text().splitlines()
        if line.startswith("subject: ")
    ]
    return Rules(library=subjects)


@dataclass(slots=True)
class Person(Life):
    """Somebody of the story, and their record in the ATS. `open`: the application in process."""

    city: str = ""
    record: int = 0
    open: int = 0
    merged_with: Person | None = None
    merged_at: datetime | None = None
    flags_due: int = 0
    scanned_only: bool = True

    @property
    def email(self) -> str:
        return f"p{self.number}@people.example"

    def since(self, *words: str) -> datetime | None:
        """The last time that it happened."""
        return max((f.at for f in self.facts if f.what in words), default=None)

    def gone(self) -> bool:
        return self.first(*NOES, "hired") is not None


@dataclass(slots=True)
class Found:
    """What is wrong at the end, in words."""

    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Caught:
    """One mail of the catcher. `number`: the catcher's, which is the provider's too."""

    number: int
    at: datetime
    to: str
    sender: str
    step: str
    subject: str
    message_id: str
    raw: bytes

    def links(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for url, kind in _LINK.findall(open_mail(self.raw).html):
            found["trap" if _TRAP.search(url) else kind].append(url.replace("&amp;", "&"))
        return found


class Year:
    """`move` sets the virtual clock. `client` reaches the public pages."""

    def __init__(
        self,
        runtime: Runtime,
        worker: Worker,
        box: Sandbox,
        move: Callable[[datetime], object],
        client: httpx.Client,
        rules: Rules,
        *,
        people: int,
        days: int,
        seed: int,
        grid_hours: int = 1,
        told: Callable[[datetime], object] = lambda at: None,
    ) -> None:
        self.grid_hours = grid_hours
        self.runtime, self.worker, self.box, self.move = runtime, worker, box, move
        self.client, self.rules, self.told = client, rules, told
        self.begins: datetime = runtime.now()
        self.ends = self.begins + timedelta(days=days)
        self.seed, self.rng = seed, random.Random(seed)
        self.people: list[Person] = []
        self.mails: list[Caught] = []
        self.deeds: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._heap: list[tuple[datetime, int, Callable[[], None]]] = []
        self._order = self._looked_at = 0
        for number in range(people):
            self._born(number, days)

    # The story

    def _at(self, moment: datetime, deed: Callable[[], None]) -> None:
        """Deeds are done at ten past the hour, or each so many hours, so that the clock has to
        stop less often."""
        on_time = moment.replace(minute=10, second=0, microsecond=0)
        on_time -= timedelta(hours=on_time.hour % self.grid_hours)
        if on_time < moment:
            on_time += timedelta(hours=self.grid_hours)
        self._order += 1
        heapq.heappush(self._heap, (on_time, self._order, deed))

    def _born(self, number: int, days: int) -> None:
        rng = self.rng
        zone, country, city = PLACES[number % len(PLACES)]
        one = Person(number, zone, country, city=city)
        self.people.append(one)
        at = self.begins + timedelta(hours=rng.uniform(0, 24 * days * 0.6))
        self._at(at, lambda: self._apply(one))
        for share, deed in ((0.03, self._mark), (0.02, self._delete), (0.02, self._anonymize)):
            if rng.random() < share:
                self._at(at + timedelta(days=rng.uniform(1, days)), _of(deed, one))
        for again in (0.2, 0.05):
            if rng.random() < again:
                late = at + timedelta(days=rng.uniform(40, 40 + days * 0.6))
                self._at(late, _of(self._apply, one))
        if number % len(PLACES) == number % 24 and number >= len(PLACES) and rng.random() < 0.6:
            other = self.people[number - len(PLACES)]
            late = at + timedelta(days=rng.uniform(20, days * 0.6))
            self._at(late, lambda: self._merge(one, other))

    def _fact(self, one: Person, what: str, until: datetime | None = None) -> None:
        one.facts.append(Fact(self.runtime.now(), what, one.open, until))
        self.deeds[what] += 1

    def _ats(self, verb: str, *args: Any, lost: bool = False, **fields: Any) -> Any:
        """Something happens in the ATS; its webhooks arrive, unless they are lost."""
        with self.box.greenhouse.captured() as webhooks:
            row = getattr(self.box.greenhouse, verb)(*args, **fields)
        for headers, body in () if lost else webhooks:
            self._receive("ats", headers, body)
        return row

    def _receive(self, name: str, headers: Mapping[str, str], body: bytes, query: str = "") -> None:
        lower = {key.lower(): value for key, value in headers.items()}
        url = f"{self.runtime.project.public_url}/in/{name}{query}"
        now = self.runtime.now()
        receive(self.runtime, name, Received(Channel.WEBHOOK, body, now, lower, "POST", url))

    def _apply(self, one: Person) -> None:
        if one.open or one.merged_with or one.first("erased", "hired"):
            return
        rng = self.rng
        if one.record:
            row = self._ats("apply", candidate_id=one.record)
        else:
            told = {
                "first_name": f"Ada{one.number}",
                "last_name": f"Lind{one.number}",
                "email": one.email,
                "city": one.city,
            }
            row = self._ats("apply", told)
        one.record, one.open = row["candidate_id"], row["id"]
        self._fact(one, "applied")
        now, way = self.runtime.now(), rng.random()
        met = now + timedelta(days=rng.uniform(0.3, 12))
        over = met + timedelta(days=rng.uniform(0.3, 14))
        if way < 0.7:
            self._at(met, _of(self._meet, one))
            self._at(over, _of(self._reject if way < 0.6 else self._hire, one))
        elif way < 0.85:
            self._at(over, _of(self._reject, one))
        elif way < 0.9:
            self._at(over, _of(self._hire, one))

    def _meet(self, one: Person) -> None:
        if one.open and not one.first("erased"):
            self._ats("move", one.open, "Final Interview")
            self._fact(one, FINAL)

    def _reject(self, one: Person) -> None:
        if one.open and not one.first("erased"):
            self._ats("reject", one.open)
            self._fact(one, "rejected")
            one.open = 0

    def _hire(self, one: Person) -> None:
        if one.open and not one.first("erased"):
            self._ats("hire", one.open, lost=self.rng.random() < 0.3)
            self._fact(one, "hired")
            one.open = 0

    def _mark(self, one: Person) -> None:
        if one.record and not one.first("erased") and not one.merged_with:
            self._ats("update_candidate", one.record, can_email=False)
            self._fact(one, "marked")

    def _delete(self, one: Person) -> None:
        if one.record and not one.first("erased") and not one.merged_with:
            self._ats("delete_candidate", one.record)
            self._fact(one, "erased")
            one.open = 0

    def _anonymize(self, one: Person) -> None:
        if one.record and not one.first("erased") and not one.merged_with:
            self._ats("anonymize", one.record)
            self._fact(one, "erased")
            one.open = 0

    def _merge(self, one: Person, other: Person) -> None:
        """Of two whose process is over; what they did before stays theirs."""
        now = self.runtime.now()
        for each in (one, other):
            began = each.since("rejected")
            silver = [f for f in each.facts if f.what == FINAL]
            if each.open or began is None or not silver or each.merged_with:
                return
            if each.first("erased", "hired", "bounced", "marked") or len(silver) > 1:
                return
            if now - began < timedelta(days=1):
                return
        self._ats("merge", one.record, other.record)
        one.merged_with, other.merged_with = other, one
        one.merged_at = other.merged_at = now
        other.record = one.record
        self.deeds["merged"] += 1

    # What people do with a mail

    def _react(self, mail: Caught) -> None:
        one = self._whose(mail)
        rng = random.Random(f"{self.seed} {one.number} {mail.step} {mail.at}")
        later = mail.at + timedelta(hours=rng.uniform(2, 40))
        links = mail.links()
        if rng.random() < 0.14:
            kinds = "kpuv" if rng.random() < 0.5 else ("trap", *"kpuv")
            # On the mail's road, or when it has lain in the inbox for a while.
            wait = timedelta(minutes=20) if rng.random() < 0.6 else timedelta(0)
            self._soon(wait, lambda: self._scan(one, links, kinds))
        if rng.random() < 0.25:
            self._at(later, lambda: self._get(links["o"][:1], "opened"))
        if rng.random() < 0.15 and links["c"]:
            self._at(later, lambda: self._click(one, links["c"][-1:]))
        acts: list[tuple[float, Callable[[], None]]] = [
            (0.015, lambda: self._answer(one, mail)),
            (0.02, lambda: self._away(mail)),
            (0.007, lambda: self._told(one, mail, "Bounce", "bounced", Type="HardBounce")),
            (0.006, lambda: self._told(one, mail, "SpamComplaint", "complained")),
            (0.012, lambda: self._no(one, links)),
            (0.01, lambda: self._pause(one, links)),
        ]
        if mail.step == f"{SILVER}/4":
            acts.append((0.3, lambda: self._press(one, links, "kept posted")))
        if mail.step == f"{SILVER}/1":
            acts.append((0.3, lambda: self._press(one, links, "agreed")))
        point = rng.random()
        for share, act in acts:
            if point < share:
                self._at(later, act)
                return
            point -= share

    def _whose(self, mail: Caught) -> Person:
        return self.people[int(mail.to.partition("@")[0].removeprefix("p"))]

    def _get(self, urls: list[str], what: str, method: str = "GET") -> None:
        for url in urls:
            self.client.request(method, url, headers={"user-agent": BROWSER})
        self.deeds[what] += 1

    def _scan(self, one: Person, links: Mapping[str, list[str]], kinds: Iterable[str]) -> None:
        """Every link at once, by what calls itself a browser; with the one that nobody sees, or
        without. HEAD and GET, the pages of a no and of a yes among them."""
        urls = [url for kind in ("c", *kinds) for url in links.get(kind, ())]
        self._get(urls, "scanner bursts")
        self._get(urls[-2:], "scanner heads", "HEAD")
        self._soon(JUDGED, lambda: None)
        # Looked at at once, before an act of their own can hide it.
        self._soon(2 * JUDGED, lambda: self.wrong.extend(self._flag_of(one)))

    def _click(self, one: Person, urls: list[str]) -> None:
        self._get(urls, "clicked")
        one.scanned_only = False
        self._soon(JUDGED, lambda: None)

    def _soon(self, wait: timedelta, deed: Callable[[], None]) -> None:
        self._order += 1
        heapq.heappush(self._heap, (self.runtime.now() + wait, self._order, deed))

    def _press(self, one: Person, links: Mapping[str, list[str]], what: str) -> None:
        if not links.get("k") or one.first(*NOES):
            return
        answer = self.client.post(
            links["k"][0], data={"act": "yes"}, headers={"user-agent": BROWSER}
        )
        assert answer.status_code == 200, answer.text
        one.scanned_only = False
        self._fact(one, what)

    def _no(self, one: Person, links: Mapping[str, list[str]]) -> None:
        answer = self.client.post(links["u"][0], data={"List-Unsubscribe": "One-Click"})
        assert answer.status_code == 200, answer.text
        one.scanned_only = False
        self._fact(one, "unsubscribed")

    def _pause(self, one: Person, links: Mapping[str, list[str]]) -> None:
        if not links.get("p") or one.merged_with or one.first(*NOES):
            return
        page = self.client.get(links["p"][0], headers={"user-agent": BROWSER}).text
        topics = re.findall(r'name="topic"[^>]*value="([^"]+)"', page)
        form = {"act": "save", "pause": "1", "days": "0", "language": "", "topic": topics}
        answer = self.client.post(links["p"][0], data=form, headers={"user-agent": BROWSER})
        assert answer.status_code == 200, answer.text
        self._fact(one, "paused", self.runtime.now() + MONTH)

    def _answer(self, one: Person, mail: Caught) -> None:
        self._inbound(mail, "Yes, gladly.", {})
        one.scanned_only = False
        self._fact(one, "replied")

    def _away(self, mail: Caught) -> None:
        """A machine's answer is none."""
        self._inbound(mail, "I am away.", {"Auto-Submitted": "auto-replied"})
        self.deeds["out of office"] += 1

    def _inbound(self, mail: Caught, text: str, more: Mapping[str, str]) -> None:
        now = self.runtime.now()
        heads = {
            "From": mail.to,
            "To": mail.sender,
            "Subject": f"Re: {mail.subject}",
            "Message-ID": f"<{mail.number}.{now:%s}@people.example>",
            "In-Reply-To": mail.message_id,
            "Date": now.strftime("%a, %d %b %Y %H:%M:%S +0000"),
            **more,
        }
        raw = "".join(f"{k}: {v}\r\n" for k, v in heads.items()) + f"\r\n{text}\r\n"
        body = json.dumps({"RawEmail": raw, "MessageID": f"in-{mail.number}", "Headers": []})
        self._receive("mail", _BASIC, body.encode(), "?kind=inbound")

    def _told(self, one: Person, mail: Caught, kind: str, what: str, **said: str) -> None:
        stamp = self.runtime.now().strftime("%Y-%m-%dT%H:%M:%SZ")
        body = {
            "RecordType": kind, "ID": mail.number, "MessageID": f"{mail.number:08x}-sandbox",
            "Email": mail.to, "BouncedAt": stamp, "Type": kind, **said,
        }  # fmt: skip
        self._receive("mail", _BASIC, json.dumps(body).encode())
        self._fact(one, what)

    # The clock

    def play(self) -> None:
        """From due moment to due moment, up to the end."""
        while True:
            self._settle()
            self._collect()
            now = self.runtime.now()
            self.told(now)
            moment = min(self._due(now), now + timedelta(days=1))
            if self._heap:
                moment = min(moment, self._heap[0][0])
            if moment >= self.ends:
                break
            self.move(max(moment, now))
            while self._heap and self._heap[0][0] <= self.runtime.now():
                heapq.heappop(self._heap)[2]()

    def _settle(self) -> None:
        run_through(self.runtime, self.worker)
        twice = (
            Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE)
            .values("candidate").annotate(n=Count("id")).filter(n__gt=1)
        )  # fmt: skip
        if self.deeds["stops"] % 50 == 0:
            for row in twice:
                now = self.runtime.now()
                self.wrong.append(
                    f"candidate {row['candidate']} is on two sequences on {now:%d %b}"
                )
        self.deeds["stops"] += 1

    def _due(self, now: datetime) -> datetime:
        timers = (
            (Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE), "next_due_at"),
            (Message.objects.filter(status=MessageStatus.PLANNED), "due_at"),
            (Action.objects.filter(status=ActionStatus.PLANNED), "due_at"),
        )
        found = [
            rows.filter(**{f"{name}__gt": now}).aggregate(first=Min(name))["first"]
            for rows, name in timers
        ]
        return min((at for at in found if at is not None), default=self.ends)

    def _collect(self) -> None:
        """What the catcher caught since the last look; people begin to react to it."""
        store = self.box.mailbox.store
        fresh, self._looked_at = store.received - self._looked_at, store.received
        for mail in reversed(store.newest(fresh)) if fresh else ():
            heads = mail.headers()
            if "x-warmline-step" not in heads:
                self.deeds["recruiters told"] += 1
                continue
            caught = Caught(
                mail.id, datetime.fromisoformat(mail.received_at), mail.rcpt_to[0],
                heads.get("from", ""), heads["x-warmline-step"], mail.subject(),
                heads.get("message-id", ""), store.raw(mail),
            )  # fmt: skip
            self.mails.append(caught)
            self._react(caught)

    # What must hold

    def found(self) -> Found:
        run_until_idle(self.runtime, self.worker)
        found = Found(list(self.wrong))
        got: dict[str, list[Caught]] = defaultdict(list)
        for mail in self.mails:
            got[mail.to].append(mail)
        done: set[int] = set()
        for one in self.people:
            if one.number in done:
                continue
            lives = [one]
            if one.merged_with is not None:
                # Whoever was known first is the one who stays.
                lives = sorted([one, one.merged_with], key=lambda p: p.facts[0].at)
            done |= {life.number for life in lives}
            expected = Program(lives, one.merged_at, self.rules).mails(self.ends)
            caught = sorted((m for p in lives for m in got[p.email]), key=lambda m: m.number)
            found.wrong += self._compared(lives, expected, caught)
        found.wrong += self._ledger() + self._flags()
        found.counts = self.deeds + Counter({"mails": len(self.mails), "people": len(self.people)})
        return found

    def _compared(
        self, lives: list[Person], expected: list[Mail], caught: list[Caught]
    ) -> list[str]:
        one = lives[0]
        who = " and ".join(f"person {p.number} ({p.zone})" for p in lives)
        wrong = []
        should = Counter((m.at, m.step, m.piece) for m in expected)
        did = Counter((m.at, m.step, m.subject if self._monthly(m) else "") for m in caught)
        for (at, step, piece), n in (should - did).items():
            wrong.append(f"{who} should have got {n} times {Mail(at, step, piece)}")
        for (at, step, piece), n in (did - should).items():
            wrong.append(f"{who} got {n} times {Mail(at, step, piece)}, which nothing says")
        had: set[tuple[str, str]] = set()
        for m in filter(self._monthly, caught):
            # Before they were one, either may have had what the other had.
            to = [p.email for p in lives] if one.merged_at and m.at >= one.merged_at else [m.to]
            if any((address, m.subject) in had for address in to):
                wrong.append(f"{who} got the piece {m.subject!r} again at {m.at:%d %b %H:%M}")
            had.add((m.to, m.subject))
        nurture = [m for m in caught if m.step != f"{WELCOME}/1"]
        for m in nurture:
            window = m.step.startswith(SILVER)
            if not may_leave(m.at, one, self.rules, window=window):
                local = m.at.astimezone(ZoneInfo(one.zone))
                wrong.append(f"{who} got {m.step} at {local:%a %d %b %H:%M} where they are")
        cap, days = self.rules.cap, timedelta(days=self.rules.cap_days)
        merged = one.merged_at or self.ends
        for m in nurture if len(lives) == 1 else [m for m in nurture if m.at >= merged]:
            lately = [o for o in nurture if m.at - days < o.at <= m.at]
            if len(lately) > cap:
                wrong.append(
                    f"{who} got {len(lately)} mails within {days.days} days to {m.at:%d %b}"
                )
        for life in lives:
            no = life.first(*NOES)
            for m in caught:
                same = m.to == life.email or m.at >= merged
                if no is not None and same and m.at > no and (merged > no or m.at >= merged):
                    wrong.append(f"{who} got {m.step} at {m.at:%d %b %H:%M}, after a no at {no}")
        return [*wrong, f"{who}: {_story(lives)}"] if wrong else []

    def _monthly(self, mail: Caught) -> bool:
        sequence, _, step = mail.step.partition("/")
        return sequence == SILVER and step.isdigit() and int(step) > 4

    def _ledger(self) -> list[str]:
        odd = (MessageStatus.CLAIMED, MessageStatus.SENDING, MessageStatus.UNKNOWN)
        wrong = [
            f"message {pk} is left {status}"
            for pk, status in Message.objects.filter(status__in=odd).values_list("pk", "status")
        ]
        left = Message.objects.filter(status=MessageStatus.HANDED_OFF).count()
        if left != len(self.mails):
            wrong.append(f"{left} mails were handed over, and {len(self.mails)} caught")
        unjudged = Hit.objects.filter(judge_at__lt=self.runtime.now()).count()
        return [*wrong, f"{unjudged} hits were never judged"] if unjudged else wrong

    def _flags(self) -> list[str]:
        """The ATS has a flag on whoever did something, and on nobody whom a scanner visited."""
        return [why for one in self.people for why in self._flag_of(one)]

    def _flag_of(self, one: Person) -> list[str]:
        row = self.box.greenhouse.world.candidates.rows.get(one.record)
        if row is None or one.merged_with or one.first("erased"):
            return []
        flagged = "warmline:re-engaged" in row["tags"]
        if flagged and one.scanned_only:
            return [f"person {one.number} did nothing, and the ATS has a flag"]
        if one.first("replied", "kept posted") and not flagged:
            return [f"person {one.number} answered, and the ATS has no flag"]
        return []


def _of(deed: Callable[[Person], None], one: Person) -> Callable[[], None]:
    return lambda: deed(one)


def _story(lives: list[Person]) -> str:
    told = [(fact.at, f"{life.number} {fact.what}") for life in lives for fact in life.facts]
    told += [(at, "merged") for at in {life.merged_at for life in lives} if at is not None]
    return ", ".join(f"{what} {at:%d %b %H:%M}" for at, what in sorted(told))
