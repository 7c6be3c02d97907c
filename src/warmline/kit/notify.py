"""Notifications to Slack, Teams, pagers and a hundred others: the one place where Apprise is used.

An Apprise URL is a secret as a whole: a token may stand in any part of it, the host included.
Apprise itself writes URLs and whole requests into its log, and answers True or False. So its log
goes nowhere, and what it says of a failed try is caught in the thread that tried, and cleaned.
"""

from __future__ import annotations

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote

from warmline.core.errors import ConfigError, Refused

SAID_CHARS_MAX = 200
_PIECES = re.compile(r"[^\w.-]+")
_PIECE_CHARS_MIN = 4
_SHAPE = re.compile(r"(?i)[a-z][a-z0-9+-]*://\S+")
_ADDRESS = re.compile(r"\S*(?:@|%40)\S*|[a-z]+://\S+", re.IGNORECASE)

_caught = threading.local()


class Notifier:
    """One Apprise URL. `kind` is what stands before `://`: that much of it may be shown."""

    def __init__(self, url: str) -> None:
        """Raises ConfigError, without the URL, where Apprise cannot use it."""
        apprise = _apprise()
        self._url = url = url.strip()
        self.kind = url.partition("://")[0].lower() if _SHAPE.fullmatch(url) else ""
        self._target: Any = None
        with _listening() as said:
            if self.kind:
                asset = apprise.AppriseAsset(
                    app_id="Warmline",
                    app_desc="Warmline",
                    storage_mode=apprise.PersistentStoreMode.MEMORY,
                    async_mode=False,
                )
                try:
                    self._target = apprise.Apprise.instantiate(
                        url, asset=asset, suppress_exceptions=True
                    )
                except Exception:  # a plugin's own fault: the URL is in its traceback
                    self._target = None
        if self._target is None:
            why = f": {self._clean(said)}" if said else ""
            raise ConfigError(f"it is no URL that Apprise can use{why}")

    def send(self, title: str, body: str) -> None:
        """Hand it over. Raises Refused, with why, where it was not accepted; what a failed try
        left behind at the other side cannot be known."""
        apprise = _apprise()
        with _listening() as said:
            try:
                taken = self._target.notify(
                    title=title,
                    body=body,
                    notify_type=apprise.NotifyType.WARNING,
                    body_format=apprise.NotifyFormat.TEXT,
                )
            except Exception as error:  # the error's text may hold the URL
                raise Refused(f"{self.kind}: it failed: {type(error).__name__}") from None
        if not taken:
            raise Refused(f"{self.kind}: {self._clean(said) or 'it was not accepted'}")

    def _clean(self, said: list[str]) -> str:
        """Apprise's own words without any piece of the URL, and short."""
        text = " ".join(" ".join(said).split())
        text = _ADDRESS.sub("***", text)
        for piece in _secret_pieces(self._url):
            text = re.sub(re.escape(piece), "***", text, flags=re.IGNORECASE)
        return text[:SAID_CHARS_MAX]


def _secret_pieces(url: str) -> list[str]:
    """Every run of characters after the `://`, as it stands and unquoted, longest first."""
    rest = url.partition("://")[2]
    pieces = {
        piece
        for text in (rest, unquote(rest))
        for piece in (*_PIECES.split(text), *re.split(r"[/@?&=:]", text))
        if len(piece) >= _PIECE_CHARS_MIN
    }
    return sorted(pieces, key=len, reverse=True)


@contextmanager
def _listening() -> Iterator[list[str]]:
    """What Apprise says at WARNING or above in this thread meanwhile."""
    said: list[str] = []
    _caught.lines = said
    try:
        yield said
    finally:
        _caught.lines = None


def _catch(record: logging.LogRecord) -> bool:
    """A filter that lets nothing through to any handler."""
    lines = getattr(_caught, "lines", None)
    if lines is not None and record.levelno >= logging.WARNING and len(lines) < 5:
        lines.append(record.getMessage())
    return False


_lock = threading.Lock()
_loaded: list[Any] = []


def _apprise() -> Any:
    """Imported when a project first names a URL (it brings 150 plugins), and silenced for good:
    its loggers hand nothing on, whatever level the process logs at."""
    with _lock:
        if not _loaded:
            told = logging.getLogger("apprise")
            told.setLevel(logging.WARNING)
            told.propagate = False
            told.addFilter(_catch)
            with warnings.catch_warnings():
                # Its plugins import what Python is about to drop: that is no news to anybody here.
                warnings.simplefilter("ignore")
                import apprise

                apprise.Apprise.instantiate("json://localhost")  # loads all of them, once
            # These log hosts and paths of whatever is asked.
            for name in ("urllib3", "requests", "requests_oauthlib", "oauthlib"):
                logging.getLogger(name).setLevel(logging.ERROR)
                logging.getLogger(name).propagate = False
            _loaded.append(apprise)
    return _loaded[0]
