"""What a connector's folder tells the suite: how it is made, what it reads, where its simulator is.

A folder's `contract.py` has one function, `harness()`, that returns a `Harness`. Each part of it is
about one capability; a capability that is declared needs its part. A check that a vendor makes
impossible is named in `exempt`, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from warmline.core.actions import Action, ActionKind
from warmline.ports import Channel, Options, Received

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Clock:
    """Virtual time: it moves when it is told to."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@dataclass(frozen=True)
class Signing:
    """`receives_webhooks`. `signed` gives a delivery as the vendor would sign it with this secret
    at this time; `headers` are those that carry the signature, in lower case. `age_s`: a delivery
    older than this is refused; None where the vendor signs no time."""

    signed: Callable[[bytes, str, datetime], Received]
    secret: str  # the name of the setting
    headers: tuple[str, ...]
    age_s: float | None = None


@dataclass(frozen=True)
class Parsing:
    """`parses`. `deliveries` by the name of their fixture (`polled/candidates`), all of them;
    `unknown` names those that hold a word that nobody knows. `repeat` gives a delivery as the
    vendor would say it again."""

    deliveries: Callable[[Path], Mapping[str, Received]]
    unknown: tuple[str, ...] = ()
    repeat: Callable[[Received], Received] | None = None


@dataclass(frozen=True)
class Sample:
    """One kind of action. `make` gives an action about somebody new each time, whose effect is not
    there yet. The others look at the simulator itself: does the effect hold, whole; what stands
    there, told without ids, addresses and times, so that two people's pictures compare, with a
    count of whatever could stand there twice; and undo it behind the connector's back."""

    make: Callable[[], Action]
    holds: Callable[[Action], bool]
    picture: Callable[[Action], object]
    undo: Callable[[Action], None]


@dataclass(frozen=True)
class Listing:
    """`lists_changes`. `fill` puts so many more records there; `page_max` is the most that a page
    may hold with the settings of `Place.settings`; `streams` those that `fill` fills."""

    fill: Callable[[int], None]
    page_max: int
    streams: tuple[str, ...]
    many: int = 7  # records that give several pages


@dataclass(frozen=True)
class Place:
    """The vendor, simulated. `settings` are those of a connection whose vendor answers at the
    given address: the suite puts a server of its own in between. `harmless` are ends of paths whose
    calls, though no GET, leave no doubt when their answer is lost: look-ups, tokens, what is looked
    up before it is asked for again. `hosts` gives the `with:` of a sequence that lives there, the
    id of a contact that is not on it, and a way to put it there. `limit` sets how many calls a
    window lets through. `records` gives ids and fields to read, `known` what `missing` is asked
    about, `contacts` the ids of two new duplicates, `hint` a webhook about something that is
    there."""

    settings: Callable[[str], Mapping[str, object]]
    secrets: Mapping[str, str]
    url: str = ""
    harmless: tuple[str, ...] = ()
    samples: Mapping[ActionKind, Sample] = field(default_factory=dict)
    listing: Listing | None = None
    limit: Callable[[int], None] | None = None
    limit_calls: int = 12  # in a window; enough for the largest single step of the connector
    throttled_max: int = 0  # 429 in a whole run: 0 where the vendor's headers say what is left
    records: Callable[[], tuple[Sequence[str], Collection[str]]] | None = None
    known: Callable[[], Mapping[str, Collection[str]]] | None = None
    contacts: Callable[[], tuple[str, str]] | None = None
    hint: Callable[[], Received] | None = None
    hosts: Callable[[], tuple[Mapping[str, object], str, Callable[[], None]]] | None = None


@dataclass(frozen=True)
class MailPlace:
    """`sends_mail`: a mail server. `strike` orders one of `MAIL_FAULTS` for every mail from then
    on, `calm` ends it, `kept` counts the mails that it holds for an address."""

    settings: Mapping[str, object]
    secrets: Mapping[str, str]
    strike: Callable[[str], None]
    calm: Callable[[], None]
    kept: Callable[[str], int]


MAIL_FAULTS = ("refuse", "later", "later_after", "drop_before", "drop_after", "timeout")


@dataclass(frozen=True)
class Harness:
    """`build` makes the connector; it waits no longer than the given seconds for an answer.
    `settings` and `secrets` are those of a connection that calls nobody."""

    build: Callable[[Options, float], Any]
    settings: Mapping[str, object] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    signing: Signing | None = None
    parsing: Parsing | None = None
    place: Callable[[Clock], AbstractContextManager[Place]] | None = None
    mail: Callable[[Clock], AbstractContextManager[MailPlace]] | None = None
    exempt: Mapping[str, str] = field(default_factory=dict)


def fixtures(folder: Path, *endings: str) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of every fixture of a folder but for the golden ones."""
    home = folder / "fixtures"
    for path in sorted(home.rglob("*")):
        name = path.relative_to(home)
        if (
            path.is_file()
            and name.parts[0] != "golden"
            and path.name.endswith(endings or (".json",))
        ):
            yield str(name.with_suffix("").as_posix()), path.read_bytes()


def webhook(body: bytes, headers: Mapping[str, str] | None = None, url: str = "") -> Received:
    """A delivery that the vendor posted."""
    return Received(Channel.WEBHOOK, body, START, headers or {}, "POST", url)


def options(
    harness: Harness,
    clock: Clock,
    *,
    settings: Mapping[str, object] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> Options:
    """A connection's options; without settings those that call nobody."""
    return Options(
        name="contract",
        settings=harness.settings if settings is None else settings,
        secrets=harness.secrets if secrets is None else secrets,
        now=clock,
        public_url="https://hire.example.com",
    )
