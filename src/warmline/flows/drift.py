"""What stands in the other systems, held against the ledger: found, shown, repaired, counted.

Webhooks are lost, people edit by hand, an answer lies. A difference that no waiting action explains
is a sync error of the trigger that should have kept it away. What is ours to write is written
again; what the other side knows and we do not is heard as the event that never came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from warmline.core.actions import OF_THE_EVENT, ActionKind
from warmline.core.errors import Throttled, WarmlineError
from warmline.core.events import EventKind
from warmline.core.segments import Segment
from warmline.core.triggers import Trigger
from warmline.flows import first_sync
from warmline.flows.incidents import open_incident, resolve
from warmline.flows.opt_out import OWN_WORDS
from warmline.flows.pauses import paused
from warmline.flows.repair import DO_NOT_CONTACT, OPT_OUT, STREAM, TAG, Difference, repair_all
from warmline.flows.runtime import Lane, Runtime
from warmline.ports import ReadsRecords, Standing
from warmline.store.db import writing
from warmline.store.models import Action, Cursor, Drift, ExternalId, Segmentation
from warmline.store.statuses import ActionStatus

BATCH = 100
LOOK_EVERY_S = 60.0
# The address finds the contact, and never overwrites another.
_NEVER_COMPARED = OF_THE_EVENT | {"email"}
_WAITING = (ActionStatus.PLANNED, ActionStatus.CLAIMED, ActionStatus.UNKNOWN)


@dataclass(slots=True)
class Comparison:
    """`finished` is False where it was stopped, or the other side asked to wait `after_s`; `after`
    is how far it came."""

    records: int = 0
    differences: list[Difference] = field(default_factory=list)
    finished: bool = False
    after_s: float | None = None
    after: int = 0


def compare(
    runtime: Runtime,
    connection: str,
    *,
    repair: bool,
    seen: Callable[[int], None] = lambda records: None,
    after: int = 0,
) -> Comparison:
    """Hold every record of the connection against the ledger, a hundred a call. With `repair` what
    differs is kept, counted and mended, and a comparison that was cut off goes on where it stopped;
    without, it begins `after` this one's number. Raises WarmlineError for what the other side says,
    but where it asks to wait."""
    found = Comparison(after=after)
    cursor, _ = Cursor.objects.get_or_create(connection=connection, stream=STREAM)
    if repair:
        found.after = int(cursor.position or 0)
    while not runtime.stopping.is_set():
        rows = _stretch(runtime, connection, found.after)
        if not rows:
            found.finished = True
            break
        try:
            lanes = _look(runtime, connection, rows, found, repair=repair)
        except Throttled as error:
            found.after_s = error.after_s
            break
        runtime.poke(lanes)
        found.after = rows[-1].pk
        if repair:
            cursor.position = str(found.after)
            cursor.save()
        found.records += len(rows)
        seen(len(rows))
    if repair and found.finished:
        _finish(runtime, connection, cursor)
    return found


def due(runtime: Runtime, connection: str) -> bool:
    """Whether it is time for the next one, or one was cut off."""
    cursor = Cursor.objects.filter(connection=connection, stream=STREAM).first()
    if cursor is None or cursor.read_at is None or cursor.position:
        return True
    hours = (runtime.now() - cursor.read_at).total_seconds() / 3600
    return hours >= runtime.project.file.compare_hours


def compare_when_due(runtime: Runtime, connection: str) -> float:
    """For the engine: trouble is an incident, and the next round goes on. Returns the seconds until
    it is worth asking again."""
    waits = not first_sync.allowed(runtime) or paused().connection(connection)
    if waits or not due(runtime, connection):
        return LOOK_EVERY_S
    key = f"{connection}:compare"
    try:
        found = compare(runtime, connection, repair=True)
    except WarmlineError as error:
        with writing():
            open_incident(
                key, error.reason, now=runtime.now(), connection=connection, hint=error.hint
            )
        return LOOK_EVERY_S
    if found.finished:
        with writing():
            resolve([key], "it can be compared again", now=runtime.now())
    return LOOK_EVERY_S if found.after_s is None else min(found.after_s, LOOK_EVERY_S)


def _stretch(runtime: Runtime, connection: str, after: int) -> list[ExternalId]:
    rows = ExternalId.objects.filter(
        connection=connection,
        gone_at__isnull=True,
        candidate__merged_into=None,
        candidate__erased_at=None,
        pk__gt=after,
    )
    if runtime.role(connection) == "crm":
        rows = rows.filter(contact=True)
    return list(rows.select_related("candidate").order_by("pk")[:BATCH])


def _look(
    runtime: Runtime,
    connection: str,
    rows: Sequence[ExternalId],
    found: Comparison,
    *,
    repair: bool,
) -> set[Lane]:
    """One stretch: read there, and only then look here, so that what changed in between is not
    taken for a difference: an action waits for it."""
    connector: ReadsRecords = runtime.connectors[connection]
    passes = _passes(runtime, connection)
    wanted = ("first_name", "last_name", *passes) if "name" in passes else tuple(passes)
    standing = connector.records([row.external_id for row in rows], wanted)
    with writing():
        now = runtime.now()
        rows = _unchanged(rows)
        busy = set(
            Action.objects.filter(
                target=connection,
                candidate__in=[row.candidate_id for row in rows],
                status__in=_WAITING,
            ).values_list("candidate_id", flat=True)
        )
        there = {one.external_id: one for one in standing if one.stands_as == one.external_id}
        looked = [r for r in rows if r.candidate_id not in busy and r.external_id in there]
        judge = _contact if runtime.role(connection) == "crm" else _record
        differences = list(judge(runtime, connection, looked, there, passes))
        found.differences += differences
        if not repair:
            return set()
        return repair_all(runtime, connection, looked, differences, now)


def _unchanged(rows: Sequence[ExternalId]) -> list[ExternalId]:
    """The rows as they are by now; those of somebody else by now are left for the next time."""
    fresh = ExternalId.objects.select_related("candidate").in_bulk([row.pk for row in rows])
    return [
        now
        for row in rows
        if (now := fresh.get(row.pk)) is not None
        and now.gone_at is None
        and now.candidate_id == row.candidate_id
    ]


def _passes(runtime: Runtime, connection: str) -> dict[str, str]:
    """Field → the first trigger that keeps it there. A field that the CRM is the authority on is
    not compared."""
    theirs = runtime.project.file.authority
    found: dict[str, str] = {}
    for trigger in _triggers(runtime, connection, ActionKind.CONTACT_UPSERT):
        for name in trigger.passes:
            if name not in _NEVER_COMPARED and theirs.get(name) != connection:
                found.setdefault(name, trigger.name)
    return found


def _triggers(runtime: Runtime, connection: str, kind: ActionKind) -> list[Trigger]:
    return [
        t
        for t in runtime.project.triggers.triggers
        if t.enabled and t.target == connection and t.do is kind
    ]


def _first(runtime: Runtime, connection: str, kind: ActionKind) -> str:
    """The name of the first trigger that does this there; empty where none does."""
    return next((t.name for t in _triggers(runtime, connection, kind)), "")


def _contact(
    runtime: Runtime,
    connection: str,
    rows: Sequence[ExternalId],
    there: Mapping[str, Standing],
    passes: Mapping[str, str],
) -> Iterable[Difference]:
    """A contact in the CRM. Compared is what it last confirmed to have from us: what was never
    passed is not missing, and what no trigger passed on since is not wrong."""
    opting_out = _first(runtime, connection, ActionKind.CONTACT_OPT_OUT)
    for row in rows:
        one, expected = there[row.external_id], row.written
        for name in sorted(set(expected) & set(one.fields)):
            half = "name" if name in ("first_name", "last_name") else name
            # What is not known here empties nothing there: half a name, for one.
            if half in passes and expected[name] and one.fields[name] != expected[name]:
                yield Difference(
                    row.external_id, row.candidate_id, name, passes[half],
                    expected[name], one.fields[name],
                )  # fmt: skip
        no = bool(row.candidate.opted_out or row.candidate.do_not_contact)
        if no and not one.opted_out and opting_out:
            yield Difference(
                row.external_id, row.candidate_id, OPT_OUT, opting_out, "opted out", "not opted out"
            )
        elif one.opted_out and not no:
            yield _unheard(runtime, connection, row, OPT_OUT, EventKind.CANDIDATE_UNSUBSCRIBED)


def _record(
    runtime: Runtime,
    connection: str,
    rows: Sequence[ExternalId],
    there: Mapping[str, Standing],
    _passes: Mapping[str, str],
) -> Iterable[Difference]:
    """A candidate's record in the ATS: the segment's tag that it confirmed, and the mark of
    somebody who said no."""
    tag = runtime.project.file.segments.tag
    ours = {tag(segment).casefold() for segment in Segment}
    tagging = _first(runtime, connection, ActionKind.CANDIDATE_TAG)
    marking = _first(runtime, connection, ActionKind.CANDIDATE_DO_NOT_CONTACT)
    placed = Segmentation.objects.in_bulk([row.candidate_id for row in rows])
    for row in rows:
        one, mine = there[row.external_id], placed.get(row.candidate_id)
        if mine is not None and row.segment == mine.segment and tagging:
            wanted = tag(Segment(mine.segment)).casefold()
            has = sorted(ours & {name.strip().casefold() for name in one.tags})
            if has != [wanted]:
                yield Difference(
                    row.external_id, row.candidate_id, TAG, tagging, wanted, ", ".join(has)
                )
        own_word = row.candidate.opted_out in OWN_WORDS
        if own_word and marking and not one.opted_out:
            yield Difference(
                row.external_id, row.candidate_id, DO_NOT_CONTACT, marking, "marked", "not marked"
            )
        elif one.opted_out and not (own_word or row.do_not_contact or row.candidate.do_not_contact):
            yield _unheard(runtime, connection, row, DO_NOT_CONTACT, EventKind.CANDIDATE_UPDATED)


def _unheard(
    runtime: Runtime, connection: str, row: ExternalId, what: str, kind: EventKind
) -> Difference:
    """Something was said there, and the news of it never came."""
    on = (t for t in runtime.project.triggers.triggers if t.source == connection and t.on is kind)
    name = next((t.name for t in on if t.enabled), f"{kind} from {connection}"[:100])
    return Difference(row.external_id, row.candidate_id, what, name, "", "said no", ours=False)


def _finish(runtime: Runtime, connection: str, cursor: Cursor) -> None:
    """Everything was looked at. A trigger whose differences are all repaired is well again."""
    now = runtime.now()
    with writing():
        cursor.position, cursor.read_at = "", now
        cursor.save()
        left = Drift.objects.filter(connection=connection, repaired_at__isnull=True)
        names = set(left.values_list("trigger", flat=True))
        every = Drift.objects.filter(connection=connection).values_list("trigger", flat=True)
        well = [f"drift:{connection}:{name}" for name in set(every.distinct()) - names]
        resolve(well, "both sides agree again", now=now)
