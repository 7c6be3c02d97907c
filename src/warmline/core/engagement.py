"""How warm a person is: confirmed acts, worth less as they age."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from warmline.core.events import EventKind

# Only what a human being did. An open is no act: mail programs and gateways open everything; a
# click counts where its event says that a human made it (I9).
ACTS: Mapping[EventKind, float] = {
    EventKind.CANDIDATE_REENGAGED: 20.0,  # "yes, keep me posted"
    EventKind.MESSAGE_REPLIED: 20.0,
    EventKind.CONSENT_GIVEN: 10.0,
    EventKind.MESSAGE_CLICKED: 5.0,
}
# The field of a click's event that says who made it, and the word that makes it an act.
CONFIDENCE, HUMAN = "confidence", "human"
# The field that says in words what that confidence rests on.
WHY = "confidence_why"


@dataclass(frozen=True, slots=True)
class Act:
    """`kind` is one of ACTS."""

    kind: EventKind
    at: datetime


def is_act(kind: EventKind, fields: Mapping[str, str]) -> bool:
    """Whether an event is a confirmed act of the person."""
    if kind not in ACTS:
        return False
    return kind is not EventKind.MESSAGE_CLICKED or fields.get(CONFIDENCE) == HUMAN


def score(acts: Collection[Act], *, half_life: timedelta, now: datetime) -> float:
    """The sum of what the acts are worth, each halved with every half-life that has passed. The
    order of the acts does not matter; one in the future counts in full."""
    total = 0.0
    for act in sorted(acts, key=lambda act: (act.at, act.kind)):  # floats add up the same way
        age = max(now - act.at, timedelta(0))
        total += ACTS[act.kind] * 0.5 ** (age / half_life)
    return total
