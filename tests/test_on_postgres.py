"""The ledger's tests again, on PostgreSQL: same models, same tests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests.postgres import WHY_NOT, server

ROOT = Path(__file__).parent.parent
LEDGER_TESTS = ["tests/flows", "tests/store", "tests/web/test_doors.py"]
# They use no ledger.
WITHOUT = [
    "tests/flows/test_linkage.py",
    "tests/flows/test_audit.py",
    "tests/flows/test_audit_input.py",
    "tests/flows/test_whereabouts.py",
    "tests/flows/test_quota.py",
]


def _outside() -> dict[str, str]:
    """This environment, without what makes a process a worker of this run."""
    return {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST_")}


@pytest.mark.timeout(2400)  # many tests in one
@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_the_ledgers_tests_hold_on_postgresql() -> None:
    with server() as url:
        with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
            connection.execute("CREATE DATABASE warmline")
        found = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                *LEDGER_TESTS,
                *(f"--ignore={path}" for path in WITHOUT),
            ],
            cwd=ROOT,
            env={**_outside(), "WARMLINE_DATABASE_URL": f"{url}/warmline"},
            capture_output=True,
            text=True,
        )
    assert found.returncode == 0, found.stdout[-5000:]
    assert " passed" in found.stdout
