"""`warmline audit` as it is typed: options, exit statuses, and what is said to whom."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import Simulators, clean_environment, make_project
from warmline.cli.setup import is_interrupt
from warmline.core.segments import Segment

HEADER = "Candidate ID,Name,Email,Job,Stage,Recruiter\n"
ROWS = "1,Ada King,ada@example.org,Cook,Screen,Rita\n2,Bo Lind,,Cook,Screen,Rita\n"


def warmline(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "warmline", *arguments],
        cwd=folder,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(HEADER + ROWS, encoding="utf-8")
    return path


def test_a_newcomer_audits_an_export_without_a_project(export: Path, tmp_path: Path) -> None:
    done = warmline(tmp_path, "audit", "people.csv")
    assert done.returncode == 0, done.stderr
    assert "2 records, 2 applications, 2 people" in done.stdout
    assert "people.csv: CSV, utf-8" in done.stdout
    assert "ready to sync: 1 of 2 (50 %)" in done.stdout
    assert "No e-mail address" in done.stdout
    report = tmp_path / "audit" / "people.csv" / "report.html"
    assert report.exists()
    assert report.stat().st_mode & 0o077 == 0
    assert str(Path("audit/people.csv/report.html")) in done.stdout
    assert (tmp_path / "audit" / ".gitignore").read_text().endswith("*\n")
    assert list((tmp_path / "audit" / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("gate", "status"),
    [("missing_email", 1), ("missing_email>1", 0), ("invalid_email", 0), ("any", 1)],
)
def test_a_gate_decides_the_exit_status(
    export: Path, tmp_path: Path, gate: str, status: int
) -> None:
    done = warmline(tmp_path, "audit", "people.csv", "--fail-on", gate)
    assert done.returncode == status, done.stderr
    assert ("gate hit: " in done.stderr) is bool(status)


def test_json_is_all_that_stands_on_standard_output(export: Path, tmp_path: Path) -> None:
    done = warmline(
        tmp_path, "audit", "people.csv", "--json", "--out", "told", "--fail-on", "missing_email"
    )
    found = json.loads(done.stdout)
    assert found["totals"]["records"] == 2
    assert found["gates"] == ["missing_email: missing_email found 1 (50.00%)"]
    kept = json.loads((tmp_path / "told" / "findings.json").read_text("utf-8"))
    assert kept["findings"] == found["findings"]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "expected an EXPORT to audit, or a connection"),
        (["people.csv", "--from", "ats"], "expected an EXPORT to audit, or a connection"),
        (["nobody.csv"], "there is no file nobody.csv"),
        (["."], "is a folder"),
        (["people.csv", "--map", "email"], "expected FIELD=HEADER"),
        (["people.csv", "--map", "email=Email", "--map", "email=Mail"], "email is mapped twice"),
        (["people.csv", "--map", "email=Email", "--map", "name=Email"], "configured twice"),
        (["people.csv", "--fail-on", "nonsense"], "--fail-on names 'nonsense'"),
        (["people.csv", "--date-order", "ymd"], "expected one of auto, dmy, mdy"),
        (["people.csv", "--encoding", "utf-9"], "--encoding is 'utf-9'"),
        (["--from", "ats"], "no warmline.yaml"),
        (["people.csv", "--project", "nowhere"], "no warmline.yaml in nowhere"),
    ],
)
def test_a_wrong_command_is_a_sentence_and_status_2(
    export: Path, tmp_path: Path, arguments: list[str], said: str
) -> None:
    done = warmline(tmp_path, "audit", *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "audit" / "people.csv").exists()


def test_columns_are_mapped_on_the_command_line_and_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Wer,E-mail privé\nAda King,ada@example.org\n", "utf-8")
    (tmp_path / "map.yaml").write_text("columns:\n  name: Wer\n", "utf-8")
    done = warmline(
        tmp_path, "audit", "a.csv", "--json", "--mapping", "map.yaml", "--map",
        "email=E-mail privé",
    )  # fmt: skip
    assert json.loads(done.stdout)["source"]["columns"] == {"name": "Wer", "email": "E-mail privé"}


@pytest.mark.parametrize("phase", ["sorting out", "finding who is who"])
def test_ctrl_c_says_how_to_go_on(tmp_path: Path, phase: str) -> None:
    path = tmp_path / "people.csv"
    rows = "".join(f"{n},Ada K{n},a{n}@example.org,Cook,Screen,Rita\n" for n in range(50_000))
    path.write_text(HEADER + rows, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "warmline", "audit", "people.csv"],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stderr is not None
        for line in running.stderr:
            if phase in line:
                break
        os.kill(running.pid, signal.SIGINT)
        rest = running.stderr.read()
        assert running.wait(60) == 130
    assert "the same command goes on from there" in rest
    assert "Traceback" not in rest
    assert len(list((tmp_path / "audit" / "work").iterdir())) == 1
    done = warmline(tmp_path, "audit", "people.csv")
    assert done.returncode == 0, done.stderr
    assert "50,000 records" in done.stdout


def test_ctrl_c_within_a_query_is_no_fault_of_ours() -> None:
    query = RuntimeError("Query interrupted")  # as DuckDB says it
    assert is_interrupt(query)
    wrapped = ValueError("Error executing the following sql")  # as Splink does
    wrapped.__cause__ = query
    assert is_interrupt(wrapped)
    assert not is_interrupt(RuntimeError("the query is no query"))


def test_a_report_that_cannot_be_written_is_told_before_the_work(
    export: Path, tmp_path: Path
) -> None:
    done = warmline(tmp_path, "audit", "people.csv", "--out", "people.csv/report")
    assert done.returncode == 2
    assert "people.csv is a file; expected a folder" in done.stderr
    assert "reading" not in done.stderr


def test_a_folder_that_was_there_keeps_its_mode(export: Path, tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o755)
    done = warmline(tmp_path, "audit", "people.csv", "--out", "shared")
    assert done.returncode == 0, done.stderr
    assert shared.stat().st_mode & 0o777 == 0o755
    assert (shared / "report.html").stat().st_mode & 0o077 == 0
    assert (shared / "findings").stat().st_mode & 0o077 == 0


def test_a_connection_is_audited_through_its_api(tmp_path: Path) -> None:
    with Simulators() as simulators:
        simulators.history(40)
        project = tmp_path / "project"
        make_project(project, simulators, 9)
        done = warmline(tmp_path, "audit", "--from", "ats", "--json", "--project", str(project))
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["totals"]["records"] == 40
        assert found["totals"]["applications"] > 0
        # A record and its applications come in rows of their own: that is no fault of theirs.
        counts = {f["rule"]: f["count"] for f in found["findings"]}
        assert (counts["id_twice"], counts["no_stage"]) == (0, 0)
        assert found["totals"]["ready"] == 40
        assert {bar["name"] for bar in found["charts"]["segments"]} == set(Segment)
        lacking = [f["rule"] for f in found["findings"] if not f["judged"]]
        assert lacking == []
        unknown = warmline(tmp_path, "audit", "--from", "crm", "--project", str(project))
    assert unknown.returncode == 2
    assert "expected a connection that lists its records: ats" in unknown.stderr
