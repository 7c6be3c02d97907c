"""What looks like a secret or like a person, taken out of vendors' words and bytes.

It errs on the side of too much: an operator who needs more looks into the vendor's own log.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from urllib.parse import parse_qsl, urlsplit

# Tokens as vendors write them, and any long run of letters and digits that may be one.
TOKENS = re.compile(
    r"(?i:\b(?:bearer|basic)\s+\S{8,})|\bpat-\S+|\beyJ[\w.=-]+"
    r"|(?=[A-Za-z_+=~-]*\d)[\w+=~-]{20,}|[A-Za-z0-9+=]{40,}"
)
ADDRESS = re.compile(r"\S*(?:@|%40)\S*", re.IGNORECASE)
_PHONE = re.compile(r"(?<!\w)(?:\+|\(\d)[\d\s().-]{6,}\d")
GONE = "***"
TEXT_CHARS_MAX = 300
ITEMS_MAX = 3  # of a list that nothing in it tells to be about the record
KEYS_MAX = 60
DEPTH_MAX = 8
# Parts of a key's name, in lower case and without what stands between words.
_SECRET_KEYS = (
    "token", "secret", "password", "passwd", "authorization", "apikey", "credential", "assertion",
    "signature", "cookie", "session",
)  # fmt: skip
_PERSONAL_KEYS = (
    "firstname", "lastname", "middlename", "fullname", "preferredname", "displayname", "nickname",
    "surname", "maiden", "email", "phone", "mobile", "fax", "address", "street", "city", "postal",
    "zip", "birth", "gender", "pronoun", "ethnic", "disab", "veteran", "salary", "compensation",
    "social", "linkedin", "twitter", "github", "website", "photo", "avatar", "headline",
    "interviewer", "recruiter", "owner", "coordinator", "sourcer", "subject", "note", "comment",
    "attachment", "resume", "coverletter",
)  # fmt: skip
_PERSONAL_WHOLE = frozenset({"body", "company", "employer", "title", "value"})
# A name that is a word of the vendor's: a property, a tag, a field.
_VENDORS_WORD = re.compile(r"[a-z][a-z0-9]*([_.:-][a-z0-9]+)*")
# Ids by which a vendor's support finds the call.
_SUPPORT_KEYS = frozenset({"correlationid", "requestid", "traceid"})
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def mentions(text: str, words: Iterable[str]) -> bool:
    """Whether one of these ids or addresses stands in the text as a word of its own. Both in lower
    case. (By hand: a pattern that ignores case looks at each character of a long body.)"""
    for word in filter(None, words):
        at = text.find(word)
        while at >= 0:
            end = at + len(word)
            before, after = text[at - 1 : at] if at else "", text[end : end + 1]
            if not (_of_a_word(before) or _of_a_word(after)):
                return True
            at = text.find(word, at + 1)
    return False


def _of_a_word(character: str) -> bool:
    return character == "_" or character.isalnum()


class Redaction:
    """`secrets` are taken out as they are; `personal` are values known to be a person's; `about`:
    ids and addresses of the record that is looked at: of a list, what mentions them is kept."""

    def __init__(
        self,
        *,
        secrets: Collection[str] = (),
        personal: Collection[str] = (),
        about: Collection[str] = (),
    ) -> None:
        self._secrets = sorted((s for s in secrets if len(s) >= 4), key=len, reverse=True)
        known = sorted({p for p in personal if len(p) >= 3}, key=len, reverse=True)
        self._known = (
            re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, known))})(?!\w)", re.IGNORECASE)
            if known
            else None
        )
        self._about = tuple(word.lower() for word in about)

    def text(self, text: str) -> str:
        """On one line, shortened."""
        text = text[: 8 * TEXT_CHARS_MAX]
        for secret in self._secrets:
            text = text.replace(secret, GONE)
        if self._known is not None:
            text = self._known.sub(GONE, text)
        text = _PHONE.sub(GONE, ADDRESS.sub(GONE, TOKENS.sub(GONE, text)))
        words = "".join(c if c.isprintable() else " " for c in text).split()
        line = " ".join(words)
        return line if len(line) <= TEXT_CHARS_MAX else line[:TEXT_CHARS_MAX] + "…"

    def path(self, url: str) -> str:
        """Path and query, without the host."""
        parts = urlsplit(url)
        path = "/".join(map(self.text, parts.path.split("/")))
        query = "&".join(
            f"{self.text(key)}={self.value(value, key)}"
            for key, value in parse_qsl(parts.query, keep_blank_values=True)[:KEYS_MAX]
        )
        return f"{path}?{query}" if query else path

    def value(self, found: object, key: str = "", depth: int = 0) -> object:
        """A value of JSON under this key."""
        if found is None or isinstance(found, bool) or found == "":
            return found
        plain = re.sub(r"[^a-z0-9]", "", key.lower())
        if isinstance(found, str) and plain in _SUPPORT_KEYS and _UUID.fullmatch(found):
            return found
        if any(part in plain for part in (*_SECRET_KEYS, *_PERSONAL_KEYS)):
            return GONE
        if plain == "name" and not (isinstance(found, str) and _VENDORS_WORD.fullmatch(found)):
            return GONE
        if plain in _PERSONAL_WHOLE and isinstance(found, str):
            return GONE
        if isinstance(found, str):
            return self.text(found)
        if isinstance(found, dict):
            return self._object(found, depth)
        if isinstance(found, list):
            return self._list(found, key, depth)
        return found

    def _object(self, found: dict[object, object], depth: int) -> object:
        if depth >= DEPTH_MAX:
            return "…"
        kept = {
            self.text(str(key)): self.value(value, str(key), depth + 1)
            for key, value in list(found.items())[:KEYS_MAX]
        }
        if len(found) > KEYS_MAX:
            kept["…"] = f"and {len(found) - KEYS_MAX} more"
        return kept

    def _list(self, found: list[object], key: str, depth: int) -> object:
        if depth >= DEPTH_MAX:
            return "…"
        mine = (
            [one for one in found if mentions(str(one).lower(), self._about)] if self._about else []
        )
        shown = (mine or found)[:ITEMS_MAX]
        kept = [self.value(one, key, depth + 1) for one in shown]
        if len(found) > len(shown):
            kept.append(f"… and {len(found) - len(shown)} more")
        return kept
