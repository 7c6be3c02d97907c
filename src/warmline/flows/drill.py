"""`warmline alerts drill`: a real failure, made on purpose, on the real road.

A delivery that nobody can read is put where webhooks are put. The running Warmline reads it, fails,
opens an incident, plans an alert and sends it by every channel, as it would for any other; the
drill only looks on, and says which channel accepted it, and when. Nothing is sent to a vendor, and
no candidate is touched. The incident stays in the ledger, resolved: the proof that alerts arrive.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from warmline.core.errors import ConfigError, WarmlineError
from warmline.flows import alerts, interpret
from warmline.flows.incidents import DRILL, resolve
from warmline.flows.runtime import Runtime, intake_lane
from warmline.ports import Channel as DeliveryChannel
from warmline.store.db import writing
from warmline.store.models import Alert, Delivery, Incident
from warmline.store.statuses import AlertStatus, DeliveryStatus

ARRIVES_WITHIN = timedelta(seconds=60)
_BODY = b"A drill of Warmline's: nobody can read this, and that is what it is for."
_OVER = (AlertStatus.SENT, AlertStatus.FAILED, AlertStatus.DROPPED)


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of the drill by one channel. `at`: when it accepted the alert; None where it did
    not, and then `reason` says why."""

    channel: str
    what: str
    at: datetime | None
    reason: str
    took: timedelta | None


def begin(runtime: Runtime) -> int:
    """Put the delivery that fails into the ledger. Returns its number. Raises ConfigError where
    there is no channel that could tell of it, or no connection that could fail."""
    if not runtime.channels:
        raise ConfigError(
            "no alert channel is configured: nobody is told of any failure",
            hint="set alerts.mail or alerts.to in warmline.yaml",
        )
    able = runtime.connections_that("parses")
    if not able:
        raise ConfigError("no connection brings events, so none can fail at reading one")
    now = runtime.now()
    with writing():
        row = Delivery.objects.create(
            connection=able[0],
            key=f"{DRILL}{uuid.uuid4().hex}",
            channel=DeliveryChannel.IMPORT,
            method="",
            body=_BODY,
            received_at=now,
        )
    runtime.poke([intake_lane(able[0])])
    return row.pk


def incident_of(delivery: int) -> Incident | None:
    row = Delivery.objects.get(pk=delivery)
    return Incident.objects.filter(key=f"{row.connection}:delivery:{row.key}").first()


def run_alone(runtime: Runtime, delivery: int) -> list[Answer] | None:
    """Where no Warmline runs: the same road in this process. The caller is the sole runner."""
    while interpret.drain(runtime, Delivery.objects.get(pk=delivery).connection):
        pass
    alerts.tick(runtime)
    for name in runtime.channels:
        while alerts.drain(runtime, name):
            pass
    return answers(runtime, delivery)


def answers(runtime: Runtime, delivery: int) -> list[Answer] | None:
    """What each channel said; None as long as not all have answered."""
    incident = incident_of(delivery)
    if incident is None or incident.told_at is None:
        return None
    rows = {row.channel: row for row in Alert.objects.filter(incidents=incident)}
    if any(row.status not in _OVER for row in rows.values()):
        return None
    return _answers(runtime, incident, rows)


def end(runtime: Runtime, delivery: int) -> list[Answer]:
    """The drill is over: its incident is resolved, its delivery means nothing, and what was not
    sent yet is not sent any more. Returns how it went, what never came included."""
    incident, now = incident_of(delivery), runtime.now()
    with writing():
        Delivery.objects.filter(
            pk=delivery, status__in=[DeliveryStatus.RECEIVED, DeliveryStatus.MALFORMED]
        ).update(status=DeliveryStatus.UNMAPPED, reason="a drill of the alerts")
        if incident is not None:
            Alert.objects.filter(incidents=incident, status=AlertStatus.PLANNED).update(
                status=AlertStatus.FAILED, reason="it did not leave while the drill lasted"
            )
            Incident.objects.filter(pk=incident.pk).update(tell_at=None)
            resolve([incident.key], "the drill is over", now=now)
    if incident is None:
        raise WarmlineError(
            "the failure that was made on purpose was not noticed in time",
            hint="`warmline up` runs and did not read it: look at its log",
        )
    rows = {row.channel: row for row in Alert.objects.filter(incidents=incident)}
    return _answers(runtime, incident, rows)


def _answers(runtime: Runtime, incident: Incident, rows: dict[str, Alert]) -> list[Answer]:
    found = []
    for name, channel in runtime.channels.items():
        row = rows.get(name)
        sent = row.sent_at if row is not None and row.status == AlertStatus.SENT else None
        reason = "" if sent else (row.reason if row is not None else "no alert was planned for it")
        took = sent - incident.opened_at if sent else None
        found.append(Answer(name, channel.what, sent, reason, took))
    return found
