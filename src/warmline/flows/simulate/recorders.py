"""What stands in for every connection: it accepts all that it is given, keeps the mails, and opens
nothing."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from sys import intern

from warmline.config.project import Project
from warmline.core.actions import Action
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.flows.runtime import Runtime, build
from warmline.kit.manifest import Manifest
from warmline.ports import Envelope, Options

# What a recorder can do of what its connector can. Polls, look-ups and the rest would be questions
# to somebody outside.
_KEPT = frozenset({"applies_actions", "sends_mail"})
_BATCH = 500
_SEED = 1
# Links differ with every mail, and are none of the words.
_LINK = re.compile(r"https?://\S+")
_NUMBER = re.compile(r"^<warmline\.(\d+)\.")


@dataclass(frozen=True, slots=True)
class Handed:
    """A mail as it was handed over. `words` marks its text, without the links: another text,
    another mark."""

    subject: str
    sender: str
    words: str
    at: datetime


class Recorder:
    """A connection that keeps what it is given. Also the mail session that it opens."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.mails: dict[int, Handed] = {}
        self.actions: dict[str, int] = {}

    def batch_max(self) -> int:
        return _BATCH

    def apply(self, actions: Sequence[Action]) -> list[Outcome]:
        for action in actions:
            self.actions[action.kind] = self.actions.get(action.kind, 0) + 1
        return [
            Outcome(
                OutcomeKind.DONE,
                external_id=action.contact.external_id or f"simulated-{action.candidate_id}",
            )
            for action in actions
        ]

    def find(self, action: Action) -> Outcome | None:
        """Whatever was in doubt did not happen, and is done now."""
        return None

    def open(self) -> Recorder:
        return self

    def send(self, envelope: Envelope) -> Outcome:
        number = _NUMBER.match(envelope.message_id)
        words = _LINK.sub("", envelope.text).encode()
        self.mails[int(number[1]) if number else -len(self.mails)] = Handed(
            subject=intern(envelope.subject),
            sender=intern(envelope.sender_address),
            words=hashlib.blake2b(words, digest_size=8).hexdigest(),
            at=envelope.sent_at,
        )
        return Outcome(OutcomeKind.DONE)

    def close(self) -> None:
        """Nothing was opened."""


def recording(
    project: Project, now: Callable[[], datetime]
) -> tuple[Runtime, Mapping[str, Recorder]]:
    """The project with a recorder for each connection, checked as any other is, and without its
    secrets. Raises ConfigError."""
    made: dict[str, Recorder] = {}

    def make(_: Manifest, options: Options) -> Recorder:
        return made.setdefault(options.name, Recorder(options.name))

    runtime = build(project, now=now, chance=random.Random(_SEED).random, make=make, alerts=False)  # noqa: S311
    runtime.manifests = {
        name: replace(m, capabilities=tuple(c for c in m.capabilities if c in _KEPT))
        for name, m in runtime.manifests.items()
    }
    return runtime, made
