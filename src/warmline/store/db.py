"""Transactions that write, and moves by compare-and-swap."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

_one_writer = threading.RLock()


@contextmanager
def writing() -> Iterator[None]:
    """A transaction that writes.

    SQLite has one writer at a time, and lets the others sleep and look again; among our own
    threads a lock wakes the next one at once instead. PostgreSQL needs no such thing.
    """
    if connection.vendor == "sqlite":
        with _one_writer, transaction.atomic():
            yield
    else:
        with transaction.atomic():
            yield


def locked_ids(table: str, ids: list[int]) -> list[int]:
    """Those of `ids` that nobody else is working on, locked until the transaction ends.

    On SQLite the transaction is immediate, so being in it is the lock.
    """
    if connection.vendor == "sqlite" or not ids:
        return ids
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM {table} WHERE id = ANY(%s) FOR UPDATE SKIP LOCKED",  # noqa: S608
            [ids],
        )
        return sorted(row[0] for row in cursor.fetchall())
