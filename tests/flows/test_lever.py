"""A project whose ATS is Lever, from webhook and from poll, over real HTTP both ways."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.db import connections

from tests.conftest import SECRETS, Clock, House, point_at
from warmline.cli.starter import copy_starter
from warmline.config.project import load
from warmline.core.actions import Action as CoreAction
from warmline.core.actions import ActionKind
from warmline.core.outcomes import OutcomeKind
from warmline.engine.work import Worker
from warmline.flows import first_sync
from warmline.flows.absent import BELIEVED_AFTER, look_for_missing
from warmline.flows.interpret import BATCH, replay
from warmline.flows.reconcile import poll, read_history
from warmline.flows.runtime import build
from warmline.sandbox.lever.simulator import Lever
from warmline.sandbox.serve import Sandbox
from warmline.store.models import (
    Application,
    Candidate,
    Delivery,
    Event,
    ExternalId,
    Incident,
    Interview,
)
from warmline.store.statuses import DeliveryStatus
from warmline.web import site

ADA = {"first_name": "Ada", "last_name": "Lind", "email": "ada.lind@example.com"}
BACKEND = "Backend Engineer"
ACTIVE, SILVER = "warmline:active_applicant", "warmline:silver_medalist"


@dataclass
class LeverHouse(House):
    """As `House`, with Lever in Greenhouse's place and a real server for its webhooks."""

    @property
    def vendor(self) -> Lever:
        return self.box.lever

    def webhooks(self) -> None:
        """What is on its way arrives, over HTTP, and everything due is done."""
        self.vendor.outbox.deliver_due(self.clock())
        self.settle()

    def polls(self) -> None:
        """A poll, as often as the pace of the API asks for."""
        for _ in range(20):
            poll(self.runtime, "ats")
            wait_s = self.runtime.poll_again_s.pop("ats", None)
            self.settle()
            if wait_s is None:
                return
            self.clock.move(seconds=wait_s)
        raise AssertionError("the poll never ends")

    def both(self, order: str) -> None:
        """A webhook and a poll tell of it, one before the other, a moment apart."""
        for way in order.split():
            self.clock.move(seconds=20)
            self.webhooks() if way == "webhook" else self.polls()

    def tags(self, row: dict[str, Any]) -> list[str]:
        return list(self.vendor.world.opportunities[row["id"]]["tags"])


@pytest.fixture
def lever(
    ledger: None, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LeverHouse]:
    with Sandbox(now=clock, background=False, search_lag_s=0, lever_port=0) as box:
        tokens = box.lever.set_webhook("http://127.0.0.1:9/in/ats")["tokens"]
        for name, value in {
            **SECRETS,
            "WARMLINE_ATS_API_KEY": box.lever.api_key,
            "WARMLINE_ATS_WEBHOOK_TOKENS": ",".join(tokens),
        }.items():
            monkeypatch.setenv(name, value)
        box.hubspot.secret = SECRETS["WARMLINE_CRM_CLIENT_SECRET"]
        folder = tmp_path / "project"
        copy_starter(folder)
        point_at(folder, box)
        path = folder / "warmline.yaml"
        text = path.read_text()
        ats = text[text.index("    connector: greenhouse") : text.index("  crm:\n")]
        text = text.replace(ats, f"    connector: lever\n    base_url: {box.lever_url}/v1\n")
        path.write_text(text)
        runtime = build(load(folder), now=clock, chance=random.Random(7).random)
        first_sync.allow(clock())
        worker = Worker(runtime)
        monkeypatch.setattr(site, "_serving", [])
        monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
        server = site.Server(runtime, "127.0.0.1", 0, 4)
        server.start()
        box.lever.outbox.url = f"http://127.0.0.1:{server.port}/in/ats"
        house = LeverHouse(runtime, box, clock, worker, folder)
        house.polls()  # from here on: what was before is history
        yield house
        server.stop()
        worker.close()
        runtime.close()


def act(house: LeverHouse, kind: ActionKind, record: str, **fields: str) -> OutcomeKind:
    """What a trigger would have done, straight at the connector."""
    action = CoreAction(f"{kind}:1", kind, 1, fields=fields, records=(record,))
    (outcome,) = house.runtime.connectors["ats"].apply([action])
    return OutcomeKind(outcome.kind)


@pytest.mark.parametrize("order", ["webhook poll", "poll webhook", "webhook", "poll"])
def test_an_application_becomes_a_contact_a_mail_and_a_tag_once(
    lever: LeverHouse, order: str
) -> None:
    row = lever.vendor.apply(ADA, BACKEND, tags=["Python"])
    lever.both(order)
    lever.clock.move(seconds=20)
    lever.settle()
    (contact,) = lever.contacts()
    properties = contact["properties"]
    assert properties["email"] == "ada.lind@example.com"
    assert properties["firstname"] == "Ada"
    assert BACKEND in properties.values()
    (mail,) = lever.mails("ada.lind@example.com")
    assert BACKEND in json.dumps(mail)
    assert lever.tags(row) == ["Python", ACTIVE]
    assert lever.vendor.writes == {f"add {row['id']} {ACTIVE}": 1}
    candidate = Candidate.objects.get()
    assert candidate.owner_email.endswith("@staff.example.com")
    application = Application.objects.get()
    assert (application.external_id, application.status) == (row["id"], "active")
    assert ExternalId.objects.get(connection="ats").external_id == row["contact"]
    assert Event.objects.filter(kind="application.submitted").count() == 1
    assert not Incident.objects.exists()


@pytest.mark.parametrize("order", ["webhook poll", "poll webhook"])
def test_from_applicant_to_silver_medalist_in_whichever_order(
    lever: LeverHouse, order: str
) -> None:
    row = lever.vendor.apply(ADA, BACKEND)
    lever.both(order)
    lever.clock.move(hours=1)
    lever.vendor.move(row["id"], "Final interview")
    lever.vendor.schedule_interview(row["id"], lever.clock() + timedelta(days=2))
    lever.both(order)
    (contact,) = lever.contacts()
    assert "Final interview" in contact["properties"].values()
    assert Interview.objects.get().starts_at == lever.clock() + timedelta(days=2, seconds=-40)
    lever.clock.move(hours=1)
    lever.vendor.archive(row["id"])
    rejected_at = lever.clock()
    lever.both(order)
    lever.clock.move(minutes=1)
    lever.settle()
    application = Application.objects.get()
    assert (application.status, application.rejected_at) == ("rejected", rejected_at)
    assert lever.tags(row) == [SILVER]
    for kind in ("application.stage_changed", "application.rejected", "interview.scheduled"):
        applied = Event.objects.filter(kind=kind, effect="applied")
        assert applied.count() == 1, kind


@pytest.mark.parametrize("order", ["webhook poll", "poll webhook"])
def test_flag_and_do_not_contact_are_written_once_and_their_echo_changes_nothing(
    lever: LeverHouse, order: str
) -> None:
    row = lever.vendor.apply(ADA, BACKEND)
    lever.both(order)
    lever.clock.move(seconds=20)
    clicked = {"click_date": "2026-03-02", "email_subject": "Talk?", "link_url": "https://x.test"}
    for _ in range(2):
        act(lever, ActionKind.CANDIDATE_FLAG, row["contact"], **clicked)
        act(lever, ActionKind.CANDIDATE_DO_NOT_CONTACT, row["contact"], unsubscribe_date="today")
        lever.both(order)
    assert lever.tags(row) == [ACTIVE, "warmline:re-engaged", "do-not-contact"]
    assert len(lever.vendor.world.notes) == 2
    assert lever.vendor.writes[f"note {row['id']}"] == 2
    assert len(lever.mails()) == 1
    assert len(lever.contacts()) == 1


def test_a_webhook_waits_while_lever_cannot_be_read_and_nothing_behind_it_does(
    lever: LeverHouse,
) -> None:
    row = lever.vendor.apply(ADA, BACKEND)
    lever.vendor.faults.add({"kind": "unavailable", "path": f"*/opportunities/{row['id']}"})
    lever.webhooks()
    asked = [c for c in lever.vendor.log.as_json()["requests"] if c["path"].endswith(row["id"])]
    assert len(asked) == 1  # and not again before its time
    waiting = Delivery.objects.filter(status=DeliveryStatus.RECEIVED)
    assert {row.channel for row in waiting} == {"webhook"}
    incident = Incident.objects.get(key="ats:hints")
    assert incident.status == "open"
    lever.polls()
    assert Application.objects.count() == 1  # the poll went past it
    lever.vendor.faults.clear()
    calls = lever.vendor.log.as_json()["total"]
    lever.settle()
    assert lever.vendor.log.as_json()["total"] == calls  # it is not asked again at once
    lever.clock.move(minutes=1)
    lever.settle()
    assert not waiting.all().exists()
    assert not lever.runtime.hints_wait
    incident.refresh_from_db()
    assert incident.status == "resolved"
    assert Event.objects.filter(kind="application.submitted").count() == 1


def test_more_webhooks_than_the_rate_allows_are_followed_bit_by_bit(lever: LeverHouse) -> None:
    for _ in range(40):
        lever.vendor.apply(None, BACKEND)
    lever.webhooks()
    for _ in range(60):
        if not Delivery.objects.filter(status=DeliveryStatus.RECEIVED).exists():
            break
        lever.clock.move(seconds=3)
        lever.settle()
    assert Application.objects.count() == 40
    assert not Incident.objects.filter(key__startswith="ats:").exists()
    assert "429" not in lever.vendor.log.as_json()["by_status"]


def test_many_webhooks_that_wait_do_not_stand_in_a_polls_way(lever: LeverHouse) -> None:
    row = lever.vendor.apply(ADA, BACKEND)
    lever.webhooks()
    lever.clock.move(seconds=20)
    token = next(iter(lever.vendor.webhooks.values()))["configuration"]["signatureToken"]
    lever.vendor.faults.add({"kind": "unavailable", "path": f"*/opportunities/{row['id']}"})
    with httpx.Client(trust_env=False) as client:
        for _ in range(BATCH + 1):
            body = lever.vendor.envelope("candidateHired", {"opportunityId": row["id"]}, token)
            assert client.post(lever.vendor.outbox.url, content=body).status_code == 200
    lever.vendor.outbox.active = False
    lever.vendor.apply(None, BACKEND)
    lever.polls()
    assert Application.objects.count() == 2


def test_a_poll_at_the_pace_of_the_api_is_no_failure_and_goes_on_where_it_stopped(
    lever: LeverHouse,
) -> None:
    lever.vendor.outbox.active = False
    for _ in range(40):
        row = lever.vendor.apply(None, BACKEND)
        lever.vendor.schedule_interview(row["id"], lever.clock() + timedelta(days=2))
    began_at = lever.clock()
    lever.polls()
    assert Interview.objects.count() == 40
    assert lever.clock() - began_at < timedelta(seconds=30)
    assert not Incident.objects.filter(key__startswith="ats:").exists()


def test_known_people_are_asked_for_at_the_pace_of_the_api(lever: LeverHouse) -> None:
    lever.vendor.outbox.active = False
    for _ in range(40):
        lever.vendor.apply(None, BACKEND)
    lever.polls()
    waits = 0
    look_for_missing(lever.runtime, "ats")
    while (wait_s := lever.runtime.poll_again_s.pop("ats", None)) is not None:
        lever.clock.move(seconds=wait_s)
        look_for_missing(lever.runtime, "ats")
        waits += 1
    assert 1 <= waits < 10
    assert not Incident.objects.filter(key="ats:absent").exists()


def test_a_replay_of_a_signed_token_with_other_data_changes_nothing(lever: LeverHouse) -> None:
    with lever.vendor.captured() as calls:
        lever.vendor.apply(ADA, BACKEND)
        other = lever.vendor.apply(None, BACKEND)
    headers, body = calls[1]
    url = lever.vendor.outbox.url
    said = json.loads(body)
    said["data"]["opportunityId"] = other["id"]
    for content in (body, json.dumps(said).encode()):
        answer = httpx.post(url, content=content, headers=headers, trust_env=False)
        assert answer.status_code == 200
    lever.settle()
    assert Delivery.objects.filter(channel="webhook").count() == 1
    assert [c.first_name for c in Candidate.objects.all()] == ["Ada"]


def test_a_stranger_is_turned_away_with_401(lever: LeverHouse) -> None:
    url = lever.vendor.outbox.url
    for body in (b"{}", lever.vendor.envelope("candidateHired", {}, "not the token")):
        assert httpx.post(url, content=body, trust_env=False).status_code == 401
    assert not Delivery.objects.filter(channel="webhook").exists()


def test_a_hint_that_names_nothing_is_set_aside_and_told(lever: LeverHouse) -> None:
    token = next(iter(lever.vendor.webhooks.values()))["configuration"]["signatureToken"]
    body = lever.vendor.envelope("candidateHired", {"opportunityId": "../users"}, token)
    httpx.post(lever.vendor.outbox.url, content=body, trust_env=False)
    lever.settle()
    row = Delivery.objects.get(channel="webhook")
    assert row.status == DeliveryStatus.FAILED
    assert "opportunityId" in row.reason
    assert Incident.objects.get().key.startswith("ats:delivery:")


def test_one_person_with_many_opportunities_is_one_contact(lever: LeverHouse) -> None:
    first = lever.vendor.apply(ADA, BACKEND)
    second = lever.vendor.apply({**ADA, "email": "Ada.Lind@example.com"}, "Data Engineer")
    lever.webhooks()
    lever.clock.move(seconds=20)
    lever.settle()
    assert Candidate.objects.count() == 1
    assert Application.objects.count() == 2
    assert len(lever.contacts()) == 1
    assert lever.tags(first) == lever.tags(second) == [ACTIVE]


def test_who_was_sourced_is_not_thanked_for_an_application(lever: LeverHouse) -> None:
    row = lever.vendor.source(ADA, BACKEND)
    lever.polls()
    lever.clock.move(seconds=20)
    lever.settle()
    assert lever.mails() == []
    assert lever.tags(row) == ["warmline:passive_lead"]


def test_data_protection_stops_mail(lever: LeverHouse) -> None:
    row = lever.vendor.apply(ADA, BACKEND)
    lever.vendor.protect(row["contact"], allowed=False)
    lever.webhooks()
    lever.clock.move(seconds=20)
    lever.settle()
    assert Candidate.objects.get().do_not_contact
    assert lever.mails() == []


def test_a_deletion_by_webhook_erases_the_person(lever: LeverHouse) -> None:
    row = lever.vendor.apply(ADA, BACKEND)
    lever.webhooks()
    lever.clock.move(seconds=20)
    lever.vendor.delete(row["id"])
    lever.webhooks()
    assert Candidate.objects.get().erased_at is not None
    assert Application.objects.get().status == "deleted"


def test_a_merge_that_no_webhook_tells_is_found(lever: LeverHouse) -> None:
    kept = lever.vendor.apply(ADA, BACKEND)
    other = lever.vendor.apply({**ADA, "email": "ada@work.example.com"}, BACKEND)
    lever.webhooks()
    lever.vendor.outbox.active = False
    lever.vendor.merge(kept["contact"], other["contact"])
    for _ in range(2):
        lever.clock.move(seconds=20)
        look_for_missing(lever.runtime, "ats")
        lever.clock.at += BELIEVED_AFTER
    lever.settle()
    standing = Candidate.objects.get(merged_into=None)
    assert ExternalId.objects.get(external_id=other["contact"]).gone_at is not None
    assert Application.objects.filter(candidate=standing).count() == 2


def test_history_is_read_and_sets_off_nothing(lever: LeverHouse) -> None:
    lever.vendor.apply(ADA, BACKEND)
    lever.vendor.outbox.clear()
    lever.clock.move(days=400)
    assert read_history(lever.runtime, "ats") > 0
    lever.settle()
    assert Candidate.objects.count() == 1
    assert lever.mails() == []


class _Moves(threading.Event):
    """Whoever waits moves the clock."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self, timeout: float | None = None) -> bool:
        self._clock.move(seconds=timeout or 0)
        return self.is_set()


def test_a_long_history_is_read_at_the_pace_of_the_api(lever: LeverHouse) -> None:
    lever.vendor.outbox.active = False
    for _ in range(40):
        row = lever.vendor.apply(None, BACKEND)
        lever.vendor.schedule_interview(row["id"], lever.clock())
    lever.clock.move(days=400)
    lever.runtime.stopping = _Moves(lever.clock)
    assert read_history(lever.runtime, "ats") == 80
    assert "429" not in lever.vendor.log.as_json()["by_status"]


def test_a_kept_webhook_can_be_replayed(lever: LeverHouse) -> None:
    lever.vendor.apply(ADA, BACKEND)
    lever.webhooks()
    lever.clock.move(seconds=20)
    before = Event.objects.filter(effect="applied").count()
    row = Delivery.objects.filter(channel="webhook").order_by("id")[1]
    replay(lever.runtime, row.pk)
    lever.settle()
    row.refresh_from_db()
    assert row.status == DeliveryStatus.INTERPRETED
    assert Event.objects.filter(effect="applied").count() == before
