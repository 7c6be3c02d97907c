"""The flag and the do-not-contact mark against the simulated Greenhouse: each part read before it
is written, once, whatever fails in between."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from warmline.connectors.greenhouse.connector import Greenhouse
from warmline.connectors.greenhouse.writeback import mark_of
from warmline.core.actions import Action, ActionKind
from warmline.core.errors import ConfigError
from warmline.core.outcomes import Outcome
from warmline.ports import Options, Standing
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.serve import Sandbox

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
FIELDS = {
    "click_date": "reengaged_on",
    "email_subject": "reengaged_subject",
    "link_url": "reengaged_link",
}
SAID = {
    "click_date": "2026-03-01T14:02:00Z",
    "email_subject": "What is open here now",
    "link_url": "https://careers.example.com/jobs/7",
}
WRITES = ("POST", "PATCH", "DELETE")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def sandbox(clock: VirtualClock) -> Iterator[Sandbox]:
    with Sandbox(now=clock, background=False) as sandbox:
        yield sandbox


@contextmanager
def connected(sandbox: Sandbox, clock: VirtualClock, **more: Any) -> Iterator[Greenhouse]:
    place = sandbox.addresses()["greenhouse"]
    settings = {
        "base_url": f"{place['url']}/v3",
        "token_url": place["token_url"],
        "user_id": place["user_id"],
        "fields": FIELDS,
        **more,
    }
    secrets = {name: place[name] for name in ("client_id", "client_secret")}
    made = Greenhouse(Options("ats", settings, secrets, now=clock))
    yield made
    made.close()


@pytest.fixture
def greenhouse(sandbox: Sandbox, clock: VirtualClock) -> Iterator[Greenhouse]:
    with connected(sandbox, clock) as made:
        yield made


def flag(*records: int, key: str = "flag:1", **fields: str) -> Action:
    return Action(
        key=key,
        kind=ActionKind.CANDIDATE_FLAG,
        candidate_id=1,
        fields=SAID | fields,
        records=tuple(map(str, records)),
    )


def no_contact(*records: int, key: str = "no:1") -> Action:
    return Action(
        key=key,
        kind=ActionKind.CANDIDATE_DO_NOT_CONTACT,
        candidate_id=1,
        fields={"unsubscribe_date": "2026-03-01"},
        records=tuple(map(str, records)),
    )


def somebody(sandbox: Sandbox, *tags: str) -> int:
    return int(sandbox.greenhouse.apply(tags=tags)["candidate_id"])


def row(sandbox: Sandbox, candidate: int) -> dict[str, Any]:
    found: dict[str, Any] = sandbox.greenhouse.world.candidates.get(candidate)
    return found


def notes(sandbox: Sandbox, candidate: int) -> list[str]:
    rows = sandbox.greenhouse.world.notes.rows.values()
    return [note["body"] for note in rows if note["candidate_id"] == candidate]


def held(sandbox: Sandbox, candidate: int) -> dict[str, Any]:
    fields = row(sandbox, candidate)["custom_fields"]
    return {name: fields[name]["value"] for name in FIELDS.values()}


def writes(sandbox: Sandbox) -> int:
    """Writes since the last look; the token's apart."""
    by_call: dict[str, int] = sandbox.greenhouse.log.as_json()["by_call"]
    sandbox.greenhouse.log.clear()
    return sum(n for call, n in by_call.items() if call.startswith(WRITES) and "/v3/" in call)


def one(greenhouse: Greenhouse, action: Action) -> Outcome:
    (said,) = greenhouse.apply([action])
    return said


def fault(sandbox: Sandbox, kind: str, method: str, path: str, count: int | None = 1) -> None:
    sandbox.greenhouse.faults.add({"kind": kind, "method": method, "path": path, "count": count})


# What is written


def test_the_flag_is_a_tag_fields_and_a_note_and_other_tags_stay(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    who = somebody(sandbox, "Python")
    said = one(greenhouse, flag(who))
    assert (said.kind, said.detail) == ("done", {"written": "3"})
    assert sorted(row(sandbox, who)["tags"]) == ["Python", "warmline:re-engaged"]
    assert held(sandbox, who) == {
        "reengaged_on": "2026-03-01",
        "reengaged_subject": "What is open here now",
        "reengaged_link": "https://careers.example.com/jobs/7",
    }
    (note,) = notes(sandbox, who)
    assert "clicked on 1 March 2026 at 14:02 UTC in the mail “What is open here now”" in note
    assert SAID["link_url"] in note
    assert note.endswith(mark_of(flag(who)))


def test_do_not_contact_is_a_mark_a_tag_and_a_note(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    who = somebody(sandbox, "Python")
    assert row(sandbox, who)["can_email"] is True
    assert one(greenhouse, no_contact(who)).kind == "done"
    assert row(sandbox, who)["can_email"] is False
    assert sorted(row(sandbox, who)["tags"]) == ["Python", "do-not-contact"]
    (note,) = notes(sandbox, who)
    assert note.startswith("Do not contact: the person unsubscribed on 1 March 2026.")


def test_every_record_of_the_person_is_written_to(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    people = [somebody(sandbox), somebody(sandbox)]
    one(greenhouse, no_contact(*people))
    assert [row(sandbox, who)["can_email"] for who in people] == [False, False]
    assert [len(notes(sandbox, who)) for who in people] == [1, 1]


def test_without_custom_fields_the_tag_and_the_note_do(
    sandbox: Sandbox, clock: VirtualClock
) -> None:
    who = somebody(sandbox)
    with connected(sandbox, clock, fields={}, reengaged_tag="Warm") as plain:
        assert one(plain, flag(who)).detail == {"written": "2"}
    assert row(sandbox, who)["tags"] == ["Warm"]
    assert set(held(sandbox, who).values()) == {None}


# Once


@pytest.mark.parametrize("make", [flag, no_contact])
def test_again_it_writes_nothing(sandbox: Sandbox, greenhouse: Greenhouse, make: Any) -> None:
    who = somebody(sandbox)
    assert greenhouse.find(make(who)) is None
    one(greenhouse, make(who))
    assert writes(sandbox) > 0
    assert one(greenhouse, make(who)).kind == "already_done"
    assert writes(sandbox) == 0
    found = greenhouse.find(make(who))
    assert found is not None
    assert found.kind == "done"


def test_another_act_is_another_note_and_the_newest_click_stays(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    who = somebody(sandbox)
    one(
        greenhouse, flag(who, key="second", click_date="2026-03-02T07:00:00Z", link_url="https://b")
    )
    one(greenhouse, flag(who, key="first"))  # an older click, told late (I6)
    assert held(sandbox, who)["reengaged_on"] == "2026-03-02"
    assert held(sandbox, who)["reengaged_link"] == "https://b"
    assert len(notes(sandbox, who)) == 2


@pytest.mark.parametrize("make", [flag, no_contact])
@pytest.mark.parametrize("path", ["applied_candidate_tags", "candidates", "notes"])
@pytest.mark.parametrize("kind", ["timeout_after", "drop", "error", "unavailable", "malformed"])
def test_a_lost_answer_at_any_write_is_unknown_and_ends_in_one_of_each(
    sandbox: Sandbox, greenhouse: Greenhouse, make: Any, path: str, kind: str
) -> None:
    who = somebody(sandbox)
    method = "PATCH" if path == "candidates" else "POST"
    fault(sandbox, kind, method, f"/v3/{path}")
    said = one(greenhouse, make(who))
    assert said.kind == "unknown", said
    for _ in range(3):
        if (found := greenhouse.find(make(who))) is not None:
            assert found.kind == "done"
            break
        one(greenhouse, make(who))
    assert len(notes(sandbox, who)) == 1
    assert len(row(sandbox, who)["tags"]) == 1
    found = greenhouse.find(make(who))
    assert found is not None


def test_somebody_undid_it_and_find_says_so(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    who = somebody(sandbox)
    one(greenhouse, no_contact(who))
    sandbox.greenhouse.update_candidate(who, can_email=True)
    assert greenhouse.find(no_contact(who)) is None


# What is refused


def test_a_field_that_is_not_there_is_refused_before_the_record_is_changed(
    sandbox: Sandbox, clock: VirtualClock
) -> None:
    who = somebody(sandbox)
    with connected(sandbox, clock, fields={"link_url": "no_such"}) as wrong:
        said = one(wrong, flag(who))
    assert said.kind == "refused"
    assert "no candidate field 'no_such' for link_url" in said.reason
    assert notes(sandbox, who) == []


def test_text_into_a_date_is_refused(sandbox: Sandbox, clock: VirtualClock) -> None:
    who = somebody(sandbox)
    with connected(sandbox, clock, fields={"email_subject": "reengaged_on"}) as wrong:
        said = one(wrong, flag(who))
    assert said.kind == "refused"
    assert "'reengaged_on' is of the type 'date': email_subject is text" in said.reason
    assert held(sandbox, who)["reengaged_on"] is None


def test_who_is_gone_is_refused_and_the_other_record_is_written(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    gone, there = somebody(sandbox), somebody(sandbox)
    sandbox.greenhouse.delete_candidate(gone)
    assert one(greenhouse, no_contact(gone, there)).kind == "done"
    assert row(sandbox, there)["can_email"] is False
    assert one(greenhouse, no_contact(gone, key="no:2")).kind == "refused"


def test_a_right_that_is_missing_waits_and_once_granted_it_is_about_the_record(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    who, other = somebody(sandbox), somebody(sandbox)
    sandbox.greenhouse.faults.add({"kind": "plan", "method": "PATCH", "path": "/v3/candidates"})
    said = greenhouse.apply([no_contact(who), no_contact(other, key="no:2")])
    assert [s.kind for s in said] == ["later", "later"]
    assert said[0].detail == {"scope": "credentials"}
    sandbox.greenhouse.faults.clear()
    assert one(greenhouse, no_contact(who)).kind == "done"
    sandbox.greenhouse.faults.add({"kind": "plan", "method": "PATCH", "path": "/v3/candidates"})
    assert one(greenhouse, no_contact(other, key="no:2")).kind == "refused"


def test_it_stops_before_the_vendor_says_429(
    sandbox: Sandbox, greenhouse: Greenhouse, clock: VirtualClock
) -> None:
    people = [somebody(sandbox) for _ in range(25)]
    left = [no_contact(who, key=f"no:{who}") for who in people]
    rounds = 0
    while left and rounds < 20:
        said = greenhouse.apply(left)
        waits = [s.after_s for s in said if s.kind == "later"]
        left = [action for action, s in zip(left, said, strict=True) if s.kind == "later"]
        if waits:
            assert waits[0] is not None
            clock.advance(waits[0] + 1)
        rounds += 1
    assert left == []
    assert sandbox.greenhouse.log.as_json()["by_status"].get("429", 0) == 0
    assert [len(notes(sandbox, who)) for who in people] == [1] * 25


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (["x"], "expected `field: name_key` lines"),
        ({"stage": "x"}, "found 'stage', expected some of click_date"),
        ({"click_date": 3}, "click_date: found 3, expected a name_key"),
    ],
)
def test_a_wrong_setting_stops_the_start(fields: object, reason: str, clock: VirtualClock) -> None:
    with pytest.raises(ConfigError, match=reason):
        Greenhouse(Options("ats", {"fields": fields}, {}, now=clock))


# Read back


def test_records_are_read_back_as_they_stand(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    who, marked, gone = somebody(sandbox, "Python"), somebody(sandbox), somebody(sandbox)
    one(greenhouse, no_contact(marked))
    sandbox.greenhouse.delete_candidate(gone)
    assert greenhouse.records([str(marked), str(gone), str(who), "x"], ()) == [
        Standing(str(marked), str(marked), tags=("do-not-contact",), opted_out=True),
        Standing(str(gone)),
        Standing(str(who), str(who), tags=("Python",)),
        Standing("x"),
    ]
