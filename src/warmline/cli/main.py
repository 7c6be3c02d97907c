"""`warmline`: the verbs.

Each opens the project first and imports what it runs after that: Django's models can only be
imported once Django knows its database. It also keeps `warmline --help` quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from warmline import __version__
from warmline.cli.setup import open_project, out, sentences

app = typer.Typer(
    name="warmline",
    help="The warm line between an ATS and a CRM.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", "-p", help="the project folder (default: here, or WARMLINE_PROJECT)"),
]


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
    from warmline.cli.check import check as run

    run(loaded, offline=offline, as_json=as_json)


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


@app.command()
@sentences
def triggers(project: ProjectOption = None) -> None:
    """The trigger map, as a table."""
    _, loaded = open_project(project)
    from warmline.cli.verbs import triggers as run

    run(loaded)


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


merge_app = typer.Typer(
    help="Who may be one person; the journal of merges; duplicates in the CRM.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(merge_app, name="merge")
JsonOption = Annotated[bool, typer.Option("--json", help="as JSON, for scripts")]


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


def main() -> None:
    app()
