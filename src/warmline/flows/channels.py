"""The ways by which an operator hears of a failure: Apprise URLs, and our own mail connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from warmline.config.project import MAIL_CHANNEL, Project, secret_name, secret_values
from warmline.core.candidates import masked
from warmline.core.errors import ConfigError, Refused, Unreachable, Unsure
from warmline.core.outcomes import OutcomeKind
from warmline.kit.notify import Notifier
from warmline.ports import Envelope, SendsMail


@dataclass(frozen=True, slots=True)
class Note:
    """One alert as it leaves. `number` is its row's: the same when it is tried again."""

    number: int
    title: str
    body: str


class Channel(Protocol):
    """`what` says what it is, without its secret; `accepted` what its yes means."""

    what: str
    accepted: str

    def send(self, note: Note) -> None:
        """Raises WarmlineError where it was not accepted, with why."""
        ...


class Hook:
    """An Apprise URL."""

    accepted = "the service accepted it"

    def __init__(self, url: str) -> None:
        self._notifier = Notifier(url)
        self.what = f"Apprise, {self._notifier.kind}"

    def send(self, note: Note) -> None:
        self._notifier.send(note.title, note.body)


class Letter:
    """Plain mail to one address by the project's own mail connection."""

    accepted = "the mail server accepted it"

    def __init__(self, project: Project, server: SendsMail, now: Callable[[], datetime]) -> None:
        self._project, self._server, self._now = project, server, now
        self._to = project.file.alerts.mail
        self.what = f"mail to {masked(self._to)} by {project.file.mail.connection}"

    def send(self, note: Note) -> None:
        sender = self._project.file.mail.sender
        envelope = Envelope(
            # The same for each try: a mailbox that has it already may know it again.
            message_id=f"warmline.alert.{note.number}@{sender.address.rpartition('@')[2]}",
            sender_name="Warmline",
            sender_address=sender.address,
            recipient_name="",
            recipient_address=self._to,
            reply_to="",
            subject=note.title,
            text=note.body,
            html="",
            sent_at=self._now(),
            headers={"Auto-Submitted": "auto-generated"},
        )
        with closing(self._server.open()) as session:
            outcome = session.send(envelope)
        if outcome.kind in (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE):
            return
        said = outcome.reason or "the mail server did not accept it"
        if outcome.kind is OutcomeKind.REFUSED:
            raise Refused(said)
        raise (Unsure if outcome.kind is OutcomeKind.UNKNOWN else Unreachable)(said)


def channels_of(
    project: Project, connectors: Mapping[str, object], now: Callable[[], datetime]
) -> dict[str, Channel]:
    """Every channel of `alerts:`, by name. Raises ConfigError for a URL that is missing or that
    Apprise cannot use."""
    alerts, made = project.file.alerts, dict[str, Channel]()
    for i, name in enumerate(alerts.to):
        variable = secret_name("alerts", name)
        url = secret_values("alerts", (name,))[name].strip()
        where = ("alerts", "to", i)
        if not url:
            raise project.fault(
                where,
                f"alerts.to names {name!r}, and {variable} is not set; expected an Apprise URL "
                f"there, or a file named by {variable}_FILE",
                hint="the URLs of all services: https://appriseit.com/services/",
            )
        try:
            made[name] = Hook(url)
        except ConfigError as error:
            raise project.fault(
                where,
                f"{variable}, which alerts.to names, cannot be used: {error.reason}",
                hint="the URLs of all services: https://appriseit.com/services/",
            ) from None
    if alerts.mail:
        server = connectors[project.file.mail.connection]
        assert isinstance(server, SendsMail)  # noqa: S101 -- `_check_work` saw to it
        made[MAIL_CHANNEL] = Letter(project, server, now)
    return made
