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
) -> None:
    """Check the project folder, then each connection: credentials and every field needed."""
    _, loaded = open_project(project)
    from warmline.cli.verbs import check as run

    run(loaded, offline=offline)


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
