"""Deletions and merges in the ATS that no webhook told of and no listing shows: known records are
asked for, a few at a time, round and round."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import timedelta

from warmline.core.errors import Throttled, WarmlineError
from warmline.core.events import Event
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.intake import delivery_row
from warmline.flows.interpret import take
from warmline.flows.runtime import PACED_S, Lane, Runtime
from warmline.ports import Channel, FindsMissing, Received
from warmline.store.db import writing
from warmline.store.models import Application, Cursor, ExternalId

log = logging.getLogger("warmline.absent")

# Records asked for after each poll: ten calls to Greenhouse, of the 75 that it allows in 30 s.
RECORDS_A_LOOK = 250
# A record may be out of sight for a moment (rights that change, a job made confidential), and a
# deletion is for good here: it is believed when it is missed again so much later.
BELIEVED_AFTER = timedelta(hours=1)
_STREAM, _MISSED = "absent", "absent:"


def look_for_missing(runtime: Runtime, connection: str, *, records: int = RECORDS_A_LOOK) -> int:
    """Ask for the next few known records. Returns how many events came of it. Trouble is an
    incident; the next look goes on from here."""
    connector: FindsMissing = runtime.connectors[connection]
    cursor, _ = Cursor.objects.get_or_create(connection=connection, stream=_STREAM)
    after = int(cursor.position or 0)
    rows = list(
        ExternalId.objects.filter(connection=connection, gone_at=None, pk__gt=after)
        .order_by("pk")
        .values_list("pk", "external_id", "candidate")[:records]
    )
    key = f"{connection}:absent"
    try:
        events = connector.missing(_known(connection, rows)) if rows else []
    except WarmlineError as error:
        if isinstance(error, Throttled) and error.after_s <= PACED_S:
            runtime.poll_again_s[connection] = error.after_s
            return 0  # its own pace: the same records are asked for in a moment
        log.warning("action=look_for_missing connection=%s reason=%s", connection, error.reason)
        with writing():
            open_incident(
                key, error.reason, now=runtime.now(), connection=connection, hint=error.hint
            )
        return 0
    with writing():
        believed = _believed(runtime, connection, [record for _, record, _ in rows], events)
        lanes = _take(runtime, connection, believed) if believed else set[Lane]()
        # At the end it begins again.
        cursor.position = str(rows[-1][0]) if len(rows) == records else ""
        cursor.read_at = runtime.now()
        cursor.save()
        resolve([key], "the known records can be asked for again", now=runtime.now())
    runtime.poke(lanes)
    return len(believed)


def _known(connection: str, rows: Sequence[tuple[int, str, int]]) -> dict[str, list[str]]:
    applications: dict[int, list[str]] = {}
    found = Application.objects.filter(
        connection=connection, candidate__in={candidate for *_, candidate in rows}
    ).exclude(status="deleted")
    for candidate, number in found.values_list("candidate", "external_id"):
        applications.setdefault(candidate, []).append(number)
    return {record: applications.get(candidate, []) for _, record, candidate in rows}


def _believed(
    runtime: Runtime, connection: str, asked: Sequence[str], events: Sequence[Event]
) -> list[Event]:
    """The events of what was missed before, long enough ago; what is missed for the first time is
    noted, and what is there again forgotten."""
    now = runtime.now()
    names = {f"{_MISSED}{event.key}"[:64]: event for event in events}
    rows = Cursor.objects.filter(connection=connection, stream__startswith=_MISSED)
    noted = dict(rows.filter(stream__in=names).values_list("stream", "read_at"))
    Cursor.objects.bulk_create(
        Cursor(connection=connection, stream=name, position=_record(event), read_at=now)
        for name, event in names.items()
        if name not in noted
    )
    rows.filter(position__in=asked).exclude(stream__in=names).delete()
    believed = [
        event
        for name, event in names.items()
        if (since := noted.get(name)) is not None and now - since >= BELIEVED_AFTER
    ]
    rows.filter(stream__in=[f"{_MISSED}{e.key}"[:64] for e in believed]).delete()
    return believed


def _record(event: Event) -> str:
    return event.candidate.external_id if event.candidate else ""


def _take(runtime: Runtime, connection: str, events: list[Event]) -> set[Lane]:
    body = json.dumps([{"kind": e.kind, "key": e.key} for e in events]).encode()
    received = Received(Channel.POLL, body, runtime.now(), stream=_STREAM)
    key = f"{_STREAM}:{runtime.now().isoformat()}:{events[0].key}"
    return take(runtime, delivery_row(connection, received, key), events)
