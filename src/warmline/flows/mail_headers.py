"""The header fields of a sequence's mail: how to say no, what list it is of, and that it is a
machine's."""

from __future__ import annotations

import re
from urllib.parse import quote

from warmline.config.project import Project
from warmline.core.sequences import StepClass
from warmline.flows.links import message_id_header
from warmline.kit.incoming.letter import OURS
from warmline.store.models import Enrolment, Message


def headers_of(
    project: Project, message: Message, enrolment: Enrolment, *, url: str, domain: str
) -> dict[str, str]:
    """`url` unsubscribes by one POST (RFC 8058); `domain` is the sender's."""
    marked = message_id_header(message.pk, domain)
    no = f"<{url}>"
    if mailbox := project.file.mail.unsubscribe_mailbox:
        no += f", <mailto:{mailbox}?subject={quote(f'unsubscribe {marked[1:-1]}')}>"
    found = {
        # An opt-out holds receipts too: transactional mails carry the button as well.
        "List-Unsubscribe": no,
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "X-Warmline-Step": f"{enrolment.sequence}/{message.step}",
        OURS: marked,
        "Auto-Submitted": "auto-generated",  # RFC 3834: no out-of-office answers, please
        "Feedback-ID": f"{message.step}:{enrolment.sequence}:{message.step_class}:warmline",
    }
    if message.step_class == StepClass.MARKETING:
        found["List-Id"] = f"<{_label(enrolment.sequence)}.{domain}>"
    return found


def _label(name: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "-", name.lower()).strip("-") or "sequence"
