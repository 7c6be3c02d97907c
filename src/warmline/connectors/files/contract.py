"""What the contract suite needs to know of exports: the fixtures, row by row, and a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from warmline.connectors.files.connector import PAGE_ROWS, STREAM, Files
from warmline.ports import Channel, Options, Received
from warmline.testing.contract import Clock, Harness, Listing, Parsing, Place

READ_AT = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
HEADER = "Candidate ID,Name,Email,Job,Stage,Applied On\n"


def harness() -> Harness:
    nobody = "it reads files on this machine: there is no vendor who answers"
    return Harness(
        build=lambda options, timeout_s: Files(options),
        settings={"path": "exports"},
        parsing=Parsing(_deliveries),
        place=_place,
        exempt={
            "an_unknown_word_is_kept": "a row says how things stand, without a word for an event",
            "a_listing_without_an_end_is_malformed": nobody,
            "a_listing_survives_every_answer": nobody,
        },
    )


def _deliveries(folder: Path) -> Mapping[str, Received]:
    """Each row of each fixture, as the connector itself lists it."""
    found = {}
    for path in sorted((folder / "fixtures").iterdir()):
        if not path.is_file():
            continue
        listed = Files(Options("contract", {"path": str(path)}, {}, lambda: READ_AT))
        rows = (one for page in listed.changes(STREAM, "", now=READ_AT) for one in page.records)
        for number, record in enumerate(rows, start=1):
            received = Received(Channel.IMPORT, record.body, READ_AT, stream=STREAM)
            found[f"{path.name.replace('.', '_')}_{number}"] = received
    return found


@contextmanager
def _place(clock: Clock) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as name:
        folder, numbers = Path(name), count(1)

        def fill(rows: int) -> None:
            people = [next(numbers) for _ in range(rows)]
            lines = [
                f"{one},Ada Lind {one},canary.{one}@people.example,Cook,Interview,2026-01-05\n"
                for one in people
            ]
            (folder / f"{people[0]}.csv").write_text(HEADER + "".join(lines))

        yield Place(
            settings=lambda url: {"path": name},
            secrets={},
            listing=Listing(fill, PAGE_ROWS, streams=(STREAM,), many=2 * PAGE_ROWS + 1),
        )
