"""HubSpot's own marketing mails as its e-mail events (v1) tell them: sent, delivered, clicked.

The calls, their parameters and `sentBy` are HubSpot's documentation of the legacy e-mail analytics;
that a click tells `filteredEvent` is not in it (see the connector's README).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import falcon

from warmline.sandbox.clock import Now, epoch_ms
from warmline.sandbox.control import write_json
from warmline.sandbox.hubspot.errors import ApiError, not_found

SCOPE = "content"
LIMIT, LIMIT_MAX = 10, 1000
FIRST_CAMPAIGN = 42_000
SENT_BEFORE_MS = 3_600_000
ROLES = "https://example.com/roles"
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/122.0.0.0 Safari/537.36"
)
Event = dict[str, Any]


class Emails:
    """Every event, oldest first, and the subject of every campaign."""

    def __init__(self, now: Now) -> None:
        """Nothing was sent."""
        self._now = now
        self.events: list[Event] = []
        self.campaigns: dict[str, int] = {}  # by subject
        self.tells_filtered = True  # a click says `filteredEvent`

    def send(self, email: str, subject: str, *, at_ms: int | None = None) -> Event:
        """A mail of that subject leaves, and arrives a second later."""
        at_ms = epoch_ms(self._now()) if at_ms is None else at_ms
        campaign = self.campaigns.setdefault(subject, FIRST_CAMPAIGN + len(self.campaigns))
        sent = self._add("SENT", email, at_ms, campaign, subject=subject)
        sent_by = {"id": sent["id"], "created": at_ms}
        self._add("DELIVERED", email, at_ms + 1000, campaign, sentBy=sent_by)
        return sent

    def click(
        self,
        email: str,
        subject: str,
        url: str,
        *,
        bot: bool = False,
        agent: str = BROWSER,
        at_ms: int | None = None,
    ) -> Event:
        """A link in the last mail of that subject (of any, where none is named) is clicked. Where
        there is no such mail, it was sent an hour ago."""
        at_ms = epoch_ms(self._now()) if at_ms is None else at_ms
        mine = [
            one
            for one in self.events
            if one["type"] == "SENT" and one["recipient"] == email.lower()
            if not subject or one["subject"] == subject
        ]
        sent = mine[-1] if mine else self.send(email, subject, at_ms=at_ms - SENT_BEFORE_MS)
        return self._add(
            "CLICK",
            email,
            at_ms,
            sent["emailCampaignId"],
            url=url or ROLES,
            filteredEvent=bot,
            userAgent=agent,
            browser={"name": "", "type": "Browser"},
            sentBy={"id": sent["id"], "created": sent["created"]},
        )

    def shown(self, event: Event) -> Event:
        """As the API answers it."""
        hidden: Collection[str] = () if self.tells_filtered else ("filteredEvent",)
        return {name: value for name, value in event.items() if name not in hidden}

    def _add(self, kind: str, email: str, at_ms: int, campaign: int, **more: Any) -> Event:
        event: Event = {
            "id": f"00000000-0000-4000-8000-{len(self.events) + 1:012d}",
            "created": at_ms,
            "type": kind,
            "recipient": email.lower(),
            "emailCampaignId": campaign,
            "appName": "Batch",
            **more,
        }
        self.events.append(event)
        return event


class EmailEvents:
    """`/email/public/v1/events` and `/email/public/v1/campaigns/{id}`."""

    def __init__(self, emails: Emails) -> None:
        """Read `emails`."""
        self._emails = emails

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Those asked for, the newest first."""
        limit = req.get_param_as_int("limit") or LIMIT
        offset = req.get_param("offset") or "0"
        if not 1 <= limit <= LIMIT_MAX or not offset.isdecimal():
            raise ApiError(400, "VALIDATION_ERROR", "limit or offset cannot be read")
        first = int(offset)
        start = req.get_param_as_int("startTimestamp") or 0
        end = req.get_param_as_int("endTimestamp") or 10**15
        recipient, kind = req.get_param("recipient"), req.get_param("eventType")
        unfiltered = req.get_param_as_bool("excludeFilteredEvents") or False
        found = [
            self._emails.shown(one)
            for one in sorted(self._emails.events, key=lambda one: -one["created"])
            if start <= one["created"] <= end
            and recipient in (None, one["recipient"])
            and kind in (None, one["type"])
            and not (unfiltered and one.get("filteredEvent"))
        ]
        more = len(found) > first + limit
        page = {"events": found[first : first + limit], "hasMore": more}
        write_json(resp, {**page, "offset": str(first + limit)})

    def on_get_campaign(self, _req: falcon.Request, resp: falcon.Response, key: str) -> None:
        """One campaign, by its number."""
        for subject, number in self._emails.campaigns.items():
            if str(number) == key:
                write_json(resp, {"id": number, "name": subject, "subject": subject})
                return
        raise not_found(key)
