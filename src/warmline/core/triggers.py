"""Event → action: the rows of the trigger map, and which of them an event sets off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from warmline.core.actions import ActionKind
from warmline.core.conditions import BadCondition, Condition
from warmline.core.events import Event, EventKind

# What a condition may speak of, with an example of each. One table: config checks conditions by it,
# and `flows.plan` fills it. A name that the event does not carry makes a condition false.
SPEAKS_OF: Mapping[str, Mapping[str, Any]] = {
    "event": {"kind": "message.clicked", "word": "click", "confidence": "human"},
    "candidate": {"name": "Ada Lind", "tags": ["python"], "do_not_contact": False},
    "application": {
        "status": "rejected",
        "prospect": False,
        "role": "Baker",
        "reached": "final",
    },
    "stage": {"name": "Onsite", "kind": "final"},
    "interview": {"status": "scheduled", "location": "Room 1"},
}
# The events that can tell a field of `core.actions.OF_THE_EVENT`.
TELLS: Mapping[str, frozenset[EventKind]] = {
    **dict.fromkeys(
        ("click_date", "email_subject", "link_url"),
        frozenset(
            {
                EventKind.MESSAGE_CLICKED,
                EventKind.MESSAGE_REPLIED,
                EventKind.CANDIDATE_REENGAGED,
            }
        ),
    ),
    "unsubscribe_date": frozenset({EventKind.CANDIDATE_UNSUBSCRIBED, EventKind.CONSENT_WITHDRAWN}),
}


def condition(text: str) -> Condition:
    """A trigger's `when:`, compiled and tried on the examples. Raises BadCondition where it is no
    CEL, names what there is not, or says neither true nor false."""
    made = Condition(text)
    said = made.value(SPEAKS_OF)
    if not isinstance(said, bool):
        raise BadCondition(f"it gives {type(said).__name__} and not true or false")
    return made


# The target of what Warmline does itself (enrolling in a sequence).
OWN = "warmline"
# What Warmline tells itself: of time, of a person's word, and of its own public pages.
OWN_EVENTS = frozenset(
    {
        EventKind.CANDIDATE_SEGMENTED,
        EventKind.CANDIDATE_UNSUBSCRIBED,
        EventKind.CANDIDATE_REENGAGED,
        EventKind.CONSENT_GIVEN,
        EventKind.CONSENT_WITHDRAWN,
        EventKind.MESSAGE_CLICKED,
        EventKind.MESSAGE_OPENED,
    }
)


@dataclass(frozen=True, slots=True)
class Trigger:
    """One row of the map. `name` is stable: it stands in ledgers, incidents and reports."""

    name: str
    on: EventKind
    source: str
    do: ActionKind
    target: str
    passes: tuple[str, ...] = ()
    sequence: str = ""
    when: Condition | None = None
    enabled: bool = True


def matching(
    triggers: Iterable[Trigger], event: Event, source: str, context: Mapping[str, Any]
) -> list[Trigger]:
    """The enabled triggers that this event from this source sets off, in the map's order."""
    return [
        trigger
        for trigger in triggers
        if trigger.enabled
        and trigger.on is event.kind
        and trigger.source == source
        and (trigger.when is None or trigger.when.holds(context))
    ]


@dataclass(frozen=True, slots=True)
class TriggerMap:
    """All triggers, indexed by what sets them off."""

    triggers: tuple[Trigger, ...]
    _index: dict[tuple[str, EventKind], list[Trigger]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        index: dict[tuple[str, EventKind], list[Trigger]] = {}
        for trigger in self.triggers:
            index.setdefault((trigger.source, trigger.on), []).append(trigger)
        object.__setattr__(self, "_index", index)

    def for_event(self, event: Event, source: str, context: Mapping[str, Any]) -> list[Trigger]:
        return matching(self._index.get((source, event.kind), ()), event, source, context)
