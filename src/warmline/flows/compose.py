"""A message row into a mail: the step's template, the candidate's data, the headers.

What was filled in is kept with the message as it leaves, so that a browser can show it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from warmline.config.project import Project
from warmline.core.candidates import normal_email
from warmline.core.mail import HTML_BYTES_MAX, MailError
from warmline.core.mail_links import at_end, pixel, trap, with_links
from warmline.flows.fields import Known
from warmline.flows.links import (
    TRAP,
    Purpose,
    address,
    addresses,
    click_token,
    is_ours,
    message_id_header,
)
from warmline.flows.mail_headers import headers_of
from warmline.flows.versions import letter_of
from warmline.ports import Envelope
from warmline.store.models import Application, Enrolment, Message


def compose(
    project: Project, message: Message, enrolment: Enrolment, one: Known, now: datetime
) -> Envelope:
    """The mail, ready to hand over. Raises core.mail.MailError rather than make a half-empty mail,
    and LookupError where the step is no longer in the sequence's files. Sets subject
    and values of the message, and saves nothing: that is done as the mail leaves."""
    compiled = letter_of(project, enrolment, message)
    sender_name, sender_address, reply_to = sender(project, one)
    links = addresses(project.public_url, message.pk, now)
    roles = (message.values or {}).get("roles", ())
    message.values = filled_with(project, enrolment, one, now, roles=roles)
    rendered = compiled.render({**message.values, **links})
    message.subject = rendered.subject[:300]
    return Envelope(
        message_id=message_id_header(message.pk, sender_address.rpartition("@")[2]),
        sender_name=sender_name,
        sender_address=sender_address,
        recipient_name=one.candidate.name,
        recipient_address=one.emails[0],
        reply_to=project.file.mail.replies_to or reply_to,
        subject=rendered.subject,
        text=rendered.text,
        html=_counted(project, rendered.html, message.pk, now),
        sent_at=now,
        headers=headers_of(
            project,
            message,
            enrolment,
            url=links["unsubscribe_url"],
            domain=sender_address.rpartition("@")[2],
        ),
    )


def filled_with(
    project: Project,
    enrolment: Enrolment,
    one: Known,
    now: datetime,
    *,
    roles: Sequence[Mapping[str, str]] = (),
) -> dict[str, object]:
    """What a letter to this person is filled with, but for the links of its own mail. `roles`: the
    open ones that fitted as the step was planned."""
    sender_name, sender_address, reply_to = sender(project, one)
    application = _application(enrolment, one)
    return {
        "candidate": {
            "first_name": one.candidate.first_name,
            "last_name": one.candidate.last_name,
            "name": one.candidate.name,
        },
        "job": _job(application),
        "application": _candidacy(application, now),
        "recruiter": {
            "name": sender_name,
            "first_name": sender_name.split()[0] if sender_name else "",
            "email": reply_to or sender_address,
        },
        "company": project.file.company,
        "postal_address": project.file.postal_address,
        "careers_url": project.file.careers_url,
        "content": dict(project.file.content),
        "roles": [dict(role) for role in roles],
    }


def again(project: Project, message: Message, now: datetime) -> str:
    """The letter as it left, for a browser: with its links, and nothing that counts by itself.
    Raises LookupError where it cannot be made any more."""
    if message.values is None:
        raise LookupError("it never left, or left before letters were kept")
    compiled = letter_of(project, message.enrolment, message)
    links = addresses(project.public_url, message.pk, now)
    try:
        html = compiled.render({**message.values, **links}).html
    except MailError as error:
        raise LookupError("it cannot be filled in any more") from error
    return _through_us(project, html, message.pk, now)


def _counted(project: Project, html: str, message_id: int, now: datetime) -> str:
    """The letter as it is sent: its links go by way of us, and it holds what tells people and
    machines apart. One that would be cut by this (the unsubscribe link is at its end) leaves
    uncounted."""
    tracking = project.file.mail.tracking
    counted, base = _through_us(project, html, message_id, now), project.public_url
    if tracking.clicks:
        view = address(base, Purpose.VIEW, message_id, now)
        counted = at_end(counted, trap(f"{base}/c/{click_token(message_id, TRAP, view, now)}"))
    if tracking.opens:
        counted = at_end(counted, pixel(f"{address(base, Purpose.OPEN, message_id, now)}.gif"))
    for letter in (counted, html):
        if len(letter.encode()) <= HTML_BYTES_MAX:
            return letter
    size = len(html.encode())
    raise MailError(f"{size:,} bytes of HTML with its values; expected at most {HTML_BYTES_MAX:,}")


def _through_us(project: Project, html: str, message_id: int, now: datetime) -> str:
    if not project.file.mail.tracking.clicks:
        return html
    base = project.public_url
    return with_links(
        html,
        lambda number, url: f"{base}/c/{click_token(message_id, number, url, now)}",
        but=lambda url: is_ours(base, url),
    )


def sender(project: Project, one: Known) -> tuple[str, str, str]:
    """Name, address and Reply-To: the recruiter's own, unless the mail server may not send for
    that domain (`mail.sender.domains`); then the team's, with answers to the recruiter."""
    default = project.file.mail.sender
    name, address = one.candidate.owner_name, normal_email(one.candidate.owner_email)
    if address is None:
        return name or default.name, default.address, ""
    if default.domains and address.rpartition("@")[2] not in default.domains:
        return name or default.name, default.address, address
    return name or default.name, address, ""


def _application(enrolment: Enrolment, one: Known) -> Application | None:
    for application in one.applications:
        if application.pk == enrolment.application_id:
            return application
    return one.latest


def _candidacy(application: Application | None, now: datetime) -> dict[str, object]:
    """`weeks_since_rejection` is whole weeks, and missing where there was none."""
    said: dict[str, object] = {"date": "", "rejection_date": ""}
    if application is not None:
        said["date"] = _day(application.applied_at)
        said["rejection_date"] = _day(application.rejected_at)
        if application.rejected_at is not None:
            said["weeks_since_rejection"] = (now - application.rejected_at).days // 7
    return said


def _job(application: Application | None) -> dict[str, str]:
    job = application.job if application else None
    if job is None:
        return {"title": "", "department": "", "office": ""}
    return {"title": job.title, "department": job.department, "office": job.office}


def _day(moment: datetime | None) -> str:
    return f"{moment.day} {moment:%B %Y}" if moment else ""
