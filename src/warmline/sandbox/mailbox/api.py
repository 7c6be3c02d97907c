"""The catcher over HTTP: its pages, its JSON, and the control of the SMTP side's faults."""

from __future__ import annotations

import threading
from typing import Any

import falcon

from warmline.sandbox.control import add_control_routes, write_json
from warmline.sandbox.faults import FaultPlan
from warmline.sandbox.front import Answer, Front
from warmline.sandbox.mailbox import pages
from warmline.sandbox.mailbox.simulator import Mailbox
from warmline.sandbox.mailbox.store import Mail, open_mail

LIMIT_DEFAULT = 50
LIMIT_MAX = 1000


class ListPage:
    """`GET /`."""

    def __init__(self, box: Mailbox) -> None:
        """Show `box`."""
        self._box = box

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Newest first; `?to=` searches by recipient."""
        to, limit, offset = _asked(req)
        store = self._box.store
        mails = store.newest(limit, offset, to)
        found, total = store.count(to), store.count()
        _html(
            resp,
            pages.list_page(mails, to=to, offset=offset, limit=limit, found=found, total=total),
        )


class MailPage:
    """`GET /messages/{id}` and the mail's own HTML and source."""

    def __init__(self, box: Mailbox) -> None:
        """Show `box`."""
        self._box = box

    def on_get(self, req: falcon.Request, resp: falcon.Response, mail: int) -> None:
        """The mail in one of its views."""
        store = self._box.store
        found = store.get(mail)
        if found is None:
            _html(resp, pages.missing_page(store.count()))
            resp.status = 404
            return
        raw = store.raw(found)
        opened = open_mail(raw)
        view = req.get_param("view") or ("html" if opened.html else "text")
        view = view if view in pages.VIEWS else "text"
        around = store.neighbours(mail)
        _html(resp, pages.mail_page(found, opened, raw, view, around, store.count()))

    def on_get_html(self, req: falcon.Request, resp: falcon.Response, mail: int) -> None:
        """The HTML part alone, for the frame, under a policy that lets it do nothing."""
        _html(resp, pages.framed_html(open_mail(self._raw(mail)).html), pages.MAIL_POLICY)

    def on_get_raw(self, req: falcon.Request, resp: falcon.Response, mail: int) -> None:
        """The bytes as they came."""
        resp.data = self._raw(mail)
        resp.content_type = "text/plain; charset=utf-8"
        resp.set_header("X-Content-Type-Options", "nosniff")

    def _raw(self, mail: int) -> bytes:
        found = self._box.store.get(mail)
        if found is None:
            raise falcon.HTTPNotFound
        return self._box.store.raw(found)


class Messages:
    """`/api/messages` and one of them."""

    def __init__(self, box: Mailbox) -> None:
        """Read `box`."""
        self._box = box

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Newest first: `?to=&limit=&offset=`."""
        to, limit, offset = _asked(req)
        store = self._box.store
        mails = [mail.summary() for mail in store.newest(limit, offset, to)]
        write_json(resp, {"total": store.count(to), "messages": mails})

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Throw every mail away."""
        self._box.store.clear()
        resp.status = 204

    def on_get_one(self, req: falcon.Request, resp: falcon.Response, mail: int) -> None:
        """One mail with every header, its text and its HTML."""
        found = self._box.store.get(mail)
        if found is None:
            raise falcon.HTTPNotFound
        write_json(resp, _whole(found, self._box.store.raw(found)))

    def on_get_count(self, req: falcon.Request, resp: falcon.Response) -> None:
        """How many are kept, and how many ever came."""
        store = self._box.store
        kept = store.count(req.get_param("to") or "")
        write_json(resp, {"count": kept, "received": store.received})


class Style:
    """`GET /style.css`."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The stylesheet of the pages."""
        resp.data = pages.STYLE
        resp.content_type = "text/css; charset=utf-8"


def make_app(box: Mailbox) -> Front:
    """The WSGI application of one catcher."""
    app: Any = falcon.App()
    messages, page = Messages(box), MailPage(box)
    app.add_route("/", ListPage(box))
    app.add_route("/style.css", Style())
    app.add_route("/messages/{mail:int}", page)
    app.add_route("/messages/{mail:int}/html", page, suffix="html")
    app.add_route("/messages/{mail:int}/raw", page, suffix="raw")
    app.add_route("/api/messages", messages)
    app.add_route("/api/messages/{mail:int}", messages, suffix="one")
    app.add_route("/api/count", messages, suffix="count")
    add_control_routes(app, faults=box.faults, log=box.log, state=box.state)
    # The faults of the control API strike SMTP; the pages themselves are never made to fail.
    none = FaultPlan()
    return Front(app, faults=none, log=box.log, failure=_never, closing=threading.Event())


def _never(kind: str) -> Answer:
    raise AssertionError(kind)


def _asked(req: falcon.Request) -> tuple[str, int, int]:
    to = req.get_param("to") or ""
    limit = req.get_param_as_int("limit", min_value=1, max_value=LIMIT_MAX) or LIMIT_DEFAULT
    return to, limit, req.get_param_as_int("offset", min_value=0) or 0


def _html(resp: falcon.Response, text: str, policy: str = pages.PAGE_POLICY) -> None:
    resp.content_type = "text/html; charset=utf-8"
    resp.text = text
    resp.set_header("Content-Security-Policy", policy)
    resp.set_header("X-Content-Type-Options", "nosniff")
    resp.set_header("Referrer-Policy", "no-referrer")


def _whole(mail: Mail, raw: bytes) -> dict[str, Any]:
    opened = open_mail(raw)
    return {
        **mail.summary(),
        "all_headers": [[name, value] for name, value in opened.headers],
        "text": opened.text,
        "html": opened.html,
        "attachments": opened.attachments,
    }
