"""What the audit makes of the files that people have: every form, and every way to be broken."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import duckdb
import openpyxl
import pytest

from warmline.core.errors import ConfigError
from warmline.flows.audit.notes import Reading
from warmline.flows.audit.source import Reads, read_export

HEADER = "Candidate ID,Name,Email,Job,Stage,Applied On"
ROWS = [f"{n},Person {n},p{n}@example.org,Cook,Applied,2026-03-0{n}" for n in range(1, 6)]
PLAIN = "\n".join([HEADER, *ROWS]) + "\n"


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as opened:
        yield opened


def read(
    con: duckdb.DuckDBPyConnection, path: Path, content: str | bytes | None = None, **reads: object
) -> Reading:
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    work = path.parent / "work"
    work.mkdir(exist_ok=True)
    return read_export(con, path, Reads(**reads), work)  # type: ignore[arg-type]


def names(con: duckdb.DuckDBPyConnection) -> list[str]:
    return [name for (name,) in con.execute("select name from lines order by row").fetchall()]


PEOPLE = [f"Person {n}" for n in range(1, 6)]


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_are_found_out(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, separator: str
) -> None:
    reading = read(con, tmp_path / "people.txt", PLAIN.replace(",", separator))
    assert names(con) == PEOPLE
    assert reading.unread_count == 0
    assert con.execute("select min(row), max(row) from lines").fetchall() == [(2, 6)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_are_found_out(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, encoding: str, packed: bool
) -> None:
    content = PLAIN.replace("Person", "Zoë Müller Größe").encode(encoding)
    path = tmp_path / ("people.csv.gz" if packed else "people.csv")
    reading = read(con, path, gzip.compress(content) if packed else content)
    assert names(con)[0] == "Zoë Müller Größe 1"
    assert reading.rows == 5


def test_json_json_lines_workbooks_and_parquet_are_the_same_table(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    read(con, tmp_path / "people.csv", PLAIN)
    expected = con.execute("select name, email, stage from lines order by row").fetchall()
    header = HEADER.split(",")
    items = [dict(zip(header, row.split(","), strict=True)) for row in ROWS]
    book = openpyxl.Workbook()
    assert book.active is not None
    for row in [header, *(row.split(",") for row in ROWS)]:
        book.active.append(row)
    book.save(tmp_path / "people.xlsx")
    parquet = tmp_path / "people.parquet"
    con.execute(
        f"copy (from read_csv('{tmp_path / 'people.csv'}', all_varchar=true)) to '{parquet}'"
    )
    (tmp_path / "a.json").write_text(json.dumps({"total": 5, "content": items}))
    (tmp_path / "b.json").write_text(json.dumps(items))
    (tmp_path / "c.jsonl").write_text("\n".join(json.dumps(item) for item in items))
    (tmp_path / "d.parquet.gz").write_bytes(gzip.compress(parquet.read_bytes()))
    for name in ("people.xlsx", "people.parquet", "a.json", "b.json", "c.jsonl", "d.parquet.gz"):
        read(con, tmp_path / name)
        found = con.execute("select name, email, stage from lines order by row").fetchall()
        assert found == expected, name


def test_an_endless_cell_of_parquet_is_told_and_the_rest_is_read(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = tmp_path / "people.parquet"
    con.execute("""
        create table people as
        select n as id, if(n = 2, repeat('x', 10_000_000), 'Person ' || n) as "full name"
        from range(1, 6) numbers(n)
    """)
    con.execute(f"copy people to '{path}'")
    reading = read(con, path, columns={"candidate_id": "id"})
    assert reading.unread == [(2, "the row holds 10,000,001 bytes; expected at most 1,000,000")]
    assert names(con) == [PEOPLE[0], *PEOPLE[2:]]
    assert reading.rows == 4
    assert con.execute("select max(row) from lines").fetchall() == [(5,)]


def test_nested_parquet_is_read_by_its_path(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    path = tmp_path / "people.parquet"
    con.execute(f"""copy (select {{'id': 7, 'name': 'Ada'}} as candidate,
        ['a@example.org', 'b@example.org'] as emails) to '{path}'""")
    read(con, path)
    assert con.execute("select candidate_id, name, email from lines").fetchall() == [
        ("7", "Ada", "a@example.org; b@example.org")
    ]


def test_a_column_is_mapped_by_hand(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    content = "Wer,E-mail privé\nAda,a@example.org\n"
    reading = read(
        con, tmp_path / "a.csv", content, columns={"name": "Wer", "email": "e-mail PRIVÉ"}
    )
    assert con.execute("select name, email from lines").fetchall() == [("Ada", "a@example.org")]
    assert reading.columns == {"name": "Wer", "email": "E-mail privé"}


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"email": "Mail", "name": "mail"}, "configured twice: as email and as name"),
        ({"email": "Post"}, "expected a header 'Post'; found"),
        ({"e-mail": "Mail"}, "is no field"),
    ],
)
def test_a_wrong_mapping_says_which(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, columns: dict[str, str], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read(con, tmp_path / "a.csv", "Name,Mail\nAda,a@example.org\n", columns=columns)


def test_two_columns_that_could_be_one_field_are_told(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    reading = read(con, tmp_path / "a.csv", "Email,Name,Email,Hobby\na@x.org,Ada,b@x.org,chess\n")
    said = " ".join(note.sentence() for note in reading.notes)
    assert "'Email (2)' could be email too" in said
    assert "the header 'Email' stands more than once" in said
    assert reading.unknown == ["Hobby"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", "", "is empty"),
        ("a.csv", "\n\n", "is empty"),
        ("a.csv", HEADER + "\n", "no rows"),
        ("a.csv", HEADER, "no rows"),
        ("a.json", "[]", "nothing to audit"),
        ("a.json", '[{"Name": "A"', "it is no JSON from line 1"),
        ("a.csv", "Hobby,Colour\nchess,red\n", "no column is known; found 'Hobby', 'Colour'"),
        ("a.xlsx", b"PK\x03\x04 not a workbook", "it is no Excel workbook"),
        ("a.xls", b"\xd0\xcf\x11\xe0" + b"\0" * 600, "old Excel workbook"),
        ("a.parquet", b"PAR1 and no more", "is no Parquet file"),
    ],
)
def test_where_there_is_nothing_to_audit_it_says_so(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, name: str, content: str | bytes, said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        read(con, tmp_path / name, content)


def test_a_folder_and_a_missing_file_are_told(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        read(con, tmp_path)
    with pytest.raises(ConfigError, match="there is no file"):
        read(con, tmp_path / "nobody.csv")


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("3,Person 3,p3@example.org,Cook,Applied,2026-03-03,and,more", "the row has 8 cells"),
        ('3,"Person 3,p3@example.org,Cook,Applied,2026-03-03', "a quote is opened and not closed"),
        ("3," + "x" * 10_000_000 + ",p3@example.org,Cook,Applied,2026-03-03", "holds 10,000,0"),
    ],
)
def test_a_broken_row_is_told_with_its_number_and_the_rest_is_read(
    con: duckdb.DuckDBPyConnection, tmp_path: Path, broken: str, said: str
) -> None:
    rows = [HEADER, *ROWS[:2], broken, *ROWS[3:]]
    reading = read(con, tmp_path / "a.csv", "\n".join(rows) + "\n")
    assert names(con) == [name for name in PEOPLE if name != "Person 3"]
    [(row, why)] = reading.unread
    assert (row, reading.unread_count) == (4, 1)
    assert said in why


def test_a_short_row_is_read_and_told(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    reading = read(con, tmp_path / "a.csv", PLAIN + "6,Person 6\n")
    assert names(con)[-1] == "Person 6"
    assert [(note.rows, note.count) for note in reading.notes] == [((7,), 1)]


def test_a_truncated_gzip_is_read_as_far_as_it_goes(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = [f"{n},Person {n},p{n}@example.org,Cook,Applied,2026-03-01" for n in range(20_000)]
    packed = gzip.compress("\n".join([HEADER, *rows]).encode())
    reading = read(con, tmp_path / "a.csv.gz", packed[: len(packed) // 2])
    assert 1_000 < reading.rows < 20_000
    assert reading.unread_count == 0  # the row that was cut in half is not taken for one
    [note] = reading.notes
    assert "breaks too early" in note.text


def test_wrong_bytes_and_nuls_are_told_with_their_lines(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    text = PLAIN.replace("Person 2", "Zoë Größe").replace("Person 4", "Jörg Müller")
    content = text.encode().replace(b"Person 3", b"Per\xff\xfeson 3").replace(b"Cook", b"Co\0ok", 1)
    reading = read(con, tmp_path / "a.csv", content)
    assert names(con)[1] == "Zoë Größe"  # one bad byte does not make the file another encoding's
    said = [note.sentence() for note in reading.notes]
    assert any("no utf-8" in one and "(row 4" in one for one in said)
    assert any("NUL" in one and "(row 2" in one for one in said)
    assert con.execute("select distinct applied_role from lines").fetchall() == [("Cook",)]


def test_blank_lines_do_not_shift_the_numbers(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    read(con, tmp_path / "a.csv", "\n".join([HEADER, ROWS[0], "", ROWS[1]]) + "\n\n\n")
    assert con.execute("select row, name from lines order by row").fetchall() == [
        (2, "Person 1"),
        (4, "Person 2"),
    ]


def test_formulas_are_told_and_not_executed(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    content = "Name,Phone,Email\n=cmd|' /C calc'!A0,+44 20 7946 0001,a@x.org\n@SUM(1),1,b@x.org\n"
    reading = read(con, tmp_path / "a.csv", content)
    assert names(con)[0] == "=cmd|' /C calc'!A0"
    [note] = reading.notes
    assert (note.rows, note.count) == ((2, 3), 2)  # a telephone number is none


def test_blanks_and_words_for_nothing_are_nothing(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    cells = ["n/a", " - ", "\u00a0", "NULL", "Ada\u00a0", "  Bo b ", "\ufeffÉva"]
    read(
        con,
        tmp_path / "a.csv",
        "Name,Email\n" + "".join(f"{c},x{i}@x.org\n" for i, c in enumerate(cells)),
    )
    assert names(con) == [None, None, None, None, "Ada", "Bo b", "Éva"]


def test_the_quick_and_the_patient_way_read_the_same(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    rows = [
        '7,"Says ""hello"", twice",a@x.org,"two\nlines",x,2026-01-01',
        '8,"",b@x.org,,"a;b",',
        '9,Tail  ,"c@x.org",\'q\',"#1",1',
    ]
    plain = "\n".join([HEADER, *rows]) + "\n"
    read(con, tmp_path / "a.csv", plain)
    quick = con.execute("select * exclude (row) from lines order by row").fetchall()
    assert len(quick) == 3
    read(con, tmp_path / "b.csv", plain.replace(HEADER, HEADER + "\n"))  # a blank line
    assert con.execute("select * exclude (row) from lines order by row").fetchall() == quick
