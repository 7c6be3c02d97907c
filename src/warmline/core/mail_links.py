"""The links of a rendered letter: which of them can be counted, and the letter with them changed.

A letter is HTML of our own making (`core.mail`), every value in it escaped: so its tags can be read
by a pattern, and nothing that a candidate or an ATS wrote can pass for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html import escape, unescape
from urllib.parse import urlsplit

# Longer ones are left as they are: signed, they would be cut by mail programs and proxies.
TARGET_BYTES_MAX = 1200

_TAG = re.compile(r"<a\b(?:[^>\"']|\"[^\"]*\"|'[^']*')*>", re.IGNORECASE)
_HREF = re.compile(r"(?<=\shref=)(?:\"([^\"]*)\"|'([^']*)')", re.IGNORECASE)
_STRAY = re.compile(r"[\s\x00-\x1f\x7f\\<>\"]")
_END = re.compile(r"</body\s*>", re.IGNORECASE)


def is_target(url: str) -> bool:
    """Whether a link may lead there by way of us: a whole web address, and nothing that a browser
    and a reader could read differently (`https://known.example@other.example`)."""
    if len(url.encode()) > TARGET_BYTES_MAX or _STRAY.search(url):
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc


def with_links(
    html: str, address: Callable[[int, str], str], *, but: Callable[[str], bool] = lambda _: False
) -> str:
    """The letter with each target replaced by `address(number, target)`, `but` for those that stay
    as they are; the numbers count from 1 in the order of the letter."""
    count = 0

    def href(found: re.Match[str]) -> str:
        nonlocal count
        url = unescape(found[1] if found[1] is not None else found[2])
        if not is_target(url) or but(url):
            return found[0]
        count += 1
        return f'"{escape(address(count, url))}"'

    return _TAG.sub(lambda tag: _HREF.sub(href, tag[0], count=1), html)


def at_end(html: str, more: str) -> str:
    """The letter with something after its last line."""
    ends = [found.start() for found in _END.finditer(html)] or [len(html)]
    return html[: ends[-1]] + more + html[ends[-1] :]


def trap(url: str) -> str:
    """A link without a word in it. Nobody can see, hear or press it; what collects addresses finds
    it like any other. It hides nothing (no colour, size or style), which spam filters hold against
    a mail; an empty link they meet in every second newsletter."""
    return f'<a href="{escape(url)}" tabindex="-1" aria-hidden="true"></a>'


def pixel(url: str) -> str:
    """The picture that is fetched when a mail program shows pictures; read out as nothing."""
    return f'<img src="{escape(url)}" width="1" height="1" alt="" border="0">'
