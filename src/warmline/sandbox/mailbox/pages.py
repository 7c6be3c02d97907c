"""The catcher's pages: written on the server, no scripts, readable on a phone."""

from __future__ import annotations

import re
from html import escape
from pathlib import Path
from urllib.parse import urlencode

from warmline.sandbox.mailbox.store import Mail, Opened

STYLE = (Path(__file__).parent / "style.css").read_bytes()
_HEAD = re.compile(r"<head\b[^>]*>", re.IGNORECASE)
VIEWS = {"html": "HTML", "text": "Plain text", "headers": "Headers", "source": "Source"}
PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'"
)
# The mail itself: no scripts, no forms, nothing fetched from elsewhere; links open a new tab.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; "
    "sandbox allow-popups allow-popups-to-escape-sandbox"
)


def list_page(
    mails: list[Mail], *, to: str, offset: int, limit: int, found: int, total: int
) -> str:
    """Newest first, with the search and the way to older mails: `found` of the `total` match."""
    if not mails:
        return _page("Mail", _empty(to), to, total)
    rows = "".join(_row(mail) for mail in mails)
    heading = f"Mail to “{escape(to)}”" if to else "Caught mail"
    first, last = offset + 1, offset + len(mails)
    newer = _step("Newer", to, max(0, offset - limit)) if offset else "<span></span>"
    older = _step("Older", to, offset + limit) if last < found else "<span></span>"
    body = (
        f'<h1>{heading}</h1><ul class="mails sheet">{rows}</ul>'
        f'<nav class="pages" aria-label="Pages">{newer}<span>{first:,} to {last:,} of {found:,}'
        f"</span>{older}</nav>"
    )
    return _page("Mail", body, to, total)


def mail_page(
    mail: Mail,
    opened: Opened,
    raw: bytes,
    view: str,
    around: tuple[int | None, int | None],
    total: int,
) -> str:
    """One mail in one of its views."""
    subject = mail.subject() or "(no subject)"
    headers = mail.headers()
    facts = {
        "From": headers.get("from", mail.mail_from),
        "To": ", ".join(mail.rcpt_to),
        "Received": _moment(mail.received_at),
        "Unsubscribe": headers.get("list-unsubscribe", ""),
        "Attached": ", ".join(a["filename"] or a["content_type"] for a in opened.attachments),
    }
    rows = "".join(f"<dt>{k}</dt><dd>{escape(v)}</dd>" for k, v in facts.items() if v)
    tabs = "".join(
        f'<a href="/messages/{mail.id}?view={key}"{_current(key == view)}>{label}</a>'
        for key, label in VIEWS.items()
    )
    newer, older = around
    steps = (
        (f'<a href="/messages/{newer}" rel="prev">Newer mail</a>' if newer else "<span></span>")
        + '<a href="/">All mail</a>'
        + (f'<a href="/messages/{older}" rel="next">Older mail</a>' if older else "<span></span>")
    )
    body = (
        f'<nav class="steps" aria-label="Mails">{steps}</nav><h1>{escape(subject)}</h1>'
        f'<article class="sheet"><dl>{rows}</dl>'
        f'<nav class="tabs" aria-label="Views of this mail">{tabs}</nav>'
        f"{_view(mail, opened, raw, view)}</article>"
    )
    return _page(subject, body, "", total)


def framed_html(html: str) -> str:
    """The mail's own HTML as the frame shows it: links open in a tab of their own."""
    base = '<base target="_blank">'
    # Inside the head, so that the mail keeps its doctype and is laid out as its readers see it.
    framed, found = _HEAD.subn(lambda head: head[0] + base, html, count=1)
    return framed if found else f"<!doctype html>{base}{html}"


def missing_page(total: int) -> str:
    """For a mail that is not, or no longer, kept."""
    body = (
        '<div class="sheet empty"><h1>This mail is not here</h1>'
        '<p>It may have been thrown away. <a href="/">All mail</a></p></div>'
    )
    return _page("Not here", body, "", total)


def _view(mail: Mail, opened: Opened, raw: bytes, view: str) -> str:
    if not raw:
        return _note("The body is no longer kept; only the list still knows this mail.")
    if view == "html":
        if not opened.html:
            return _note("This mail has no HTML part.")
        return (
            f'<iframe src="/messages/{mail.id}/html" title="The mail as HTML" '
            'sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>'
        )
    if view == "text":
        return f"<pre>{escape(opened.text)}</pre>" if opened.text else _note("No plain text part.")
    if view == "headers":
        rows = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in opened.headers)
        return f'<dl class="headers">{rows}</dl>'
    return f"<pre>{escape(raw.decode('utf-8', 'replace'))}</pre>"


def _row(mail: Mail) -> str:
    to = ", ".join(mail.rcpt_to)
    return (
        f'<li><a href="/messages/{mail.id}"><span class="to">{escape(to)}</span>'
        f'<span class="subject">{escape(mail.subject() or "(no subject)")}</span>'
        f'<time datetime="{mail.received_at}">{_moment(mail.received_at)}</time></a></li>'
    )


def _empty(to: str) -> str:
    if to:
        text = 'Nothing has been caught for this recipient. <a href="/">All mail</a>'
        return f'<div class="sheet empty"><h1>No mail to “{escape(to)}”</h1><p>{text}</p></div>'
    return (
        '<div class="sheet empty"><h1>No mail yet</h1><p>Everything that is sent to this catcher '
        "shows here, newest first. Nothing is ever sent on.</p></div>"
    )


def _page(title: str, body: str, to: str, total: int) -> str:
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)} · Mail catcher</title><link rel="stylesheet" href="/style.css">'
        '</head><body><a class="skip" href="#main">Skip to the mail</a><header>'
        f'<a class="name" href="/">Mail catcher</a><p>{total:,} caught, none sent on</p>'
        '<form class="search" action="/" role="search"><label for="to">Recipient</label>'
        f'<input id="to" name="to" type="search" placeholder="Recipient" value="{escape(to)}">'
        f'<button>Find</button></form></header><main id="main">{body}</main></body></html>'
    )


def _note(text: str) -> str:
    return f'<div class="empty"><p>{text}</p></div>'


def _step(label: str, to: str, offset: int) -> str:
    query = urlencode({k: v for k, v in (("to", to), ("offset", offset)) if v})
    return f'<a href="/?{escape(query)}">{label}</a>'


def _current(is_current: bool) -> str:
    return ' aria-current="page"' if is_current else ""


def _moment(stamp: str) -> str:
    """`2026-01-31 09:30:00 UTC`."""
    return f"{stamp[:10]} {stamp[11:19]} UTC"
