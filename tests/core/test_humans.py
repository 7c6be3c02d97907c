"""Confidence did it: what speaks for a machine, what for a person, and what for neither."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warmline.core.humans import (
    AT_ONCE_S,
    BURST_S,
    QUICK_S,
    Confidence,
    Evidence,
    at_once,
    judge,
)

BROWSER = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_4) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.4 Safari/605.1.15"
)
CLICK = Evidence(agent=BROWSER, agent_kind="Browser", delivered_s=3600, filtered=False)
gaps = st.lists(st.floats(0, 1e6), max_size=6).map(tuple)
evidence = st.builds(
    Evidence,
    method=st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "get"]),
    own_form=st.booleans(),
    trap=st.booleans(),
    agent=st.none() | st.just(BROWSER) | st.text(max_size=80),
    agent_kind=st.sampled_from(["", "Browser", "Mobile Browser", "Robot", "unknown"]),
    network=st.just("") | st.text(max_size=20),
    delivered_s=st.none() | st.floats(-1e6, 1e7),
    others_s=gaps,
    filtered=st.none() | st.booleans(),
)


def test_a_person_reads_and_clicks() -> None:
    found = judge(CLICK)
    assert found.who is Confidence.HUMAN
    assert found.why == (
        "made with a browser, 60 minutes after the delivery, "
        "and the sender's own bot filter let it pass"
    )


@pytest.mark.parametrize(
    ("change", "who", "why"),
    [
        ({"trap": True}, Confidence.MACHINE, "no person sees"),
        ({"filtered": True}, Confidence.MACHINE, "bot filter discarded it"),
        ({"filtered": None}, Confidence.UNCONFIRMED, "opening a link proves nobody"),
        ({"method": "HEAD"}, Confidence.MACHINE, "a HEAD request"),
        ({"agent": None}, Confidence.UNCONFIRMED, "does not tell the browser"),
        ({"agent": ""}, Confidence.UNCONFIRMED, "does not tell the browser"),
        ({"agent": "Barracuda Sentinel (EE)"}, Confidence.MACHINE, "mail gateway (Barracuda)"),
        ({"agent": f"{BROWSER} Proofpoint"}, Confidence.MACHINE, "mail gateway (Proofpoint)"),
        ({"agent": "python-requests/2.32"}, Confidence.MACHINE, "no browser (python-)"),
        ({"agent": "Mozilla/5.0 (compatible; bingbot/2.0)"}, Confidence.MACHINE, "(bingbot)"),
        ({"agent": f"{BROWSER} HeadlessChrome/120"}, Confidence.MACHINE, "(Headless)"),
        ({"agent_kind": "Robot"}, Confidence.MACHINE, "takes its user agent for a robot"),
        ({"network": "MIMECAST-UK"}, Confidence.MACHINE, "network of a mail gateway"),
        ({"network": "ec2.eu-west-1.amazonaws.com"}, Confidence.MACHINE, "data centre (amazonaws)"),
        ({"network": "Telia Sverige"}, Confidence.HUMAN, "made with a browser"),
        ({"delivered_s": None}, Confidence.UNCONFIRMED, "not known when the mail was delivered"),
        ({"delivered_s": QUICK_S - 0.1}, Confidence.UNCONFIRMED, "within 10 seconds"),
        ({"delivered_s": -5.0}, Confidence.UNCONFIRMED, "within 10 seconds"),
        ({"delivered_s": QUICK_S}, Confidence.HUMAN, "10 seconds after"),
        ({"others_s": (AT_ONCE_S,)}, Confidence.MACHINE, "within 1 second"),
        ({"others_s": (AT_ONCE_S + 1, BURST_S)}, Confidence.MACHINE, "3 links"),
        ({"others_s": (AT_ONCE_S + 1, BURST_S + 1, 60.0)}, Confidence.HUMAN, "made with"),
    ],
)
def test_each_rule(change: dict[str, object], who: Confidence, why: str) -> None:
    found = judge(replace(CLICK, **change))  # type: ignore[arg-type]
    assert (found.who, why in found.why) == (who, True), found


WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
BROWSERS = (
    BROWSER,
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/122.0.0.0 Safari/537.36 Edg/122.0",
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:123.0) Gecko/20100101 Firefox/123.0",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_3 like Mac OS X) {WEBKIT} Version/17.3 Mobile/15E148",
    f"Mozilla/5.0 (Linux; Android 14; CUBOT X70) {WEBKIT} Chrome/122.0 Mobile",
)


@pytest.mark.parametrize("agent", BROWSERS)
def test_browsers_are_no_programs(agent: str) -> None:
    assert judge(replace(CLICK, agent=agent)).who is Confidence.HUMAN


@given(evidence)
def test_what_no_person_sees_is_touched_by_none(seen: Evidence) -> None:
    assert judge(replace(seen, trap=True)).who is Confidence.MACHINE


@given(evidence)
def test_what_the_vendor_discards_is_no_persons(seen: Evidence) -> None:
    assert judge(replace(seen, filtered=True)).who is Confidence.MACHINE


@given(evidence)
def test_posting_our_own_form_is_a_persons(seen: Evidence) -> None:
    posted = replace(seen, method="POST", own_form=True, trap=False, filtered=None)
    assert judge(posted).who is Confidence.HUMAN


@given(evidence)
def test_i9_a_link_alone_is_never_a_persons(seen: Evidence) -> None:
    """Whatever it says of itself: only somebody else's word makes it one."""
    opened = replace(seen, own_form=False, filtered=None)
    assert judge(opened).who is not Confidence.HUMAN


@given(evidence, gaps)
def test_more_haste_makes_nobody_more_of_a_person(seen: Evidence, more: tuple[float, ...]) -> None:
    hastier = replace(seen, others_s=seen.others_s + more)
    if judge(seen).who is not Confidence.HUMAN:
        assert judge(hastier).who is not Confidence.HUMAN


@given(evidence)
def test_every_verdict_says_why_in_one_printable_line(seen: Evidence) -> None:
    why = judge(seen).why
    assert why
    assert why.isprintable()
    assert len(why) < 200


def test_the_other_links_of_a_mail_by_their_nearest_time() -> None:
    follows = [(100.0, "a"), (100.5, "b"), (90.0, "b"), (160.0, "c")]
    assert at_once((100.0, "a"), follows) == (0.5, 60.0)
    assert at_once((100.0, "a"), [(100.0, "a"), (100.1, "a")]) == ()  # the same one twice
