"""That an address of a mail was fetched: one row, written while the request is answered.

Nothing acts on it here. Who it was is judged by the tick (`flows.judge`), when a burst over all
links of the mail can be seen.
"""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import dataclass
from datetime import timedelta

from django.db import DatabaseError

from warmline.core.humans import Confidence
from warmline.flows.runtime import Runtime
from warmline.store.db import writing
from warmline.store.models import Hit
from warmline.store.statuses import HitKind

log = logging.getLogger("warmline.hits")

# Rows of one mail: a link that is fetched more often tells nothing new.
HITS_MAX = 200
# A scanner fetches all links of a mail within seconds; slow ones take a minute.
JUDGE_AFTER = timedelta(seconds=60)
# What stands in `why` of a hit that is not judged yet, where the request itself said so.
PREFETCH = "prefetch"


@dataclass(frozen=True, slots=True)
class Visit:
    """What a request tells of who made it. `network` is the start of the address, never all of
    it; `prefetch`: a program fetched it in advance, and said so."""

    method: str = "GET"
    agent: str = ""
    network: str = ""
    prefetch: bool = False


def network(address: str) -> str:
    """The first 24 bits of an IPv4 address, 48 of an IPv6 one; empty for what is neither."""
    try:
        ip = ipaddress.ip_address(address.strip())
    except ValueError:
        return ""
    ip = getattr(ip, "ipv4_mapped", None) or ip
    return str(ipaddress.ip_network(f"{ip}/{24 if ip.version == 4 else 48}", strict=False))


def note(
    runtime: Runtime,
    message_id: int,
    kind: HitKind,
    visit: Visit,
    *,
    link: int = 0,
    url: str = "",
    why: str = "",
) -> None:
    """Write the row. Who follows a link gets where it leads, whether or not this can be written: a
    ledger that is away loses the hit and nothing else."""
    now = runtime.now()
    act = kind is HitKind.ACT
    hit = Hit(
        message_id=message_id,
        kind=kind,
        link=link,
        url=url[:2000],
        at=now,
        method=visit.method[:8],
        agent=visit.agent[:300],
        network=visit.network,
        confidence=Confidence.HUMAN if act else Confidence.UNCONFIRMED,
        why=why or ("a form was sent" if act else PREFETCH if visit.prefetch else ""),
        judge_at=None if act else now + JUDGE_AFTER,
    )
    try:
        with writing():
            if Hit.objects.filter(message=message_id)[:HITS_MAX].count() < HITS_MAX:
                hit.save(force_insert=True)
    except DatabaseError as error:
        # A database's message may quote the row.
        log.error("action=hit_lost message=%d error=%s", message_id, type(error).__name__)
