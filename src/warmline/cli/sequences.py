"""`warmline sequences`: the verbs. What they print is in `cli.program`, imported when one runs."""

from __future__ import annotations

from typing import Annotated

import typer

from warmline.cli.setup import ProjectOption, open_project, sentences

sequences_app = typer.Typer(
    help="The nurture program: what it is, who is where, and what somebody would get.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
JsonOption = Annotated[bool, typer.Option("--json", help="as JSON, for scripts")]
Name = Annotated[str, typer.Argument(help="the sequence's name")]


@sequences_app.command(name="list")
@sentences
def list_(as_json: JsonOption = False, project: ProjectOption = None) -> None:
    """Every sequence, and how many are on their way, wait, have finished or were stopped."""
    _, loaded = open_project(project)
    from warmline.cli.program import show_all

    show_all(loaded, as_json=as_json)


@sequences_app.command()
@sentences
def show(name: Name, as_json: JsonOption = False, project: ProjectOption = None) -> None:
    """One sequence as a table: days, letters, branches, variants, hours, what ends it."""
    _, loaded = open_project(project)
    from warmline.cli.program import show_one

    show_one(loaded, name, as_json=as_json)


@sequences_app.command()
@sentences
def who(
    name: Name,
    page: Annotated[int, typer.Option("--page", help="of 50 each", min=1)] = 1,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Who is where on a sequence, by the candidate's number."""
    _, loaded = open_project(project)
    from warmline.cli.program import show_who

    show_who(loaded, name, page=page, as_json=as_json)


@sequences_app.command()
@sentences
def preview(
    name: Name,
    candidate: Annotated[
        str, typer.Option("--candidate", help="number, address, or an id of the ATS or CRM")
    ],
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """The dates and letters that a candidate would get, and what stands against it."""
    _, loaded = open_project(project)
    from warmline.cli.program import show_preview

    show_preview(loaded, name, candidate, as_json=as_json)


@sequences_app.command()
@sentences
def pause(
    name: Name,
    why: Annotated[str, typer.Option("--why", help="the reason, for whoever finds it")] = "",
    project: ProjectOption = None,
) -> None:
    """Let its steps and mails wait: the same as `warmline pause --sequence NAME`."""
    _, loaded = open_project(project)
    from warmline.cli import pauses
    from warmline.store.statuses import PauseScope

    pauses.pause(loaded, PauseScope.SEQUENCE, name, why=why, reason="", deduplication=False)


@sequences_app.command()
@sentences
def resume(
    name: Name,
    why: Annotated[str, typer.Option("--why", help="a word for the history")] = "",
    project: ProjectOption = None,
) -> None:
    """Let it go on: the same as `warmline resume --sequence NAME`."""
    _, loaded = open_project(project)
    from warmline.cli import pauses
    from warmline.store.statuses import PauseScope

    pauses.resume(loaded, PauseScope.SEQUENCE, name, why=why, despite=None)


@sequences_app.command()
@sentences
def move(
    name: Name,
    to_current: Annotated[
        bool, typer.Option("--to-current", help="to the files as they are now")
    ] = False,
    candidate: Annotated[
        str | None, typer.Option("--candidate", help="one person; default: all on older files")
    ] = None,
    apply: Annotated[bool, typer.Option("--apply", help="do it; else it is only said")] = False,
    as_json: JsonOption = False,
    project: ProjectOption = None,
) -> None:
    """Let those on older files go on with the present ones; without --apply only what changes."""
    _, loaded = open_project(project)
    from warmline.cli.program import move as run

    run(loaded, name, candidate, to_current=to_current, apply=apply, as_json=as_json)
