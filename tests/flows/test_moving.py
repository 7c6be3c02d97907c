"""People are told to go on with the present files, and what somebody would get is what they get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import House
from tests.flows.test_program import MONTHLY, SILVER, TWO, days, on, put, sent, shelf, silver, steps
from tests.flows.test_program import silver_file as file
from warmline.flows import overview as program
from warmline.store.models import Enrolment, Message


def test_moving_changes_nothing_until_it_is_said_and_goes_on_by_day(house: House) -> None:
    put(house, {SILVER: file(steps(*TWO))})
    one = silver(house)
    days(house, 8)
    old = on(one).version
    put(house, {SILVER: file(steps(TWO[0], "day: 20, file: 04-question.md", TWO[1]))})
    (planned,) = program.moving(house.runtime, "silver-medalist", None)
    assert (planned.next_step, planned.stays) == (2, "")
    assert on(one).version == old
    assert program.move(house.runtime, "silver-medalist", [planned]) == 1
    assert program.moving(house.runtime, "silver-medalist", one) == []
    days(house, 25)
    assert sent(on(one)) == ["01-thanks", "04-question", "02-news"]


def test_who_went_on_meanwhile_is_not_moved(house: House) -> None:
    put(house, {SILVER: file(steps(*TWO))})
    one = silver(house)
    put(house, {SILVER: file(steps("day: 20, file: 04-question.md"))})
    moves = program.moving(house.runtime, "silver-medalist", None)
    days(house, 8)
    assert program.move(house.runtime, "silver-medalist", moves) == 0
    assert on(one).next_step == 2


def test_a_number_that_was_used_for_another_letter_is_not_used_again(house: House) -> None:
    """I4: (enrolment, step) is one mail."""
    put(house, {SILVER: file(steps(*TWO, "day: 60, file: 03-roles.md"))})
    one = silver(house)
    days(house, 31)
    put(house, {SILVER: file(steps(TWO[1], "day: 60, file: 03-roles.md"))})
    (planned,) = program.moving(house.runtime, "silver-medalist", None)
    assert planned.stays == "step 2 there is one that it has had"
    assert program.move(house.runtime, "silver-medalist", [planned]) == 0
    days(house, 31)
    assert sent(on(one)) == ["01-thanks", "02-news", "03-roles"]


def test_a_letter_that_was_planned_before_the_move_leaves_as_it_was_planned(house: House) -> None:
    put(house, {SILVER: file(steps(*TWO))})
    one = silver(house)
    house.clock.move(days=7)
    from warmline.flows import nurture

    nurture.tick(house.runtime)
    put(house, {SILVER: file(steps("day: 20, file: 04-question.md"))})
    moves = program.moving(house.runtime, "silver-medalist", None)
    Enrolment.objects.filter(pk=on(one).pk).update(
        version=house.runtime.project.sequences["silver-medalist"].sequence.version
    )
    assert moves
    house.settle()
    assert sent(on(one))[:1] == ["01-thanks"]


def test_the_preview_is_what_the_person_then_gets(house: House) -> None:
    put(house, {**shelf(house, "a", "b"), SILVER: file(steps(*TWO) + MONTHLY)})
    one = silver(house)
    _, coming, against = program.preview(house.runtime, "silver-medalist", one)
    assert against == []
    before = Message.objects.count()
    assert [Path(c.piece).name for c in coming][:4] == [
        "01-thanks",
        "02-news",
        "a",
        "b",
    ]
    assert Message.objects.count() == before
    days(house, 75)
    rows = Message.objects.filter(enrolment=on(one)).order_by("due_at")
    assert [(m.piece, m.due_at) for m in rows] == [(c.piece, c.at) for c in coming][: len(rows)]
    assert len(rows) == 4


def test_the_verb_lists_shows_and_says_who_is_where(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    from warmline.cli.main import app

    put(house, {SILVER: file(steps(*TWO), "exits: [replied]\n")})
    one = silver(house)
    monkeypatch.setenv("WARMLINE_PROJECT", str(house.folder))

    def said(*words: str) -> str:
        result = CliRunner().invoke(app, ["sequences", *words])
        assert result.exit_code == 0, result.output
        return result.output

    rows = {row["name"]: row for row in json.loads(said("list", "--json"))}
    assert rows["silver-medalist"]["active"] == 1
    assert rows["silver-medalist"]["steps"] == 2
    shown = json.loads(said("show", "silver-medalist", "--json"))
    assert shown["exits"] == ["replied", "unsubscribed"]
    assert [s["day"] for s in shown["steps"]] == [7, 30]
    there = json.loads(said("who", "silver-medalist", "--json"))
    assert there["total"] == 1
    assert there["enrolments"][0]["candidate"] == one.pk
    got = json.loads(said("preview", "silver-medalist", "--candidate", str(one.pk), "--json"))
    assert [letter["day"] for letter in got["letters"]] == [7, 30]
    assert "ada.lind" not in said("who", "silver-medalist")
    for words in (["list"], ["show", "welcome"], ["who", "welcome"]):
        assert "welcome" in said(*words)
    said("preview", "welcome", "--candidate", str(one.pk))
    said("move", "welcome", "--to-current")
    result = CliRunner().invoke(app, ["sequences", "who", "nobody"])
    assert result.exit_code == 2
