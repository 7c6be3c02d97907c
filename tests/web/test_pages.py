"""The pages: figures and explanations for the operator, one public page for the candidate."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.conftest import House
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.links import unsubscribe_token
from warmline.flows.pauses import pause
from warmline.store.models import (
    Application,
    Candidate,
    Delivery,
    Event,
    Incident,
    Message,
    Suppression,
)
from warmline.store.statuses import PauseScope
from warmline.web import public, site
from warmline.web.templatetags.warmline import duration, ended_as, percent, ticks

CHROMIUM = Path("/usr/bin/chromium")


@pytest.fixture
def pages(house: House, monkeypatch: pytest.MonkeyPatch) -> Client:
    """A browser on this machine, on the house's runtime."""
    monkeypatch.setattr(site, "_serving", [house.runtime])
    return Client(headers={"host": "localhost"})


def text_of(page: str) -> str:
    """What a person reads: no markup, single and plain spaces."""
    body = re.sub(r"<style.*?</style>", " ", page, flags=re.S)
    body = re.sub(r"</?(time|span|strong|code|a)\b[^>]*>", "", body)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


def get(client: Client, address: str, status: int = 200) -> str:
    answer = client.get(address)
    assert answer.status_code == status
    return answer.content.decode()


def fails(house: House, key: str, reason: str, **fields: object) -> None:
    open_incident(key, reason, now=house.clock(), **fields)  # type: ignore[arg-type]


def token(house: House) -> str:
    return unsubscribe_token(Message.objects.earliest("id").pk, house.clock())


# The overview


def test_a_fresh_install_says_what_will_stand_here_and_what_to_do(pages: Client) -> None:
    text = text_of(get(pages, "/"))
    assert "Nothing has arrived yet" in text
    assert "Have ats send its webhooks to http://127.0.0.1:8025/in/ats" in text
    assert "warmline check" in text
    assert "Nothing has failed" in text
    assert "No failure is open" not in text, "nothing ran yet: nothing to be proud of"
    assert "None" not in text.replace("None yet", "")


def test_figures_come_from_the_ledger(house: House, pages: Client) -> None:
    house.apply()
    house.clock.move(seconds=42)
    house.settle()
    text = text_of(get(pages, "/"))
    assert "applicants 1" in text
    assert "contacts in the CRM 1" in text
    assert "median 42 s" in text
    assert "1 of 1 first mail left within 5 min." in text
    assert "01-confirmation 1 0 0 0 0" in text
    assert "No failure is open." in text
    assert "UTC" in text


def test_a_slow_first_touch_is_named_and_leads_to_its_explanation(
    house: House, pages: Client
) -> None:
    house.apply()
    house.clock.move(hours=2)
    house.settle()
    page = get(pages, "/")
    assert "1 took longer" in text_of(page)
    assert f'<a href="/explain?q={Candidate.objects.get().pk}">Ada Lind</a>' in page


def test_failures_stand_open_first_with_the_record_and_how_they_ended(
    house: House, pages: Client
) -> None:
    house.apply()
    house.settle()
    who = Candidate.objects.get().pk
    fails(house, "a", "the CRM said no", candidate_id=who, record=f"candidate {who}", trigger="t 1")
    house.clock.move(minutes=1)
    resolve(["a"], "it works again", now=house.clock())
    fails(house, "b", "the token is wrong", connection="crm", hint="then `warmline replay 7`")
    page = get(pages, "/")
    text = text_of(page)
    assert "1 failure is open." in text
    assert text.index("The token is wrong") < text.index("The CRM said no")
    assert "<code>warmline replay 7</code>" in page
    assert f'<a href="/explain?q={who}">candidate {who}, Ada Lind</a>' in page
    assert "trigger t 1" in text
    assert "resolved 2026-03-02 09:01 it works again opened 2026-03-02 09:00" in text


def test_what_is_paused_stands_on_top_with_who_and_why(house: House, pages: Client) -> None:
    assert "Paused" not in get(pages, "/")
    pause(house.runtime, PauseScope.SEQUENCE, "welcome", why="new <b>texts</b>", by="eve")
    page = get(pages, "/")
    text = text_of(page)
    assert "Paused: sequence &#x27;welcome&#x27;. Since 2026-03-02 09:00 by eve: new" in text
    assert "<b>texts" not in page
    assert text.index("Paused") < text.index("applicants")


def test_more_failures_than_are_shown_are_counted(house: House, pages: Client) -> None:
    for n in range(23):
        fails(house, f"k{n}", f"reason {n}")
    text = text_of(get(pages, "/"))
    assert "23 failures are open." in text
    assert "The 20 that failed last, of 23 that are open." in text


def test_the_overview_asks_as_many_questions_for_twenty_failures_as_for_one(
    house: House, pages: Client
) -> None:
    house.apply()
    house.settle()
    who = Candidate.objects.get().pk
    asked = []
    for count in (1, 20):
        for n in range(count):
            fails(house, f"k{n}", "no", candidate_id=who)
        with CaptureQueriesContext(connection) as queries:
            get(pages, "/")
        asked.append(len(queries))
    assert asked[0] == asked[1]


def test_an_unknown_vendor_word_is_shown_as_text(house: House, pages: Client) -> None:
    now = house.clock()
    delivery = Delivery.objects.create(
        connection="ats", key="k", channel="webhook", body=b"{}", received_at=now
    )
    Event.objects.create(
        connection="ats",
        key="k",
        kind="unknown",
        word="<b>teleported</b>",
        occurred_at=now,
        recorded_at=now,
        delivery=delivery,
        effect="unknown",
    )
    page = get(pages, "/")
    assert "Words nobody here knows" in page
    assert "&lt;b&gt;teleported&lt;/b&gt;" in page


# One candidate explained


def test_a_candidate_is_found_by_address_number_and_foreign_id(house: House, pages: Client) -> None:
    row = house.apply()
    house.settle()
    who = Candidate.objects.get().pk
    for query in ("Ada.Lind@example.com", str(who), str(row["id"])):
        text = text_of(get(pages, f"/explain?q={query}"))
        assert "Ada Lind" in text
        assert "active applicant in a pipeline (active 1" in text
        assert "ada.lind@example.com" in text
        assert "Backend Engineer" in text
        assert "mail welcome/01-confirmation → handed off" in text
        assert "set off by delivery" in text


def test_suppression_and_do_not_contact_stand_at_the_top(house: House, pages: Client) -> None:
    house.apply()
    house.settle()
    pages.post(f"/u/{token(house)}")
    who = Candidate.objects.get()
    text = text_of(get(pages, f"/explain?q={who.pk}"))
    assert "Suppressed No mail leaves to this person." in text
    assert "unsubscribed since 2026-03-02 09:00, by page" in text
    Candidate.objects.filter(pk=who.pk).update(do_not_contact=True)
    assert "Do not contact The ATS says so" in text_of(get(pages, f"/explain?q={who.pk}"))


def test_several_candidates_give_a_choice(house: House, pages: Client) -> None:
    house.apply()
    house.apply(first_name="Bo", email="bo@example.com")
    house.settle()
    ada, bo = Candidate.objects.order_by("pk")
    shared = "shared-id"
    ada.external_ids.create(connection="ats", external_id=shared)
    bo.external_ids.create(connection="crm", external_id=shared)
    page = get(pages, f"/explain?q={shared}")
    assert "2 candidates fit" in page
    assert f'<a href="/explain?q={ada.pk}">Ada Lind</a>' in page
    assert f'<a href="/explain?q={bo.pk}">Bo Lind</a>' in page


def test_nobody_found_is_a_404_that_says_what_can_be_asked(pages: Client) -> None:
    page = get(pages, "/explain?q=<i>nobody</i>", status=404)
    assert "Nobody is known by “&lt;i&gt;nobody&lt;/i&gt;”" in page
    assert "Names are not searched." in page


def test_without_a_question_there_is_a_box_to_ask_in(pages: Client) -> None:
    page = get(pages, "/explain")
    assert page.count('name="q"') == 1
    assert '<label for="q">' in page


def test_what_candidates_write_is_text_and_never_markup(house: House, pages: Client) -> None:
    house.apply(first_name="<script>alert(1)</script>", last_name='O\'Neil & "Co"')
    house.settle()
    Application.objects.update(url="javascript:alert(1)")
    page = get(pages, f"/explain?q={Candidate.objects.get().pk}")
    assert "<script" not in page
    assert "javascript:" not in page
    assert "&lt;script&gt;" in page


# The public page


def test_opening_the_unsubscribe_link_changes_nothing(house: House, pages: Client) -> None:
    house.apply()
    house.settle()
    page = get(pages, f"/u/{token(house)}")
    assert page.count("<form") == page.count("<button") == 1
    assert '<form method="post">' in page, "no action: it posts to the address it stands on"
    assert "Nothing changes until you press it." in page
    assert not Suppression.objects.exists()


def test_the_button_unsubscribes_and_says_so(house: House, pages: Client) -> None:
    house.apply()
    house.settle()
    answer = pages.post(f"/u/{token(house)}")
    assert answer.status_code == 200
    assert "You are unsubscribed" in answer.content.decode()
    assert Suppression.objects.get().address == "ada.lind@example.com"


def test_a_broken_or_an_expired_link_says_what_to_do(house: House, pages: Client) -> None:
    house.apply()
    house.settle()
    old = token(house)
    house.clock.move(days=731)
    for address in ("/u/nonsense", f"/u/{old}"):
        page = get(pages, address, status=404)
        assert "This link does not work" in page
        assert "newest e&#8209;mail" in page
        assert "<form" not in page


def test_a_ledger_that_cannot_be_written_asks_to_come_again(
    house: House, pages: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object, **kwargs: object) -> bool:
        raise DatabaseError("the disk is full")

    house.apply()
    house.settle()
    monkeypatch.setattr(public, "unsubscribe_message", broken)
    answer = pages.post(f"/u/{token(house)}")
    assert answer.status_code == 503
    page = answer.content.decode()
    assert "have not been stopped yet" in page
    assert "disk" not in page


def test_the_public_page_shows_nothing_of_the_inside(house: House, pages: Client) -> None:
    house.apply()
    house.settle()
    asked = get(pages, f"/u/{token(house)}")
    done = pages.post(f"/u/{token(house)}").content.decode()
    for page in (asked, done, get(pages, "/u/nonsense", status=404)):
        assert not re.search(r'href="(?!/p/)', page), "only to the preferences"
        assert "src=" not in page
        for inside in ("Warmline", "Ada", "ada.lind", "explain", "ats", "crm"):
            assert inside not in text_of(page)


# All of them


def test_styles_carry_the_nonce_and_nothing_else_is_inline(house: House, pages: Client) -> None:
    house.apply()
    house.settle()
    who = Candidate.objects.get().pk
    for address in ("/", "/explain", f"/explain?q={who}", f"/u/{token(house)}"):
        answer = pages.get(address)
        page = answer.content.decode()
        nonce = re.search(r"style-src 'nonce-([^']+)'", answer["Content-Security-Policy"])
        assert nonce
        assert page.count("<style") == page.count(f'<style nonce="{nonce[1]}">') == 1
        assert not re.search(r"<script|<img|<link|\sstyle=|\son\w+=", page)
        assert '<html lang="en">' in page
        assert 'name="viewport"' in page
        assert len(re.findall(r"<h1[ >]", page)) == 1
        assert "<main" in page


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0 s"),
        (0.44, "0.4 s"),
        (9.96, "10 s"),
        (59.6, "1 min"),
        (300, "5 min"),
        (192, "3 min 12 s"),
        (7500, "2 h 5 min"),
        (273600, "3 d 4 h"),
        (None, ""),
    ],
)
def test_durations(seconds: float | None, written: str) -> None:
    assert duration(seconds).replace("\N{NO-BREAK SPACE}", " ") == written


def test_a_share_is_never_rounded_up_to_all() -> None:
    assert [percent(s) for s in (1.0, 0.9999, 0.29, 0.0)] == ["100", "99.9", "29", "0"]


def test_words_of_the_ledger_read_as_words_and_names_stay() -> None:
    assert ended_as("mail my_welcome/a_step -> handed_off") == "mail my_welcome/a_step → handed off"
    assert ended_as("application.stage_changed") == "application.stage_changed"
    assert ticks("<b> `a & b`") == "&lt;b&gt; <code>a &amp; b</code>"


# A real browser


@pytest.fixture
def served(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(site, "_serving", [])
    server = site.Server(house.runtime, "127.0.0.1", 0, 4)
    server.start()
    yield f"http://127.0.0.1:{server.port}"
    server.stop()


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium")
def test_a_phone_shows_every_page_without_sideways_scrolling_or_a_blocked_style(
    house: House, served: str
) -> None:
    from playwright.sync_api import sync_playwright

    house.apply(first_name="Wolfeschlegelsteinhausenbergerdorff" * 3)
    house.clock.move(hours=30)
    house.settle()
    who = Candidate.objects.get().pk
    for n in range(25):
        fails(house, f"k{n}", "x" * 120, candidate_id=who, record=f"candidate {who}", trigger="t")
        house.clock.move(seconds=1)
    resolve([f"k{n}" for n in range(3)], "it works again", now=house.clock() + timedelta(days=1))
    addresses = ["/", f"/explain?q={who}", "/explain", f"/u/{token(house)}"]
    said: list[str] = []
    wide: list[str] = []
    # Inside the block Playwright runs an event loop on this thread: the ledger is left alone.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        for scheme in ("light", "dark"):
            context = browser.new_context(
                viewport={"width": 375, "height": 740},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page = context.new_page()
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            for address in addresses:
                page.goto(served + address)
                if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                    wide.append(address)
            page.get_by_role("button", name="Stop the e").click()
            assert page.get_by_role("heading", name="You are unsubscribed").is_visible()
            context.close()
        browser.close()
    assert said == []
    assert wide == []


# Alerts


def test_the_overview_shows_age_acknowledgement_and_who_was_told(
    house: House, pages: Client
) -> None:
    from tests.flows.test_alerts import fail
    from warmline.flows.incidents import acknowledge, resolve_by_hand

    old, done = fail(house, "a", "the CRM said no"), fail(house, "b", "it broke")
    acknowledge(old.pk, who="kim", now=house.clock())
    resolve_by_hand(done.pk, who="sam", why="mended by hand", now=house.clock.move(hours=25))
    Incident.objects.filter(pk=old.pk).update(alerted_at=house.clock(), alerted_by="pager")
    page = get(pages, "/")
    text = text_of(page)
    assert "acknowledged once · 1 d 1 h old" in text
    assert '<span class="hot">1\N{NO-BREAK SPACE}d' in page
    assert "alerted 2026-03-03 10:00 by pager" in text
    assert "kim looks after it, since 2026-03-02 09:00" in text
    assert "mended by hand, by sam" in text
    assert '<p class="hot">after 1' in page
    assert "Nobody is told of failures" in text


def test_the_overview_says_when_no_alert_gets_through(
    house: House, pages: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.flows.test_alerts import configure, fail, go_on

    monkeypatch.setenv("WARMLINE_ALERTS_PAGER", "json://127.0.0.1:9/canary-4711")
    configure(house, "alerts: {to: [pager]}")
    text = text_of(get(pages, "/"))
    assert "not tried yet" in text
    assert "No alert gets through" not in text
    fail(house, "first-sync", "waits")
    go_on(house, 13)
    page = get(pages, "/")
    assert "No alert gets through." in text_of(page)
    assert "A Connection error occurred" in text_of(page)
    assert "canary" not in page


@pytest.mark.parametrize("width", [375, 1200])
@pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium")
def test_incidents_and_alerts_are_readable_at_any_width(
    house: House, served: str, width: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from playwright.sync_api import sync_playwright

    from tests.flows.test_alerts import configure, fail, go_on
    from warmline.flows.incidents import acknowledge

    monkeypatch.setenv("WARMLINE_ALERTS_PAGER", "json://127.0.0.1:9/canary-4711")
    configure(house, "alerts: {to: [pager], mail: ops@northwind.example}")
    house.apply()
    house.settle()
    who = Candidate.objects.get()
    for n in range(3):
        what = {"candidate_id": who.pk, "record": f"candidate {who.pk}", "trigger": "a -> b"}
        fail(
            house, f"action:{n}", f"HubSpot answered 400: property number {n} is not there", **what
        )
    go_on(house, 14)
    acknowledge(Incident.objects.earliest("pk").pk, who="kim", now=house.clock())
    house.clock.move(hours=26)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": width, "height": 800})
        page.goto(served)
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
        page.screenshot(path=tmp_path / "overview.png", full_page=True)
        cells = page.locator("#alerts li")
        assert cells.count() == 2
        assert page.get_by_text("kim looks after it").is_visible()
        assert page.get_by_text("fails", exact=True).is_visible()
        wide = "[...document.querySelectorAll('#alerts *')].every(e => e.scrollWidth <= innerWidth)"
        assert page.evaluate(wide)
        browser.close()
