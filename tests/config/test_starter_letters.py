"""The starter's letters, as they reach somebody of whom all is known, and somebody with a name."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from warmline.config.letters import LAYOUT, LetterFile, letter_paths, read_letter
from warmline.config.project import read_file
from warmline.core.letters import bare_reader, full_reader
from warmline.core.mail import HTML_BYTES_MAX, RenderedMail

STARTER = Path(str(files("warmline.config"))) / "starter"
SEQUENCES = STARTER / "sequences"
SHELL = (SEQUENCES / LAYOUT).read_text(encoding="utf-8")
LETTERS = {one.letter.name: one for one in map(read_letter, letter_paths(SEQUENCES))}
LIBRARY = [name for name in LETTERS if name.startswith("library/")]
TOPICS = {"craft", "hiring", "people", "place", "work"}
FOOTER = "You get this letter because"


def reader() -> dict[str, Any]:
    file, _ = read_file(STARTER)
    return full_reader(
        company=file.company,
        postal_address=file.postal_address,
        careers_url=file.careers_url,
        sender_name=file.mail.sender.name,
        sender_address=file.mail.sender.address,
        content=file.content,
        public_url="https://hire.northwind.example",
    )


FULL = reader()
READERS = {"full": FULL, "bare": bare_reader(FULL)}


def mail(name: str, who: dict[str, Any] | None = None) -> RenderedMail:
    one: LetterFile = LETTERS[name]
    return one.letter.compiled(SHELL).render(who or FULL)


def own(text: str) -> str:
    """The letter above its footer."""
    return text.split(FOOTER)[0]


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.links.append(str(dict(attrs).get("href")))

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.mark.parametrize("who", READERS)
@pytest.mark.parametrize("name", LETTERS)
def test_each_letter_is_whole_for_whoever_gets_it(name: str, who: str) -> None:
    made, about = mail(name, READERS[who]), READERS[who]
    page = Page(made.html)
    for link in ("unsubscribe_url", "preferences_url", "view_url"):
        assert about[link] in page.links
        assert about[link] in made.text
    for needed in ("Kim Sandberg", about["company"], about["postal_address"]):
        assert needed in made.text
        assert needed in page.words
    assert ("Amara" in made.text) == (who == "full")
    assert ("Hi there," in made.text) == (who == "bare")
    assert all(link.startswith(("https://", "mailto:")) for link in page.links)
    assert len(made.html.encode()) < HTML_BYTES_MAX / 2
    assert "REPLACE" not in made.html + made.text


@pytest.mark.parametrize("who", READERS)
@pytest.mark.parametrize("name", LETTERS)
def test_the_plain_text_is_plain(name: str, who: str) -> None:
    made = mail(name, READERS[who])
    assert not re.search(r"\*\*|\]\(|^#|</?[a-z]|&\w+;|\{[{%]|wlq", made.text, re.MULTILINE)
    assert not re.search(r"\{[{%]|wlq|<mj-", made.html)
    # What a missing value leaves behind: two spaces, a space before a stop, an empty line too many.
    for text in (made.subject, made.text):
        assert not re.search(r"\S  |[ ][.,;:!?]|\n\n\n", text)
    assert not re.search(r"^ [^ ]", made.text, re.MULTILINE)


@pytest.mark.parametrize("name", LETTERS)
def test_each_letter_is_short_and_calm(name: str) -> None:
    made = mail(name)
    assert 90 <= len(own(made.text).split()) <= 240
    assert len(made.subject) <= 60
    assert "!" not in made.subject + own(made.text)
    assert not re.search(r"passionate|excit|amazing|rockstar|synerg", made.text, re.IGNORECASE)


def test_no_two_letters_have_one_subject() -> None:
    subjects = [one.letter.subject for one in LETTERS.values()]
    assert len(set(subjects)) == len(subjects)


def test_the_library_lasts_for_a_year_and_has_something_of_each_topic() -> None:
    assert len(LIBRARY) >= 12
    assert {LETTERS[name].topic for name in LIBRARY} == TOPICS


@pytest.mark.parametrize("name", [*LIBRARY, "silver-medalist/02-news", "silver-medalist/03-piece"])
def test_a_piece_offers_no_job_and_says_that_it_is_invented(name: str) -> None:
    one, made = LETTERS[name], mail(name)
    assert one.topic in TOPICS
    assert re.search(r"{% comment %}.*REPLACE.*{% endcomment %}", one.letter.body, re.DOTALL)
    assert FULL["careers_url"] not in made.text
    assert "Night Baker" not in made.text


def test_day_60_names_each_role_with_its_place_and_address() -> None:
    made = mail("silver-medalist/03-roles")
    assert "These have:" in made.text
    for role in FULL["roles"]:
        assert f"- {role['title']} ({role['url']}), Bakery, {role['place']}\n" in made.text
        assert role["url"] in Page(made.html).links


def test_day_60_of_one_role_without_an_address_of_its_own() -> None:
    role = {"title": "Miller", "url": "", "place": "", "department": ""}
    made = mail("silver-medalist/03-roles", {**FULL, "roles": [role]})
    assert "Something has:" in made.text
    assert f"- Miller ({FULL['careers_url']})\n" in made.text


@pytest.mark.parametrize(
    ("name", "link"),
    [
        ("silver-medalist/01-thanks", "opt_in_url"),
        ("silver-medalist/04-question", "keep_posted_url"),
    ],
)
def test_the_question_has_a_button(name: str, link: str) -> None:
    made = mail(name)
    assert Page(made.html).links.count(FULL[link]) == 1
    assert re.search(rf'<em><strong[^>]*><a href="{re.escape(FULL[link])}"', made.html)


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"date": "2 March 2026", "rejection_date": "9 May 2026", "weeks_since_rejection": 0},
         "Not long ago we told you"),
        ({"date": "2 March 2025", "rejection_date": "9 May 2025", "weeks_since_rejection": 40},
         "On 9 May 2025 we told you"),
        ({"date": "2 March 2026", "rejection_date": ""}, "Some time ago we told you"),
    ],
)  # fmt: skip
def test_the_thanks_know_how_long_ago_it_was(about: dict[str, object], words: str) -> None:
    assert words in mail("silver-medalist/01-thanks", {**FULL, "application": about}).text


# The layout


def test_the_layout_is_made_for_telephones_dark_mode_and_screen_readers() -> None:
    html = mail("welcome/01-confirmation").html
    assert '<html lang="en"' in html
    assert 'role="article"' in html
    assert '<meta name="viewport" content="width=device-width' in html
    assert '<meta name="color-scheme" content="light dark"' in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert "<title>Your application for Head Baker has arrived</title>" in html
    assert html.count('role="presentation"') == html.count("<table")
    assert not re.search(r"<(link|script|img)\b|@import|url\(", html)
    assert '<p style="margin:' in html, "styles stand in the elements"


def brightness(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    dark, light = sorted((brightness(one), brightness(other)))
    return (light + 0.05) / (dark + 0.05)


def test_every_text_has_the_contrast_of_aa_by_day_and_by_night() -> None:
    light, dark = SHELL.split("@media (prefers-color-scheme: dark)")
    dark = dark.split("</mj-style>")[0]
    body = SHELL[SHELL.index("<mj-body") :]
    papers = {
        "light": re.search(r'<mj-body [^>]*background-color="(#\w{6})"', SHELL),
        "dark": re.search(r"body, \.page \{ background-color: (#\w{6})", dark),
    }
    inks = {
        "light": set(re.findall(r"(?<![-\w])color[=:]\s?\"?(#\w{6})", light + body)) - {"#ffffff"},
        "dark": set(re.findall(r"(?<![-\w])color: (#\w{6})", dark)) - {"#1d1b19"},
    }
    for mode, paper in papers.items():
        assert paper
        assert len(inks[mode]) >= 3
        for ink in inks[mode]:
            assert contrast(ink, paper[1]) >= 4.5, (mode, ink)
    assert contrast("#ffffff", "#8a4420") >= 4.5, "the button"
    assert contrast("#1d1b19", "#f0b48d") >= 4.5, "the button at night"
