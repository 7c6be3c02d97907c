"""The last moments before a mail leaves, and what happens when the answer does not come."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tests.conftest import House
from warmline.config.project import UnknownRule, load
from warmline.core.errors import WarmlineError
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.engine.work import look
from warmline.flows import interpret
from warmline.flows.recover import recover
from warmline.flows.runtime import build
from warmline.flows.settle import settle
from warmline.ports import Envelope, MailSession
from warmline.store.models import Action, ExternalId, Incident, Message
from warmline.store.statuses import ActionStatus, IncidentStatus, MessageStatus


class Watched:
    """The real mail connection, with something happening while a mail is handed over."""

    def __init__(self, session: MailSession, meanwhile: Callable[[Envelope], None]) -> None:
        self._session, self._meanwhile = session, meanwhile

    def send(self, envelope: Envelope) -> Outcome:
        self._meanwhile(envelope)
        return self._session.send(envelope)

    def close(self) -> None:
        self._session.close()


@pytest.fixture
def meanwhile(house: House) -> Iterator[Callable[[Callable[[Envelope], None]], None]]:
    mail = house.runtime.connectors["mail"]
    opened = mail.open

    def watch(act: Callable[[Envelope], None]) -> None:
        mail.open = lambda: Watched(opened(), act)

    yield watch
    del mail.open


def test_i11_somebody_hired_while_the_mail_before_is_handed_over_gets_none(
    house: House, meanwhile: Callable[[Callable[[Envelope], None]], None]
) -> None:
    house.apply(email="a@example.com")
    b = house.apply(email="b@example.com", first_name="Bo")
    house.settle()
    house.clock.move(days=3)
    look(house.runtime)
    house.worker.close()

    def hire(envelope: Envelope) -> None:
        if envelope.recipient_address == "a@example.com":
            house.does("hire", b["id"])
            interpret.drain(house.runtime, "ats")

    meanwhile(hire)
    house.settle()
    assert len(house.mails("a@example.com")) == 2
    assert len(house.mails("b@example.com")) == 1
    assert Message.objects.get(step=2, status=MessageStatus.HELD).reason == "hired"


def test_i3_an_address_corrected_while_the_mail_before_is_handed_over_is_the_one_used(
    house: House, meanwhile: Callable[[Callable[[Envelope], None]], None]
) -> None:
    house.apply(email="a@example.com")
    b = house.apply(email="typo@example.com", first_name="Bo")
    right = [{"value": "right@example.com", "type": "personal"}]

    def correct(envelope: Envelope) -> None:
        if envelope.recipient_address == "a@example.com":
            house.clock.move(seconds=1)
            house.does("update_candidate", b["candidate_id"], email_addresses=right)
            interpret.drain(house.runtime, "ats")

    meanwhile(correct)
    house.settle()
    assert not house.mails("typo@example.com")
    assert len(house.mails("right@example.com")) == 1


def test_i4_a_batch_in_hand_never_lapses_however_slow_the_server(
    house: House, meanwhile: Callable[[Callable[[Envelope], None]], None]
) -> None:
    house.apply()

    def slow(_: Envelope) -> None:
        house.clock.move(minutes=10)
        recover(house.runtime)

    meanwhile(slow)
    house.settle()
    assert Message.objects.get().status == MessageStatus.HANDED_OFF
    assert len(house.mails()) == 1


def test_a_batch_that_crashed_is_taken_up_by_the_next_tick(house: House) -> None:
    house.apply()
    interpret.drain(house.runtime, "ats")
    with house.runtime.claiming() as token:
        Message.objects.update(
            status=MessageStatus.CLAIMED,
            claimed_by=token,
            claim_until=house.clock.at + timedelta(minutes=3),
        )
        assert recover(house.runtime) == 0
    assert recover(house.runtime) == 1
    assert Message.objects.get().status == MessageStatus.PLANNED


def test_i4_the_rule_send_again_speaks_once_and_then_a_person_is_asked(house: House) -> None:
    path = house.folder / "warmline.yaml"
    path.write_text(path.read_text().replace("transactional: ask", "transactional: send_again"))
    house.runtime.project = load(house.folder)
    assert UnknownRule.SEND_AGAIN in house.runtime.project.file.mail.unknown.values()
    house.box.mailbox.faults.add({"kind": "drop_after"})
    house.apply()
    for _ in range(6):
        house.settle()
        house.clock.move(minutes=10)
    assert Message.objects.get().status == MessageStatus.UNKNOWN
    assert len(house.mails()) == 2


def test_a_corrected_address_is_written_to_after_the_old_one_bounced(house: House) -> None:
    house.box.mailbox.faults.add({"kind": "refuse", "path": "typo@example.com"})
    row = house.apply(email="typo@example.com")
    house.settle()
    message = Message.objects.get()
    assert "settle" in Incident.objects.get(key=f"message:{message.pk}").hint
    house.clock.move(minutes=1)
    right = [{"value": "right@example.com", "type": "personal"}]
    house.does("update_candidate", row["candidate_id"], email_addresses=right)
    house.settle()
    settle(message.pk, arrived=False, who="a person", now=house.clock())
    house.settle()
    assert len(house.mails("right@example.com")) == 1
    assert not house.mails("typo@example.com")


def test_time_in_which_nobody_tried_is_no_reason_to_give_up(house: House) -> None:
    house.box.hubspot.faults.add({"kind": "error", "count": 1})
    house.apply()
    interpret.drain(house.runtime, "ats")
    house.clock.move(hours=40)  # switched off
    house.settle()
    assert Action.objects.get(kind="contact.upsert").status == ActionStatus.UNKNOWN
    house.clock.move(minutes=1)
    house.settle()
    assert len(house.contacts()) == 1


def test_settling_is_a_compare_and_swap(house: House) -> None:
    house.box.mailbox.faults.add({"kind": "drop_after", "count": 1})
    house.apply()
    house.settle()
    message = Message.objects.get()
    settle(message.pk, arrived=False, who="one", now=house.clock())
    with pytest.raises(WarmlineError, match="is planned; expected"):
        settle(message.pk, arrived=False, who="another", now=house.clock())


def test_a_mail_that_cannot_be_made_does_not_stop_its_neighbours(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.apply(email="a@example.com")
    house.apply(email="b@example.com", first_name="Bo")
    interpret.drain(house.runtime, "ats")
    first = Message.objects.earliest("id")
    Message.objects.filter(pk=first.pk).update(piece="gone")  # a letter that the files do not have
    house.settle()
    assert len(house.mails()) == 1
    first.refresh_from_db()
    assert (first.status, first.reason) == (MessageStatus.HELD, "the step is gone from its file")


def test_a_contact_of_somebody_folded_meanwhile_is_the_kept_candidates(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = house.apply(email="ada@example.com")
    house.apply(email="ada@work.example.com", job_id=4002)
    interpret.drain(house.runtime, "ats")
    crm = house.runtime.connectors["crm"]
    apply = crm.apply

    def fold_first(actions: object) -> list[Outcome]:
        outcomes: list[Outcome] = apply(actions)
        house.does(
            "update_candidate",
            one["candidate_id"],
            email_addresses=[
                {"value": "ada@example.com", "type": "personal"},
                {"value": "ada@work.example.com", "type": "work"},
            ],
        )
        interpret.drain(house.runtime, "ats")
        return outcomes

    monkeypatch.setattr(crm, "apply", fold_first)
    house.worker.drain("act:crm", range(32))
    live = ExternalId.objects.filter(connection="crm", contact=True, gone_at__isnull=True)
    assert live.count() == 1
    assert live.get().candidate.merged_into is None
    assert Incident.objects.filter(key__startswith="contacts:", status=IncidentStatus.OPEN).exists()


def test_work_for_a_connection_that_is_gone_is_told(house: House) -> None:
    house.box.hubspot.faults.add({"kind": "error"})
    house.apply()
    house.settle()
    path = house.folder / "warmline.yaml"
    text = path.read_text()
    crm = text[text.index("  crm:") : text.index("  mail:")]
    triggers = text[text.index("triggers:") : text.index("# How often")]
    path.write_text(text.replace(crm, "").replace(triggers, "triggers: []\n\n"))
    runtime = build(load(house.folder), now=house.clock)
    house.clock.move(days=1)
    look(runtime)
    look(runtime)
    runtime.close()
    incident = Incident.objects.get(key="orphans:act:crm")
    assert (incident.status, incident.count) == (IncidentStatus.OPEN, 1)


def test_an_answer_of_the_connector_that_is_an_exception_is_an_unknown(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.apply()
    interpret.drain(house.runtime, "ats")
    crm = house.runtime.connectors["crm"]

    def broken(_: object) -> list[Outcome]:
        raise KeyError("a bug")

    monkeypatch.setattr(crm, "apply", broken)
    house.worker.drain("act:crm", range(32))
    assert Action.objects.get(kind="contact.upsert").status == ActionStatus.UNKNOWN
    monkeypatch.undo()
    house.clock.move(minutes=1)
    house.settle()
    assert Outcome(OutcomeKind.DONE).kind == Action.objects.get(kind="contact.upsert").status
