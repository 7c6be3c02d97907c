"""Transactions that write."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, transaction

_one_writer = threading.RLock()
# PostgreSQL only; SQLite has one writer anyway. The first number says what the lock is about.
_LOCK_RECORDS = "SELECT pg_advisory_xact_lock(11, hashtext(%s))"


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


def lock_records(name: str) -> None:
    """Until the transaction ends nobody else learns of records of this connection, or decides that
    one is not known: an event that comes too early and the record it waits for cannot miss each
    other."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(_LOCK_RECORDS, [name])
