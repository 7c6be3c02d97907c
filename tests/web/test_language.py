"""The pages for candidates in the reader's language, without a cookie."""

from __future__ import annotations

import re
from html import unescape

import httpx
import pytest
from django.conf import settings

from tests.web.conftest import BROWSER, Letter
from warmline.flows.preferences import topics
from warmline.store.models import Message
from warmline.web.catalogue import LOCALE, parse

SAVE = {"act": "save", "pause": "3", "days": "30", "language": ""}
# What is the same in every language: names, and what stands alone.
SAME = re.compile(r"^(Northwind Bakeries|English|Deutsch|[\W\d_]*)$")


def texts(page: str) -> list[str]:
    """What a person reads, piece by piece."""
    body = re.sub(r"<style.*?</style>", "", page, flags=re.S)
    pieces = [" ".join(unescape(piece).split()) for piece in re.split(r"<[^>]+>", body)]
    return [piece for piece in pieces if piece and not SAME.match(piece)]


def states(letter: Letter, wire: httpx.Client, language: str) -> list[httpx.Response]:
    """Each page in each of its states, in the same order every time."""
    wire.headers["accept-language"] = language
    k, opt_in = letter.links("k")
    p, u, v = letter.link("p"), letter.link("u"), letter.link("v")
    said = [wire.get(k), wire.post(k, data={"act": "yes"}), wire.post(k, data={"act": "back"})]
    said += [wire.post(k), wire.get("/k/x"), wire.get(opt_in)]
    said += [wire.post(opt_in, data={"act": "yes"}), wire.post(opt_in, data={"act": "back"})]
    said += [wire.get(p), wire.post(p, data=SAVE), wire.post(p), wire.get("/p/x")]
    said += [wire.get(u), wire.get("/u/x"), wire.get("/c/x"), wire.get("/v/x")]
    Message.objects.update(values=None)
    return [*said, wire.get(v)]


@pytest.mark.parametrize("language", [code for code, _ in settings.LANGUAGES if code != "en"])
def test_every_sentence_of_every_page_is_translated(
    letter: Letter, wire: httpx.Client, language: str
) -> None:
    english = states(letter, wire, "en")
    theirs = states(letter, wire, language)
    # Last, since nothing comes back from it.
    english += [wire.post(letter.link("u"), headers={"accept-language": "en"})]
    theirs += [wire.post(letter.link("u"), headers={"accept-language": language})]
    for path in [*letter.links("k"), letter.link("p")]:
        for answers, code in ((english, "en"), (theirs, language)):
            answers.append(wire.get(path, headers={"accept-language": code}))
    for one, other in zip(english, theirs, strict=True):
        assert one.status_code == other.status_code
        assert other.headers["content-language"] == language
        assert f'<html lang="{language}">' in other.text
        assert texts(one.text)
        # The topics are the project's own words.
        both = set(texts(one.text)) & set(texts(other.text))
        assert not both - {topic.capitalize() for topic in topics(letter.house.runtime)}


def test_each_language_of_the_settings_has_its_file_and_no_blank() -> None:
    english = {code for code, _ in settings.LANGUAGES} - {"en"}
    assert {path.name for path in LOCALE.iterdir()} == english
    for code in english:
        text = (LOCALE / code / "LC_MESSAGES" / "django.po").read_text()
        assert 'msgstr ""\n\n' not in text
        for said, theirs in parse(text).items():
            held = re.findall(r"%\(\w+\)s", said)
            assert sorted(re.findall(r"%\(\w+\)s", theirs)) == sorted(held)


@pytest.mark.parametrize(
    ("accepts", "gets"),
    [
        ("", "en"),
        ("de", "de"),
        ("de-AT,de;q=0.9", "de"),
        ("fr,de;q=0.5,en;q=0.3", "de"),
        ("fr, sv", "en"),
        ("*", "en"),
        ("en-GB,de;q=0.9", "en"),
        ("../../x;q=2,,;;", "en"),
        ("x" * 5000, "en"),
    ],
)
def test_the_browsers_language_is_followed(
    letter: Letter, wire: httpx.Client, accepts: str, gets: str
) -> None:
    answer = wire.get(letter.link("p"), headers={"accept-language": accepts})
    assert answer.headers["content-language"] == gets
    assert answer.headers["vary"] == "Accept-Language"


def test_the_language_that_somebody_chose_goes_before_their_browsers(
    letter: Letter, wire: httpx.Client
) -> None:
    wire.post(letter.link("p"), data={**SAVE, "language": "de"}, headers=BROWSER)
    for kind in "pku":
        answer = wire.get(letter.link(kind), headers={"accept-language": "en"})
        assert answer.headers["content-language"] == "de"
        assert "set-cookie" not in answer.headers
    sent_cookie = wire.get("/u/x", headers={"cookie": "django_language=de"})
    assert sent_cookie.headers["content-language"] == "en"


def test_the_operators_pages_stay_as_they_are(letter: Letter, wire: httpx.Client) -> None:
    wire.get(letter.link("p"), headers={"accept-language": "de"})
    page = wire.get("/", headers={"accept-language": "de", "host": "localhost"})
    assert '<html lang="en">' in page.text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('msgid "a"\nmsgstr b\n', 2),
        ('msgid "a"\nmsgplural "b"\n', 2),
        ('"loose"\n', 1),
        ('msgid "a"\n\nmsgstr "b\n', 3),
    ],
)
def test_a_file_that_cannot_be_read_says_where(text: str, line: int) -> None:
    with pytest.raises(ValueError, match=f"line {line}: "):
        parse(text)


def test_a_text_may_go_on_in_the_next_line() -> None:
    assert parse('# note\nmsgid ""\n"a "\n"b"\nmsgstr "c"\n"\\n"\n') == {"a b": "c\n"}
