"""The measurements on a million candidates, on a few hundred: what they do, not how fast."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bench.data import run, seed_ledger, segmented
from bench.runs import WrongError

from tests.harness import SECRETS, clean_environment
from warmline.cli.starter import copy_starter

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
PEOPLE = 2000


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated and filled ledger."""
    folder = tmp_path_factory.mktemp("ledger")
    path = migrated(folder)
    seed_ledger(path, PEOPLE, now=NOW)
    return path


def migrated(folder: Path) -> Path:
    path = folder / "ledger.sqlite3"
    copy_starter(folder / "project")
    environment = clean_environment(**SECRETS, WARMLINE_DATABASE_URL=f"sqlite:///{path}")
    run([sys.executable, "-m", "bench.placing", str(folder / "project"), "migrate"], environment)
    return path


def ask(path: Path, sql: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(sql).fetchall()


def test_a_seeded_ledger_holds_what_was_asked_for(ledger: Path) -> None:
    assert ask(ledger, "SELECT count(*) FROM warmline_candidate") == [(PEOPLE,)]
    assert ask(ledger, "SELECT count(DISTINCT normal) FROM warmline_candidateemail") == [(PEOPLE,)]
    assert ask(ledger, "SELECT count(*) FROM warmline_externalid") == [(PEOPLE,)]
    ((applications, prospects),) = ask(
        ledger, "SELECT count(*), sum(prospect) FROM warmline_application"
    )
    assert isinstance(applications, int)
    assert isinstance(prospects, int)
    assert 1.2 < applications / PEOPLE < 1.4
    assert 0.03 < prospects / PEOPLE < 0.09
    assert ask(ledger, "PRAGMA foreign_key_check") == []


def test_its_applications_are_of_every_kind_and_of_four_years(ledger: Path) -> None:
    statuses = "SELECT DISTINCT status FROM warmline_application ORDER BY 1"
    assert ask(ledger, statuses) == [("active",), ("hired",), ("rejected",)]
    reached = "SELECT DISTINCT reached FROM warmline_application ORDER BY 1"
    assert [word for (word,) in ask(ledger, reached)] == [
        "", "applied", "final", "hired", "interview", "offer", "screen",
    ]  # fmt: skip
    ((first, last, backwards),) = ask(
        ledger,
        "SELECT min(sourced_at), max(moved_at), sum(moved_at < applied_at OR"
        " applied_at < sourced_at) FROM warmline_candidate c"
        " JOIN warmline_application a ON a.candidate_id = c.id",
    )
    assert str(first) < "2022-06"
    assert "2026-02" < str(last) < "2026-03-03"
    assert backwards == 0


def test_its_indexes_are_those_that_migrations_make(ledger: Path, tmp_path: Path) -> None:
    sql = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%'"
    assert sorted(ask(ledger, sql), key=str) == sorted(ask(migrated(tmp_path), sql), key=str)
    assert ask(ledger, "PRAGMA journal_mode") == [("wal",)]


def test_a_column_that_it_does_not_know_is_told(tmp_path: Path) -> None:
    path = migrated(tmp_path)
    with closing(sqlite3.connect(path)) as database:
        database.execute("ALTER TABLE warmline_job RENAME COLUMN title TO heading")
    with pytest.raises(RuntimeError, match=r"does not fill \['heading'\] of job"):
        seed_ledger(path, 1, now=NOW)


def test_everybody_is_placed_and_each_figure_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])  # a child finds `bench` there
    said: list[str] = []
    found = {
        figure.name: figure for figure in segmented(PEOPLE, lambda what, *_: said.append(what))
    }
    assert found["segments.candidates"].value == PEOPLE
    assert found["segments.all_s"].aim == 60
    assert found["segments.one_ms_p50"].aim == 20
    assert 0 < found["segments.one_ms_p50"].value <= found["segments.one_ms_p99"].value
    assert found["segments.peak_memory_mb"].value > 10
    assert len(said) == 2


def test_a_child_that_fails_says_why() -> None:
    with pytest.raises(WrongError, match=r"ended with 3\nno such thing"):
        run([sys.executable, "-c", "import sys; print('no such thing', file=sys.stderr); exit(3)"],
            dict(os.environ))  # fmt: skip


def test_a_child_is_measured() -> None:
    """A list of 80 MB is held, and freed again, before the child ends."""
    code = "held = bytearray(b'x') * 80_000_000; del held; print('done')"
    ran = run([sys.executable, "-c", code], dict(os.environ))
    assert ran.out == "done\n"
    assert ran.peak_mb > 80
    assert ran.cpu_s > 0
    assert ran.seconds > 0
