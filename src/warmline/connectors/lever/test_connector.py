"""The connector against the simulated Lever: webhooks that are hints, polls, and both together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from warmline.connectors.lever.connector import Lever
from warmline.connectors.lever.sweeps import STREAMS
from warmline.core.errors import (
    AuthFailed,
    BadSignature,
    ConfigError,
    Malformed,
    Refused,
    Throttled,
)
from warmline.core.events import ApplicationStatus, Event, EventKind, InterviewStatus, StageKind
from warmline.ports import Channel, Options, Received
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.lever.api import make_app
from warmline.sandbox.lever.simulator import Lever as Vendor
from warmline.sandbox.listen import HttpServer

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ADA = {"first_name": "Ada", "last_name": "Lind", "email": "ada.lind@example.com"}
BACKEND = "Backend Engineer"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def vendor(clock: VirtualClock) -> Iterator[Vendor]:
    vendor = Vendor(now=clock)
    yield vendor
    vendor.close()


@pytest.fixture
def url(vendor: Vendor) -> Iterator[str]:
    server = HttpServer(make_app(vendor), threads=2)
    yield server.url
    vendor.closing.set()
    server.close()


@pytest.fixture
def tokens(vendor: Vendor) -> list[str]:
    """Of the ten webhooks, each with its own."""
    told = vendor.set_webhook("http://127.0.0.1:9/in/ats")
    assert len(told["tokens"]) == 10
    return list(told["tokens"])


@pytest.fixture
def lever(url: str, vendor: Vendor, tokens: list[str]) -> Iterator[Lever]:
    made = connect(url, vendor, tokens)
    yield made
    made.close()


def connect(url: str, vendor: Vendor, tokens: list[str], **settings: object) -> Lever:
    given = {"base_url": f"{url}/v1", **settings}
    secrets = {"api_key": vendor.api_key, "webhook_tokens": "\n".join(tokens)}
    return Lever(Options("ats", given, secrets, now=vendor.now))


def hook(body: bytes, at: datetime) -> Received:
    return Received(Channel.WEBHOOK, body, at)


def heard(lever: Lever, calls: list[tuple[dict[str, str], bytes]], at: datetime) -> list[Event]:
    """What the hints lead to, their signatures checked."""
    events = []
    for _, body in calls:
        received = hook(body, at)
        lever.verify(received, now=at)
        assert lever.parse(received) == []
        for stream, records in lever.fetch(received).items():
            for record in records:
                events += lever.parse(Received(Channel.POLL, record.body, at, stream=stream))
    return events


def polled(lever: Lever, now: datetime, cursor: str = "", *only: str) -> list[Event]:
    return [
        event
        for stream in only or STREAMS
        for page in lever.changes(stream, cursor, now=now)
        for record in page.records
        for event in lever.parse(Received(Channel.POLL, record.body, now, stream=stream))
    ]


def of(events: list[Event], kind: EventKind) -> list[Event]:
    return [event for event in events if event.kind is kind]


# Webhooks


def test_each_webhooks_own_token_is_accepted_and_no_other(
    vendor: Vendor, lever: Lever, tokens: list[str]
) -> None:
    for token in tokens:
        lever.verify(hook(vendor.envelope("candidateHired", {}, token), START), now=START)
    with pytest.raises(BadSignature, match="none of the 10"):
        lever.verify(hook(vendor.envelope("candidateHired", {}, "other"), START), now=START)


def test_other_data_pass_the_signature_and_so_nothing_of_them_is_believed(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    with vendor.captured() as calls:
        mine = vendor.apply(ADA, BACKEND)
        other = vendor.apply(None, BACKEND)
        vendor.archive(mine["id"])
    body = json.loads(calls[-1][1])
    assert body["event"] == "candidateArchiveChange"
    body["data"] |= {
        "opportunityId": other["id"],
        "toArchived": {"reason": "hired", "archivedAt": 1},
        "emails": ["mallory@example.net"],
    }
    events = heard(lever, [({}, json.dumps(body).encode())], clock())
    assert {e.kind for e in events} <= {
        EventKind.APPLICATION_SUBMITTED,
        EventKind.CANDIDATE_UPDATED,
    }
    assert "mallory" not in repr(events)


@pytest.mark.parametrize(
    "spoilt",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b'{"token": "t"}',
        b'{"token": "t", "triggeredAt": "1", "signature": "a"}',
        b'{"token": "t", "triggeredAt": true, "signature": "a"}',
        b'{"token": "", "triggeredAt": 1, "signature": "a"}',
        b'{"token": "t", "triggeredAt": 1, "signature": "zz"}',
        b'{"token": "t", "triggeredAt": 1, "signature": "' + b"0" * 64 + b'"}',
    ],
)
def test_what_nobody_signed_is_turned_away(lever: Lever, spoilt: bytes) -> None:
    with pytest.raises(BadSignature):
        lever.verify(hook(spoilt, START), now=START)


def test_a_retry_of_two_days_passes_and_an_old_one_does_not(
    vendor: Vendor, lever: Lever, tokens: list[str]
) -> None:
    body = vendor.envelope("candidateHired", {}, tokens[0])
    lever.verify(hook(body, START), now=START + timedelta(days=2))
    with pytest.raises(BadSignature, match="ago"):
        lever.verify(hook(body, START), now=START + timedelta(days=3, seconds=1))
    with pytest.raises(BadSignature, match="from now"):
        lever.verify(hook(body, START), now=START - timedelta(minutes=6))
    late = vendor.envelope("candidateHired", {}, tokens[0], triggered_at=10**30)
    with pytest.raises(BadSignature):
        lever.verify(hook(late, START), now=START)


def test_the_signed_token_names_the_delivery_whatever_else_it_says(
    vendor: Vendor, lever: Lever, tokens: list[str]
) -> None:
    body = vendor.envelope("candidateHired", {"opportunityId": "a"}, tokens[0])
    again = body.replace(b'"a"', b'"b"')
    key = lever.delivery_key(hook(body, START))
    assert key == lever.delivery_key(hook(again, START)) == json.loads(body)["token"]


def test_without_tokens_no_webhook_is_accepted(url: str, vendor: Vendor) -> None:
    lever = connect(url, vendor, [])
    with pytest.raises(ConfigError, match="webhook_tokens is not set"):
        lever.verify(hook(vendor.envelope("candidateHired", {}, ""), START), now=START)
    lever.close()


def test_an_unknown_word_is_kept_as_unknown_and_fetches_nothing(
    vendor: Vendor, lever: Lever, tokens: list[str]
) -> None:
    received = hook(vendor.envelope("offerSigned", {}, tokens[0]), START)
    (event,) = lever.parse(received)
    assert (event.kind, event.word) == (EventKind.UNKNOWN, "offerSigned")
    assert lever.fetch(received) == {}


@pytest.mark.parametrize(
    "data", [None, [], {}, {"opportunityId": "../users"}, {"opportunityId": 7}]
)
def test_a_hint_without_a_usable_id_is_malformed(
    vendor: Vendor, lever: Lever, tokens: list[str], data: Any
) -> None:
    body = json.loads(vendor.envelope("candidateHired", {}, tokens[0])) | {"data": data}
    with pytest.raises(Malformed, match=r"\$\.data"):
        lever.fetch(hook(json.dumps(body).encode(), START))


# One story, two ways


def test_webhooks_and_polls_tell_the_same_story(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    told: list[str] = []
    seen: list[str] = []

    def both(calls: list[tuple[dict[str, str], bytes]]) -> None:
        told.extend(e.key for e in heard(lever, calls, clock()))
        seen.extend(e.key for e in polled(lever, clock()))
        calls.clear()
        clock.advance(3600)

    with vendor.captured() as calls:
        row = vendor.apply(ADA, BACKEND)
        both(calls)
        vendor.move(row["id"], "Final interview")
        both(calls)
        vendor.archive(row["id"])
        both(calls)
    moves = [key for key in told if not key.startswith("candidate.updated")]
    assert [key.partition(":")[0] for key in dict.fromkeys(moves)] == [
        "application.submitted",
        "application.stage_changed",
        "application.rejected",
    ]
    assert set(moves) <= set(seen)


def test_the_record_of_an_application(vendor: Vendor, lever: Lever, clock: VirtualClock) -> None:
    row = vendor.apply(
        {
            **ADA,
            "phone": "+1 202 555 0100",
            "link": "https://l.example.com/in/ada",
            "city": "Lisbon",
        },
        BACKEND,
        tags=["Python"],
    )
    submitted, person, stands = polled(lever, clock())
    assert submitted.kind is EventKind.APPLICATION_SUBMITTED
    assert submitted.occurred_at == START
    candidate, application = submitted.candidate, submitted.application
    assert candidate is not None
    assert application is not None
    assert (candidate.external_id, application.external_id) == (row["contact"], row["id"])
    assert (candidate.first_name, candidate.last_name) == ("Ada", "Lind")
    assert candidate.emails == ("ada.lind@example.com",)
    assert candidate.phones == ("+1 202 555 0100",)
    assert candidate.links == ("https://l.example.com/in/ada",)
    assert (candidate.tags, candidate.place, candidate.can_email) == (("Python",), "Lisbon", None)
    assert candidate.owner is not None
    assert candidate.owner.email.endswith("@staff.example.com")
    assert application.job is not None
    assert (application.job.title, application.job.department) == (BACKEND, "Engineering")
    assert application.stage is not None
    assert (application.stage.name, application.stage.kind) == ("New applicant", StageKind.APPLIED)
    assert (application.status, application.prospect) == (ApplicationStatus.ACTIVE, False)
    assert application.url.endswith(row["id"])
    assert person.kind is stands.kind is EventKind.CANDIDATE_UPDATED


def test_nothing_that_nobody_needs_is_kept(vendor: Vendor, lever: Lever) -> None:
    row = vendor.apply(ADA, BACKEND)
    interview = vendor.schedule_interview(row["id"], START)
    vendor.submit_feedback(interview["id"])
    bodies = b"".join(
        record.body
        for stream in STREAMS
        for page in lever.changes(stream, "", now=START)
        for record in page.records
    )
    for private in (b"a private answer", b"192.0.2.7", b"nobody else should read"):
        assert private not in bodies


def test_archived_for_a_hire_reason_is_hired_and_for_any_other_rejected(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    taken, refused = vendor.apply(None, BACKEND), vendor.apply(None, BACKEND)
    at = clock.advance(60)
    vendor.hire(taken["id"])
    vendor.archive(refused["id"], "Timing")
    events = polled(lever, clock())
    (hired,) = of(events, EventKind.APPLICATION_HIRED)
    (rejected,) = of(events, EventKind.APPLICATION_REJECTED)
    assert hired.application is not None
    assert rejected.application is not None
    assert hired.application.external_id == taken["id"]
    assert hired.application.rejected_at is None
    assert rejected.application.external_id == refused["id"]
    assert rejected.occurred_at == rejected.application.rejected_at == at
    assert rejected.fields == {"reason": "Timing"}


def test_taken_out_of_the_archive_it_stands_as_active_after_the_rejection(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    row = vendor.apply(ADA, BACKEND)
    clock.advance(60)
    vendor.archive(row["id"])
    clock.advance(60)
    vendor.unarchive(row["id"])
    events = polled(lever, clock())
    stands = events[-1]
    assert stands.application is not None
    assert stands.application.status is ApplicationStatus.ACTIVE
    assert stands.application.rejected_at is None
    assert stands.occurred_at == clock()


def test_a_move_in_the_archive_does_not_take_it_out(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    row = vendor.apply(ADA, BACKEND)
    clock.advance(60)
    vendor.archive(row["id"])
    clock.advance(60)
    vendor.move(row["id"], "Recruiter screen")
    events = polled(lever, clock())
    (move,) = of(events, EventKind.APPLICATION_STAGE_CHANGED)
    assert move.application is not None
    assert move.application.status is None
    assert len(of(events, EventKind.APPLICATION_REJECTED)) == 1


def test_every_stage_between_two_polls_is_told_with_its_time(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    row = vendor.apply(ADA, BACKEND)
    times = []
    for stage in ("Recruiter screen", "On-site interview", "Final interview"):
        times.append(clock.advance(60))
        vendor.move(row["id"], stage)
    moves = of(polled(lever, clock()), EventKind.APPLICATION_STAGE_CHANGED)
    assert [move.occurred_at for move in moves] == times
    kinds = [m.application.stage.kind for m in moves if m.application and m.application.stage]
    assert kinds == [StageKind.SCREEN, StageKind.INTERVIEW, StageKind.FINAL]


def test_who_was_sourced_has_not_applied_until_they_are_in_the_pipeline(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    bare, posted = vendor.source(ADA), vendor.source(None, BACKEND)
    clock.advance(3600)
    events = polled(lever, clock())
    assert {event.kind for event in events} == {EventKind.CANDIDATE_UPDATED}
    shown = {e.application.external_id: e.application for e in events if e.application}
    assert shown[bare["id"]].prospect
    assert shown[posted["id"]].prospect
    vendor.move(posted["id"], "On-site interview")
    events = polled(lever, clock())
    assert not of(events, EventKind.APPLICATION_SUBMITTED)
    last = of(events, EventKind.APPLICATION_STAGE_CHANGED)[-1]
    assert last.application is not None
    assert (last.application.external_id, last.application.prospect) == (posted["id"], False)


def test_many_opportunities_are_one_person(vendor: Vendor, lever: Lever) -> None:
    first = vendor.apply(ADA, BACKEND)
    second = vendor.apply(ADA, "Data Engineer")
    events = of(polled(lever, START), EventKind.APPLICATION_SUBMITTED)
    assert {e.candidate.external_id for e in events if e.candidate} == {first["contact"]}
    assert {e.application.external_id for e in events if e.application} == {
        first["id"],
        second["id"],
    }


def test_data_protection_is_honoured(vendor: Vendor, lever: Lever) -> None:
    row = vendor.apply(ADA, BACKEND)
    with vendor.captured() as calls:
        vendor.protect(row["contact"], allowed=False)
    events = heard(lever, calls, START)
    assert {e.candidate.can_email for e in events if e.candidate and e.candidate.emails} == {False}


def test_a_change_of_the_person_is_heard_each_time_though_updated_at_stays(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    row = vendor.apply(ADA, BACKEND)
    keys = []
    for email in ("a@example.com", "b@example.com", "a@example.com"):
        clock.advance(60)
        with vendor.captured() as calls:
            vendor.update_contact(row["contact"], emails=[email])
        events = of(heard(lever, calls, clock()), EventKind.CANDIDATE_UPDATED)
        person = next(e for e in events if e.candidate and e.candidate.emails)
        assert person.candidate is not None
        assert person.candidate.emails == (email,)
        assert person.occurred_at == clock()
        keys.append(person.key)
    assert len(set(keys)) == 3


def test_an_opportunity_without_updated_at_can_be_read(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    row = vendor.apply(ADA, BACKEND)
    vendor.world.opportunities[row["id"]]["updatedAt"] = None
    events = polled(lever, clock())
    assert of(events, EventKind.APPLICATION_SUBMITTED)
    assert events[-1].occurred_at == START


def test_an_anonymised_person_is_gone(vendor: Vendor, lever: Lever) -> None:
    row = vendor.apply(ADA, BACKEND)
    with vendor.captured() as calls:
        vendor.anonymize(row["contact"])
    (event,) = heard(lever, calls, START)
    assert event.kind is EventKind.CANDIDATE_DELETED
    assert event.candidate is not None
    assert event.candidate.gone


def test_a_deleted_opportunity_and_the_person_with_the_last_one(
    vendor: Vendor, lever: Lever
) -> None:
    first, second = vendor.apply(ADA, BACKEND), vendor.apply(ADA, "Data Engineer")
    with vendor.captured() as calls:
        vendor.delete(first["id"])
    (event,) = heard(lever, calls, START)
    assert event.application is not None
    assert event.application.status is ApplicationStatus.DELETED
    assert event.application.external_id == first["id"]
    calls.clear()
    with vendor.captured() as calls:
        vendor.delete(second["id"])
    _, gone = heard(lever, calls, START)
    assert gone.kind is EventKind.CANDIDATE_DELETED
    assert gone.candidate is not None
    assert gone.candidate.external_id == first["contact"]
    deleted = [
        e.application.external_id for e in polled(lever, START, "", "deleted") if e.application
    ]
    assert deleted == [first["id"], second["id"]]


def test_a_signed_deletion_of_what_is_there_deletes_nothing(
    vendor: Vendor, lever: Lever, tokens: list[str]
) -> None:
    row = vendor.apply(ADA, BACKEND)
    data = {"opportunityId": row["id"], "contactId": row["contact"]}
    events = heard(lever, [({}, vendor.envelope("candidateDeleted", data, tokens[0]))], START)
    assert not of(events, EventKind.CANDIDATE_DELETED)
    assert all(e.application is None or e.application.status is ApplicationStatus.ACTIVE
               for e in events)  # fmt: skip


# Interviews and feedback


def test_an_interview_from_its_making_to_its_end(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    row = vendor.apply(ADA, BACKEND)
    starts_at = START + timedelta(days=2)
    with vendor.captured() as calls:
        made = vendor.schedule_interview(row["id"], starts_at, 45, location="Room 4")
    (event,) = of(heard(lever, calls, clock()), EventKind.INTERVIEW_SCHEDULED)
    interview = event.interview
    assert interview is not None
    assert (interview.starts_at, interview.location) == (starts_at, "Room 4")
    assert interview.ends_at == starts_at + timedelta(minutes=45)
    assert interview.status is InterviewStatus.SCHEDULED
    assert [p.email for p in interview.interviewers] == ["gareth.oyelaran@staff.example.com"]
    assert of(polled(lever, clock()), EventKind.INTERVIEW_SCHEDULED)
    keys = [event.key]
    for day in (3, 2):
        clock.advance(60)
        with vendor.captured() as calls:
            vendor.reschedule_interview(made["id"], START + timedelta(days=day))
        (event,) = of(heard(lever, calls, clock()), EventKind.INTERVIEW_SCHEDULED)
        keys.append(event.key)
    assert len(set(keys)) == 3
    with vendor.captured() as calls:
        vendor.cancel_interview(made["id"])
    (event,) = of(heard(lever, calls, clock()), EventKind.INTERVIEW_CANCELLED)
    assert event.interview is not None
    assert event.interview.status is InterviewStatus.CANCELLED


def test_a_deleted_interview_is_cancelled_though_it_is_in_no_listing(
    vendor: Vendor, lever: Lever
) -> None:
    row = vendor.apply(ADA, BACKEND)
    made = vendor.schedule_interview(row["id"], START + timedelta(days=2))
    with vendor.captured() as calls:
        vendor.delete_interview(made["id"])
    (event,) = of(heard(lever, calls, START), EventKind.INTERVIEW_CANCELLED)
    assert event.interview is not None
    assert event.interview.external_id == made["id"]


def test_feedback_comes_with_the_next_change_of_its_opportunity(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    row = vendor.apply(ADA, BACKEND)
    made = vendor.schedule_interview(row["id"], START)
    polled(lever, clock())
    at = clock.advance(7200)
    vendor.submit_feedback(made["id"], "4 - Strong Hire")
    assert not of(polled(lever, clock()), EventKind.SCORECARD_SUBMITTED)
    clock.advance(60)
    vendor.move(row["id"], "Final interview")
    (event,) = of(polled(lever, clock()), EventKind.SCORECARD_SUBMITTED)
    assert event.occurred_at == at
    assert event.fields["rating"] == "4 - Strong Hire"
    assert event.fields["submitter"] == "Gareth Oyelaran"
    assert event.candidate is not None
    assert event.candidate.external_id == row["contact"]


def test_interviews_of_what_did_not_change_are_not_asked_for_again(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    for _ in range(3):
        vendor.schedule_interview(vendor.apply(None, BACKEND)["id"], START)
    polled(lever, clock())
    clock.advance(10)
    vendor.log.clear()
    polled(lever, clock())
    assert vendor.log.as_json()["total"] == len(STREAMS)


# Sweeps


def test_pages_resume_and_a_stale_token_begins_the_sweep_again(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    for _ in range(230):
        vendor.apply(None, BACKEND)
    sweep = lever.changes("opportunities", "", now=clock())
    first = next(sweep)
    assert (len(first.records), first.last) == (100, False)
    clock.advance(10)
    rest = list(lever.changes("opportunities", first.cursor, now=clock()))
    assert [len(page.records) for page in rest] == [100, 30]
    assert rest[-1].last
    vendor.forget_offsets()
    clock.advance(10)
    again = list(lever.changes("opportunities", first.cursor, now=clock()))
    assert [len(page.records) for page in again] == [100, 100, 30]


def test_a_poll_reads_what_changed_since_the_last_one_began_and_an_overlap(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    old = vendor.apply(None, BACKEND)
    clock.advance(3600)
    just_before = vendor.apply(None, BACKEND)
    clock.advance(600)
    (page,) = lever.changes("opportunities", "", now=clock())
    assert page.cursor == str(int(clock().timestamp() * 1000))
    clock.advance(3600)
    (page,) = lever.changes("opportunities", page.cursor, now=clock())
    seen = b"".join(record.body for record in page.records).decode()
    assert just_before["id"] in seen  # Lever's bound is inclusive
    assert old["id"] not in seen


def test_start_brings_no_history(vendor: Vendor, lever: Lever, clock: VirtualClock) -> None:
    vendor.apply(None, BACKEND)
    clock.advance(1)
    assert not polled(lever, clock(), lever.start(now=clock()))


def test_the_same_record_has_the_same_key_until_it_changes(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    row = vendor.apply(ADA, BACKEND)

    def key() -> str:
        (page,) = lever.changes("opportunities", "", now=clock.advance(60))
        return page.records[0].key

    first = key()
    assert key() == first
    vendor.move(row["id"], "Offer")
    assert key() != first


def test_what_a_webhook_has_read_is_a_record_of_its_own(
    vendor: Vendor, lever: Lever, tokens: list[str]
) -> None:
    """What changed and changed back looks as it did before, and is news all the same."""
    row = vendor.apply(ADA, BACKEND)
    data = {"contactId": row["contact"]}
    calls = [vendor.envelope("contactUpdated", data, tokens[0]) for _ in range(2)]
    keys = [r.key for body in calls for r in lever.fetch(hook(body, START))["opportunities"]]
    assert len(set(keys)) == 2
    again = lever.fetch(hook(calls[0], START))["opportunities"]
    assert again[0].key == keys[0]


def test_confidential_opportunities_are_read_too(vendor: Vendor, lever: Lever) -> None:
    vendor.apply(ADA, BACKEND, confidential=True)
    assert of(polled(lever, START), EventKind.APPLICATION_SUBMITTED)


@pytest.mark.parametrize("cursor", ["{", "x", '{"since": 1}', '{"since": "x", "start": 1}'])
def test_a_cursor_of_somebody_elses_is_malformed(lever: Lever, cursor: str) -> None:
    with pytest.raises(Malformed, match="cursor"):
        next(lever.changes("opportunities", cursor, now=START))


# Rate and faults


def test_the_rate_is_kept_to_by_itself(vendor: Vendor, lever: Lever, clock: VirtualClock) -> None:
    for _ in range(40):
        vendor.schedule_interview(vendor.apply(None, BACKEND)["id"], START)
    waits: list[float] = []
    pages, cursor = 0, ""
    while len(waits) < 20:
        try:
            for page in lever.changes("interviews", cursor, now=clock()):
                cursor, pages = page.cursor, pages + 1
            break
        except Throttled as error:
            clock.advance(error.after_s)
            waits.append(error.after_s)
    assert pages == 2
    assert 2 <= len(waits) < 5
    assert max(waits) <= 2
    # One call an opportunity, and the page at hand once more after each wait; no 429.
    by_status = vendor.log.as_json()["by_status"]
    assert by_status.keys() == {"200"}
    assert by_status["200"] <= 40 + 2 + len(waits)


def test_a_429_keeps_away_longer_each_time(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    vendor.faults.add({"kind": "rate_limited", "count": 2})
    waits = []
    for _ in range(2):
        with pytest.raises(Throttled) as caught:
            polled(lever, clock())
        waits.append(caught.value.after_s)
        with pytest.raises(Throttled):
            polled(lever, clock())  # nothing is sent before
        clock.advance(waits[-1])
    assert waits == [10.0, 20.0]
    assert vendor.log.as_json()["total"] == 2
    assert polled(lever, clock()) == []


def test_a_wrong_key_and_a_right_that_is_missing_are_told_apart(
    vendor: Vendor, url: str, tokens: list[str], lever: Lever
) -> None:
    vendor.forbidden.add("read opportunities")
    with pytest.raises(AuthFailed, match="read opportunities") as denied:
        polled(lever, START)
    vendor.api_key = "another"
    with pytest.raises(AuthFailed, match="does not know this API key") as unknown:
        polled(lever, START)
    for error in (denied.value, unknown.value):
        assert "sandbox-lever-key" not in f"{error} {error.hint}"


def test_a_posting_that_the_key_may_not_see_leaves_the_role_out(
    vendor: Vendor, lever: Lever
) -> None:
    vendor.apply(ADA, BACKEND)
    vendor.forbidden.add("read postings")
    (submitted,) = of(polled(lever, START), EventKind.APPLICATION_SUBMITTED)
    assert submitted.application is not None
    assert submitted.application.job is not None
    assert submitted.application.job.title == ""


# What is missing


def test_deleted_merged_and_hidden_are_told_apart(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    there = vendor.apply(None, BACKEND)
    half, rest = vendor.apply(ADA, BACKEND), vendor.apply(ADA, "Data Engineer")
    gone = vendor.apply(None, BACKEND)
    kept, duplicate = vendor.apply(None, BACKEND), vendor.apply(None, BACKEND)
    known = {
        there["contact"]: [there["id"]],
        half["contact"]: [half["id"], rest["id"]],
        gone["contact"]: [gone["id"]],
        duplicate["contact"]: [duplicate["id"]],
    }
    assert lever.missing(known) == []
    clock.advance(10)
    vendor.delete(half["id"])
    vendor.delete(gone["id"])
    vendor.merge(kept["contact"], duplicate["contact"])
    events = {event.kind: event for event in lever.missing(known)}
    assert set(events) == {
        EventKind.CANDIDATE_UPDATED,
        EventKind.CANDIDATE_DELETED,
        EventKind.CANDIDATE_MERGED,
    }
    merged = events[EventKind.CANDIDATE_MERGED].candidate
    assert merged is not None
    assert (merged.external_id, merged.merged_into) == (duplicate["contact"], kept["contact"])
    deleted = events[EventKind.CANDIDATE_DELETED].candidate
    assert deleted is not None
    assert deleted.external_id == gone["contact"]
    application = events[EventKind.CANDIDATE_UPDATED].application
    assert application is not None
    assert application.external_id == half["id"]


def test_more_people_than_the_rate_allows_are_asked_for_bit_by_bit(
    vendor: Vendor, lever: Lever, clock: VirtualClock
) -> None:
    rows = [vendor.apply(None, BACKEND) for _ in range(60)]
    known = {row["contact"]: [row["id"]] for row in rows}
    vendor.delete(rows[0]["id"])
    waits, found = 0, None
    while found is None and waits < 10:
        try:
            found = lever.missing(known)
        except Throttled as error:
            clock.advance(error.after_s)
            waits += 1
    assert waits >= 3
    assert found is not None
    assert [event.kind for event in found] == [EventKind.CANDIDATE_DELETED]


def test_a_right_that_is_lost_is_no_deletion(vendor: Vendor, lever: Lever) -> None:
    rows = [vendor.apply(None, BACKEND, confidential=True) for _ in range(12)]
    vendor.sees_confidential = False
    with pytest.raises(Refused, match="0 of 12"):
        lever.missing({row["contact"]: [row["id"]] for row in rows})


def test_somebody_who_is_hidden_is_not_deleted(vendor: Vendor, lever: Lever) -> None:
    row = vendor.apply(ADA, BACKEND, confidential=True)
    vendor.sees_confidential = False
    events = lever.missing({row["contact"]: [row["id"]]})
    assert not of(events, EventKind.CANDIDATE_DELETED)


# Settings


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"base_url": 5}, "base_url"),
        ({"perform_as": "kim@example.com"}, "perform_as"),
        ({"overlap_minutes": -1}, "overlap_minutes"),
        ({"overlap_minutes": True}, "overlap_minutes"),
        ({"stages": "final"}, "stages"),
        ({"stages": {"Offer": "hired"}}, "stages: Offer"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Lever(Options("ats", settings, {}, now=lambda: START))


def test_a_stage_of_the_customers_own_comes_first(
    url: str, vendor: Vendor, tokens: list[str]
) -> None:
    lever = connect(url, vendor, tokens, stages={"new  APPLICANT": "screen"})
    vendor.apply(ADA, BACKEND)
    (event,) = of(polled(lever, START), EventKind.APPLICATION_SUBMITTED)
    lever.close()
    assert event.application is not None
    assert event.application.stage is not None
    assert event.application.stage.kind is StageKind.SCREEN


def test_without_a_key_nothing_is_called(url: str, vendor: Vendor) -> None:
    lever = Lever(Options("ats", {"base_url": f"{url}/v1"}, {}, now=lambda: START))
    with pytest.raises(ConfigError, match="api_key is not set"):
        polled(lever, START)
    lever.close()
    assert vendor.log.as_json()["total"] == 0
