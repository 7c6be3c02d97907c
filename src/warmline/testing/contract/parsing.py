"""Parsing: golden events, keys that stay, words that nobody knows, and bodies that are wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from warmline.core.errors import Malformed
from warmline.core.events import Event, EventKind
from warmline.ports import Received
from warmline.testing.contract.golden import path_of, text_of
from warmline.testing.contract.harness import Parsing
from warmline.testing.contract.spoiling import CANARY, RUBBISH, as_text, spoilt
from warmline.testing.contract.suite import Breach, Leak, Subject, check, require

# How an error may name the place: a JSON path, or the row of a table.
_PLACE = re.compile(r"\$(?:\.[^\s.\[\]:]+|\[\d+\])*")
_ROW = re.compile(r"\b(?:row|line|column|entry|record) [\d?]+|\bthe body\b|\bthe row\b|\bno row\b")
_ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")
KEY_CHARS_MAX = 1000


@check("parses")
def every_fixture_parses_to_its_golden_events(subject: Subject) -> None:
    """`make golden NAME=…` writes them."""
    deliveries = _deliveries(subject)
    require(deliveries, "contract.py: parsing has no delivery; put one into fixtures/")
    home = subject.folder / "fixtures" / "golden"
    there = {p.relative_to(home).with_suffix("").as_posix() for p in home.rglob("*.json")}
    strays = sorted(there - set(deliveries))
    require(not strays, f"fixtures/golden: {strays} belong to no fixture")
    with subject.alone() as made:
        for name, delivery in deliveries.items():
            path = path_of(subject.folder, name)
            require(
                path.is_file(),
                f"fixtures/golden/{name}.json is missing: "
                f"type make golden NAME={subject.manifest.name}",
            )
            found = json.loads(text_of(_events(made, delivery, name)))
            require(
                found == json.loads(path.read_text()),
                f"{name}: the events are not those of fixtures/golden/{name}.json",
            )


@check("parses")
def every_kind_of_event_is_declared(subject: Subject) -> None:
    declared = {*subject.manifest.events, EventKind.UNKNOWN.value}
    with subject.alone() as made:
        for name, delivery in _deliveries(subject).items():
            strange = {event.kind.value for event in _events(made, delivery, name)} - declared
            held = not strange
            require(held, f"{name}: tells {sorted(strange)}, which manifest.toml does not declare")


@check("parses")
def a_repeat_gives_the_same_keys(subject: Subject) -> None:
    """Parsed again, an hour later, by another instance, in another order: the keys stay."""
    deliveries = _deliveries(subject)
    parsing = _parsing(subject)
    with subject.alone() as made, subject.alone() as other:
        first = {name: _keys(made, one, name) for name, one in deliveries.items()}
        for name, one in reversed(list(deliveries.items())):
            require(
                _keys(made, one, name) == first[name], f"{name}: parsed again, it has other keys"
            )
            later = replace(one, received_at=one.received_at + timedelta(hours=1))
            require(
                _keys(other, later, name) == first[name],
                f"{name}: an hour later, by another instance, it has other keys",
            )
            if parsing.repeat is not None:
                again = _keys(made, parsing.repeat(one), name)
                require(
                    again == first[name], f"{name}: as the vendor repeats it, it has other keys"
                )


@check("parses")
def no_two_events_of_a_delivery_share_a_key(subject: Subject) -> None:
    with subject.alone() as made:
        for name, one in _deliveries(subject).items():
            keys = _keys(made, one, name)
            require(len(keys) == len(set(keys)), f"{name}: two events have one key")
            for key in keys:
                held = key.strip() and len(key) <= KEY_CHARS_MAX
                require(held, f"{name}: the key is empty, or over {KEY_CHARS_MAX} characters")


@check("parses")
def an_unknown_word_is_kept(subject: Subject) -> None:
    parsing, deliveries = _parsing(subject), _deliveries(subject)
    require(
        parsing.unknown,
        "contract.py: parsing names no fixture with an unknown word; exempt this check where "
        "the source has no words",
    )
    with subject.alone() as made:
        for name in parsing.unknown:
            require(name in deliveries, f"contract.py: unknown: there is no delivery {name}")
            try:
                events = made.parse(deliveries[name])
            except Exception as error:
                raise Breach(f"{name}: an unknown word raised {error!r}") from error
            unknown = [event for event in events if event.kind is EventKind.UNKNOWN]
            require(unknown, f"{name}: an unknown word gives no event `unknown`")
            require(all(e.word for e in unknown), f"{name}: the event does not keep the word")


@check("parses")
def rubbish_is_malformed(subject: Subject) -> None:
    deliveries = _deliveries(subject)
    with subject.alone() as made:
        for delivery in _one_of_each_stream(deliveries):
            for what, body in RUBBISH:
                where = f"{delivery.stream or delivery.channel}: {what}"
                error = _survives(made, replace(delivery, body=body), where)
                if error is not None:
                    held = _PLACE.search(str(error)) or _ROW.search(str(error))
                    require(held, f"{where}: the error names no place: {error}")
                elif what in ("nothing", "no JSON", "half of an object", "nested too deep"):
                    raise Breach(f"{where}: it passed, expected Malformed")


@check("parses")
def a_spoilt_place_is_malformed_and_named(subject: Subject) -> None:
    """Each key of each golden delivery taken away, or replaced by something else."""
    with subject.alone() as made:
        for name, delivery in _deliveries(subject).items():
            for path, body in spoilt(delivery.body):
                where = f"{name}, {as_text(path)} spoilt"
                error = _survives(made, replace(delivery, body=body), where)
                if error is not None:
                    _names_the_place(str(error), as_text(path), where)


def _parsing(subject: Subject) -> Parsing:
    found: Parsing = subject.part(subject.harness.parsing, "parsing")
    return found


def _deliveries(subject: Subject) -> Mapping[str, Received]:
    return _parsing(subject).deliveries(subject.folder)


def _one_of_each_stream(deliveries: Mapping[str, Received]) -> list[Received]:
    return list({(one.channel, one.stream): one for one in deliveries.values()}.values())


def _events(made: Any, delivery: Received, name: str) -> list[Event]:
    try:
        found: list[Event] = made.parse(delivery)
    except Exception as error:
        raise Breach(f"{name}: raised {type(error).__name__}: {error}") from error
    return found


def _keys(made: Any, delivery: Received, name: str) -> list[str]:
    return [event.key for event in _events(made, delivery, name)]


def _survives(made: Any, delivery: Received, where: str) -> Malformed | None:
    """The Malformed that it raised. Anything else than that or events is a breach."""
    try:
        events = made.parse(delivery)
    except Malformed as error:
        if CANARY in f"{error} {error.hint}" or _ADDRESS.search(f"{error} {error.hint}"):
            raise Leak(f"{where}: the error repeats an address of the body") from None
        return error
    except Exception as error:
        raise Breach(
            f"{where}: raised {type(error).__name__}, expected Malformed or events"
        ) from error
    held = isinstance(events, list) and all(isinstance(event, Event) for event in events)
    require(held, f"{where}: gave something else than a list of events")
    for event in events:
        for text in _texts(event):
            held = "\0" not in text and text == text.encode("utf-8", "replace").decode()
            require(held, f"{where}: an event holds a character that no database keeps")
    return None


def _texts(found: Any) -> Iterator[str]:
    if isinstance(found, str):
        yield found
    elif is_dataclass(found):
        for one in fields(found):
            yield from _texts(getattr(found, one.name))
    elif isinstance(found, tuple | list):
        for one in found:
            yield from _texts(one)
    elif isinstance(found, dict):
        for key, value in found.items():
            yield from _texts(key)
            yield from _texts(value)
    elif not isinstance(found, datetime | None | bool):
        raise Breach(f"an event holds a {type(found).__name__}, which is no text")


def _names_the_place(said: str, spoilt_at: str, where: str) -> None:
    """A JSON path must lead to the spoilt place, or be on the way to it, or below it."""
    found = _PLACE.search(said)
    if found is None:
        require(_ROW.search(said), f"{where}: the error names no place: {said}")
        return
    named = found[0]
    held = spoilt_at.startswith(named) or named.startswith(spoilt_at)
    require(held, f"{where}: the error names another place: {said}")
