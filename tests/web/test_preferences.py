"""`/p/` over HTTP: what is set is shown, what is posted is set as a whole, a GET sets nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.conftest import House
from tests.web.conftest import BROWSER, STEP, Letter, sent
from warmline.store.models import Hit, Preference, Suppression

SAVE = {"act": "save", "pause": "none", "days": "0", "language": ""}


def checked(page: str, name: str) -> list[str]:
    """The values that stand chosen."""
    inputs = [part.split(">")[0] for part in page.split("<input ")[1:]]
    mine = [i for i in inputs if f'name="{name}"' in i and i.endswith("checked")]
    return [i.split('value="')[1].split('"')[0] for i in mine]


def test_i9_looking_sets_nothing(letter: Letter, wire: httpx.Client) -> None:
    page = wire.get(letter.link("p") + "?act=stop", headers=BROWSER).text
    assert checked(page, "pause") == ["none"]
    assert checked(page, "days") == ["0"]
    assert wire.head(letter.link("p")).status_code == 200
    letter.judge()
    assert not Preference.objects.exists()
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("months", [1, 3, 6])
def test_a_pause_is_kept_shown_and_can_be_ended(
    letter: Letter, wire: httpx.Client, months: int
) -> None:
    now = letter.house.clock()
    answer = wire.post(letter.link("p"), data={**SAVE, "pause": str(months), "days": "60"})
    assert (answer.status_code, "Saved." in answer.text) == (200, True)
    row = Preference.objects.get()
    assert row.paused_until == now + timedelta(days=30 * months)
    assert row.days_between == 60
    letter.house.clock.move(days=10)
    page = wire.get(letter.link("p")).text
    assert checked(page, "pause") == ["as_is"]
    assert checked(page, "days") == ["60"]
    assert f" {row.paused_until.day}, 2026, as it is now" in page
    wire.post(letter.link("p"), data={**SAVE, "pause": "as_is", "days": "60"})
    assert Preference.objects.get().paused_until == now + timedelta(days=30 * months)
    wire.post(letter.link("p"), data=SAVE)
    row.refresh_from_db()
    assert (row.paused_until, row.days_between) == (None, 0)


def test_a_pause_that_is_over_is_none(letter: Letter, wire: httpx.Client) -> None:
    wire.post(letter.link("p"), data={**SAVE, "pause": "1"})
    letter.house.clock.move(days=31)
    assert checked(wire.get(letter.link("p")).text, "pause") == ["none"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"pause": "12"},
        {"pause": "-1"},
        {"days": "1"},
        {"days": "x"},
        {"language": "tlh"},
        {"language": "../../etc"},
        {"topic": "no such topic"},
        {"act": "drop"},
        {"act": ""},
    ],
)
def test_what_is_not_offered_sets_nothing_and_is_said(
    letter: Letter, wire: httpx.Client, wrong: dict[str, str]
) -> None:
    answer = wire.post(letter.link("p"), data={**SAVE, "pause": "3", **wrong})
    assert answer.status_code == 400
    assert "none of the choices" in answer.text
    assert "<form" in answer.text
    assert not Preference.objects.exists()


def test_a_body_that_cannot_be_read_sets_nothing(letter: Letter, wire: httpx.Client) -> None:
    kinds = [
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded; charset=iso-8859-1",
    ]
    for kind in kinds:
        answer = wire.post(letter.link("p"), content=b"act=save", headers={"content-type": kind})
        assert answer.status_code == 400
    assert not Preference.objects.exists()


def test_everything_can_be_stopped_and_no_page_brings_it_back(
    letter: Letter, wire: httpx.Client
) -> None:
    parts: Any = {"act": (None, "stop")}
    answer = wire.post(letter.link("p"), files=parts)
    assert "You are unsubscribed" in answer.text
    assert Suppression.objects.get().source == "page"
    wire.post(letter.link("p"), data=SAVE)
    page = wire.get(letter.link("p")).text
    assert "You are unsubscribed" in page
    assert "<form" not in page
    letter.house.clock.move(days=8)
    letter.house.settle()
    assert len(letter.house.mails()) == 1


def test_what_was_set_is_kept_with_who_set_it(letter: Letter, wire: httpx.Client) -> None:
    wire.post(letter.link("p"), data={**SAVE, "pause": "3"}, headers=BROWSER)
    (hit,) = Hit.objects.filter(kind="act")
    assert (hit.confidence, hit.method) == ("human", "POST")
    assert "months=3" in hit.why


def test_a_link_of_another_kind_or_person_sets_nothing(letter: Letter, wire: httpx.Client) -> None:
    for kind in "uvk":
        path = letter.link(kind).replace(f"/{kind}/", "/p/")
        assert wire.post(path, data=SAVE).status_code == 404
    assert wire.post(letter.link("p").replace("/p/1", "/p/2"), data=SAVE).status_code == 404
    assert not Preference.objects.exists()


def test_topics_are_those_of_the_letters_and_can_be_switched_off(
    house: House, wire: httpx.Client
) -> None:
    letter = sent(house, STEP.replace("---\n", "---\ntopic: engineering\n", 1))
    assert "engineering" in checked(wire.get(letter.link("p")).text, "topic")
    wire.post(letter.link("p"), data=SAVE)
    assert "engineering" in Preference.objects.get().topics_off
    assert checked(wire.get(letter.link("p")).text, "topic") == []
    wire.post(letter.link("p"), data={**SAVE, "topic": "engineering"})
    assert checked(wire.get(letter.link("p")).text, "topic") == ["engineering"]
