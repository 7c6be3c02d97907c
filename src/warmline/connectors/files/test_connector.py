"""Exports of every shape, whole and broken; the fixtures first."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tracemalloc
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warmline.connectors.files import connector as connector_module
from warmline.connectors.files.connector import Files
from warmline.core.errors import ConfigError, Malformed
from warmline.core.events import ApplicationStatus, Event, EventKind, StageKind
from warmline.kit.exports import objects
from warmline.kit.exports.cells import split_name
from warmline.kit.exports.columns import Column, stage_kind
from warmline.kit.exports.dates import Ambiguous, order_of, read_date
from warmline.kit.manifest import make, read_manifest
from warmline.ports import (
    Channel,
    Checks,
    ListsChanges,
    Options,
    Page,
    Parses,
    Received,
    Record,
)

FIXTURES = Path(__file__).parent / "fixtures"
NOW = datetime(2026, 6, 1, tzinfo=UTC)
Write = Callable[..., Path]


def files(path: Path | str, **more: Any) -> Files:
    return Files(Options("exports", {"path": str(path), **more}, {}, lambda: NOW))


def pages(source: Files, cursor: str = "") -> list[Page]:
    return list(source.changes("rows", cursor, now=NOW))


def records(source: Files, cursor: str = "") -> list[Record]:
    return [record for page in pages(source, cursor) for record in page.records]


def parsed(source: Files, record: Record, channel: Channel = Channel.IMPORT) -> list[Event]:
    return source.parse(Received(channel, record.body, NOW, stream="rows"))


def events(path: Path, **more: Any) -> list[Event]:
    source = files(path, **more)
    return [event for record in records(source) for event in parsed(source, record)]


def submitted(path: Path, **more: Any) -> list[Event]:
    return [e for e in events(path, **more) if e.kind is EventKind.APPLICATION_SUBMITTED]


def faults(path: Path, **more: Any) -> list[str]:
    source = files(path, **more)
    found = []
    for record in records(source):
        try:
            parsed(source, record)
        except Malformed as error:
            found.append(error.reason)
    return found


def names(path: Path, **more: Any) -> list[str]:
    """The first names that can be read, one a row."""
    source = files(path, **more)
    found = []
    for record in records(source):
        try:
            candidate = parsed(source, record)[0].candidate
        except Malformed:
            continue
        found.append((candidate.first_name or "") if candidate else "")
    return found


def data(record: Record) -> dict[str, Any]:
    found = json.loads(record.body)["data"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(name: str, content: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return _write


# The fixtures: what each vendor's export becomes


def test_a_greenhouse_export() -> None:
    found = events(FIXTURES / "greenhouse.csv")
    assert [e.key.rpartition(":")[0] if "updated" in e.key else e.key for e in found] == [
        "application.submitted:9001",
        "candidate.updated:1001",
        "application.stage_changed:9001:onsite interview:",
        "application.submitted:9002",
        "candidate.updated:1002",
        "application.rejected:9002::2026-02-20T16:00:00+00:00",
        "application.submitted:9003",
        "candidate.updated:1003",
        "application.hired:9003::",
        "candidate.updated:1004",
    ]
    ada = found[0]
    assert ada.candidate is not None
    assert ada.application is not None
    assert ada.candidate.emails == ("ada@example.com", "ada.l@example.org")
    assert ada.candidate.tags == ("analyst", "python")
    assert ada.candidate.phones == ("+44 20 7946 0001",)
    assert ada.candidate.owner is not None
    assert ada.candidate.owner.email == "rita@acme.example"
    assert ada.application.applied_at == datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
    assert ada.occurred_at == ada.application.applied_at
    assert ada.application.job is not None
    assert (ada.application.job.external_id, ada.application.job.title) == ("501", "Data Engineer")
    assert ada.application.stage is not None
    assert ada.application.stage.kind is StageKind.INTERVIEW
    zoe = found[5]
    assert zoe.application is not None
    assert zoe.application.status is ApplicationStatus.REJECTED
    assert zoe.occurred_at == datetime(2026, 2, 20, 16, tzinfo=UTC)
    assert zoe.fields == {"reason": "Stronger candidate"}
    pat = found[-1]
    assert pat.candidate is not None
    assert pat.application is None
    assert pat.candidate.can_email is False  # the day of an opt-out is an opt-out


def test_a_lever_export() -> None:
    found = submitted(FIXTURES / "lever.tsv")
    people = [(e.candidate.first_name, e.candidate.last_name) for e in found if e.candidate]
    assert people == [("Ada", "Lovelace"), ("Grace", "Brewster Hopper"), ("Alan", "Turing")]
    statuses = [e.application.status for e in found if e.application]
    assert statuses == [
        ApplicationStatus.ACTIVE,
        ApplicationStatus.HIRED,
        ApplicationStatus.REJECTED,
    ]
    assert found[0].occurred_at == datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
    owners = [e.candidate.owner for e in found if e.candidate and e.candidate.owner]
    assert [(o.name, o.email) for o in owners] == [
        ("Rita Recruiter", "rita@acme.example"),
        ("", "rita@acme.example"),
        ("Rita Recruiter", ""),
    ]


def test_a_workable_export_in_an_old_encoding() -> None:
    found = events(FIXTURES / "workable.csv")
    assert [e.kind for e in found] == [
        EventKind.APPLICATION_SUBMITTED,
        EventKind.CANDIDATE_UPDATED,
        EventKind.APPLICATION_STAGE_CHANGED,
        EventKind.APPLICATION_SUBMITTED,
        EventKind.CANDIDATE_UPDATED,
        EventKind.APPLICATION_REJECTED,
        EventKind.CANDIDATE_UPDATED,  # sourced: a prospect, whatever job stands beside it
    ]
    assert found[0].candidate is not None
    assert (found[0].candidate.first_name, found[0].candidate.last_name) == ("Jürgen", "Groß")
    # 13/02/2026 in another row proves that the day comes first.
    assert found[3].occurred_at == datetime(2026, 4, 3, tzinfo=UTC)
    assert found[6].application is not None
    assert found[6].application.prospect


def test_a_smartrecruiters_export() -> None:
    ada, _, alan = events(FIXTURES / "smartrecruiters.json")
    assert ada.candidate is not None
    assert ada.application is not None
    assert ada.candidate.external_id == "sr-1"
    assert ada.candidate.tags == ("analyst", "python")
    assert ada.application.status is ApplicationStatus.ACTIVE
    assert alan.kind is EventKind.CANDIDATE_UPDATED
    assert alan.application is not None
    assert alan.application.prospect


def test_an_ashby_export() -> None:
    found = submitted(FIXTURES / "ashby.jsonl")
    assert [e.key for e in found] == ["application.submitted:ap-1", "application.submitted:ap-2"]
    assert found[0].candidate is not None
    assert found[0].candidate.emails == ("ada@example.com",)
    assert found[0].application is not None
    assert found[0].application.stage is not None
    assert found[0].application.stage.kind is StageKind.FINAL
    assert found[1].application is not None
    assert found[1].application.status is ApplicationStatus.REJECTED


def test_a_workbook() -> None:
    found = submitted(FIXTURES / "people.xlsx")
    numbers = [json.loads(r.body)["row"] for r in records(files(FIXTURES / "people.xlsx"))]
    assert numbers == [2, 4, 5]  # as the spreadsheet counts; row 3 is empty
    statuses = [e.application.status for e in found if e.application]
    assert statuses == [
        ApplicationStatus.ACTIVE,
        ApplicationStatus.REJECTED,
        ApplicationStatus.HIRED,
    ]
    assert found[0].occurred_at == datetime(2026, 3, 4, 9, 30, tzinfo=UTC)
    assert found[1].occurred_at == datetime(2025, 12, 9, 12, tzinfo=UTC)  # Excel's own number
    assert found[1].candidate is not None
    assert found[1].candidate.phones == ("442079460002",)
    assert found[2].candidate is not None
    assert found[2].candidate.emails == ()  # a formula is never evaluated


@pytest.mark.parametrize("name", [path.name for path in sorted(FIXTURES.iterdir())])
def test_each_fixture_reads_without_fault_and_twice_the_same(name: str) -> None:
    path = FIXTURES / name
    assert faults(path) == []
    assert [e.key for e in events(path)] == [e.key for e in events(path)]
    assert len({r.key for r in records(files(path))}) == len(records(files(path)))


# Columns


def test_headers_compare_by_letters_alone(write: Write) -> None:
    path = write(
        "a.csv", "FULL_NAME, E-Mail Address ,applied-role\nAda Lovelace,a@b.example,Cook\n"
    )
    [event] = submitted(path)
    assert event.candidate is not None
    assert event.candidate.emails == ("a@b.example",)
    assert event.application is not None
    assert event.application.job is not None
    assert event.application.job.title == "Cook"


def test_the_first_of_two_headers_wins(write: Write) -> None:
    path = write("a.csv", "Name,Email,E-mail,Role\nAda,a@b.example,c@d.example,Cook\n")
    [event] = submitted(path)
    assert event.candidate is not None
    assert event.candidate.emails == ("a@b.example",)


def test_a_configured_column_wins(write: Write) -> None:
    path = write("a.csv", "Name,Email,E-mail,Role\nAda,a@b.example,c@d.example,Cook\n")
    configured = {"columns": {"email": "E-mail"}}
    [event] = submitted(path, **configured)
    assert event.candidate is not None
    assert event.candidate.emails == ("c@d.example",)


def test_a_weak_header_counts_only_where_no_better_one_does(write: Write) -> None:
    both = write("a.csv", "Created At,Name,Applied At,Role\n2026-01-01,Ada,2026-02-02,Cook\n")
    assert submitted(both)[0].occurred_at == datetime(2026, 2, 2, tzinfo=UTC)
    only = write("b.csv", "Created At,Name,Role\n2026-01-01,Ada,Cook\n")
    assert submitted(only)[0].occurred_at == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json"])
def test_a_configured_column_that_is_absent_stops_with_a_sentence(write: Write, name: str) -> None:
    content = {
        "a.csv": "Name,Mail\nAda,a@b.example\n",
        "a.jsonl": '{"Name": "Ada", "Mail": "a@b.example"}\n',
        "a.json": '[{"Name": "Ada", "Mail": "a@b.example"}]',
    }[name]
    path = write(name, content)
    source = files(path, columns={"email": "Primary address"})
    with pytest.raises(ConfigError) as caught:
        pages(source)
    assert caught.value.file == name
    for word in ("columns.email", "'Primary address'", "'Name', 'Mail'"):
        assert word in caught.value.reason


def test_what_was_read_before_a_wrong_file_is_not_lost(write: Write) -> None:
    good = write("a.csv", "Name,Who\nAda,a@b.example\n")
    bad = write("b.csv", "Name,Other\nZoe,z@b.example\n")
    os.utime(good, (1, 1))
    reading = files(bad.parent, columns={"email": "Who"}).changes("rows", "", now=NOW)
    assert len(next(reading).records) == 1
    with pytest.raises(ConfigError):
        next(reading)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"path": ""}, "path is missing"),
        ({"date_order": "ymd"}, "expected auto, dmy or mdy"),
        ({"encoding": "klingon"}, "encoding is 'klingon'"),
        ({"columns": ["email"]}, "expected field: header"),
        ({"columns": {"e_mail": "Email"}}, "columns.e_mail is no field; expected one of candidate"),
        ({"columns": {"email": ""}}, "expected a header's text"),
        ({"columns": {"email": "Contact", "name": "contact"}}, "configured twice"),
        ({"stages": {"Chat": "talking"}}, "stages.Chat is 'talking'; expected one of applied"),
        ({"stages": "Chat"}, "expected stage name: kind"),
    ],
)
def test_a_wrong_setting_stops_start_up(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        files(**{"path": "x.csv", **wrong})
    assert words in caught.value.reason


# Separated values


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found_out(write: Write, separator: str) -> None:
    rows = [["Name", "Email", "Role"], ["Lovelace, Ada", "a@b.example; c@d.example", "Cook"]]
    text = io.StringIO()
    csv.writer(text, delimiter=separator).writerows(rows)
    [event] = submitted(write("a.txt", text.getvalue()))
    assert event.candidate is not None
    assert event.candidate.first_name == "Ada"
    assert event.candidate.emails == ("a@b.example", "c@d.example")


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252"]
)
def test_encodings_are_found_out(write: Write, encoding: str) -> None:
    rows = "Name,Email,Role\r\n" + "".join(
        f"Zoë Müller,zoe{n}@example.com,Küchenchef für Groß und Klein\r\n" for n in range(30)
    )
    found = submitted(write("a.csv", rows.encode(encoding)))
    assert len(found) == 30
    assert {(e.candidate.first_name, e.candidate.last_name) for e in found if e.candidate} == {
        ("Zoë", "Müller")
    }


def test_an_encoding_that_shows_late_in_a_file_is_found(write: Write) -> None:
    plain_rows = b"".join(b"Ada,a%d@example.com\r\n" % n for n in range(100_000))
    path = write("a.csv", b"Name,Email\r\n" + plain_rows + "Zoë,z@example.com\r\n".encode("cp1252"))
    assert data(records(files(path))[-1])["Name"] == "Zoë"


def test_other_alphabets_in_old_encodings(write: Write) -> None:
    text = "Имя,Email,Role\r\n" + "Анна Каренина,anna@example.com,Инженер по данным\r\n" * 20
    path = write("a.csv", text.encode("cp1251"))
    assert submitted(path, columns={"name": "Имя"}, encoding="cp1251")[0].candidate is not None
    [first, *_] = records(files(path, columns={"name": "Имя"}))
    assert data(first)["Имя"] == "Анна Каренина"


def test_quotes_lines_in_cells_nuls_and_blank_rows(write: Write) -> None:
    path = write(
        "a.csv",
        'Name,Email,Notes\n\n"Ada ""the first"" Lovelace",a@b.example,"one\ntwo, three"\n,,\n'
        "Z\x00oe,z@b.example,\n",
    )
    one, two = records(files(path))
    assert data(one) == {
        "Name": 'Ada "the first" Lovelace',
        "Email": "a@b.example",
        "Notes": "one\ntwo, three",
    }
    assert data(two)["Name"] == "Zoe"


def test_ragged_rows(write: Write) -> None:
    path = write(
        "a.csv", "Name,Email,Role\nAda\nZoe,z@b.example,Cook,,\nDoe, Jane,j@b.example,Cook\n"
    )
    assert names(path) == ["Ada", "Zoe"]
    [fault] = faults(path)
    assert fault.startswith("a.csv, row 4: the row has 4 cells; expected 3")


def test_repeated_and_empty_headers(write: Write) -> None:
    [record] = records(files(write("a.csv", "Name,Name,,Email\nAda,Zoe,x,a@b.example\n")))
    assert list(data(record)) == ["Name", "Name (2)", "column 3", "Email"]


@pytest.mark.parametrize("quoted", [True, False])
def test_a_cell_of_ten_megabytes_is_one_fault(write: Write, quoted: bool) -> None:
    big = '"' + "resume\n" * 1_500_000 + '"' if quoted else "x" * 10_000_000
    path = write("a.csv", f"Name,Notes\nAda,short\nBob,{big}\nZoe,short\n")
    assert names(path) == ["Ada", "Zoe"]
    [fault] = faults(path)
    assert "row 3: the row holds 10," in fault
    assert "expected at most 1,000,000" in fault


def test_a_quote_that_is_never_closed_costs_its_own_row_only(write: Write) -> None:
    path = write("a.csv", 'Name,Notes\nAda,short\nBob,"never closed\nZoe,short\n')
    assert names(path) == ["Ada", "Zoe"]
    [fault] = faults(path)
    assert "row 3: a quote is opened and not closed" in fault


def test_a_file_without_rows_is_nothing(write: Write) -> None:
    for content in ("", "\n\n", "Name,Email\n", "\ufeff"):
        [page] = pages(files(write("a.csv", content)))
        assert page.records == ()
        assert page.last


def test_gzip(write: Write) -> None:
    text = "Name,Email\n" + "".join(f"Ada{n},a{n}@b.example\n" for n in range(20_000))
    packed = gzip.compress(text.encode())
    assert len(records(files(write("a.csv.gz", packed)))) == 20_000
    path = write("b.csv.gz", packed[: len(packed) // 2])
    assert len(names(path)) > 1000
    [fault] = faults(path)
    assert f"ends or breaks after row {len(names(path)) + 1}" in fault


# JSON


def test_nested_json_is_flat(write: Write) -> None:
    item = {
        "name": "Ada",
        "emails": [{"value": "a@b.example"}, {"value": "c@d.example"}],
        "job": {"title": "Cook"},
        "tags": ["a", None, "b"],
        "n": 4,
    }
    [record] = records(files(write("a.json", json.dumps([item]))))
    assert data(record) == {
        "name": "Ada",
        "emails": "a@b.example; c@d.example",
        "job.title": "Cook",
        "tags": "a; b",
        "n": 4,
    }


def test_json_lines_go_on_after_a_bad_one(write: Write) -> None:
    path = write("a.jsonl", '{"name": "Ada"}\nnot json\n\n[1]\n{"name": "Zoe"}\n')
    assert names(path) == ["Ada", "Zoe"]
    bad, array = faults(path)
    assert "row 2: the line is no JSON" in bad
    assert "row 4: found list; expected an object" in array


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('[{"name": "Ada"}, ', "no JSON from line 1"),
        ('{"name": ', "no JSON"),
        ("[" * 100_000, "no JSON that can be read"),
        ("[1]", "found int; expected an object"),
    ],
)
def test_broken_json_is_a_fault(write: Write, content: str, words: str) -> None:
    [fault] = faults(write("a.json", content))
    assert words in fault


def test_json_beyond_the_limit_is_a_fault(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "JSON_CHARS_MAX", 20)
    [fault] = faults(write("a.json", '[{"name": "Ada Lovelace"}]'))
    assert "expected JSON lines" in fault


def test_json_is_recognised_without_its_ending(write: Write) -> None:
    assert names(write("a.txt", '{"name": "Ada"}\n{"name": "Zoe"}\n')) == ["Ada", "Zoe"]
    assert names(write("b.json", '{"candidates": [{"name": "Ada"}]}')) == ["Ada"]
    assert names(write("c.json", '{"name": "Ada"}')) == ["Ada"]


def test_objects_beyond_the_limits_are_faults(write: Write) -> None:
    deep: dict[str, Any] = {"name": "Ada"}
    for _ in range(10):
        deep = {"in": deep}
    wide = {f"c{n}": n for n in range(2000)}
    rows = [deep, wide, {"name": "x" * 400_000, "notes": "y" * 700_000}, {"name": "Zoe"}]
    path = write("a.json", json.dumps(rows))
    said = faults(path)
    assert "row 1: the object is nested deeper than 6 levels" in said[0]
    assert "row 2: the object has more than 1000 fields" in said[1]
    assert "row 3: the object holds 1,100,000 characters" in said[2]
    assert names(path) == ["Zoe"]
    lines = write("a.jsonl", '{"name": "' + "x" * 3_000_000 + '"}\n{"name": "Zoe"}\n')
    assert "row 1: the line holds 3,000,013 characters" in faults(lines)[0]
    assert names(lines) == ["Zoe"]


# Workbooks


def workbook(rows: list[list[str]]) -> bytes:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    for row in rows:
        sheet.append(row)
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def test_a_damaged_workbook_is_a_fault(write: Write) -> None:
    whole = workbook([["Name", "Email"], *[[f"Ada{n}", "a@b.example"] for n in range(500)]])
    for part in (whole[:100], whole[: len(whole) // 2], b"PK\x03\x04" + b"x" * 500):
        [fault] = faults(write("a.xlsx", part))
        assert "workbook" in fault


def test_a_row_of_a_workbook_beyond_the_limit_is_a_fault(write: Write) -> None:
    long = [["Name", *[f"c{n}" for n in range(40)]], ["Ada", *["x" * 30_000] * 40], ["Zoe"]]
    path = write("a.xlsx", workbook(long))
    assert "row 2: the row holds 1,200,003 characters" in faults(path)[0]
    assert names(path) == ["Zoe"]


def test_every_damage_to_a_workbook_is_told_and_never_raised(write: Write) -> None:
    whole = bytearray(workbook([["Name", "Email"], ["Ada", "a@b.example"]]))
    for at in range(0, len(whole), 97):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF
        records(files(write("a.xlsx", bytes(damaged))))


def test_the_old_excel_format_is_told(write: Write) -> None:
    [fault] = faults(write("a.xls.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600))
    assert "expected XLSX or CSV" in fault


# Dates


@pytest.mark.parametrize(
    ("value", "order", "expected"),
    [
        ("2026-03-04", "", (2026, 3, 4)),
        ("2026-03-04T09:30:00Z", "", (2026, 3, 4, 9, 30)),
        ("2026-03-04 09:30:00 UTC", "", (2026, 3, 4, 9, 30)),
        ("2026-03-04T09:30:00+02:00", "", (2026, 3, 4, 7, 30)),
        ("2026/03/04 09:30", "", (2026, 3, 4, 9, 30)),
        ("03/04/2026", "dmy", (2026, 4, 3)),
        ("03/04/2026", "mdy", (2026, 3, 4)),
        ("03/04/26 9:30 PM", "mdy", (2026, 3, 4, 21, 30)),
        ("3-4-2026 12:05 am", "dmy", (2026, 4, 3, 0, 5)),
        ("04/04/2026", "", (2026, 4, 4)),
        ("03.04.2026", "", (2026, 4, 3)),
        ("03.04.2026 09:30:15", "mdy", (2026, 4, 3, 9, 30, 15)),
        ("Mar 4, 2026", "", (2026, 3, 4)),
        ("March 4th, 2026 at 9:30 AM", "", (2026, 3, 4, 9, 30)),
        ("4 March 2026", "", (2026, 3, 4)),
        ("04-Mar-26", "", (2026, 3, 4)),
        ("Wed, 4 Mar 2026", "", (2026, 3, 4)),
        ("20260304", "", (2026, 3, 4)),
        (46085, "", (2026, 3, 4)),
        (46085.5, "", (2026, 3, 4, 12)),
        ("46085", "", (2026, 3, 4)),
        (1772616600, "", (2026, 3, 4, 9, 30)),
        (1772616600000, "", (2026, 3, 4, 9, 30)),
        ("1772616600000", "", (2026, 3, 4, 9, 30)),
    ],
)
def test_dates(value: object, order: str, expected: tuple[int, ...]) -> None:
    found = read_date(value, order)
    assert found is not None
    assert found.astimezone(UTC) == datetime(*expected, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    "value",
    ["soon", "13/13/2026", "2026-02-30", "32 March 2026", "4 Foo 2026", "7", 12.5, "1/2/3/4",
     "0001-01-01", "9999-12-31", "25:00", "2026-03-04 25:00", "3/4/2026 13:00 PM"],
)  # fmt: skip
def test_what_is_no_date_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- any word will do: the caller says its own
        read_date(value, "dmy")


def test_the_order_is_never_guessed(write: Write) -> None:
    with pytest.raises(Ambiguous):
        read_date("03/04/2026", "")
    path = write("a.csv", "Name,Role,Applied At\nAda,Cook,03/04/2026\nZoe,Cook,2026-01-01\n")
    [fault] = faults(path)
    assert fault == (
        "a.csv, row 2: column 'Applied At': found '03/04/2026'; expected a date such as "
        "2026-03-04 or 2026-03-04T09:30:00Z, or date_order set to dmy or mdy"
    )
    assert names(path) == ["Zoe"]
    assert faults(path, date_order="mdy") == []
    assert submitted(path, date_order="mdy")[0].occurred_at == datetime(2026, 3, 4, tzinfo=UTC)


@pytest.mark.parametrize(("proof", "month"), [("25/03/2026", 4), ("03/25/2026", 3)])
def test_one_date_of_the_file_proves_the_order_of_all(write: Write, proof: str, month: int) -> None:
    rows = "".join(f"Ada{n},Cook,03/04/2026\n" for n in range(3000))
    path = write("a.csv", f"Name,Role,Applied At\n{rows}Zoe,Cook,{proof}\n")
    found = submitted(path)
    assert len(found) == 3001
    assert {e.occurred_at.month for e in found[:-1] if e.occurred_at} == {month}


def test_order_of() -> None:
    cells = ["25/03/2026", "03/25/2026", "03/04/2026", "03.04.2026", "2026-03-04", 5, None]
    assert [order_of(c) for c in cells] == ["dmy", "mdy", "?", "", "", "", ""]


def test_a_bad_date_is_told_and_the_file_goes_on(write: Write) -> None:
    path = write("a.csv", "Name,Role,Applied At\nAda,Cook,tomorrow\nZoe,Cook,2026-01-01\n")
    [fault] = faults(path)
    assert fault == (
        "a.csv, row 2: column 'Applied At': found 'tomorrow'; expected a date such as "
        "2026-03-04 or 2026-03-04T09:30:00Z"
    )
    assert names(path) == ["Zoe"]


def test_a_date_to_come_does_not_stand_above_later_changes(write: Write) -> None:
    path = write("a.csv", "Name,Role,Applied At\nAda,Cook,2062-01-01\n")
    [event] = submitted(path)
    assert event.occurred_at == NOW


# People, stages, statuses


@pytest.mark.parametrize(
    ("full", "expected"),
    [
        ("Ada Lovelace", ("Ada", "Lovelace")),
        ("Lovelace, Ada", ("Ada", "Lovelace")),
        ("Ludwig van Beethoven", ("Ludwig", "van Beethoven")),
        ("Ada Lovelace, PhD", ("Ada", "Lovelace")),
        ("Sam O'Neil, Jr., MBA", ("Sam", "O'Neil")),
        ("Cher", ("Cher", "")),
        ("", ("", "")),
        ("Lovelace,", ("Lovelace", "")),
    ],
)
def test_names_are_split(full: str, expected: tuple[str, str]) -> None:
    assert split_name(full) == expected


def test_a_row_that_names_nobody_is_malformed(write: Write) -> None:
    [fault] = faults(write("a.csv", "Name,Email,Role\n ,n/a,Cook\n"))
    assert "found no name, no e-mail address and no candidate id" in fault


def test_ids_are_stable_where_the_export_has_none(write: Write) -> None:
    header = "Name,Email,Role,Applied At,Stage\n"
    before = submitted(write("a.csv", f"{header}Ada,Ada@B.example,Cook,2026-01-01,Applied\n"))[0]
    after = submitted(write("b.csv", f"{header}Ada L,ada@b.example,Cook,2026-01-01,Offer\n"))[0]
    assert before.key == after.key
    assert before.candidate is not None
    assert after.candidate is not None
    assert before.candidate.external_id == after.candidate.external_id
    assert "@" not in before.candidate.external_id
    other = submitted(write("c.csv", f"{header}Ada,ada@b.example,Waiter,2026-01-01,Offer\n"))[0]
    assert other.key != before.key


def test_two_people_of_one_name_stay_two(write: Write) -> None:
    path = write("a.csv", "Name,City\nJohn Smith,Leeds\nJohn Smith,York\n")
    one, two = events(path)
    assert one.candidate is not None
    assert two.candidate is not None
    assert one.candidate.external_id != two.candidate.external_id


def test_a_changed_row_brings_just_its_news(write: Write) -> None:
    header = "Application ID,Candidate ID,Name,Email,Role,Applied At,Stage,Status\n"

    def keys(row: str) -> set[str]:
        return {e.key for e in events(write("a.csv", header + row))}

    new = keys("a1,c1,Ada,a@b.example,Cook,2026-01-01,Applied,Active\n")
    same = keys("a1,c1,Ada,a@b.example,Cook,2026-01-01,Applied,Active\n")
    moved = keys("a1,c1,Ada,a@b.example,Cook,2026-01-01,Interview,Active\n")
    mended = keys("a1,c1,Ada,a2@b.example,Cook,2026-01-01,Interview,Active\n")
    rejected = keys("a1,c1,Ada,a2@b.example,Cook,2026-01-01,Interview,Rejected\n")
    assert same == new
    assert moved - new == {"application.stage_changed:a1:interview:"}
    assert {key.rpartition(":")[0] for key in mended - moved} == {"candidate.updated:c1"}
    assert rejected - mended == {"application.rejected:a1::"}


@pytest.mark.parametrize(
    ("word", "stage", "more", "expected"),
    [
        ("Active", "Interview", {}, ApplicationStatus.ACTIVE),
        ("REJECTED", "", {}, ApplicationStatus.REJECTED),
        ("IN_REVIEW", "", {}, ApplicationStatus.ACTIVE),
        ("Not Selected", "", {}, ApplicationStatus.REJECTED),
        ("Withdrawn", "Offer", {}, ApplicationStatus.REJECTED),
        ("Hired", "", {}, ApplicationStatus.HIRED),
        ("", "Hired", {}, ApplicationStatus.HIRED),
        ("", "Rejected", {}, ApplicationStatus.REJECTED),
        ("Active", "Rejected", {}, ApplicationStatus.REJECTED),
        ("", "Interview", {}, ApplicationStatus.ACTIVE),
        ("", "", {}, None),
        ("On ice", "Interview", {}, None),
        ("Archived", "Hired", {}, ApplicationStatus.HIRED),
        ("Archived", "", {"Archive reason": "Hired"}, ApplicationStatus.HIRED),
        ("Archived", "", {"Archive reason": "Timing"}, ApplicationStatus.REJECTED),
        ("", "", {"Rejected at": "2026-01-01"}, ApplicationStatus.REJECTED),
        ("", "", {"Hired on": "2026-01-01"}, ApplicationStatus.HIRED),
        ("Active", "", {"Disqualified": "yes"}, ApplicationStatus.REJECTED),
    ],
)
def test_statuses(
    write: Write, word: str, stage: str, more: dict[str, str], expected: ApplicationStatus | None
) -> None:
    row = {"Name": "Ada", "Role": "Cook", "Status": word, "Stage": stage, **more}
    [event] = submitted(write("a.json", json.dumps([row])))
    assert event.application is not None
    assert event.application.status is expected


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Application Review", StageKind.APPLIED),
        ("Phone Screen", StageKind.SCREEN),
        ("PHONE_SCREEN", StageKind.SCREEN),
        ("Take-home test", StageKind.SCREEN),
        ("Onsite", StageKind.INTERVIEW),
        ("Final Interview", StageKind.FINAL),
        ("Reference Check", StageKind.OFFER),
        ("Offer accepted", StageKind.HIRED),
        ("Offer declined", StageKind.REJECTED),
        ("Not selected", StageKind.REJECTED),
        ("Kaffeeklatsch", None),
    ],
)
def test_stage_kinds(name: str, kind: StageKind | None) -> None:
    assert stage_kind(name, {}) is kind


def test_configured_stages_come_first(write: Write) -> None:
    path = write("a.csv", "Name,Role,Stage\nAda,Cook,Kaffee Klatsch\n")
    [event] = submitted(path, stages={"kaffee klatsch": "final"})
    assert event.application is not None
    assert event.application.stage is not None
    assert event.application.stage.kind is StageKind.FINAL
    assert event.application.stage.name == "Kaffee Klatsch"


@pytest.mark.parametrize(
    ("header", "cell", "expected"),
    [
        ("Do not contact", "yes", False),
        ("Do not contact", "2026-01-01", False),
        ("Unsubscribed", "by phone", False),
        ("Do not contact", "no", True),
        ("Do not contact", "", None),
        ("Can email", "no", False),
        ("Can email", "TRUE", True),
    ],
)
def test_opt_outs(write: Write, header: str, cell: str, expected: bool | None) -> None:
    [event] = events(write("a.csv", f"Name,{header}\nAda,{cell}\n"))
    assert event.candidate is not None
    assert event.candidate.can_email is expected


def test_a_fault_holds_no_address(write: Write) -> None:
    [fault] = faults(write("a.csv", "Name,Can email\nAda,ask ada@example.com\n"))
    assert "found 'ask ***'; expected yes or no" in fault


# Cursors, pages, files


def test_pages_are_bounded_and_resume_where_they_stopped(write: Write) -> None:
    rows = "".join(f"Ada{n},a{n}@b.example\n" for n in range(1750))
    source = files(write("a.csv", f"Name,Email\n{rows}"))
    found = pages(source)
    assert [len(page.records) for page in found] == [500, 500, 500, 250]
    assert [page.last for page in found] == [False, False, False, True]
    keys = [record.key for page in found for record in page.records]
    assert len(set(keys)) == 1750
    for index, page in enumerate(found):
        rest = [record.key for record in records(source, page.cursor)]
        assert rest == keys[500 * (index + 1) :]


def test_a_file_that_did_not_change_is_not_read_again(write: Write) -> None:
    source = files(write("a.csv", "Name\nAda\n"))
    [page] = pages(source)
    [again] = pages(source, page.cursor)
    assert again.records == ()
    assert again.last


def test_a_start_brings_no_history(write: Write, tmp_path: Path) -> None:
    write("a.csv", "Name\nAda\n")
    source = files(tmp_path)
    cursor = source.start(now=NOW)
    assert records(source, cursor) == []
    write("b.csv", "Name\nZoe\n")
    assert [data(r)["Name"] for r in records(source, cursor)] == ["Zoe"]
    later = files(tmp_path / "c.csv")
    nothing = later.start(now=NOW)
    write("c.csv", "Name\nBob\n")
    assert len(records(later, nothing)) == 1


def test_a_changed_file_is_read_again_from_its_start(write: Write) -> None:
    path = write("a.csv", "Name\n" + "".join(f"Ada{n}\n" for n in range(700)))
    source = files(path)
    halfway = pages(source)[0].cursor
    write("a.csv", "Name\nZoe\n" + "".join(f"Ada{n}\n" for n in range(700)))
    assert len(records(source, halfway)) == 701


def test_the_key_is_the_content_of_the_row(write: Write) -> None:
    one = records(files(write("a.csv", "Name,Email\nAda,a@b.example\nZoe,z@b.example\n")))
    two = records(files(write("b.csv", "Name,Email,New\nZoe,z@b.example,\nAda,a@c.example,\n")))
    assert one[1].key == two[0].key
    assert one[0].key not in {record.key for record in two}


def test_a_folder_and_a_pattern(write: Write, tmp_path: Path) -> None:
    for number, name in enumerate(["b.csv", "a.csv", ".hidden.csv", "~$a.csv", "notes.pdf"]):
        path = write(name, f"Name\n{name}\n")
        os.utime(path, (1000 + number, 1000 + number))
    assert [data(r)["Name"] for r in records(files(tmp_path))] == ["b.csv", "a.csv"]
    assert [data(r)["Name"] for r in records(files(tmp_path / "a*.csv"))] == ["a.csv"]
    source = files(tmp_path)
    cursor = pages(source)[-1].cursor
    write("c.csv", "Name\nnew\n")
    assert [data(r)["Name"] for r in records(source, cursor)] == ["new"]


def test_nothing_at_the_path_is_a_config_error_but_an_empty_folder_waits(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="found nothing"):
        pages(files(tmp_path / "missing.csv"))
    [page] = pages(files(tmp_path))
    assert page.records == ()
    assert page.last


def test_too_many_files_is_a_config_error(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connector_module, "FILES_MAX", 1)
    write("a.csv", "Name\nAda\n")
    write("b.csv", "Name\nAda\n")
    with pytest.raises(ConfigError, match="at most 1"):
        pages(files(tmp_path))


def test_a_file_that_grows_as_it_is_read_is_read_again(write: Write) -> None:
    path = write("a.csv", "Name,Email\n" + "".join(f"Ada{n},a@b.example\n" for n in range(600)))
    source = files(path)
    reading = source.changes("rows", "", now=NOW)
    first = next(reading)
    with path.open("a") as file:
        file.write("Zoe,zoe@exam")
    rest = [record for page in reading for record in page.records]
    assert len(first.records) + len(rest) in (599, 600)
    assert "zoe@exam" not in {data(record)["Email"] for record in rest}
    with path.open("a") as file:
        file.write("ple.com\n")
    cursor = pages(source)[-1].cursor
    assert data(records(source)[-1])["Email"] == "zoe@example.com"
    assert records(source, cursor) == []


@pytest.mark.parametrize("cursor", ["", "nonsense", "[]", "{}", '{"done": 4}', '{"row": "x"}'])
def test_a_cursor_that_is_none_of_ours_means_everything(write: Write, cursor: str) -> None:
    assert len(records(files(write("a.csv", "Name\nAda\n")), cursor)) == 1


def test_memory_stays_flat(write: Write) -> None:
    rows = "".join(f"Ada{n},a{n}@b.example,{'x' * 400}\n" for n in range(40_000))
    path = write("a.csv", f"Name,Email,Notes\n{rows}")
    source = files(path)
    tracemalloc.start()
    count = sum(len(page.records) for page in source.changes("rows", "", now=NOW))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 40_000
    assert peak < 8 * 1024 * 1024 < path.stat().st_size


# check, manifest, contract


def test_the_manifest_is_what_the_class_does() -> None:
    manifest = read_manifest(Path(__file__).parent / "manifest.toml")
    made = make(manifest, Options("exports", {"path": "x.csv"}, {}, lambda: NOW))
    assert isinstance(made, Files)
    assert isinstance(made, Parses)
    assert isinstance(made, ListsChanges)
    assert isinstance(made, Checks)
    assert made.streams() == ("rows",)
    readme = (Path(__file__).parent / "README.md").read_text()
    for setting in manifest.settings:
        assert f"`{setting.name}`" in readme
    fields = readme.partition("## Fields")[2].partition("\n\nHeaders")[0]
    assert set(fields.replace("`", "").split()) == set(Column)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"data": 4}', b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_row_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        files("x.csv").parse(Received(Channel.IMPORT, body, NOW))


# Whatever the cells

CELLS = st.one_of(
    st.text(max_size=30),
    st.sampled_from(["a@b.example", "2026-01-01", "03/04/2026", "yes", "Hired", "Lead", "46085"]),
)
HEADERS = ["Candidate ID", "Name", "Email", "Phone", "Tags", "Recruiter", "Role", "Stage", "Status",
           "Applied At", "Updated At", "Can email", "Do not contact"]  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries(dict.fromkeys(HEADERS, CELLS)))
def test_any_cells_are_events_or_malformed(row: dict[str, str]) -> None:
    source = files("x.csv")
    body = json.dumps({"row": 2, "file": "x.csv", "data": row}).encode()
    try:
        found = source.parse(Received(Channel.IMPORT, body, NOW))
    except Malformed as error:
        said = error.reason
    else:
        said = ""
    if said:
        assert "x.csv, row 2" in said
        assert "a@b.example" not in said
        return
    assert found
    assert [e.key for e in source.parse(Received(Channel.POLL, body, NOW))] == [
        e.key for e in found
    ]
    assert len({e.key for e in found}) == len(found)
    for event in found:
        assert event.candidate is not None
        assert len(event.candidate.external_id) <= 128
        assert event.occurred_at is None or event.occurred_at <= NOW


@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    table=st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\ufeff"),
                    max_size=12),
            min_size=3,
            max_size=3,
        ),
        min_size=1,
        max_size=8,
    ),
    separator=st.sampled_from(",;\t|"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)  # fmt: skip
def test_any_table_comes_back_as_it_was(
    tmp_path: Path, table: list[list[str]], separator: str, encoding: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerow(["Name", "Email", "Role"])
    writer.writerows(table)
    path = tmp_path / "a.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    found = [list(data(record).values()) for record in records(files(path))]
    assert found == [row for row in table if any(cell.strip() for cell in row)]


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.binary(max_size=400), name=st.sampled_from(["a.csv", "a.json", "a.jsonl", "a"]))
def test_any_bytes_are_pages(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    found = pages(files(path))
    assert found[-1].last
    for record in records(files(path)):
        with_fault = json.loads(record.body)
        assert with_fault["file"] == name
