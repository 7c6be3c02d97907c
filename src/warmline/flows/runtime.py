"""What every flow is given: the project, its connectors, the time, chance, and a way to say that
a lane has work."""

from __future__ import annotations

import random
import re
import threading
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from warmline.config.project import Connection, Project, secret_name, secret_values
from warmline.config.sequences import FILE
from warmline.core.errors import ConfigError
from warmline.core.segments import Segment
from warmline.core.triggers import OWN, OWN_EVENTS
from warmline.flows.channels import Channel, channels_of
from warmline.flows.quiet import Quiet
from warmline.kit.manifest import Manifest, make, manifests
from warmline.ports import Options


class Lane(NamedTuple):
    """`family` says what kind of work, for whom: `intake:ats`, `act:crm`, `mail`, `alerts:slack`.
    Draining a lane is exclusive; intake has one lane a connection, alerts one a channel, the others
    one per share of the candidates."""

    family: str
    number: int


def intake_lane(connection: str) -> Lane:
    return Lane(f"intake:{connection}", 0)


def act_lane(target: str, number: int) -> Lane:
    return Lane(f"act:{target}", number)


def alert_lane(channel: str) -> Lane:
    return Lane(f"alerts:{channel}", 0)


def mail_lane(number: int) -> Lane:
    return Lane("mail", number)


# A wait of at most so long is a connector keeping to its vendor's pace, and no failure.
PACED_S = 5.0


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Runtime:
    """One a process. `token` marks this runner's claims. `chance` gives [0, 1) for jitter."""

    project: Project
    connectors: Mapping[str, Any]
    manifests: Mapping[str, Manifest]
    now: Callable[[], datetime] = utc_now
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    chance: Callable[[], float] = random.random
    poke: Callable[[Iterable[Lane]], None] = lambda lanes: None
    stopping: threading.Event = field(default_factory=threading.Event)
    orphans_told: set[str] = field(default_factory=set)
    first_sync_allowed: bool = False
    channels: Mapping[str, Channel] = field(default_factory=dict)  # that alerts leave by
    pages_url: str = ""  # where the operator's pages answer; empty: nobody serves them here
    watched_at: datetime | None = None
    waiting_looked_at: datetime | None = None
    watching_since: datetime | None = None
    strangers: Quiet = field(default_factory=Quiet)
    live: set[str] = field(default_factory=set)  # tokens of the batches in hand
    # By connection: failed tries, and until when its hints wait; when a paced poll goes on.
    hints_wait: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    poll_again_s: dict[str, float] = field(default_factory=dict)
    # Connections that are to be polled at once, where the engine polls (`flows.fresh`).
    poll_now: set[str] = field(default_factory=set)
    engine_polls: bool = False
    fresh_tried_at: dict[str, datetime] = field(default_factory=dict)
    looked_again_at: datetime | None = None  # at what is held (`flows.holds`)
    warmed: dict[str, int] = field(default_factory=dict)  # by sender (`flows.quota`)

    @property
    def own_tags(self) -> frozenset[str]:
        """The tags that Warmline writes itself, in lower case: the segments', and those that a
        connector names (`own_tags`)."""
        tag = self.project.file.segments.tag
        names = {tag(segment) for segment in Segment}
        for connector in self.connectors.values():
            if hasattr(connector, "own_tags"):
                names |= connector.own_tags()
        return frozenset(name.casefold() for name in names)

    def wait_s(self, connection: str) -> float:
        """How many seconds the vendor is better left alone for: of a connector that keeps count
        (`wait_s`); any other says so when it is called."""
        connector = self.connectors[connection]
        return float(connector.wait_s()) if hasattr(connector, "wait_s") else 0.0

    @contextmanager
    def claiming(self) -> Iterator[str]:
        """A token for one batch. While it is live nobody takes its claims for lapsed, however long
        the other side takes to answer."""
        token = f"{self.token[:20]}.{uuid.uuid4().hex[:12]}"
        self.live.add(token)
        try:
            yield token
        finally:
            self.live.discard(token)

    def connections_that(self, capability: str) -> list[str]:
        """Names of the connections whose connector declares the capability, in file order."""
        return [
            name
            for name in self.project.connections
            if capability in self.manifests[name].capabilities
        ]

    def segment_of(self, sequence: str) -> Segment | None:
        """Whom a sequence is for; None where it is gone from the files."""
        loaded = self.project.sequences.get(sequence)
        return loaded.segment if loaded else None

    def close(self) -> None:
        """Close the connectors' open connections."""
        for connector in self.connectors.values():
            if hasattr(connector, "close"):
                connector.close()

    def role(self, connection: str) -> str:
        """`ats`, `crm`, `mail` or `files`; empty for what is not a connection."""
        manifest = self.manifests.get(connection)
        return manifest.role if manifest else ""


def build(
    project: Project,
    *,
    now: Callable[[], datetime] = utc_now,
    chance: Callable[[], float] = random.random,
    make: Callable[[Manifest, Options], Any] = make,
    alerts: bool = True,
) -> Runtime:
    """Make every connector of the project. Raises ConfigError for an unknown one, an unknown or
    missing setting, a secret written into the file, and for work that a connection cannot do.
    `make` may put something else in the place of a connector; without `alerts` nobody is told."""
    found = manifests()
    connectors: dict[str, Any] = {}
    used: dict[str, Manifest] = {}
    for name, connection in project.connections.items():
        manifest = found.get(connection.connector)
        if manifest is None:
            raise project.fault(
                ("connections", name, "connector"),
                f"connections.{name}.connector is {connection.connector!r}; "
                f"expected one of {sorted(found)}",
            )
        _check_settings(project, connection, manifest)
        defaults = {
            s.name: s.default for s in manifest.settings if not s.secret and s.default is not None
        }
        secrets = tuple(s.name for s in manifest.settings if s.secret)
        options = Options(
            name=name,
            settings={**defaults, **connection.settings},
            secrets=secret_values(name, secrets),
            now=now,
            public_url=project.public_url,
            folder=project.folder,
        )
        try:
            connectors[name] = make(manifest, options)
        except ConfigError as error:
            # The connector knows its settings by name, and not where they stand.
            named = [key for key in connection.settings if key in re.findall(r"\w+", error.reason)]
            raise project.fault(
                ("connections", name, *named[:1]), error.reason, hint=error.hint
            ) from None
        used[name] = manifest
    runtime = Runtime(
        project=project, connectors=connectors, manifests=used, now=now, chance=chance
    )
    _check_work(runtime)
    _check_hosts(runtime)
    if alerts:
        runtime.channels = channels_of(project, connectors, now)
    return runtime


def _check_settings(project: Project, connection: Connection, manifest: Manifest) -> None:
    name = connection.name
    secrets = {s.name for s in manifest.settings if s.secret}
    known = {s.name: s for s in manifest.settings if not s.secret}
    for key in connection.settings:
        if key in secrets:
            raise project.fault(
                ("connections", name, key),
                f"connections.{name}.{key} is a secret; expected it in the environment as "
                f"{secret_name(name, key)}, or in a file named by {secret_name(name, key)}_FILE",
            )
        if key not in known:
            raise project.fault(
                ("connections", name, key),
                f"connections.{name}.{key} is not a setting of {connection.connector}; "
                f"expected some of {sorted(known)}",
            )
    for setting in known.values():
        if setting.required and setting.name not in connection.settings:
            raise project.fault(
                ("connections", name),
                f"connections.{name}.{setting.name} is missing: {setting.help}",
            )


def _check_work(runtime: Runtime) -> None:
    """Work that nobody does would wait for ever, in silence (I8)."""
    project = runtime.project
    _check_can(runtime, "sends_mail", ("mail", "connection"), project.file.mail.connection)
    for i, trigger in enumerate(project.triggers.triggers):
        if trigger.target != OWN:
            _check_can(runtime, "applies_actions", ("triggers", i, "in"), trigger.target)
            able = runtime.manifests[trigger.target].actions
            if trigger.do not in able:
                raise project.fault(
                    ("triggers", i, "do"),
                    f"do is {trigger.do!s}, which {trigger.target!r} cannot; "
                    f"expected one of {sorted(able)}",
                )
        tells: Collection[str] = OWN_EVENTS
        if trigger.source != OWN:
            _check_can(runtime, "parses", ("triggers", i, "from"), trigger.source)
            tells = runtime.manifests[trigger.source].events
        if trigger.on not in tells:
            raise project.fault(
                ("triggers", i, "on"),
                f"on is {trigger.on!s}, which {trigger.source!r} never tells; "
                f"expected one of {sorted(tells)}",
            )


def _check_hosts(runtime: Runtime) -> None:
    """A sequence that lives elsewhere lives in a connection that can host it, in its own words."""
    for loaded in runtime.project.sequences.values():
        sequence = loaded.sequence
        if not sequence.target:
            continue
        able = runtime.connections_that("hosts_sequences")
        file = str(loaded.files.path(f"{loaded.files.home}/{FILE}"))
        if sequence.target not in able:
            raise ConfigError(
                f"in is {sequence.target!r}, which hosts no sequences; expected warmline or one of "
                f"{sorted(able)}",
                file=file,
                line=loaded.line_of("in"),
            )
        try:
            runtime.connectors[sequence.target].host_of(sequence.host)
        except ConfigError as error:
            line = loaded.line_of("with" if sequence.host else "in")
            raise ConfigError(error.reason, file=file, line=line, hint=error.hint) from None


def _check_can(
    runtime: Runtime, capability: str, where: tuple[str | int, ...], connection: str
) -> None:
    able = runtime.connections_that(capability)
    if connection not in able:
        name = ".".join(map(str, where)) if where[0] == "mail" else where[-1]
        raise runtime.project.fault(
            where,
            f"{name} is {connection!r}, which has not the capability {capability}; "
            f"expected one of {sorted(able)}",
        )
