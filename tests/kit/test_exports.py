"""Reading exports row by row: what is wrong with one row costs that row and no other."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from warmline.kit.exports.delimited import delimited_cells, delimited_rows, head_of
from warmline.kit.exports.reading import encoding_of

HEADER = "Name,Notes,City\n"


def text(content: str) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(content.encode()), "utf-8", newline="")


def names(content: str) -> list[str]:
    return [str(row.data["Name"]) for row in delimited_rows(text(content)) if not row.fault]


@pytest.mark.parametrize("broken", ['Bob,"never closed,Rome', 'Bob,never "closed",Rome,"x'])
def test_a_quote_that_is_never_closed_costs_its_own_row_only(broken: str) -> None:
    rows = "".join(f'P{n},"said ""hi""",Oslo\n' for n in range(200))
    content = HEADER + f"Ada,x,Bern\n{broken}\n" + rows
    found = list(delimited_rows(text(content)))
    assert [(row.number, bool(row.fault)) for row in found if row.fault] == [(3, True)]
    assert names(content) == ["Ada", *(f"P{n}" for n in range(200))]


def test_a_letter_in_a_cell_is_no_row() -> None:
    letter = "Dear all,\nI like cooking, baking, and tea.\nYours, Ada, Bern\n"
    content = HEADER + f'Ada,"{letter}",Bern\nZoe,x,Rome\n'
    [ada, zoe] = delimited_rows(text(content))
    assert (ada.data["Notes"], zoe.number) == (letter, 3)


def test_lists_and_rows_say_the_same() -> None:
    content = HEADER + "Ada,x\n\nBob,x,Rome,more\nZoe,x,Oslo,,\n"
    cells = list(delimited_cells(text(content)))
    rows = list(delimited_rows(text(content)))
    assert [(n, bool(f), bool(note)) for n, _, f, note in cells] == [
        (2, False, True), (4, True, False), (5, False, False),
    ]  # fmt: skip
    assert [(r.number, bool(r.fault), bool(r.note)) for r in rows] == [
        (2, False, True), (4, True, False), (5, False, False),
    ]  # fmt: skip
    assert [list(row.data.values()) for row in rows if not row.fault] == [
        each for _, each, fault, _ in cells if not fault
    ]


def test_the_head_says_where_the_rows_begin() -> None:
    found = head_of(text("sep=;\n\nName;City\nAda;Bern\n"))
    assert (found.separator, found.headers, found.lines) == (";", ("Name", "City"), 3)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("Zoë Größe, Jörg, Müller".encode() + b"\xff", "utf-8"),
        ("Zoë Größe".encode("cp1252"), "cp1252"),
        (b"Ada", "utf-8"),
    ],
)
def test_one_wrong_byte_does_not_make_it_another_encoding(
    tmp_path: Path, content: bytes, expected: str
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    assert encoding_of(path) == expected
