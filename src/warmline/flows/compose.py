"""A message row into a mail: the step's template, the candidate's data, the headers."""

from __future__ import annotations

from datetime import datetime

from warmline.config.project import Project
from warmline.core.candidates import normal_email
from warmline.flows.fields import Known
from warmline.flows.links import message_id_header, unsubscribe_token
from warmline.flows.mail_headers import headers_of
from warmline.ports import Envelope
from warmline.store.models import Application, Enrolment, Message


def compose(
    project: Project, message: Message, enrolment: Enrolment, one: Known, now: datetime
) -> Envelope:
    """The mail, ready to hand over. Raises core.mail.MailError rather than make a half-empty mail,
    and LookupError where the step is no longer in the sequence's files."""
    compiled = project.sequences[enrolment.sequence].compiled[message.step]
    url = f"{project.public_url}/u/{unsubscribe_token(message.pk, now)}"
    sender_name, sender_address, reply_to = sender(project, one)
    application = _application(enrolment, one)
    rendered = compiled.render(
        {
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
            "unsubscribe_url": url,
            "content": dict(project.file.content),
        }
    )
    return Envelope(
        message_id=message_id_header(message.pk, sender_address.rpartition("@")[2]),
        sender_name=sender_name,
        sender_address=sender_address,
        recipient_name=one.candidate.name,
        recipient_address=one.emails[0],
        reply_to=project.file.mail.replies_to or reply_to,
        subject=rendered.subject,
        text=rendered.text,
        html=rendered.html,
        sent_at=now,
        headers=headers_of(
            project, message, enrolment, url=url, domain=sender_address.rpartition("@")[2]
        ),
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
