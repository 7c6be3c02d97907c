"""What `warmline check` tells of an export: which header is which field, and which has none."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from warmline.connectors.files.test_connector import files
from warmline.ports import Access, Finding, Needs, Verdict

READ, BOTH = frozenset({Access.READ}), frozenset(Access)
BASE = Needs(dict.fromkeys(("email", "name", "applied_role", "stage", "recruiter_owner"), READ))
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return put


def found(path: Path, needs: Needs = BASE, **settings: object) -> dict[str, Finding]:
    """By what was looked at, without the file's name."""
    return {
        one.what.removeprefix(f"{path.name}: "): one for one in files(path, **settings).check(needs)
    }


def test_each_field_says_its_header_or_that_there_is_none(write: Write) -> None:
    told = found(write("a.csv", "Name,Email,Phone\nAda,a@b.example,123\n"))
    missing = {what for what, one in told.items() if one.verdict is Verdict.MISSING}
    assert missing == {"applied_role", "stage", "recruiter_owner", "application_date"}
    email = told["email"]
    assert email == Finding(
        "a.csv: email", Verdict.OK, "column 'Email'", "email", read=Verdict.OK, write=None
    )
    assert told["phone"].advice == "column 'Phone'"
    assert "columns.owner" in told["recruiter_owner"].advice
    assert "rows count as happening when they are read" in told["application_date"].advice


def test_a_whole_export_is_fine(write: Write) -> None:
    path = write(
        "a.csv",
        "First name,Last name,Email,Role,Stage,Recruiter,Applied At\n"
        "Ada,Lind,a@b.example,Cook,Screen,Kim,2026-01-02\n",
    )
    told = found(path)
    assert {one.verdict for one in told.values()} == {Verdict.OK}
    assert told["name"].advice == "column 'First name' and column 'Last name'"


def test_what_no_export_has_is_missing_and_nothing_is_written_back(write: Write) -> None:
    path = write("a.csv", "Name,Email\nAda,a@b.example\n")
    told = found(path, Needs({"interviewer": READ, "email": BOTH}))
    assert told["interviewer"].verdict is Verdict.MISSING
    assert (told["email"].read, told["email"].write) == (Verdict.OK, Verdict.READ_ONLY)


def test_two_headers_for_one_field_are_told(write: Write) -> None:
    path = write("a.csv", "Name,Email,E-mail,Role\nAda,a@b.example,c@d.example,Cook\n")
    said = [f.advice for f in files(path).check(BASE) if "could be it too" in f.advice]
    assert len(said) == 1
    assert "'E-mail'" in said[0]
    assert "columns.email" in said[0]
    configured = files(path, columns={"email": "E-mail"}).check(BASE)
    assert not [f for f in configured if "could be it too" in f.advice]


def test_a_configured_header_that_is_absent_is_failed(write: Write) -> None:
    path = write("a.jsonl", json.dumps({"Name": "Ada", "Mail": "a@b.example"}))
    told = found(path, columns={"email": "Primary address"})
    assert told["columns"].verdict is Verdict.FAILED
    assert "'Primary address'" in told["columns"].advice


def test_dates_that_could_be_either_are_told(write: Write) -> None:
    path = write("a.csv", "Name,Role,Applied At\nAda,Cook,03/04/2026\n")
    assert found(path)["date_order"].verdict is Verdict.MISSING
    assert "date_order" not in found(path, date_order="mdy")


@pytest.mark.parametrize("content", ["", "["])
def test_a_file_that_cannot_be_read_leaves_its_fields_unknown(write: Write, content: str) -> None:
    path = write("a.json" if content else "a.csv", content)
    told = found(path)
    assert told[path.name].verdict is Verdict.FAILED
    assert {told[field].verdict for field in BASE.fields} == {Verdict.UNKNOWN}


def test_no_file_is_missing_and_its_fields_unknown(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", tmp_path):
        first, *others = files(path).check(BASE)
        assert first.verdict is Verdict.MISSING
        assert {one.field for one in others} == set(BASE.fields)
        assert {one.verdict for one in others} == {Verdict.UNKNOWN}


def test_a_broken_row_is_told_beside_the_others(write: Write) -> None:
    path = write("a.jsonl", '{"Name": "Ada", "Email": "a@b.example"}\n{"Name": \n')
    told = found(path)
    assert told["rows"].verdict is Verdict.FAILED
    assert told["email"].verdict is Verdict.OK
