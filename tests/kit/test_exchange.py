"""The call behind a failure: the right one is found, and no person and no secret is left in it."""

from __future__ import annotations

import json
import threading

import pytest

from tests.kit.test_http import SECRET, TOKEN, Vendor, door, vendor  # noqa: F401 - fixtures
from warmline.core.errors import Refused, Unsure
from warmline.kit import exchange
from warmline.kit.exchange import BODY_CHARS_MAX, CALLS_MAX, Call, Recorded, recording
from warmline.kit.http import Door
from warmline.kit.redaction import Redaction, mentions

PERSON = {
    "firstname": "Ada",
    "last_name": "Lind",
    "email": "ada.lind@example.com",
    "phone_numbers": [{"value": "+44 20 7946 0958", "type": "mobile"}],
    "addresses": [{"value": "1 Rose Lane"}],
    "recruiter_owner": "Eve Holt",
    "applied_role": "Baker",
    "can_email": False,
    "id": "51",
}
WHOLE = ("Ada", "Lind", "ada.lind", "7946", "Rose Lane", "Eve", "Holt", "Grace", TOKEN, SECRET)


def call(sent: object, answer: object = None, status: int = 400, url: str = "/x") -> Call:
    return Call("POST", url, json.dumps(sent).encode(), status, json.dumps(answer).encode())


def shown(one: Call, *about: str, personal: tuple[str, ...] = ()) -> str:
    return json.dumps(one.redacted(about=about, personal=personal))


def test_a_refused_call_is_kept_with_what_was_asked_and_answered(
    door: Door,  # noqa: F811
    vendor: Vendor,  # noqa: F811
) -> None:
    vendor.says("no such role")
    with recording() as calls, pytest.raises(Refused):
        door.call("POST", "/things?key=1", body={"id": "51", "applied_role": "Baker"})
    found = calls.about(["51"])
    assert found == {
        "call": "POST /v1/things?key=1",
        "status": 400,
        "request": {"id": "51", "applied_role": "Baker"},
        "answer": {"message": "no such role"},
    }


def test_a_call_without_an_answer_says_so(door: Door, vendor: Vendor) -> None:  # noqa: F811
    vendor.drop = True
    with recording() as calls, pytest.raises(Unsure):
        door.call("POST", "/things", body={"id": "51"})
    found = calls.about(["51"])
    assert found is not None
    assert (found["status"], found["answer"]) == (None, "no answer: RemoteProtocolError")


def test_outside_of_a_recording_and_in_another_thread_nothing_is_kept(
    door: Door,  # noqa: F811
    vendor: Vendor,  # noqa: F811
) -> None:
    door.call("GET", "/things")
    with recording() as calls:
        other = threading.Thread(target=door.call, args=("GET", "/things"))
        other.start()
        other.join()
        assert not calls.calls
        door.call("GET", "/things")
        assert len(calls.calls) == 1
    door.call("GET", "/things")
    assert len(calls.calls) == 1
    assert len(vendor.calls) == 4


def test_neither_a_person_nor_a_secret_is_left(door: Door, vendor: Vendor) -> None:  # noqa: F811
    """In keys, in values, in sentences, in the path, in the vendor's echo of what was sent."""
    vendor.status = 409
    vendor.body = json.dumps(
        {
            "message": f"Ada Lind <ada.lind@example.com> is 51; you sent {TOKEN}",
            "correlationId": "3f2c1b6e-8f7a-4a3e-9a1d-0123456789ab",
            "context": {"email": ["ada.lind@example.com"], "token": [SECRET]},
            "errors": [{"name": "firstname", "value": "Ada"}, {"name": "Grace Hop"}],
        }
    ).encode()
    with recording() as calls, pytest.raises(Refused):
        door.call(
            "PATCH",
            "/people/ada.lind%40example.com",
            params={"email": "ada.lind@example.com", "idProperty": "email"},
            body=PERSON,
            headers={"authorization": f"Bearer {TOKEN}"},
        )
    text = json.dumps(calls.about(["51"], personal={"Ada", "Lind"}))
    assert not [word for word in WHOLE if word in text]
    for word in ("Baker", '"51"', "firstname", "idProperty=email", "3f2c1b6e", "409", "false"):
        assert word in text, word


@pytest.mark.parametrize(
    "text",
    ["call +1 (555) 010-9999", "at a.b@c.de, or", "Bearer abcdefghijk", "key pat-na1-123-456"],
)
def test_what_looks_like_a_person_or_a_secret_is_taken_out_of_a_sentence(text: str) -> None:
    assert "***" in Redaction().text(text)


def test_a_known_name_is_taken_out_wherever_it_stands_as_a_word() -> None:
    redaction = Redaction(personal=["Lind", "Ed"])
    assert redaction.text("LIND, Linden and lind's Edge") == "***, Linden and ***'s Edge"


def test_bytes_that_are_no_json_are_a_line_of_text_or_a_form() -> None:
    redaction = Redaction()
    assert exchange.body(b"<html>\n<b>Bad</b> gateway", redaction) == "<html> <b>Bad</b> gateway"
    form = exchange.body(b"grant_type=x&client_secret=shibboleth", redaction)
    assert form == {"grant_type": "x", "client_secret": "***"}
    assert exchange.body(b"\xff\xfe", redaction)
    assert exchange.body(b"", redaction) == ""
    assert exchange.body(b'"a@b.example"', redaction) == "***"
    cut = exchange.body(b'{"firstname": "Ada", "la', redaction)
    assert cut == "24 bytes, not JSON: Unterminated string starting at"
    assert "too deep" in str(exchange.body(b"[" * 100_000, redaction))


def test_of_a_batch_only_what_is_about_the_record_is_shown() -> None:
    many = [{"id": str(n), "role": f"r{n}"} for n in range(100)]
    one = call({"inputs": many}, {"results": many})
    assert one.redacted(about=["77"], personal=())["request"] == {
        "inputs": [{"id": "77", "role": "r77"}, "… and 99 more"]
    }
    assert "r0" in shown(one)  # of nobody: the first few


def test_it_is_bounded_whatever_is_sent() -> None:
    deep: object = "x"
    for _ in range(200):
        deep = {"a": [deep]}
    wide = {f"k{n}": "word " * 500 for n in range(1000)}
    for sent in (deep, wide, ["word " * 1000] * 1000):
        assert len(shown(call(sent, sent))) < 3 * BODY_CHARS_MAX
    calls = Recorded()
    for n in range(3 * CALLS_MAX):
        calls.calls.append(call({"id": str(n)}))
    assert len(calls.calls) == CALLS_MAX


def test_the_call_that_failed_and_mentions_the_record_is_the_one() -> None:
    calls = Recorded()
    assert calls.about(["51"]) is None
    calls.calls += [
        call({"id": "51", "n": 1}, status=200),
        call({"id": "51", "n": 2}, status=404),
        call({"id": "2151", "n": 3}, status=500),
        call({"id": "51", "n": 4}, status=200),
    ]
    found = calls.about(["51"])
    assert found is not None
    assert found["request"] == {"id": "51", "n": 2}
    nobody = calls.about(["99"])
    assert nobody is not None
    assert nobody["status"] == 500


def test_an_id_is_found_as_a_word_and_not_within_another() -> None:
    assert mentions('{"id":51}', ["51"])
    assert mentions("2151 and 51", ["51"])
    assert not mentions("2151, 51a, 51_2", ["51", ""])
