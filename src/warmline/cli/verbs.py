"""The smaller verbs: each asks a flow and prints what it says."""

from __future__ import annotations

import getpass
import os

from django.db.models import Count, Max
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from warmline.cli.setup import err, out
from warmline.config.project import Project
from warmline.core.errors import ConfigError, WarmlineError
from warmline.core.triggers import OWN
from warmline.flows import explain as explained
from warmline.flows import interpret
from warmline.flows.reconcile import poll
from warmline.flows.runtime import Runtime, build, utc_now
from warmline.flows.settle import settle as give_word
from warmline.flows.settle import waiting_for_a_word
from warmline.ports import Channel
from warmline.store.models import Delivery
from warmline.store.sole import SoleRunner
from warmline.store.statuses import DeliveryStatus

MALFORMED_SHOWN = 20


def say(text: str, style: str | None = None) -> None:
    """Print what people and vendors wrote as it stands: brackets in a name are no markup."""
    out.print(text, style=style, markup=False, soft_wrap=True)


def explain(loaded: Project, query: str) -> None:
    runtime = build(loaded)
    found = explained.find(query)
    if not found:
        raise WarmlineError(
            f"no candidate is known by {query!r}",
            hint="give a number, a whole e-mail address, or an id of the ATS or CRM",
        )
    for candidate in found:
        e = explained.explain(runtime, candidate)
        say(f"candidate {candidate.pk}: {candidate.name or '(no name)'}", style="bold")
        if e.placement is not None:
            say(f"segment      {e.placement.segment}: {e.placement.rule} ({e.seen})")
        say(f"addresses    {', '.join(e.known.emails) or 'none'}")
        if candidate.owner_name or candidate.owner_email:
            say(f"recruiter    {candidate.owner_name} {candidate.owner_email}")
        if candidate.do_not_contact:
            out.print("[red]do not contact[/red] is set in the ATS")
        for row in e.external_ids:
            kind = "contact" if row.contact else "record"
            gone = f", gone since {row.gone_at:%Y-%m-%d}" if row.gone_at else ""
            say(f"{kind:<12} {row.external_id} in {row.connection}{gone}")
        for s in e.suppressions:
            say(f"suppressed   {s.address}: {s.reason}, by {s.source}")
        for application in e.known.applications:
            stage = f", stage {application.stage.name}" if application.stage else ""
            title = application.job.title if application.job else "(no job)"
            say(f"application  {application.external_id}: {title}, {application.status}{stage}")
        for enrolment in e.enrolments:
            say(
                f"enrolment    {enrolment.sequence} since {enrolment.enrolled_at:%Y-%m-%d %H:%M}Z:"
                f" {enrolment.status} {enrolment.reason}".rstrip()
            )
        for incident in e.incidents:
            say(f"incident     {incident.status}: {incident.reason}")
        say("history")
        for line in e.history:
            say(f"  {line.at:%Y-%m-%d %H:%M:%S}Z  {line.what}  {line.detail}")
            say(f"      because: {line.why}")


def replay(loaded: Project, delivery_id: int) -> None:
    runtime = build(loaded)
    kept = interpret.replay(runtime, delivery_id)
    if kept is None:
        raise WarmlineError(f"there is no delivery {delivery_id}")
    drained = drain_alone(runtime)
    if kept.status != DeliveryStatus.RECEIVED:
        why = (
            "was applied when it came"
            if kept.connection == OWN
            else f"is of {kept.connection}, which the project no longer has"
        )
        say(f"delivery {delivery_id} {why}; what was refused of it is tried again")
    elif drained:
        row = Delivery.objects.get(pk=delivery_id)
        say(f"delivery {delivery_id} is {row.status} {row.reason}".rstrip())
    else:
        out.print(f"delivery {delivery_id} waits for the running Warmline to take it up")


def settle(message_id: int | None, *, arrived: bool, send: bool) -> None:
    if message_id is None:
        rows = waiting_for_a_word()
        if not rows:
            out.print("no message is unknown")
            return
        table = Table(title="Nobody knows whether these arrived")
        for column in ("message", "candidate", "mail", "begun", "reason"):
            table.add_column(column)
        for row in rows:
            table.add_row(
                str(row.pk),
                escape(f"{row.candidate_id} {row.candidate.name}"),
                f"{row.enrolment.sequence}/{row.step}",
                f"{row.sending_at:%Y-%m-%d %H:%M:%S}Z" if row.sending_at else "",
                escape(row.reason),
            )
        out.print(table)
        out.print("`warmline settle MESSAGE --arrived` leaves it; `--send` sends it (again).")
        return
    if arrived == send:
        raise WarmlineError("say --arrived or --send", hint="one of them, not both")
    give_word(message_id, arrived=arrived, who=who(), now=utc_now())
    sent = "counts as arrived" if arrived else "will be sent"
    out.print(f"message {message_id} {sent}")


def who() -> str:
    """Whose word it is. In a container the user's number may have no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def import_files(loaded: Project, name: str | None) -> None:
    runtime = build(loaded)
    sources = [n for n in loaded.connections if runtime.role(n) == "files"]
    if name is not None and name not in sources:
        raise ConfigError(f"{name!r} is not a files connection; expected one of {sources}")
    for source in [name] if name else sources:
        before = Delivery.objects.aggregate(last=Max("id"))["last"] or 0
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed} rows"),
            TimeElapsedColumn(),
            console=err,
            transient=True,
        ) as progress:
            task = progress.add_task(f"reading {source}", total=None)
            new = poll(
                runtime,
                source,
                channel=Channel.IMPORT,
                seen=lambda rows, task=task: progress.advance(task, rows),  # type: ignore[misc]
            )
        applied = drain_alone(runtime)
        out.print(
            f"{source}: {new} new rows"
            + ("" if applied else ", waiting for the running Warmline to take them up")
        )
        _became(source, after=before)


def _became(source: str, *, after: int) -> None:
    """How all rows of a source stand, and which of those since delivery `after` are no good."""
    there = Delivery.objects.filter(connection=source)
    counts = dict(there.values_list("status").annotate(n=Count("id")))
    for status, n in sorted(counts.items()):
        out.print(f"  {n} {status}")
    bad = there.filter(status=DeliveryStatus.MALFORMED, id__gt=after)
    for row in bad.order_by("id")[:MALFORMED_SHOWN]:
        say(f"  delivery {row.pk}: {row.reason}")
    if (more := bad.count() - MALFORMED_SHOWN) > 0:
        out.print(f"  and {more} more; they are incidents on the overview")


def drain_alone(runtime: Runtime) -> bool:
    """Interpret what waits in this process, unless a running Warmline will. Mail and vendor calls
    are left to `warmline up`."""
    try:
        with SoleRunner():
            for name in runtime.connections_that("parses"):
                while interpret.drain(runtime, name):
                    pass
    except WarmlineError:
        return False
    return True
