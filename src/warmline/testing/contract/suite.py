"""The checks that a connector must pass, and what they share.

`checks_for(subject)` gives those of the declared capabilities; `Check.run` raises `Breach`, with a
sentence, where the connector breaks its contract, and `Exempt` where the folder says why the check
cannot be made. Nothing here knows a vendor.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from warmline.core.actions import Action
from warmline.core.errors import WarmlineError
from warmline.core.outcomes import Outcome
from warmline.kit.manifest import Manifest
from warmline.ports import Options
from warmline.testing.contract.between import Between
from warmline.testing.contract.harness import Clock, Harness, Place, options

TIMEOUT_S = 0.15  # of a connector under test: a simulator on this machine is quicker
PATIENT_S = 20.0  # where nothing hangs, and a slow machine must not matter


class Breach(AssertionError):
    """The connector breaks its contract: where, and how."""


class Leak(Breach):
    """A secret or an address stands where it must not."""


class Exempt(Exception):
    """The folder says why this check cannot be made."""


def require(held: object, complaint: str) -> None:
    """Raise Breach with the complaint unless it held."""
    if not held:
        raise Breach(complaint)


class Watch(logging.Handler):
    """Hears every log line, error and outcome while it is open, and knows what none may hold."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__(level=logging.DEBUG)
        self._forbidden = {secret for secret in secrets if len(secret) >= 4}
        self.heard: list[str] = []

    def forbid(self, texts: Iterable[str]) -> None:
        self._forbidden |= {form for text in texts if text for form in (text, quote(text))}

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(f"a line of the log {record.name}: {record.getMessage()}")

    def hear(self, found: object) -> None:
        """An error or an outcome; anything else is not for people to read."""
        if isinstance(found, WarmlineError):
            self.heard.append(f"{type(found).__name__}: {found} {found.hint}")
        elif isinstance(found, BaseException):
            self.heard.append(f"{type(found).__name__}: {found}")
        elif isinstance(found, Outcome):
            self.heard.append(f"an outcome: {found.reason} {dict(found.detail)}")

    def leaks(self) -> None:
        """Raise Leak where anything that was heard holds what it may not. The text is not told."""
        for text in self.heard:
            for forbidden in self._forbidden:
                if forbidden.lower() in text.lower():
                    kind = "an address" if "@" in forbidden or "%40" in forbidden else "a secret"
                    place = text.lower().partition(forbidden.lower())[0][:160]
                    raise Leak(f"{kind} is told after the words {place!r}")


# They tell of the wire at lower levels, which no setting of ours turns on.
_OF_THE_WIRE = ("httpcore", "httpx", "asyncio", "mail.log")


@contextmanager
def watched(watch: Watch) -> Iterator[Watch]:
    """Listen to every logger, and look for leaks at the end."""
    root = logging.getLogger()
    loggers = {logging.getLogger(name): logging.WARNING for name in _OF_THE_WIRE}
    loggers[root] = logging.DEBUG
    before = {logger: logger.level for logger in loggers}
    root.addHandler(watch)
    try:
        for logger, level in loggers.items():
            logger.setLevel(level)
        yield watch
    finally:
        root.removeHandler(watch)
        for logger, level in before.items():
            logger.setLevel(level)
    watch.leaks()


@dataclass(frozen=True)
class Result:
    """What a call gave, or the error that it raised."""

    value: Any = None
    error: Exception | None = None


@dataclass(frozen=True)
class Subject:
    """A connector that is looked at. `folder` has its README and its fixtures."""

    manifest: Manifest
    folder: Path
    harness: Harness

    def part(self, found: Any, name: str) -> Any:
        """A part of the harness that a declared capability needs."""
        require(
            found is not None,
            f"contract.py: found no {name}, expected one for {self.manifest.name}",
        )
        return found

    @contextmanager
    def connector(self, made_with: Options, timeout_s: float = PATIENT_S) -> Iterator[Any]:
        made = self.harness.build(made_with, timeout_s)
        try:
            yield made
        finally:
            if hasattr(made, "close"):
                made.close()

    @contextmanager
    def alone(self) -> Iterator[Any]:
        """The connector without a vendor."""
        with self.connector(options(self.harness, Clock())) as made:
            yield made

    @contextmanager
    def scene(self) -> Iterator[Scene]:
        """The connector's vendor, simulated, with a server of ours in between, watched."""
        clock = Clock()
        place_of = self.part(self.harness.place, "place")
        with place_of(clock) as place, watched(Watch(place.secrets.values())) as watch:
            if not place.url:
                yield Scene(self, clock, place, None, watch)
                return
            with Between(place.url) as between:
                yield Scene(self, clock, place, between, watch)


@dataclass
class Scene:
    """One stage for a connector to play on."""

    subject: Subject
    clock: Clock
    place: Place
    road: Between | None
    watch: Watch
    actions: list[Action] = field(default_factory=list)

    @property
    def between(self) -> Between:
        require(self.road is not None, "contract.py: the place has no url to put a server before")
        assert self.road is not None  # noqa: S101 -- for the type
        return self.road

    @contextmanager
    def connector(self, timeout_s: float = PATIENT_S) -> Iterator[Any]:
        url = self.road.url if self.road else ""
        given = options(
            self.subject.harness,
            self.clock,
            settings=self.place.settings(url),
            secrets=self.place.secrets,
        )
        with self.subject.connector(given, timeout_s) as made:
            yield made

    def cast(self, number: int) -> list[Action]:
        """So many actions about new people, of each declared kind in turn."""
        kinds = sorted(self.place.samples)
        made = [self.place.samples[kinds[i % len(kinds)]].make() for i in range(number)]
        return self.know(made)

    def know(self, made: list[Action]) -> list[Action]:
        """Their addresses are in nothing that people read."""
        for action in made:
            self.watch.forbid(action.contact.emails)
            self.watch.forbid(v for v in action.fields.values() if "@" in v)
        return made

    def holds(self, action: Action) -> bool:
        return self.place.samples[action.kind].holds(action)

    def try_(self, call: Callable[[], Any]) -> Result:
        """Make the call; what it says is listened to."""
        try:
            value = call()
        except Exception as error:
            self.watch.hear(error)
            return Result(error=error)
        for one in value if isinstance(value, list) else [value]:
            self.watch.hear(one)
        return Result(value)

    def writes(self, number: int) -> bool:
        """Whether the call of this number could have changed something that matters."""
        call = self.between.calls[number]
        path = call.path.partition("?")[0]
        return call.method not in ("GET", "HEAD") and not path.endswith(
            tuple(self.place.harmless) or ("\0",)
        )


@dataclass(frozen=True)
class Check:
    """One thing that a connector of this capability must do; empty: that every one must."""

    name: str
    capability: str
    look: Callable[[Subject], None]

    def run(self, subject: Subject) -> None:
        """Raise Breach where the connector does not, Exempt where the folder says why it cannot."""
        if reason := subject.harness.exempt.get(self.name):
            raise Exempt(reason)
        self.look(subject)


_CHECKS: list[Check] = []
Look = Callable[[Subject], None]


def check(capability: str = "") -> Callable[[Look], Look]:
    """The function is a check of this capability; its name is the check's."""

    def added(look: Look) -> Look:
        _CHECKS.append(Check(look.__name__, capability, look))
        return look

    return added


def every_check() -> tuple[Check, ...]:
    return tuple(_CHECKS)


def checks_for(subject: Subject) -> tuple[Check, ...]:
    """The checks of what the subject's manifest declares, in the order of the suite."""
    declared = {"", *subject.manifest.capabilities}
    return tuple(one for one in _CHECKS if one.capability in declared)
