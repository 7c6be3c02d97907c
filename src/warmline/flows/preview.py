"""One letter as somebody would get it, on the screen or in your own mailbox. The ledger is read,
and nothing is written into it.

The links of ours that such a letter holds are nobody's: clicked, they change nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from warmline.config.letters import LAYOUT, LetterFile, find_letter
from warmline.config.project import Project
from warmline.config.yaml_lines import read_text
from warmline.core.candidates import normal_email
from warmline.core.errors import ConfigError, WarmlineError
from warmline.core.letters import bare_reader, links
from warmline.core.mail import MissingVariable, RenderedMail, TemplateError
from warmline.core.outcomes import Outcome
from warmline.core.segments import Segment
from warmline.flows.compose import filled_with, sender
from warmline.flows.explain import find
from warmline.flows.fields import Known, known
from warmline.flows.lint_mail import SEQUENCES, sample
from warmline.flows.roles import fitting, open_roles
from warmline.flows.runtime import Runtime
from warmline.ports import Envelope
from warmline.store.models import CandidateEmail, Enrolment, Suppression

MARK = "[Test] "


@dataclass(frozen=True, slots=True)
class Preview:
    """`for_whom` says whose data it was filled with."""

    letter: LetterFile
    mail: RenderedMail
    for_whom: str
    sender_name: str
    sender_address: str
    reply_to: str = ""


def preview(
    project: Project, name: str, *, candidate: str = "", bare: bool = False, now: datetime
) -> Preview:
    """The letter `SEQUENCE/STEP`, filled with a candidate of the ledger, or with a sample: of whom
    all is known, or (`bare`) only a name. Raises WarmlineError."""
    sequences = project.folder / SEQUENCES
    letter = find_letter(sequences, name)
    default = project.file.mail.sender
    if candidate:
        one = _one(candidate)
        roles = fitting(one, open_roles(now), project.file.careers_url, _own_tags(project))
        values = filled_with(project, _enrolment(letter, one), one, now, roles=roles)
        values |= links(project.public_url)
        who, (from_name, address, reply_to) = f"candidate {one.candidate.pk}", sender(project, one)
    else:
        values = sample(project.file)
        if bare:
            values = bare_reader(values)
        who = "somebody with only a name" if bare else "a sample person"
        from_name, address, reply_to = default.name, default.address, ""
    layout = sequences / LAYOUT
    try:
        mail = letter.letter.compiled(read_text(layout)).render(values)
    except TemplateError as error:
        file = layout if error.part == "layout" else letter.path
        raise ConfigError(
            f"found {error.found}; expected {error.expected}",
            file=str(file),
            line=error.line
            if error.part == "layout"
            else letter.letter.line(error.part, error.line),
        ) from None
    except MissingVariable as error:
        said = f"{who} would get no mail: {error.name} is {error.found} ({error.where})"
        raise WarmlineError(said, hint=error.hint) from None
    return Preview(letter, mail, who, from_name, address, reply_to)


def _own_tags(project: Project) -> list[str]:
    return [project.file.segments.tag(segment) for segment in Segment]


def _one(query: str) -> Known:
    found = find(query)
    if len(found) != 1:
        how = "nobody" if not found else f"{len(found)} candidates"
        raise WarmlineError(
            f"{how} in the ledger is known by that" if not found else f"{how} are known by that",
            hint="give a number, a whole e-mail address, or an id of the ATS or CRM",
        )
    return known([found[0].pk])[found[0].pk]


def _enrolment(letter: LetterFile, one: Known) -> Enrolment:
    """The person's newest enrolment in the letter's sequence; without one, as if it began now."""
    sequence = letter.path.parent.name
    rows = Enrolment.objects.filter(candidate=one.candidate, sequence=sequence)
    latest = one.latest
    return rows.order_by("-id").first() or Enrolment(
        candidate=one.candidate, sequence=sequence, application=latest
    )


def send_test(runtime: Runtime, shown: Preview, to: str, *, mark: str, now: datetime) -> Outcome:
    """Hand it over to that address alone, by the configured mail connection. `mark`: what nobody
    can guess, for the Message-ID. Raises WarmlineError where the address may not be written to."""
    address = _may_be_tested(to)
    domain = shown.sender_address.rpartition("@")[2]
    own = links(runtime.project.public_url)
    envelope = Envelope(
        message_id=f"<warmline.test.{mark}@{domain}>",
        sender_name=shown.sender_name,
        sender_address=shown.sender_address,
        recipient_name="",
        recipient_address=address,
        reply_to=shown.reply_to,
        subject=f"{MARK}{shown.mail.subject}",
        text=shown.mail.text,
        html=shown.mail.html,
        sent_at=now,
        headers={
            "List-Unsubscribe": f"<{own['unsubscribe_url']}>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
            "X-Warmline-Test": shown.letter.letter.name,
            "Auto-Submitted": "auto-generated",
        },
    )
    session = runtime.connectors[runtime.project.file.mail.connection].open()
    try:
        outcome: Outcome = session.send(envelope)
    finally:
        session.close()
    return outcome


def _may_be_tested(to: str) -> str:
    """A test goes to whoever makes it: not to an address that is suppressed, and to no candidate,
    whom it would reach past every rule, with another's data in it."""
    address = normal_email(to)
    if address is None:
        raise WarmlineError("--to is no e-mail address", hint="one address, such as you@your.host")
    if Suppression.objects.filter(address=address).exists():
        raise WarmlineError(
            "that address is suppressed: nothing is sent to it", hint="test with another of yours"
        )
    if CandidateEmail.objects.filter(normal=address).exists():
        raise WarmlineError(
            "that is a candidate's address: a test goes to nobody whom a sequence may reach",
            hint="test with an address of your own",
        )
    return address
