"""What this machine can do at this moment, to read the other figures by: on a shared machine they
rise and fall together."""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

_LOOP = 1_000_000
_SECONDS = 1.0


def python_loops_per_s() -> float:
    """Millions of turns of a plain Python loop a second, on one core; the best of three."""
    best = 0.0
    for _ in range(3):
        start, total = time.perf_counter(), 0
        for number in range(_LOOP):
            total += number % 7
        best = max(best, _LOOP / (time.perf_counter() - start))
    return best / 1e6


def commits_per_s() -> float:
    """Durable commits of one row a second, on one SQLite connection as the ledger uses it."""
    with (
        tempfile.TemporaryDirectory(prefix="wl-bench-") as folder,
        closing(sqlite3.connect(Path(folder) / "t.sqlite3", isolation_level=None)) as database,
    ):
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=FULL")
        database.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB)")
        row, count, start = os.urandom(200), 0, time.perf_counter()
        while time.perf_counter() - start < _SECONDS:
            database.execute("INSERT INTO t (b) VALUES (?)", [row])
            count += 1
        return count / (time.perf_counter() - start)
