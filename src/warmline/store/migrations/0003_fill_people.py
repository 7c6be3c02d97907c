"""Fills what 0002 added, from what the ledger knows already."""

from django.db import migrations
from django.db.models import F

BATCH = 2000
FORMER_RANK = 100


def fill(apps, schema_editor):
    from warmline.core.matching import mailbox_key, phone_key

    model = lambda name: apps.get_model("warmline", name)
    emails = model("CandidateEmail")
    rows = []
    unfilled = emails.objects.filter(mailbox="").select_related("candidate")
    for row in unfilled.iterator(chunk_size=BATCH):
        row.mailbox = mailbox_key(row.normal)
        if row.rank < FORMER_RANK:  # one of those that the newest word named
            row.told_at = row.candidate.as_of
        else:
            row.rank -= FORMER_RANK
        rows.append(row)
        if len(rows) == BATCH:
            emails.objects.bulk_update(rows, ["mailbox", "told_at", "rank"])
            rows = []
    emails.objects.bulk_update(rows, ["mailbox", "told_at", "rank"])

    key = model("IdentityKey")
    people = model("Candidate").objects.exclude(phones=[]).only("id", "phones")
    key.objects.bulk_create(
        (
            key(candidate_id=person.pk, kind="phone", value=value)
            for person in people.iterator(chunk_size=BATCH)
            for value in sorted({phone_key(phone) for phone in person.phones} - {""})
        ),
        batch_size=BATCH,
    )

    # Where an application stands now is the furthest that we know it ever stood.
    model("Application").objects.filter(moved_at=None).update(moved_at=F("stage_as_of"))
    for kind in ("applied", "screen", "interview", "final", "offer", "hired"):
        model("Application").objects.filter(stage__kind=kind, reached="").update(reached=kind)
    model("Merge").objects.update(journal=None)
    # What ran before goes on: only a ledger that has never synced waits for `segment --apply`.
    newest = model("Action").objects.order_by("-id").first()
    if newest is not None:
        model("Cursor").objects.get_or_create(
            connection="warmline", stream="segmented", defaults={"read_at": newest.planned_at}
        )


class Migration(migrations.Migration):
    dependencies = [("warmline", "0002_people_and_segments")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
