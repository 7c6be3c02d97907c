"""When a subject reads like spam, to people and to filters: clear rules, each with its reason."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SUBJECT_CHARS = 60  # what most mail clients show on a desktop; a telephone shows about 40
SUBJECT_CHARS_MAX = 100

# What no recruiter writes to somebody they have met. Whole words, in any case.
# fmt: off
_PHRASES = (
    "act now", "apply now", "as seen on", "best price", "buy now", "call now", "cash bonus",
    "click here", "congratulations", "dear friend", "double your", "don't miss", "earn money",
    "exclusive offer", "extra income", "final notice", "for free", "free gift", "free money",
    "guaranteed", "hurry", "important notice", "instant access", "last chance", "limited time",
    "lowest price", "make money", "no obligation", "once in a lifetime", "order now",
    "risk free", "risk-free", "special offer", "this is not spam", "time is running out",
    "urgent", "while supplies last", "winner", "work from home", "you have been selected",
    "you won", "you've been selected", "100% free",
)
# fmt: on
_PHRASE = re.compile(
    r"(?<!\w)(?:"
    + "|".join(re.escape(p) for p in sorted(_PHRASES, key=len, reverse=True))
    + r")(?!\w)",
    re.IGNORECASE,
)
_LIQUID = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_ANSWER = re.compile(r"\s*(?:re|fwd?|aw|wg|tr|rv)\s*(?:\[\d+\])?:", re.IGNORECASE)
_SPACED = re.compile(r"\b(?:\w[ .\-_*]){3,}\w\b")
_MONEY = re.compile(r"[$€£¥]{2,}|[$€£]\s?\d[\d.,]*\s*(?:k|000)?\s*!", re.IGNORECASE)
_PICTURE = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")
PICTURES_MAX = 1


@dataclass(frozen=True, slots=True)
class Problem:
    """`sure` where it is wrong in any mail."""

    found: str
    expected: str
    sure: bool = True


def subject_faults(subject: str, *, written: bool = True) -> Iterator[Problem]:
    """`written`: as the file has it, where values (a job called FREE WORK) are not the author's.
    Else as one reader gets it, where only its length is looked at."""
    if not written:
        size = len(subject)
        if size > SUBJECT_CHARS:
            yield Problem(
                f"a subject of {size} characters for the sample reader",
                f"at most {SUBJECT_CHARS}: mail clients cut the rest",
                sure=size > SUBJECT_CHARS_MAX,
            )
        return
    own = " ".join(_LIQUID.sub(" ", subject).split())
    if _ANSWER.match(subject):
        yield Problem(
            f"{subject.split(':')[0].strip()}:, as if it answered something",
            "a subject that says what it is: anything else misleads, which the law forbids",
        )
    if found := _PHRASE.search(own):
        yield Problem(f"{found[0]!r}, which spam filters count", "what the letter is about")
    letters = [c for c in own if c.isalpha()]
    if (len(letters) >= 8 and sum(c.isupper() for c in letters) > len(letters) / 2) or re.search(
        r"(?<!\w)[A-Z]{6,}(?!\w)", own
    ):
        yield Problem("capitals that shout", "lower case, as in a letter")
    if found := re.search(r"[!?]{2,}|!.*!", own):
        yield Problem(f"{found[0]!r}", "at most one, and seldom")
    if found := _SPACED.search(own):
        yield Problem(f"{found[0]!r}, letters set apart", "words as they are written")
    if found := _MONEY.search(own):
        yield Problem(f"{found[0]!r}", "an amount in the letter, where it can be explained")
    if len(_PICTURE.findall(own)) > PICTURES_MAX:
        yield Problem("several emoji", f"at most {PICTURES_MAX}")
