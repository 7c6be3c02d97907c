"""Addresses: what is one, and when two are the same. One person is one candidate (I3)."""

from __future__ import annotations

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given, settings
from hypothesis import strategies as st

from warmline.core.candidates import masked, normal_email

# What exports and forms leave around an address, seen in the trackers of other systems.
STRAY = " \t\r\n\u00a0\u200b\u200c\u200d\u2060\ufeff<>;,"

labels = st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
top_labels = st.sampled_from(
    ["com", "org", "de", "io", "museum", "test", "example", "local", "localhost", "invalid",
     "onion", "arpa", "co.uk", "xn--p1ai"]
)  # fmt: skip
domains = st.tuples(labels, top_labels).map(".".join)
locals_ = st.from_regex(r"[a-zA-Z0-9._+-]{1,66}", fullmatch=True)
addresses = st.tuples(locals_, domains).map("@".join)
plain_addresses = st.builds(
    "{}@{}.com".format, st.from_regex(r"[a-z][a-z0-9]{0,30}", fullmatch=True), labels
)


def by_the_full_grammar(text: str) -> str | None:
    """What email-validator says of the text, without any short cut of ours."""
    try:
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return f"{found.local_part}@{found.ascii_domain}".lower()


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada@Example.COM\u00a0", "ada@example.com"),
        ("<ada@example.com>;", "ada@example.com"),
        ("\ufeffada@example.com\u200b", "ada@example.com"),
        ("ada+jobs@example.com", "ada+jobs@example.com"),
        ("o'brien@example.ie", "o'brien@example.ie"),
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("JÜRGEN@example.com", "jürgen@example.com"),
        ("ada@sub.a-b.example.museum", "ada@sub.a-b.example.museum"),
    ],
)
def test_an_address_has_one_form(raw: str, normal: str) -> None:
    assert normal_email(raw) == normal


@pytest.mark.parametrize(
    "raw",
    [
        "", " ", "@", "ada", "ada@", "@example.com", "ada@example", "ada@@example.com",
        "ada.@example.com", ".ada@example.com", "a..da@example.com", "ada@-example.com",
        "ada@example-.com", "ada@example..com", "ada@.example.com", "ada@example.c0m.",
        "a b@example.com", "ada@exa mple.com", "ada@host.local", "ada@site.invalid",
        "ada@[127.0.0.1]", "x" * 250 + "@example.com", "a@" + "b" * 64 + ".com",
        "ada\n@example.com", "ada@example.com, bob@example.com", "not an address@@example",
        "ada@ab--cd.com",
    ],
)  # fmt: skip
def test_what_is_no_address_is_none(raw: str) -> None:
    assert normal_email(raw) is None


@settings(max_examples=400)
@given(st.one_of(st.text(max_size=300), st.text(alphabet="aA@.-_+'\"<>() é\u00a0", max_size=40)))
@example("İ@example.com")
@example("ẞ@example.com")
@example("\ud800@example.com")
@example("a@" + "ü." * 80 + "de")
def test_it_never_raises_and_its_form_is_final(raw: str) -> None:
    normal = normal_email(raw)
    if normal is not None:
        assert normal_email(normal) == normal
        assert normal == normal.lower()
        assert len(normal) <= 254  # the column's size


@settings(max_examples=400)
@given(addresses)
@example("ada@ab--cd.com")
@example("ada@host.local")
@example("ada@xn--a.com")
@example("ada@xn--bcher-kva.example")
@example("a" * 65 + "@example.com")
@example("ada@1.2.3.4")
@example("ada@example.c")
def test_the_short_cut_says_what_the_full_grammar_says(address: str) -> None:
    assert normal_email(address) == by_the_full_grammar(address)


@given(plain_addresses, st.text(alphabet=STRAY, max_size=6), st.text(alphabet=STRAY, max_size=6))
def test_case_and_strays_never_make_a_second_person(address: str, before: str, after: str) -> None:
    expected = normal_email(address)
    assert expected is not None
    assert normal_email(f"{before}{address.upper()}{after}") == expected
    assert normal_email(f"{before}{address.title()}{after}") == expected


@given(plain_addresses)
def test_masked_does_not_give_the_address_away(address: str) -> None:
    shown = masked(address)
    assert address not in shown
    assert shown.startswith(address[0])


def test_masked_of_what_is_no_address_shows_nothing() -> None:
    assert masked("ada.lind") == "***"
