"""An operator hears of any failure within a minute: real posts to a listener, real mail."""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import pytest

from tests.conftest import SECRETS, House
from tests.hook import Hook
from warmline.config.project import load
from warmline.core.errors import BadSignature, WarmlineError
from warmline.engine.work import run_until_idle, tick
from warmline.flows import alerts, drill
from warmline.flows.channels import channels_of
from warmline.flows.incidents import acknowledge, open_incident, resolve, resolve_by_hand
from warmline.flows.reconcile import poll
from warmline.store.db import writing
from warmline.store.models import Alert, Candidate, Incident
from warmline.store.statuses import AlertStatus, IncidentStatus

CANARY = "canary-4711-token"
TO = "ops@northwind.example"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


def configure(house: House, text: str) -> None:
    """The house with these lines in its warmline.yaml."""
    path = house.folder / "warmline.yaml"
    path.write_text(path.read_text().replace("\ncontent:", f"\n{text}\ncontent:", 1))
    runtime = house.runtime
    runtime.project = load(house.folder)
    runtime.channels = channels_of(runtime.project, runtime.connectors, house.clock)
    runtime.pages_url = "http://127.0.0.1:8025"


@pytest.fixture
def told(house: House, hook: Hook, monkeypatch: pytest.MonkeyPatch) -> House:
    """The house, with a listener and the operator's mailbox as channels."""
    monkeypatch.setenv("WARMLINE_ALERTS_PAGER", hook.url(CANARY))
    configure(house, f"alerts: {{to: [pager], mail: {TO}}}")
    return house


def go_on(house: House, seconds: int, *, step: int = 1) -> None:
    """Time passes, and the engine does what it does at each tick."""
    for _ in range(0, seconds, step):
        tick(house.runtime)
        run_until_idle(house.runtime, house.worker)
        house.clock.move(seconds=step)


def letters(house: House) -> list[str]:
    """What the operator's mailbox holds, oldest first."""
    found = []
    for mail in house.mails(TO):
        url = f"{house.box.mailbox_url}/api/messages/{mail['id']}"
        found.append(f"{mail['subject']}\n{httpx.get(url, trust_env=False).json()['text']}")
    return found


def fail(house: House, key: str, reason: str = "it broke", **more: object) -> Incident:
    with writing():
        open_incident(key, reason, now=house.clock(), **more)  # type: ignore[arg-type]
    return Incident.objects.get(key=key, resolved_at=None)


# Each kind of failure, made for real


def no_address(house: House) -> None:
    house.apply(email="")


def refused_contact(house: House) -> None:
    house.box.hubspot.contacts.definitions.pop("applied_role")
    house.apply()


def crm_down(house: House) -> None:
    house.box.hubspot.faults.add({"kind": "unavailable"})
    house.apply()


def crm_token_revoked(house: House) -> None:
    house.box.hubspot.token = "another"
    house.apply()


def ats_secret_revoked(house: House) -> None:
    house.box.greenhouse.faults.add({"kind": "plan"})
    poll(house.runtime, "ats")


def poll_fails(house: House) -> None:
    house.box.greenhouse.faults.add({"kind": "unavailable"})
    poll(house.runtime, "ats")


def a_stranger(house: House) -> None:
    house.clock.move(hours=1)  # strangers are written down once a second of the process
    with pytest.raises(BadSignature):
        house.receive("ats", {"Signature": "sha256 00"}, b"{}")


def unreadable(house: House) -> None:
    body = b'{"action": "hire_candidate", "payload": 7}'
    mac = hmac.new(SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"].encode(), body, hashlib.sha256)
    house.deliver([({"Signature": f"sha256 {mac.hexdigest()}"}, body)])


def dead_mailbox(house: House) -> None:
    house.box.mailbox.faults.add({"kind": "refuse", "path": "ada.lind@example.com"})
    house.apply()


def unanswered_mail(house: House) -> None:
    house.box.mailbox.faults.add({"kind": "drop_after", "path": "ada.lind@example.com"})
    house.apply()


def unfit_letter(house: House) -> None:
    house.needs_a_first_name()
    house.apply(first_name="")


# What is done; the key of its incident; words of the reason; whether a candidate is named.
KINDS: dict[str, tuple[Callable[[House], None], str, str, bool]] = {
    "no address": (no_address, "no-address:", "no usable e-mail address", True),
    "refused action": (refused_contact, "action:", "applied_role", True),
    "CRM down": (crm_down, "crm:trouble", "503", True),
    "CRM token revoked": (crm_token_revoked, "crm:credentials:write", "401", True),
    "ATS credentials refused": (ats_secret_revoked, "ats:credentials:read", "403", False),
    "ATS cannot be read": (poll_fails, "ats:poll", "503", False),
    "a stranger": (a_stranger, "ats:signature", "turned away", False),
    "unreadable": (unreadable, "ats:delivery:", "expected", False),
    "dead mailbox": (dead_mailbox, "message:", "refused for good", True),
    "unanswered mail": (unanswered_mail, "message:", "nobody knows whether", True),
    "unfit letter": (unfit_letter, "message:", "candidate.first_name", True),
}


@pytest.mark.parametrize("kind", KINDS)
def test_i8_each_kind_of_failure_arrives_within_a_minute_once_by_each_channel(
    told: House, hook: Hook, kind: str
) -> None:
    make, key, words, named = KINDS[kind]
    make(told)
    go_on(told, 60)
    incident = Incident.objects.get(key__startswith=key)
    assert len(hook.came) == len(letters(told)) == 1
    for text in (hook.texts()[0], letters(told)[0]):
        assert words in text
        assert incident.record in text
        assert incident.trigger in text
        assert "ada.lind@" not in text
        assert "Lind" not in text
        if named:
            (record,) = Candidate.objects.values_list("pk", flat=True)
            assert f"candidate {record} (ats " in text
            assert f"http://127.0.0.1:8025/explain?q={record}" in text
        assert "What to do: " in text or incident.drill
    assert incident.alerted_at is not None
    assert incident.alerted_at - incident.opened_at < timedelta(seconds=60)
    assert incident.alerted_by in ("pager", "mail")
    go_on(told, 300, step=20)
    assert len(hook.came) == 1, "what comes again on an open incident is counted, not told"


# One message, not a thousand


def test_a_storm_is_one_message_a_minute_with_the_first_records_and_the_count(
    told: House, hook: Hook
) -> None:
    told.box.hubspot.contacts.definitions.pop("applied_role")
    for n in range(60):
        told.apply(email=f"a{n}@example.com", first_name=f"Name{n}")
    go_on(told, 40)
    assert Incident.objects.filter(key__startswith="action:").count() == 60
    (text,) = hook.texts()
    (first, *_) = Candidate.objects.order_by("pk").values_list("pk", flat=True)
    assert "60 failures of one kind" in text
    assert f"Records: candidate {first} (ats " in text
    assert "and 55 more" in text
    assert text.count("candidate ") < 10
    assert not Incident.objects.filter(alerted_at=None).exists()


def test_a_storm_that_goes_on_is_told_of_once_a_minute_and_each_within_one(
    told: House, hook: Hook
) -> None:
    for n in range(500):
        fail(told, f"action:{n}", connection="crm", trigger="t", record=f"candidate {n}")
        if n % 4 == 0:
            go_on(told, 1)
    go_on(told, 60)
    assert len(hook.came) <= 5  # over 185 seconds
    for incident in Incident.objects.all():
        assert incident.alerted_at is not None
        assert incident.alerted_at - incident.opened_at < timedelta(seconds=60)
    told_of = Alert.objects.filter(channel="pager").values_list("incidents", flat=True)
    assert len(told_of) == len(set(told_of)) == 500


def test_other_triggers_and_kinds_are_not_gathered_with_it(told: House, hook: Hook) -> None:
    fail(told, "action:1", connection="crm", trigger="one")
    fail(told, "action:2", connection="crm", trigger="two")
    fail(told, "message:3", connection="mail", trigger="mail")
    go_on(told, 15)
    assert len(hook.came) == 3


def test_what_is_over_before_its_alert_left_is_told_of_with_how_it_ended(
    told: House, hook: Hook
) -> None:
    fail(told, "crm:trouble", "away", connection="crm")
    told.clock.move(seconds=2)
    resolve(["crm:trouble"], "it works again", now=told.clock())
    go_on(told, 30)
    (text,) = hook.texts()
    assert "Resolved since, at " in text
    assert "it works again" in text
    told.clock.move(hours=30)
    go_on(told, 3)
    assert len(hook.came) == 1, "no reminder of it"


def test_resolutions_are_told_of_where_the_project_wants_them(
    house: House, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WARMLINE_ALERTS_PAGER", hook.url())
    configure(house, "alerts: {to: [pager], resolutions: true}")
    fail(house, "crm:trouble", "away", connection="crm")
    go_on(house, 15)
    resolve(["crm:trouble"], "it works again", now=house.clock())
    go_on(house, 15)
    assert "resolved: 1 failure" in hook.texts()[1]
    assert len(hook.came) == 2


# Until somebody looks after it


def test_reminders_come_until_it_is_acknowledged(told: House, hook: Hook) -> None:
    one, two = fail(told, "mail:overdue", "late"), fail(told, "first-sync", "waits")
    go_on(told, 15)
    assert len(hook.came) == 2
    told.clock.move(hours=4)
    go_on(told, 2)
    assert "reminder: 2 failures are open and not acknowledged" in hook.texts()[2]
    acknowledge(one.pk, who="kim", now=told.clock())
    told.clock.move(hours=4)
    go_on(told, 2)
    assert "reminder: 1 failure is open" in hook.texts()[3]
    resolve_by_hand(two.pk, who="kim", why="done", now=told.clock())
    told.clock.move(hours=8)
    go_on(told, 2)
    assert len(hook.came) == 4
    one.refresh_from_db()
    two.refresh_from_db()
    assert (one.status, one.acknowledged_by) == (IncidentStatus.ACKNOWLEDGED, "kim")
    assert (two.resolved_by, two.resolution) == ("kim", "done")


def test_a_reminder_that_still_waits_tells_nothing_of_what_was_acknowledged_meanwhile(
    told: House, hook: Hook
) -> None:
    one = fail(told, "mail:overdue", "late")
    go_on(told, 15)
    told.clock.move(hours=4)
    alerts.tick(told.runtime)
    acknowledge(one.pk, who="kim", now=told.clock())
    go_on(told, 2)
    assert len(hook.came) == 1
    assert Alert.objects.filter(status=AlertStatus.DROPPED).count() == 2


def test_a_person_cannot_end_what_is_over_and_must_say_why(house: House) -> None:
    one = fail(house, "mail:overdue", "late")
    with pytest.raises(WarmlineError, match="say how"):
        resolve_by_hand(one.pk, who="kim", why="  ", now=house.clock())
    resolve_by_hand(one.pk, who="kim", why="done", now=house.clock())
    with pytest.raises(WarmlineError, match=r"was resolved at .*: done"):
        resolve_by_hand(one.pk, who="kim", why="again", now=house.clock())
    with pytest.raises(WarmlineError, match="was resolved"):
        acknowledge(one.pk, who="kim", now=house.clock())
    with pytest.raises(WarmlineError, match="there is no incident"):
        acknowledge(one.pk + 1, who="kim", now=house.clock())


# Channels that break


def test_a_broken_channel_stops_no_other_and_the_others_tell_of_it(
    told: House, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hook.status = 503
    fail(told, "mail:overdue", "late")
    go_on(told, 60)
    assert len(letters(told)) == 2
    assert "alerts do not get through by pager" in letters(told)[1]
    assert "503" in letters(told)[1]
    tried = len(hook.came)
    assert 2 <= tried <= 6, "it is tried again, more and more seldom"
    assert "alerts_reach_nobody" not in caplog.text
    hook.status = 200
    go_on(told, 130)
    assert len(hook.came) == tried + 1, "what waited arrives, and is not told that it was broken"
    assert Incident.objects.get(key="alerts:pager").status == IncidentStatus.RESOLVED
    assert len(letters(told)) == 2
    assert not Alert.objects.exclude(status=AlertStatus.SENT).exists()


def test_when_every_channel_fails_the_log_says_so_and_so_does_the_state(
    told: House, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    hook.status = 500
    told.box.mailbox.faults.add({"kind": "later"})
    fail(told, "first-sync", "waits")
    go_on(told, 15)
    assert not letters(told)
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert any("action=alerts_reach_nobody" in line for line in errors)
    states = alerts.states(told.runtime.channels)
    assert [(s.name, s.failing, s.waiting > 0) for s in states] == [
        ("pager", True, True),
        ("mail", True, True),
    ]
    told.box.mailbox.faults.clear()
    go_on(told, 30)
    assert [s.failing for s in alerts.states(told.runtime.channels)] == [True, False]


def test_an_alert_that_helps_nobody_any_more_is_given_up(told: House, hook: Hook) -> None:
    hook.status = 500
    fail(told, "first-sync", "waits")
    go_on(told, 12)
    told.clock.move(hours=25)
    go_on(told, 1)
    old = Alert.objects.filter(channel="pager").earliest("id")
    assert old.status == AlertStatus.FAILED
    assert old.reason


def test_no_secret_of_a_channel_stands_in_log_ledger_or_error(
    told: House, hook: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    hook.status = 401
    fail(told, "first-sync", "waits")
    go_on(told, 15)
    hook.status = 200
    hook.hang_up = True
    go_on(told, 15)
    assert Alert.objects.filter(channel="pager", attempts__gt=1).exists()
    kept = [str(list(model.objects.values())) for model in (Alert, Incident)]
    text = "\n".join([caplog.text, *kept, *letters(told)])
    assert CANARY not in text
    assert "401" in text


def test_addresses_in_a_reason_are_masked(told: House, hook: Hook) -> None:
    fail(told, "first-sync", "550 <ada.lind@example.com>: no such user")
    go_on(told, 15)
    assert "ada.lind@" not in hook.texts()[0]
    assert "a***@example.com" in hook.texts()[0]


# Killed


def test_a_kill_between_sent_and_marked_loses_no_alert(told: House, hook: Hook) -> None:
    fail(told, "first-sync", "waits")
    go_on(told, 11)
    assert len(hook.came) == 1
    # As a kill leaves it: the listener has it, and the ledger does not know yet.
    Alert.objects.filter(channel="pager").update(
        status=AlertStatus.SENDING,
        claimed_by="a dead runner",
        claim_until=told.clock() + alerts.CLAIM_FOR,
        sent_at=None,
    )
    go_on(told, 60)
    assert len(hook.came) == 1, "somebody may still hold it"
    go_on(told, 70)
    assert len(hook.came) == 2
    assert len(letters(told)) == 1
    assert hook.came[0]["message"].splitlines()[-1] == hook.came[1]["message"].splitlines()[-1]


def test_a_channel_that_left_the_project_keeps_nothing_waiting(told: House, hook: Hook) -> None:
    hook.status = 500
    fail(told, "first-sync", "waits")
    go_on(told, 12)
    path = told.folder / "warmline.yaml"
    path.write_text(path.read_text().replace("to: [pager], ", ""))
    configure(told, "")
    told.clock.move(minutes=5)
    go_on(told, 1)
    assert Alert.objects.get(channel="pager", group="first-sync").status == AlertStatus.DROPPED
    assert not Incident.objects.filter(key__startswith="orphans").exists()


def test_incidents_of_before_there_was_a_channel_are_told_of_when_there_is_one(
    house: House, hook: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail(house, "first-sync", "waits")
    fail(house, "crm:trouble", "away", connection="crm")
    go_on(house, 15)
    resolve(["crm:trouble"], "it works again", now=house.clock())
    house.clock.move(days=3)
    monkeypatch.setenv("WARMLINE_ALERTS_PAGER", hook.url())
    configure(house, "alerts: {to: [pager]}")
    go_on(house, 3)
    texts = [t for t in hook.texts() if "overdue" not in t and "over 24 hours" not in t]
    assert len(texts) == 1
    assert "waits" in texts[0]


# The drill


def test_the_drill_goes_the_real_road_and_stays_as_proof(told: House, hook: Hook) -> None:
    number = drill.begin(told.runtime)
    assert drill.answers(told.runtime, number) is None
    go_on(told, 2)
    found = drill.answers(told.runtime, number)
    assert found is not None
    assert [(a.channel, a.at is not None, a.reason) for a in found] == [
        ("pager", True, ""),
        ("mail", True, ""),
    ]
    assert "This is a drill" in hook.texts()[0]
    drill.end(told.runtime, number)
    proof = alerts.last_drill()
    assert proof is not None
    assert (proof.drill, proof.status) == (True, IncidentStatus.RESOLVED)
    told.clock.move(hours=30)
    go_on(told, 2)
    assert len(hook.came) == len(letters(told)) == 1


def test_the_drill_names_the_broken_channel_and_why(told: House, hook: Hook) -> None:
    hook.status = 404
    number = drill.begin(told.runtime)
    go_on(told, 2)
    found = {a.channel: a for a in drill.answers(told.runtime, number) or ()}
    assert found["pager"].at is None
    assert "404" in found["pager"].reason
    assert found["mail"].at is not None
    drill.end(told.runtime, number)
    go_on(told, 200)
    drills = Alert.objects.filter(kind="drill", channel="pager")
    assert [a.status for a in drills] == [AlertStatus.FAILED], "a drill is not told of later"
    assert alerts.last_drill() is not None


def test_a_drill_that_nobody_noticed_says_so(told: House) -> None:
    number = drill.begin(told.runtime)
    with pytest.raises(WarmlineError, match="not noticed"):
        drill.end(told.runtime, number)
    go_on(told, 30)
    assert not Incident.objects.exists()


def test_no_drill_without_a_channel(house: House) -> None:
    with pytest.raises(WarmlineError, match="no alert channel"):
        drill.begin(house.runtime)
