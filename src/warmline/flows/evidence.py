"""What speaks for a person and what for a machine, in the rows of one mail's hits: told to the
rules (`core.humans`) that judge clicks wherever they come from.

Do-Not-Track and Global Privacy Control are no evidence: who sends them is a person as much as
anybody, so they are not even kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from warmline.core.humans import Confidence, Evidence, at_once, judge
from warmline.flows.hits import PREFETCH
from warmline.store.models import Hit, Message
from warmline.store.statuses import HitKind

# What fetched the trap is known by its network for so long.
TRAPPED = timedelta(hours=1)
# Who lets a hit pass: a minute after it came, we have seen all that came with it.
TELLER = "the look at all hits of the mail"


def judged(message: Message, hit: Hit, hits: Sequence[Hit]) -> tuple[Confidence, str]:
    """Who made this hit, and why we think so. `hits`: all of the mail, in the order they came."""
    left = message.handed_off_at or message.sending_at
    found = judge(
        Evidence(
            method=hit.method,
            trap=_trapped(hit, hits),
            agent=hit.agent,
            delivered_s=(hit.at - left).total_seconds() if left is not None else None,
            others_s=_others(hit, hits),
            prefetched=hit.why == PREFETCH,
            filtered=False,
            teller=TELLER,
        )
    )
    if hit.kind == HitKind.OPEN and found.who is Confidence.HUMAN:
        return Confidence.UNCONFIRMED, "a mail program showed the picture"
    return found.who, found.why


def _trapped(hit: Hit, hits: Sequence[Hit]) -> bool:
    """It is the trap, or came from the network that fetched the trap about then."""
    return any(
        other.kind == HitKind.TRAP
        and (other.pk == hit.pk or other.network == hit.network)
        and abs(other.at - hit.at) <= TRAPPED
        for other in hits
    )


def _others(hit: Hit, hits: Sequence[Hit]) -> tuple[float, ...]:
    """The seconds to each other address of the mail that was fetched. Pictures are shown with the
    letter, and a form is what a person sent."""
    if hit.kind == HitKind.OPEN:
        return ()
    return at_once(
        (hit.at.timestamp(), _address(hit)),
        (
            (other.at.timestamp(), _address(other))
            for other in hits
            if other.kind not in (HitKind.ACT, HitKind.OPEN)
        ),
    )


def _address(hit: Hit) -> str:
    return f"{hit.kind} {hit.link} {hit.url}"
