"""`/k/` over HTTP: one click of a person is a yes, a scanner's is none, a button is one at once."""

from __future__ import annotations

import httpx
import pytest

from tests.conftest import House
from tests.web.conftest import BROWSER, Letter, sent
from warmline.core.events import EventKind
from warmline.flows import judge
from warmline.flows.track import CONSENT_WORDS
from warmline.store.models import (
    Action,
    Candidate,
    Consent,
    Event,
    Hit,
    Incident,
    Message,
    Segmentation,
    Suppression,
)

YES, BACK = {"act": "yes"}, {"act": "back"}


def told(kind: EventKind) -> int:
    return Event.objects.filter(connection="warmline", kind=kind).count()


def keep(letter: Letter) -> str:
    return letter.links("k")[0]


def opt_in(letter: Letter) -> str:
    return letter.links("k")[1]


def test_one_click_of_a_person_is_a_yes_and_reaches_the_ats(
    letter: Letter, wire: httpx.Client
) -> None:
    page = wire.get(keep(letter), headers=BROWSER)
    assert page.status_code == 200
    assert "You need to do nothing more" in page.text
    assert told(EventKind.CANDIDATE_REENGAGED) == 0, "nothing acts in a request"
    letter.judge()
    event = Event.objects.get(kind="candidate.reengaged")
    assert event.word == "click"
    assert event.fields == {
        "email_subject": "Hello Ada",
        "link_url": "http://127.0.0.1:8025/k/",
    }, "the token stays with the person"
    action = Action.objects.get(kind="candidate.flag")
    assert (action.status, action.trigger) == ("done", "keep me posted")
    assert Segmentation.objects.get().score == pytest.approx(20, abs=0.1)
    assert not Consent.objects.exists(), "a consent wants a proof: the button"


def test_i9_a_scanner_that_fetches_it_is_told_the_same_and_changes_nothing(
    letter: Letter, wire: httpx.Client
) -> None:
    for path in [*letter.links("k"), *letter.links("u"), *letter.links("c")]:
        wire.get(path, headers=BROWSER)
    letter.judge()
    letter.house.clock.move(days=30)
    letter.house.settle()
    assert told(EventKind.CANDIDATE_REENGAGED) == told(EventKind.CONSENT_GIVEN) == 0
    assert not Action.objects.filter(kind="candidate.flag").exists()


def test_i9_a_click_that_may_be_a_machines_is_no_yes(house: House, wire: httpx.Client) -> None:
    """In the first seconds, from a browser: the page asks, and nothing is taken for an answer."""
    letter = sent(house)
    house.clock.move(minutes=-10, seconds=3)
    wire.get(keep(letter), headers=BROWSER)
    letter.judge()
    assert Hit.objects.get().confidence == "unconfirmed"
    assert told(EventKind.CANDIDATE_REENGAGED) == 0


def test_i9_a_burst_over_the_links_is_no_yes(letter: Letter, wire: httpx.Client) -> None:
    """Without the trap, which some scanners pass over: nobody reads three pages in a second."""
    for path in [*letter.links("k"), letter.link("p"), *letter.links("c")[:-1]]:
        wire.get(path, headers=BROWSER)
    letter.judge()
    assert {hit.confidence for hit in Hit.objects.all()} == {"machine"}
    assert told(EventKind.CANDIDATE_REENGAGED) == told(EventKind.MESSAGE_CLICKED) == 0


def test_i8_hits_that_cannot_be_judged_move_nobody_and_are_told_of(
    letter: Letter, wire: httpx.Client
) -> None:
    house = letter.house
    wire.get(keep(letter), headers=BROWSER)
    house.clock.move(minutes=2)
    project = house.runtime.project
    house.runtime.project = None  # type: ignore[assignment]
    try:
        judge.tick(house.runtime)
    finally:
        house.runtime.project = project
    assert Incident.objects.get().key == f"judge:{Message.objects.get().pk}"
    hit = Hit.objects.get()
    assert (hit.judge_at, hit.confidence) == (None, "unconfirmed")
    letter.judge()
    assert told(EventKind.CANDIDATE_REENGAGED) == 0


def test_the_button_is_a_yes_at_once_and_a_consent_to_the_words_on_the_page(
    letter: Letter, wire: httpx.Client
) -> None:
    shown = wire.get(keep(letter), headers=BROWSER).text
    company = letter.house.runtime.project.file.company
    assert CONSENT_WORDS.format(company=company) in shown
    for _ in range(3):
        answer = wire.post(keep(letter), data=YES, headers=BROWSER)
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        letter.house.clock.move(minutes=1)
    assert Consent.objects.count() == 1
    assert told(EventKind.CANDIDATE_REENGAGED) == told(EventKind.CONSENT_GIVEN) == 1
    consent = Consent.objects.get()
    assert (consent.basis, consent.source, consent.until) == ("express", "warmline", None)
    assert consent.text_version.endswith("/en")
    letter.judge()
    assert told(EventKind.CANDIDATE_REENGAGED) == 1, "the click before the button is the same yes"
    assert Action.objects.get(kind="candidate.flag").status == "done"


def test_a_yes_taken_back_in_time_was_none(letter: Letter, wire: httpx.Client) -> None:
    wire.get(keep(letter), headers=BROWSER)
    answer = wire.post(keep(letter), data=BACK, headers=BROWSER)
    assert "Nobody was told of it" in answer.text
    wire.get(keep(letter), headers=BROWSER)  # the browser shows its old tabs again
    letter.judge()
    assert told(EventKind.CANDIDATE_REENGAGED) == 0
    wire.post(keep(letter), data=YES, headers=BROWSER)
    assert told(EventKind.CANDIDATE_REENGAGED) == 1, "the button counts in any case"


def test_a_yes_taken_back_late_withdraws_the_consent_and_says_who_knows(
    letter: Letter, wire: httpx.Client
) -> None:
    wire.post(keep(letter), data=YES, headers=BROWSER)
    letter.judge()
    answer = wire.post(keep(letter), data=BACK, headers=BROWSER)
    assert "may still see the note" in answer.text
    assert Consent.objects.get().withdrawn_at is not None
    assert told(EventKind.CONSENT_WITHDRAWN) == 1
    assert not Suppression.objects.exists(), "no yes is not a no"
    wire.post(keep(letter), data=YES, headers=BROWSER)
    assert Consent.objects.filter(withdrawn_at=None).count() == 1


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("", b""),
        ("application/x-www-form-urlencoded", b"act=perhaps"),
        ("application/x-www-form-urlencoded; charset=iso-8859-1", b"act=yes"),
        ("multipart/form-data; boundary=x", b"--y\r\nbroken"),
        ("application/json", b'{"act": "yes"}'),
    ],
)
def test_a_body_without_an_answer_is_none(
    letter: Letter, wire: httpx.Client, content_type: str, body: bytes
) -> None:
    headers = {"content-type": content_type} if content_type else {}
    for path in letter.links("k"):
        answer = wire.post(path, content=body, headers=headers)
        assert answer.status_code == 400
        assert "<button" in answer.text
    assert told(EventKind.CANDIDATE_REENGAGED) == told(EventKind.CONSENT_GIVEN) == 0
    assert not Hit.objects.filter(kind="act").exists()


def test_opting_in_asks_first_and_is_no_reengagement(letter: Letter, wire: httpx.Client) -> None:
    page = wire.get(opt_in(letter), headers=BROWSER).text
    assert "Nothing changes until you press it" in page
    letter.judge()
    assert not Consent.objects.exists()
    answer = wire.post(opt_in(letter), files={"act": (None, "yes")}, headers=BROWSER)
    assert "Thank you for your yes" in answer.text
    assert Consent.objects.get().basis == "express"
    assert told(EventKind.CONSENT_GIVEN) == 1
    assert told(EventKind.CANDIDATE_REENGAGED) == 0
    wire.post(opt_in(letter), data=BACK, headers=BROWSER)
    assert Consent.objects.get().withdrawn_at is not None


def test_i5_a_yes_does_not_lift_a_no(letter: Letter, wire: httpx.Client) -> None:
    wire.post(letter.link("u"))
    for path in letter.links("k"):
        assert "stays so" in wire.get(path, headers=BROWSER).text
    answer = wire.post(keep(letter), data=YES, headers=BROWSER)
    assert "that stays so" in answer.text
    assert Suppression.objects.get().reason == "unsubscribed"
    letter.house.clock.move(days=30)
    letter.house.settle()
    assert len(letter.house.mails()) == 1


def test_a_link_of_one_kind_is_no_yes_of_another(letter: Letter, wire: httpx.Client) -> None:
    for kind in "uvp":
        path = letter.link(kind).replace(f"/{kind}/", "/k/")
        assert wire.post(path, data=YES).status_code == 404
    assert wire.post(keep(letter).replace("/k/1", "/k/2"), data=YES).status_code == 404
    assert not Event.objects.filter(message__isnull=False).exists()
    assert Candidate.objects.count() == 1
