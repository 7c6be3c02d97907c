"""The connector against the simulated Greenhouse: one life of an application, told both ways."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from warmline.connectors.greenhouse.connector import Greenhouse
from warmline.core.errors import AuthFailed, BadSignature
from warmline.core.events import Event, EventKind
from warmline.ports import Channel, Options, Received, Verdict
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


def test_check_is_content_with_an_admin_and_names_who_is_none(
    sandbox: Sandbox, clock: VirtualClock, greenhouse: Greenhouse
) -> None:
    sandbox.greenhouse.apply()
    assert {finding.verdict for finding in greenhouse.check()} == {Verdict.OK}
    place = sandbox.addresses()["greenhouse"]
    recruiter = sandbox.greenhouse.world.staff("recruiter")[0]["id"]
    settings = {
        "base_url": f"{place['url']}/v3",
        "token_url": place["token_url"],
        "user_id": recruiter,
    }
    secrets = {name: place[name] for name in ("client_id", "client_secret")}
    weak = Greenhouse(Options("ats", settings, secrets, now=clock))
    verdicts = {finding.what: finding.verdict for finding in weak.check()}
    assert verdicts["API credentials"] is Verdict.OK
    assert verdicts["list candidates"] is Verdict.FORBIDDEN
    with pytest.raises(AuthFailed):
        polled(weak, "candidates", clock())
    weak.close()
