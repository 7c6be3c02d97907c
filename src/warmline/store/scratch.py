"""A copy of the ledger to try things on: the process's own `default` database is the copy, and the
ledger itself is only ever read.

The copy is a SQLite file that has lost its name as soon as it was opened, so that nothing is left
of it however the process ends. Raw bodies of deliveries stay behind: nobody reads them here.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

from warmline.core.errors import WarmlineError

# Django is set up by `scratch_ledger`: the imports of it stand in the functions that come after.
_APP = "warmline"
_MIGRATIONS = "django_migrations"
# What no flow looks at any more, by table and column, and what stands there instead.
_LEFT_OUT = {
    ("warmline_delivery", "body"): "X''",
    ("warmline_delivery", "headers"): "'{}'",
    ("warmline_action", "exchange"): "NULL",
}
_ROWS = 2000
# What is lost with the power is lost: it is a copy.
_FAST = (
    "PRAGMA journal_mode=MEMORY; PRAGMA synchronous=OFF; PRAGMA temp_store=MEMORY; "
    "PRAGMA cache_size=-200000;"
)

Told = Callable[[str, int, int], None]
"""Hears what is done, how far it is, and out of how many."""


class Scratch:
    """The copy. `keep` notes how it stands, and `restore` brings it back to that."""

    def __init__(self) -> None:
        self._kept: sqlite3.Connection | None = None

    def keep(self) -> None:
        self._kept = sqlite3.connect("")  # of SQLite's own: it goes with the connection
        _raw().backup(self._kept)

    def restore(self) -> None:
        assert self._kept is not None  # noqa: S101 - whoever restores has kept
        self._kept.backup(_raw())

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()


@contextmanager
def scratch_ledger(ledger: Mapping[str, Any], told: Told) -> Iterator[Scratch]:
    """Django, set up on a copy of the ledger with these settings (`config.settings.database`). To
    be called once in a process, before anything has set Django up. Raises WarmlineError where there
    is no ledger, or none that this Warmline can read."""
    _look(ledger)
    number, path = tempfile.mkstemp(prefix="warmline-simulate-", suffix=".sqlite3")
    os.close(number)
    try:
        _set_up(path)
    finally:
        Path(path).unlink(missing_ok=True)
    scratch = Scratch()
    try:
        _fill(ledger, told)
        yield scratch
    finally:
        scratch.close()
        _close()


def _look(ledger: Mapping[str, Any]) -> None:
    path = Path(ledger["NAME"])
    if _is_sqlite(ledger) and not path.is_file():
        raise WarmlineError(
            f"there is no ledger at {path}",
            hint="`warmline up` or `warmline import` makes one; see WARMLINE_DATABASE_URL",
        )


def _is_sqlite(ledger: Mapping[str, Any]) -> bool:
    return bool(ledger["ENGINE"] == "django.db.backends.sqlite3")


def _set_up(path: str) -> None:
    os.environ["WARMLINE_DATABASE_URL"] = f"sqlite:///{quote(path)}"
    os.environ["DJANGO_SETTINGS_MODULE"] = "warmline.store.settings"
    import django
    from django.db import connections

    django.setup()
    connections.settings["default"]["OPTIONS"]["init_command"] = _FAST
    connections["default"].ensure_connection()


def _raw() -> sqlite3.Connection:
    from django.db import connection

    raw: sqlite3.Connection = connection.connection
    return raw


def _close() -> None:
    from django.db import connections

    connections.close_all()


def _fill(ledger: Mapping[str, Any], told: Told) -> None:
    """The copy's tables are those of the ledger's own version, filled, and then brought up to date.
    The ledger is read in one transaction: it is all of one moment."""
    reader = _sqlite_reader if _is_sqlite(ledger) else _postgresql_reader
    with reader(ledger) as source:
        told("reading the ledger's version", 0, 1)
        _migrate(_newest(source.migrations()))
        source.begin()
        raw = _raw()
        raw.execute("PRAGMA foreign_keys=OFF")
        tables = _tables(raw)
        raw.execute("BEGIN IMMEDIATE")
        for done, table in enumerate(tables):
            told(f"copying {table.removeprefix('warmline_')}", done, len(tables))
            there, here = source.columns(table), _columns(raw, table)
            if lacking := [name for name in here if name not in there]:
                raise _unreadable(f"its table {table} has no column {lacking[0]}")
            source.copy(raw, table, here)
        raw.execute("COMMIT")
        raw.execute("PRAGMA foreign_keys=ON")
    told("bringing the copy up to date", len(tables), len(tables))
    _migrate(None)
    _raw().execute("ANALYZE")


def _migrate(newest: str | None) -> None:
    from django.core.management import call_command

    target = (_APP, newest) if newest else ()
    call_command("migrate", *target, interactive=False, verbosity=0)


def _newest(applied: Sequence[str]) -> str:
    """The migration up to which the ledger has come. Raises WarmlineError for one of a newer
    Warmline, and for a database that is no ledger."""
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    known = sorted(name for app, name in MigrationLoader(connection).disk_migrations if app == _APP)
    if not applied:
        raise _unreadable("it is not Warmline's")
    if strange := sorted(set(applied) - set(known)):
        raise _unreadable(f"it was made by a newer Warmline ({strange[-1]})")
    return max(applied)


def _unreadable(why: str) -> WarmlineError:
    return WarmlineError(
        f"the ledger cannot be read: {why}", hint="look at WARMLINE_DATABASE_URL and at the version"
    )


def _tables(raw: sqlite3.Connection) -> list[str]:
    rows = raw.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows if name.startswith(f"{_APP}_")]


def _columns(raw: sqlite3.Connection, table: str, schema: str = "main") -> list[str]:
    return [row[1] for row in raw.execute(f'PRAGMA {schema}.table_info("{table}")')]


def _names(columns: Sequence[str]) -> str:
    return ", ".join(f'"{name}"' for name in columns)


# SQLite


class _Sqlite:
    def __init__(self, raw: sqlite3.Connection, uri: str) -> None:
        self._raw, self._uri = raw, uri

    def migrations(self) -> list[str]:
        with closing(sqlite3.connect(self._uri, uri=True)) as ledger:
            if not _columns(ledger, _MIGRATIONS):
                return []
            rows = ledger.execute(f"SELECT name FROM {_MIGRATIONS} WHERE app = ?", [_APP])  # noqa: S608
            return [name for (name,) in rows]

    def begin(self) -> None:
        """Not before the copy has tables: a name that it has not is looked for here."""
        self._raw.execute("ATTACH ? AS ledger", [self._uri])

    def columns(self, table: str) -> list[str]:
        return _columns(self._raw, table, "ledger")

    def copy(self, raw: sqlite3.Connection, table: str, columns: Sequence[str]) -> None:
        chosen = ", ".join(_LEFT_OUT.get((table, name), f'"{name}"') for name in columns)
        raw.execute(f'DELETE FROM main."{table}"')  # noqa: S608 - names are our own
        raw.execute(
            f'INSERT INTO main."{table}" ({_names(columns)}) SELECT {chosen} FROM ledger."{table}"'  # noqa: S608
        )


@contextmanager
def _sqlite_reader(ledger: Mapping[str, Any]) -> Iterator[_Sqlite]:
    path = Path(ledger["NAME"]).absolute()
    raw = _raw()
    try:
        yield _Sqlite(raw, f"file:{quote(str(path))}?mode=ro")
        raw.execute("DETACH ledger")
    except sqlite3.DatabaseError as error:
        raise _unreadable(str(error)) from None


# PostgreSQL


class _Postgresql:
    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def begin(self) -> None:
        """The transaction began with the first question."""

    def migrations(self) -> list[str]:
        if not self.columns(_MIGRATIONS):
            return []
        rows = self._connection.execute(
            f"SELECT name FROM {_MIGRATIONS} WHERE app = %s",  # noqa: S608
            [_APP],
        )
        return [name for (name,) in rows.fetchall()]

    def columns(self, table: str) -> list[str]:
        rows = self._connection.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s)"
            " AND attnum > 0 AND NOT attisdropped",
            [f'"{table}"'],
        )
        return [name for (name,) in rows.fetchall()]

    def copy(self, raw: sqlite3.Connection, table: str, columns: Sequence[str]) -> None:
        """By a cursor of the server's, so that a large table needs little memory here."""
        chosen = ", ".join(
            _LEFT_OUT[(table, name)].replace("X''", "''::bytea")
            if (table, name) in _LEFT_OUT
            else f'"{name}"'
            for name in columns
        )
        marks = ", ".join("?" * len(columns))
        raw.execute(f'DELETE FROM main."{table}"')  # noqa: S608 - names are our own
        insert = f'INSERT INTO main."{table}" ({_names(columns)}) VALUES ({marks})'  # noqa: S608
        with self._connection.cursor(name="warmline_copy") as cursor:
            cursor.itersize = _ROWS
            cursor.execute(f'SELECT {chosen} FROM "{table}"')  # noqa: S608
            while rows := cursor.fetchmany(_ROWS):
                raw.executemany(insert, [[_plain(value) for value in row] for row in rows])


def _plain(value: Any) -> Any:
    """As Django writes it to SQLite. JSON comes as text already."""
    if isinstance(value, datetime):
        return str(value.astimezone(UTC).replace(tzinfo=None))
    if isinstance(value, date):
        return value.isoformat()
    return str(value) if isinstance(value, Decimal) else value


@contextmanager
def _postgresql_reader(ledger: Mapping[str, Any]) -> Iterator[_Postgresql]:
    import psycopg
    from psycopg.types.string import TextLoader

    try:
        connection = psycopg.connect(
            dbname=ledger["NAME"],
            user=ledger["USER"] or None,
            password=ledger["PASSWORD"] or None,
            host=ledger["HOST"] or None,
            port=ledger["PORT"] or None,
            options="-c default_transaction_read_only=on -c timezone=UTC",
        )
    except psycopg.OperationalError:
        # Its words may hold the user's name and the host's.
        raise WarmlineError(
            "the ledger cannot be opened: PostgreSQL did not let us in",
            hint="look at WARMLINE_DATABASE_URL and the server",
        ) from None
    with closing(connection):
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        connection.read_only = True
        for kind in ("json", "jsonb"):
            connection.adapters.register_loader(kind, TextLoader)
        try:
            yield _Postgresql(connection)
        except psycopg.Error as error:
            raise _unreadable(type(error).__name__) from None
