"""The calls behind a failure: what was asked and what was answered, redacted and short.

`kit.http.Door` notes each call of a thread within `recording()`; nothing is kept but in memory, and
nothing is redacted, until somebody asks for the call that a failure is about.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import parse_qsl, quote

from warmline.kit.redaction import Redaction, mentions

CALLS_MAX = 40  # of one batch; those before are forgotten
READ_BYTES_MAX = 256 * 1024  # of a body
BODY_CHARS_MAX = 1500  # of a body as it is shown
_PARTLY = 207  # some of a batch was refused


@dataclass(frozen=True)
class Call:
    """One call as it went over the wire. `status` is None where no answer came, and `trouble` says
    why. `secrets` are those that were sent with it."""

    method: str
    url: str
    sent: bytes
    status: int | None
    answer: bytes
    trouble: str = ""
    secrets: tuple[str, ...] = ()

    @property
    def failed(self) -> bool:
        return self.status is None or self.status >= 400 or self.status == _PARTLY

    @cached_property
    def text(self) -> str:
        """All of it in lower case, to look for words in."""
        told = (self.url.encode(), self.sent, self.answer)
        return "\n".join(part.decode(errors="replace").lower() for part in told)

    def redacted(self, *, about: Collection[str], personal: Collection[str]) -> dict[str, object]:
        """For people: no secret, no address, and no name as far as that can be told."""
        redaction = Redaction(secrets=self.secrets, personal=personal, about=about)
        return {
            "call": f"{self.method} {redaction.path(self.url)}",
            "status": self.status,
            "request": body(self.sent, redaction),
            "answer": body(self.answer, redaction)
            if self.status is not None
            else f"no answer: {self.trouble}",
        }


class Recorded:
    """The last calls of a stretch of work, oldest first."""

    def __init__(self) -> None:
        self.calls: deque[Call] = deque(maxlen=CALLS_MAX)

    def about(
        self, words: Collection[str], *, personal: Collection[str] = ()
    ) -> dict[str, object] | None:
        """The call that tells why it failed for the record with these ids and addresses: the last
        one that mentions it and failed, else that mentions it, else that failed, else the last.
        None where nothing was called."""
        forms = {form.lower() for word in words for form in (word, quote(word, safe=""))}
        newest = list(reversed(self.calls))
        mine = [call for call in newest if mentions(call.text, forms)]
        for calls in (mine, newest):
            found = next((call for call in calls if call.failed), None) or next(iter(calls), None)
            if found is not None:
                return found.redacted(about=forms, personal=personal)
        return None


_recorded: ContextVar[Recorded | None] = ContextVar("recorded", default=None)


@contextmanager
def recording() -> Iterator[Recorded]:
    """Within it the calls of this thread are noted."""
    recorded = Recorded()
    token = _recorded.set(recorded)
    try:
        yield recorded
    finally:
        _recorded.reset(token)


def note(
    method: str,
    url: str,
    sent: bytes,
    *,
    status: int | None = None,
    answer: bytes = b"",
    trouble: str = "",
    secrets: Collection[str] = (),
) -> None:
    """Called by the door, for each call that was put on the wire."""
    recorded = _recorded.get()
    if recorded is not None:
        kept = (sent[:READ_BYTES_MAX], status, answer[:READ_BYTES_MAX])
        recorded.calls.append(Call(method, url, *kept, trouble, tuple(secrets)))


def body(raw: bytes, redaction: Redaction) -> object:
    """Bytes as JSON where they are that, else as a line of text; redacted and short."""
    if not raw:
        return ""
    text = raw.decode(errors="replace")
    try:
        found: object = json.loads(text)
    except RecursionError:
        return f"{len(raw)} bytes of JSON, nested too deep"
    except ValueError as error:
        if text.lstrip()[:1] in ("{", "["):
            # Without its keys nobody can tell which value is a person's.
            return f"{len(raw)} bytes, not JSON: {str(error).partition(':')[0]}"
        pairs = parse_qsl(text, max_num_fields=100) if "=" in text and " " not in text else []
        found = dict(pairs) if pairs else redaction.text(text)
    else:
        if not isinstance(found, (dict, list)):
            found = redaction.text(str(found))
    shown = redaction.value(found)
    written = json.dumps(shown, ensure_ascii=False)
    return shown if len(written) <= BODY_CHARS_MAX else written[:BODY_CHARS_MAX] + "…"
