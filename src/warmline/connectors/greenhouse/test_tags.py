"""Tags against the simulated Greenhouse: read before write, ours alone, and every refusal."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from warmline.connectors.greenhouse.connector import Greenhouse
from warmline.core.actions import Action, ActionKind, TagChange
from warmline.core.errors import AuthFailed, Throttled, Unreachable
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.ports import Channel, Options, Received
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.listen import HttpServer
from warmline.sandbox.serve import Sandbox

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
OURS = ("active_applicant", "silver_medalist", "passive_lead", "archived")
POST = "POST /v3/applied_candidate_tags"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def sandbox(clock: VirtualClock) -> Iterator[Sandbox]:
    with Sandbox(now=clock, background=False) as sandbox:
        sandbox.greenhouse.rate_limit = 10_000
        yield sandbox


@contextmanager
def connected(sandbox: Sandbox, clock: VirtualClock) -> Iterator[Greenhouse]:
    place = sandbox.addresses()["greenhouse"]
    settings = {
        "base_url": f"{place['url']}/v3",
        "token_url": place["token_url"],
        "user_id": place["user_id"],
    }
    secrets = {name: place[name] for name in ("client_id", "client_secret")}
    made = Greenhouse(Options("ats", settings, secrets, now=clock))
    yield made
    made.close()


@pytest.fixture
def greenhouse(sandbox: Sandbox, clock: VirtualClock) -> Iterator[Greenhouse]:
    with connected(sandbox, clock) as made:
        yield made


def tag(add: str, *records: int, key: str = "", remove: tuple[str, ...] | None = None) -> Action:
    names = tuple(map(str, records))
    others = tuple(name for name in OURS if name != add) if remove is None else remove
    return Action(
        key=key or f"tag:{add}:{','.join(names)}",
        kind=ActionKind.CANDIDATE_TAG,
        candidate_id=records[0] if records else 0,
        tags=TagChange(names, add, others),
    )


def candidates(sandbox: Sandbox, count: int, *tags: str) -> list[int]:
    return [sandbox.greenhouse.apply(tags=tags)["candidate_id"] for _ in range(count)]


def tags_of(sandbox: Sandbox, candidate: int) -> list[str]:
    found: list[str] = sandbox.greenhouse.world.candidates.get(candidate)["tags"]
    return found


def calls(sandbox: Sandbox) -> dict[str, int]:
    """Calls by kind since the last look; the token's apart."""
    log = sandbox.greenhouse.log
    found: dict[str, int] = log.as_json()["by_call"]
    log.clear()
    return {name: count for name, count in found.items() if name != "POST /token"}


def kinds(outcomes: list[Outcome]) -> list[str]:
    return [outcome.kind.value for outcome in outcomes]


def fault(sandbox: Sandbox, kind: str, method: str, count: int | None = 1, **more: Any) -> None:
    path = more.pop("path", "applied_candidate_tags")
    rule = {"kind": kind, "method": method, "path": path, "count": count, **more}
    sandbox.greenhouse.faults.add(rule)


# What is written


def test_the_new_tag_goes_on_ours_come_off_and_others_stay(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    one, two = candidates(sandbox, 2, "Python", "passive_lead", "Referral")
    outcomes = greenhouse.apply([tag("silver_medalist", one), tag("archived", two)])
    assert kinds(outcomes) == ["done", "done"]
    assert [outcome.detail for outcome in outcomes] == [{"written": "2"}, {"written": "2"}]
    assert tags_of(sandbox, one) == ["Python", "Referral", "silver_medalist"]
    assert tags_of(sandbox, two) == ["Python", "Referral", "archived"]
    tagging = sandbox.greenhouse.world.tagging
    assert tagging.writes == {(one, "silver_medalist"): 1, (two, "archived"): 1}
    assert tagging.removals == {(one, "passive_lead"): 1, (two, "passive_lead"): 1}


def test_what_is_so_already_costs_one_read_and_no_write(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    people = candidates(sandbox, 25, "Silver_Medalist ", "Python")
    actions = [tag("silver_medalist", person) for person in people]
    calls(sandbox)
    outcomes = greenhouse.apply(actions)
    assert kinds(outcomes) == ["already_done"] * 25
    assert calls(sandbox) == {"GET /v3/applied_candidate_tags": 1, "GET /v3/candidate_tags": 1}
    greenhouse.apply(actions)
    assert calls(sandbox) == {"GET /v3/applied_candidate_tags": 1}  # the list of tags is kept


def test_the_new_tag_stands_before_an_old_one_comes_off(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    """A kill between two calls leaves one too many, and the repetition takes it off."""
    (one,) = candidates(sandbox, 1, "passive_lead")
    fault(sandbox, "drop", "DELETE")
    (outcome,) = greenhouse.apply([tag("archived", one)])
    assert outcome.kind is OutcomeKind.UNKNOWN
    assert tags_of(sandbox, one) == ["passive_lead", "archived"]
    assert kinds(greenhouse.apply([tag("archived", one)])) == ["done"]
    assert tags_of(sandbox, one) == ["archived"]
    assert sandbox.greenhouse.world.tagging.writes[one, "archived"] == 1


def test_names_compare_without_case_and_a_name_may_stand_twice(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    tagging = sandbox.greenhouse.world.tagging
    first, second = (tagging.add(name)["id"] for name in ("Archived", "ARCHIVED"))
    one, two = candidates(sandbox, 2)
    tagging.put_on(sandbox.greenhouse.world.candidates.get(one), second)
    assert kinds(greenhouse.apply([tag("archived", one), tag("archived", two)])) == [
        "already_done",
        "done",
    ]
    rows = sandbox.greenhouse.world.applied_candidate_tags
    assert rows.where("candidate_id", two)[-1]["candidate_tag_id"] == first
    tagging.put_on(sandbox.greenhouse.world.candidates.get(one), first)
    assert kinds(greenhouse.apply([tag("passive_lead", one)])) == ["done"]
    assert "archived" not in {name.casefold() for name in tags_of(sandbox, one)}


def test_a_name_to_add_is_never_taken_off(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    (one,) = candidates(sandbox, 1)
    action = tag("archived", one, remove=("ARCHIVED", "passive_lead"))
    assert kinds(greenhouse.apply([action])) == ["done"]
    assert tags_of(sandbox, one)[-1] == "archived"
    assert kinds(greenhouse.apply([action])) == ["already_done"]


def test_every_record_of_a_person_is_tagged(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    one, two, three = candidates(sandbox, 3)
    sandbox.greenhouse.delete_candidate(two)
    (outcome,) = greenhouse.apply([tag("archived", one, two, three)])
    assert outcome.kind is OutcomeKind.DONE
    assert outcome.detail == {"written": "2", "gone": str(two)}
    assert tags_of(sandbox, one)[-1] == tags_of(sandbox, three)[-1] == "archived"


def test_two_changes_of_one_person_in_a_batch_end_with_the_later(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    (one,) = candidates(sandbox, 1, "passive_lead")
    outcomes = greenhouse.apply([tag("active_applicant", one), tag("silver_medalist", one)])
    assert kinds(outcomes) == ["done", "done"]
    assert tags_of(sandbox, one) == ["silver_medalist"]
    there, back = tag("archived", one), tag("silver_medalist", one, key="back")
    assert kinds(greenhouse.apply([there, back])) == ["done", "done"]
    assert tags_of(sandbox, one) == ["silver_medalist"]


def test_a_later_change_does_not_overtake_one_in_doubt(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    one, two = candidates(sandbox, 2)
    fault(sandbox, "drop", "POST")
    for name in OURS:
        sandbox.greenhouse.world.tagging.named(name)
    outcomes = greenhouse.apply(
        [tag("active_applicant", one), tag("archived", one), tag("archived", two)]
    )
    assert kinds(outcomes) == ["unknown", "later", "done"]
    assert not set(OURS) & set(tags_of(sandbox, one))


def test_an_empty_name_to_add_only_takes_off(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    (one,) = candidates(sandbox, 1, "archived", "Python")
    assert kinds(greenhouse.apply([tag("", one)])) == ["done"]
    assert tags_of(sandbox, one) == ["Python"]


# The list of tags


def test_a_missing_tag_is_made_once_whoever_comes(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    people = candidates(sandbox, 24)
    outcomes: list[Outcome] = []

    def run(part: list[int]) -> None:
        outcomes.extend(greenhouse.apply([tag("archived", person) for person in part]))

    threads = [threading.Thread(target=run, args=(people[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(kinds(outcomes)) == {"done": 24}
    assert calls(sandbox)["POST /v3/candidate_tags"] == 1
    assert sandbox.greenhouse.world.tagging.writes == {(one, "archived"): 1 for one in people}


def test_a_tag_that_may_not_be_made_waits_and_says_what_to_do(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    vendor = sandbox.greenhouse
    one, two = candidates(sandbox, 2)
    vendor.world.tagging.named("archived")
    allowed = (
        "candidate_tags:list",
        "applied_candidate_tags:list",
        "applied_candidate_tags:create",
    )
    vendor.scopes = frozenset(f"harvest:{scope}" for scope in allowed)
    outcomes = greenhouse.apply([tag("silver_medalist", one), tag("archived", two)])
    assert kinds(outcomes) == ["later", "done"]
    assert outcomes[0].after_s == 300
    for words in ("'silver_medalist'", "by hand", "harvest:candidate_tags:create"):
        assert words in outcomes[0].reason
    calls(sandbox)
    clock.advance(60)
    (again,) = greenhouse.apply([tag("silver_medalist", one)])
    assert (again.kind, again.after_s) == (OutcomeKind.LATER, 240)
    assert calls(sandbox) == {"GET /v3/applied_candidate_tags": 1}  # and no storm of attempts
    vendor.world.tagging.named("Silver_medalist")  # by hand
    clock.advance(240)
    assert kinds(greenhouse.apply([tag("silver_medalist", one)])) == ["done"]


def test_a_tag_that_another_process_made_meanwhile_is_taken(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    (one,) = candidates(sandbox, 1)
    greenhouse.apply([tag("archived", one)])
    sandbox.greenhouse.world.tagging.named("Passive_Lead")
    calls(sandbox)
    assert kinds(greenhouse.apply([tag("passive_lead", one)])) == ["done"]
    assert "POST /v3/candidate_tags" not in calls(sandbox)


def test_no_answer_to_the_making_of_a_tag_makes_no_second_one(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    (one,) = candidates(sandbox, 1)
    fault(sandbox, "timeout_after", "POST", path="/v3/candidate_tags")
    (outcome,) = greenhouse.apply([tag("archived", one)])
    assert outcome.kind is OutcomeKind.LATER  # nothing was written to the candidate
    assert kinds(greenhouse.apply([tag("archived", one)])) == ["done"]
    rows = sandbox.greenhouse.world.candidate_tags.rows.values()
    assert [row["name"] for row in rows].count("archived") == 1


def test_a_tag_deleted_and_made_again_is_found_under_its_new_id(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    one, two = candidates(sandbox, 2)
    greenhouse.apply([tag("archived", one)])
    tagging = sandbox.greenhouse.world.tagging
    tagging.remove(tagging.named("archived"))
    new = tagging.named("archived")
    assert kinds(greenhouse.apply([tag("archived", two)])) == ["done"]
    rows = sandbox.greenhouse.world.applied_candidate_tags.where("candidate_id", two)
    assert rows[-1]["candidate_tag_id"] == new


def test_a_tag_of_ours_that_the_list_did_not_have_yet_comes_off(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    one, two = candidates(sandbox, 2)
    greenhouse.apply([tag("archived", one)])
    sandbox.greenhouse.update_candidate(two, tags=["Passive_lead"])  # made by hand since
    greenhouse.apply([tag("archived", two)])
    assert tags_of(sandbox, two) == ["archived"]


def test_a_tag_that_no_list_has_is_asked_about_once(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    one, two = candidates(sandbox, 2, "archived")
    greenhouse.apply([tag("archived", one)])
    world = sandbox.greenhouse.world
    world.tagging.put_on(world.candidates.get(two), world.tagging.named("Unlisted"))
    world.candidate_tags.remove(world.tagging.named("Unlisted"))
    calls(sandbox)
    for listed in (1, 0, 0):
        assert kinds(greenhouse.apply([tag("archived", two)])) == ["already_done"]
        assert calls(sandbox).get("GET /v3/candidate_tags", 0) == listed


def test_a_renamed_tag_is_noticed_within_ten_minutes(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    (one,) = candidates(sandbox, 1)
    greenhouse.apply([tag("archived", one)])
    tagging = sandbox.greenhouse.world.tagging
    tagging.rename(tagging.named("archived"), "Do not touch")
    clock.advance(600)
    assert kinds(greenhouse.apply([tag("archived", one)])) == ["done"]
    assert tags_of(sandbox, one)[-2:] == ["Do not touch", "archived"]


# Refusals: each is its own action's


def test_who_is_gone_merged_or_private_is_refused_alone(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    vendor = sandbox.greenhouse
    one, two, three, four, five = candidates(sandbox, 5)
    vendor.delete_candidate(one)
    vendor.merge(five, two)
    vendor.update_candidate(three, private=True)
    vendor.sees_private = False
    outcomes = greenhouse.apply([tag("archived", who) for who in (one, two, three, four)])
    assert kinds(outcomes) == ["refused", "refused", "refused", "done"]
    for outcome, who in zip(outcomes, (one, two, three), strict=False):
        assert f"record {who}" in outcome.reason
    assert [outcome.detail.get("gone") for outcome in outcomes] == [str(one), str(two), None, None]
    assert "harvest:applied_candidate_tags:create" in outcomes[2].reason


def test_credentials_that_may_tag_nobody_refuse_nobody_and_stop_soon(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    people = candidates(sandbox, 10)
    sandbox.greenhouse.world.tagging.named("archived")
    allowed = ("candidate_tags:list", "applied_candidate_tags:list")
    sandbox.greenhouse.scopes = frozenset(f"harvest:{scope}" for scope in allowed)
    outcomes = greenhouse.apply([tag("archived", person) for person in people])
    assert kinds(outcomes) == ["later"] * 10
    assert all("harvest:applied_candidate_tags:create" in one.reason for one in outcomes)
    assert calls(sandbox)[POST] == 3
    sandbox.greenhouse.scopes = None
    assert kinds(greenhouse.apply([tag("archived", person) for person in people])) == ["done"] * 10


def test_the_right_to_remove_is_told_apart_from_the_right_to_add(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    (one,) = candidates(sandbox, 1, "passive_lead")
    sandbox.greenhouse.world.tagging.named("archived")
    scopes = ("candidate_tags:list", "applied_candidate_tags:list", "applied_candidate_tags:create")
    sandbox.greenhouse.scopes = frozenset(f"harvest:{scope}" for scope in scopes)
    (outcome,) = greenhouse.apply([tag("archived", one)])
    assert outcome.kind is OutcomeKind.LATER
    assert "harvest:applied_candidate_tags:destroy" in outcome.reason
    assert outcome.detail == {"written": "1"}


def test_without_the_right_to_read_the_whole_call_fails(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    people = candidates(sandbox, 2)
    sandbox.greenhouse.scopes = frozenset({"harvest:applied_candidate_tags:create"})
    with pytest.raises(AuthFailed, match="list applied_candidate_tags"):
        greenhouse.apply([tag("archived", person) for person in people])


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (replace(tag("archived", 1), kind=ActionKind.CONTACT_UPSERT), "cannot do contact.upsert"),
        (replace(tag("archived", 1), tags=None), "no record"),
        (tag("archived"), "no record"),
        (tag(" ", 1, remove=("",)), "no tag"),
        (tag("archived", *range(1, 52)), "51 records"),
        (replace(tag("archived", 1), tags=TagChange(("1,2",), "archived")), "not a number"),
        (replace(tag("archived", 1), tags=TagChange(("٣",), "archived")), "not a number"),
        (replace(tag("archived", 1), tags=TagChange(("9" * 19,), "archived")), "not a number"),
    ],
)
def test_what_cannot_be_done_is_refused_without_a_call(
    sandbox: Sandbox, greenhouse: Greenhouse, action: Action, reason: str
) -> None:
    (one,) = candidates(sandbox, 1)
    outcomes = greenhouse.apply([action, tag("archived", one)])
    assert kinds(outcomes) == ["refused", "done"]
    assert reason in outcomes[0].reason
    calls(sandbox)
    greenhouse.apply([action])
    assert greenhouse.find(action) is None
    assert calls(sandbox) == {}


# Colleagues at the same moment


READ = "GET applied_candidate_tags"


def test_what_a_recruiter_changes_at_the_same_moment_stands(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    (one,) = candidates(sandbox, 1, "Python", "passive_lead")
    vendor = sandbox.greenhouse
    vendor.meanwhile[READ] = [
        lambda: vendor.update_candidate(one, tags=["Referral", "passive_lead"])
    ]
    assert kinds(greenhouse.apply([tag("archived", one)])) == ["done"]
    assert sorted(tags_of(sandbox, one)) == ["Referral", "archived"]


def test_a_recruiter_who_was_faster_is_no_error(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    one, two = candidates(sandbox, 2, "passive_lead")
    vendor = sandbox.greenhouse
    vendor.world.tagging.named("archived")
    vendor.meanwhile[READ] = [lambda: vendor.update_candidate(one, tags=["archived"])]
    assert kinds(greenhouse.apply([tag("archived", one)])) == ["already_done"]
    assert tags_of(sandbox, one) == ["archived"]
    vendor.meanwhile[READ] = [lambda: vendor.update_candidate(two, tags=["Go"])]
    calls(sandbox)
    assert kinds(greenhouse.apply([tag("", two)])) == ["already_done"]  # it was off before us
    assert tags_of(sandbox, two) == ["Go"]
    assert "GET /v3/candidates" not in calls(sandbox)  # and needed no second look


# The vendor in trouble


def test_a_timeout_leaves_only_its_own_action_in_doubt(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    people = candidates(sandbox, 4)
    greenhouse.apply([tag("archived", people[0])])
    fault(sandbox, "timeout_after", "POST")
    actions = [tag("archived", person) for person in people]
    outcomes = greenhouse.apply(actions)
    assert kinds(outcomes) == ["already_done", "unknown", "done", "done"]
    found = greenhouse.find(actions[1])
    assert found is not None
    assert found.kind is OutcomeKind.DONE
    assert kinds(greenhouse.apply(actions)) == ["already_done"] * 4
    assert set(sandbox.greenhouse.world.tagging.writes.values()) == {1}


def test_a_lost_call_is_found_not_done(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    (one,) = candidates(sandbox, 1)
    sandbox.greenhouse.world.tagging.named("archived")
    fault(sandbox, "drop", "POST")
    assert kinds(greenhouse.apply([tag("archived", one)])) == ["unknown"]
    assert greenhouse.find(tag("archived", one)) is None


def test_a_vendor_that_is_down_is_not_asked_for_everybody(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    people = candidates(sandbox, 10)
    sandbox.greenhouse.world.tagging.named("archived")
    fault(sandbox, "unavailable", "POST", count=None)
    calls(sandbox)
    outcomes = greenhouse.apply([tag("archived", person) for person in people])
    assert kinds(outcomes) == ["unknown"] * 2 + ["later"] * 8
    assert calls(sandbox)[POST] == 2


@pytest.mark.parametrize("kind", ["malformed", "drop", "unavailable"])
def test_where_nothing_could_be_read_nothing_is_written(
    sandbox: Sandbox, greenhouse: Greenhouse, kind: str
) -> None:
    (one,) = candidates(sandbox, 1)
    fault(sandbox, kind, "GET")
    with pytest.raises(Unreachable):
        greenhouse.apply([tag("archived", one)])
    assert kinds(greenhouse.apply([tag("archived", one)])) == ["done"]


def test_a_slow_vendor_does_not_hold_the_call_past_its_claim(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    people = candidates(sandbox, 3)
    sandbox.greenhouse.meanwhile[READ.replace("GET", "POST")] = [lambda: clock.advance(31)] * 3
    outcomes = greenhouse.apply([tag("archived", person) for person in people])
    assert kinds(outcomes) == ["done", "done", "later"]
    assert outcomes[2].after_s == 0


# The rate limit


def test_the_window_is_used_up_and_not_overrun(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    people = candidates(sandbox, 25, "passive_lead")
    sandbox.greenhouse.rate_limit = 20
    clock.advance(12)  # 18 seconds before the window turns
    actions = [tag("archived", person) for person in people]
    waiting, rounds = actions, 0
    while waiting:
        outcomes = greenhouse.apply(waiting)
        rounds += 1
        late = [outcome for outcome in outcomes if outcome.kind is OutcomeKind.LATER]
        assert {outcome.after_s for outcome in late} <= {18.0, 30.0}
        waiting = [
            action
            for action, outcome in zip(waiting, outcomes, strict=True)
            if outcome.kind is OutcomeKind.LATER
        ]
        if waiting:
            with pytest.raises(Throttled):  # and no call is made before
                greenhouse.apply(waiting)
            clock.advance(late[0].after_s or 0)
    log = sandbox.greenhouse.log.as_json()
    assert "429" not in log["by_status"]
    assert set(sandbox.greenhouse.world.tagging.writes.values()) == {1}
    assert len(sandbox.greenhouse.world.tagging.writes) == 25
    assert rounds == 3  # 50 writes and some reads in windows of 20
    assert all(tags_of(sandbox, person) == ["archived"] for person in people)


def test_many_threads_together_keep_within_the_window(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    people = candidates(sandbox, 80)
    greenhouse.apply([tag("archived", people[0])])
    sandbox.greenhouse.rate_limit = 40
    outcomes: list[Outcome] = []

    def run(part: list[int]) -> None:
        outcomes.extend(greenhouse.apply([tag("archived", person) for person in part]))

    threads = [threading.Thread(target=run, args=(people[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(kinds(outcomes)) == {"done", "later", "already_done"}
    assert "429" not in sandbox.greenhouse.log.as_json()["by_status"]


def test_a_429_ends_the_call_and_names_the_time(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    people = candidates(sandbox, 3)
    sandbox.greenhouse.world.tagging.named("archived")
    greenhouse.apply([tag("archived", people[0])])
    fault(sandbox, "rate_limited", "POST")
    outcomes = greenhouse.apply([tag("archived", person) for person in people])
    assert kinds(outcomes) == ["already_done", "later", "later"]
    assert [outcome.after_s for outcome in outcomes[1:]] == [30, 30]
    assert tags_of(sandbox, people[1])[-1:] != ["archived"]


# find


def test_find_reads_and_tells_what_is_true(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    one, two = candidates(sandbox, 2, "Python")
    action = tag("archived", one, two)
    assert greenhouse.find(action) is None
    greenhouse.apply([tag("archived", one)])
    assert greenhouse.find(action) is None
    greenhouse.apply([tag("archived", two)])
    found = greenhouse.find(action)
    assert found is not None
    assert found.kind is OutcomeKind.DONE
    assert greenhouse.find(tag("archived", one, remove=("python",))) is None
    sandbox.greenhouse.delete_candidate(two)
    found = greenhouse.find(action)
    assert found is not None
    assert found.detail == {"gone": str(two)}
    sandbox.greenhouse.delete_candidate(one)
    assert greenhouse.find(action) is None


def test_find_writes_nothing_and_makes_no_tag(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    (one,) = candidates(sandbox, 1, "passive_lead")
    calls(sandbox)
    assert greenhouse.find(tag("archived", one)) is None
    assert all(call.startswith("GET ") for call in calls(sandbox))


# A whole company, and the echo


def test_a_whole_company_is_tagged_exactly_once_though_it_is_cut_off(
    sandbox: Sandbox, clock: VirtualClock
) -> None:
    """Killed half-way through, started again, throttled all along."""
    crowd = sandbox.greenhouse.add_history(300, seed=3)
    before = {row["candidate_id"]: tags_of(sandbox, row["candidate_id"]) for row in crowd}
    sandbox.greenhouse.rate_limit = 75
    actions = [tag(OURS[row["candidate_id"] % 4], row["candidate_id"]) for row in crowd]
    done: set[str] = set()
    for life in range(2):
        with connected(sandbox, clock) as greenhouse:
            _run_all(greenhouse, clock, actions, done, windows=2 if life == 0 else None)
    tagging = sandbox.greenhouse.world.tagging
    assert sum(tagging.writes.values()) == 300
    assert set(tagging.writes.values()) == {1}
    assert not tagging.removals
    assert "429" not in sandbox.greenhouse.log.as_json()["by_status"]
    for action in actions:
        assert action.tags is not None
        person = int(action.tags.records[0])
        assert tags_of(sandbox, person) == [*before[person], action.tags.add]


def _run_all(
    greenhouse: Greenhouse,
    clock: VirtualClock,
    actions: list[Action],
    done: set[str],
    *,
    windows: int | None,
) -> None:
    """Batch after batch; the last batch before the cut is not remembered as done."""
    while todo := [action for action in actions if action.key not in done][:25]:
        try:
            outcomes = greenhouse.apply(todo)
        except Throttled as error:
            clock.advance(error.after_s)
            continue
        finished = [
            action.key
            for action, outcome in zip(todo, outcomes, strict=True)
            if outcome.kind in (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE)
        ]
        waits = [outcome.after_s for outcome in outcomes if outcome.after_s]
        if waits:
            clock.advance(max(waits))
            if windows is not None:
                windows -= 1
                if windows == 0:
                    return
        done.update(finished)


def test_our_own_write_comes_back_and_differs_in_our_tags_alone(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    (one,) = candidates(sandbox, 1, "Python", "passive_lead")
    told: list[bytes] = []

    def receive(environ: Any, start: Any) -> list[bytes]:
        told.append(environ["wsgi.input"].read())
        start("200 OK", [("Content-Length", "0")])
        return [b""]

    server = HttpServer(receive, threads=1)
    try:
        sandbox.greenhouse.set_webhook(f"{server.url}/in/ats", "webhook-key-7")
        told.clear()  # the ping
        greenhouse.apply([tag("archived", one)])
        sandbox.greenhouse.outbox.deliver_due()
    finally:
        server.close()
    events = [
        event for body in told for event in greenhouse.parse(Received(Channel.WEBHOOK, body, START))
    ]
    assert [event.word for event in events] == ["update_candidate"] * 2
    before = sandbox.greenhouse.world.candidates.get(one)
    for event in events:
        assert event.candidate is not None
        assert event.candidate.emails == tuple(e["value"] for e in before["email_addresses"])
        assert [name for name in event.candidate.tags or () if name not in OURS] == ["Python"]
