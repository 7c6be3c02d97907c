"""`warmline check` below the command line: what is needed where, and what stands at the doors."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.db import connections

import warmline.connectors.smtp
from tests.conftest import House
from warmline.core.actions import OF_THE_EVENT, ActionKind
from warmline.core.errors import AuthFailed, BadSignature
from warmline.core.triggers import TriggerMap
from warmline.flows import check as module
from warmline.flows.check import BASE, Report, ago, check, knock, needs_of
from warmline.flows.runtime import Runtime
from warmline.ports import Access, Finding, Needs, Verdict
from warmline.store.models import Delivery, Incident
from warmline.web import site

READ, BOTH = frozenset({Access.READ}), frozenset(Access)
NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def runtime(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Runtime]:
    """The house's, with its web server up where public_url says."""
    monkeypatch.setattr(site, "_serving", [])
    # The server's threads end with the test, so each request gives its connection back.
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    server = site.Server(house.runtime, "127.0.0.1", 0, 4)
    server.start()
    reached_at(house.runtime, f"http://127.0.0.1:{server.port}")
    yield house.runtime
    server.stop()


def reached_at(runtime: Runtime, public_url: str) -> None:
    file = runtime.project.file.model_copy(update={"public_url": public_url})
    runtime.project = dataclasses.replace(runtime.project, file=file)


def with_triggers(runtime: Runtime, **changes: Any) -> None:
    """The project with its first trigger changed, and without those that pass the same or go the
    way back."""
    first, *rest = runtime.project.triggers.triggers
    back = (ActionKind.CANDIDATE_FLAG, ActionKind.CANDIDATE_DO_NOT_CONTACT)
    others = [t for t in rest if t.name != "candidate changed" and t.do not in back]
    triggers = (dataclasses.replace(first, **changes), *others)
    runtime.project = dataclasses.replace(runtime.project, triggers=TriggerMap(triggers))


def by_field(report: Report, name: str) -> dict[str, Finding]:
    return {f.field: f for f in report.connections[name].findings if f.field}


def at_door(report: Report, name: str) -> dict[str, Finding]:
    return {f.what.rpartition("/in/")[2]: f for f in report.webhooks[name].findings}


# What is needed


def test_a_source_tells_the_five_and_what_is_passed_of_it(house: House) -> None:
    needs = needs_of(house.runtime, "ats").fields
    for field in ("tags", "notes", "do_not_contact", *OF_THE_EVENT):  # the way back
        assert needs.pop(field) == BOTH
    passed = ("application_date", "interview_date", "interviewer", "rejection_date", "skill_tags")
    assert needs == dict.fromkeys((*BASE, *passed), READ)
    assert needs_of(house.runtime, "export").fields == dict.fromkeys(BASE, READ)
    assert needs_of(house.runtime, "mail").fields == {}


def test_the_way_back_needs_tags_notes_and_the_mark_and_of_the_event_only_to_write(
    house: House,
) -> None:
    back = {"source": "crm", "target": "ats"}
    passed = ("click_date", "link_url")
    with_triggers(house.runtime, do=ActionKind.CANDIDATE_FLAG, passes=passed, **back)
    needs = needs_of(house.runtime, "ats").fields
    assert {f for f, how in needs.items() if how == BOTH} == {"tags", "notes", *passed}
    with_triggers(
        house.runtime,
        do=ActionKind.CANDIDATE_DO_NOT_CONTACT,
        passes=("unsubscribe_date",),
        **back,
    )
    needs = needs_of(house.runtime, "ats").fields
    marked = {"tags", "notes", "do_not_contact", "unsubscribe_date"}
    assert {f for f, how in needs.items() if how == BOTH} == marked
    with_triggers(house.runtime, source="crm", target="crm", passes=passed)
    assert not set(passed) & set(needs_of(house.runtime, "ats").fields)


def test_a_crm_takes_what_is_passed_to_it_and_finds_contacts_by_address(house: House) -> None:
    needs = needs_of(house.runtime, "crm").fields
    assert set(needs.values()) == {BOTH}
    with_triggers(house.runtime, passes=("applied_role",))
    needs = needs_of(house.runtime, "crm").fields
    assert needs["applied_role"] == needs["email"] == BOTH
    assert needs["name"] == READ
    assert "application_date" not in needs


def test_a_trigger_that_is_off_needs_nothing(house: House) -> None:
    with_triggers(house.runtime, enabled=False)
    assert "application_date" not in needs_of(house.runtime, "ats").fields
    assert needs_of(house.runtime, "crm").fields["name"] == READ


def test_what_happens_in_the_crm_may_pass_what_the_ats_knows(house: House) -> None:
    with_triggers(house.runtime, source="crm", passes=("application_date",))
    assert needs_of(house.runtime, "ats").fields["application_date"] == READ
    assert needs_of(house.runtime, "crm").fields["application_date"] == BOTH
    assert "application_date" not in needs_of(house.runtime, "export").fields


def test_a_tag_needs_tags_where_it_is_put(house: House) -> None:
    with_triggers(house.runtime, do=ActionKind.CANDIDATE_TAG, target="export", passes=())
    assert needs_of(house.runtime, "export").fields["tags"] == BOTH


# The whole


def test_a_house_in_order_has_nothing_to_mend(house: House, runtime: Runtime) -> None:
    house.apply()
    house.settle()
    report = check(runtime)
    assert [f for f in report.findings if f.verdict.to_mend] == []
    assert report.ok
    assert list(report.connections) == ["ats", "crm", "mail", "export"]
    for name in ("ats", "crm", "export"):
        assert set(needs_of(runtime, name).fields) <= set(by_field(report, name)), name
    for field in BASE:
        assert by_field(report, "ats")[field].read is Verdict.OK
        assert by_field(report, "crm")[field].write is Verdict.OK
    assert at_door(report, "ats")["ats"].verdict is Verdict.OK
    assert at_door(report, "ats")["last signed delivery"].verdict is Verdict.OK
    assert at_door(report, "crm")["last signed delivery"].verdict is Verdict.UNKNOWN


def test_it_writes_nothing_anywhere(house: House, runtime: Runtime) -> None:
    house.apply()
    house.settle()
    kept = (Delivery.objects.count(), set(Incident.objects.values_list("key", "count")))
    house.box.greenhouse.log.clear()
    house.box.hubspot.log.clear()
    mails = len(house.mails())
    check(runtime)
    assert (Delivery.objects.count(), set(Incident.objects.values_list("key", "count"))) == kept
    assert len(house.mails()) == mails
    calls = {**house.box.greenhouse.log.as_json()["by_call"],
             **house.box.hubspot.log.as_json()["by_call"]}  # fmt: skip
    assert calls
    assert {call for call in calls if not call.startswith("GET ")} <= {
        "POST /token", "POST /introspect", "POST /oauth/v2/private-apps/get/access-token-info",
    }  # fmt: skip


def test_one_connection_that_is_down_hides_no_other(house: House, runtime: Runtime) -> None:
    house.apply()
    house.settle()
    house.box.hubspot.faults.add({"kind": "drop"})
    report = check(runtime)
    assert {f.verdict for f in by_field(report, "crm").values()} == {Verdict.UNREACHABLE}
    assert by_field(report, "ats")["email"].verdict is Verdict.OK
    assert by_field(report, "export")["email"].verdict is Verdict.OK
    assert not report.ok
    assert report.to_mend == 1  # one thing to do, however many fields wait for it


class Hostile:
    """A connector that does what no connector may."""

    def __init__(self, does: Callable[[], list[Finding]]) -> None:
        self._does = does

    def check(self, needs: Needs) -> list[Finding]:
        return self._does()

    def verify(self, *_: object, **__: object) -> None:
        """Takes what nobody signed, or breaks."""
        if self._does is fault:
            fault()


def fault() -> list[Finding]:
    raise RuntimeError("ada@example.com")


def refused() -> list[Finding]:
    raise AuthFailed("the vendor refused", hint="look")


@pytest.mark.parametrize(
    ("does", "verdict"),
    [(fault, Verdict.FAILED), (refused, Verdict.CREDENTIALS), (list, Verdict.UNKNOWN)],
)
def test_a_hostile_connector_is_told_and_hides_no_other(
    house: House, runtime: Runtime, does: Callable[[], list[Finding]], verdict: Verdict
) -> None:
    house.apply()
    runtime.connectors = {**runtime.connectors, "crm": Hostile(does)}
    report = check(runtime)
    told = by_field(report, "crm")
    assert set(told) == set(needs_of(runtime, "crm").fields)
    assert {f.verdict for f in told.values()} == {verdict}
    assert by_field(report, "ats")["email"].verdict is Verdict.OK
    assert at_door(report, "crm")["signatures"].verdict is Verdict.FAILED
    assert "ada@example.com" not in repr(report)


def test_unasked_every_field_is_unknown_and_no_vendor_hears_of_it(house: House) -> None:
    report = check(house.runtime, ask=False)
    assert report.ok
    assert not report.asked
    assert {f.verdict for f in report.findings} == {Verdict.UNKNOWN}
    assert report.unseen == sum(len(needs_of(house.runtime, n).fields) for n in report.connections)
    assert house.box.greenhouse.log.as_json()["total"] == 0
    assert house.box.hubspot.log.as_json()["total"] == 0


def test_the_same_advice_is_one_thing_to_do() -> None:
    def wrong(advice: str) -> Finding:
        return Finding("x", Verdict.FORBIDDEN, advice)

    connections = {
        "one": module.Checked("c", (wrong("a"), wrong("a"), wrong("b"))),
        "two": module.Checked("c", (wrong("a"), Finding("y", Verdict.UNKNOWN, "z"))),
    }
    doors = {name: module.Doorway("u", (wrong("start it"),)) for name in ("one", "two")}
    report = Report(NOW, True, connections, doors)
    assert (report.to_mend, report.unseen, report.ok) == (4, 1, False)


# The doors


Reply = tuple[int, dict[str, str], bytes]


@pytest.fixture
def elsewhere() -> Iterator[Callable[..., str]]:
    """Starts a server that is not Warmline; gives its address."""
    servers: list[ThreadingHTTPServer] = []

    def start(reply: Reply, *, tls: bool = False) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, headers, body = reply
                self.send_response(status)
                for name, value in {**headers, "content-length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        if tls:
            fixtures = Path(warmline.connectors.smtp.__file__).parent / "fixtures"
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(fixtures / "localhost.crt", fixtures / "localhost.key")
            server.socket = context.wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        return f"http{'s' * tls}://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def knocked(public_url: str, name: str = "ats") -> Finding:
    return knock(public_url, name, lambda: NOW)


PAGE = b"<html>ada@example.com</html>"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((502, {}, b"<h1>Bad Gateway</h1>"), "reaches no Warmline"),
        ((504, {}, PAGE), "`warmline up`"),
        ((301, {"location": "https://hire.example.com/in/ats"}, b""), "https://hire.example.com"),
        ((308, {"location": "/elsewhere"}, b""), "another path"),
        ((403, {}, PAGE), "without a sign-in"),
        ((401, {"www-authenticate": "Basic"}, PAGE), "without a sign-in"),
        ((404, {}, PAGE), "not Warmline"),
        ((200, {}, b"Welcome to nginx!"), "not Warmline"),
        ((405, {}, b'{"detail": "Method Not Allowed"}'), "not Warmline"),
        ((405, {}, b'{"error": 5}'), "not Warmline"),
        ((500, {}, b"["), "not Warmline"),
    ],
)
def test_somebody_elses_answer_is_failed_and_says_whose(
    elsewhere: Callable[..., str], reply: Reply, words: str
) -> None:
    told = knocked(elsewhere(reply))
    assert told.verdict is Verdict.FAILED
    assert words in told.advice
    assert "ada@example.com" not in told.advice


def test_warmlines_own_answer_proves_the_way(runtime: Runtime) -> None:
    told = knocked(runtime.project.public_url)
    assert told.verdict is Verdict.OK
    assert "this machine only" in told.advice
    assert Incident.objects.count() == 0


def test_another_warmline_is_told_apart(runtime: Runtime) -> None:
    told = knocked(runtime.project.public_url, "workday")
    assert told.verdict is Verdict.FAILED
    assert "has no connection workday" in told.advice


def test_a_certificate_that_nobody_trusts(elsewhere: Callable[..., str]) -> None:
    told = knocked(elsewhere((405, {}, b'{"error": "expected POST"}'), tls=True))
    assert told.verdict is Verdict.FAILED
    assert "certificate is not trusted" in told.advice


def test_no_tls_where_there_should_be(elsewhere: Callable[..., str]) -> None:
    told = knocked(elsewhere((200, {}, b"")).replace("http:", "https:"))
    assert told.verdict is Verdict.FAILED
    assert "TLS" in told.advice


def test_nothing_that_listens() -> None:
    told = knocked("http://127.0.0.1:9")
    assert told.verdict is Verdict.UNREACHABLE
    assert "start `warmline up`" in told.advice


def test_no_such_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", nowhere)  # no name server is asked by a test
    told = knocked("https://hire.example.invalid")
    assert told.verdict is Verdict.UNREACHABLE
    assert "no such host name" in told.advice


@pytest.mark.parametrize("hangs_up", [True, False])
def test_a_port_that_says_nothing(monkeypatch: pytest.MonkeyPatch, hangs_up: bool) -> None:
    monkeypatch.setattr(module, "KNOCK_S", 5.0 if hangs_up else 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def take() -> None:
            taken, _ = listener.accept()
            taken.recv(1000)
            taken.close()

        if hangs_up:
            threading.Thread(target=take, daemon=True).start()
        told = knocked(f"http://127.0.0.1:{listener.getsockname()[1]}")
    assert told.verdict is (Verdict.FAILED if hangs_up else Verdict.UNREACHABLE)


def test_a_secret_that_is_not_set_is_missing(
    house: House, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime.connectors["ats"], "_webhook_secret", "")
    told = at_door(check(runtime), "ats")["signatures"]
    assert told.verdict is Verdict.MISSING
    assert "webhook_secret" in told.advice


def test_deliveries_turned_away_are_told_until_a_signed_one_comes(
    house: House, runtime: Runtime
) -> None:
    with pytest.raises(BadSignature):
        house.receive("ats", {"signature": "sha256 " + "0" * 64}, b"{}")
    told = at_door(check(runtime), "ats")["deliveries turned away"]
    assert told.verdict is Verdict.FAILED
    assert told.advice.startswith("1 turned away, the last 0 s ago")
    house.clock.move(minutes=5)
    house.apply()
    report = check(runtime)
    told = at_door(report, "ats")["deliveries turned away"]
    assert told.verdict is Verdict.OK
    assert "signed ones came since" in told.advice
    assert report.webhooks["ats"].last_signed_at == house.clock()


def test_what_was_polled_is_no_signed_delivery(house: House, runtime: Runtime) -> None:
    Delivery.objects.create(
        connection="ats", key="p", channel="poll", body=b"{}", received_at=house.clock()
    )
    report = check(runtime)
    assert report.webhooks["ats"].last_signed_at is None
    house.apply()
    house.clock.move(minutes=3)
    report = check(runtime)
    assert at_door(report, "ats")["last signed delivery"].advice.endswith("Z, 3 min ago")
    assert report.as_json()["webhooks"]["ats"]["last_signed_s_ago"] == 180


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(seconds=-5), "0 s ago"),
        (timedelta(seconds=59), "59 s ago"),
        (timedelta(minutes=60), "1 h ago"),
        (timedelta(days=3, hours=5), "3 d ago"),
    ],
)
def test_a_span_is_told_in_its_largest_unit(span: timedelta, words: str) -> None:
    assert ago(span) == words
