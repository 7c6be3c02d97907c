"""Mail: what the server answered is what is told, and a hand-over without an answer is unknown."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from warmline.core.errors import Unreachable
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.ports import Envelope
from warmline.testing.contract.harness import MAIL_FAULTS, START, Clock, MailPlace, options
from warmline.testing.contract.suite import (
    PATIENT_S,
    TIMEOUT_S,
    Breach,
    Subject,
    Watch,
    check,
    require,
    watched,
)

# What each fault must be told as.
TOLD = {
    "refuse": OutcomeKind.REFUSED,
    "later": OutcomeKind.LATER,
    "later_after": OutcomeKind.LATER,
    "drop_before": OutcomeKind.LATER,
    "drop_after": OutcomeKind.UNKNOWN,
    "timeout": OutcomeKind.UNKNOWN,
}
SCOPES = ("recipient", "sender", "message")


@dataclass
class _Office:
    """A mail server, and mails for it."""

    subject: Subject
    clock: Clock
    place: MailPlace
    watch: Watch
    written: int = 0

    def envelope(self) -> Envelope:
        self.written += 1
        address = f"canary.{self.written}@people.example"
        self.watch.forbid([address])
        return Envelope(
            message_id=f"<contract-{self.written}@mail.acme.example>",
            sender_name="Rita at Acme",
            sender_address="rita@acme.example",
            recipient_name="Ada Lind",
            recipient_address=address,
            reply_to="",
            subject="Your application",
            text="Hello Ada,\n.\nthank you.\n",
            html="<p>Hello Ada,</p>\n<p>thank you.</p>\n",
            sent_at=START,
        )

    @contextmanager
    def connector(self, timeout_s: float = PATIENT_S, **settings: object) -> Iterator[Any]:
        given = options(
            self.subject.harness,
            self.clock,
            settings={**self.place.settings, **settings},
            secrets=self.place.secrets,
        )
        with self.subject.connector(given, timeout_s) as made:
            yield made

    def send(self, session: Any, envelope: Envelope, where: str) -> Outcome:
        try:
            found = session.send(envelope)
        except Exception as error:
            self.watch.hear(error)
            raise Breach(f"{where}: send raised {error!r}, expected an outcome") from error
        require(isinstance(found, Outcome), f"{where}: send gave no outcome")
        self.watch.hear(found)
        outcome: Outcome = found
        return outcome


@contextmanager
def _office(subject: Subject) -> Iterator[_Office]:
    clock = Clock()
    place_of = subject.part(subject.harness.mail, "mail")
    with place_of(clock) as place, watched(Watch(place.secrets.values())) as watch:
        yield _Office(subject, clock, place, watch)


@check("sends_mail")
def an_accepted_mail_is_there_once(subject: Subject) -> None:
    with _office(subject) as office, office.connector() as made, closing(made.open()) as session:
        for _ in range(3):
            envelope = office.envelope()
            outcome = office.send(session, envelope, "a mail")
            require(outcome.kind is OutcomeKind.DONE, f"a mail: {outcome.kind}, expected done")
            kept = office.place.kept(envelope.recipient_address)
            require(kept == 1, f"a mail that was accepted is there {kept} times")


@check("sends_mail")
def each_fault_of_the_mail_server_is_told_as_it_is(subject: Subject) -> None:
    for fault in MAIL_FAULTS:
        with _office(subject) as office:
            timeout_s = TIMEOUT_S if fault == "timeout" else PATIENT_S
            with office.connector(timeout_s) as made, closing(made.open()) as session:
                office.place.strike(fault)
                _is_told(office, session, fault)


def _is_told(office: _Office, session: Any, fault: str) -> None:
    envelope = office.envelope()
    outcome = office.send(session, envelope, fault)
    kept = office.place.kept(envelope.recipient_address)
    require(outcome.kind is TOLD[fault], f"{fault}: {outcome.kind}, expected {TOLD[fault]}")
    require(outcome.reason.strip(), f"{fault}: the outcome gives no reason")
    require(kept == (1 if fault == "drop_after" else 0), f"{fault}: the mail is there {kept} times")
    if fault == "refuse":
        scope = outcome.detail.get("scope")
        require(scope in SCOPES, f"{fault}: scope is {scope!r}, expected one of {SCOPES}")


@check("sends_mail")
def a_session_goes_on_after_a_fault(subject: Subject) -> None:
    """The mail after the one that went wrong is accepted, once, by the same session."""
    for fault in MAIL_FAULTS:
        if fault == "timeout":
            continue  # the small timeout of that test may strike a slow machine here
        with (
            _office(subject) as office,
            office.connector() as made,
            closing(made.open()) as session,
        ):
            office.place.strike(fault)
            office.send(session, office.envelope(), fault)
            office.place.calm()
            envelope = office.envelope()
            outcome = office.send(session, envelope, f"after {fault}")
            kept = office.place.kept(envelope.recipient_address)
            held = outcome.kind is OutcomeKind.DONE and kept == 1
            require(held, f"after {fault}: {outcome.kind}, and it is there {kept} times")


@check("sends_mail")
def a_mail_that_cannot_be_written_is_refused(subject: Subject) -> None:
    """Header lines made of a subject or a name would be another mail."""
    with _office(subject) as office, office.connector() as made, closing(made.open()) as session:
        for change in (
            {"subject": "Hello\r\nBcc: other@people.example"},
            {"recipient_name": "Ada\r\nBcc: other@people.example"},
            {"recipient_address": "no address"},
            {"recipient_address": "ada@people.example>\r\nRCPT TO:<other@people.example"},
        ):
            envelope = replace(office.envelope(), **change)  # type: ignore[arg-type]
            outcome = office.send(session, envelope, str(list(change)))
            if change.keys() == {"recipient_address"}:
                held = outcome.kind is OutcomeKind.REFUSED
                require(held, f"an address that is none: {outcome.kind}, expected refused")
            kept = office.place.kept("other@people.example")
            require(kept == 0, f"{list(change)}: another recipient was smuggled in")


@check("sends_mail")
def a_server_that_is_not_there_is_unreachable(subject: Subject) -> None:
    with _office(subject) as office:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            free = taken.getsockname()[1]
        with office.connector(port=free) as made:
            try:
                made.open().close()
            except Unreachable as error:
                office.watch.hear(error)
                return
            except Exception as error:
                raise Breach(f"no server: raised {error!r}, expected Unreachable") from error
        raise Breach("no server: open gave a session, expected Unreachable")
