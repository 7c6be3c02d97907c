"""One runner a ledger: the lock that a running `warmline up` holds, and that dies with it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from django.conf import settings
from django.db import DatabaseError, connection

from warmline.core.errors import WarmlineError

# Any number will do, as long as it is ours: "warm" in ASCII.
_ADVISORY_KEY = 0x7761726D


class SoleRunner:
    """Held while the engine runs. The operating system (SQLite) or the server (PostgreSQL) frees
    it when the process dies, however it dies; so its holder may take every other claim as lapsed.

    Raises WarmlineError where another process holds it.
    """

    def __init__(self) -> None:
        self._file: int | None = None
        self._connection = None if connection.vendor == "sqlite" else connection.copy()

    def __enter__(self) -> SoleRunner:
        if self._connection is None:
            path = Path(f"{settings.DATABASES['default']['NAME']}.lock")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(self._file)
                raise _taken() from None
            return self
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s)", [_ADVISORY_KEY])
            if not cursor.fetchone()[0]:
                self._connection.close()
                raise _taken()
        return self

    def held(self) -> bool:
        """Whether the lock is still ours. PostgreSQL frees it when its connection ends, which a
        restart of the server or a firewall may do behind our back."""
        if self._connection is None:
            return True
        try:
            with self._connection.cursor() as cursor:
                cursor.execute("SELECT 1")
        except DatabaseError:
            return False
        return True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._file is not None:
            os.close(self._file)
        if self._connection is not None:
            self._connection.close()


def _taken() -> WarmlineError:
    return WarmlineError(
        "another Warmline runs on this ledger already",
        hint="end it first, or give this one a WARMLINE_DATABASE_URL of its own",
    )
