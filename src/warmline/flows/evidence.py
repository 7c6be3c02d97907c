"""What speaks for a person and what for a machine, in the rows of one mail's hits.

Do-Not-Track and Global Privacy Control are no evidence: who sends them is a person as much as
anybody, so they are not even kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from warmline.flows.hits import PREFETCH
from warmline.store.models import Hit, Message
from warmline.store.statuses import Confidence, HitKind

# A scanner in the road of the mail fetches before anybody can have read it.
SOONEST = timedelta(seconds=10)
# Nobody follows so many different links within so short a time.
BURST_LINKS, BURST = 3, timedelta(seconds=15)
# What fetched the trap is known by its network for so long.
TRAPPED = timedelta(hours=1)

_BROWSER = re.compile(r"^(Mozilla/5\.0|Opera/)")
_MACHINE = re.compile(
    r"bot\b|crawl|spider|preview|scan|headless|curl/|wget/|python|httpx|go-http|java/|okhttp|"
    r"barracuda|mimecast|proofpoint|symantec|trendmicro|forcepoint|sophos|safelinks",
    re.IGNORECASE,
)


def judged(message: Message, hit: Hit, hits: Sequence[Hit]) -> tuple[Confidence, str]:
    """Who made this hit, and why we think so. `hits`: all of the mail, in the order they came."""
    for why in (_of_itself(hit), _of_its_company(hit, hits)):
        if why:
            return Confidence.MACHINE, why
    left = message.handed_off_at or message.sending_at
    if left is not None and hit.at - left < SOONEST:
        return (
            Confidence.UNCONFIRMED,
            f"{(hit.at - left).total_seconds():.0f} s after the mail left",
        )
    if hit.kind == HitKind.OPEN:
        return Confidence.UNCONFIRMED, "a mail program showed the picture"
    return Confidence.HUMAN, "one link, by a browser, with time to read"


def _of_itself(hit: Hit) -> str:
    if hit.kind == HitKind.TRAP:
        return "the link that no person can see"
    if hit.method != "GET":
        return f"by {hit.method}"
    if hit.why == PREFETCH:
        return "fetched in advance"
    if not _BROWSER.search(hit.agent):
        return "not by a browser"
    if _MACHINE.search(hit.agent):
        return "by a program that says so"
    return ""


def _of_its_company(hit: Hit, hits: Sequence[Hit]) -> str:
    for other in hits:
        near = abs(other.at - hit.at) <= TRAPPED
        if other.kind == HitKind.TRAP and near and other.network == hit.network:
            return "the same network followed the link that no person can see"
    near_by = {
        (other.kind, other.link, other.url)
        for other in hits
        if other.kind != HitKind.ACT and other.kind != HitKind.OPEN
        if abs(other.at - hit.at) <= BURST
    }
    if hit.kind != HitKind.OPEN and len(near_by) >= BURST_LINKS:
        return f"{len(near_by)} links within {BURST.total_seconds():.0f} s"
    return ""
