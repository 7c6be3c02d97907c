"""What is written to the simulated Lever: tags on every opportunity, and a note once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from warmline.connectors.lever.connector import Lever
from warmline.connectors.lever.writing import DO_NOT_CONTACT_TAG, FLAG_TAG, mark_of
from warmline.core.actions import Action, ActionKind, TagChange
from warmline.core.errors import Unreachable
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.ports import Options
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.lever.api import make_app
from warmline.sandbox.lever.simulator import Lever as Vendor
from warmline.sandbox.listen import HttpServer

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ADA = {"first_name": "Ada", "last_name": "Lind", "email": "ada.lind@example.com"}
ACTIVE, SILVER = "warmline:active_applicant", "warmline:silver_medalist"
CLICK = {"click_date": "2026-03-01", "email_subject": "Talk?", "link_url": "https://x.example.com"}


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def vendor(clock: VirtualClock) -> Iterator[Vendor]:
    vendor = Vendor(now=clock)
    yield vendor
    vendor.close()


@pytest.fixture
def lever(vendor: Vendor) -> Iterator[Lever]:
    server = HttpServer(make_app(vendor), threads=2)
    settings = {"base_url": f"{server.url}/v1", "perform_as": vendor.world.staff("admin")[0]["id"]}
    made = Lever(Options("ats", settings, {"api_key": vendor.api_key}, now=vendor.now))
    yield made
    made.close()
    vendor.closing.set()
    server.close()


def tag(*records: str, add: str = ACTIVE, remove: tuple[str, ...] = (SILVER,)) -> Action:
    change = TagChange(records, add, remove)
    return Action("tag:1", ActionKind.CANDIDATE_TAG, 1, tags=change)


def flag(*records: str, key: str = "flag:1") -> Action:
    return Action(key, ActionKind.CANDIDATE_FLAG, 1, fields=CLICK, records=records)


def do_not_contact(*records: str) -> Action:
    fields = {"unsubscribe_date": "2026-03-02"}
    return Action("dnc:1", ActionKind.CANDIDATE_DO_NOT_CONTACT, 1, fields=fields, records=records)


def one(lever: Lever, action: Action) -> Outcome:
    (outcome,) = lever.apply([action])
    return outcome


def tags(vendor: Vendor, row: dict[str, Any]) -> list[str]:
    return list(vendor.world.opportunities[row["id"]]["tags"])


def notes(vendor: Vendor) -> list[str]:
    return [note["fields"][0]["value"] for note in vendor.world.notes.values()]


def test_every_opportunity_gets_the_tag_and_others_are_left_alone(
    vendor: Vendor, lever: Lever
) -> None:
    first = vendor.apply(ADA, tags=["Python", "Warmline:Silver_Medalist"])
    second = vendor.apply(ADA, tags=["Go"], confidential=True)
    outcome = one(lever, tag(first["contact"]))
    assert (outcome.kind, outcome.detail["written"]) == (OutcomeKind.DONE, "3")
    assert tags(vendor, first) == ["Python", ACTIVE]
    assert tags(vendor, second) == ["Go", ACTIVE]
    assert one(lever, tag(first["contact"])).kind is OutcomeKind.ALREADY_DONE
    assert sum(vendor.writes.values()) == 3


def test_a_tag_that_a_recruiter_adds_meanwhile_stands(vendor: Vendor, lever: Lever) -> None:
    row = vendor.apply(ADA)
    one(lever, tag(row["contact"]))
    vendor.tag(row["id"], ["Python"])
    one(lever, tag(row["contact"], add=SILVER, remove=(ACTIVE,)))
    assert tags(vendor, row) == ["Python", SILVER]


@pytest.mark.parametrize(
    ("action", "written", "said"),
    [
        (flag, FLAG_TAG, ["2026-03-01", "Talk?", "https://x.example.com"]),
        (do_not_contact, DO_NOT_CONTACT_TAG, ["2026-03-02", "unsubscribed"]),
    ],
)
def test_a_flag_and_a_do_not_contact_are_a_tag_on_all_and_one_note(
    vendor: Vendor, lever: Lever, clock: VirtualClock, action: Any, written: str, said: list[str]
) -> None:
    first = vendor.apply(ADA)
    clock.advance(60)
    second = vendor.apply(ADA)
    clock.advance(60)
    archived = vendor.apply(ADA)
    vendor.archive(archived["id"])
    asked = action(first["contact"])
    assert lever.find(asked) is None
    assert one(lever, asked).kind is OutcomeKind.DONE
    for row in (first, second, archived):
        assert tags(vendor, row) == [written]
    (note,) = notes(vendor)
    for text in (*said, mark_of(asked.key)):
        assert text in note
    (row,) = vendor.world.notes.values()
    assert row["opportunityId"] == second["id"]
    assert row["user"] == vendor.world.staff("admin")[0]["id"]
    found = lever.find(asked)
    assert found is not None
    assert found.kind is OutcomeKind.DONE


def test_the_same_action_again_leaves_no_second_note_and_another_one_does(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    row = vendor.apply(ADA)
    assert one(lever, flag(row["contact"])).kind is OutcomeKind.DONE
    clock.advance(60)
    vendor.apply(ADA)  # the newest opportunity is another one now
    one(lever, flag(row["contact"]))
    assert len(notes(vendor)) == 1
    one(lever, flag(row["contact"], key="flag:2"))
    assert len(notes(vendor)) == 2


def test_a_note_whose_answer_was_lost_is_found_and_not_written_again(
    vendor: Vendor, lever: Lever
) -> None:
    row = vendor.apply(ADA)
    vendor.faults.add({"kind": "timeout_after", "path": "/notes", "method": "POST", "count": 1})
    asked = flag(row["contact"])
    assert one(lever, asked).kind is OutcomeKind.UNKNOWN
    assert len(notes(vendor)) == 1
    found = lever.find(asked)
    assert found is not None
    assert found.kind is OutcomeKind.DONE
    assert one(lever, asked).kind is OutcomeKind.ALREADY_DONE
    assert len(notes(vendor)) == 1


def test_a_note_that_was_not_written_is_not_found(vendor: Vendor, lever: Lever) -> None:
    row = vendor.apply(ADA)
    vendor.faults.add({"kind": "drop", "path": "/notes", "method": "POST", "count": 1})
    asked = flag(row["contact"])
    assert one(lever, asked).kind is OutcomeKind.UNKNOWN
    assert lever.find(asked) is None
    assert one(lever, asked).kind is OutcomeKind.DONE
    assert len(notes(vendor)) == 1


def test_find_raises_where_it_cannot_be_read(vendor: Vendor, lever: Lever) -> None:
    row = vendor.apply(ADA)
    vendor.faults.add({"kind": "unavailable"})
    with pytest.raises(Unreachable):
        lever.find(flag(row["contact"]))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"kind": "rate_limited"}, OutcomeKind.LATER),
        ({"kind": "unavailable"}, OutcomeKind.LATER),
        ({"kind": "malformed", "method": "GET"}, OutcomeKind.LATER),
        ({"kind": "error", "method": "POST"}, OutcomeKind.UNKNOWN),
    ],
)
def test_trouble_at_lever_is_told_in_our_words(
    vendor: Vendor, lever: Lever, fault: dict[str, Any], kind: OutcomeKind
) -> None:
    row, other = vendor.apply(ADA), vendor.apply()
    vendor.faults.add({**fault, "count": 1})
    outcomes = lever.apply([tag(row["contact"]), tag(other["contact"])])
    assert [outcome.kind for outcome in outcomes] == [kind, OutcomeKind.LATER]
    assert (outcomes[0].after_s == 10.0) == (fault["kind"] == "rate_limited")


def test_a_right_that_is_missing_waits_and_names_it(vendor: Vendor, lever: Lever) -> None:
    row = vendor.apply(ADA)
    vendor.forbidden.add("write notes")
    outcome = one(lever, flag(row["contact"]))
    assert outcome.kind is OutcomeKind.LATER
    assert "write notes" in outcome.reason
    vendor.forbidden.clear()
    assert one(lever, flag(row["contact"])).kind is OutcomeKind.DONE


def test_more_than_the_rate_allows_is_for_later_and_gets_through(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    rows = [vendor.apply(ADA) for _ in range(30)]
    for _ in range(10):
        outcome = one(lever, flag(rows[0]["contact"]))
        if outcome.kind is OutcomeKind.DONE:
            break
        assert outcome.kind is OutcomeKind.LATER
        assert outcome.after_s is not None
        clock.advance(outcome.after_s)
    assert outcome.kind is OutcomeKind.DONE
    assert [tags(vendor, row) for row in rows] == [[FLAG_TAG]] * 30
    assert len(notes(vendor)) == 1
    assert "429" not in vendor.log.as_json()["by_status"]


def test_somebody_who_is_gone_is_refused_and_another_record_is_written(
    vendor: Vendor, lever: Lever
) -> None:
    row, gone = vendor.apply(ADA), vendor.apply()
    vendor.delete(gone["id"])
    outcome = one(lever, tag(gone["contact"]))
    assert (outcome.kind, outcome.detail["gone"]) == (OutcomeKind.REFUSED, gone["contact"])
    outcome = one(lever, tag(gone["contact"], row["contact"]))
    assert (outcome.kind, outcome.detail["gone"]) == (OutcomeKind.DONE, gone["contact"])
    assert lever.find(tag(gone["contact"])) is None


@pytest.mark.parametrize(
    "unfit",
    [
        Action("k", ActionKind.CONTACT_UPSERT, 1),
        tag(),
        tag("a", add=" "),
        tag("../users"),
        tag(*(f"c{number}" for number in range(51))),
        flag(),
    ],
)
def test_an_action_that_cannot_be_ours_is_refused_without_a_call(
    vendor: Vendor, lever: Lever, unfit: Action
) -> None:
    assert one(lever, unfit).kind is OutcomeKind.REFUSED
    assert lever.find(unfit) is None
    assert vendor.log.as_json()["total"] == 0


# Records read back


def test_records_say_what_became_of_each(vendor: Vendor, lever: Lever) -> None:
    row = vendor.apply(ADA, tags=["Python", ACTIVE])
    vendor.apply(ADA, tags=["Python"])
    gone = vendor.apply()
    vendor.delete(gone["id"])
    protected = vendor.apply()
    vendor.protect(protected["contact"])
    ids = [gone["contact"], row["contact"], protected["contact"], "no such/id"]
    found = lever.records(ids, ["name", "email", "stage"])
    assert [one.external_id for one in found] == ids
    assert [one.stands_as for one in found] == ["", row["contact"], protected["contact"], ""]
    assert found[1].fields == {"name": "Ada Lind", "email": "ada.lind@example.com"}
    assert found[1].tags == ("Python",)  # what only some carry is still to be put on
    assert [one.opted_out for one in found] == [False, False, True, False]
