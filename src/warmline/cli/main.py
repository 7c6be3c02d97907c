"""`warmline`: the verbs.

Each opens the project first and imports what it runs after that: Django's models can only be
imported once Django knows its database. It also keeps `warmline --help` quick.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from warmline import __version__
from warmline.cli.mail import mail_app
from warmline.cli.sequences import sequences_app
from warmline.cli.setup import ProjectOption, open_project, out, sentences
from warmline.core.errors import ConfigError

app = typer.Typer(
    name="warmline",
    help="The warm line between an ATS and a CRM.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="print the version")] = False,
) -> None:
    if version:
        out.print(f"warmline {__version__}")
        raise typer.Exit


@app.command()
@sentences
def init(folder: Annotated[Path, typer.Argument(help="a folder to make")]) -> None:
    """Make a project folder: trigger map, segments, sequences and sample data, all commented."""
    from warmline.cli.starter import make_project

    make_project(folder)


@app.command()
@sentences
def check(
    what: Annotated[
        str, typer.Argument(help="`mail`: the DNS of your sending domains", metavar="[mail]")
    ] = "",
    project: ProjectOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="only the files; ask no vendor")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="for scripts, on standard output")
    ] = False,
) -> None:
    """Check the project folder, then each connection, every field needed, and the webhooks."""
    _, loaded = open_project(project)
    from warmline.cli import check as run

    if what == "mail":
        run.check_mail(loaded, as_json=as_json)
        return
    if what:
        raise ConfigError(f"check {what!r} is not known; expected `check` or `check mail`")
    run.check(loaded, offline=offline, as_json=as_json)


@app.command()
@sentences
def up(project: ProjectOption = None) -> None:
    """Run Warmline: web server and lanes in this process, until SIGTERM or Ctrl-C."""
    settings, loaded = open_project(project)
    from warmline.cli.up import up as run

    run(settings, loaded)


@app.command()
@sentences
def demo(
    seed: Annotated[int, typer.Option(help="another seed is another week")] = 1,
    applicants: Annotated[int, typer.Option(help="applications in the week", min=10)] = 300,
    keep: Annotated[bool, typer.Option("--keep", help="stay up with the pages")] = False,
) -> None:
    """A week of applicants on simulators, in a minute; exit status 0 only if the numbers hold."""
    from warmline.cli.demo import demo as run

    run(seed=seed, applicants=applicants, keep=keep)


@app.command(name="import")
@sentences
def import_(
    connection: Annotated[
        str | None, typer.Argument(help="a connection of the files connector; default: each")
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Read an ATS export into the ledger. Nobody is mailed for it unless a trigger says so."""
    _, loaded = open_project(project)
    from warmline.cli.verbs import import_files as run

    run(loaded, connection)


@app.command()
@sentences
def audit(
    export: Annotated[
        Path | None, typer.Argument(help="CSV, JSON, XLSX or Parquet, also gzipped")
    ] = None,
    connection: Annotated[
        str | None, typer.Option("--from", help="a connection to read instead of an export")
    ] = None,
    maps: Annotated[
        list[str] | None, typer.Option("--map", help="FIELD=HEADER, as often as needed")
    ] = None,
    mapping: Annotated[
        Path | None, typer.Option(help="a YAML file of `field: header` lines")
    ] = None,
    encoding: Annotated[
        str, typer.Option(help="of the export, where it is found wrongly")
    ] = "auto",
    date_order: Annotated[str, typer.Option(help="of 03/04/2026: auto, dmy or mdy")] = "auto",
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="where the report goes (default: audit/EXPORT)")
    ] = None,
    work: Annotated[
        Path | None, typer.Option(help="where a stopped audit goes on (default: audit/work)")
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(help="exit status 1 on RULE, RULE>50, RULE>1% or any; as often as needed"),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="print findings.json")] = False,
    project: ProjectOption = None,
) -> None:
    """Audit an ATS export, or a connection: duplicates, addresses, gaps, dates, opt-outs."""
    from warmline.cli.audit import Options
    from warmline.cli.audit import audit as run

    run(
        Options(
            export=export,
            connection=connection,
            project=project,
            maps=maps or (),
            mapping=mapping,
            encoding=encoding,
            date_order=date_order,
            out=out_folder,
            work=work,
            fail_on=fail_on or (),
            as_json=as_json,
        )
    )


trigger_app = typer.Typer(
    help="The trigger map: as a table, checked, with how often each row ran.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
app.add_typer(trigger_app, name="triggers")


@trigger_app.callback()
@sentences
def triggers(
    context: typer.Context,
    offline: Annotated[bool, typer.Option("--offline", help="no system is asked")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON, for scripts")] = False,
    project: ProjectOption = None,
) -> None:
    """The trigger map, as a table."""
    if context.invoked_subcommand is not None:
        return
    _, loaded = open_project(project)
    from warmline.cli.triggers import triggers as run

    run(loaded, offline=offline, as_json=as_json)


@trigger_app.command(name="test")
@sentences
def try_trigger(
    name: Annotated[str, typer.Argument(help="the trigger's name")],
    candidate: Annotated[
        str, typer.Option("--candidate", help="number, address, or an id of the ATS or CRM")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="as JSON, for scripts")] = False,
    project: ProjectOption = None,
) -> None:
    """What a trigger would send for a candidate; nothing is sent."""
    _, loaded = open_project(project)
    from warmline.cli.triggers import try_one as run

    run(loaded, name, candidate, as_json=as_json)


@app.command()
@sentences
def explain(
    candidate: Annotated[str, typer.Argument(help="number, address, or an id of the ATS or CRM")],
    project: ProjectOption = None,
) -> None:
    """Everything known of a candidate, and why."""
    _, loaded = open_project(project)
    from warmline.cli.verbs import explain as run

    run(loaded, candidate)


@app.command()
@sentences
def replay(
    delivery: Annotated[int, typer.Argument(help="the delivery's number")],
    project: ProjectOption = None,
) -> None:
    """Interpret a kept delivery again; what it changed already happens once."""
    _, loaded = open_project(project)
    from warmline.cli.verbs import replay as run

    run(loaded, delivery)


@app.command()
@sentences
def settle(
    message: Annotated[int | None, typer.Argument(help="the message's number")] = None,
    arrived: Annotated[bool, typer.Option("--arrived", help="it arrived: leave it")] = False,
    send: Annotated[bool, typer.Option("--send", help="it did not: send it")] = False,
    project: ProjectOption = None,
) -> None:
    """Messages whose hand-over was never answered: list them, or give your word on one."""
    open_project(project)
    from warmline.cli.verbs import settle as run

    run(message, arrived=arrived, send=send)


@app.command()
@sentences
def segment(
    project: ProjectOption = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="keep the placements and write the tags in the ATS")
    ] = False,
    read: Annotated[
        bool,
        typer.Option("--read/--no-read", help="read the ATS first: once all, then news"),
    ] = True,
    moves: Annotated[
        Path | None, typer.Option("--moves", help="write everybody who moves to this CSV file")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="the figures as JSON")] = False,
) -> None:
    """Who is in which segment, and who would move; --apply tags them in the ATS."""
    _, loaded = open_project(project)
    from warmline.cli.segment import segment as run

    run(loaded, apply=apply, read=read, moves=moves, as_json=as_json)


app.add_typer(sequences_app, name="sequences")
TriggerOption = Annotated[str | None, typer.Option("--trigger", help="one trigger, by its name")]
ConnectionOption = Annotated[str | None, typer.Option("--connection", help="one connection")]
SequenceOption = Annotated[str | None, typer.Option("--sequence", help="one sequence")]
AllOption = Annotated[bool, typer.Option("--all", help="everything")]
JsonOption = Annotated[bool, typer.Option("--json", help="as JSON, for scripts")]


@app.command()
@sentences
def pause(
    trigger: TriggerOption = None,
    connection: ConnectionOption = None,
    sequence: SequenceOption = None,
    all_: AllOption = False,
    why: Annotated[str, typer.Option("--why", help="the reason, for whoever finds it")] = "",
    reason: Annotated[
        str, typer.Option("--for", help="deduplication: it ends once the CRM has no duplicates")
    ] = "",
    deduplication: Annotated[
        bool, typer.Option("--deduplication", help="the same as --for deduplication")
    ] = False,
    project: ProjectOption = None,
) -> None:
    """Let work wait: a trigger's, a connection's, a sequence's, or all of it. Nothing is lost."""
    _, loaded = open_project(project)
    from warmline.cli import pauses

    scope, name = pauses.scope_of(trigger, connection, sequence, all_)
    pauses.pause(loaded, scope, name, why=why, reason=reason, deduplication=deduplication)


@app.command()
@sentences
def resume(
    trigger: TriggerOption = None,
    connection: ConnectionOption = None,
    sequence: SequenceOption = None,
    all_: AllOption = False,
    why: Annotated[str, typer.Option("--why", help="a word for the history")] = "",
    despite: Annotated[
        str | None, typer.Option("--despite", help="why it goes on although duplicates are left")
    ] = None,
    project: ProjectOption = None,
) -> None:
    """Let what was paused go on; after a deduplication, once the CRM has no duplicates."""
    _, loaded = open_project(project)
    from warmline.cli import pauses

    scope, name = pauses.scope_of(trigger, connection, sequence, all_)
    pauses.resume(loaded, scope, name, why=why, despite=despite)


@app.command()
@sentences
def pauses(
    past: Annotated[bool, typer.Option("--past", help="those that ended too")] = False,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """What is paused, since when, by whom and why, and how much waits for it."""
    _, loaded = open_project(project)
    from warmline.cli import pauses as paused

    paused.show(loaded, past=past, as_json=as_json)


@app.command()
@sentences
def reconcile(
    connection: Annotated[
        str | None, typer.Argument(help="one connection; default: each that can be read back")
    ] = None,
    project: ProjectOption = None,
    repair: Annotated[
        bool, typer.Option("--repair", help="keep, count and mend what differs")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the differences as JSON")] = False,
) -> None:
    """Hold both sides against the ledger: what differs that nothing explains; --repair mends it."""
    _, loaded = open_project(project)
    from warmline.cli.reconcile import reconcile as run

    run(loaded, connection, repair=repair, as_json=as_json)


@app.command()
@sentences
def backfill(
    project: ProjectOption = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="write the contacts and enrol the silver medalists")
    ] = False,
    months: Annotated[
        int, typer.Option(help="how far back a rejection may lie", min=1, max=120)
    ] = 12,
    per_day: Annotated[int, typer.Option(help="new enrolments a day", min=1, max=100_000)] = 100,
    at_once: Annotated[
        int, typer.Option(help="calls to the CRM under way at the same time", min=1, max=8)
    ] = 4,
    as_json: Annotated[bool, typer.Option("--json", help="the figures as JSON")] = False,
) -> None:
    """The whole history into the CRM, and past silver medalists onto their sequence."""
    _, loaded = open_project(project)
    from warmline.cli.backfill import backfill as run

    run(
        loaded,
        apply=apply,
        months=months,
        per_day=per_day,
        at_once=at_once,
        as_json=as_json,
    )


@app.command()
@sentences
def simulate(
    days: Annotated[int, typer.Option(help="how far ahead", min=1, max=1100)] = 120,
    against: Annotated[
        str | None,
        typer.Option("--against", help="the project as it was: a folder, or a Git revision"),
    ] = None,
    backfill: Annotated[
        bool, typer.Option("--backfill", help="with whom `warmline backfill` would enrol")
    ] = False,
    months: Annotated[int, typer.Option(help="of the backfill: how far back", min=1, max=120)] = 12,
    per_day: Annotated[
        int, typer.Option(help="of the backfill: enrolments a day", min=1, max=100_000)
    ] = 100,
    within: Annotated[
        float, typer.Option(help="two mails in fewer days are a collision", min=0, max=365)
    ] = 3,
    out: Annotated[
        Path | None, typer.Option("--out", help="the folder for the report (simulations/latest)")
    ] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="what changes against OLD, for a pull request")
    ] = None,
    fail_on_change: Annotated[
        bool, typer.Option("--fail-on-change", help="exit status 1 where a mail changes")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="the figures as JSON")] = False,
    project: ProjectOption = None,
) -> None:
    """The days to come on a copy of the ledger: every mail, every hold; nothing leaves."""
    from warmline.cli.simulate import Options
    from warmline.cli.simulate import simulate as run

    run(
        Options(
            project=project,
            days=days,
            within_days=within,
            backfill=backfill,
            months=months,
            per_day=per_day,
            against=against,
            markdown=markdown,
            fail_on_change=fail_on_change,
            out=out,
            as_json=as_json,
        )
    )


merge_app = typer.Typer(
    help="Who may be one person; the journal of merges; duplicates in the CRM.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(merge_app, name="merge")


@merge_app.command()
@sentences
def review(
    pair: Annotated[int | None, typer.Argument(help="a pair of the list")] = None,
    join: Annotated[bool, typer.Option("--join", help="they are one person")] = False,
    apart: Annotated[bool, typer.Option("--apart", help="they are two people")] = False,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Candidates who may be one person: list them, or give your word on a pair."""
    _, loaded = open_project(project)
    from warmline.cli import merge

    if pair is None:
        merge.show(as_json=as_json)
    else:
        merge.decide(loaded, pair, join=join, apart=apart)


@merge_app.command()
@sentences
def find(project: ProjectOption = None) -> None:
    """Compare all candidates, and put probable pairs on the review list."""
    _, loaded = open_project(project)
    from warmline.cli import merge

    merge.find(loaded)


@merge_app.command()
@sentences
def log(
    days: Annotated[int, typer.Option(help="how far back", min=1)] = 90,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """The journal of merges, newest first."""
    _, loaded = open_project(project)
    from warmline.cli import merge

    merge.journal(loaded, days=days, as_json=as_json)


@merge_app.command()
@sentences
def undo(
    merge: Annotated[int, typer.Argument(help="the merge's number")],
    project: ProjectOption = None,
) -> None:
    """Take a merge back, and keep the two apart."""
    _, loaded = open_project(project)
    from warmline.cli.merge import undo as run

    run(loaded, merge)


@merge_app.command()
@sentences
def crm(
    connection: Annotated[
        str | None, typer.Option("--connection", help="the CRM; default: the only one")
    ] = None,
    apply: Annotated[
        bool, typer.Option("--apply", help="merge there; it cannot be undone")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="the report as CSV")] = None,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Duplicate contacts in the CRM: the report; with --apply they are merged there."""
    _, loaded = open_project(project)
    from warmline.cli.merge_crm import crm as run

    run(loaded, connection=connection, apply=apply, out=out, as_json=as_json)


incidents_app = typer.Typer(
    help="Failures in hand: list, acknowledge, resolve.", rich_markup_mode=None
)
app.add_typer(incidents_app, name="incidents")
alerts_app = typer.Typer(
    help="Whether anybody hears of failures.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(alerts_app, name="alerts")


@incidents_app.callback(invoke_without_command=True)
@sentences
def incidents(
    context: typer.Context,
    everything: Annotated[bool, typer.Option("--all", help="those that ended too")] = False,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Failures in hand: list them, acknowledge one, resolve one."""
    if context.invoked_subcommand is not None:
        return
    open_project(project)
    from warmline.cli.incidents import show

    show(everything=everything, as_json=as_json)


@incidents_app.command()
@sentences
def ack(
    number: Annotated[int, typer.Argument(help="the incident's number")],
    project: ProjectOption = None,
) -> None:
    """You look after it: no more reminders."""
    open_project(project)
    from warmline.cli.incidents import ack as run

    run(number)


@incidents_app.command()
@sentences
def resolve(
    number: Annotated[int, typer.Argument(help="the incident's number")],
    why: Annotated[str, typer.Option("--why", help="what was done about it")],
    project: ProjectOption = None,
) -> None:
    """It is over, on your word."""
    open_project(project)
    from warmline.cli.incidents import resolve as run

    run(number, why)


@alerts_app.callback()
def alerts() -> None:
    """Whether anybody hears of failures."""


@alerts_app.command()
@sentences
def drill(project: ProjectOption = None) -> None:
    """Make something fail for real, and see that the alert arrives; exit status 1 if not."""
    settings, loaded = open_project(project)
    from warmline.cli.incidents import drill as run

    run(settings, loaded)


failures_app = typer.Typer(
    help="What cannot succeed by itself: list it, try it again, or leave it.",
    invoke_without_command=True,
    rich_markup_mode=None,
)
app.add_typer(failures_app, name="failures")
FailuresArgument = Annotated[
    list[str] | None, typer.Argument(help="numbers of the list: a17 d5 m9", metavar="FAILURE...")
]


@failures_app.callback()
@sentences
def failures(
    context: typer.Context,
    group: Annotated[bool, typer.Option("--group", help="counted by trigger and reason")] = False,
    trigger: TriggerOption = None,
    connection: ConnectionOption = None,
    candidate: Annotated[int | None, typer.Option("--candidate", help="by number")] = None,
    page: Annotated[int, typer.Option("--page", help="of 50 each, newest first", min=1)] = 1,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    if context.invoked_subcommand is not None:
        if project is not None:  # said before the word: it holds for what comes after it
            os.environ["WARMLINE_PROJECT"] = str(project.absolute())
        return
    _, loaded = open_project(project)
    from warmline.cli.failures import show
    from warmline.flows.failures import Wanted

    wanted = Wanted(trigger or "", connection or "", candidate)
    show(loaded, wanted, group=group, page=page, as_json=as_json)


@failures_app.command()
@sentences
def show(
    failure: Annotated[str, typer.Argument(help="its number on the list: a17, d5 or m9")],
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """All that is kept of one: the reason, what to do, and the redacted exchange."""
    _, loaded = open_project(project)
    from warmline.cli.failures import detail

    detail(loaded, failure, as_json=as_json)


@failures_app.command(name="replay")
@sentences
def replay_failures(
    failures: FailuresArgument = None,
    trigger: TriggerOption = None,
    all_: AllOption = False,
    project: ProjectOption = None,
) -> None:
    """Try again, and say what became of it; what was done already happens once."""
    _, loaded = open_project(project)
    from warmline.cli.failures import replay as run

    run(loaded, failures or (), trigger=trigger or "", everything=all_)


@failures_app.command()
@sentences
def discard(
    failures: Annotated[list[str], typer.Argument(help="numbers of the list: a17 d5 m9")],
    why: Annotated[str, typer.Option("--why", help="the reason; it is kept")] = "",
    project: ProjectOption = None,
) -> None:
    """Leave it: it need not be done. The reason and your name are kept."""
    _, loaded = open_project(project)
    from warmline.cli.failures import discard as run

    run(loaded, failures, why=why)


@app.command()
@sentences
def sandbox(
    port: Annotated[int, typer.Option(help="the first of four ports in a row; 0: any")] = 8801,
    warmline: Annotated[
        str, typer.Option(help="where webhooks go, once it answers")
    ] = "http://127.0.0.1:8025",
) -> None:
    """Run the simulators of the vendors' APIs and the mail catcher, until Ctrl-C."""
    from warmline.cli.sandbox import sandbox as run

    run(port, warmline)


app.add_typer(mail_app, name="mail")


def main() -> None:
    app()
