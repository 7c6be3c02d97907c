"""The doors to the outside: webhooks and the unsubscribe address; and who may see the pages.

Through a real server on loopback where the wire matters, through Django's test client elsewhere.
"""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import json
import sqlite3
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.conf import settings
from django.db import connection, connections
from django.test import Client

from tests.conftest import SECRETS, House
from warmline.flows.intake import BODY_BYTES_MAX
from warmline.flows.links import UNSUBSCRIBE_FOR, read_unsubscribe_token, unsubscribe_token
from warmline.store.models import (
    Action,
    Candidate,
    Delivery,
    Enrolment,
    Event,
    Incident,
    Message,
    Suppression,
)
from warmline.store.statuses import DeliveryStatus, MessageStatus
from warmline.web import site

ONE_CLICK = {"List-Unsubscribe": "One-Click"}
PAGES = ["/", "/explain", "/explain?q=1", "/healthz", "/nothing/here"]


@pytest.fixture
def client(house: House, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A client without a network, on this machine."""
    monkeypatch.setattr(site, "_serving", [house.runtime])
    return Client(headers={"host": "localhost"}, raise_request_exception=False)


def signed(body: bytes, event_id: str = "1") -> dict[str, str]:
    key = SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"].encode()
    mac = hmac.new(key, body, hashlib.sha256).hexdigest()
    return {
        "signature": f"sha256 {mac}",
        "greenhouse-event-id": event_id,
        "content-type": "application/json",
    }


def webhook(house: House, **person: Any) -> tuple[dict[str, str], bytes]:
    fields = {"first_name": "Ada", "last_name": "Lind", "email": "ada.lind@example.com"}
    with house.box.greenhouse.captured() as caught:
        house.box.greenhouse.apply({**fields, **person}, 4001)
    return caught[0]


def rows() -> dict[str, int]:
    """How many rows each table has, and how many of them are over."""
    models = (Delivery, Event, Action, Candidate, Enrolment, Message, Suppression, Incident)
    counts = {model.__name__: model._default_manager.count() for model in models}
    counts["held"] = Message.objects.filter(status=MessageStatus.HELD).count()
    counts["stopped"] = Enrolment.objects.filter(status="stopped").count()
    return counts


# /in/<connection>


def test_a_signed_webhook_is_committed_and_then_answered(house: House, wire: httpx.Client) -> None:
    headers, body = webhook(house)
    answer = wire.post("/in/ats", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"accepted": True})
    # Read past Django and its connections: what is not committed is not seen here.
    if connection.vendor == "sqlite":
        beside = sqlite3.connect(f"file:{settings.DATABASES['default']['NAME']}?mode=ro", uri=True)
        ((kept, status),) = beside.execute("SELECT body, status FROM warmline_delivery").fetchall()
        beside.close()
        assert (bytes(kept), status) == (body, "received")
    row = Delivery.objects.get()
    assert row.url == "http://127.0.0.1:8025/in/ats"
    house.settle()
    assert len(house.mails()) == 1


def test_i2_the_same_webhook_again_is_answered_and_kept_once(
    house: House, wire: httpx.Client
) -> None:
    headers, body = webhook(house)
    for _ in range(3):
        assert wire.post("/in/ats", content=body, headers=headers).status_code == 200
    assert Delivery.objects.count() == 1


def test_many_at_once_are_all_committed(house: House, wire: httpx.Client) -> None:
    answers: list[int] = []

    def send(first: int) -> None:
        for n in range(first, first + 10):
            body = json.dumps({"action": "ping", "n": n}).encode()
            answer = wire.post("/in/ats", content=body, headers=signed(body, str(n)))
            answers.append(answer.status_code)

    threads = [threading.Thread(target=send, args=(start,)) for start in range(0, 80, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 80
    assert Delivery.objects.count() == 80


@pytest.mark.parametrize("name", ["nobody", "mail", "export", "warmline", "ATS", "a%2Fb"])
def test_a_connection_that_receives_nothing_is_not_there(wire: httpx.Client, name: str) -> None:
    answer = wire.post(f"/in/{name}", content=b"{}", headers=signed(b"{}"))
    assert answer.status_code == 404
    assert Delivery.objects.count() == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_only_a_post_brings_a_webhook(wire: httpx.Client, method: str) -> None:
    answer = wire.request(method, "/in/ats", headers=signed(b""))
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert Delivery.objects.count() == 0


BODY = b'{"action": "ping", "payload": {}}'
GOOD = signed(BODY)["signature"]


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        "sha256",
        GOOD[:-1],
        GOOD[:20],
        GOOD + "0",
        GOOD.replace("sha256", "sha1"),
        GOOD.removeprefix("sha256 "),
        signed(b"{}")["signature"],
        "sha256 " + "\u00e9" * 64,
        "sha256 " + "0" * 64,
    ],
)
def test_a_wrong_signature_is_turned_away_with_what_to_do_and_nothing_kept(
    wire: httpx.Client, signature: str | None
) -> None:
    headers = {k: v for k, v in signed(BODY).items() if k != "signature"}
    sent: list[tuple[bytes, bytes]] = [(k.encode(), v.encode()) for k, v in headers.items()]
    if signature is not None:
        sent.append((b"signature", signature.encode("latin-1")))
    answer = wire.post("/in/ats", content=BODY, headers=sent)
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["error"]
    assert answer.json()["hint"]
    assert Delivery.objects.count() == 0
    assert Incident.objects.get().key == "ats:signature"


def test_a_body_changed_on_the_way_is_turned_away(wire: httpx.Client) -> None:
    answer = wire.post("/in/ats", content=BODY.replace(b"ping", b"pong"), headers=signed(BODY))
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b'{"action": ', b"\xff\xfe", b"[" * 100_000, b"<xml/>"],
)
def test_signed_bytes_that_are_no_json_are_refused_and_kept(
    wire: httpx.Client, body: bytes
) -> None:
    answer = wire.post("/in/ats", content=body, headers=signed(body))
    assert answer.status_code == 400
    assert "expected JSON" in answer.json()["error"]
    row = Delivery.objects.get()
    assert (row.status, bytes(row.body)) == (DeliveryStatus.MALFORMED, body)
    assert Incident.objects.get().connection == "ats"


@pytest.mark.parametrize("over", [0, 1, 1000])
def test_a_body_over_a_mebibyte_is_too_large(wire: httpx.Client, over: int) -> None:
    frame = b'{"action": "ping", "x": ""}'
    body = frame[:-2] + b"x" * (BODY_BYTES_MAX + over - len(frame)) + frame[-2:]
    answer = wire.post("/in/ats", content=body, headers=signed(body))
    assert answer.status_code == (413 if over else 200)
    assert Delivery.objects.count() == (0 if over else 1)
    assert Incident.objects.filter(key="ats:too-big").exists() == bool(over)


def test_a_body_far_over_the_limit_is_too_large_and_not_read(wire: httpx.Client) -> None:
    try:
        status = wire.post("/in/ats", content=b"x" * (4 * BODY_BYTES_MAX)).status_code
    except httpx.WriteError:  # the server hung up while we were still sending
        status = 413
    assert status == 413
    assert Delivery.objects.count() == 0


@pytest.fixture
def no_table(house: House) -> Iterator[None]:
    """A ledger that cannot be written: its table has another name for a while."""
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE warmline_delivery RENAME TO warmline_elsewhere")
    connections.close_all()
    yield
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE warmline_elsewhere RENAME TO warmline_delivery")


def test_i1_what_cannot_be_committed_is_not_acknowledged(
    house: House, wire: httpx.Client, no_table: None
) -> None:
    headers, body = webhook(house)
    answer = wire.post("/in/ats", content=body, headers=headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "60")
    assert "warmline_delivery" not in answer.text


def test_i1_a_ledger_that_is_away_for_a_while_loses_nothing(
    house: House, wire: httpx.Client
) -> None:
    headers, body = webhook(house)
    if connection.vendor != "sqlite":
        pytest.skip("a file that another program has locked is SQLite's own trouble")
    with sqlite3.connect(settings.DATABASES["default"]["NAME"], isolation_level=None) as other:
        other.execute("PRAGMA query_only = 0")
        other.execute("ALTER TABLE warmline_delivery RENAME TO warmline_elsewhere")
        assert wire.post("/in/ats", content=body, headers=headers).status_code == 503
        other.execute("ALTER TABLE warmline_elsewhere RENAME TO warmline_delivery")
    other.close()
    assert wire.post("/in/ats", content=body, headers=headers).status_code == 200
    assert Delivery.objects.count() == 1


def test_a_missing_secret_is_our_fault_and_told_to_us(
    house: House, wire: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(house.runtime.connectors["ats"], "_webhook_secret", "")
    answer = wire.post("/in/ats", content=BODY, headers=signed(BODY))
    assert answer.status_code == 500
    assert "webhook_secret is not set" in answer.json()["error"]
    assert Incident.objects.get().key == "ats:setup"


def test_webhooks_come_from_anywhere_and_through_a_proxy(client: Client) -> None:
    headers = {
        **signed(BODY),
        "host": "hire.example.com",
        "x-forwarded-for": "203.0.113.9",
        "via": "1.1 proxy",
    }
    del headers["content-type"]
    answer = client.post(
        "/in/ats", BODY, content_type="application/json", headers=headers,
        REMOTE_ADDR="203.0.113.9",
    )  # fmt: skip
    assert answer.status_code == 200


# The pages: this machine only


@pytest.mark.parametrize("path", PAGES)
def test_pages_answer_on_this_machine(client: Client, path: str) -> None:
    expected = {"/nothing/here": 404, "/explain?q=1": 404}.get(path, 200)
    for host in ("localhost", "127.0.0.1", "127.0.0.1:8025", "[::1]", "[::1]:8025"):
        assert client.get(path, headers={"host": host}).status_code == expected
    assert client.get(path, REMOTE_ADDR="::1").status_code == expected


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    "where",
    [
        {"REMOTE_ADDR": "203.0.113.9"},
        {"REMOTE_ADDR": "10.0.0.7"},
        {"REMOTE_ADDR": "::ffff:203.0.113.9"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "localhost"},
        {"HTTP_X_FORWARDED_FOR": "127.0.0.1"},
        {"HTTP_FORWARDED": "for=127.0.0.1"},
        {"HTTP_X_REAL_IP": "127.0.0.1"},
        {"HTTP_VIA": "1.1 proxy"},
        {"HTTP_HOST": "hire.example.com"},
        {"HTTP_HOST": "localhost.example.com"},
        {"HTTP_HOST": "example.com:8025"},
        {"HTTP_HOST": "127.0.0.1.nip.io"},
        {"HTTP_HOST": ""},
    ],
)
def test_pages_do_not_answer_to_anybody_else(
    house: House, client: Client, path: str, where: dict[str, str]
) -> None:
    house.apply()
    house.settle()
    answer = client.get(path, **where)  # type: ignore[arg-type]
    assert answer.status_code == 403
    assert "Lind" not in answer.content.decode()


def test_a_proxy_on_this_machine_does_not_make_the_world_local(wire: httpx.Client) -> None:
    """waitress leaves the header as it is, so that the gate can see it."""
    assert wire.get("/").status_code == 200
    assert wire.get("/", headers={"x-forwarded-for": "203.0.113.9"}).status_code == 403
    assert wire.get("/", headers={"host": "hire.example.com"}).status_code == 403


def test_healthz_says_whether_the_ledger_answers(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"ledger": "ok"})


# /u/<token>


@pytest.fixture
def token(house: House) -> str:
    """Of the first mail to Ada; the second is still to come."""
    house.apply()
    house.settle()
    return unsubscribe_token(Message.objects.get().pk, house.clock())


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_i9_a_scanner_that_follows_the_link_changes_nothing(
    house: House, wire: httpx.Client, token: str, method: str
) -> None:
    before = rows()
    for _ in range(3):
        assert wire.request(method, f"/u/{token}").status_code == 200
        assert wire.request(method, f"/u/{token}?List-Unsubscribe=One-Click").status_code == 200
    assert rows() == before
    house.clock.move(days=3)
    house.settle()
    assert len(house.mails()) == 2


def unsubscribed(house: House) -> None:
    (row,) = Suppression.objects.all()
    assert (row.address, row.reason) == ("ada.lind@example.com", "unsubscribed")
    house.clock.move(days=8)
    house.settle()
    assert len(house.mails()) == 1


def test_a_one_click_post_as_a_form_unsubscribes(
    house: House, wire: httpx.Client, token: str
) -> None:
    answer = wire.post(f"/u/{token}", data=ONE_CLICK)
    assert answer.status_code == 200
    assert Suppression.objects.get().source == "one-click"
    unsubscribed(house)


def test_a_one_click_post_as_multipart_unsubscribes(
    house: House, wire: httpx.Client, token: str
) -> None:
    parts: Any = {name: (None, value) for name, value in ONE_CLICK.items()}
    answer = wire.post(f"/u/{token}", files=parts)
    assert answer.request.headers["content-type"].startswith("multipart/form-data")
    assert answer.status_code == 200
    assert Suppression.objects.get().source == "one-click"
    unsubscribed(house)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("", b""),
        ("text/plain", b"List-Unsubscribe=One-Click"),
        ("application/x-www-form-urlencoded; charset=iso-8859-1", b"List-Unsubscribe=One-Click"),
        ("application/x-www-form-urlencoded; charset=nonsense", b"List-Unsubscribe=One-Click"),
        ("application/x-www-form-urlencoded", b"\xff\xfe&=&" + b"a=b&" * 5000),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b"--y\r\nbroken"),
        ("application/json", b'{"List-Unsubscribe": '),
        ("application/x-www-form-urlencoded", b"x" * (BODY_BYTES_MAX + 1)),
    ],
)
def test_a_post_in_any_shape_unsubscribes(
    house: House, wire: httpx.Client, token: str, content_type: str, body: bytes
) -> None:
    """Whoever posts to this address wants out. A body that we cannot read takes nothing away."""
    headers = {"content-type": content_type} if content_type else {}
    assert wire.post(f"/u/{token}", content=body, headers=headers).status_code == 200
    unsubscribed(house)


def test_unsubscribing_again_is_harmless(house: House, wire: httpx.Client, token: str) -> None:
    wire.post(f"/u/{token}", data=ONE_CLICK)
    after_once = rows()
    for _ in range(3):
        assert wire.post(f"/u/{token}", data=ONE_CLICK).status_code == 200
        assert wire.post(f"/u/{token}").status_code == 200
    assert rows() == after_once
    unsubscribed(house)


def test_it_needs_no_cookie_sets_none_and_sends_nobody_elsewhere(
    wire: httpx.Client, token: str
) -> None:
    wire.cookies.clear()
    for answer in (
        wire.get(f"/u/{token}"),
        wire.post(f"/u/{token}", data=ONE_CLICK, headers={"origin": "https://mail.example"}),
        wire.post(f"/u/{token}", data=ONE_CLICK),
    ):
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers
        assert "location" not in answer.headers


def test_it_answers_from_outside_and_through_a_proxy(client: Client, token: str) -> None:
    answer = client.post(
        f"/u/{token}",
        ONE_CLICK,
        REMOTE_ADDR="203.0.113.9",
        headers={"host": "hire.example.com", "x-forwarded-for": "203.0.113.9"},
    )
    assert answer.status_code == 200
    assert Suppression.objects.count() == 1


def test_another_method_is_refused(wire: httpx.Client, token: str) -> None:
    before = rows()
    for method in ("PUT", "DELETE", "PATCH"):
        answer = wire.request(method, f"/u/{token}")
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")
    assert rows() == before


def test_a_tampered_token_is_not_there_and_unsubscribes_nobody(
    house: House, wire: httpx.Client, token: str
) -> None:
    payload, _, mac = token.partition(".")
    number, _, expires = payload.partition("-")
    before = rows()
    for other in (
        token[:-1],
        token + "x",
        mac,
        payload,
        f"{int(number) + 1}-{expires}.{mac}",
        f"{number}-{int(expires) + 1}.{mac}",
        f"{payload}.{mac[::-1]}",
        f"{payload}.",
        "x" * 5000,
        "%00",
    ):
        for answer in (wire.get(f"/u/{other}"), wire.post(f"/u/{other}", data=ONE_CLICK)):
            assert answer.status_code == 404
            assert "Ada" not in answer.text
    assert rows() == before


def test_a_token_of_a_message_that_is_not_there_is_not_there(
    house: House, wire: httpx.Client
) -> None:
    other = unsubscribe_token(987_654, house.clock())
    assert wire.post(f"/u/{other}", data=ONE_CLICK).status_code == 404


def test_a_link_works_for_as_long_as_the_data_may_be_kept_and_then_no_more(
    house: House, wire: httpx.Client, token: str
) -> None:
    house.clock.at += UNSUBSCRIBE_FOR - timedelta(seconds=1)
    assert wire.get(f"/u/{token}").status_code == 200
    house.clock.move(seconds=2)
    assert read_unsubscribe_token(token, house.clock()) is None
    before = rows()
    assert wire.get(f"/u/{token}").status_code == 404
    assert wire.post(f"/u/{token}", data=ONE_CLICK).status_code == 404
    assert rows() == before


def test_a_ledger_that_cannot_be_written_says_come_again(
    house: House, wire: httpx.Client, token: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE warmline_suppression RENAME TO warmline_elsewhere")
    connections.close_all()
    try:
        assert wire.post(f"/u/{token}", data=ONE_CLICK).status_code == 503
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE warmline_elsewhere RENAME TO warmline_suppression")
    assert wire.post(f"/u/{token}", data=ONE_CLICK).status_code == 200
    unsubscribed(house)


def test_the_mails_own_header_leads_to_the_address_that_unsubscribes(
    house: House, wire: httpx.Client, token: str
) -> None:
    header = house.mails()[0]["list_unsubscribe"]
    path = header.strip("<>").removeprefix("http://127.0.0.1:8025")
    assert path.startswith("/u/")
    assert wire.post(path, data=ONE_CLICK).status_code == 200
    unsubscribed(house)


def test_the_header_fields_arrive_as_rfc_8058_wants_them(house: House, token: str) -> None:
    mail = house.mails()[0]["id"]
    whole = httpx.get(f"{house.box.mailbox_url}/api/messages/{mail}", trust_env=False).json()
    fields = [(name.lower(), " ".join(value.split())) for name, value in whole["all_headers"]]
    mine = [value for name, value in fields if name == "list-unsubscribe"]
    assert len(mine) == 1
    assert f"<http://127.0.0.1:8025/u/{token}>" in mine[0]
    post = [value for name, value in fields if name == "list-unsubscribe-post"]
    assert post == ["List-Unsubscribe=One-Click"]


# What every answer carries, and what none does


@pytest.mark.parametrize("path", ["/", "/explain", "/u/x", "/u/token"])
def test_every_page_carries_its_headers(
    house: House, wire: httpx.Client, token: str, path: str
) -> None:
    headers = wire.get(path.replace("token", token)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    again = wire.get(path.replace("token", token)).headers["content-security-policy"]
    assert again != policy  # a nonce is used once


def test_no_secret_is_in_any_answer(house: House, wire: httpx.Client, token: str) -> None:
    house.box.hubspot.faults.add({"kind": "error", "share": 1})
    headers, body = webhook(house, email="bob@example.com")
    answers = [
        wire.post("/in/ats", content=body, headers=headers),
        wire.post("/in/ats", content=body),
        wire.post("/in/crm", content=b"[]"),
        wire.post("/in/ats", content=b"x", headers=signed(b"x")),
        wire.get(f"/u/{token}"),
        wire.post(f"/u/{token}", data=ONE_CLICK),
        wire.get("/u/x"),
    ]
    house.settle()
    answers += [wire.get(path) for path in ("/", "/explain", "/explain?q=1", "/healthz", "/x")]
    secrets = [*SECRETS.values(), settings.SECRET_KEY]
    for answer in answers:
        for secret in secrets:
            assert secret not in answer.text
            assert secret not in str(answer.headers)


def test_the_project_folder_is_not_served(house: House, wire: httpx.Client) -> None:
    folder: Path = house.folder
    assert (folder / "secrets.env").exists()
    for path in ("/secrets.env", "/../secrets.env", "/warmline.yaml", "/static/x", "/admin/"):
        assert wire.get(path).status_code == 404


def test_behind_a_proxy_pages_answer_on_their_own_listener_only(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """nginx's own default passes `Host: 127.0.0.1:8025` on and no header that gives it away."""
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    public = site.Server(house.runtime, "127.0.0.1", 0, 2)
    pages = site.Server(house.runtime, "127.0.0.1", 0, 2, pages_only=True)
    try:
        public.start()
        pages.start()
        with httpx.Client(trust_env=False) as client:
            for path in ("/", "/explain?q=1", "/healthz"):
                assert client.get(f"http://127.0.0.1:{public.port}{path}").status_code == 403
            assert client.get(f"http://127.0.0.1:{pages.port}/healthz").status_code == 200
            assert client.post(f"http://127.0.0.1:{public.port}/in/ats").status_code == 401
    finally:
        public.stop()
        pages.stop()
        site._pages_ports.clear()


@pytest.mark.parametrize(
    ("url", "proxied"),
    [
        ("http://127.0.0.1:8025", False),
        ("http://localhost:9", False),
        ("https://hire.example.com", True),
    ],
)
def test_a_public_address_elsewhere_means_a_proxy(house: House, url: str, proxied: bool) -> None:
    file = house.runtime.project.file.model_copy(update={"public_url": url})
    house.runtime.project = dataclasses.replace(house.runtime.project, file=file)
    assert site.behind_a_proxy(house.runtime) is proxied
