"""Who gets nothing in these days, and the one reason that comes first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from warmline.core.policy import NO_ADDRESS
from warmline.core.segments import Segment
from warmline.flows.backfill import silver_sequence
from warmline.flows.pauses import paused
from warmline.flows.runtime import Runtime
from warmline.flows.simulate.findings import Mail, Without
from warmline.flows.simulate.gather import People
from warmline.store.models import Enrolment
from warmline.store.statuses import EnrolmentStatus, SuppressionReason


@dataclass(slots=True)
class Reasons:
    """What decides for everybody, asked once."""

    runtime: Runtime
    for_segment: dict[str, str] = field(default_factory=dict)  # sequence, by segment
    silver: str = ""
    paused: frozenset[str] = frozenset()

    @classmethod
    def of(cls, runtime: Runtime) -> Reasons:
        mail = runtime.project.file.mail.connection
        going, silver = paused(), silver_sequence(runtime)
        names = runtime.project.sequences
        return cls(
            runtime=runtime,
            for_segment={str(loaded.segment): name for name, loaded in names.items()},
            silver=silver.sequence.name if silver else "",
            paused=frozenset(name for name in names if going.sequence(name, mail)),
        )


def without(
    reasons: Reasons,
    there: People,
    low: int,
    high: int,
    mailed: Collection[int],
    kept: Mapping[int, Mail],
) -> Iterator[Without]:
    """`mailed`: whoever gets a mail; `kept`: of the others the last mail that did not leave."""
    rest = [pk for pk in there.rows if pk not in mailed]
    enrolments: dict[int, Enrolment] = {}
    rows = Enrolment.objects.filter(candidate__gt=low, candidate__lte=high).order_by("pk")
    for row in rows.defer("external_id"):
        before = enrolments.get(row.candidate_id)
        if before is None or before.status != EnrolmentStatus.ACTIVE:
            enrolments[row.candidate_id] = row
    for pk in rest:
        why = _why(reasons, there, pk, enrolments.get(pk), kept.get(pk))
        yield Without(pk, there.address(pk), there.segment(pk), why)


def _why(
    reasons: Reasons, there: People, pk: int, enrolment: Enrolment | None, kept: Mail | None
) -> str:
    if said := _never(there, pk):
        return said
    if kept is not None:
        return f"held: {kept.reason}" if kept.reason else f"the mail is {kept.fate}"
    if enrolment is not None and enrolment.sequence in reasons.paused:
        return f"{enrolment.sequence} is paused"
    segment = there.segment(pk)
    if segment == Segment.ARCHIVED and (enrolment is None or not _going(enrolment)):
        return "archived: nobody there is nurtured"
    if enrolment is not None:
        return _on(enrolment)
    if said := _segment(reasons, there, pk):
        return said
    return _nowhere(reasons, segment)


def _never(there: People, pk: int) -> str:
    row = there.rows[pk]
    if row.erased_at is not None:
        return "the record was deleted or anonymised"
    addresses = there.addresses.get(pk, [])
    dead = [there.suppressed[a] for a in addresses if a in there.suppressed]
    no = next((why for why in dead if why != SuppressionReason.BOUNCED), row.opted_out)
    if no:
        return f"suppressed: {no}"
    if row.do_not_contact:
        return "do not contact is set in the ATS"
    if not addresses:
        return NO_ADDRESS
    return "suppressed: bounced" if len(dead) == len(addresses) else ""


def _going(enrolment: Enrolment) -> bool:
    return enrolment.status in (EnrolmentStatus.ACTIVE, EnrolmentStatus.WAITING)


def _on(enrolment: Enrolment) -> str:
    name = enrolment.sequence
    if _going(enrolment):
        waits = f": {enrolment.reason}" if enrolment.reason else ""
        return f"on {name}, and no step of it falls due in these days{waits}"
    if enrolment.status == EnrolmentStatus.FINISHED:
        return f"has had all of {name}"
    return f"left {name}: {enrolment.reason}" if enrolment.reason else f"left {name}"


def _segment(reasons: Reasons, there: People, pk: int) -> str:
    placed = there.segments.get(pk)
    if placed is None:
        return "in no segment yet"
    segment, score, at = placed
    rules = reasons.runtime.project.segment_rules
    return rules.nurture_hold(segment, score, at, now=reasons.runtime.now())


def _nowhere(reasons: Reasons, segment: str) -> str:
    name = reasons.for_segment.get(segment, "")
    if not name:
        return f"no sequence is for {segment}"
    backfill = " (`warmline backfill` may)" if name == reasons.silver else ""
    return f"on no sequence: nothing has happened that enrols them in {name}{backfill}"
