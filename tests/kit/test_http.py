"""The one door to the network, against a small server that answers as it is told."""

from __future__ import annotations

import base64
import gzip
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.conftest import START, Clock
from warmline import __version__
from warmline.core.errors import (
    AuthFailed,
    Malformed,
    Refused,
    Throttled,
    Unreachable,
    Unsure,
    WarmlineError,
)
from warmline.kit import http
from warmline.kit.http import FALLBACK_WAIT_S, WAIT_S_MAX, Door

TOKEN = "opensesame"
SECRET = "shibboleth"


@dataclass
class Vendor:
    """Answers every call with `status`, `headers` and `body`; keeps what was asked. `drop` reads
    the call and hangs up without an answer."""

    url: str = ""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"{}"
    drop: bool = False
    calls: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)

    def says(self, message: str, status: int = 400) -> None:
        self.status, self.body = status, json.dumps({"message": message}).encode()


@pytest.fixture
def vendor() -> Iterator[Vendor]:
    told = Vendor()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            size = int(self.headers.get("content-length") or 0)
            sent = {k.lower(): v for k, v in self.headers.items()}
            told.calls.append((self.command, self.path, sent, self.rfile.read(size)))
            if told.drop:
                self.close_connection = True
                return
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(told.body)))
            self.end_headers()
            try:
                self.wfile.write(told.body)
            except OSError:
                self.close_connection = True

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    told.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield told
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def door(vendor: Vendor, clock: Clock) -> Iterator[Door]:
    door = Door(f"{vendor.url}/v1/", vendor="Acme", timeout_s=5, now=clock)
    yield door
    door.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


# What is asked


def test_a_call_goes_to_the_base_with_our_name_on_it(door: Door, vendor: Vendor) -> None:
    answer = door.call("GET", "/things", params={"page": "2"}, headers={"x-own": "1"})
    assert door.json(answer) == {}
    ((method, path, headers, body),) = vendor.calls
    assert (method, path, body) == ("GET", "/v1/things?page=2", b"")
    assert headers["user-agent"] == f"Warmline/{__version__}"
    assert headers["x-own"] == "1"


def test_a_body_is_json_and_a_form_is_a_form(door: Door, vendor: Vendor) -> None:
    door.call("POST", "/a", body={"name": "Jürgen"})
    door.call("POST", "/b", form={"grant": "x y"})
    (_, _, json_headers, json_body), (_, _, form_headers, form_body) = vendor.calls
    assert json_headers["content-type"] == "application/json"
    assert json.loads(json_body) == {"name": "Jürgen"}
    assert form_headers["content-type"] == "application/x-www-form-urlencoded"
    assert form_body == b"grant=x+y"


def test_the_environments_proxies_are_not_used(
    vendor: Vendor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port()}")
    monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{free_port()}")
    door = Door(vendor.url, vendor="Acme", now=clock)
    assert door.call("GET", "/").status_code == 200
    door.close()


@pytest.mark.parametrize(
    "path",
    [
        "http://evil.example/v1",
        "https://evil.example/v1",
        "@evil.example/v1",
        ".evil.example/v1",
        "http://127.0.0.1:1/v1",
        "http://[::1/v1",
    ],
)
def test_another_host_is_never_called(clock: Clock, vendor: Vendor, path: str) -> None:
    door = Door(vendor.url, vendor="Acme", now=clock)
    with pytest.raises(Refused, match="outside the configured host"):
        door.call("GET", path, headers={"authorization": f"Bearer {TOKEN}"})
    door.close()
    assert vendor.calls == []


def test_the_same_host_without_encryption_is_another_host(clock: Clock) -> None:
    """A listing's next page at http:// must not carry our token in the clear."""
    door = Door("https://127.0.0.1:1", vendor="Acme", now=clock)
    with pytest.raises(Refused, match="outside the configured host"):
        door.call("GET", "http://127.0.0.1:1/next")
    door.close()


def test_a_host_named_beside_it_may_be_called(clock: Clock, vendor: Vendor) -> None:
    other = vendor.url.removeprefix("http://")
    door = Door("http://127.0.0.1:1", vendor="Acme", other_hosts=(other,), now=clock)
    assert door.call("GET", f"{vendor.url}/x").status_code == 200
    door.close()


def test_a_path_that_names_a_url_in_its_query_is_a_path(door: Door, vendor: Vendor) -> None:
    door.call("GET", "/things?next=http://evil.example/")
    assert vendor.calls[0][1] == "/v1/things?next=http://evil.example/"


# What is answered: each status its error


@pytest.mark.parametrize(
    ("status", "read", "write"),
    [
        (301, Refused, Refused),
        (302, Refused, Refused),
        (307, Refused, Refused),
        (400, Refused, Refused),
        (401, AuthFailed, AuthFailed),
        (403, AuthFailed, AuthFailed),
        (404, Refused, Refused),
        (408, Unreachable, Unsure),
        (409, Refused, Refused),
        (413, Refused, Refused),
        (422, Refused, Refused),
        (429, Throttled, Throttled),
        (500, Unreachable, Unsure),
        (501, Unreachable, Unsure),
        (502, Unreachable, Unsure),
        (503, Unreachable, Unsure),
        (504, Unreachable, Unsure),
        (599, Unreachable, Unsure),
    ],
)
def test_each_status_has_its_error(
    vendor: Vendor,
    clock: Clock,
    status: int,
    read: type[WarmlineError],
    write: type[WarmlineError],
) -> None:
    vendor.says("no", status)
    vendor.headers = {"location": f"{vendor.url}/elsewhere"}
    for method, writes, expected in (
        ("GET", None, read),
        ("POST", None, write),
        ("PATCH", None, write),
        ("DELETE", None, write),
        ("POST", False, read),
        ("GET", True, write),
    ):
        door = Door(vendor.url, vendor="Acme", now=clock)  # a 429 shuts the door that got it
        with pytest.raises(WarmlineError) as caught:
            door.call(method, "/x", writes=writes)
        door.close()
        assert type(caught.value) is expected
        assert f"Acme answered {status}: no" in caught.value.reason
        if isinstance(caught.value, Refused):
            assert caught.value.status == status
    assert {path for _, path, _, _ in vendor.calls} == {"/x"}  # no redirect was followed


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207])
def test_a_good_answer_is_an_answer(door: Door, vendor: Vendor, status: int) -> None:
    vendor.status, vendor.body = status, b"" if status == 204 else b"{}"
    assert door.call("POST", "/x", body={}).status_code == status


def test_a_status_that_the_caller_accepts_is_an_answer(door: Door, vendor: Vendor) -> None:
    vendor.says("not there", 404)
    answer = door.call("GET", "/x", accept=(404,))
    assert (answer.status_code, door.json(answer)) == (404, {"message": "not there"})


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"a": ', b"\xff\xfe\xfd", b"[" * 100_000])
def test_an_answer_that_is_no_json_is_malformed(door: Door, vendor: Vendor, body: bytes) -> None:
    vendor.body = body
    with pytest.raises(Malformed, match="Acme answered 200 with no JSON"):
        door.json(door.call("GET", "/x"))


@pytest.mark.parametrize("body", [b"", b"[1]", b"[" * 100_000, b"\x00\x1b[31m", b'{"message": 7}'])
def test_an_error_without_words_is_still_an_error(door: Door, vendor: Vendor, body: bytes) -> None:
    vendor.status, vendor.body = 400, body
    with pytest.raises(Refused) as caught:
        door.call("GET", "/x")
    assert caught.value.reason.isprintable()
    assert len(caught.value.reason) < 400


# Keeping away


def throttled(door: Door) -> Throttled:
    with pytest.raises(Throttled) as caught:
        door.call("GET", "/x")
    return caught.value


@pytest.mark.parametrize(
    ("headers", "after_s"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "2.5"}, 2.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Mon, 02 Mar 2026 09:01:30 GMT"}, 90.0),
        ({"retry-after": "Mon, 02 Mar 2026 09:01:30 -0000"}, 90.0),
        ({"retry-after": "Mon, 02 Mar 2026 08:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, FALLBACK_WAIT_S),
        ({"retry-after": "inf"}, FALLBACK_WAIT_S),
        ({"retry-after": "nan"}, FALLBACK_WAIT_S),
        ({"retry-after": "1e9"}, WAIT_S_MAX),
        ({"retry-after": "Fri, 02 Mar 2126 09:01:30 GMT"}, WAIT_S_MAX),
        ({"x-ratelimit-reset": str(int(START.timestamp()) + 21)}, 21.0),
        ({"x-ratelimit-reset": "never"}, FALLBACK_WAIT_S),
        ({"x-ratelimit-reset": "inf"}, FALLBACK_WAIT_S),
        ({}, FALLBACK_WAIT_S),
    ],
)
def test_a_429_says_how_long_to_wait_and_the_door_stays_shut_so_long(
    door: Door, vendor: Vendor, clock: Clock, headers: dict[str, str], after_s: float
) -> None:
    vendor.says("slow down", 429)
    vendor.headers = headers
    assert throttled(door).after_s == pytest.approx(after_s)
    vendor.status = 200
    if after_s:
        clock.move(seconds=after_s - 0.001)
        assert throttled(door).after_s == pytest.approx(0.001, abs=1e-4)
        assert len(vendor.calls) == 1  # nothing more was sent
        clock.move(seconds=0.002)
    assert door.call("GET", "/x").status_code == 200


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(START.timestamp()) + 30)}, 30),
        ({"x-ratelimit-remaining": "0"}, FALLBACK_WAIT_S),
        ({"x-hubspot-ratelimit-remaining": "0"}, 10),
        (
            {
                "x-hubspot-ratelimit-remaining": "0",
                "x-hubspot-ratelimit-interval-milliseconds": "3000",
            },
            3,
        ),
        (
            {
                "x-hubspot-ratelimit-remaining": "0",
                "x-hubspot-ratelimit-interval-milliseconds": "?",
            },
            FALLBACK_WAIT_S,
        ),
    ],
)
def test_the_door_shuts_before_the_vendor_has_to_say_so(
    door: Door, vendor: Vendor, clock: Clock, headers: dict[str, str], seconds: float
) -> None:
    vendor.headers = headers
    assert door.call("GET", "/x").status_code == 200
    vendor.headers = {}
    assert throttled(door).after_s == pytest.approx(seconds)
    assert len(vendor.calls) == 1
    clock.move(seconds=seconds + 0.001)
    assert door.call("GET", "/x").status_code == 200


def test_while_calls_are_left_the_door_stays_open(door: Door, vendor: Vendor) -> None:
    vendor.headers = {"x-ratelimit-remaining": "1", "x-hubspot-ratelimit-remaining": "1"}
    for _ in range(3):
        door.call("GET", "/x")
    assert len(vendor.calls) == 3


def test_who_asks_first_learns_how_long_the_vendor_is_better_left_alone(
    door: Door, vendor: Vendor, clock: Clock
) -> None:
    assert door.wait_s() == 0.0
    vendor.headers = {
        "x-hubspot-ratelimit-max": "20",
        "x-hubspot-ratelimit-interval-milliseconds": "10000",
    }
    for _ in range(18):
        assert door.wait_s() == 0.0
        door.call("GET", "/x")
    clock.move(seconds=4)
    assert door.wait_s() == pytest.approx(6.0)
    door.call("GET", "/x")  # who does not ask is not hindered: the vendor would take two more
    clock.move(seconds=6.001)
    assert door.wait_s() == 0.0
    vendor.says("slow down", 429)
    vendor.headers = {"retry-after": "30"}
    throttled(door)
    assert door.wait_s() == pytest.approx(30.0)


@pytest.mark.parametrize("told", ["", "many", "nan", "-1", "1e99"])
def test_a_limit_that_is_no_number_holds_nobody_up(door: Door, vendor: Vendor, told: str) -> None:
    vendor.headers = {"x-hubspot-ratelimit-max": told}
    for _ in range(3):
        door.call("GET", "/x")
    assert door.wait_s() == 0.0


# No answer


def test_nobody_there_is_unreachable_even_for_a_write(clock: Clock) -> None:
    door = Door(f"http://127.0.0.1:{free_port()}", vendor="Acme", timeout_s=2, now=clock)
    for method in ("GET", "POST"):
        with pytest.raises(Unreachable, match="Acme cannot be reached: ConnectError"):
            door.call(method, "/x")
    door.close()


def test_an_answer_that_never_came_leaves_doubt_about_a_write_only(
    door: Door, vendor: Vendor
) -> None:
    vendor.drop = True
    with pytest.raises(Unreachable):
        door.call("GET", "/x")
    with pytest.raises(Unsure):
        door.call("POST", "/x", body={})
    with pytest.raises(Unreachable):
        door.call("POST", "/search", body={}, writes=False)


def test_a_silent_vendor_is_given_up_after_the_time_limit(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        door = Door(url, vendor="Acme", timeout_s=0.05, now=clock)
        with pytest.raises(Unreachable, match="ReadTimeout"):
            door.call("GET", "/x")
        with pytest.raises(Unsure, match="ReadTimeout"):
            door.call("POST", "/x")
        door.close()


@pytest.mark.parametrize(
    "headers",
    [{"authorization": f"Bearer {TOKEN}\n"}, {"authorization": f"Bearer {TOKEN}\u2013"}],
)
def test_credentials_that_cannot_be_written_are_refused_and_not_repeated(
    door: Door, vendor: Vendor, headers: dict[str, str]
) -> None:
    """A line break or a typographic dash pasted with the token: no retry will mend it."""
    with pytest.raises(Refused, match="cannot be written") as caught:
        door.call("POST", "/x", headers=headers)
    assert TOKEN not in f"{caught.value} {caught.value.hint}"
    assert caught.value.__suppress_context__
    assert vendor.calls == []


def test_a_scheme_that_is_none_is_refused(clock: Clock) -> None:
    door = Door("ftp://127.0.0.1", vendor="Acme", now=clock)
    with pytest.raises(Refused):
        door.call("GET", "/x")
    door.close()


# A limit on everything


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(http, "BODY_BYTES_MAX", 1000)
    return 1000


@pytest.mark.parametrize("zipped", [False, True])
def test_an_answer_is_read_no_further_than_the_limit(
    door: Door, vendor: Vendor, small: int, zipped: bool
) -> None:
    def sent(size: int) -> bytes:
        return gzip.compress(b" " * size) if zipped else b" " * size

    vendor.headers = {"content-encoding": "gzip"} if zipped else {}
    vendor.body = sent(small)
    assert len(door.call("GET", "/x").content) == small
    vendor.body = sent(small + 1)
    with pytest.raises(Malformed, match="over 1000 bytes"):
        door.call("GET", "/x")
    with pytest.raises(Unsure):
        door.call("POST", "/x", body={})
    vendor.status = 500
    with pytest.raises(Malformed, match="over 1000 bytes"):
        door.call("GET", "/x")


def test_after_an_answer_that_was_too_long_the_door_still_works(
    door: Door, vendor: Vendor, small: int
) -> None:
    for _ in range(20):  # more than there are connections
        vendor.body = b" " * (small + 1)
        with pytest.raises(Malformed):
            door.call("GET", "/x")
    vendor.body = b"[1]"
    assert door.json(door.call("GET", "/x")) == [1]


def test_links_and_charsets_survive_the_reading(door: Door, vendor: Vendor) -> None:
    vendor.headers = {
        "link": f'<{vendor.url}/v1/x?page=2>; rel="next"',
        "content-type": "text/plain; charset=latin-1",
    }
    vendor.body = "Jürgen".encode("latin-1")
    answer = door.call("GET", "/x")
    assert answer.links["next"]["url"] == f"{vendor.url}/v1/x?page=2"
    assert answer.text == "Jürgen"


# Nothing secret in any error


BASIC = base64.b64encode(f"client:{SECRET}".encode()).decode()
LONG = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fwpMeJf36POk6y"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("header was Bearer someothertoken sorry", "header was *** sorry"),
        ("header was bearer someothertoken", "header was ***"),
        ("pat-na1-11111111-2222-3333 expired", "*** expired"),
        (f"jwt {LONG} expired", "jwt *** expired"),
        ("key 3f2504e04f8911d39a0c0305e82c3301 unknown", "key *** unknown"),
        ("ada.lind@example.com exists", "*** exists"),
        ("see ada.lind%40example.com", "see ***"),
        ("Contact <ada@example.com>, id 51", "Contact *** id 51"),
        ("Property hs_email_hard_bounce_reason_enum", "hs_email_hard_bounce_reason_enum"),
        ("the token is expired", "the token is expired"),
    ],
)
def test_no_address_and_nothing_like_a_token_reaches_an_error(
    door: Door, vendor: Vendor, said: str, kept: str
) -> None:
    for body in (json.dumps({"message": said}).encode(), said.encode()):
        vendor.status, vendor.body = 400, body
        with pytest.raises(Refused) as caught:
            door.call("GET", "/x")
        assert caught.value.reason.endswith(kept)
        assert caught.value.reason.startswith("Acme answered 400: ")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429, 500, 503])
@pytest.mark.parametrize(
    ("credentials", "secrets"),
    [(f"Bearer {TOKEN}", (TOKEN,)), (f"Basic {BASIC}", (BASIC, SECRET))],
)
def test_the_credentials_of_the_call_reach_no_error_even_where_the_vendor_repeats_them(
    vendor: Vendor, clock: Clock, status: int, credentials: str, secrets: tuple[str, ...]
) -> None:
    """They look like plain words here, which no pattern would find."""
    vendor.says(f"you sent '{credentials}', that is ({'/'.join(secrets)}), which is wrong", status)
    door = Door(vendor.url, vendor="Acme", now=clock)
    with pytest.raises(WarmlineError) as caught:
        door.call("POST", "/x", headers={"authorization": credentials})
    door.close()
    text = f"{caught.value} {caught.value.hint}"
    assert "which is wrong" in text
    for secret in secrets:
        assert secret not in text


def test_no_cause_carries_what_the_error_leaves_out(door: Door, vendor: Vendor) -> None:
    vendor.drop = True
    with pytest.raises(Unsure) as caught:
        door.call("POST", "/x?email=ada@example.com")
    assert caught.value.__suppress_context__
    assert "ada" not in str(caught.value)


def test_a_long_answer_is_cut(door: Door, vendor: Vendor) -> None:
    vendor.says("word " * 10_000)
    with pytest.raises(Refused) as caught:
        door.call("GET", "/x")
    assert len(caught.value.reason) < 350


def test_many_threads_share_a_door(door: Door, vendor: Vendor) -> None:
    failed: list[BaseException] = []

    def call(ask: Callable[..., Any]) -> None:
        try:
            for _ in range(10):
                ask("GET", "/x")
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=call, args=(door.call,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(vendor.calls) == 80
