"""`warmline simulate` where it cannot run: a sentence each, and nothing made."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import SECRETS, clean_environment
from warmline.cli.starter import copy_starter


@pytest.fixture
def project(tmp_path: Path) -> Path:
    copy_starter(tmp_path / "project")
    return tmp_path / "project"


def run(project: Path, *options: str, ledger: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "warmline", "simulate", "--project", str(project), *options],
        capture_output=True,
        text=True,
        env=clean_environment(**SECRETS, WARMLINE_DATABASE_URL=ledger),
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--days", "0"), "greater than or equal to 1"),
        (("--days", "5000"), "less than or equal to 1100"),
        (("--against", "no-such-thing"), "no folder"),
        (("--against", "/"), "holds no warmline.yaml"),
        (("--markdown", "x.md"), "expected --against OLD too"),
        (("--fail-on-change",), "expected --against OLD too"),
    ],
)
def test_a_wrong_option_is_told_of(project: Path, options: tuple[str, ...], said: str) -> None:
    ran = run(project, *options)
    assert ran.returncode == 2
    assert said in " ".join(ran.stderr.split())
    assert "Traceback" not in ran.stderr


def test_a_ledger_that_is_none_is_told_of(project: Path, tmp_path: Path) -> None:
    none = tmp_path / "none.sqlite3"
    ran = run(project, ledger=f"sqlite:///{none}")
    assert (ran.returncode, "there is no ledger" in ran.stderr) == (2, True)
    assert not none.exists()
    none.write_text("no database at all")
    ran = run(project, ledger=f"sqlite:///{none}")
    assert (ran.returncode, "cannot be read" in ran.stderr) == (2, True)
    shut = run(project, ledger="postgresql://u:secret@127.0.0.1:9/none")
    assert (shut.returncode, "secret" in shut.stderr) == (2, False)
