"""Nurture mails that are due, in a ledger, and handed over. Imported once Django is set up."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

from django.db import connections

from warmline.config.project import load
from warmline.core.segments import Segment
from warmline.engine.work import Worker
from warmline.flows import first_sync
from warmline.flows.places import spot
from warmline.flows.reconcile import mark_fresh
from warmline.flows.runtime import Runtime, build, utc_now
from warmline.store.models import (
    Application,
    Candidate,
    CandidateEmail,
    Delivery,
    Enrolment,
    Event,
    Job,
    Message,
    Segmentation,
    Stage,
)
from warmline.store.statuses import LANES, MessageStatus, lane_of

PLACES = ("Lisbon", "Berlin, Germany", "Portland, OR", "Toronto", "Bengaluru", "")
SENDERS = 12


def hand_over(folder: Path, threads: int) -> dict[str, float]:
    """All that is due, by so many mail connections: how many left, and how long it took."""
    runtime = build(load(folder))
    first_sync.allow(utc_now())
    mark_fresh("ats", utc_now())
    spot("Lisbon")  # read once a process, and not what is measured
    workers = [threading.Thread(target=_drain, args=(runtime, i, threads)) for i in range(threads)]
    began, cpu_s = time.perf_counter(), time.process_time()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    took_s, cpu_s = time.perf_counter() - began, time.process_time() - cpu_s
    left = Message.objects.filter(status=MessageStatus.HANDED_OFF).count()
    runtime.close()
    return {"handed": left, "took_s": took_s, "cpu_s": cpu_s}


def _drain(runtime: Runtime, number: int, threads: int) -> None:
    worker, lanes = Worker(runtime), set(range(LANES)[number::threads])
    while worker.drain("mail", lanes):
        pass
    worker.close()
    connections.close_all()


def seed(count: int) -> None:
    """So many candidates on the welcome sequence, each with a nurture mail that is due now."""
    now = utc_now()
    day = now - timedelta(days=3)
    delivery = Delivery.objects.create(
        connection="ats", key="bench", channel="webhook", body=b"{}", received_at=day,
        status="interpreted",
    )  # fmt: skip
    job = Job.objects.create(connection="ats", external_id="1", title="Baker", office="Bristol")
    stage = Stage.objects.create(connection="ats", external_id="1", name="New", kind="applied")
    people = Candidate.objects.bulk_create(
        [
            Candidate(
                first_name="Ada", last_name=f"Lind {i}", owner_name="Kim Marsh",
                owner_email=f"kim{i % SENDERS}@example.com", place=PLACES[i % len(PLACES)],
                as_of=day, created_at=day,
            )
            for i in range(count)
        ],
        batch_size=500,
    )  # fmt: skip
    CandidateEmail.objects.bulk_create(
        [CandidateEmail(candidate=c, normal=f"p{c.pk}@mail.example.com") for c in people],
        batch_size=500,
    )
    applications = Application.objects.bulk_create(
        [
            Application(
                candidate=c, connection="ats", external_id=str(c.pk), job=job, stage=stage,
                applied_at=day, stage_as_of=day, as_of=day,
            )
            for c in people
        ],
        batch_size=500,
    )  # fmt: skip
    Segmentation.objects.bulk_create(
        [
            Segmentation(
                candidate=c, segment=Segment.ACTIVE_APPLICANT, rule="in a pipeline", since=day,
                placed_at=day, next_at=now + timedelta(days=30),
            )
            for c in people
        ],
        batch_size=500,
    )  # fmt: skip
    event = Event.objects.create(
        connection="ats", key="bench", kind="application.submitted", word="w", occurred_at=day,
        recorded_at=day, delivery=delivery,
    )  # fmt: skip
    enrolments = Enrolment.objects.bulk_create(
        [
            Enrolment(
                candidate=c, sequence="welcome", version="v", application=a, event=event,
                enrolled_at=day, next_step=3,
            )
            for c, a in zip(people, applications, strict=True)
        ],
        batch_size=500,
    )  # fmt: skip
    Message.objects.bulk_create(
        [
            Message(
                enrolment=e, step=2, step_class="marketing", candidate_id=e.candidate_id,
                planned_at=now, due_at=now, lane=lane_of(e.candidate_id),
            )
            for e in enrolments
        ],
        batch_size=500,
    )  # fmt: skip
