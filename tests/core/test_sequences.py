"""Steps, the library after them, arms of an experiment, branches."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.core.conditions import BadCondition, Condition, checked
from warmline.core.sequences import (
    HELD_BACK,
    STEP_SPEAKS_OF,
    Branch,
    Monthly,
    Sequence,
    Step,
    StepClass,
    arm,
    letter,
    next_piece,
)

MARKETING = StepClass.MARKETING
days = st.lists(st.integers(0, 3650), min_size=1, max_size=8).map(sorted)


def sequence(on: list[int], monthly: Monthly | None = None) -> Sequence:
    steps = tuple(Step(i, day, f"step {i}", MARKETING) for i, day in enumerate(on, start=1))
    return Sequence(name="s", title="S", version="v", steps=steps, monthly=monthly)


@given(days, st.integers(-3, 12))
def test_a_step_is_found_by_its_number_or_not_at_all(on: list[int], number: int) -> None:
    step = sequence(on).step(number)
    if 1 <= number <= len(on):
        assert step is not None
        assert step.number == number
    else:
        assert step is None


@given(days, st.integers(1, 60), st.integers(1, 40))
def test_the_library_goes_on_after_the_last_step_at_even_distances(
    on: list[int], every: int, later: int
) -> None:
    found = sequence(on, Monthly(MARKETING, on[-1] + 5, every, ("library/a",)))
    step = found.step(len(on) + later)
    assert step is not None
    assert step.monthly
    assert step.day == on[-1] + 5 + (later - 1) * every
    assert found.step(0) is None


def test_arms_are_even_and_always_the_same() -> None:
    step = Step(1, 0, "s", MARKETING, variants=(("a", "one"), ("b", "two")), holdout=0.2)
    arms = Counter(arm(step, f"s|1|{number}") for number in range(10_000))
    assert arms == Counter(arm(step, f"s|1|{number}") for number in range(10_000))
    assert set(arms) == {"a", "b", HELD_BACK}
    assert abs(arms[HELD_BACK] - 2000) < 200
    assert abs(arms["a"] - arms["b"]) < 300
    other = [arm(step, f"s|2|{number}") for number in range(100)]
    assert other != [arm(step, f"s|1|{number}") for number in range(100)]


def test_without_an_experiment_nobody_is_in_an_arm() -> None:
    step = Step(1, 0, "01", MARKETING)
    assert {arm(step, str(number)) for number in range(100)} == {""}
    assert letter(step, "", {}) == "01"


def test_the_first_branch_that_holds_is_the_letter() -> None:
    step = Step(
        1, 60, "s", MARKETING,
        branches=(Branch("roles", Condition("size(roles) > 0")), Branch("piece")),
    )  # fmt: skip
    assert letter(step, "", {"roles": [{"title": "Baker"}]}) == "roles"
    assert letter(step, "", {"roles": []}) == "piece"
    only = Step(1, 60, "s", MARKETING, branches=(Branch("roles", Condition("size(roles) > 0")),))
    assert letter(only, "", {"roles": []}) == ""


@given(st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from(["x", "y"])))
def test_a_piece_never_comes_twice_nor_on_a_topic_that_they_do_not_want(
    had: set[str], off: set[str]
) -> None:
    topics = {"a": "x", "b": "y", "c": "x"}
    found = next_piece(Monthly(MARKETING, 1, 30, tuple("abcdef"), topics), had, off)
    left = [p for p in "abcdef" if p not in had and topics.get(p) not in off]
    assert found == (left[0] if left else "")


@pytest.mark.parametrize(
    "text", ["size(roles) >", "nobody == 1", "candidate.name", "1 + 1", "roles > 3"]
)
def test_a_condition_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadCondition):
        checked(text, STEP_SPEAKS_OF)
