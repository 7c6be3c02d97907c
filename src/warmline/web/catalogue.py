"""The languages of the pages for candidates. English stands in the templates; each other language
is one text file, `locale/<language>/LC_MESSAGES/django.po`, read as it is.

Django would want it compiled to a binary file by tools that many machines lack, and one more step
to forget: a file of a page's length is read in a millisecond, once a process.
"""

from __future__ import annotations

import gettext
import json
from functools import cache
from pathlib import Path

from django.conf import settings
from django.utils.translation import get_supported_language_variant, trans_real

LOCALE = Path(__file__).parent / "locale"
ENGLISH = "en"


class _Catalogue(gettext.GNUTranslations):
    """A catalogue that is in memory already."""

    def __init__(self, words: dict[str, str]) -> None:
        super().__init__()
        self._catalog = dict(words)
        self.plural = lambda n: int(n != 1)


def chosen(asked: str, accepted: str) -> str:
    """The first language that we have: what the person asked for, then what their browser accepts;
    empty where it is none of ours."""
    wanted = [asked.lower()] if asked else []
    wanted += [code for code, _ in trans_real.parse_accept_lang_header(accepted.lower())]
    for code in wanted:
        try:
            return get_supported_language_variant(code)
        except LookupError:
            continue
    return ""


@cache
def load(language: str) -> None:
    """Have Django know our words in this language. Once a process."""
    path = LOCALE / language / "LC_MESSAGES" / "django.po"
    if path.exists():
        trans_real.translation(language).merge(_Catalogue(parse(path.read_text("utf-8"))))


def languages() -> list[tuple[str, str]]:
    """Code and own name of each."""
    return [(code, str(name)) for code, name in settings.LANGUAGES]


def parse(text: str) -> dict[str, str]:
    """The words of a .po file, translation by English; what is not translated yet is left out.
    Raises ValueError with the line that it cannot read."""
    words: dict[str, str] = {}
    entry = {"msgid": "", "msgstr": ""}
    part = ""
    for number, line in enumerate([*text.splitlines(), 'msgid ""'], start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        keyword, _, quoted = line.partition(" ") if line[0] != '"' else (part, "", line)
        if keyword == "msgid" and line[0] != '"':
            if entry["msgid"] and entry["msgstr"]:
                words[entry["msgid"]] = entry["msgstr"]
            entry = {"msgid": "", "msgstr": ""}
        if keyword not in entry:
            raise ValueError(f"line {number}: found {keyword!r}; expected msgid or msgstr")
        try:
            entry[keyword] += json.loads(quoted)
        except (ValueError, TypeError) as error:
            raise ValueError(f"line {number}: expected a text in double quotes") from error
        part = keyword
    return words
