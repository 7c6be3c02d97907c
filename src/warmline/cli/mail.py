"""`warmline mail`: look at a letter, send it to yourself, hold all of them against the rules."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from warmline.cli.setup import (
    ProjectOption,
    complain,
    open_project,
    out,
    sentences,
    settings_of,
)

mail_app = typer.Typer(
    help="The letters: look at one, send it to yourself, hold all against the rules.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
LetterArgument = Annotated[
    str, typer.Argument(help="welcome/2, welcome/02-culture-story, library/06-the-route")
]
CandidateOption = Annotated[
    str, typer.Option("--candidate", help="number, address, or an id; default: a sample person")
]
BareOption = Annotated[bool, typer.Option("--bare", help="a sample of whom only a name is known")]


@mail_app.command()
@sentences
def preview(
    letter: LetterArgument,
    candidate: CandidateOption = "",
    bare: BareOption = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="write the HTML there, for a browser")
    ] = None,
    text: Annotated[bool, typer.Option("--text", help="the plain text alone")] = False,
    project: ProjectOption = None,
) -> None:
    """A letter as somebody would get it; nothing is sent."""
    _, loaded = open_project(project)
    from warmline.flows.preview import preview as show
    from warmline.flows.runtime import utc_now

    shown = show(loaded, letter, candidate=candidate, bare=bare, now=utc_now())
    if html is not None:
        html.write_text(shown.mail.html, encoding="utf-8")
        size = f"{len(shown.mail.html.encode()):,}"
        out.print(f"{html}: {size} bytes, for {shown.for_whom}", markup=False, soft_wrap=True)
        if not text:
            return
    if not text:
        answers = f", answers to {shown.reply_to}" if shown.reply_to else ""
        for name, said in (
            ("letter", str(shown.letter.path.relative_to(loaded.folder))),
            ("for", shown.for_whom),
            ("from", f"{shown.sender_name} <{shown.sender_address}>{answers}"),
            ("subject", shown.mail.subject),
        ):
            out.print(Text(f"{name:<8}", "bold"), said, markup=False, soft_wrap=True)
        out.print()
    sys.stdout.write(shown.mail.text)


@mail_app.command(name="test")
@sentences
def to_myself(
    letter: LetterArgument,
    to: Annotated[str, typer.Option("--to", help="your own address")],
    candidate: CandidateOption = "",
    bare: BareOption = False,
    project: ProjectOption = None,
) -> None:
    """Send a letter to yourself, marked as a test; nothing is written into the ledger."""
    _, loaded = open_project(project)
    from warmline.core.outcomes import OutcomeKind
    from warmline.flows.preview import preview as show
    from warmline.flows.preview import send_test
    from warmline.flows.runtime import build, utc_now

    now = utc_now()
    shown = show(loaded, letter, candidate=candidate, bare=bare, now=now)
    runtime = build(loaded)
    try:
        outcome = send_test(runtime, shown, to, mark=secrets.token_hex(8), now=now)
    finally:
        runtime.close()
    if outcome.kind is not OutcomeKind.DONE:
        complain(f"the test was not accepted: {outcome.reason or outcome.kind.value}")
        raise typer.Exit(1)
    out.print(f"sent, for {shown.for_whom}: {shown.mail.subject}", markup=False, soft_wrap=True)


@mail_app.command()
@sentences
def lint(
    online: Annotated[
        bool, typer.Option("--online", help="follow links to hosts that warmline.yaml names")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="as JSON, for scripts")] = False,
    project: ProjectOption = None,
) -> None:
    """Hold every letter against the rules; exit status 1 where one would do harm."""
    from warmline.core.mail_lint import Severity
    from warmline.flows.lint_mail import lint_mail
    from warmline.flows.runtime import utc_now

    found = lint_mail(settings_of(project).project, online=online, now=utc_now)
    errors, warnings = (found.count(severity) for severity in Severity)
    if as_json:
        said = {
            "letters": found.letters,
            "errors": errors,
            "warnings": warnings,
            "faults": [placed.as_json() for placed in found.faults],
        }
        sys.stdout.write(json.dumps(said, indent=2, ensure_ascii=False) + "\n")
    else:
        for placed in found.faults:
            style = "red" if placed.fault.severity is Severity.ERROR else "yellow"
            out.print(Text(str(placed), style), soft_wrap=True)
        out.print(f"{found.letters} letters: {errors} errors, {warnings} warnings")
    if errors:
        raise typer.Exit(1)
