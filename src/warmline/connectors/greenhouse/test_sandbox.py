"""The connector against the simulated Greenhouse: one life of an application, told both ways."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from warmline.connectors.greenhouse.connector import Greenhouse
from warmline.core.errors import BadSignature, Refused, Throttled
from warmline.core.events import ApplicationStatus, Event, EventKind
from warmline.ports import Channel, Options, Received
from warmline.sandbox.clock import VirtualClock
from warmline.sandbox.serve import Sandbox

SECRET = "webhook-key-7"
START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def sandbox(clock: VirtualClock) -> Iterator[Sandbox]:
    with Sandbox(now=clock, background=False) as sandbox:
        sandbox.greenhouse.secret = SECRET
        yield sandbox


@pytest.fixture
def greenhouse(sandbox: Sandbox, clock: VirtualClock) -> Iterator[Greenhouse]:
    place = sandbox.addresses()["greenhouse"]
    settings = {
        "base_url": f"{place['url']}/v3",
        "token_url": place["token_url"],
        "user_id": place["user_id"],
    }
    secrets = {name: place[name] for name in ("client_id", "client_secret")}
    made = Greenhouse(Options("ats", settings, {**secrets, "webhook_secret": SECRET}, now=clock))
    yield made
    made.close()


def told(greenhouse: Greenhouse, calls: list[tuple[dict[str, str], bytes]]) -> list[Event]:
    """What the webhooks say, their signatures checked."""
    events = []
    for headers, body in calls:
        lower = {name.lower(): value for name, value in headers.items()}
        received = Received(Channel.WEBHOOK, body, START, headers=lower)
        greenhouse.verify(received, now=START)
        assert greenhouse.delivery_key(received)
        with pytest.raises(BadSignature):
            greenhouse.verify(
                Received(Channel.WEBHOOK, body + b" ", START, headers=lower), now=START
            )
        events += greenhouse.parse(received)
    return events


def polled(greenhouse: Greenhouse, stream: str, now: datetime, cursor: str = "") -> list[Event]:
    return [
        event
        for page in greenhouse.changes(stream, cursor, now=now)
        for record in page.records
        for event in greenhouse.parse(Received(Channel.POLL, record.body, now, stream=stream))
    ]


def test_webhooks_and_polls_tell_the_same_story(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    vendor = sandbox.greenhouse
    keys: list[str] = []
    seen: list[str] = []

    def poll() -> list[str]:
        return [event.key for event in polled(greenhouse, "applications", clock())]

    with vendor.captured() as calls:
        application = vendor.apply()
        seen += poll()
        clock.advance(3600)
        vendor.move(application["id"], "Offer")
        seen += poll()
        clock.advance(3600)
        vendor.reject(application["id"])
        seen += poll()
        keys = [event.key for event in told(greenhouse, calls)]
    assert [key.partition(":")[0] for key in keys] == [
        "application.submitted",
        "application.stage_changed",
        "application.rejected",
    ]
    assert set(keys) <= set(seen)


def test_an_application_is_the_same_person_by_both_ways(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    with sandbox.greenhouse.captured() as calls:
        sandbox.greenhouse.apply()
        (webhook,) = told(greenhouse, calls)
    poll = polled(greenhouse, "applications", clock())[0]
    assert poll.key == webhook.key
    assert poll.candidate == webhook.candidate
    assert poll.application is not None
    assert webhook.application is not None
    assert poll.application.stage == webhook.application.stage
    assert poll.application.job is not None
    assert webhook.application.job is not None
    assert poll.application.job.title == webhook.application.job.title


def test_interviews_and_feedback_come_by_poll(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    vendor = sandbox.greenhouse
    application = vendor.apply()
    starts_at = START + timedelta(days=2)
    interview = vendor.schedule_interview(
        application["id"], starts_at, starts_at + timedelta(hours=1), location="Room 4"
    )
    (event,) = polled(greenhouse, "interviews", clock())
    assert event.kind is EventKind.INTERVIEW_SCHEDULED
    assert event.interview is not None
    assert (event.interview.starts_at, event.interview.location) == (starts_at, "Room 4")
    assert all(person.name and person.email for person in event.interview.interviewers)
    assert event.interview.interviewers
    clock.advance(3 * 86_400)
    vendor.submit_scorecard(application["id"], "strong_yes")
    (feedback,) = polled(greenhouse, "scorecards", clock())
    assert feedback.kind is EventKind.SCORECARD_SUBMITTED
    assert feedback.fields["rating"] == "strong_yes"
    assert feedback.candidate is not None
    assert feedback.candidate.external_id == str(application["candidate_id"])
    with vendor.captured() as calls:
        vendor.cancel_interview(interview["id"])
        (cancelled,) = told(greenhouse, calls)
    assert cancelled.kind is EventKind.INTERVIEW_CANCELLED


def test_an_interview_moved_there_and_back_is_heard_each_time(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    vendor = sandbox.greenhouse
    first, hour = START + timedelta(days=2), timedelta(hours=1)
    interview = vendor.schedule_interview(vendor.apply()["id"], first, first + hour)
    keys = {event.key for event in polled(greenhouse, "interviews", clock())}
    for starts_at in (first + timedelta(days=1), first):
        clock.advance(360)
        vendor.reschedule_interview(interview["id"], starts_at, starts_at + hour)
        keys |= {event.key for event in polled(greenhouse, "interviews", clock())}
    assert len(keys) == 3


def test_merges_deletions_and_anonymising_come_by_webhook(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    vendor = sandbox.greenhouse
    with vendor.captured() as calls:
        first, second, third = (vendor.apply()["candidate_id"] for _ in range(3))
        calls.clear()
        vendor.merge(first, second)
        vendor.delete_candidate(first)
        vendor.anonymize(third)
        events = told(greenhouse, calls)
    assert [event.key for event in events] == [
        f"candidate.merged:{second}:{first}",
        f"candidate.deleted:{first}",
        f"candidate.deleted:{third}",
    ]


# What is missing


def known(sandbox: Sandbox) -> dict[str, list[str]]:
    """Each candidate there with the applications, as the ledger knows them."""
    world = sandbox.greenhouse.world
    return {
        str(number): [str(a["id"]) for a in world.applications.where("candidate_id", number)]
        for number in world.candidates.rows
    }


def test_deletions_and_merges_are_found_with_the_webhooks_keys(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    vendor = sandbox.greenhouse
    with vendor.captured() as calls:
        crowd = [vendor.apply()["candidate_id"] for _ in range(120)]
        before = known(sandbox)
        assert greenhouse.missing(before) == []
        calls.clear()
        vendor.merge(crowd[0], crowd[60])
        vendor.delete_candidate(crowd[61])
        vendor.merge(crowd[1], crowd[119])
        webhooks = {event.key: event for event in told(greenhouse, calls)}
    found = greenhouse.missing(before)
    assert {event.key for event in found} == set(webhooks)
    for event in found:
        assert event.kind is webhooks[event.key].kind
        assert event.candidate is not None
        assert event.candidate.merged_into == webhooks[event.key].candidate.merged_into  # type: ignore[union-attr]
        assert event.candidate.gone == (event.kind is EventKind.CANDIDATE_DELETED)
        assert event.occurred_at is None
    assert greenhouse.missing(before) == found  # the same news, under the same keys


def test_an_application_that_is_gone_is_found_with_the_webhooks_key(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    vendor = sandbox.greenhouse
    first = vendor.apply()
    candidate = str(first["candidate_id"])
    before = known(sandbox)
    before[candidate].append("69999")
    (event,) = greenhouse.missing(before)
    assert event.key == f"candidate.updated:{candidate}:application.deleted:69999"
    assert event.application is not None
    assert event.application.external_id == "69999"
    assert event.application.status is ApplicationStatus.DELETED


def test_who_is_only_hidden_is_not_deleted(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    vendor = sandbox.greenhouse
    for _ in range(3):
        hidden = vendor.apply()["candidate_id"]
    before = known(sandbox)
    vendor.world.hidden.add(hidden)  # the listing of applications shows theirs still
    assert greenhouse.missing(before) == []
    vendor.world.hidden.clear()
    vendor.world.candidates.get(hidden)["private"] = True
    vendor.sees_private = False
    assert greenhouse.missing(before) == []


def test_so_many_missing_are_not_believed(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    vendor = sandbox.greenhouse
    crowd = [vendor.apply()["candidate_id"] for _ in range(19)]
    before = known(sandbox)
    vendor.world.hidden.update(crowd[:9])
    before |= {str(number): [] for number in crowd[:9]}
    assert len(greenhouse.missing(before)) == 9
    vendor.world.hidden.add(crowd[9])
    with pytest.raises(Refused, match="9 of 19 known candidates") as raised:
        greenhouse.missing(before)
    assert "private" in raised.value.hint


def test_one_hollow_answer_deletes_nobody(sandbox: Sandbox, greenhouse: Greenhouse) -> None:
    vendor = sandbox.greenhouse
    lost = vendor.apply()["candidate_id"]
    vendor.apply()
    vendor.world.hidden.add(lost)
    vendor.meanwhile["GET candidates"] = [vendor.world.hidden.clear]
    assert greenhouse.missing({str(lost): [], "nonsense": ["1"], "9" * 30: []}) == []


def test_several_records_of_one_person_are_told_apart(
    sandbox: Sandbox, greenhouse: Greenhouse
) -> None:
    """The ledger knows applications by person: those of a record that stands are no proof."""
    vendor = sandbox.greenhouse
    one, two, other = (vendor.apply()["candidate_id"] for _ in range(3))
    person = [number for record in (one, two) for number in known(sandbox)[str(record)]]
    vendor.merge(other, one)
    (event,) = greenhouse.missing({str(one): person, str(two): person})
    assert event.candidate is not None
    assert event.candidate.merged_into == str(other)


def test_looking_for_what_is_missing_waits_when_asked_to(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    sandbox.greenhouse.apply()
    sandbox.greenhouse.rate_limit = 1
    with pytest.raises(Throttled):
        greenhouse.missing(known(sandbox))


def test_a_poll_reads_only_what_changed(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    vendor = sandbox.greenhouse
    vendor.apply()
    clock.advance(2 * 3600)
    *_, last = greenhouse.changes("applications", "", now=clock())
    clock.advance(60)
    application = vendor.apply()
    events = polled(greenhouse, "applications", clock(), last.cursor)
    assert {event.application.external_id for event in events if event.application} == {
        str(application["id"])
    }
