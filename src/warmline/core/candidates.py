"""Addresses of a person: what is one, and when two are the same."""

from __future__ import annotations

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

# Characters that exports and forms leave around addresses (mautic #3108: a trailing
# non-breaking space made a second contact).
_STRAY = " \t\r\n\u00a0\u200b\u200c\u200d\u2060\ufeff<>;,"


def normal_email(raw: str) -> str | None:
    """The form under which an address is unique here, or None where it is not an address.

    Lower-case throughout (every vendor of the field compares so), the domain in its ASCII form
    (IDNA), stray characters off both ends. Syntax as RFC 5321 by email-validator; no DNS look-up.
    """
    text = raw.strip(_STRAY)
    if not text or len(text) > 254:
        return None
    local, at, domain = text.rpartition("@")
    if at and text.isascii() and _plain(local) and _hostname(domain):
        return text.lower()  # the common case, twenty times as fast as the full grammar
    try:
        found = validate_email(text, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return None
    return f"{found.local_part}@{found.ascii_domain or found.domain}".lower()


def _plain(part: str) -> bool:
    return (
        part.replace(".", "").replace("-", "").replace("_", "").replace("+", "").isalnum()
        and ".." not in part
        and part[0] not in ".-_+"
        and part[-1] not in ".-_+"
        and len(part) <= 64
    )


def _hostname(domain: str) -> bool:
    """Beyond doubt a host name. Punycode, and domains that no mail server serves (`.local`), are
    left to the full grammar."""
    labels = domain.split(".")
    return (
        len(labels) > 1
        and all(
            label.replace("-", "").isalnum()
            and label[0] != "-"
            and label[-1] != "-"
            and label[2:4] != "--"
            and len(label) < 64
            for label in labels
        )
        and labels[-1].isalpha()
        and labels[-1].lower() not in SPECIAL_USE_DOMAIN_NAMES
    )


def masked(address: str) -> str:
    """For logs and errors: enough to recognise one's own test address, not to write to it."""
    local, at, domain = address.rpartition("@")
    return f"{local[:1]}***@{domain}" if at else "***"
