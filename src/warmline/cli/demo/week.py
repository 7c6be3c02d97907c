"""The demo's week, played: people act on the simulators, and Warmline does what is due.

Virtual time jumps from one event to the next. Webhooks, vendor calls, mails and unsubscribe clicks
go over real HTTP and SMTP; Warmline's lanes are drained in this thread, so that a seed gives the
same week each time.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from django.db.models import Count, Min

from warmline.cli.demo.checks import Applicant
from warmline.cli.demo.script import END, START, Deed, Role, Scene, Script
from warmline.engine.work import Worker, run_until_idle
from warmline.flows.everybody import survey
from warmline.flows.first_sync import allow
from warmline.flows.interpret import drain
from warmline.flows.reconcile import poll, read_history
from warmline.flows.runtime import Runtime
from warmline.flows.settle import settle, waiting_for_a_word
from warmline.flows.tag_all import plan_tags, write_tags
from warmline.sandbox.clock import VirtualClock, parse_iso
from warmline.sandbox.serve import Sandbox
from warmline.store.models import Action, Cursor, Enrolment, Event, Message, Suppression
from warmline.store.statuses import ActionStatus, EnrolmentStatus, MessageStatus

_OFTEN, _SELDOM = timedelta(minutes=5), timedelta(hours=3)
_STANDSTILL_MAX = 1000
# What the CRM does to our calls all week, and while it is down.
_CRM_RESTLESS = (
    {"kind": "rate_limited", "share": 0.03},
    {"kind": "timeout_after", "share": 0.02},
)
_CRM_DOWN = ({"kind": "error"},)
_API = "/crm/v3/objects"
_BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
_ONE_CLICK = {"List-Unsubscribe": "One-Click"}  # RFC 8058, section 3.1

Show = Callable[[datetime, int, int], None]
"""Told the virtual time, the applications so far, and the mails so far."""


class Week:
    """One play. `applicants` is what the players know of the people, for the checks."""

    def __init__(
        self, script: Script, box: Sandbox, runtime: Runtime, clock: VirtualClock, *, seed: int
    ) -> None:
        self.script, self.box, self.runtime, self.clock = script, box, runtime, clock
        self.applicants: list[Applicant] = []
        self.applications = self.polls = 0
        self.before: list[dict[str, Any]] = []  # whom the ATS knew already, with their pasts
        self.scanner_changed: list[str] = []
        self.clicked: list[str] = []  # links that people followed in mails of the CRM
        self._numbers: dict[int, int] = {}  # person of the script -> number in `applicants`
        self._record: dict[int, int] = {}  # person -> candidate of the ATS
        self._application: dict[int, int] = {}  # person -> their first application
        self._interview: dict[int, int] = {}
        self._opting_out: list[Applicant] = []
        self._rng = random.Random(f"play {seed}")  # noqa: S311 - a play, no secret
        self._worker = Worker(runtime)
        self._web = httpx.Client(trust_env=False, timeout=10)
        self._scenes = list(reversed(script.scenes))
        self._poll_at: datetime | None = START
        self._timer = START
        for part in script.parts:
            self._mail_server(part.person.email, part.role, part.answers)
        self._crm(down=False)

    def prepare(self) -> None:
        """Before the first sync: whom the ATS has already is read, placed in a segment and tagged
        there, as `warmline segment --apply` does."""
        self.clock.set(START - timedelta(hours=1))
        read_history(self.runtime, "ats")
        while drain(self.runtime, "ats"):
            pass
        survey(self.runtime, write=True)
        plan_tags(self.runtime, "ats")
        write_tags(self.runtime, "ats", sleep=self._sleep)
        allow(self.clock())
        self.clock.set(START)

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def close(self) -> None:
        self._worker.close()
        self._web.close()

    def play(self, show: Show) -> None:
        """From the first Monday to the last mail."""
        still = 0
        while (at := self._next()) < END:
            still = 0 if at > self.clock() else still + 1
            if still > _STANDSTILL_MAX:
                raise RuntimeError(f"the demo stands still at {at}")
            self.clock.set(max(at, self.clock()))
            self.step()
            show(self.clock(), self.applications, self.box.mailbox.store.received)
        self.clock.set(END)
        self.step()
        show(END, self.applications, self.box.mailbox.store.received)

    def step(self) -> None:
        """Everything that happens at this moment."""
        now = self.clock()
        while self._scenes and self._scenes[-1].at <= now:
            self._do(self._scenes.pop())
        delivered = self.box.greenhouse.outbox.deliver_due()["delivered"]
        if crm := self.box.hubspot.outbox.deliver_due()["delivered"]:
            for one in self._opting_out:
                one.opted_out_at = now
            self._opting_out.clear()
        if polled := self._poll_at is not None and self._poll_at <= now:
            self._poll_at = None
            self.polls += 1
            poll(self.runtime, "ats")
        if delivered or crm or polled or self._timer <= now:
            run_until_idle(self.runtime, self._worker)
            self._timer = _next_timer()

    # When something happens next

    def _next(self) -> datetime:
        """The next event of the play, of the simulators, or of Warmline's own timers."""
        moments = [
            self._scenes[-1].at if self._scenes else None,
            _just_after(self.box.greenhouse.outbox.next_due()),
            _full_minute(self.box.hubspot.outbox.next_due()),
            self._poll_at,
            self._timer,
        ]
        return min(m for m in moments if m is not None)

    def _poll_by(self, every: timedelta) -> None:
        """Something stands in the ATS to be polled: at the next full `every`, and not before."""
        since = (self.clock() - START) // every
        at = START + (since + 1) * every
        self._poll_at = at if self._poll_at is None else min(at, self._poll_at)

    # What people do

    def _do(self, scene: Scene) -> None:
        gh, who = self.box.greenhouse, scene.who
        application = self._application.get(who, 0)
        match scene.deed:
            case Deed.APPLY | Deed.APPLY_AGAIN | Deed.APPLY_ANEW:
                self._apply(scene)
            case Deed.CHANGE_PHONE:
                phone = [{"value": "+1 202 555 0199", "type": "mobile"}]
                self._tell(scene, gh.update_candidate, self._record[who], phone_numbers=phone)
            case Deed.GIVE_ADDRESS:
                self._give_address(scene)
            case Deed.SCAN | Deed.ONE_CLICK:
                self._open_mail(scene)
            case Deed.CRM_OPT_OUT:
                self._opt_out_in_crm(scene)
            case Deed.CRM_MAIL | Deed.CRM_SCAN | Deed.CRM_CLICK | Deed.CRM_POLL:
                self._crm_mail(scene)
            case Deed.SETTLE:
                for message in waiting_for_a_word():
                    settle(message.pk, arrived=True, who="a person", now=self.clock())
                self._timer = self.clock()
            case Deed.SCREEN | Deed.TO_INTERVIEW | Deed.TO_FINAL:
                self._move(scene)
            case Deed.SCHEDULE | Deed.RESCHEDULE:
                self._schedule(scene)
            case Deed.FEEDBACK:
                gh.submit_scorecard(application, self._rng.choice(("yes", "no", "strong_yes")))
                self._poll_by(_OFTEN)
            case Deed.REJECT:
                self._tell(scene, gh.reject, application)
            case Deed.HIRE:
                self._tell(scene, gh.hire, application)
            case Deed.CRM_DOWN | Deed.CRM_UP:
                self._crm(down=scene.deed is Deed.CRM_DOWN)

    def _tell(self, scene: Scene, verb: Callable[..., Any], *args: Any, **fields: Any) -> Any:
        """Do it in the ATS; its webhook goes the way that the script says."""
        outbox = self.box.greenhouse.outbox
        outbox.delay_s = (scene.delay_s, scene.delay_s)
        outbox.faults.clear()
        if scene.webhook == "lost":
            outbox.faults.add({"kind": "drop", "count": 1})
        elif scene.webhook == "doubled":
            outbox.faults.add({"kind": "duplicate", "count": 1})
        elif scene.webhook == "held_up":
            seconds, seed = 600, self._rng.randrange(2**31)
            outbox.faults.add({"kind": "reorder", "count": 1, "seconds": seconds, "seed": seed})
        # A poll that finds what webhooks told already changes nothing: most are left out here.
        self._poll_by(_OFTEN if scene.webhook in ("lost", "held_up") else _SELDOM)
        return verb(*args, **fields)

    def _apply(self, scene: Scene) -> None:
        part, gh = self.script.parts[scene.who], self.box.greenhouse
        person: dict[str, Any] = {
            "first_name": part.person.first_name,
            "last_name": part.person.last_name,
            "email": part.person.email,
            "phone": part.person.phone,
            "tags": part.person.tags,
        }
        again = None
        if scene.deed is Deed.APPLY_AGAIN:
            again = self._record[scene.who]
        elif scene.deed is Deed.APPLY_ANEW:
            person["email"] = part.person.email.title()  # people spell their address anew
        elif part.role is Role.ADDRESSLESS:
            del person["email"]
        job = self._rng.choice(list(gh.world.jobs.rows))
        row = self._tell(scene, gh.apply, person, job, candidate_id=again)
        self.applications += 1
        if scene.deed is not Deed.APPLY:
            return
        self._record[scene.who] = row["candidate_id"]
        self._application[scene.who] = row["id"]
        self._numbers[scene.who] = len(self.applicants)
        silent = part.role is Role.ADDRESSLESS
        self.applicants.append(
            Applicant(
                name=f"{part.person.first_name} {part.person.last_name}",
                emails=() if silent else (part.person.email,),
                applied_at=parse_iso(row["applied_at"]),
                works=part.role is not Role.DEAD,
                at_once=not silent,
                put_off=part.role is Role.PUT_OFF,
                undisturbed=part.role in (Role.PLAIN, Role.PUT_OFF, Role.SILENT, Role.SCANNED),
            )
        )

    def _give_address(self, scene: Scene) -> None:
        email = self.script.parts[scene.who].person.email
        self._tell(
            scene,
            self.box.greenhouse.update_candidate,
            self._record[scene.who],
            email_addresses=[{"value": email, "type": "personal"}],
        )
        self._one(scene.who).emails = (email,)

    def _open_mail(self, scene: Scene) -> None:
        """The newest mail is opened: by a scanner that follows the link, or by its owner."""
        one = self._one(scene.who)
        mails = self.box.mailbox.store.newest(1, to=one.emails[0])
        if not mails:
            self._later(scene)
            return
        url = mails[0].headers()["list-unsubscribe"].strip("<>")
        if scene.deed is Deed.SCAN:
            before = _standing()
            status = self._web.get(url).status_code
            if status != 200 or _standing() != before:
                self.scanner_changed.append(f"{one.name}: answered {status}")
            return
        answer = self._web.post(url, data=_ONE_CLICK)
        answer.raise_for_status()
        one.opted_out_at = self._timer = self.clock()

    def _opt_out_in_crm(self, scene: Scene) -> None:
        one = self._one(scene.who)
        if self.box.hubspot.contacts.find(one.emails[0], "email") is None:
            self._later(scene)
            return
        self.box.hubspot.opt_out(one.emails[0])
        self._opting_out.append(one)

    def _crm_mail(self, scene: Scene) -> None:
        """A mail of the CRM's own: a scanner follows its links at once, its owner later."""
        email, crm = self._one(scene.who).emails[0], self.box.hubspot
        link = f"https://jobs.example.com/{scene.who}"
        if scene.deed is Deed.CRM_MAIL:
            if crm.contacts.find(email, "email") is None or not self._read_crm():
                self._later(scene)
                return
            crm.send_mail(email, "What it is like to work here")
            self._later(scene, Deed.CRM_SCAN, timedelta(seconds=2))
        elif scene.deed is Deed.CRM_SCAN:
            for number in range(3):
                crm.click(email, url=f"{link}/{number}", agent=f"{_BROWSER} Proofpoint")
            self._later(scene, Deed.CRM_CLICK, timedelta(hours=3))
        elif scene.deed is Deed.CRM_CLICK:
            crm.click(email, url=f"{link}/1")
            self.clicked.append(f"{link}/1")
            self._later(scene, Deed.CRM_POLL, _OFTEN)
        elif not self._read_crm():
            self._later(scene)

    def _read_crm(self) -> bool:
        """Whether it could be read just now, to the last stream."""
        poll(self.runtime, "crm")
        self._timer = self.clock()
        return Cursor.objects.filter(
            connection="crm", stream="clicks", read_at=self.clock()
        ).exists()

    def _move(self, scene: Scene) -> None:
        gh = self.box.greenhouse
        application = gh.world.applications.get(self._application[scene.who])
        stages = gh.world.job_interview_stages.where("job_id", application["job_id"])
        names = [row["name"] for row in stages]
        name = names[1]
        if scene.deed is Deed.TO_INTERVIEW:
            name = next(n for n in names[2:] if "Interview" in n or "Face" in n)
        elif scene.deed is Deed.TO_FINAL:
            name = next(n for n in names if n.startswith("Final"))
        self._tell(scene, gh.move, application["id"], name)

    def _schedule(self, scene: Scene) -> None:
        gh, starts = self.box.greenhouse, scene.when
        assert starts is not None  # noqa: S101 - the script gives it
        ends = starts + timedelta(hours=1)
        if scene.deed is Deed.SCHEDULE:
            user = self._rng.choice(gh.world.staff("interviewer"))
            row = gh.schedule_interview(self._application[scene.who], starts, ends, [user["id"]])
            self._interview[scene.who] = row["id"]
            self._one(scene.who).interview = (starts.isoformat(), user["name"])
        else:
            gh.reschedule_interview(self._interview[scene.who], starts, ends)
            _, name = self._one(scene.who).interview or ("", "")
            self._one(scene.who).interview = (starts.isoformat(), name)
        self._poll_by(_OFTEN)  # the vendor sends no webhook for interviews

    def _later(
        self, scene: Scene, deed: Deed | None = None, wait: timedelta = timedelta(hours=1)
    ) -> None:
        """What it needs is not there yet: an hour later it may be. Or what comes of it."""
        self._scenes.append(Scene(scene.at + wait, deed or scene.deed, scene.who))
        self._scenes.sort(key=lambda s: s.at, reverse=True)

    def _one(self, who: int) -> Applicant:
        return self.applicants[self._numbers[who]]

    # How the other side behaves

    def _crm(self, *, down: bool) -> None:
        faults = self.box.hubspot.faults
        faults.clear()
        for rule in _CRM_DOWN if down else _CRM_RESTLESS:
            faults.add({**rule, "path": _API, "seed": self._rng.randrange(2**31)})

    def _mail_server(self, email: str, role: Role, answers: int) -> None:
        faults = self.box.mailbox.faults
        if role is Role.DEAD:
            faults.add({"kind": "refuse", "path": email})
        elif role is Role.PUT_OFF:
            faults.add({"kind": "later", "path": email, "count": answers})
        elif role is Role.SILENT:
            faults.add({"kind": "drop_after", "path": email, "count": 1})


def _next_timer() -> datetime:
    """When Warmline's own timers next run out: a mail, a retry, the next step of a sequence."""
    mails = Message.objects.filter(status=MessageStatus.PLANNED)
    actions = Action.objects.filter(status__in=[ActionStatus.PLANNED, ActionStatus.UNKNOWN])
    steps = Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE, next_due_at__isnull=False)
    moments: list[datetime | None] = [
        mails.aggregate(at=Min("due_at"))["at"],
        actions.aggregate(at=Min("due_at"))["at"],
        steps.aggregate(at=Min("next_due_at"))["at"],
    ]
    return min((m for m in moments if m is not None), default=END)


def _just_after(moment: datetime | None) -> datetime | None:
    """The simulator keeps finer time than a datetime, and hands out nothing before it is due."""
    return moment and moment + timedelta(microseconds=1)


def _full_minute(moment: datetime | None) -> datetime | None:
    """The CRM gathers its events and sends those of a minute together."""
    if moment is None:
        return None
    return datetime.fromtimestamp(-(-moment.timestamp() // 60) * 60, UTC)


def _standing() -> tuple[object, ...]:
    """What a look at a page must not change."""
    by_status = Message.objects.order_by("status").values_list("status").annotate(n=Count("id"))
    active = Enrolment.objects.filter(status=EnrolmentStatus.ACTIVE)
    return Event.objects.count(), Suppression.objects.count(), active.count(), list(by_status)
