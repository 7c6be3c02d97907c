"""Greenhouse's webhooks and polled records: signatures, golden events, hostile shapes."""

from __future__ import annotations

import copy
import hashlib
import hmac
import json
import os
import re
import timeit
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.connectors.greenhouse import mapping, webhooks
from warmline.connectors.greenhouse.connector import Greenhouse
from warmline.core.candidates import normal_email
from warmline.core.errors import BadSignature, ConfigError, Malformed
from warmline.core.events import (
    ApplicationFacts,
    ApplicationStatus,
    CandidateFacts,
    Event,
    EventKind,
    InterviewFacts,
    InterviewStatus,
    JobFacts,
    Person,
    StageFacts,
    StageKind,
)
from warmline.kit.manifest import make, read_manifest
from warmline.ports import CAPABILITIES, Channel, Options, Received

HERE = Path(__file__).parent
NOW = datetime(2026, 4, 5, 12, 0, tzinfo=UTC)
SECRET = "webhook-key-7"
WEBHOOKS = sorted(path.stem for path in (HERE / "fixtures").glob("*.json"))
POLLED = sorted(path.stem for path in (HERE / "fixtures" / "polled").glob("*.json"))


def greenhouse(**settings: object) -> Greenhouse:
    secrets = {"webhook_secret": SECRET, "client_id": "", "client_secret": ""}
    return Greenhouse(Options("ats", settings, secrets, now=lambda: NOW))


def body_of(name: str) -> bytes:
    return (HERE / "fixtures" / f"{name}.json").read_bytes()


def webhook(body: bytes, event_id: str = "ev-1", **headers: str) -> Received:
    return Received(
        Channel.WEBHOOK, body, NOW, headers={"greenhouse-event-id": event_id, **headers}
    )


def polled(name: str) -> Received:
    body = (HERE / "fixtures" / "polled" / f"{name}.json").read_bytes()
    return Received(Channel.POLL, body, NOW, stream=name.partition("_")[0])


def at(text: str) -> datetime:
    return datetime.fromisoformat(text + "Z")


# Signatures


def sign(body: bytes, secret: str = SECRET) -> str:
    return "sha256 " + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def test_a_signature_over_the_raw_bytes_passes() -> None:
    body = body_of("new_candidate_application")
    assert rb"\u003c" in body_of("job_created")  # signed as it stands, escapes and all
    for raw in (body, body_of("job_created")):
        greenhouse().verify(webhook(raw, signature=sign(raw)), now=NOW)


def test_a_signature_computed_elsewhere_passes() -> None:
    # openssl dgst -sha256 -hmac webhook-key-7 <<< '{"action":"ping"}' (without the newline)
    value = "sha256 " + KNOWN_VECTOR
    greenhouse().verify(webhook(b'{"action":"ping"}', signature=value), now=NOW)


KNOWN_VECTOR = "aaf1a9d154294d9ac77d12cad1afa83aaa13a5ebb191c711d878b5b142e13288"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "missing"),
        ("", "missing"),
        ("sha1 " + "a" * 40, "another scheme"),
        (KNOWN_VECTOR, "another scheme"),
        ("sha256", "cut off"),
        ("sha256 " + KNOWN_VECTOR[:-1], "cut off"),
        ("sha256 " + KNOWN_VECTOR[:-1] + "x", "not hexadecimal"),
        ("sha256 " + KNOWN_VECTOR[:-1] + "\u00e9", "not hexadecimal"),
        ("sha256 " + "0" * 64, "does not match"),
    ],
)
def test_any_other_signature_is_refused_and_says_why(value: str | None, reason: str) -> None:
    headers = {} if value is None else {"signature": value}
    with pytest.raises(BadSignature, match=reason) as raised:
        greenhouse().verify(webhook(b'{"action":"ping"}', **headers), now=NOW)
    assert raised.value.hint
    assert SECRET not in str(raised.value)


def test_a_signature_of_another_body_or_secret_is_refused() -> None:
    body = body_of("reject_candidate")
    for value in (sign(body + b" "), sign(body, "another")):
        with pytest.raises(BadSignature, match="does not match"):
            greenhouse().verify(webhook(body, signature=value), now=NOW)


def test_without_a_secret_nothing_is_accepted() -> None:
    bare = Greenhouse(Options("ats", {}, {}, now=lambda: NOW))
    with pytest.raises(ConfigError, match="webhook_secret"):
        bare.verify(webhook(b"{}", signature=sign(b"{}", "")), now=NOW)
    assert bare.parse(webhook(body_of("new_candidate_application")))  # and nothing else needs it


def test_the_delivery_key_is_the_vendors_id_with_the_body() -> None:
    key = greenhouse().delivery_key(webhook(b"{}", event_id=" 77-a "))
    assert key == "77-a:" + hashlib.sha256(b"{}").hexdigest()[:16]
    assert greenhouse().delivery_key(Received(Channel.WEBHOOK, b"{}", NOW)) == ""


def test_the_unsigned_id_alone_makes_no_repeat() -> None:
    first, other = (webhook(body_of(name)) for name in ("update_candidate", "application_updated"))
    assert greenhouse().delivery_key(first) == greenhouse().delivery_key(first)
    assert greenhouse().delivery_key(first) != greenhouse().delivery_key(other)
    assert greenhouse().parse(first)[0].key != greenhouse().parse(other)[0].key


# Webhooks

AMARA = CandidateFacts(
    external_id="7001",
    first_name="Amara",
    last_name="Lindqvist",
    emails=(" amara.lindqvist@example.com ", "amara@work.example.com"),
    phones=("+46 70 123 45 67",),
    tags=("Python", "Relocation"),
    can_email=True,
    owner=Person("Rosa Okafor", "rosa.okafor@example.com", "5101"),
    links=("https://social.example.com/amara",),
    employer="Northwind",
    created_at=at("2026-03-02T08:15:04"),
)
DATA_SCIENTIST = JobFacts("3001", "Data Scientist", "Data", "Stockholm, Remote")
SUBMITTED = Event(
    kind=EventKind.APPLICATION_SUBMITTED,
    key="application.submitted:9001",
    word="new_candidate_application",
    occurred_at=at("2026-03-02T08:15:05"),
    candidate=AMARA,
    application=ApplicationFacts(
        external_id="9001",
        status=ApplicationStatus.ACTIVE,
        applied_at=at("2026-03-02T08:15:05"),
        job=DATA_SCIENTIST,
        stage=StageFacts("4001", "Application Review", StageKind.APPLIED),
        url="https://app.greenhouse.io/people/7001?application_id=9001",
    ),
)

# Fixture → kind, key, time. `<delivery>` is the vendor's id and a piece of the body's hash.
GOLDEN: dict[str, tuple[EventKind, str, str | None]] = {
    "new_candidate_application": (
        EventKind.APPLICATION_SUBMITTED,
        "application.submitted:9001",
        "2026-03-02T08:15:05",
    ),
    "new_prospect_application": (
        EventKind.CANDIDATE_UPDATED,
        "candidate.updated:7002:<delivery>",
        "2026-03-03T10:00:00",
    ),
    "candidate_stage_change": (
        EventKind.APPLICATION_STAGE_CHANGED,
        "application.stage_changed:9001:4003:2026-03-09T14:30:12Z",
        "2026-03-09T14:30:12",
    ),
    "unreject_candidate": (
        EventKind.APPLICATION_STAGE_CHANGED,
        "application.stage_changed:9001:4004:2026-03-21T09:00:00Z",
        "2026-03-21T09:00:00",
    ),
    "unhire_candidate": (
        EventKind.APPLICATION_STAGE_CHANGED,
        "application.stage_changed:9001:4005:2026-04-02T09:00:00Z",
        "2026-04-02T09:00:00",
    ),
    "reject_candidate": (
        EventKind.APPLICATION_REJECTED,
        "application.rejected:9001:2026-03-20T16:05:41Z",
        "2026-03-20T16:05:41",
    ),
    "hire_candidate": (EventKind.APPLICATION_HIRED, "application.hired:9001:<delivery>", None),
    "update_candidate": (EventKind.CANDIDATE_UPDATED, "candidate.updated:7001:<delivery>", None),
    "application_updated": (
        EventKind.CANDIDATE_UPDATED,
        "candidate.updated:7001:<delivery>",
        "2026-03-04T12:00:00",
    ),
    "delete_application": (
        EventKind.CANDIDATE_UPDATED,
        "candidate.updated:7003:application.deleted:9005",
        None,
    ),
    "merge_candidate": (EventKind.CANDIDATE_MERGED, "candidate.merged:7003:7001", None),
    "delete_candidate": (EventKind.CANDIDATE_DELETED, "candidate.deleted:7003", None),
    "candidate_anonymized": (EventKind.CANDIDATE_DELETED, "candidate.deleted:7004", None),
    "candidate_anonymized_in_part": (
        EventKind.CANDIDATE_UPDATED,
        "candidate.updated:7004:<delivery>",
        None,
    ),
    "interview_deleted": (EventKind.INTERVIEW_CANCELLED, "interview.cancelled:8001:deleted", None),
    "unknown_action": (EventKind.UNKNOWN, "unknown:candidate_teleported:<delivery>", None),
}


def one(name: str) -> Event:
    (event,) = greenhouse().parse(webhook(body_of(name)))
    return event


@pytest.mark.parametrize("name", WEBHOOKS)
def test_every_webhook_gives_its_event(name: str) -> None:
    events = greenhouse().parse(webhook(body_of(name)))
    if name not in GOLDEN:
        assert mapping.UNMAPPED[name]  # silence is declared, with a reason
        assert events == []
        return
    kind, key, when = GOLDEN[name]
    key = key.replace("<delivery>", f"ev-1:{hashlib.sha256(body_of(name)).hexdigest()[:16]}")
    found = [(event.kind, event.key, event.occurred_at) for event in events]
    assert found == [(kind, key, at(when) if when else None)]
    assert events[0].word == json.loads(body_of(name))["action"]


def test_every_action_of_the_documentation_has_a_fixture() -> None:
    assert set(mapping.EVENTS) | set(mapping.UNMAPPED) <= set(WEBHOOKS)
    assert not set(mapping.EVENTS) & set(mapping.UNMAPPED)
    assert set(webhooks._READERS) == set(mapping.EVENTS)


def test_a_new_application_tells_all_of_it() -> None:
    assert one("new_candidate_application") == SUBMITTED


def test_personal_addresses_come_first_and_stay_as_they_were_written() -> None:
    emails = AMARA.emails
    assert one("new_candidate_application").candidate == AMARA
    assert normal_email(emails[0]) == "amara.lindqvist@example.com"
    candidate = one("update_candidate").candidate
    assert candidate is not None
    assert candidate.emails == ("amara.lindqvist@example.com",)  # an empty one is none
    assert (candidate.can_email, candidate.tags) == (None, ("Python",))  # not said, and less


def about(**fields: object) -> CandidateFacts:
    """What an `update_candidate` with these fields of its candidate says of the person."""
    body = json.loads(body_of("update_candidate"))
    body["payload"]["candidate"].update(fields)
    (event,) = greenhouse().parse(webhook(json.dumps(body).encode()))
    assert event.candidate is not None
    return event.candidate


def test_profile_pages_employer_place_and_age_are_told() -> None:
    told = about(
        social_media_addresses=[{"value": "@amara"}, {"value": " https://x.example.com/a "}],
        website_addresses=[{"value": "amara.example.com", "type": "personal"}, {"value": "@amara"}],
        company=" Northwind ",
        addresses=[{"value": "1 Work Road", "type": "work"}, {"value": "Uppsala", "type": "home"}],
        created_at="2024-05-06T07:08:09.987+02:00",
    )
    assert told.links == ("@amara", " https://x.example.com/a ", "amara.example.com")
    assert (told.employer, told.place) == ("Northwind", "Uppsala")
    assert told.created_at == at("2024-05-06T05:08:09")
    assert about(addresses=[{"value": "1 Work Road"}]).place == "1 Work Road"


def test_what_is_not_said_of_them_is_none() -> None:
    told = about(company=None, addresses=[], created_at=None, social_media_addresses=None)
    assert (told.links, told.employer, told.place, told.created_at) == ((), None, None, None)
    assert about(company="  ", addresses=[{"value": " "}]).employer is None


@pytest.mark.parametrize("wrong", [7, "text", {"value": "x"}, [7, None, "x", {"value": 7}], [[]]])
def test_wrong_shapes_of_mere_evidence_stop_nothing(wrong: object) -> None:
    told = about(
        social_media_addresses=wrong, website_addresses=wrong, addresses=wrong, company=[wrong]
    )
    assert (told.links, told.employer, told.place) == ((), None, None)
    assert told.first_name == "Amara"


def test_a_time_of_creation_that_is_none_is_malformed() -> None:
    with pytest.raises(Malformed, match=r"candidate\.created_at: found text"):
        about(created_at="long ago")


def test_a_prospect_is_no_applicant() -> None:
    event = one("new_prospect_application")
    assert event.candidate is not None
    assert event.application is not None
    assert (event.candidate.can_email, event.candidate.owner) == (False, None)
    assert (event.candidate.last_name, event.candidate.tags) == (None, ())
    assert event.application.prospect
    assert (event.application.job, event.application.stage) == (None, None)


def test_a_rejection_carries_stage_time_and_reason() -> None:
    event = one("reject_candidate")
    assert event.application is not None
    assert event.application.status is ApplicationStatus.REJECTED
    assert event.application.rejected_at == at("2026-03-20T16:05:41")
    assert event.application.stage == StageFacts("4004", "Executive Interview", StageKind.FINAL)
    assert event.fields == {
        "reason": "Chose another finalist",
        "reason_type": "We rejected them",
    }


def test_a_hire_has_one_job_and_no_status_of_its_own() -> None:
    event = one("hire_candidate")
    assert event.application is not None
    assert event.application.status is ApplicationStatus.HIRED
    assert event.application.job == DATA_SCIENTIST
    assert event.candidate is not None
    assert event.candidate.tags is None  # not said: not "has none"


@pytest.mark.parametrize("name", ["unreject_candidate", "unhire_candidate"])
def test_what_is_taken_back_is_active_again(name: str) -> None:
    application = one(name).application
    assert application is not None
    assert (application.status, application.rejected_at) == (ApplicationStatus.ACTIVE, None)


def test_merges_and_deletions() -> None:
    assert one("merge_candidate").candidate == CandidateFacts(
        "7003", can_email=False, merged_into="7001"
    )
    deleted = one("delete_candidate")
    assert deleted.candidate == CandidateFacts("7003", gone=True)
    assert deleted.fields == {"deleted_application_ids": "9005,9006"}
    assert one("candidate_anonymized").candidate == CandidateFacts("7004", gone=True)
    assert one("candidate_anonymized_in_part").candidate == CandidateFacts("7004")
    assert one("delete_application").application == ApplicationFacts(
        "9005", status=ApplicationStatus.DELETED
    )
    assert one("interview_deleted").interview == InterviewFacts(
        "8001", status=InterviewStatus.CANCELLED
    )


def changed(name: str, event_id: str = "ev-1", **application: object) -> Event:
    """What the webhook says with these fields of its application set, or with None left out."""
    body = json.loads(body_of(name))
    for field, value in application.items():
        if value is None:
            body["payload"]["application"].pop(field, None)
        else:
            body["payload"]["application"][field] = value
    (event,) = greenhouse().parse(webhook(json.dumps(body).encode(), event_id))
    return event


def test_an_update_without_a_time_does_not_say_how_the_application_stands() -> None:
    dated, undated = one("application_updated"), changed("application_updated", last_activity_at="")
    assert dated.application is not None
    assert undated.application is not None
    assert dated.occurred_at == at("2026-03-04T12:00:00")
    assert dated.application.status is ApplicationStatus.ACTIVE
    assert dated.application.stage == StageFacts("4001", "Application Review", StageKind.APPLIED)
    assert undated.occurred_at is None
    assert (undated.application.status, undated.application.stage) == (None, None)
    assert undated.application.url == dated.application.url
    assert undated.candidate == dated.candidate


@pytest.mark.parametrize("name", ["new_candidate_application", "new_prospect_application"])
def test_an_application_without_its_date_has_that_of_its_last_activity(name: str) -> None:
    event = changed(name, applied_at=None, last_activity_at="2026-03-02T08:16:00Z")
    assert event.occurred_at == at("2026-03-02T08:16:00")


def test_a_hire_that_was_taken_back_and_made_again_is_another_event() -> None:
    first, again = (
        changed("hire_candidate", last_activity_at=f"2026-03-{day}T09:00:00Z") for day in (30, 31)
    )
    assert first.key == "application.hired:9001:2026-03-30T09:00:00Z"
    assert (first.occurred_at, again.occurred_at) == (
        at("2026-03-30T09:00:00"),
        at("2026-03-31T09:00:00"),
    )
    # Without a time, the delivery tells a repeat from a second hire.
    keys = [changed("hire_candidate", event_id).key for event_id in ("ev-1", "ev-1", "ev-2")]
    assert keys[0] == keys[1] != keys[2]
    assert first.key != again.key


@pytest.mark.parametrize(
    ("said", "when"),
    [
        ({}, None),
        ({"updated_at": "2026-03-09T10:00:00Z"}, "2026-03-09T10:00:00"),
        ({"last_activity_at": "2026-03-08T10:00:00Z"}, "2026-03-08T10:00:00"),
        (
            {"updated_at": "2026-03-09T10:00:00Z", "last_activity_at": "2026-03-08T10:00:00Z"},
            "2026-03-09T10:00:00",
        ),
        (
            {
                "applications": [
                    {"last_activity_at": "2026-03-07T10:00:00Z"},
                    {},
                    {"last_activity_at": "2026-03-08T10:00:00Z"},
                ]
            },
            "2026-03-08T10:00:00",
        ),
    ],
)
def test_a_change_of_a_candidate_has_the_time_that_the_payload_gives(
    said: dict[str, object], when: str | None
) -> None:
    body = json.loads(body_of("update_candidate"))
    body["payload"]["candidate"].update(said)
    (event,) = greenhouse().parse(webhook(json.dumps(body).encode()))
    assert event.occurred_at == (at(when) if when else None)


def test_an_interview_deleted_with_a_time_has_it() -> None:
    found = {"id": 8001, "updated_at": "2026-03-10T08:00:00Z"}
    body = {"action": "interview_deleted", "payload": {"interview": found}}
    (event,) = greenhouse().parse(webhook(json.dumps(body).encode()))
    assert event.key == "interview.cancelled:8001:2026-03-10T08:00:00Z"
    assert event.occurred_at == at("2026-03-10T08:00:00")


@pytest.mark.parametrize("name", ["interviews_scheduled", "interviews_skipped"])
def test_what_happens_to_an_interview_a_second_time_is_another_event(name: str) -> None:
    received = polled(name)
    later = json.loads(received.body)
    later["interview"]["updated_at"] = "2026-03-11T08:00:00.100Z"  # moved away and back, say
    again = Received(Channel.POLL, json.dumps(later).encode(), NOW, stream="interviews")
    parse = greenhouse().parse
    assert parse(received)[0].key == parse(polled(name))[0].key
    assert parse(received)[0].key != parse(again)[0].key


@pytest.mark.parametrize("name", sorted(GOLDEN))
def test_a_repeat_is_the_same_event(name: str) -> None:
    first, again = greenhouse(), greenhouse()  # after a restart, too
    assert first.parse(webhook(body_of(name))) == again.parse(webhook(body_of(name)))
    bare = Received(Channel.WEBHOOK, body_of(name), NOW)  # without the header, by the bytes
    assert first.parse(bare) == again.parse(bare)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"action": 1' + b"0" * 5000 + b"}", "not JSON"),
        (b"[]", r"\$: found a list, expected an object"),
        (b"{}", r"\$\.action: found nothing, expected the name of an event"),
        (b'{"action": 3}', r"\$\.action: found a number"),
        (b'{"action": "reject_candidate"}', r"\$\.payload: found nothing, expected an object"),
        (b'{"action": "reject_candidate", "payload": {}}', r"\$\.payload\.application: found"),
        (
            b'{"action": "merge_candidate", "payload": {"person": {"id": 1}}}',
            r"\$\.payload\.person\.new_candidate_id: found nothing, expected an id",
        ),
    ],
)
def test_a_wrong_shape_says_where_what_and_what_instead(body: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        greenhouse().parse(webhook(body))


@pytest.mark.parametrize("part", ["id", "candidate"])
def test_an_application_without_id_or_candidate_is_malformed(part: str) -> None:
    found = json.loads(body_of("candidate_stage_change"))
    del found["payload"]["application"][part]
    with pytest.raises(Malformed, match=rf"\$\.payload\.application\.{part}: found nothing"):
        greenhouse().parse(webhook(json.dumps(found).encode()))


@pytest.mark.parametrize("number", [True, -1, 1.5, "", "9" * 65, 2**63, [1]])
def test_what_is_no_id_is_malformed(number: object) -> None:
    body = {"action": "interview_deleted", "payload": {"interview": {"id": number}}}
    with pytest.raises(Malformed, match=r"\$\.payload\.interview\.id: found .*, expected an id"):
        greenhouse().parse(webhook(json.dumps(body).encode()))


def test_what_a_database_cannot_hold_is_left_out() -> None:
    found = json.loads(body_of("update_candidate"))
    found["payload"]["candidate"]["first_name"] = "A\0m\ud800ara"
    (event,) = greenhouse().parse(webhook(json.dumps(found).encode()))
    assert event.candidate is not None
    assert event.candidate.first_name == "Am?ara"


# Hostile shapes

scalars: st.SearchStrategy[Any] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=80)
    | st.sampled_from(["", "0001-01-01T00:00:00+23:59", "9" * 70, "\0", [], {}, [None], [{}]])
)


def _places(found: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    pairs: list[tuple[str | int, Any]] = []
    if isinstance(found, dict):
        pairs = list(found.items())
    elif isinstance(found, list):
        pairs = list(enumerate(found))
    places = [path] if path else []
    return places + [place for key, value in pairs for place in _places(value, (*path, key))]


def _mutate(data: st.DataObject, found: Any) -> bytes:
    found = copy.deepcopy(found)
    for _ in range(data.draw(st.integers(1, 3))):
        places = _places(found)
        if not places:
            break
        *way, key = data.draw(st.sampled_from(places))
        parent = found
        for step in way:
            parent = parent[step]
        if data.draw(st.booleans()):
            del parent[key]
        else:
            parent[key] = data.draw(scalars)
    return json.dumps(found).encode()


def _events_or_malformed(received: Received) -> None:
    said = ""
    try:
        events = greenhouse().parse(received)
    except Malformed as error:
        events, said = [], str(error) + error.hint
    assert "@" not in said
    for event in events:
        assert event.key == greenhouse().parse(received)[events.index(event)].key
        assert len(event.key) <= 200
        assert "\0" not in repr(event)
        repr(event).encode()  # no half of a surrogate pair either


@given(st.data())
def test_no_webhook_body_breaks_the_parser(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(WEBHOOKS))
    _events_or_malformed(webhook(_mutate(data, json.loads(body_of(name)))))


@given(st.data())
def test_no_polled_record_breaks_the_parser(data: st.DataObject) -> None:
    received = polled(data.draw(st.sampled_from(POLLED)))
    body = _mutate(data, json.loads(received.body))
    _events_or_malformed(Received(Channel.POLL, body, NOW, stream=received.stream))


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parser(body: bytes) -> None:
    _events_or_malformed(webhook(body))


# Polled records

POLLED_GOLDEN: dict[str, list[tuple[str, str]]] = {
    "candidates": [("candidate.updated:7001:2026-03-09T14:30:12Z", "2026-03-09T14:30:12.502")],
    "applications_new": [
        ("application.submitted:9001", "2026-03-02T08:15:05.010"),
        (
            "application.stage_changed:9001:4001:2026-03-02T08:15:05Z",
            "2026-03-02T08:15:05.020",
        ),
    ],
    "applications_in_process": [
        ("application.submitted:9001", "2026-03-02T08:15:05.010"),
        (
            "application.stage_changed:9001:4003:2026-03-09T14:30:12Z",
            "2026-03-09T14:30:12.481",
        ),
    ],
    "applications_rejected": [
        ("application.submitted:9001", "2026-03-02T08:15:05.010"),
        ("application.rejected:9001:2026-03-20T16:05:41Z", "2026-03-20T16:05:41.220"),
    ],
    "applications_hired": [
        ("application.submitted:9001", "2026-03-02T08:15:05.010"),
        ("application.hired:9001:2026-03-30T09:00:00Z", "2026-03-30T09:00:00"),
    ],
    "applications_prospect": [
        (
            "candidate.updated:7001:application.9001:2026-03-09T14:30:12Z",
            "2026-03-09T14:30:12.502",
        )
    ],
    "applications_unknown_status": [
        ("application.submitted:9001", "2026-03-02T08:15:05.010"),
        ("unknown:applications.paused:9001:2026-03-09T14:30:12Z", ""),
    ],
    "interviews_scheduled": [
        (
            "interview.scheduled:8001:2026-03-12T10:00:00Z:a801b4db:2026-03-10T08:00:00Z",
            "2026-03-10T08:00:00.100",
        )
    ],
    "interviews_complete": [
        (
            "interview.scheduled:8001:2026-03-12T10:00:00Z:0caefe92:2026-03-10T08:00:00Z",
            "2026-03-10T08:00:00.100",
        )
    ],
    "interviews_all_day": [
        (
            "interview.scheduled:8001:2026-03-12:84329bff:2026-03-10T08:00:00Z",
            "2026-03-10T08:00:00.100",
        )
    ],
    "interviews_skipped": [
        ("interview.cancelled:8001:2026-03-10T08:00:00Z", "2026-03-10T08:00:00.100")
    ],
    "interviews_to_be_scheduled": [],
    "interviews_unknown_status": [
        ("unknown:interviews.postponed:8001:2026-03-10T08:00:00Z", "2026-03-10T08:00:00.100")
    ],
    "scorecards_complete": [("scorecard.submitted:8501", "2026-03-12T12:00:00")],
    "scorecards_draft": [],
}


@pytest.mark.parametrize("name", POLLED)
def test_every_polled_record_gives_its_events(name: str) -> None:
    events = greenhouse().parse(polled(name))
    expected = [(key, at(when) if when else None) for key, when in POLLED_GOLDEN[name]]
    assert [(event.key, event.occurred_at) for event in events] == expected
    for event in events:
        assert event.key.startswith(event.kind.value)


@pytest.mark.parametrize(
    ("action", "record"),
    [
        ("new_candidate_application", "applications_new"),
        ("candidate_stage_change", "applications_in_process"),
        ("reject_candidate", "applications_rejected"),
    ],
)
def test_the_same_event_by_webhook_and_by_poll_has_one_key(action: str, record: str) -> None:
    assert one(action).key in {event.key for event in greenhouse().parse(polled(record))}


def test_a_hire_whose_webhook_has_a_time_has_the_polls_key() -> None:
    event = changed("hire_candidate", last_activity_at="2026-03-30T09:00:00Z")
    assert event.key in {told.key for told in greenhouse().parse(polled("applications_hired"))}


def test_a_polled_application_is_as_complete_as_a_webhook() -> None:
    submitted, _ = greenhouse().parse(polled("applications_new"))
    assert submitted.candidate == SUBMITTED.candidate
    assert submitted.application is not None
    assert SUBMITTED.application is not None
    assert submitted.application.stage == SUBMITTED.application.stage
    assert submitted.application.job == JobFacts("3001", "Data Scientist")


def test_what_came_after_the_submission_is_not_told_with_it() -> None:
    submitted, rejected = greenhouse().parse(polled("applications_rejected"))
    assert submitted.application is not None
    assert submitted.application.status is ApplicationStatus.ACTIVE
    assert (submitted.application.stage, submitted.application.rejected_at) == (None, None)
    assert rejected.application is not None
    assert rejected.application.status is ApplicationStatus.REJECTED
    assert rejected.application.stage == StageFacts("4004", "Executive Interview", StageKind.FINAL)


def test_a_polled_interview_names_time_place_and_interviewers() -> None:
    (event,) = greenhouse().parse(polled("interviews_scheduled"))
    assert event.candidate == CandidateFacts("7001")
    assert event.interview == InterviewFacts(
        external_id="8001",
        application_id="9001",
        starts_at=at("2026-03-12T10:00:00"),
        ends_at=at("2026-03-12T11:00:00"),
        interviewers=(Person("Ines Vaz", "ines.vaz@example.com", "5105"),),
        location="Room V\u00e4nern, https://meet.example.com/abc",
    )


def test_feedback_says_whose_and_how() -> None:
    (event,) = greenhouse().parse(polled("scorecards_complete"))
    assert event.kind is EventKind.SCORECARD_SUBMITTED
    assert event.candidate == CandidateFacts("7001")
    assert event.fields == {
        "scorecard_id": "8501",
        "rating": "strong_yes",
        "interviewer_id": "5105",
        "submitter": "Ines Vaz",
    }


def test_other_channels_and_listings_are_malformed() -> None:
    for received in (
        Received(Channel.POLL, b"{}", NOW, stream="offers"),
        Received(Channel.IMPORT, b"{}", NOW, stream="candidates"),
    ):
        with pytest.raises(Malformed):
            greenhouse().parse(received)


# Stages and settings


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Application Review", StageKind.APPLIED),
        ("  application   REVIEW ", StageKind.APPLIED),
        ("Preliminary Phone Screen", StageKind.SCREEN),
        ("Recruiter Screen", StageKind.SCREEN),
        ("Assessment", StageKind.SCREEN),
        ("Take Home Test", StageKind.SCREEN),
        ("Phone Interview", StageKind.INTERVIEW),
        ("Face to Face", StageKind.INTERVIEW),
        ("Onsite", StageKind.INTERVIEW),
        ("On-Site Day", StageKind.INTERVIEW),
        ("Hiring Manager", StageKind.INTERVIEW),
        ("Final Interview", StageKind.FINAL),
        ("Panel Final", StageKind.FINAL),
        ("Executive Interview", StageKind.FINAL),
        ("Reference Check", StageKind.OFFER),
        ("Background Check", StageKind.OFFER),
        ("Offer", StageKind.OFFER),
        ("Coffee chat", None),
        ("", None),
    ],
)
def test_a_stage_is_known_by_its_name(name: str, kind: StageKind | None) -> None:
    assert mapping.StageKinds({}).kind(name) is kind


def test_the_customers_own_stage_names_come_first() -> None:
    kinds = mapping.StageKinds({"Coffee Chat": StageKind.FINAL, "offer": StageKind.FINAL})
    assert (kinds.kind("coffee chat "), kinds.kind("Offer")) == (StageKind.FINAL, StageKind.FINAL)
    event = greenhouse(stages={"application review": "screen"}).parse(
        webhook(body_of("new_candidate_application"))
    )[0]
    assert event.application is not None
    assert event.application.stage == StageFacts("4001", "Application Review", StageKind.SCREEN)


@pytest.mark.parametrize(
    "settings",
    [
        {"stages": {"Chat": "interviewing"}},
        {"stages": {"Chat": ["interview"]}},
        {"stages": {"Done": "hired"}},
        {"stages": "interview"},
        {"per_page": 501},
        {"per_page": "many"},
        {"overlap_minutes": -1},
        {"overlap_minutes": True},
        {"base_url": ["x"]},
    ],
)
def test_a_wrong_setting_stops_the_start(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"found .*, expected"):
        greenhouse(**settings)


# The folder


def test_the_manifest_tells_the_truth() -> None:
    manifest = read_manifest(HERE / "manifest.toml")
    connector = make(manifest, Options("ats", {}, {}, now=lambda: NOW))
    able = {name for name, protocol in CAPABILITIES.items() if isinstance(connector, protocol)}
    assert able == set(manifest.capabilities)
    assert (manifest.role, manifest.name) == ("ats", "greenhouse")


def _rows(heading: str) -> list[list[str]]:
    section = (HERE / "README.md").read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_the_readme_lists_every_action() -> None:
    table = {action.strip("`"): told.strip("`") for action, told in _rows("Webhooks")}
    assert table == {
        **{action: kind.value for action, kind in mapping.EVENTS.items()},
        **mapping.UNMAPPED,
    }


def test_the_readme_lists_every_setting() -> None:
    found = tomllib.loads((HERE / "manifest.toml").read_text())["settings"]
    expected = {}
    for name, setting in found.items():
        default = setting.get("default", "")
        shown = "secret" if setting.get("secret") else f"`{default}`" if default != "" else ""
        expected[name] = [shown, setting["help"]]
    assert {name.strip("`"): rest for name, *rest in _rows("Settings")} == expected


def test_fixtures_hold_invented_people_only() -> None:
    for path in (HERE / "fixtures").rglob("*.json"):
        for domain in re.findall(r"@([\w.-]+)", path.read_text()):
            assert domain == "example.com" or domain.endswith(".example.com")


def _shared_payloads() -> list[Path]:
    given = os.environ.get("WARMLINE_SHARED_DATA", "")
    folder = Path(given) if given else HERE.parents[4] / "shared" / "data"
    return sorted((folder / "greenhouse-webhooks").glob("*.json"))


def test_recorded_payloads_are_understood() -> None:
    """Our own fixtures, and the vendor's documented samples where a copy of them lies beside."""
    paths = [*(HERE / "fixtures").glob("*.json"), *_shared_payloads()]
    assert len(paths) >= len(WEBHOOKS)
    for path in paths:
        action = json.loads(path.read_bytes())["action"]
        events = greenhouse().parse(webhook(path.read_bytes()))
        assert bool(events) == (action not in mapping.UNMAPPED)
        known = [event for event in events if event.kind is not EventKind.UNKNOWN]
        assert bool(known) == (action in mapping.EVENTS)


def test_parsing_an_application_is_quick() -> None:
    connector, received = greenhouse(), webhook(body_of("new_candidate_application"))
    seconds = min(timeit.repeat(lambda: connector.parse(received), number=100, repeat=5)) / 100
    assert seconds < 0.002  # ten times the aim of 0.2 ms, so that a busy machine passes
