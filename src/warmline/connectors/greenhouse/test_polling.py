"""The Harvest v3 API, against a small server that is as strict as the vendor's."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from warmline.connectors.greenhouse import harvest as harvest_module
from warmline.connectors.greenhouse import sweeps as sweeps_module
from warmline.connectors.greenhouse.connector import Greenhouse
from warmline.core.errors import (
    AuthFailed,
    ConfigError,
    Malformed,
    Refused,
    Throttled,
    WarmlineError,
)
from warmline.core.events import Event, EventKind, Person, StageFacts, StageKind
from warmline.ports import Channel, Options, Page, Received

NOW = datetime(2026, 4, 5, 12, 0, tzinfo=UTC)
CLIENT_SECRET = "s3cr3t-of-the-client"
WEBHOOK_SECRET = "s3cr3t-of-the-webhook"


class Vendor:
    """Tables served as Harvest v3 serves them: newest first, by cursor, with tokens."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {}
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.tokens: list[str] = []
        self.token_form: dict[str, str] = {}
        self.token_answer: tuple[int, object] | None = None
        self.token_life = timedelta(hours=1)
        self.revoked: set[str] = set()
        self.forbidden: set[str] = set()
        self.answers: dict[str, tuple[int, dict[str, str], bytes]] = {}  # resource → instead
        self.left: int | None = None  # calls that are left in the window
        self.now = NOW
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one packet: no wait for an acknowledgement

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self._answer(*vendor.token(self.headers["authorization"], body))

            def do_GET(self) -> None:
                url = urlsplit(self.path)
                params = {k: v[0] for k, v in parse_qs(url.query).items()}
                resource = url.path.removeprefix("/v3/")
                host = self.headers["host"]
                bearer = self.headers["authorization"] or ""
                self._answer(*vendor.get(resource, params, bearer, host))

            def _answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def token(self, authorization: str, body: str) -> tuple[int, dict[str, str], bytes]:
        self.token_form = {k: v[0] for k, v in parse_qs(body).items()}
        pair = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        if self.token_answer is not None:
            return self.token_answer[0], {}, json.dumps(self.token_answer[1]).encode()
        if pair != f"warmline:{CLIENT_SECRET}":
            return 401, {}, b'{"message": "Unauthorized ada@example.com"}'
        self.tokens.append(f"token-{len(self.tokens)}")
        expires_at = (self.now + self.token_life).isoformat().replace("+00:00", "Z")
        return (
            200,
            {},
            json.dumps({"access_token": self.tokens[-1], "expires_at": expires_at}).encode(),
        )

    def get(
        self, resource: str, params: dict[str, str], bearer: str, host: str
    ) -> tuple[int, dict[str, str], bytes]:
        self.calls.append((resource, params))
        headers: dict[str, str] = {}
        if self.left is not None:
            if self.left == 0:
                return 429, {"retry-after": "17"}, b"Retry later"
            self.left -= 1
            reset = str(int(self.now.timestamp()) + 30)
            headers = {"x-ratelimit-remaining": str(self.left), "x-ratelimit-reset": reset}
        if not self.tokens or bearer != f"Bearer {self.tokens[-1]}" or bearer[7:] in self.revoked:
            return 401, headers, b'{"message": "Unauthorized"}'
        if resource in self.answers:
            return self.answers[resource]
        if resource in self.forbidden:
            return 403, headers, b'{"message": "not a Site Admin: bob@example.com"}'
        if "cursor" in params and len(params) > 1:
            return 422, headers, b'{"message": "cursor must be the only parameter"}'
        if params.get("cursor") == "expired":
            return 422, headers, b'{"message": "cursor is not known"}'
        query, below = params, 1 << 62
        if "cursor" in params:
            query, below = json.loads(base64.b64decode(params["cursor"]))
        rows = [row for row in self._rows(resource, query) if row["id"] < below]
        size = int(query.get("per_page", "100"))
        if len(rows) > size:
            more = base64.b64encode(json.dumps([query, rows[size - 1]["id"]]).encode()).decode()
            link = f"https://{host}.elsewhere.example.com/v3/{resource}?cursor={more}"
            headers = {**headers, "link": f'<{link}>; rel="next"'}
        return 200, headers, json.dumps(rows[:size]).encode()

    def _rows(self, resource: str, query: dict[str, str]) -> list[dict[str, Any]]:
        rows = sorted(self.tables.get(resource, []), key=lambda row: -row["id"])
        for name, value in query.items():
            if name == "updated_at":
                operator, _, moment = value.partition("|")
                assert operator == "gte"
                since = datetime.fromisoformat(moment)
                rows = [r for r in rows if datetime.fromisoformat(r["updated_at"]) >= since]
            elif name == "ids" or name.endswith("_ids"):
                wanted = {int(number) for number in value.split(",")}
                assert len(wanted) <= 50
                rows = [r for r in rows if r["id" if name == "ids" else name[:-1]] in wanted]
            elif name == "current":
                rows = [r for r in rows if r["current"] is (value == "true")]
            else:
                assert name == "per_page"
        return rows

    def asked(self, resource: str) -> list[dict[str, str]]:
        return [params for name, params in self.calls if name == resource]


def fill(vendor: Vendor, count: int = 3) -> None:
    """`count` applications of as many candidates to one job, all in their second stage."""
    stamp = "2026-04-05T10:00:00.000Z"
    both = {"created_at": stamp, "updated_at": stamp}
    numbers = range(1, count + 1)
    vendor.tables = {
        "candidates": [
            {
                "id": 7000 + n,
                "first_name": f"Person {n}",
                "last_name": "Test",
                "can_email": True,
                "tags": [],
                "email_addresses": [{"value": f"person{n}@example.com", "type": "personal"}],
                "phone_numbers": [],
                **both,
            }
            for n in numbers
        ],
        "applications": [
            {
                "id": 9000 + n,
                "candidate_id": 7000 + n,
                "job_id": 3001,
                "prospect": False,
                "status": "in_process",
                "stage_id": 600_000 + n,
                "stage_name": "Phone Screen",
                "recruiter_id": 5101,
                "rejected_at": None,
                "last_activity_at": "2026-04-05T09:00:00.000Z",
                **both,
            }
            for n in numbers
        ],
        "application_stages": [
            {
                "id": 600_000 + n,
                "application_id": 9000 + n,
                "job_interview_stage_id": 4002,
                "entered_at": "2026-04-05T09:00:00.000Z",
                "current": True,
                **both,
            }
            for n in numbers
        ],
        "jobs": [{"id": 3001, "name": "Data Scientist", **both}],
        "job_interview_stages": [
            {"id": 4001, "name": "Application Review", "job_id": 3001, **both},
            {"id": 4002, "name": "Phone Screen", "job_id": 3001, **both},
        ],
        "users": [
            {"id": 5101, "name": "Rosa Okafor", "primary_email": "rosa@example.com", **both},
            {"id": 5105, "name": "Ines Vaz", "primary_email": "ines@example.com", **both},
        ],
        "interviews": [
            {
                "id": 8001,
                "application_id": 9001,
                "starts_at": "2026-04-09T10:00:00.000Z",
                "ends_at": "2026-04-09T11:00:00.000Z",
                "status": "scheduled",
                "location": "Room 4",
                "organizer_id": 5101,
                **both,
            },
            {"id": 8002, "application_id": 9002, "status": "to_be_scheduled", **both},
        ],
        "interviewers": [
            {"id": 1, "interview_id": 8001, "user_id": 5105, "scorecard_id": 8501},
            {"id": 2, "interview_id": 8001, "user_id": 5101, "scorecard_id": None},
            {"id": 3, "interview_id": 8001, "user_id": None, "email": "guest@example.com"},
        ],
        "scorecards": [
            {
                "id": 8501,
                "application_id": 9001,
                "submitter_id": 5105,
                "status": "complete",
                "candidate_rating": "yes",
                "submitted_at": "2026-04-05T09:30:00.000Z",
                "private_notes": "not for anybody's eyes",
                **both,
            },
            {"id": 8502, "application_id": 9001, "status": "draft", **both},
        ],
    }


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    vendor = Vendor()
    fill(vendor)
    yield vendor
    vendor.close()


@pytest.fixture
def greenhouse(vendor: Vendor) -> Iterator[Greenhouse]:
    made = connect(vendor)
    yield made
    made.close()


def connect(vendor: Vendor, **settings: object) -> Greenhouse:
    given = {"base_url": f"{vendor.url}/v3", "token_url": f"{vendor.url}/token", "user_id": 42}
    secrets = {
        "client_id": "warmline",
        "client_secret": CLIENT_SECRET,
        "webhook_secret": WEBHOOK_SECRET,
    }
    return Greenhouse(Options("ats", {**given, **settings}, secrets, now=lambda: vendor.now))


def sweep(greenhouse: Greenhouse, stream: str, cursor: str = "") -> list[Page]:
    return list(greenhouse.changes(stream, cursor, now=NOW))


def events(greenhouse: Greenhouse, pages: list[Page]) -> list[Event]:
    return [
        event
        for page in pages
        for record in page.records
        for event in greenhouse.parse(Received(Channel.POLL, record.body, NOW, stream=page.stream))
    ]


# The token


def test_the_token_is_fetched_once_and_names_the_user(
    vendor: Vendor, greenhouse: Greenhouse
) -> None:
    for stream in greenhouse.streams():
        sweep(greenhouse, stream)
    assert vendor.tokens == ["token-0"]
    assert vendor.token_form == {"grant_type": "client_credentials", "sub": "42"}


def test_the_token_is_renewed_before_it_expires(vendor: Vendor, greenhouse: Greenhouse) -> None:
    sweep(greenhouse, "candidates")
    vendor.now += timedelta(minutes=58)
    sweep(greenhouse, "candidates")
    assert len(vendor.tokens) == 1
    vendor.now += timedelta(minutes=1, seconds=1)
    sweep(greenhouse, "candidates")
    assert len(vendor.tokens) == 2


def test_a_revoked_token_is_replaced_once(vendor: Vendor, greenhouse: Greenhouse) -> None:
    sweep(greenhouse, "candidates")
    vendor.revoked = {"token-0"}
    assert sweep(greenhouse, "candidates")[-1].last
    vendor.revoked = {"token-1", "token-2"}
    with pytest.raises(AuthFailed, match="candidates") as raised:
        sweep(greenhouse, "candidates")
    assert "harvest:candidates:list" in raised.value.hint
    assert len(vendor.tokens) == 3


def test_a_token_without_a_readable_expiry_lives_shortly(
    vendor: Vendor, greenhouse: Greenhouse
) -> None:
    vendor.token_answer = (200, {"access_token": "t", "expires_at": "soon"})
    vendor.tokens = ["t"]
    assert sweep(greenhouse, "candidates")


@pytest.mark.parametrize("status", [400, 401])
def test_wrong_credentials_say_what_to_check(
    vendor: Vendor, greenhouse: Greenhouse, status: int
) -> None:
    vendor.token_answer = (status, {"error": "invalid_grant"})
    with pytest.raises(AuthFailed, match="gives no token") as raised:
        sweep(greenhouse, "candidates")
    assert "Site Admin" in raised.value.hint


@pytest.mark.parametrize("answer", [[], {}, {"access_token": ""}, {"access_token": "a\nb"}])
def test_a_sign_in_without_a_token_is_malformed(
    vendor: Vendor, greenhouse: Greenhouse, answer: object
) -> None:
    vendor.token_answer = (200, answer)
    with pytest.raises(Malformed, match="access_token"):
        sweep(greenhouse, "candidates")


def test_without_credentials_polling_says_what_is_missing(vendor: Vendor) -> None:
    bare = Greenhouse(Options("ats", {}, {"client_id": "x"}, now=lambda: NOW))
    with pytest.raises(ConfigError, match="client_secret is not set"):
        sweep(bare, "candidates")
    bare.close()


# Paging


def test_pages_are_followed_by_the_cursor_alone(vendor: Vendor) -> None:
    greenhouse = connect(vendor, per_page=2)
    fill(vendor, 5)
    pages = sweep(greenhouse, "candidates")
    greenhouse.close()
    assert [len(page.records) for page in pages] == [2, 2, 1]
    assert [page.last for page in pages] == [False, False, True]
    first, *rest = vendor.asked("candidates")
    assert first == {"per_page": "2"}
    assert [list(params) for params in rest] == [["cursor"], ["cursor"]]


def test_a_sweep_ends_where_it_began_and_the_next_one_overlaps(
    vendor: Vendor, greenhouse: Greenhouse
) -> None:
    (page,) = sweep(greenhouse, "candidates")
    assert page.cursor == "2026-04-05T12:00:00Z"
    sweep(greenhouse, "candidates", page.cursor)
    assert vendor.asked("candidates")[-1] == {
        "per_page": "500",
        "updated_at": "gte|2026-04-05T11:00:00Z",
    }


def test_a_start_without_history_reads_from_now_on(vendor: Vendor, greenhouse: Greenhouse) -> None:
    (page,) = sweep(greenhouse, "candidates", greenhouse.start(now=NOW))
    assert page.records == ()
    assert vendor.asked("candidates")[-1]["updated_at"] == "gte|2026-04-05T12:00:00Z"
    assert page.cursor == "2026-04-05T12:00:00Z"  # and the next one overlaps as ever


def test_a_sweep_that_was_cut_off_goes_on(vendor: Vendor) -> None:
    fill(vendor, 5)
    greenhouse = connect(vendor, per_page=2)
    first = next(greenhouse.changes("applications", "2026-04-05T08:00:00Z", now=NOW))
    greenhouse.close()
    later, again = NOW + timedelta(hours=3), connect(vendor, per_page=2)  # another process
    rest = list(again.changes("applications", first.cursor, now=later))
    again.close()
    keys = [record.key for page in (first, *rest) for record in page.records]
    expected = [f"applications:{n}:2026-04-05T10:00:00.000Z" for n in range(9005, 9000, -1)]
    assert keys == expected
    assert rest[-1].cursor == "2026-04-05T12:00:00Z"  # where it first began


def test_a_forgotten_cursor_begins_the_sweep_again(vendor: Vendor, greenhouse: Greenhouse) -> None:
    mark = sweeps_module.Mark("2026-04-05T08:00:00Z", "2026-04-04T00:00:00Z", "expired", 3)
    (page,) = sweep(greenhouse, "candidates", mark.text())
    assert len(page.records) == 3
    assert page.cursor == "2026-04-05T12:00:00Z"
    assert vendor.asked("candidates")[-1]["updated_at"] == "gte|2026-04-05T07:00:00Z"


def test_a_refused_sweep_does_not_begin_again_for_ever(
    vendor: Vendor, greenhouse: Greenhouse
) -> None:
    vendor.answers["candidates"] = (422, {}, b'{"message": "no"}')
    mark = sweeps_module.Mark("", "2026-04-04T00:00:00Z", "expired", 3)
    with pytest.raises(Refused):
        sweep(greenhouse, "candidates", mark.text())
    assert len(vendor.asked("candidates")) == 2


def test_a_sweep_without_end_is_stopped(
    vendor: Vendor, greenhouse: Greenhouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = {"link": f'<{vendor.url}/v3/candidates?cursor=again>; rel="next"'}
    vendor.answers["candidates"] = (200, link, b"[]")
    with pytest.raises(Malformed, match="itself"):
        sweep(greenhouse, "candidates")
    monkeypatch.setattr(sweeps_module, "PAGES_MAX", 1)
    with pytest.raises(Malformed, match="no end after 1 pages"):
        sweep(greenhouse, "candidates")


def test_a_look_up_without_end_is_stopped(
    vendor: Vendor, greenhouse: Greenhouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = {"link": f'<{vendor.url}/v3/jobs?cursor=again>; rel="next"'}
    vendor.answers["jobs"] = (200, link, b"[]")
    monkeypatch.setattr(harvest_module, "LOOK_UP_PAGES_MAX", 2)
    with pytest.raises(Malformed, match="jobs: more than 2 pages"):
        sweep(greenhouse, "applications")


@pytest.mark.parametrize("cursor", ["yesterday", "{", "{}", '{"since": "", "start": 1}'])
def test_a_foreign_cursor_is_refused(greenhouse: Greenhouse, cursor: str) -> None:
    with pytest.raises(Malformed, match="cursor"):
        sweep(greenhouse, "candidates", cursor)


def test_a_foreign_listing_is_refused(greenhouse: Greenhouse) -> None:
    with pytest.raises(ConfigError, match="offers"):
        sweep(greenhouse, "offers")


# Joins


def test_candidates_are_told_as_they_are(greenhouse: Greenhouse) -> None:
    found = events(greenhouse, sweep(greenhouse, "candidates"))
    assert [event.key for event in found] == [
        f"candidate.updated:{n}:2026-04-05T10:00:00Z" for n in (7003, 7002, 7001)
    ]


def test_an_application_comes_whole(vendor: Vendor, greenhouse: Greenhouse) -> None:
    found = events(greenhouse, sweep(greenhouse, "applications"))
    submitted, moved = found[-2:]
    assert (submitted.key, moved.key) == (
        "application.submitted:9001",
        "application.stage_changed:9001:4002:2026-04-05T09:00:00Z",
    )
    assert moved.candidate is not None
    assert moved.candidate.emails == ("person1@example.com",)
    assert moved.candidate.owner == Person("Rosa Okafor", "rosa@example.com", "5101")
    assert moved.application is not None
    assert moved.application.stage == StageFacts("4002", "Phone Screen", StageKind.SCREEN)
    assert moved.application.job is not None
    assert moved.application.job.title == "Data Scientist"
    assert vendor.asked("application_stages") == [
        {"application_ids": "9001,9002,9003", "per_page": "500", "current": "true"}
    ]


def test_look_ups_go_fifty_ids_a_call_and_names_are_asked_once(vendor: Vendor) -> None:
    fill(vendor, 120)
    greenhouse = connect(vendor, per_page=60)
    assert len(events(greenhouse, sweep(greenhouse, "applications"))) == 240
    greenhouse.close()
    assert [len(p["ids"].split(",")) for p in vendor.asked("candidates")] == [50, 10, 50, 10]
    assert [len(vendor.asked(name)) for name in ("jobs", "users", "job_interview_stages")] == [
        1,
        1,
        1,
    ]


def test_a_look_up_of_several_pages_is_read_to_its_end(
    vendor: Vendor, greenhouse: Greenhouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harvest_module, "PER_PAGE_MAX", 2)
    assert len(events(greenhouse, sweep(greenhouse, "applications"))) == 6
    assert [list(params) for params in vendor.asked("application_stages")][1:] == [["cursor"]]


def test_a_new_sweep_asks_for_names_again(vendor: Vendor, greenhouse: Greenhouse) -> None:
    sweep(greenhouse, "applications")
    vendor.tables["jobs"][0]["name"] = "Lead Data Scientist"
    event = events(greenhouse, sweep(greenhouse, "applications"))[0]
    assert event.application is not None
    assert event.application.job is not None
    assert event.application.job.title == "Lead Data Scientist"


def test_a_rejected_application_keeps_the_last_stage_it_reached(
    vendor: Vendor, greenhouse: Greenhouse
) -> None:
    application = vendor.tables["applications"][0]
    application.update(
        status="rejected", stage_id=None, stage_name=None, rejected_at="2026-04-05T09:45:00.000Z"
    )
    visit = vendor.tables["application_stages"][0]
    visit["current"] = False
    earlier = {"id": 500_001, "job_interview_stage_id": 4001}
    vendor.tables["application_stages"].append(
        {**visit, **earlier, "entered_at": "2026-04-01T09:00:00.000Z"}
    )
    rejected = events(greenhouse, sweep(greenhouse, "applications"))[-1]
    assert rejected.key == "application.rejected:9001:2026-04-05T09:45:00Z"
    assert rejected.application is not None
    assert rejected.application.stage == StageFacts("4002", "Phone Screen", StageKind.SCREEN)


def test_what_cannot_be_read_is_left_out_and_the_rest_is_told(
    vendor: Vendor, greenhouse: Greenhouse
) -> None:
    vendor.tables["candidates"] = []  # private, and not shown to us
    vendor.tables["users"] = []
    vendor.tables["jobs"] = []
    found = events(greenhouse, sweep(greenhouse, "applications"))
    assert len(found) == 6
    assert found[0].candidate is not None
    assert (found[0].candidate.external_id, found[0].candidate.owner) == ("7003", None)


def test_a_candidates_recruiter_stands_in(vendor: Vendor, greenhouse: Greenhouse) -> None:
    for row in vendor.tables["applications"]:
        del row["recruiter_id"]
    for row in vendor.tables["candidates"]:
        row["recruiter_id"] = 5105
    event = events(greenhouse, sweep(greenhouse, "applications"))[0]
    assert event.candidate is not None
    assert event.candidate.owner == Person("Ines Vaz", "ines@example.com", "5105")


def test_an_interview_names_its_interviewers(vendor: Vendor, greenhouse: Greenhouse) -> None:
    (event,) = events(greenhouse, sweep(greenhouse, "interviews"))
    when = "2026-04-09T10:00:00Z:c5dfa1dc:2026-04-05T10:00:00Z"
    assert event.key == f"interview.scheduled:8001:{when}"
    assert event.candidate is not None
    assert event.candidate.external_id == "7001"
    assert event.interview is not None
    # Neither the organiser, who owes no scorecard, nor a guest without an account.
    assert event.interview.interviewers == (Person("Ines Vaz", "ines@example.com", "5105"),)
    vendor.tables["interviewers"][0]["response_status"] = "declined"
    (event,) = events(greenhouse, sweep(greenhouse, "interviews"))
    assert event.interview is not None
    assert event.interview.interviewers == (Person("Rosa Okafor", "rosa@example.com", "5101"),)


def test_feedback_is_told_once_complete_and_without_its_notes(greenhouse: Greenhouse) -> None:
    pages = sweep(greenhouse, "scorecards")
    (event,) = events(greenhouse, pages)
    assert event.kind is EventKind.SCORECARD_SUBMITTED
    assert event.fields["submitter"] == "Ines Vaz"
    assert b"eyes" not in pages[0].records[0].body


def test_a_records_key_changes_when_the_record_does(vendor: Vendor, greenhouse: Greenhouse) -> None:
    (before,) = sweep(greenhouse, "candidates")
    (same,) = sweep(greenhouse, "candidates")
    vendor.tables["candidates"][0]["updated_at"] = "2026-04-05T11:00:00.000Z"
    (after,) = sweep(greenhouse, "candidates")
    assert before.records == same.records
    assert [b.key == a.key for b, a in zip(before.records, after.records, strict=True)] == [
        True,
        True,
        False,
    ]


def test_what_is_no_record_is_reported_and_stops_nothing(
    vendor: Vendor, greenhouse: Greenhouse
) -> None:
    vendor.answers["candidates"] = (200, {}, b'[{"id": 1}, 7, {"first_name": "?"}]')
    (page,) = sweep(greenhouse, "candidates")
    assert len({record.key for record in page.records}) == 3
    outcomes = []
    for record in page.records:
        received = Received(Channel.POLL, record.body, NOW, stream="candidates")
        try:
            outcomes.append(len(greenhouse.parse(received)))
        except Malformed:
            outcomes.append(0)
    assert outcomes == [1, 0, 0]


@pytest.mark.parametrize("body", [b'{"message": "processing"}', b"<html>", b""])
def test_a_page_that_is_no_list_is_malformed(
    vendor: Vendor, greenhouse: Greenhouse, body: bytes
) -> None:
    vendor.answers["candidates"] = (200, {}, body)
    with pytest.raises(Malformed):
        sweep(greenhouse, "candidates")


# Limits and failures


def test_a_429_passes_with_the_time_it_names(vendor: Vendor, greenhouse: Greenhouse) -> None:
    vendor.left = 0
    with pytest.raises(Throttled) as raised:
        sweep(greenhouse, "candidates")
    assert raised.value.after_s == 17


def test_nothing_is_asked_once_nothing_is_left(vendor: Vendor, greenhouse: Greenhouse) -> None:
    vendor.left = 1
    with pytest.raises(Throttled) as raised:
        sweep(greenhouse, "applications")
    assert 0 < raised.value.after_s <= 30
    assert len(vendor.calls) == 1  # the vendor's own headers said so


def test_a_page_that_is_throttled_half_way_does_not_begin_from_nothing(
    vendor: Vendor,
) -> None:
    fill(vendor, 200)
    greenhouse = connect(vendor)
    attempts = 0
    while attempts < 20:
        attempts += 1
        vendor.left = 4  # fewer than one page needs
        try:
            pages = sweep(greenhouse, "applications")
            break
        except Throttled as error:
            vendor.now += timedelta(seconds=error.after_s + 1)
    greenhouse.close()
    assert pages[-1].last
    assert len(pages[0].records) == 200
    assert attempts == 4


def test_a_forbidden_listing_says_which_scope(vendor: Vendor, greenhouse: Greenhouse) -> None:
    vendor.forbidden = {"application_stages"}
    with pytest.raises(AuthFailed, match="application_stages") as raised:
        sweep(greenhouse, "applications")
    assert "harvest:application_stages:list" in raised.value.hint


def test_no_error_holds_a_secret_or_an_address(vendor: Vendor) -> None:
    said = []

    def note(vendor_state: str, **settings: object) -> None:
        greenhouse = connect(vendor, **settings)
        try:
            sweep(greenhouse, "applications")
        except WarmlineError as error:
            said.append(f"{error} {error.hint} {error.__cause__!r} {error.__context__!r}")
        else:
            raise AssertionError(vendor_state)
        finally:
            greenhouse.close()

    vendor.forbidden = {"applications"}
    note("forbidden")
    vendor.token_answer = (401, {"message": "no such client for ada@example.com"})
    note("wrong credentials")
    vendor.token_answer = None
    vendor.forbidden = set()
    vendor.answers["applications"] = (200, {}, b'{"email": "ada@example.com"}')
    note("no list")
    note("unreachable", base_url="http://127.0.0.1:9/v3")
    assert len(said) == 4
    for text in said:
        assert "@example.com" not in text
        assert CLIENT_SECRET not in text
        assert "token-" not in text
        assert WEBHOOK_SECRET not in text
