"""The links of a letter, followed over HTTP: where they lead, what is noted, what they never do."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from django.core.signing import Signer
from django.db import connection, connections

from tests.conftest import House
from tests.web.conftest import BROWSER, STEP, Letter, sent
from warmline.core.mail import HTML_BYTES_MAX
from warmline.flows import links
from warmline.flows.hits import HITS_MAX, network
from warmline.flows.links import Purpose, click_token, read_click_token, read_token, token
from warmline.store.models import Action, Candidate, Event, Hit, Message, Segmentation

TARGETS = [
    "https://careers.example.com/jobs?a=1&b=%C3%A4",
    "http://news.example.com/",
    "https://careers.example.com/",
]


def followed(wire: httpx.Client, path: str, **headers: str) -> httpx.Response:
    return wire.get(path, headers={**BROWSER, **headers})


def hits(kind: str = "") -> list[Hit]:
    rows = Hit.objects.order_by("id")
    return list(rows.filter(kind=kind) if kind else rows)


# The letter as it leaves


def test_every_link_goes_by_way_of_us_and_the_text_keeps_its_own(
    letter: Letter, wire: httpx.Client
) -> None:
    *mine, trap = letter.links("c")
    answers = [followed(wire, path) for path in mine]
    assert [a.headers["location"] for a in answers] == TARGETS
    assert "example.com/jobs" not in letter.html
    assert 'href="mailto:kim@example.com"' in letter.html
    assert "/c/" not in letter.text
    for target in ("https://careers.example.com/jobs?a=1", "http://news.example.com/"):
        assert target in letter.text
    assert f'8025{trap}" tabindex="-1" aria-hidden="true"></a>' in letter.html
    assert letter.html.count("<img") == 1
    assert 'width="1" height="1" alt=""' in letter.html
    ours = {kind: len(letter.links(kind)) for kind in "ukpv"}
    # Two of each that stand in the layout's footer too.
    assert ours == {"u": 1, "k": 2, "p": 2, "v": 2}, "they know by themselves who comes"


def test_a_letter_counts_only_what_it_may(house: House) -> None:
    plain = sent(house, clicks=False, opens=False)
    assert 'href="http://news.example.com/"' in plain.html
    assert not plain.links("c")
    assert not plain.links("o")
    assert "<img" not in plain.html


def test_a_letter_that_would_be_cut_by_counting_leaves_uncounted(house: House) -> None:
    many = "\n".join(f"[{n}](https://careers.example.com/{n}/{'x' * 500})\n" for n in range(110))
    letter = sent(house, STEP + many)
    assert len(letter.html.encode()) <= HTML_BYTES_MAX
    assert not letter.links("c")
    assert letter.links("u")


def test_what_was_filled_in_is_kept_as_the_mail_leaves(letter: Letter) -> None:
    message = Message.objects.get()
    assert message.subject == "Hello Ada"
    assert message.segment == Segmentation.objects.get().segment == "active_applicant"
    assert message.sender_address in letter.headers["From"]
    assert message.values is not None
    assert message.values["candidate"]["first_name"] == "Ada"
    assert not [name for name in message.values if name in links.VARIABLES]


# Tokens


@pytest.mark.parametrize("purpose", list(Purpose))
def test_a_token_is_for_one_purpose(house: House, purpose: Purpose) -> None:
    now = house.clock()
    made = (
        click_token(7, 1, "https://a.example/", now)
        if purpose is Purpose.CLICK
        else token(purpose, 7, now)
    )
    for other in Purpose:
        if other is Purpose.CLICK:
            read = read_click_token(made, now)
            assert (read.message_id if read else None) == (7 if purpose is other else None)
        else:
            assert read_token(other, made, now) == (7 if purpose is other else None)


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "//elsewhere.example/",
        "https:///nowhere",
        "https://careers.example.com@elsewhere.example/",
        "https://careers.example.com\\@elsewhere.example/",
        "https://a.example/\r\nSet-Cookie: a=b",
        "https://a.example:port/",
        "ftp://a.example/",
        "https://a.example/" + "x" * 1200,
    ],
)
def test_a_link_that_tries_to_lead_elsewhere_is_neither_signed_nor_followed(
    house: House, wire: httpx.Client, url: str
) -> None:
    with pytest.raises(ValueError, match="web address"):
        click_token(1, 1, url, house.clock())
    # Not even with our own signature, as one of an older version might have it.
    coded = base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
    expires = int((house.clock() + timedelta(days=1)).timestamp())
    forged = Signer(salt=Purpose.CLICK, sep=".").sign(f"1-{expires}-1-{coded}")
    answer = followed(wire, f"/c/{forged}")
    assert answer.status_code == 404
    assert "location" not in answer.headers


def another_target(path: str) -> str:
    said, _, mark = path.removeprefix("/c/").rpartition(".")
    message, expires, link, _ = said.split("-", 3)
    other = base64.urlsafe_b64encode(b"https://elsewhere.example/").decode().rstrip("=")
    return f"/c/{message}-{expires}-{link}-{other}.{mark}"


@pytest.mark.parametrize(
    "spoil",
    [
        another_target,
        lambda path: path[:-1],
        lambda path: path + "x",
        lambda path: path.replace("/c/1", "/c/2"),
        lambda path: path.split("?")[0] + "?url=https://elsewhere.example/",
        lambda path: "/c/" + "x" * 5000,
        lambda path: "/c/1-1-1-1",
    ],
)
def test_a_tampered_link_leads_nowhere(
    letter: Letter, wire: httpx.Client, spoil: Callable[[str], str]
) -> None:
    answer = followed(wire, spoil(letter.link("c")))
    assert "elsewhere" not in answer.headers.get("location", "")
    if "?" not in str(answer.url):
        assert answer.status_code == 404
        assert "This link does not work" in answer.text
        assert hits() == []


def test_a_link_expires(letter: Letter, wire: httpx.Client) -> None:
    letter.house.clock.move(days=731)
    for kind in "cuvpk":
        answer = followed(wire, letter.link(kind))
        assert answer.status_code == 404
        assert "expired" in answer.text
    assert hits() == []


# What an answer is


def test_a_redirect_is_not_kept_sets_no_cookie_and_tells_nobody(
    letter: Letter, wire: httpx.Client
) -> None:
    for path in (letter.link("c"), letter.link("o"), letter.link("v")):
        answer = followed(wire, path)
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["x-robots-tag"] == "noindex, nofollow"
        assert "set-cookie" not in answer.headers
    assert followed(wire, letter.link("c")).status_code == 302
    assert followed(wire, letter.link("o")).headers["content-type"] == "image/gif"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_link_is_only_read(letter: Letter, wire: httpx.Client, method: str) -> None:
    for kind in "cov":
        answer = wire.request(method, letter.link(kind))
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert hits() == []


def test_a_hit_that_cannot_be_written_breaks_no_link(letter: Letter, wire: httpx.Client) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE warmline_hit RENAME TO warmline_elsewhere")
    connections.close_all()
    try:
        assert followed(wire, letter.link("c")).headers["location"] == TARGETS[0]
        assert followed(wire, letter.link("o")).status_code == 200
        assert followed(wire, letter.link("v")).status_code == 200
        assert followed(wire, letter.link("u")).status_code == 200
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE warmline_elsewhere RENAME TO warmline_hit")
    assert followed(wire, letter.link("c")).headers["location"] == TARGETS[0]
    assert [hit.kind for hit in hits()] == ["click"]


def test_hits_of_one_mail_are_bounded(letter: Letter, wire: httpx.Client) -> None:
    row = Hit(message=Message.objects.get(), kind="open", at=letter.house.clock())
    Hit.objects.bulk_create([row for _ in range(HITS_MAX - 1)])
    for _ in range(3):
        assert followed(wire, letter.link("c")).status_code == 302
    assert Hit.objects.count() == HITS_MAX


def test_a_hit_keeps_the_start_of_the_network_and_no_address(
    letter: Letter, wire: httpx.Client
) -> None:
    followed(wire, letter.link("c"), **{"x-forwarded-for": "198.51.100.4, 203.0.113.77"})
    (hit,) = hits()
    assert hit.network == "203.0.113.0/24"
    assert network("2001:db8:1:2::7") == "2001:db8:1::/48"
    assert network("::ffff:203.0.113.9") == "203.0.113.0/24"
    assert network("unknown") == ""


# In a browser


def test_the_letter_is_shown_again_as_it_was(letter: Letter, wire: httpx.Client) -> None:
    Candidate.objects.update(first_name="Changed")
    answer = followed(wire, letter.link("v"))
    assert answer.status_code == 200
    assert "Hi Ada," in answer.text
    assert "Changed" not in answer.text
    assert "/o/" not in answer.text, "it is not counted as an open"
    assert "aria-hidden" not in answer.text
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "script" not in policy
    mine = letter.links("c")[:-1]
    shown = answer.text.count("/c/")
    assert shown == len(mine)


def test_a_letter_that_is_not_kept_is_said_to_be_gone(letter: Letter, wire: httpx.Client) -> None:
    Message.objects.update(values=None)
    answer = followed(wire, letter.link("v"))
    assert answer.status_code == 404
    assert "not kept any more" in answer.text


def test_whose_record_was_erased_has_no_letter_here_any_more(
    letter: Letter, wire: httpx.Client
) -> None:
    Candidate.objects.update(erased_at=letter.house.clock())
    for kind in "vpk":
        answer = followed(wire, letter.link(kind))
        assert answer.status_code == 404
        assert "Ada" not in answer.text
    assert wire.post(letter.link("k"), data={"act": "yes"}).status_code == 404
    letter.judge()
    assert not Event.objects.filter(connection="warmline", message__isnull=False).exists()


# Who it was


def test_a_click_with_time_to_read_is_a_persons_and_flags_them_in_the_ats(
    letter: Letter, wire: httpx.Client
) -> None:
    followed(wire, letter.link("c"), dnt="1", **{"sec-gpc": "1"})
    assert not Event.objects.filter(kind="message.clicked").exists(), "nothing acts in a request"
    letter.judge()
    (event,) = Event.objects.filter(kind="message.clicked")
    assert event.message_id == Message.objects.get().pk
    assert event.fields == {
        "email_subject": "Hello Ada",
        "link_url": "https://careers.example.com/jobs?a=1&b=%C3%A4",
        "confidence": "human",
    }
    (hit,) = hits()
    assert (hit.confidence, hit.event_id, hit.judge_at) == ("human", event.pk, None)
    assert Action.objects.get(kind="candidate.flag").status == "done"
    assert Segmentation.objects.get().score == pytest.approx(5, abs=0.1)


def test_a_click_is_told_once_a_link(letter: Letter, wire: httpx.Client) -> None:
    for _ in range(3):
        followed(wire, letter.links("c")[0])
        letter.judge()
    followed(wire, letter.links("c")[1])
    letter.judge()
    assert Event.objects.filter(kind="message.clicked").count() == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"user-agent": "python-requests/2.32"},
        {"user-agent": ""},
        {"sec-purpose": "prefetch;prerender"},
        {"purpose": "prefetch"},
        {"x-purpose": "preview"},
    ],
)
def test_i9_a_machine_moves_nobody(
    letter: Letter, wire: httpx.Client, headers: dict[str, str]
) -> None:
    followed(wire, letter.link("c"), **headers)
    followed(wire, letter.link("k"), **headers)
    letter.judge()
    assert {hit.confidence for hit in hits()} == {"machine"}
    assert not Event.objects.filter(message__isnull=False).exists()
    assert not Action.objects.filter(kind="candidate.flag").exists()


def test_i9_head_moves_nobody(letter: Letter, wire: httpx.Client) -> None:
    for kind in "ckpuvo":
        assert wire.head(letter.link(kind), headers=BROWSER).status_code in (200, 302)
    letter.judge()
    assert {hit.confidence for hit in hits()} == {"machine"}
    assert not Event.objects.filter(message__isnull=False).exists()


def test_i9_a_scanner_that_follows_every_link_as_a_browser_moves_nobody(
    letter: Letter, wire: httpx.Client
) -> None:
    """And the person who comes later, from elsewhere, is still a person."""
    for kind in "cukpvo":
        for path in letter.links(kind):
            followed(wire, path, **{"x-forwarded-for": "192.0.2.1"})
    letter.judge()
    assert {h.confidence for h in hits() if h.kind != "open"} == {"machine"}
    moved = Event.objects.filter(kind__in=["message.clicked", "candidate.reengaged"])
    assert not moved.exists()
    letter.house.clock.move(hours=2)
    followed(wire, letter.links("c")[1], **{"x-forwarded-for": "203.0.113.8"})
    letter.judge()
    assert moved.get().fields["confidence"] == "human"


def test_i9_who_follows_the_link_that_nobody_can_see_is_a_machine_on_every_link(
    letter: Letter, wire: httpx.Client
) -> None:
    followed(wire, letter.links("c")[0], **{"x-forwarded-for": "192.0.2.1"})
    letter.house.clock.move(seconds=40)
    answer = followed(wire, letter.links("c")[-1], **{"x-forwarded-for": "192.0.2.9"})
    assert "/v/" in answer.headers["location"], "whoever comes there all the same gets the letter"
    letter.judge()
    assert {(hit.kind, hit.confidence) for hit in hits()} == {
        ("click", "machine"),
        ("trap", "machine"),
    }
    assert not Event.objects.filter(message__isnull=False).exists()


def test_i9_an_open_is_told_and_is_no_act(letter: Letter, wire: httpx.Client) -> None:
    followed(wire, letter.link("o"))
    followed(wire, letter.link("o"))
    letter.judge()
    (event,) = Event.objects.filter(kind="message.opened")
    assert event.message_id == Message.objects.get().pk
    assert Segmentation.objects.get().score == 0


def test_a_click_at_once_is_unconfirmed_and_a_later_one_counts(
    house: House, wire: httpx.Client
) -> None:
    letter = sent(house)
    house.clock.move(minutes=-10)
    house.clock.move(seconds=2)
    followed(wire, letter.link("c"))
    letter.judge()
    said = Event.objects.filter(kind="message.clicked").values_list("fields__confidence", flat=True)
    assert list(said) == ["unconfirmed"]
    assert Action.objects.filter(kind="candidate.flag").count() == 0
    followed(wire, letter.link("c"))
    letter.judge()
    assert sorted(said.all()) == ["human", "unconfirmed"]
    assert Action.objects.get(kind="candidate.flag").status == "done"
