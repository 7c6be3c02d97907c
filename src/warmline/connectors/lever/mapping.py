"""Lever's words and ours: one table each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from warmline.core.events import StageKind


class About(StrEnum):
    """What a webhook is about, and so what is read when it comes."""

    OPPORTUNITY = "opportunity"  # that one
    CONTACT = "contact"  # every opportunity of the person
    INTERVIEW = "interview"  # that one, and the opportunity that it belongs to


# Webhook event → what is read. The webhook itself tells nothing: what it says is not signed.
HINTS: Mapping[str, About] = {
    "applicationCreated": About.OPPORTUNITY,
    "candidateStageChange": About.OPPORTUNITY,
    "candidateArchiveChange": About.OPPORTUNITY,
    "candidateHired": About.OPPORTUNITY,
    "candidateDeleted": About.OPPORTUNITY,
    "interviewCreated": About.INTERVIEW,
    "interviewUpdated": About.INTERVIEW,
    "interviewDeleted": About.INTERVIEW,
    "contactCreated": About.CONTACT,
    "contactUpdated": About.CONTACT,
}

# How an application came to be: `user` is a recruiter who put somebody on a posting. Where that
# somebody was sourced too, nobody has applied.
NOBODY_APPLIED = ("sourced", "user")

# Whoever stands at such a stage is in the pipeline, however they came.
IN_PIPELINE = frozenset({StageKind.SCREEN, StageKind.INTERVIEW, StageKind.FINAL, StageKind.OFFER})

# The first that fits wins, so that a "Final Interview" is final and a "Reference Check" an offer's.
_STAGE_KEYWORDS: tuple[tuple[StageKind, re.Pattern[str]], ...] = (
    (StageKind.OFFER, re.compile(r"\b(offers?|references?|background)\b")),
    (StageKind.FINAL, re.compile(r"\b(final|finals|finalists?|executive)\b")),
    (
        StageKind.SCREEN,
        re.compile(r"\b(screens?|screening|preliminary|assessments?|take[ -]?home)\b"),
    ),
    (
        StageKind.INTERVIEW,
        re.compile(r"\b(interviews?|on[ -]?sites?|face[ -]to[ -]face|hiring manager|panel)\b"),
    ),
    (
        StageKind.APPLIED,
        re.compile(r"\b(new applicants?|application|applied|(resume|cv) review)\b"),
    ),
)


class StageKinds:
    """What kind a stage is, by its name: the customer's own table first, then the keywords.

    Names compare without case and without regard to blanks. None: say it under `stages`."""

    def __init__(self, own: Mapping[str, StageKind]) -> None:
        self._own = {_plain(name): kind for name, kind in own.items()}

    def kind(self, name: str) -> StageKind | None:
        plain = _plain(name)
        if plain in self._own:
            return self._own[plain]
        return next((kind for kind, words in _STAGE_KEYWORDS if words.search(plain)), None)


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
