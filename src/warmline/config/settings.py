"""The process settings: one table, read from the environment.

Each may also come from a file: `NAME_FILE` names it (Docker and systemd secrets). What belongs to
the hiring process stands in `warmline.yaml` instead.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from warmline.core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Setting:
    name: str
    kind: type
    default: object
    help: str
    secret: bool = False


TABLE: tuple[Setting, ...] = (
    Setting("WARMLINE_PROJECT", str, ".", "the project folder, the one with warmline.yaml"),
    Setting(
        "WARMLINE_DATABASE_URL",
        str,
        "",
        "the ledger: postgresql://user:password@host/name or sqlite:////absolute/path; "
        "empty: var/warmline.sqlite3 in the project folder",
        secret=True,
    ),
    Setting(
        "WARMLINE_SECRET_KEY",
        str,
        "",
        "signs the links in mails; empty: made once and kept in var/secret_key (mode 0600)",
        secret=True,
    ),
    Setting("WARMLINE_LISTEN", str, "127.0.0.1:8025", "address and port of the web server"),
    Setting(
        "WARMLINE_PAGES_LISTEN",
        str,
        "127.0.0.1:8026",
        "where pages answer once public_url is not local: then WARMLINE_LISTEN serves webhooks and "
        "unsubscribe links only",
    ),
    Setting("WARMLINE_WEB_THREADS", int, 16, "threads that answer requests"),
    Setting("WARMLINE_MAIL_THREADS", int, 2, "threads, and so connections, that hand over mail"),
    Setting("WARMLINE_TICK_S", float, 1.0, "seconds between two looks for what falls due"),
    Setting("WARMLINE_LOG_LEVEL", str, "INFO", "DEBUG, INFO, WARNING or ERROR"),
)


@dataclass(frozen=True, slots=True)
class Settings:
    project: Path
    database_url: str
    secret_key: str
    listen_host: str
    listen_port: int
    pages_host: str
    pages_port: int
    web_threads: int
    mail_threads: int
    tick_s: float
    log_level: str


def value_or_file(name: str, env: Mapping[str, str] = os.environ) -> str | None:
    """`NAME`, or the contents of the file that `NAME_FILE` names; None where neither is set."""
    if (value := env.get(name)) is not None:
        return value
    if (path := env.get(f"{name}_FILE")) is None:
        return None
    try:
        return Path(path).read_text().strip()
    except OSError as error:
        raise ConfigError(
            f"{name}_FILE names a file that cannot be read: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"{name}_FILE names a file that cannot be read: not UTF-8") from None


def read(env: Mapping[str, str] = os.environ) -> Settings:
    """Raises ConfigError, naming the setting, what was found and what was expected."""
    found: dict[str, Any] = {}
    for setting in TABLE:
        text = value_or_file(setting.name, env)
        found[setting.name] = setting.default if text is None else _typed(setting, text)
    project = Path(found["WARMLINE_PROJECT"]).absolute()
    listen_host, listen_port = _host_and_port(found, "WARMLINE_LISTEN")
    pages_host, pages_port = _host_and_port(found, "WARMLINE_PAGES_LISTEN")
    return Settings(
        project=project,
        database_url=found["WARMLINE_DATABASE_URL"],
        secret_key=found["WARMLINE_SECRET_KEY"] or _kept_secret(project),
        listen_host=listen_host,
        listen_port=listen_port,
        pages_host=pages_host,
        pages_port=pages_port,
        web_threads=found["WARMLINE_WEB_THREADS"],
        mail_threads=found["WARMLINE_MAIL_THREADS"],
        tick_s=found["WARMLINE_TICK_S"],
        log_level=found["WARMLINE_LOG_LEVEL"],
    )


def _host_and_port(found: Mapping[str, Any], name: str) -> tuple[str, int]:
    host, _, port = str(found[name]).rpartition(":")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ConfigError(
            f"{name} is {found[name]!r}; expected HOST:PORT, for example 127.0.0.1:8025"
        )
    return host or "127.0.0.1", int(port)


def database(settings: Settings) -> dict[str, Any]:
    """Django's `DATABASES["default"]`. Raises ConfigError."""
    if not settings.database_url:
        return _sqlite(settings.project / "var" / "warmline.sqlite3")
    try:
        parts = urlsplit(settings.database_url)
        port = parts.port or ""
    except ValueError:
        raise ConfigError(
            "WARMLINE_DATABASE_URL cannot be read; "
            "expected postgresql://user:password@host:port/name",
            hint="a port is a number, and signs such as / and @ in a password are written as %2F",
        ) from None
    name = unquote(parts.path[1:])
    if parts.scheme == "sqlite":
        if not name:
            raise ConfigError(
                "WARMLINE_DATABASE_URL names no file; expected sqlite:////absolute/path"
            )
        return _sqlite(Path(name))  # three slashes: relative; four: absolute
    if parts.scheme in ("postgresql", "postgres"):
        if not name:
            raise ConfigError(
                "WARMLINE_DATABASE_URL names no database; expected postgresql://…/name"
            )
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": name,
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or ""),
            "PORT": str(port),
            "CONN_MAX_AGE": None,
            "CONN_HEALTH_CHECKS": True,
        }
    raise ConfigError(
        f"WARMLINE_DATABASE_URL begins with {parts.scheme!r}; expected sqlite:/// or postgresql://"
    )


def _sqlite(path: Path) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": str(path),
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            # FULL: a commit that was answered is on the disk, whatever happens to the power.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
    }


def _typed(setting: Setting, text: str) -> object:
    """Numbers are of threads and of seconds: above zero, and with an end."""
    try:
        value = setting.kind(text)
        if setting.kind is str or 0 < value < 1_000_000:
            return value
    except ValueError:
        pass
    raise ConfigError(
        f"{setting.name} is {text!r}; expected {setting.kind.__name__} above 0: {setting.help}"
    )


def _kept_secret(project: Path) -> str:
    """Made once a project. Raises ConfigError where it cannot be kept: with another key at each
    start, the unsubscribe links of every mail sent before would stop working."""
    path = project / "var" / "secret_key"
    if kept := _read_or_empty(path):
        return kept
    made = secrets.token_urlsafe(50)
    if not (project / "warmline.yaml").exists():
        return made
    # Written beside it and then moved there whole: a kill leaves no half of a key, and of two
    # that begin at once the second finds the first one's.
    beside = path.with_name(f"secret_key.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(made)
            file.flush()
            os.fsync(file.fileno())
        if path.exists() and not _read_or_empty(path):
            beside.replace(path)
        else:
            path.hardlink_to(beside)
    except OSError as error:
        if kept := _read_or_empty(path):
            return kept
        raise ConfigError(
            f"the key that signs links cannot be kept in {path}: {error.strerror}",
            hint="make the folder writable, or set WARMLINE_SECRET_KEY",
        ) from None
    finally:
        with suppress(OSError):
            beside.unlink()
    return made


def _read_or_empty(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
