"""The project folder: `warmline.yaml` and `sequences/`, read and checked before anything runs.

Every fault is a ConfigError with file, line, what was found and what was expected.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from warmline.config.faults import first_fault
from warmline.config.letters import LAYOUT
from warmline.config.policy import PolicyFile
from warmline.config.sequences import LoadedSequence, load_sequences
from warmline.config.settings import value_or_file
from warmline.config.yaml_lines import Lines, read_yaml
from warmline.core.actions import FIELDS, OF_THE_EVENT, ActionKind
from warmline.core.candidates import normal_email
from warmline.core.conditions import BadCondition, Condition
from warmline.core.errors import ConfigError
from warmline.core.events import EventKind, StageKind
from warmline.core.letters import known
from warmline.core.segments import Rule, Segment, SegmentRules, default_rules
from warmline.core.sequences import StepClass
from warmline.core.triggers import OWN, SPEAKS_OF, TELLS, Trigger, TriggerMap, condition

FILE = "warmline.yaml"
# The channel that alerts leave by where `alerts.mail` names an address.
MAIL_CHANNEL = "mail"


class UnknownRule(StrEnum):
    """What to do with a message whose hand-over was never answered."""

    ASK = "ask"  # a person decides: `warmline settle`
    ASSUME_ARRIVED = "assume_arrived"  # rather one too few than two
    SEND_AGAIN = "send_again"  # rather two than none


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ConnectionFile(_Strict):
    """One entry of `connections:`; what else it holds is the connector's own settings."""

    model_config = ConfigDict(extra="allow", frozen=True)
    connector: str


class SenderFile(_Strict):
    """Who mails come from where the candidate has no recruiter, or one at another domain."""

    name: str = Field(min_length=1)
    address: str
    domains: tuple[str, ...] = ()


class DnsFile(_Strict):
    """What `warmline check mail` must know to look at the DNS as a receiving server does."""

    server: str = ""
    selectors: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    include: str = ""
    return_path: str = ""


class TrackingFile(_Strict):
    """What a letter tells of: that a link was followed, and that its pictures were shown."""

    clicks: bool = True
    opens: bool = True


class MailFile(_Strict):
    connection: str = "mail"
    sender: SenderFile
    dns: DnsFile = Field(default_factory=DnsFile)
    tracking: TrackingFile = Field(default_factory=TrackingFile)
    replies_to: str = ""
    unsubscribe_mailbox: str = ""
    unknown: dict[StepClass, UnknownRule] = Field(default_factory=dict)

    @field_validator("replies_to", "unsubscribe_mailbox")
    @classmethod
    def _an_address(cls, found: str) -> str:
        if found and normal_email(found) is None:
            raise ValueError("expected an e-mail address")
        return found


class RuleFile(_Strict):
    """A row of `segments.rules`."""

    segment: Segment
    name: str = Field(min_length=1, max_length=100)
    when: str = ""


class EngagementFile(_Strict):
    """How a passive lead's engagement score decays, and the line above which they are nurtured."""

    half_life_days: float = Field(default=90, gt=0, le=3650)
    nurture_above: float = Field(default=10, ge=0)


def _default_rules() -> tuple[RuleFile, ...]:
    return tuple(
        RuleFile(segment=segment, name=name, when=when) for segment, name, when in default_rules()
    )


class SegmentsFile(_Strict):
    """The rules of `core.segments` and the figures in them; the tags that recruiters see."""

    late_stages: tuple[StageKind, ...] = (StageKind.FINAL, StageKind.OFFER)
    archived_after_months: int = Field(default=24, ge=1, le=120)
    engagement: EngagementFile = Field(default_factory=EngagementFile)
    rules: tuple[RuleFile, ...] = Field(default_factory=_default_rules)
    tags: dict[Segment, str] = Field(default_factory=dict)

    def tag(self, segment: Segment) -> str:
        return self.tags.get(segment) or f"warmline:{segment}"


class TriggerFile(_Strict):
    """A row of the trigger map, in the guide's own columns."""

    name: str = Field(default="", max_length=100)
    on: EventKind
    source: str = Field(alias="from")
    do: ActionKind
    target: str = Field(alias="in", default="")
    passes: tuple[str, ...] = Field(alias="pass", default=())
    options: dict[str, str] = Field(alias="with", default_factory=dict)
    when: str = ""
    enabled: bool = True


class AlertsFile(_Strict):
    """Who hears of failures. An Apprise URL is a secret: `to` holds names, and each URL comes from
    the environment."""

    to: tuple[str, ...] = ()
    mail: str = ""
    reminder_hours: float = Field(default=4, gt=0, le=168)
    resolutions: bool = False
    quiet: dict[str, float] = Field(default_factory=dict)
    lag_minutes: float = Field(default=15, gt=0, le=1440)

    @field_validator("to", mode="before")
    @classmethod
    def _one_is_a_list(cls, found: object) -> object:
        # Also keeps a URL that was put here by mistake out of what is said of it.
        return (found,) if isinstance(found, str) else found


class ProjectFile(_Strict):
    company: str = Field(min_length=1)
    postal_address: str = Field(min_length=1)
    careers_url: str = ""
    public_url: str = "http://127.0.0.1:8025"
    mailbox_url: str = ""
    poll_minutes: float = Field(default=5, gt=0, le=1440)
    compare_hours: float = Field(default=24, gt=0, le=8760)
    authority: dict[str, str] = Field(default_factory=dict)
    connections: dict[str, ConnectionFile]
    mail: MailFile
    alerts: AlertsFile = Field(default_factory=AlertsFile)
    content: dict[str, str | int | float] = Field(default_factory=dict)
    policy: PolicyFile = Field(default_factory=PolicyFile)
    segments: SegmentsFile = Field(default_factory=lambda: SegmentsFile())
    triggers: tuple[TriggerFile, ...]


@dataclass(frozen=True, slots=True)
class Connection:
    name: str
    connector: str
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Project:
    """The project folder as the rest of Warmline sees it."""

    folder: Path
    file: ProjectFile
    connections: Mapping[str, Connection]
    triggers: TriggerMap
    sequences: Mapping[str, LoadedSequence]
    segment_rules: SegmentRules
    lines: Lines = field(default_factory=Lines, repr=False, compare=False)

    def fault(self, where: tuple[str | int, ...], reason: str, *, hint: str = "") -> ConfigError:
        """What is wrong at this place of warmline.yaml, found after it was read."""
        file = str(self.folder / FILE)
        return ConfigError(reason, file=file, line=self.lines.of(where), hint=hint)

    @property
    def public_url(self) -> str:
        return self.file.public_url.rstrip("/")


def secret_name(connection: str, secret: str) -> str:
    """The environment variable of a connection's secret: ats, webhook_secret →
    WARMLINE_ATS_WEBHOOK_SECRET."""
    return f"WARMLINE_{connection}_{secret}".upper().replace("-", "_")


def secret_values(
    connection: str, names: tuple[str, ...], env: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The secrets of a connection from the environment or its files; empty where not set."""
    return {name: value_or_file(secret_name(connection, name), env) or "" for name in names}


def load(folder: Path) -> Project:
    """Read and check the whole folder. Raises ConfigError at the first fault."""
    path = folder / FILE
    file, lines = read_file(folder)
    sequences = load_sequences(folder / "sequences")
    check = _Check(path, lines, file, sequences)
    check.whole()
    return Project(
        folder=folder,
        file=file,
        connections={
            name: Connection(name, entry.connector, dict(entry.model_extra or {}))
            for name, entry in file.connections.items()
        },
        triggers=TriggerMap(check.triggers()),
        sequences=sequences,
        segment_rules=check.segment_rules(),
        lines=lines,
    )


def read_file(folder: Path) -> tuple[ProjectFile, Lines]:
    """`warmline.yaml` alone: what it names elsewhere is not looked at. Raises ConfigError."""
    path = folder / FILE
    if not path.exists():
        raise ConfigError(
            f"no {FILE} in {folder}",
            hint="make a project with `warmline init FOLDER`, or name one with --project",
        )
    data, lines = read_yaml(path)
    if not isinstance(data, dict):
        raise ConfigError("expected a mapping of settings", file=str(path), line=1)
    try:
        return ProjectFile.model_validate(data), lines
    except ValidationError as error:
        raise first_fault(error, path, lines) from None


class _Check:
    """What pydantic cannot see: names that must exist elsewhere in the folder."""

    def __init__(
        self, path: Path, lines: Lines, file: ProjectFile, sequences: Mapping[str, LoadedSequence]
    ) -> None:
        self.path, self.lines, self.file, self.sequences = path, lines, file, sequences

    def fail(self, where: tuple[str | int, ...], reason: str) -> ConfigError:
        return ConfigError(reason, file=str(self.path), line=self.lines.of(where))

    def whole(self) -> None:
        names = set(self.file.connections)
        for name in names:
            if not name.isidentifier() or len(name) > 32:
                raise self.fail(
                    ("connections", name),
                    f"connection name {name!r}; expected letters, digits and underscores, at most "
                    "32: it stands in addresses and in names of environment variables",
                )
            if name == OWN:
                raise self.fail(
                    ("connections", name),
                    f"a connection is called {name!r}, which is Warmline's own name in triggers "
                    "and in the ledger; expected another",
                )
        if self.file.mail.connection not in names:
            raise self.fail(
                ("mail", "connection"),
                f"mail.connection is {self.file.mail.connection!r}; "
                f"expected one of {sorted(names)}",
            )
        if normal_email(self.file.mail.sender.address) is None:
            raise self.fail(
                ("mail", "sender", "address"),
                f"mail.sender.address is {self.file.mail.sender.address!r}; "
                "expected an e-mail address",
            )
        if not self.file.public_url.startswith(("http://", "https://")):
            raise self.fail(
                ("public_url",),
                f"public_url is {self.file.public_url!r}; expected https://your.host",
            )
        self._authorities()
        self._alerts()
        self._letters()

    def _letters(self) -> None:
        """Each letter asks only for values that a mail is filled with."""
        able = known(self.file.content)
        for loaded in self.sequences.values():
            for called, letter in loaded.letters.items():
                # Liquid's own words for lists and texts, as in `roles.size`.
                asked = {name.removesuffix(".size") for name in letter.variables}
                if strange := sorted(asked - able):
                    raise self._strange_value(loaded, called, strange[0], able)

    def _strange_value(
        self, loaded: LoadedSequence, called: str, name: str, able: Collection[str]
    ) -> ConfigError:
        key = called if "/" in called else f"{loaded.files.home}/{called}"
        text = loaded.files.texts.get(f"{key}.md", "")
        in_letter = name in text
        path = loaded.files.path(f"{key}.md" if in_letter else LAYOUT)
        text = text if in_letter else loaded.files.texts[LAYOUT]
        near = get_close_matches(name, sorted(able), 1)
        return ConfigError(
            f"{{{{ {name} }}}} is no value that a mail is filled with; expected "
            + (f"{near[0]}, or another" if near else "one")
            + " of those in the reference, or a name under `content:` in warmline.yaml",
            file=str(path),
            line=text[: text.find(name)].count("\n") + 1,
        )

    def _authorities(self) -> None:
        """Fields by the connection that wins them."""
        for name, connection in self.file.authority.items():
            where = ("authority", name)
            if name not in FIELDS or name in OF_THE_EVENT or name == "email":
                able = sorted(set(FIELDS) - OF_THE_EVENT - {"email"})
                raise self.fail(where, f"authority names {name!r}; expected some of {able}")
            if connection not in self.file.connections:
                raise self.fail(
                    where,
                    f"authority.{name} is {connection!r}; "
                    f"expected one of {sorted(self.file.connections)}",
                )

    def _alerts(self) -> None:
        alerts, seen = self.file.alerts, set[str]()
        for i, name in enumerate(alerts.to):
            where = ("alerts", "to", i)
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,31}", name):
                # What stands there may be the secret itself: it is not repeated.
                raise self.fail(
                    where,
                    "alerts.to holds something that is no name; expected letters, digits and "
                    "underscores, at most 32, such as `slack`: its Apprise URL is a secret and "
                    f"comes from the environment, as {secret_name('alerts', 'slack')}",
                )
            if name.lower() == MAIL_CHANNEL:
                raise self.fail(
                    where, "alerts.to names 'mail'; expected another name, or alerts.mail: ADDRESS"
                )
            if name.lower() in seen:
                raise self.fail(where, f"alerts.to names {name!r} twice")
            seen.add(name.lower())
        if alerts.mail and normal_email(alerts.mail) is None:
            raise self.fail(
                ("alerts", "mail"), f"alerts.mail is {alerts.mail!r}; expected an e-mail address"
            )
        for name, hours in alerts.quiet.items():
            if name not in self.file.connections:
                raise self.fail(
                    ("alerts", "quiet", name),
                    f"alerts.quiet names {name!r}; expected one of {sorted(self.file.connections)}",
                )
            if not 0 <= hours <= 8760:
                raise self.fail(
                    ("alerts", "quiet", name),
                    f"alerts.quiet.{name} is {hours:g}; expected hours from 0 (never) to 8760",
                )

    def segment_rules(self) -> SegmentRules:
        """The rules compiled. The last one, and no other, holds for everybody: so each candidate
        is in exactly one segment."""
        segments, last = self.file.segments, len(self.file.segments.rules) - 1
        if last < 0:
            raise self.fail(("segments", "rules"), "segments.rules is empty; expected at least one")
        rules = SegmentRules(
            rules=tuple(self._rule(i, row) for i, row in enumerate(segments.rules)),
            late_stages=segments.late_stages,
            archived_after_months=segments.archived_after_months,
            half_life=timedelta(days=segments.engagement.half_life_days),
            nurture_above=segments.engagement.nurture_above,
        )
        for i, (rule, row) in enumerate(zip(rules.rules, segments.rules, strict=True)):
            where = ("segments", "rules", i)
            if (rule.when is None) != (i == last):
                raise self.fail(
                    where,
                    f"the rule {rule.name!r} "
                    + (
                        "has a `when:`; expected the last rule to take everybody who is left"
                        if i == last
                        else "has no `when:`; only the last rule takes everybody"
                    ),
                )
            try:
                rules.check(rule)
            except BadCondition as error:
                raise self.fail(
                    (*where, "when"),
                    f"when is {row.when!r}: {error}; expected true or false in CEL over active, "
                    "applied, rejected, hired, reached, months_quiet, score, late_stages and "
                    "archived_after_months",
                ) from None
        self._tags()
        return rules

    def _rule(self, i: int, row: RuleFile) -> Rule:
        try:
            return Rule(row.segment, row.name, Condition(row.when) if row.when else None)
        except BadCondition as error:
            raise self.fail(
                ("segments", "rules", i, "when"), f"when is {row.when!r}, which is no CEL: {error}"
            ) from None

    def _tags(self) -> None:
        names = [self.file.segments.tag(segment).casefold() for segment in Segment]
        if len(set(names)) < len(names):
            raise self.fail(
                ("segments", "tags"), "two segments have the same tag; expected four different ones"
            )

    def triggers(self) -> tuple[Trigger, ...]:
        made = [self.trigger(i, row) for i, row in enumerate(self.file.triggers)]
        seen: dict[str, int] = {}
        for i, trigger in enumerate(made):
            if trigger.name in seen:
                raise self.fail(
                    ("triggers", i),
                    f"two triggers are called {trigger.name!r}; give one of them a `name:`",
                )
            seen[trigger.name] = i
        return tuple(made)

    def trigger(self, i: int, row: TriggerFile) -> Trigger:
        at = ("triggers", i)
        names = sorted(self.file.connections)
        if row.source not in (*names, OWN):
            raise self.fail((*at, "from"), f"from is {row.source!r}; expected one of {names}")
        own = row.do is ActionKind.SEQUENCE_ENROL
        if row.target not in names and not (own and row.target in ("", OWN)):
            raise self.fail((*at, "in"), f"in is {row.target!r}; expected one of {names}")
        for j, name in enumerate(row.passes):
            if name not in FIELDS:
                raise self.fail(
                    (*at, "pass", j), f"pass names {name!r}; expected some of {sorted(FIELDS)}"
                )
            if row.on not in TELLS.get(name, (row.on,)):
                raise self.fail(
                    (*at, "pass", j),
                    f"pass names {name!r}, which {row.on} cannot tell; "
                    f"expected it only for {', '.join(sorted(TELLS[name]))}",
                )
        takes = {"sequence"} if own else set()
        for option in row.options:
            if option not in takes:
                raise self.fail(
                    (*at, "with", option),
                    f"with holds {option!r}; expected for {row.do} only {sorted(takes)}",
                )
        sequence = row.options.get("sequence", "")
        if own and sequence not in self.sequences:
            raise self.fail(
                (*at, "with"),
                f"with names the sequence {sequence!r}; expected one of {sorted(self.sequences)}",
            )
        try:
            when = condition(row.when) if row.when else None
        except BadCondition as error:
            raise self.fail(
                (*at, "when"),
                f"when is {row.when!r}: {error}; expected true or false in CEL over "
                + ", ".join(f"{name}.{key}" for name, keys in SPEAKS_OF.items() for key in keys),
            ) from None
        what = f"enrol in {sequence}" if own else str(row.do)
        return Trigger(
            name=row.name or f"{row.on} -> {what}"[:100],
            on=row.on,
            source=row.source,
            do=row.do,
            target=OWN if own else row.target,
            passes=row.passes,
            sequence=sequence,
            when=when,
            enabled=row.enabled,
        )
