"""A project whose mail leaves by a provider: its id, and what its webhooks do."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import SECRETS, Clock, House, copy_starter, point_at
from warmline.config.project import load
from warmline.core.errors import BadSignature
from warmline.engine.work import Worker
from warmline.flows import first_sync
from warmline.flows.runtime import build
from warmline.sandbox.listen import HttpServer
from warmline.sandbox.mailproviders.api import KEY, MailProviders
from warmline.sandbox.serve import Sandbox
from warmline.store.models import Event, Message, Suppression
from warmline.store.statuses import MessageStatus

BASIC = {"Authorization": "Basic dXNlcjpwYXNz", "Content-Type": "application/json"}


@pytest.fixture
def posted(
    ledger: None, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[House]:
    ours = {"WARMLINE_MAIL_API_KEY": KEY, "WARMLINE_MAIL_WEBHOOK_SECRET": "user:pass"}
    for name, value in {**SECRETS, **ours}.items():
        monkeypatch.setenv(name, value)
    with Sandbox(now=clock, background=False, search_lag_s=0) as box:
        box.greenhouse.secret = SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"]
        providers = MailProviders(box.mailbox.store, now=clock)
        server = HttpServer(providers.app(), threads=4)
        folder = tmp_path / "project"
        copy_starter(folder)
        point_at(folder, box)
        file = folder / "warmline.yaml"
        mail = f"connector: anymail\n    provider: postmark\n    api_url: {server.url}/postmark/\n"
        text, count = re.subn(
            r"connector: smtp\n(    (host|port|tls):.*\n)+", mail, file.read_text()
        )
        assert count == 1
        file.write_text(text)
        runtime = build(load(folder), now=clock, chance=random.Random(7).random)
        first_sync.allow(clock())
        made = House(runtime, box, clock, Worker(runtime), folder)
        made.apply()
        made.settle()
        yield made
        made.worker.close()
        runtime.close()
        providers.closing.set()
        server.close()


def tells(house: House, **said: object) -> None:
    message = Message.objects.get(step=1)
    body = {"MessageID": message.provider_id, "Email": "ada.lind@example.com", **said}
    house.receive("mail", BASIC, json.dumps(body).encode())
    house.settle()


def test_a_mail_by_a_provider_is_known_by_its_id_and_delivered(posted: House) -> None:
    (mail,) = posted.mails("ada.lind@example.com")
    message = Message.objects.get()
    assert message.status == MessageStatus.HANDED_OFF
    assert message.provider_id.endswith("-sandbox")
    assert mail["message_id"].startswith(f"<warmline.{message.pk}.")
    tells(posted, RecordType="Delivery", DeliveredAt="2026-03-02T09:01:00Z")
    message.refresh_from_db()
    assert message.delivered_at is not None
    assert Event.objects.get(kind="message.delivered").message_id == message.pk


def test_a_hard_bounce_by_webhook_twice_suppresses_once(posted: House) -> None:
    for _ in range(2):
        tells(posted, RecordType="Bounce", Type="HardBounce", ID=4)
    assert Suppression.objects.get().address == "ada.lind@example.com"
    assert Event.objects.filter(kind="message.bounced").count() == 1


def test_a_strangers_webhook_does_nothing(posted: House) -> None:
    body = json.dumps({"RecordType": "Bounce", "Type": "HardBounce", "ID": 4}).encode()
    with pytest.raises(BadSignature):
        posted.receive("mail", {}, body)
    assert not Suppression.objects.exists()


def test_a_bounce_of_another_programs_mail_to_a_known_address_counts(posted: House) -> None:
    tells(posted, RecordType="Bounce", Type="HardBounce", ID=5, MessageID="of-another")
    assert Suppression.objects.get().address == "ada.lind@example.com"
    assert Message.objects.get(step=1).bounced_at is None
