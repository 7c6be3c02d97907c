"""The ledger's tables. The unique constraints below are the invariants, held by the database:

- I2 one delivery, one event, one action: `delivery_once`, `event_once`, `Action.key`;
- I3 one person, one candidate, one contact: `CandidateEmail.normal`, `external_id_once`,
  `contact_once`;
- every candidate is in one segment: `Segmentation.candidate`;
- I4 one (enrolment, step), one message: `message_once`; one person on a sequence once a run:
  `enrolment_once`.

All times are UTC. Nothing here is deleted in the ordinary run of things: states move, rows stay.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import ClassVar

from django.db import models
from django.db.models import Q, UniqueConstraint

from warmline.core.engagement import ACTS
from warmline.core.events import ApplicationStatus, EventKind, InterviewStatus, StageKind
from warmline.core.humans import Confidence
from warmline.core.segments import Segment
from warmline.core.sequences import StepClass
from warmline.ports import Channel
from warmline.store.statuses import (
    ActionStatus,
    AlertKind,
    AlertStatus,
    ConsentBasis,
    DeliveryStatus,
    EnrolmentStatus,
    EventEffect,
    HitKind,
    IdentityKind,
    IncidentStatus,
    LikenessStatus,
    MessageStatus,
    PauseScope,
    SuppressionReason,
)

# Older than any news: what nobody has told a time for.
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


def _choices(words: type[StrEnum]) -> list[tuple[str, str]]:
    return [(word.value, word.value) for word in words]


def _word(words: type[StrEnum], default: StrEnum | None = None) -> models.CharField[str, str]:
    """A status column: one word of a closed vocabulary."""
    if default is None:
        return models.CharField(max_length=32, choices=_choices(words))
    return models.CharField(max_length=32, choices=_choices(words), default=default.value)


class Delivery(models.Model):
    """Raw bytes received. `key` is the sender's id of it, or a hash of the bytes."""

    connection = models.CharField(max_length=64)
    key = models.CharField(max_length=200)
    channel = _word(Channel)
    stream = models.CharField(max_length=64, blank=True, default="")
    method = models.CharField(max_length=8, default="POST")
    url = models.CharField(max_length=2000, blank=True, default="")
    headers = models.JSONField(default=dict)
    body = models.BinaryField()
    received_at = models.DateTimeField()
    status = _word(DeliveryStatus, DeliveryStatus.RECEIVED)
    reason = models.TextField(blank=True, default="")
    attempts = models.PositiveSmallIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(fields=["connection", "key"], name="delivery_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["connection", "id"],
                condition=Q(status=DeliveryStatus.RECEIVED.value),
                name="delivery_waiting",
            )
        ]


class Candidate(models.Model):
    """A person, across systems. A merged candidate points to the one that stands for both."""

    first_name = models.CharField(max_length=200, blank=True, default="")
    last_name = models.CharField(max_length=200, blank=True, default="")
    owner_name = models.CharField(max_length=200, blank=True, default="")
    owner_email = models.CharField(max_length=254, blank=True, default="")
    tags = models.JSONField(default=list)
    phones = models.JSONField(default=list)
    links = models.JSONField(default=list, help_text="profile pages, as written")
    employer = models.CharField(max_length=200, blank=True, default="")
    place = models.CharField(max_length=200, blank=True, default="")
    do_not_contact = models.BooleanField(default=False)
    opted_out = models.CharField(
        max_length=32, blank=True, default="", help_text="the person's own no, for new addresses"
    )
    sourced_at = models.DateTimeField(null=True, help_text="when the ATS first had the record")
    as_of = models.DateTimeField(help_text="time of the newest facts applied")
    created_at = models.DateTimeField()
    merged_into = models.ForeignKey("self", null=True, on_delete=models.PROTECT)
    erased_at = models.DateTimeField(null=True)

    @property
    def name(self) -> str:
        return f"{self.first_name} {self.last_name}".strip()


class CandidateEmail(models.Model):
    """An address of a candidate. `normal` belongs to one person. `told_at` is when the ATS last
    named it and `rank` where it stood then: the newest and first is preferred. `mailbox` is where
    it is delivered (`core.matching.mailbox_key`): the same for `ab@` and `a.b+x@gmail.com`."""

    PREFERRED_FIRST: ClassVar = ("-told_at", "rank", "normal")

    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="emails")
    normal = models.CharField(max_length=254, unique=True)
    mailbox = models.CharField(max_length=254, db_index=True, default="")
    record = models.CharField(
        max_length=200, blank=True, default="", help_text="that first named it"
    )
    told_at = models.DateTimeField(default=LONG_AGO)
    rank = models.SmallIntegerField(default=0)


class IdentityKey(models.Model):
    """What else tells that two records may be one person, in a form that compares."""

    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="identity_keys")
    kind = _word(IdentityKind)
    value = models.CharField(max_length=254)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["kind", "value"], name="identity_key")]


class ExternalId(models.Model):
    """A record of another system that stands for a candidate: an ATS candidate, a CRM contact.

    `written` holds the field values which that system last confirmed to have from us; `segment`
    the one whose tag it confirmed.
    """

    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="external_ids")
    connection = models.CharField(max_length=64)
    external_id = models.CharField(max_length=128)
    contact = models.BooleanField(default=False, help_text="a CRM contact that we write to")
    written = models.JSONField(default=dict)
    segment = models.CharField(
        max_length=32, blank=True, default="", help_text="whose tag this ATS record carries"
    )
    do_not_contact = models.BooleanField(default=False, help_text="the vendor's mark on it")
    gone_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(fields=["connection", "external_id"], name="external_id_once"),
            UniqueConstraint(
                fields=["candidate", "connection"],
                condition=Q(contact=True, gone_at__isnull=True),
                name="contact_once",
            ),
        ]


class Job(models.Model):
    connection = models.CharField(max_length=64)
    external_id = models.CharField(max_length=128)
    title = models.CharField(max_length=300)
    department = models.CharField(max_length=200, blank=True, default="")
    office = models.CharField(max_length=200, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(fields=["connection", "external_id"], name="job_once")
        ]


class Stage(models.Model):
    """A stage of a pipeline, with the vendor's label and our kind (null where unmapped)."""

    connection = models.CharField(max_length=64)
    external_id = models.CharField(max_length=128)
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=32, choices=_choices(StageKind), null=True)

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(fields=["connection", "external_id"], name="stage_once")
        ]


class Application(models.Model):
    """One candidacy for one job. Two clocks: `as_of` of the facts, `stage_as_of` of the stage.
    `reached` is the furthest stage it ever stood at; `moved_at` when it last changed stage."""

    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="applications")
    connection = models.CharField(max_length=64)
    external_id = models.CharField(max_length=128)
    job = models.ForeignKey(Job, null=True, on_delete=models.PROTECT, db_index=False)
    stage = models.ForeignKey(Stage, null=True, on_delete=models.PROTECT, db_index=False)
    status = _word(ApplicationStatus, ApplicationStatus.ACTIVE)
    prospect = models.BooleanField(default=False)
    applied_at = models.DateTimeField(null=True)
    rejected_at = models.DateTimeField(null=True)
    stage_as_of = models.DateTimeField(null=True)
    reached = models.CharField(max_length=32, choices=_choices(StageKind), blank=True, default="")
    moved_at = models.DateTimeField(null=True)
    as_of = models.DateTimeField()
    url = models.CharField(max_length=1000, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(fields=["connection", "external_id"], name="application_once")
        ]


class Interview(models.Model):
    application = models.ForeignKey(
        Application, null=True, on_delete=models.PROTECT, related_name="interviews"
    )
    connection = models.CharField(max_length=64)
    external_id = models.CharField(max_length=128)
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    status = _word(InterviewStatus, InterviewStatus.SCHEDULED)
    interviewers = models.JSONField(default=list)
    location = models.CharField(max_length=500, blank=True, default="")
    as_of = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(fields=["connection", "external_id"], name="interview_once")
        ]


class Event(models.Model):
    """What happened, once. `word` is the vendor's own, `record` its id of the candidate, or of
    the application or interview where it names nobody; `effect` says what it changed here."""

    connection = models.CharField(max_length=64)
    key = models.CharField(max_length=250)
    kind = _word(EventKind)
    word = models.CharField(max_length=100)
    record = models.CharField(max_length=128, blank=True, default="")
    occurred_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    delivery = models.ForeignKey(Delivery, on_delete=models.PROTECT)
    candidate = models.ForeignKey(Candidate, null=True, on_delete=models.PROTECT)
    application = models.ForeignKey(
        Application, null=True, on_delete=models.PROTECT, db_index=False
    )
    message = models.ForeignKey(
        "Message", null=True, on_delete=models.PROTECT, db_index=False, help_text="it is about"
    )
    effect = _word(EventEffect, EventEffect.APPLIED)
    fields = models.JSONField(default=dict)

    class Meta:
        constraints: ClassVar = [UniqueConstraint(fields=["connection", "key"], name="event_once")]
        indexes: ClassVar = [
            models.Index(
                fields=["connection", "record"],
                condition=Q(kind=EventKind.CANDIDATE_DELETED.value),
                name="event_tombstone",
            ),
            models.Index(
                fields=["connection", "word"],
                condition=Q(kind=EventKind.UNKNOWN.value),
                name="event_unknown",
            ),
            models.Index(
                fields=["connection", "record"],
                condition=Q(effect=EventEffect.UNKNOWN.value),
                name="event_waiting",
            ),
            models.Index(
                fields=["candidate"],
                condition=Q(kind__in=sorted(kind.value for kind in ACTS)),
                name="event_engaged",
            ),
            models.Index(
                fields=["message", "kind"],
                condition=Q(message__isnull=False),
                name="event_of_message",
            ),
        ]


class Action(models.Model):
    """What a trigger made of an event, and how it ended. `key` makes it happen once. `exchange` is
    the call that did not succeed, and its answer, redacted (`kit.exchange`)."""

    key = models.CharField(max_length=350, unique=True)
    trigger = models.CharField(max_length=100)
    kind = models.CharField(max_length=32)
    target = models.CharField(max_length=64)
    passes = models.JSONField(default=list)
    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT)
    event = models.ForeignKey(Event, on_delete=models.PROTECT)
    planned_at = models.DateTimeField()
    status = _word(ActionStatus, ActionStatus.PLANNED)
    lane = models.SmallIntegerField()
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_by = models.CharField(max_length=40, blank=True, default="")
    claim_until = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True, default="")
    exchange = models.JSONField(null=True)

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["target", "due_at"],
                condition=Q(status__in=[ActionStatus.PLANNED.value, ActionStatus.UNKNOWN.value]),
                name="action_waiting",
            ),
            models.Index(
                fields=["claim_until"],
                condition=Q(status=ActionStatus.CLAIMED.value),
                name="action_claimed",
            ),
            models.Index(
                fields=["trigger", "id"],
                condition=Q(status=ActionStatus.REFUSED.value),
                name="action_failed",
            ),
        ]


class SequenceVersion(models.Model):
    """The files of a sequence as they once stood, by path: an enrolment goes on with those that it
    began with, whatever the project folder holds by now."""

    sequence = models.CharField(max_length=64)
    version = models.CharField(max_length=16)
    files = models.JSONField(default=dict)
    since = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(fields=["sequence", "version"], name="sequence_version_once")
        ]


class Enrolment(models.Model):
    """A candidate on a sequence. `version` is that of the files it began with. Where the sequence
    lives in the CRM, `target` is the connection and `external_id` what it is called there."""

    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="enrolments")
    sequence = models.CharField(max_length=64)
    run = models.PositiveSmallIntegerField(default=1)
    version = models.CharField(max_length=16)
    application = models.ForeignKey(Application, null=True, on_delete=models.PROTECT)
    event = models.ForeignKey(Event, on_delete=models.PROTECT, db_index=False)
    enrolled_at = models.DateTimeField()
    status = _word(EnrolmentStatus, EnrolmentStatus.ACTIVE)
    next_step = models.PositiveSmallIntegerField(default=1)
    next_due_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True, default="")
    ended_at = models.DateTimeField(null=True)
    target = models.CharField(max_length=64, blank=True, default="")
    external_id = models.CharField(max_length=128, blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(fields=["candidate", "sequence", "run"], name="enrolment_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["next_due_at"],
                condition=Q(status=EnrolmentStatus.ACTIVE.value),
                name="enrolment_due",
            ),
            models.Index(
                fields=["candidate"],
                condition=Q(status=EnrolmentStatus.WAITING.value),
                name="enrolment_waiting",
            ),
            models.Index(
                fields=["target", "id"],
                condition=Q(status=EnrolmentStatus.ACTIVE.value) & ~Q(target=""),
                name="enrolment_hosted",
            ),
        ]


class Message(models.Model):
    """One mail: one (enrolment, step), whatever happens. `piece` is the file it was made of and
    `values` what was filled in, so that it can be shown again as it was; `segment` is where the
    candidate stood when it left; `expires_at` ends a hold."""

    enrolment = models.ForeignKey(
        Enrolment, on_delete=models.PROTECT, related_name="messages", db_index=False
    )
    step = models.PositiveSmallIntegerField()
    step_class = _word(StepClass)
    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT)
    to_address = models.CharField(max_length=254, blank=True, default="")
    status = _word(MessageStatus, MessageStatus.PLANNED)
    planned_at = models.DateTimeField()
    due_at = models.DateTimeField()
    lane = models.SmallIntegerField()
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_by = models.CharField(max_length=40, blank=True, default="")
    claim_until = models.DateTimeField(null=True)
    sending_at = models.DateTimeField(null=True)
    handed_off_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True, default="")
    settled_by = models.CharField(max_length=64, blank=True, default="")
    piece = models.CharField(max_length=200, blank=True, default="")
    variant = models.CharField(max_length=32, blank=True, default="")
    subject = models.CharField(max_length=300, blank=True, default="")
    values = models.JSONField(null=True)
    segment = models.CharField(max_length=32, blank=True, default="")
    sender_address = models.CharField(max_length=254, blank=True, default="")
    provider_id = models.CharField(
        max_length=200, blank=True, default="", help_text="what the mail provider calls it"
    )
    delivered_at = models.DateTimeField(null=True)
    bounced_at = models.DateTimeField(null=True)
    expires_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(fields=["enrolment", "step"], name="message_once")
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["provider_id"], condition=~Q(provider_id=""), name="message_of_provider"
            ),
            models.Index(
                fields=["expires_at"],
                condition=Q(status=MessageStatus.HELD.value, expires_at__isnull=False),
                name="message_expiring",
            ),
            models.Index(
                fields=["due_at"],
                condition=Q(status=MessageStatus.PLANNED.value),
                name="message_waiting",
            ),
            models.Index(
                fields=["claim_until"],
                condition=Q(status__in=[MessageStatus.CLAIMED.value, MessageStatus.SENDING.value]),
                name="message_claimed",
            ),
            models.Index(
                fields=["status", "id"],
                condition=Q(
                    status__in=[
                        MessageStatus.UNKNOWN.value,
                        MessageStatus.HELD.value,
                        MessageStatus.REFUSED.value,
                    ]
                ),
                name="message_attention",
            ),
        ]


class Hit(models.Model):
    """Somebody or something fetched an address of ours that one mail names. `confidence` says who
    it was, by the evidence in `why`; until `judge_at` more evidence may come (a burst over all
    links). `event` is what came of it. Networks are kept as the first 24 or 48 bits."""

    message = models.ForeignKey(
        Message, on_delete=models.PROTECT, related_name="hits", db_index=False
    )
    kind = _word(HitKind)
    link = models.SmallIntegerField(default=0, help_text="the place of the link in the letter")
    url = models.CharField(max_length=2000, blank=True, default="")
    at = models.DateTimeField()
    method = models.CharField(max_length=8, default="GET")
    agent = models.CharField(max_length=300, blank=True, default="")
    network = models.CharField(max_length=64, blank=True, default="")
    confidence = _word(Confidence, Confidence.UNCONFIRMED)
    why = models.TextField(blank=True, default="")
    judge_at = models.DateTimeField(null=True)
    event = models.ForeignKey(Event, null=True, on_delete=models.PROTECT, db_index=False)

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["message", "at"], name="hit_of_message"),
            models.Index(
                fields=["judge_at"], condition=Q(judge_at__isnull=False), name="hit_to_judge"
            ),
        ]


class Consent(models.Model):
    """That somebody may be written to: on what basis, from whom we know, which words they agreed
    to (`text_version`), from when and until when. Rows are never changed but by `withdrawn_at`."""

    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="consents")
    basis = _word(ConsentBasis)
    jurisdiction = models.CharField(max_length=8, blank=True, default="")
    source = models.CharField(max_length=64)
    text_version = models.CharField(max_length=64, blank=True, default="")
    since = models.DateTimeField()
    until = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)
    event = models.ForeignKey(Event, null=True, on_delete=models.PROTECT, db_index=False)


class Preference(models.Model):
    """What a candidate asked for on the preference page. `days_between`: at least so many from one
    nurture mail to the next; `topics_off`: topics of pieces that they do not want."""

    candidate = models.OneToOneField(
        Candidate, primary_key=True, on_delete=models.PROTECT, related_name="preference"
    )
    paused_until = models.DateTimeField(null=True)
    days_between = models.PositiveSmallIntegerField(default=0)
    topics_off = models.JSONField(default=list)
    language = models.CharField(max_length=16, blank=True, default="")
    updated_at = models.DateTimeField()


class SenderDay(models.Model):
    """How many mails left on a day (UTC) from a sender's address, or from a domain (`@acme.com`).
    The first day of a name is where its warm-up began."""

    name = models.CharField(max_length=254)
    day = models.DateField()
    mails = models.PositiveIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [UniqueConstraint(fields=["name", "day"], name="sender_day_once")]


class Suppression(models.Model):
    """An address that may not be mailed, and why. The first reason stands."""

    address = models.CharField(max_length=254, unique=True)
    reason = _word(SuppressionReason)
    source = models.CharField(max_length=64)
    detail = models.TextField(blank=True, default="")
    since = models.DateTimeField()


class Segmentation(models.Model):
    """The one segment that a candidate is in, by which rule and on what evidence.

    `moves` counts the placements; `next_at` is when time alone may change it, `score` the
    engagement score (`core.engagement`) as it stood at `placed_at`.
    """

    candidate = models.OneToOneField(
        Candidate, primary_key=True, on_delete=models.PROTECT, related_name="segmentation"
    )
    segment = _word(Segment)
    rule = models.CharField(max_length=100)
    evidence = models.JSONField(default=dict)
    since = models.DateTimeField()
    placed_at = models.DateTimeField()
    next_at = models.DateTimeField()
    score = models.FloatField(default=0)
    moves = models.PositiveIntegerField(default=1)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["next_at"], name="segmentation_due")]


class Merge(models.Model):
    """A journal entry: `folded` became part of `kept`. `journal` holds every change made for it, in
    order, so that it can be undone; null where it was made before there was a journal."""

    kept = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="+")
    folded = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="+")
    evidence = models.TextField()
    journal = models.JSONField(null=True, default=list)
    merged_at = models.DateTimeField()
    undone_at = models.DateTimeField(null=True)
    undone_by = models.CharField(max_length=64, blank=True, default="")


class Likeness(models.Model):
    """Two candidates who may be one person, and what a person said of it. `one` came first."""

    one = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="+")
    other = models.ForeignKey(Candidate, on_delete=models.PROTECT, related_name="+")
    score = models.FloatField(null=True, help_text="probability of a match, where one was reckoned")
    evidence = models.JSONField(default=list)
    status = _word(LikenessStatus, LikenessStatus.WAITING)
    found_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)
    decided_by = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        constraints: ClassVar = [UniqueConstraint(fields=["one", "other"], name="likeness_once")]
        indexes: ClassVar = [
            models.Index(
                fields=["score"],
                condition=Q(status=LikenessStatus.WAITING.value),
                name="likeness_waiting",
            )
        ]


class Drift(models.Model):
    """A difference between the ledger and another system that no event explains: found by
    comparing, counted as a sync error of `trigger`. `what` is a field, or `opt_out`, `tag`,
    `do_not_contact`, `gone` or `merged`. Open until the repair is confirmed by the next look."""

    connection = models.CharField(max_length=64)
    record = models.CharField(max_length=128)
    candidate = models.ForeignKey(Candidate, on_delete=models.PROTECT)
    what = models.CharField(max_length=64)
    trigger = models.CharField(max_length=100)
    expected = models.TextField(blank=True, default="")
    found = models.TextField(blank=True, default="")
    found_at = models.DateTimeField()
    repaired_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(
                fields=["connection", "record", "what"],
                condition=Q(repaired_at__isnull=True),
                name="drift_once",
            )
        ]
        indexes: ClassVar = [models.Index(fields=["found_at"], name="drift_found")]


class Cursor(models.Model):
    """How far a listing of a connection has been read."""

    connection = models.CharField(max_length=64)
    stream = models.CharField(max_length=64)
    position = models.TextField(blank=True, default="")
    read_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(fields=["connection", "stream"], name="cursor_once")
        ]


class Incident(models.Model):
    """A failure being handled. One open incident a key; `count` says how often it came again.

    `tell_at` is there as long as an alert must still be planned of it: it is written with the
    incident itself, so that no kill comes between the two. `told_at`: when one was planned;
    `alerted_at`, `alerted_by`: when the first channel took it, and which. `remind_at` is there
    until somebody acknowledges it.
    """

    key = models.CharField(max_length=400)
    connection = models.CharField(max_length=64, blank=True, default="")
    trigger = models.CharField(max_length=100, blank=True, default="")
    record = models.CharField(max_length=200, blank=True, default="")
    candidate = models.ForeignKey(Candidate, null=True, on_delete=models.PROTECT)
    reason = models.TextField()
    hint = models.TextField(blank=True, default="")
    status = _word(IncidentStatus, IncidentStatus.OPEN)
    count = models.PositiveIntegerField(default=1)
    opened_at = models.DateTimeField()
    last_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True)
    resolution = models.TextField(blank=True, default="")
    resolved_by = models.CharField(max_length=64, blank=True, default="", help_text="a person")
    acknowledged_at = models.DateTimeField(null=True)
    acknowledged_by = models.CharField(max_length=64, blank=True, default="")
    drill = models.BooleanField(default=False)
    tell_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)
    alerted_at = models.DateTimeField(null=True)
    alerted_by = models.CharField(max_length=64, blank=True, default="")
    remind_at = models.DateTimeField(null=True)

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(
                fields=["key"],
                condition=~Q(status=IncidentStatus.RESOLVED.value),
                name="incident_once",
            )
        ]
        indexes: ClassVar = [
            models.Index(
                fields=["opened_at"],
                condition=~Q(status=IncidentStatus.RESOLVED.value),
                name="incident_open",
            ),
            models.Index(
                fields=["tell_at"], condition=Q(tell_at__isnull=False), name="incident_to_tell"
            ),
            models.Index(
                fields=["remind_at"],
                condition=Q(remind_at__isnull=False),
                name="incident_to_remind",
            ),
        ]


class Alert(models.Model):
    """One message to the operator by one channel, of one incident or of many of one kind
    (`group`). The outbox: a broken channel keeps its own rows waiting, and no other's."""

    kind = _word(AlertKind)
    group = models.CharField(max_length=250)
    channel = models.CharField(max_length=64)
    incidents = models.ManyToManyField(Incident, related_name="alerts")
    status = _word(AlertStatus, AlertStatus.PLANNED)
    planned_at = models.DateTimeField()
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_by = models.CharField(max_length=40, blank=True, default="")
    claim_until = models.DateTimeField(null=True)
    tried_at = models.DateTimeField(null=True)
    sent_at = models.DateTimeField(null=True)
    reason = models.TextField(blank=True, default="", help_text="of the last try that failed")

    class Meta:
        indexes: ClassVar = [
            models.Index(
                fields=["channel", "due_at"],
                condition=Q(status=AlertStatus.PLANNED.value),
                name="alert_waiting",
            ),
            models.Index(
                fields=["claim_until"],
                condition=Q(status=AlertStatus.SENDING.value),
                name="alert_claimed",
            ),
            models.Index(fields=["group", "id"], name="alert_of_group"),
            models.Index(fields=["channel", "tried_at"], name="alert_tried"),
        ]


class Discard(models.Model):
    """A person's word that what failed need not be done. `failure` is its number on the failed
    list; `reason` is why it had failed."""

    failure = models.CharField(max_length=24, db_index=True)
    reason = models.TextField(blank=True, default="")
    why = models.TextField()
    by = models.CharField(max_length=64)
    at = models.DateTimeField()


class Pause(models.Model):
    """What waits because a person said so, from `since` to `until`: open while that is null.
    `deduplication`: it ends once the CRM has no duplicates (`DuplicateReport`), or despite them."""

    scope = _word(PauseScope)
    name = models.CharField(max_length=100, blank=True, default="")
    why = models.TextField()
    by = models.CharField(max_length=64)
    since = models.DateTimeField()
    deduplication = models.BooleanField(default=False)
    until = models.DateTimeField(null=True)
    ended_by = models.CharField(max_length=64, blank=True, default="")
    ended_why = models.TextField(blank=True, default="")

    class Meta:
        constraints: ClassVar = [
            UniqueConstraint(
                fields=["scope", "name"], condition=Q(until__isnull=True), name="pause_once"
            )
        ]


class DuplicateReport(models.Model):
    """What `warmline merge crm` said when it read every contact of a CRM: so many `duplicates` too
    many, so many `probable` groups for a person to decide."""

    connection = models.CharField(max_length=64)
    made_at = models.DateTimeField()
    contacts = models.PositiveIntegerField()
    duplicates = models.PositiveIntegerField()
    probable = models.PositiveIntegerField()

    class Meta:
        indexes: ClassVar = [
            models.Index(fields=["connection", "-made_at"], name="duplicate_report_last")
        ]
