"""What verbs share: the project folder, the ledger, and errors as sentences."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from warmline.core.errors import ConfigError, WarmlineError

# What takes long to import is imported by a verb that is under way, where Ctrl-C is a sentence.
if TYPE_CHECKING:
    from warmline.config.project import Project
    from warmline.config.settings import Settings

# Characters a line, where no terminal says how wide it is.
PLAIN_WIDTH = 110
_INTERRUPTED = ("Query interrupted", "INTERRUPT Error")

ProjectOption = Annotated[
    Path | None,
    typer.Option("--project", "-p", help="the project folder (default: here, or WARMLINE_PROJECT)"),
]

out = Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
err = Console(stderr=True, highlight=False)


def complain(reason: str, hint: str = "") -> None:
    """What went wrong, as it stands: brackets in it are no markup of ours."""
    err.print(Text("error", "red"), reason, markup=False, soft_wrap=True)
    if hint:
        err.print(f"      {hint}", markup=False, soft_wrap=True)


def sentences(verb: Callable[..., Any]) -> Callable[..., Any]:
    """No traceback reaches a user: what went wrong, and what to do."""

    @wraps(verb)
    def told(*args: Any, **kwargs: Any) -> Any:
        try:
            return verb(*args, **kwargs)
        except WarmlineError as error:
            complain(str(error), error.hint)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            err.print("interrupted")
            raise typer.Exit(130) from None
        except OSError as error:
            where = f": {error.filename}" if error.filename else ""
            complain(f"{error.strerror or error}{where}")
            raise typer.Exit(2) from None
        except typer.Exit:
            raise
        except Exception as error:
            if is_interrupt(error):
                err.print("interrupted")
                raise typer.Exit(130) from None
            if os.environ.get("WARMLINE_LOG_LEVEL", "").upper() == "DEBUG":
                raise
            complain(
                f"this is a fault of Warmline's: {type(error).__name__}",
                "run it again with WARMLINE_LOG_LEVEL=DEBUG for the details",
            )
            raise typer.Exit(70) from None  # EX_SOFTWARE

    return told


def is_interrupt(error: BaseException) -> bool:
    """Ctrl-C. Within a query DuckDB tells of it in words alone, and Splink wraps these."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, KeyboardInterrupt) or str(seen).startswith(_INTERRUPTED):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def settings_of(project: Path | None) -> Settings:
    """The process settings, with the project folder of the command line before the environment's;
    `secrets.env` in the folder adds what the environment does not say."""
    from warmline.config.settings import read

    if project is not None:
        os.environ["WARMLINE_PROJECT"] = str(project.absolute())
    folder = Path(os.environ.get("WARMLINE_PROJECT", "."))
    secrets = folder / "secrets.env"
    if secrets.exists():
        try:
            text = secrets.read_text("utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(
                f"expected UTF-8; byte {error.start} is not", file=str(secrets)
            ) from None
        for line in text.splitlines():
            name, equals, value = line.strip().partition("=")
            if equals and not name.startswith("#"):
                os.environ.setdefault(name.strip(), value.strip().strip("\"'"))
    return read()


def open_ledger(settings: Settings) -> None:
    """Django on the ledger, its tables made or brought up to date."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "warmline.store.settings")
    os.umask(0o077)  # the ledger holds personal data: nobody else on the machine may read it
    if not settings.database_url:
        (settings.project / "var").mkdir(mode=0o700, parents=True, exist_ok=True)
    import django
    from django.core.management import call_command
    from django.db import DatabaseError

    django.setup()
    try:
        call_command("migrate", interactive=False, verbosity=0)
    except DatabaseError as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WarmlineError(
            f"the ledger cannot be opened: {text}",
            hint="look at WARMLINE_DATABASE_URL, the server, and the free space on the disk",
        ) from None


def logs(level: str) -> None:
    """One line an event, structured as key=value, on standard error."""
    number = logging.getLevelNamesMapping().get(level.upper())
    if number is None:
        raise WarmlineError(
            f"WARMLINE_LOG_LEVEL is {level!r}; expected DEBUG, INFO, WARNING or ERROR"
        )
    logging.basicConfig(
        stream=sys.stderr, level=number, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    for noisy in ("httpx", "httpcore", "waitress", "django.request", "markdown_it"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def open_project(project: Path | None) -> tuple[Settings, Project]:
    """Settings, the checked project folder, and the open ledger."""
    from warmline.config.project import load

    settings = settings_of(project)
    loaded = load(settings.project)
    open_ledger(settings)
    return settings, loaded
