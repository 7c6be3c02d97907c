"""What the contract suite must know of exports: the fixtures are files, and their rows are read."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from warmline.connectors.files.connector import PAGE_ROWS, Files
from warmline.ports import Channel, Options, Received
from warmline.testing.contract import Clock, Harness, Listing, Parsing, Place
from warmline.testing.contract.harness import START

HEADER = "Candidate ID,Application ID,First Name,Last Name,Email Addresses,Jobs,Current Stage"


def harness() -> Harness:
    return Harness(
        build=lambda options, _timeout_s: Files(options),
        settings={"path": "."},
        parsing=Parsing(deliveries),
        place=place,
        exempt={
            "an_unknown_word_is_kept": "an export has columns and values, and no words of events",
            "a_listing_without_an_end_is_malformed": "a file has an end; nobody is asked for it",
            "a_listing_survives_every_answer": "files are read, and nobody is called for them",
        },
    )


def deliveries(folder: Path) -> Mapping[str, Received]:
    """Every row of every fixture."""
    found = {}
    for path in sorted((folder / "fixtures").iterdir()):
        if not path.is_file():
            continue
        source = Files(Options("contract", {"path": str(path)}, {}, lambda: START))
        records = [r for page in source.changes("rows", "", now=START) for r in page.records]
        for number, record in enumerate(records, start=1):
            received = Received(Channel.IMPORT, record.body, START, stream="rows")
            found[f"{path.name}-{number}"] = received
    return found


@contextmanager
def place(_clock: Clock) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as folder:

        def fill(number: int) -> None:
            lines = [
                f"{n},{n},Ada,Lind,ada{n}@people.example,Cook,Interview" for n in range(number)
            ]
            (Path(folder) / "export.csv").write_text("\n".join([HEADER, *lines]) + "\n")

        yield Place(
            settings=lambda _url: {"path": folder},
            secrets={},
            listing=Listing(fill, PAGE_ROWS, ("rows",), many=2 * PAGE_ROWS + 1),
        )
