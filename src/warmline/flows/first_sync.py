"""Nothing is exported or mailed before everybody is in a segment and tagged in the ATS.

The guide: each record is tagged before the first sync, and the tag decides which sequence a
candidate enters. Webhooks are taken in meanwhile, and what they ask for waits.
"""

from __future__ import annotations

from datetime import datetime

from warmline.core.triggers import OWN
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.runtime import Runtime
from warmline.store.db import writing
from warmline.store.models import Cursor

_STREAM = "segmented"
_INCIDENT = "first-sync"


def waits(runtime: Runtime, family: str) -> bool:
    """Whether this kind of work must wait for the first `warmline segment --apply`."""
    kind, _, target = family.partition(":")
    outward = kind == "mail" or (kind == "act" and runtime.role(target) == "crm")
    return outward and not allowed(runtime)


def allowed(runtime: Runtime) -> bool:
    """Whether it has run. Once it has, that stays so."""
    if not runtime.first_sync_allowed:
        runtime.first_sync_allowed = Cursor.objects.filter(
            connection=OWN, stream=_STREAM, read_at__isnull=False
        ).exists()
    return runtime.first_sync_allowed


def allow(now: datetime) -> None:
    """Everybody is in a segment, and tagged. The caller holds the transaction."""
    Cursor.objects.update_or_create(connection=OWN, stream=_STREAM, defaults={"read_at": now})
    resolve([_INCIDENT], "`warmline segment --apply` has run", now=now)


def tell(runtime: Runtime) -> None:
    """Work waits for it: somebody must know. Told once a process."""
    if _INCIDENT in runtime.orphans_told:
        return
    runtime.orphans_told.add(_INCIDENT)
    with writing():
        open_incident(
            _INCIDENT,
            "nothing is exported or mailed: the candidates are not tagged with their segments yet",
            now=runtime.now(),
            hint="`warmline segment` shows who is where; `warmline segment --apply` tags them",
        )
