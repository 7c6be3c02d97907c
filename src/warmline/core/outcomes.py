"""How an action ended: one of six words, and the evidence for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class OutcomeKind(StrEnum):
    DONE = "done"  # the other side confirmed that it is so now
    ALREADY_DONE = "already_done"  # it was so before; nothing was written
    SKIPPED = "skipped"  # a rule of ours says it must not or need not happen
    LATER = "later"  # not now: throttled, unreachable, or down; it is tried again by itself
    REFUSED = "refused"  # the other side said no, and would say so again
    UNKNOWN = "unknown"  # it was sent and no answer came: look before trying again


@dataclass(frozen=True, slots=True)
class Outcome:
    """`reason` is for people and holds no address and no secret. `after_s`: seconds to wait before
    the next try, where the vendor named them. `external_id`: the record's id on the other side."""

    kind: OutcomeKind
    reason: str = ""
    external_id: str = ""
    after_s: float | None = None
    detail: Mapping[str, str] = field(default_factory=dict)
