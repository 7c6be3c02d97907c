"""Flag and do-not-contact against the simulated Greenhouse: once, whatever breaks in between."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from warmline.connectors.greenhouse import moments, notes
from warmline.connectors.greenhouse.checkup import RESOURCES
from warmline.connectors.greenhouse.connector import Greenhouse
from warmline.connectors.greenhouse.customfields import TYPES
from warmline.connectors.greenhouse.test_polling import Vendor, connect
from warmline.core.actions import OF_THE_EVENT, Action, ActionKind, TagChange
from warmline.core.errors import AuthFailed, ConfigError, Refused, Throttled
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.ports import Access, Finding, Needs, Options, Standing, Verdict
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.serve import Sandbox

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FLAG, TAG, STOP = "warmline:re-engaged", ActionKind.CANDIDATE_TAG, "do-not-contact"
FIELDS = {
    "click_date": "reengaged_on",
    "email_subject": "reengaged_subject",
    "link_url": "reengaged_link",
    "unsubscribe_date": "do_not_contact_on",
}
CLICK = {
    "click_date": "2026-03-01T17:30:00Z",
    "email_subject": "Bakers wanted",
    "link_url": "https://jobs.example.com/bakers",
}
PATCH, NOTE, PUT_ON = (
    "PATCH /v3/candidates/{id}",
    "POST /v3/notes",
    "POST /v3/applied_candidate_tags",
)
WRITES = ("POST", "PATCH", "DELETE")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def sandbox(clock: VirtualClock) -> Iterator[Sandbox]:
    with Sandbox(now=clock, background=False) as sandbox:
        sandbox.greenhouse.rate_limit = 10_000
        for tag in (FLAG, STOP, "archived"):
            sandbox.greenhouse.world.tagging.named(tag)
        yield sandbox


@contextmanager
def connected(sandbox: Sandbox, **more: object) -> Iterator[Greenhouse]:
    place = sandbox.addresses()["greenhouse"]
    settings = {
        "base_url": f"{place['url']}/v3",
        "token_url": place["token_url"],
        "user_id": place["user_id"],
        "fields": FIELDS,
        **more,
    }
    secrets = {name: place[name] for name in ("client_id", "client_secret")}
    made = Greenhouse(Options("ats", settings, secrets, now=sandbox.greenhouse.now))
    yield made
    made.close()


@pytest.fixture
def greenhouse(sandbox: Sandbox) -> Iterator[Greenhouse]:
    with connected(sandbox) as made:
        yield made


def flag(*records: int, key: str = "click|crm|1", **fields: str) -> Action:
    names = tuple(map(str, records))
    given = {**CLICK, **fields}
    return Action(key, ActionKind.CANDIDATE_FLAG, 1, fields=given, records=names)


def stop(*records: int, key: str = "unsubscribed|crm|1", date: str = "2026-03-02") -> Action:
    fields = {"unsubscribe_date": date}
    names = tuple(map(str, records))
    return Action(key, ActionKind.CANDIDATE_DO_NOT_CONTACT, 1, fields=fields, records=names)


def applied(sandbox: Sandbox, count: int = 1, *tags: str) -> list[int]:
    return [sandbox.greenhouse.apply(tags=tags)["candidate_id"] for _ in range(count)]


def row(sandbox: Sandbox, who: int) -> dict[str, Any]:
    found: dict[str, Any] = sandbox.greenhouse.world.candidates.get(who)
    return found


def values(sandbox: Sandbox, who: int) -> dict[str, Any]:
    kept = row(sandbox, who)["custom_fields"]
    return {key: one["value"] for key, one in kept.items() if one["value"] is not None}


def bodies(sandbox: Sandbox, who: int) -> list[str]:
    return [one["body"] for one in sandbox.greenhouse.world.notes.where("candidate_id", who)]


def writes(sandbox: Sandbox) -> dict[int, tuple[int, int]]:
    """Candidate → how often it was changed, and got a note; as the control API tells it."""
    with urllib.request.urlopen(  # noqa: S310 - loopback
        f"{sandbox.greenhouse_url}/_control/candidate_writes"
    ) as answer:
        told = json.load(answer)
    return {one["candidate_id"]: (one["patches"], one["notes"]) for one in told}


def calls(sandbox: Sandbox) -> dict[str, int]:
    """Calls by kind since the last look; the token's apart."""
    log = sandbox.greenhouse.log
    found: dict[str, int] = log.as_json()["by_call"]
    log.clear()
    return {name: count for name, count in found.items() if name != "POST /token"}


def kinds(outcomes: list[Outcome]) -> list[str]:
    return [outcome.kind.value for outcome in outcomes]


def fault(sandbox: Sandbox, kind: str, method: str, path: str, **more: Any) -> None:
    rule = {"kind": kind, "method": method, "path": path, "count": 1, **more}
    sandbox.greenhouse.faults.add(rule)


# What is written


def test_a_flag_is_a_tag_three_values_and_a_note_in_plain_words(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    (one,) = applied(sandbox, 1, "Python")
    sandbox.greenhouse.update_candidate(one, custom_fields={"desired_salary": "5 loaves"})
    (outcome,) = greenhouse.apply([flag(one)])
    assert (outcome.kind, outcome.detail) == (OutcomeKind.DONE, {"written": "3"})
    assert row(sandbox, one)["tags"] == ["Python", FLAG]
    assert values(sandbox, one) == {
        "desired_salary": "5 loaves",
        "reengaged_on": "2026-03-01",
        "reengaged_subject": "Bakers wanted",
        "reengaged_link": "https://jobs.example.com/bakers",
    }
    assert row(sandbox, one)["can_email"] is True
    (body,) = bodies(sandbox, one)
    assert body == (
        'Interested again: this candidate clicked a link in our e-mail "Bakers wanted" on'
        " 2026-03-01 17:30 UTC.\nLink: https://jobs.example.com/bakers\n\n"
        f"Written by Warmline. {notes.marker('click|crm|1')}"
    )
    (note,) = sandbox.greenhouse.world.notes.where("candidate_id", one)
    assert (note["visibility"], note["type"]) == ("publicly_visible", "NOTE")


def test_the_user_of_the_connection_is_the_author_of_the_note(sandbox: Sandbox) -> None:
    (one,) = applied(sandbox)
    world = sandbox.greenhouse.world
    admin = {key: value for key, value in world.staff("admin")[0].items() if key != "id"}
    bo = world.add("users", {**admin, "first_name": "Bo"})
    with connected(sandbox, user_id=bo["id"]) as greenhouse:
        greenhouse.apply([flag(one)])
    (note,) = world.notes.where("candidate_id", one)
    assert note["user_id"] == bo["id"] != world.staff("admin")[0]["id"]


def test_do_not_contact_is_a_tag_the_mark_its_date_and_a_note(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    (one,) = applied(sandbox)
    assert kinds(greenhouse.apply([stop(one)])) == ["done"]
    assert row(sandbox, one)["can_email"] is False
    assert row(sandbox, one)["tags"][-1] == STOP
    assert values(sandbox, one) == {"do_not_contact_on": "2026-03-02"}
    assert writes(sandbox) == {one: (1, 1)}
    (body,) = bodies(sandbox, one)
    assert body.startswith("Do not contact: this candidate unsubscribed from our e-mails on 2026")


def test_no_patch_sends_a_collection(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    """Collections replace: one sent as it was read would take a colleague's change back."""
    (one,) = applied(sandbox, 1, "Python")
    vendor = sandbox.greenhouse
    emails = [{"value": "new@example.com", "type": "personal"}]
    vendor.meanwhile["GET candidates"] = [
        lambda: vendor.update_candidate(
            one, email_addresses=emails, tags=["Referral"], custom_fields={"desired_salary": "6"}
        )
    ]
    assert kinds(greenhouse.apply([flag(one), stop(one)])) == ["done", "done"]
    assert row(sandbox, one)["email_addresses"] == emails
    assert sorted(row(sandbox, one)["tags"]) == ["Referral", STOP, FLAG]
    assert values(sandbox, one)["desired_salary"] == "6"


def test_without_custom_fields_it_is_the_tag_and_the_note(sandbox: Sandbox) -> None:
    (one,) = applied(sandbox)
    with connected(sandbox, fields={}) as greenhouse:
        assert kinds(greenhouse.apply([flag(one)])) == ["done"]
    assert writes(sandbox) == {one: (0, 1)}
    assert "GET /v3/custom_fields" not in calls(sandbox)


def test_every_record_of_the_person_is_told(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    one, two, three = applied(sandbox, 3)
    sandbox.greenhouse.delete_candidate(two)
    (outcome,) = greenhouse.apply([flag(one, two, three)])
    assert outcome.kind is OutcomeKind.DONE
    assert outcome.detail == {"written": "6", "gone": str(two)}
    assert writes(sandbox) == {one: (1, 1), three: (1, 1)}
    found = greenhouse.find(flag(one, two, three))
    assert found is not None
    assert found.detail == {"gone": str(two)}


def test_three_kinds_share_a_batch_and_its_reads(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    people = applied(sandbox, 24)
    segment = TagChange((str(people[0]),), "archived")
    batch = [
        Action("tag", TAG, 1, tags=segment),
        *(flag(who, key=f"flag {who}") for who in people[1:12]),
        *(stop(who, key=f"stop {who}") for who in people[12:]),
    ]
    calls(sandbox)
    assert kinds(greenhouse.apply(batch)) == ["done"] * 24
    told = calls(sandbox)
    assert {name: count for name, count in told.items() if name.startswith("GET")} == {
        "GET /v3/applied_candidate_tags": 1,
        "GET /v3/candidate_tags": 1,
        "GET /v3/candidates": 1,
        "GET /v3/custom_fields": 1,
        "GET /v3/notes": 1,
    }
    assert sum(told.values()) == 5 + 24 + 23 + 23


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "said yes to one of our e-mails."),
        ({"click_date": "2026-03-01"}, "said yes to one of our e-mails on 2026-03-01."),
        ({"email_subject": "A\tb\r\n c"}, 'said yes to our e-mail "A b c".'),
        ({"email_subject": "x" * 500}, f'our e-mail "{"x" * 199}…".'),
        ({"email_subject": "[warmline 0123456789ab]"}, "said yes to one of our e-mails."),
        (
            {"link_url": "https://e.example"},
            "a link in one of our e-mails.\nLink: https://e.example",
        ),
    ],
)
def test_a_note_says_what_is_known_and_on_one_line(fields: dict[str, str], says: str) -> None:
    body = notes.note(ActionKind.CANDIDATE_FLAG, "key", fields).body
    assert says in body
    assert body.count("[warmline ") == 1


# Once


def test_applying_twice_leaves_one_of_each_and_costs_no_write(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    one, two = applied(sandbox, 2)
    greenhouse.apply([flag(one), stop(two)])
    calls(sandbox)
    outcomes = greenhouse.apply([flag(one), stop(two)])
    assert kinds(outcomes) == ["already_done", "already_done"]
    assert not [call for call in calls(sandbox) if call.startswith(WRITES)]
    assert writes(sandbox) == {one: (1, 1), two: (1, 1)}
    assert set(sandbox.greenhouse.world.tagging.writes.values()) == {1}


def test_another_process_sees_what_the_first_one_wrote(sandbox: Sandbox) -> None:
    (one,) = applied(sandbox)
    for expected in ("done", "already_done"):
        with connected(sandbox) as greenhouse:
            assert kinds(greenhouse.apply([flag(one)])) == [expected]
    assert len(bodies(sandbox, one)) == 1


def test_what_a_recruiter_took_back_is_not_put_back(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    (one,) = applied(sandbox)
    greenhouse.apply([stop(one)])
    sandbox.greenhouse.update_candidate(one, can_email=True, tags=[])
    assert kinds(greenhouse.apply([stop(one)])) == ["already_done"]
    assert (row(sandbox, one)["can_email"], row(sandbox, one)["tags"]) == (True, [])


def test_what_is_so_already_is_not_written_and_only_the_note_is(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    (one,) = applied(sandbox, 1, "Do-Not-Contact")
    day = {"do_not_contact_on": "2026-03-02"}
    sandbox.greenhouse.update_candidate(one, can_email=False, custom_fields=day)
    (outcome,) = greenhouse.apply([stop(one)])
    assert outcome.detail == {"written": "1"}
    assert writes(sandbox) == {one: (0, 1)}


@pytest.mark.parametrize("kind", ["timeout_after", "drop"])
@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "applied_candidate_tags"), ("PATCH", "candidates"), ("POST", "notes")],
)
@pytest.mark.parametrize("made", [flag, stop])
def test_a_kill_at_any_write_and_a_second_try_leave_exactly_one(
    sandbox: Sandbox, greenhouse: Greenhouse, made: Any, kind: str, method: str, path: str
) -> None:
    """As the flow does it: an unknown is looked for, and tried again where it is not found."""
    one, two = applied(sandbox, 2)
    action = made(one, two)
    fault(sandbox, kind, method, path)
    assert kinds(greenhouse.apply([action])) == ["unknown"]
    found = greenhouse.find(action)
    arrived = kind == "timeout_after" and path == "notes"
    # The second record was written while the first was in doubt.
    assert (found is not None) == arrived
    if found is None:
        assert kinds(greenhouse.apply([action])) == ["done"]
    assert greenhouse.find(action) == Outcome(OutcomeKind.DONE, "found written")
    for who in (one, two):
        assert len(bodies(sandbox, who)) == 1
        assert writes(sandbox)[who] == (1, 1)
    assert set(sandbox.greenhouse.world.tagging.writes.values()) == {1}


def test_find_does_not_take_another_actions_note_for_its_own(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    (one,) = applied(sandbox)
    greenhouse.apply([flag(one, key="the first click")])
    later = flag(one, key="the second click", click_date="2026-03-02")
    assert greenhouse.find(later) is None
    assert kinds(greenhouse.apply([later])) == ["done"]
    assert len(bodies(sandbox, one)) == 2
    assert values(sandbox, one)["reengaged_on"] == "2026-03-02"


def test_find_is_silent_where_nobody_stands_and_raises_where_it_may_not_look(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    one, two = applied(sandbox, 2)
    sandbox.greenhouse.delete_candidate(one)
    assert greenhouse.find(flag(one)) is None
    sandbox.greenhouse.scopes = frozenset({"harvest:candidates:list"})
    with pytest.raises(AuthFailed, match="list notes"):
        greenhouse.find(flag(two))


# Older never overwrites newer


@pytest.mark.parametrize(
    ("there", "stands"),
    [
        ("2026-03-02", "2026-03-02"),
        ("2026-03-01", "2026-03-01"),
        ("2026-02-28", "2026-03-01"),
    ],
)
def test_a_newer_click_stays_with_all_that_belongs_to_it(
    sandbox: Sandbox, greenhouse: Greenhouse, there: str, stands: str
) -> None:
    (one,) = applied(sandbox)
    newer = {"reengaged_on": there, "reengaged_subject": "News"}
    sandbox.greenhouse.update_candidate(one, custom_fields=newer)
    assert kinds(greenhouse.apply([flag(one)])) == ["done"]
    subject = "News" if there > "2026-03-01" else "Bakers wanted"
    assert values(sandbox, one)["reengaged_on"] == stands
    assert values(sandbox, one)["reengaged_subject"] == subject
    assert len(bodies(sandbox, one)) == 1  # it happened, and is told


def test_in_a_text_field_two_clicks_of_one_day_are_told_apart(sandbox: Sandbox) -> None:
    (one,) = applied(sandbox)
    sandbox.greenhouse.add_custom_field("clicked_at", "Clicked", "short_text")
    with connected(sandbox, fields={"click_date": "clicked_at"}) as greenhouse:
        late, early = "2026-03-01T17:30:00Z", "2026-03-01T10:00:00+02:00"
        greenhouse.apply([flag(one, key="late", click_date=late)])
        assert kinds(greenhouse.apply([flag(one, key="early", click_date=early)])) == ["done"]
    assert values(sandbox, one) == {"clicked_at": late}


def test_moments_are_read_as_they_come() -> None:
    assert moments.read("2026-02-30") is None
    assert moments.read("soon") is None
    assert moments.read(None) is None
    late = moments.read("2026-03-02T00:30:00+02:00")
    assert late is not None
    assert (late.day.isoformat(), late.shown) == ("2026-03-01", "2026-03-01 22:30 UTC")


# What does not fit is refused before anything is sent


@pytest.mark.parametrize(
    ("named", "fields", "says"),
    [
        ({"email_subject": "reengaged_on"}, {}, "has the type date, and email_subject needs"),
        ({"link_url": "do_not_contact"}, {}, "has the type yes_no, and link_url needs"),
        ({"click_date": "no_such_field"}, {}, "no custom field 'no_such_field'"),
        ({"click_date": "put_away"}, {}, "no custom field 'put_away'"),
        (FIELDS, {"click_date": "yesterday"}, "click_date: found no date"),
        (FIELDS, {"link_url": "javascript:alert(1)"}, "link_url: found no web address"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_alone_and_before_any_write(
    sandbox: Sandbox, named: dict[str, str], fields: dict[str, str], says: str
) -> None:
    one, two = applied(sandbox, 2)
    gone = sandbox.greenhouse.add_custom_field("put_away", "Put away", "date")
    sandbox.greenhouse.world.custom_fields.get(gone["id"])["active"] = False
    with connected(sandbox, fields=named) as greenhouse:
        outcomes = greenhouse.apply([flag(one, **fields), stop(two)])
    assert kinds(outcomes) == ["refused", "done"]
    assert says in outcomes[0].reason
    assert one not in writes(sandbox)
    assert bodies(sandbox, one) == []
    assert FLAG not in row(sandbox, one)["tags"]


def test_a_custom_field_that_was_mended_is_seen_at_once(sandbox: Sandbox) -> None:
    (one,) = applied(sandbox)
    with connected(sandbox, fields={"click_date": "clicked_on"}) as greenhouse:
        assert kinds(greenhouse.apply([flag(one)])) == ["refused"]
        sandbox.greenhouse.add_custom_field("clicked_on", "Clicked on", "date")
        assert kinds(greenhouse.apply([flag(one)])) == ["done"]
    assert values(sandbox, one) == {"clicked_on": "2026-03-01"}


def test_a_subject_that_is_too_long_for_its_field_is_cut(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    (one,) = applied(sandbox)
    greenhouse.apply([flag(one, email_subject="x" * 300)])
    assert values(sandbox, one)["reengaged_subject"] == "x" * 254 + "…"


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        (flag(), "no record to write to"),
        (flag(*range(1, 52)), "51 records"),
        (replace(flag(1), records=("1,2",)), "not a number"),
    ],
)
def test_what_cannot_be_done_costs_no_call(
    sandbox: Sandbox, greenhouse: Greenhouse, action: Action, reason: str
) -> None:
    (outcome,) = greenhouse.apply([action])
    assert outcome.kind is OutcomeKind.REFUSED
    assert reason in outcome.reason
    assert greenhouse.find(action) is None
    assert calls(sandbox) == {}


# Rights, refusals, the window


def test_who_is_gone_merged_or_private_is_refused_alone(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    vendor = sandbox.greenhouse
    one, two, three, four, five = applied(sandbox, 5)
    vendor.delete_candidate(one)
    vendor.merge(five, two)
    vendor.update_candidate(three, private=True)
    vendor.sees_private = False
    people = (one, two, three, four)
    outcomes = greenhouse.apply([flag(who, key=f"flag {who}") for who in people])
    assert kinds(outcomes) == ["refused", "refused", "refused", "done"]
    assert [outcome.detail.get("gone") for outcome in outcomes] == [str(one), str(two), None, None]
    assert writes(sandbox) == {four: (1, 1)}


@pytest.mark.parametrize(
    ("lacking", "verb"),
    [("notes:list", "list notes"), ("custom_fields:list", "list custom_fields")],
)
def test_without_the_right_to_read_it_waits_and_tags_go_on(
    sandbox: Sandbox, greenhouse: Greenhouse, lacking: str, verb: str
) -> None:
    one, two = applied(sandbox, 2)
    allowed = ["candidates:list", "candidates:update", "notes:list", "notes:create"]
    allowed += ["custom_fields:list", "candidate_tags:list"]
    allowed += [f"applied_candidate_tags:{verb}" for verb in ("list", "create", "destroy")]
    vendor = sandbox.greenhouse
    vendor.scopes = frozenset(f"harvest:{scope}" for scope in allowed if scope != lacking)
    segment = Action("tag", TAG, 2, tags=TagChange((str(two),), "archived"))
    outcomes = greenhouse.apply([flag(one), segment])
    assert kinds(outcomes) == ["later", "done"]
    assert verb in outcomes[0].reason
    assert f"harvest:{lacking}" in outcomes[0].reason
    assert one not in writes(sandbox)
    vendor.scopes = None
    assert kinds(greenhouse.apply([flag(one)])) == ["done"]


@pytest.mark.parametrize("lacking", ["notes:create", "candidates:update"])
def test_without_the_right_to_write_it_waits_and_goes_on_where_it_stopped(
    sandbox: Sandbox, greenhouse: Greenhouse, lacking: str
) -> None:
    (one,) = applied(sandbox)
    allowed = {"candidates:list", "candidates:update", "notes:list", "notes:create"}
    allowed |= {"custom_fields:list", "candidate_tags:list", "applied_candidate_tags:list"}
    allowed |= {"applied_candidate_tags:create"}
    sandbox.greenhouse.scopes = frozenset(f"harvest:{scope}" for scope in allowed - {lacking})
    (outcome,) = greenhouse.apply([flag(one)])
    assert outcome.kind is OutcomeKind.LATER
    assert f"harvest:{lacking}" in outcome.reason
    sandbox.greenhouse.scopes = None
    assert kinds(greenhouse.apply([flag(one)])) == ["done"]
    assert writes(sandbox) == {one: (1, 1)}
    assert sandbox.greenhouse.world.tagging.writes == {(one, FLAG): 1}


def test_the_window_is_left_before_greenhouse_says_429_and_nothing_is_written_twice(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    """25 flags are 75 writes, and the reads come on top: more than one window holds."""
    people = applied(sandbox, 25)
    sandbox.greenhouse.rate_limit = 75
    batch = [flag(who, key=f"flag {who}") for who in people]
    windows = 0
    while windows < 3:
        windows += 1
        try:
            outcomes = greenhouse.apply(batch)
        except Throttled as error:
            clock.advance(error.after_s)
            continue
        if all(one.kind in (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE) for one in outcomes):
            break
        waits = {one.after_s for one in outcomes if one.kind is OutcomeKind.LATER}
        assert len(waits) == 1
        clock.advance(waits.pop() or 0)
    assert windows == 2
    assert set(writes(sandbox).values()) == {(1, 1)}
    assert "429" not in sandbox.greenhouse.log.as_json()["by_status"]


# The fields of others


def test_where_a_patch_empties_other_fields_they_are_put_back_and_none_is_written_again(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    zero, one, two = applied(sandbox, 3)
    vendor = sandbox.greenhouse
    vendor.world.custom_fields_replace = True
    for who in (one, two):
        vendor.update_candidate(who, custom_fields={"desired_salary": "5"})
    assert kinds(greenhouse.apply([flag(zero)])) == ["done"]  # nothing to tell it by
    outcomes = greenhouse.apply([flag(one), flag(two)])
    assert kinds(outcomes) == ["refused", "refused"]
    assert all("emptied a candidate's other custom fields" in one.reason for one in outcomes)
    assert values(sandbox, one) == {
        "desired_salary": "5",
        "reengaged_on": "2026-03-01",
        "reengaged_subject": CLICK["email_subject"],
        "reengaged_link": CLICK["link_url"],
    }
    assert values(sandbox, two) == {"desired_salary": "5"}
    assert bodies(sandbox, one) == bodies(sandbox, two) == []


@pytest.mark.parametrize("terse", [False, True])
def test_the_first_patch_that_can_tell_is_looked_at_and_no_other(
    sandbox: Sandbox, greenhouse: Greenhouse, terse: bool
) -> None:
    one, two = applied(sandbox, 2)
    sandbox.greenhouse.terse = terse
    for who in (one, two):
        sandbox.greenhouse.update_candidate(who, custom_fields={"desired_salary": "5"})
    calls(sandbox)
    assert kinds(greenhouse.apply([flag(one), flag(two)])) == ["done", "done"]
    assert calls(sandbox)["GET /v3/candidates"] == (2 if terse else 1)
    assert values(sandbox, two)["desired_salary"] == "5"


# Reading back


def test_records_are_read_fifty_a_call_in_order_whatever_became_of_them(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    vendor = sandbox.greenhouse
    people = applied(sandbox, 60)
    greenhouse.apply([flag(people[0]), stop(people[1])])
    vendor.delete_candidate(people[2])
    vendor.merge(people[4], people[3])
    calls(sandbox)
    ids = [*map(str, people), "not an id"]
    found = greenhouse.records(ids, ["click_date", "email_subject", "unsubscribe_date", "name"])
    assert [one.external_id for one in found] == ids
    # Two calls, and a third for those that the first two did not have.
    assert calls(sandbox) == {"GET /v3/candidates": 3}
    tags = tuple(row(sandbox, people[0])["tags"])
    said = {"click_date": "2026-03-01", "email_subject": "Bakers wanted", "unsubscribe_date": ""}
    assert found[0] == Standing(ids[0], ids[0], said, tags, opted_out=False)
    assert found[1].opted_out is True
    assert found[1].fields["unsubscribe_date"] == "2026-03-02"
    assert [found[at].stands_as for at in (2, 3, 4, 60)] == ["", "", ids[4], ""]


def test_a_lost_right_does_not_bury_everybody(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    people = applied(sandbox, 12)
    sandbox.greenhouse.world.hidden.update(people[:11])
    with pytest.raises(Refused, match="too few to believe"):
        greenhouse.records(list(map(str, people)), [])


# Settings and the check-up


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"fields": "reengaged_on"}, "expected `field: name_key` lines"),
        ({"fields": {"clicked": "reengaged_on"}}, "found 'clicked', expected some of"),
        ({"fields": {"click_date": 7}}, "click_date: found 7"),
        ({"fields": {"click_date": "Re-engaged on"}}, "immutable field key"),
        ({"fields": {"click_date": "a", "link_url": "a"}}, "two fields go into one"),
        ({"reengaged_tag": "Do-Not-Contact"}, "are the same"),
        ({"reengaged_tag": "x" * 101}, "reengaged_tag: found"),
        ({"do_not_contact_tag": ["no"]}, "do_not_contact_tag: found"),
    ],
)
def test_a_wrong_setting_is_told(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError) as error:
        Greenhouse(Options("ats", settings, {}, now=lambda: START))
    assert says in error.value.reason


def test_the_tags_are_settings_and_ours(sandbox: Sandbox) -> None:
    (one,) = applied(sandbox)
    with connected(sandbox, reengaged_tag="Warm", do_not_contact_tag="Stop") as greenhouse:
        assert greenhouse.own_tags() == {"Warm", "Stop"}
        greenhouse.apply([flag(one), stop(one)])
    assert row(sandbox, one)["tags"][-2:] == ["Warm", "Stop"]


def test_every_field_of_the_event_has_its_types() -> None:
    assert set(TYPES) == OF_THE_EVENT


BOTH = frozenset(Access)
BACK = Needs(
    {**dict.fromkeys(OF_THE_EVENT, BOTH), "tags": BOTH, "notes": BOTH, "do_not_contact": BOTH}
)
SCOPES = frozenset(
    f"harvest:{scope}"
    for scope in (
        *(f"{resource}:list" for resource in RESOURCES),
        *("candidate_tags:list", "applied_candidate_tags:list", "notes:list", "custom_fields:list"),
        *("candidate_tags:create", "applied_candidate_tags:create"),
        *("applied_candidate_tags:destroy", "candidates:update", "notes:create"),
    )
)


def check(sandbox: Sandbox, **settings: object) -> dict[str, Finding]:
    with connected(sandbox, **settings) as greenhouse:
        return {one.field: one for one in greenhouse.check(BACK) if one.field}


def test_what_the_way_back_needs_is_there(sandbox: Sandbox) -> None:
    applied(sandbox)
    sandbox.greenhouse.scopes = SCOPES
    told = check(sandbox)
    assert {one.verdict for one in told.values()} == {Verdict.OK}
    assert told["click_date"].what == "custom field reengaged_on"
    assert {one.verdict for one in check(sandbox, fields={}).values()} == {Verdict.OK}


@pytest.mark.parametrize(
    ("lacking", "fields"),
    [
        ("notes:create", {"notes"}),
        ("notes:list", {"notes"}),
        ("candidates:update", {"do_not_contact", *OF_THE_EVENT}),
        ("custom_fields:list", set(OF_THE_EVENT)),
    ],
)
def test_a_scope_that_is_lacking_is_told_of_all_that_needs_it(
    sandbox: Sandbox, lacking: str, fields: set[str]
) -> None:
    applied(sandbox)
    sandbox.greenhouse.scopes = SCOPES - {f"harvest:{lacking}"}
    told = check(sandbox)
    forbidden = {name for name, one in told.items() if one.verdict is Verdict.FORBIDDEN}
    assert forbidden == fields
    assert all(f"harvest:{lacking}" in told[name].advice for name in fields)


def test_a_custom_field_that_is_not_there_or_of_another_type_is_told(sandbox: Sandbox) -> None:
    applied(sandbox)
    told = check(sandbox, fields={"click_date": "nowhere", "email_subject": "reengaged_on"})
    assert told["click_date"].verdict is told["email_subject"].verdict is Verdict.MISSING
    assert "create it" in told["click_date"].advice
    assert "has the type date" in told["email_subject"].advice
    assert told["link_url"].verdict is Verdict.OK  # it stands in the note


def test_a_note_without_an_author_is_told() -> None:
    vendor = Vendor()
    greenhouse = connect(vendor, user_id="")
    told = {one.field: one for one in greenhouse.check(Needs({"notes": BOTH}))}
    greenhouse.close()
    vendor.close()
    assert (told["notes"].read, told["notes"].write) == (Verdict.OK, Verdict.MISSING)
    assert "set user_id" in told["notes"].advice
