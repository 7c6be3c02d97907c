"""Event → action: the rows of the trigger map, and which of them an event sets off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import cel

from warmline.core.actions import ActionKind
from warmline.core.events import Event, EventKind

# The target of what Warmline does itself (enrolling in a sequence).
OWN = "warmline"


class BadCondition(ValueError):
    """A `when:` that is not CEL, or that does not say true or false."""


class Condition:
    """A CEL expression over `event`, `candidate`, `application`, `stage` and `interview`.

    A name that the event does not carry makes the condition false, not an error: a rule about
    stages says nothing about an event without one.
    """

    __slots__ = ("_program", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        try:
            self._program = cel.compile(text)
        except Exception as error:  # the library raises its parser's own classes
            raise BadCondition(str(error).splitlines()[0]) from error

    def holds(self, context: Mapping[str, Any]) -> bool:
        try:
            found = self._program.execute(dict(context))
        except Exception:  # an absent key or name: the rule is not about this event
            return False
        return found is True


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
