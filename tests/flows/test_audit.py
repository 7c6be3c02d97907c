"""What the audit finds in an export, and what it writes of it."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from warmline.core.candidates import normal_email
from warmline.core.errors import ConfigError, Malformed, Throttled, Unreachable, WarmlineError
from warmline.core.events import (
    ApplicationFacts,
    ApplicationStatus,
    CandidateFacts,
    Event,
    EventKind,
    JobFacts,
)
from warmline.core.matching import is_disposable, is_role_address
from warmline.flows import audit as audits
from warmline.flows.audit import Figures, Reads, Settings, audit_export, gate_of, hits
from warmline.flows.audit.addresses import make_addresses, parts_of
from warmline.flows.audit.ats import read_connection
from warmline.flows.audit.figures import masked
from warmline.flows.audit.moments import make_moments
from warmline.flows.audit.notes import Reading
from warmline.flows.audit.phases import open_work
from warmline.flows.audit.source import FIELDS
from warmline.kit.exports.columns import Column
from warmline.kit.exports.dates import read_date
from warmline.ports import Page, Received, Record

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HEADER = (
    "Candidate ID,Application ID,First Name,Last Name,Email,Phone,Job,Stage,Status,"
    "Applied On,Rejected On,Recruiter,Do Not Contact"
)
CLEAN = "{0},a{0},Ada{0},Lovelace,ada{0}@example.org,,Cook,Screen,Active,2026-03-04,,Rita,No"

Audit = Callable[..., Figures]


@pytest.fixture
def audit(tmp_path: Path) -> Audit:
    def run(*rows: str, header: str = HEADER, **more: Any) -> Figures:
        path = tmp_path / "people.csv"
        path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
        where = Settings(work=tmp_path / "work", out=tmp_path / "out", **more)
        return audit_export(path, where, now=NOW, told=lambda text: None)

    return run


def rows_of(tmp_path: Path, rule: str) -> list[dict[str, str]]:
    path = tmp_path / "out" / "findings" / f"{rule}.csv"
    if not path.exists():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def ids_of(tmp_path: Path, rule: str) -> list[str]:
    return [row["record_id"] for row in rows_of(tmp_path, rule)]


def row(number: int, **cells: str) -> str:
    """A clean row with these cells otherwise."""
    fields = dict(zip(HEADER.split(","), CLEAN.format(number).split(","), strict=True))
    fields |= {name.replace("_", " "): value for name, value in cells.items()}
    return ",".join(f'"{value}"' for value in fields.values())


def test_a_clean_export_has_nothing_to_mend(audit: Audit, tmp_path: Path) -> None:
    found = audit(row(1), row(2), row(3))
    assert found.counts == dict.fromkeys(found.counts, 0)
    assert (found.records, found.applications, found.people, found.ready) == (3, 3, 3, 3)
    assert list((tmp_path / "out" / "findings").iterdir()) == []


@pytest.mark.parametrize(
    ("rule", "cells", "ready"),
    [
        ("missing_email", {"Email": ""}, False),
        ("invalid_email", {"Email": "ada(at)example.org"}, False),
        ("invalid_email", {"Email": "ada@example"}, False),
        ("invalid_email", {"Email": "ada@example,org"}, False),
        ("invalid_email", {"Email": "ada lovelace@example.org"}, False),
        ("invalid_email", {"Email": "ada@example.org; ada@@example.org"}, True),
        ("role_email", {"Email": "jobs@example.org"}, False),
        ("disposable_email", {"Email": "ada@mailinator.com"}, False),
        ("no_name", {"First_Name": "", "Last_Name": "n/a"}, False),
        ("no_owner", {"Recruiter": "-"}, False),
        ("no_stage", {"Stage": ""}, False),
        ("no_role", {"Job": ""}, False),
        ("impossible_dates", {"Applied_On": "2031-01-01"}, True),
        ("impossible_dates", {"Applied_On": "1970-01-01"}, True),
        ("impossible_dates", {"Rejected_On": "2026-03-03"}, True),
        ("unreadable_dates", {"Applied_On": "2025-02-30"}, True),
        ("unreadable_dates", {"Applied_On": "last spring"}, True),
    ],
)
def test_each_fault_is_found_where_it_is_and_nowhere_else(
    audit: Audit, tmp_path: Path, rule: str, cells: Mapping[str, str], ready: bool
) -> None:
    found = audit(row(1), row(2, **cells), row(3))
    assert {key: count for key, count in found.counts.items() if count} == {rule: 1}
    assert ids_of(tmp_path, rule) == ["2"]
    assert rows_of(tmp_path, rule)[0]["row"] == "3"
    assert found.ready == (3 if ready else 2)


def test_one_person_twice_is_one_person_and_the_evidence_is_told(
    audit: Audit, tmp_path: Path
) -> None:
    found = audit(
        row(1, Email="ada.king@gmail.com", First_Name="Ada", Last_Name="King"),
        row(2, Email="AdaKing+jobs@googlemail.com", First_Name="Ada", Last_Name="King"),
        row(3, Email="", Phone="+44 20 7946 0018", First_Name="Alan", Last_Name="Turing"),
        row(4, Phone="0044 (0)20 79460018", First_Name="Alan", Last_Name="Turing"),
        row(5),
    )
    assert found.counts["exact_duplicates"] == 4
    # One telephone and one name may be father and son: told, and joined by a person only.
    assert (found.records, found.people) == (5, 4)
    pairs = {
        (r["record_id"], r["other_id"]): r["evidence"]
        for r in rows_of(tmp_path, "exact_duplicates")
    }
    assert set(pairs) == {("1", "2"), ("3", "4")}
    assert "same mailbox" in pairs["1", "2"]
    assert "same phone" in pairs["3", "4"]
    assert "look before merging" in pairs["3", "4"]


def test_one_mailbox_under_two_names_is_told_and_not_joined(audit: Audit, tmp_path: Path) -> None:
    found = audit(
        row(1, Email="home@gmail.com", First_Name="Wilhelmina", Last_Name="Ostrander"),
        row(2, Email="home@gmail.com", First_Name="Bartholomew", Last_Name="Quigley"),
    )
    assert (found.counts["exact_duplicates"], found.people) == (2, 2)
    assert "different names" in rows_of(tmp_path, "exact_duplicates")[0]["evidence"]


def test_opt_outs_that_disagree_name_each_other(audit: Audit, tmp_path: Path) -> None:
    same = {"First_Name": "Ada", "Last_Name": "King", "Email": "ada@example.org"}
    found = audit(
        row(1, **same, Do_Not_Contact="Yes"),
        row(2, **same),
        row(3, Do_Not_Contact="since 2025"),
    )
    assert found.counts["opt_out_conflict"] == 2
    assert {r["record_id"]: r["evidence"] for r in rows_of(tmp_path, "opt_out_conflict")} == {
        "1": "otherwise says 2",
        "2": "otherwise says 1",
    }
    assert found.findings[0].rule.key == "opt_out_conflict"  # it is the first to mend


def test_several_applications_of_one_candidate_are_one_record(audit: Audit, tmp_path: Path) -> None:
    first = row(1)
    second = row(1, Application_ID="b1", Job="Baker", Applied_On="2026-05-01")
    found = audit(first, second, row(2))
    assert (found.records, found.applications) == (2, 3)
    assert found.counts["id_twice"] == found.counts["exact_duplicates"] == 0


def test_one_id_for_two_things_is_told(audit: Audit, tmp_path: Path) -> None:
    found = audit(
        row(1),
        row(1, Application_ID="b1", First_Name="Zoe", Email="zoe@example.org"),
        row(2, Application_ID="x"),
        row(3, Application_ID="x"),
        row(4, Application_ID=""),
        row(4, Application_ID=""),
    )
    assert set(ids_of(tmp_path, "id_twice")) == {"1", "2", "3", "4"}
    assert found.ready == 0


def test_without_ids_the_rows_of_one_person_are_one_record(audit: Audit) -> None:
    header = "Name,Email,Job,Applied On"
    found = audit(
        "Ada King,ada@example.org,Cook,2026-01-01",
        "Ada King,ada@example.org,Baker,2026-02-01",
        "Bo Lind,bo@example.org,Cook,2026-01-01",
        "Bo Lind,bo@example.org,Cook,2026-01-01",
        header=header,
    )
    assert (found.records, found.applications) == (3, 4)
    assert found.counts["exact_duplicates"] == 2  # the same row twice is a duplicate


def test_an_application_without_a_candidate_is_told(audit: Audit, tmp_path: Path) -> None:
    nobody = row(9, Candidate_ID="", First_Name="", Last_Name="", Email="")
    found = audit(row(1), nobody)
    assert (found.records, found.counts["orphan_applications"]) == (1, 1)
    assert [r["value"] for r in rows_of(tmp_path, "orphan_applications")] == ["a9"]


def test_sourced_leads_need_no_stage_and_no_role(audit: Audit) -> None:
    found = audit(row(1, Status="Prospect", Stage="", Job=""))
    assert (found.counts["no_stage"], found.counts["no_role"], found.ready) == (0, 0, 1)
    assert [bar.name for bar in found.charts["segments"]] == ["passive_lead"]


def test_what_the_export_has_no_column_for_is_not_judged(audit: Audit) -> None:
    found = audit("Ada King,ada@example.org", header="Name,Email")
    lacking = {finding.rule.key for finding in found.findings if finding.lacks}
    assert {"no_stage", "no_owner", "no_role", "opt_out_conflict"} <= lacking
    assert found.counts["no_owner"] == 0
    assert hits([gate_of("no_owner")], found.counts, found.shares, found.lacking)


def test_rows_that_cannot_be_read_are_a_finding(audit: Audit, tmp_path: Path) -> None:
    found = audit(row(1), "1,2,3,4,5,6,7,8,9,10,11,12,13,14,15", row(2))
    assert (found.records, found.counts["unread_rows"]) == (2, 1)
    assert rows_of(tmp_path, "unread_rows")[0]["row"] == "3"


def test_segments_go_by_the_rules_of_the_ledger(audit: Audit) -> None:
    found = audit(
        row(1),
        row(2, Stage="Final Interview", Status="Rejected", Rejected_On="2026-04-01"),
        row(3, Status="Hired"),
        row(4, Applied_On="2019-01-01"),
    )
    bars = {bar.name: bar.count for bar in found.charts["segments"]}
    assert bars == {"active_applicant": 1, "silver_medalist": 1, "archived": 2}


# Dates

DATES = "ID,Email,Job,Applied On\n"


@pytest.mark.parametrize(
    ("cells", "order", "expected"),
    [
        (["03/04/2026", "25/04/2026"], "auto", ["2026-04-03", "2026-04-25"]),
        (["03/04/2026", "04/25/2026"], "auto", ["2026-03-04", "2026-04-25"]),
        (["03/04/2026"], "auto", [None]),
        (["03/04/2026"], "mdy", ["2026-03-04"]),
        (["03/04/2026"], "dmy", ["2026-04-03"]),
        (["25/04/2026", "04/26/2026", "26/04/2026"], "auto", ["2026-04-25", None, "2026-04-26"]),
        (["2026-03-04", "46085", "1772616600", "4 March 2026", "04.03.2026"], "auto",
         ["2026-03-04"] * 5),
        (["2026-03-04T23:30:00+02:00", "20260304", "1772616600000", "3/3/26"], "auto",
         ["2026-03-04"] * 3 + ["2026-03-03"]),
        (["0000-00-00", "99/99/2026", "12345678901234567"], "auto", [None] * 3),
    ],
)  # fmt: skip
def test_dates_of_every_form(cells: list[str], order: str, expected: list[str | None]) -> None:
    with duckdb.connect() as con:
        assert moments_of(con, cells, order)[0] == expected


def moments_of(
    con: duckdb.DuckDBPyConnection, cells: list[str], order: str
) -> tuple[list[str | None], Reading]:
    fields = ", ".join(f"null::VARCHAR as {f}" for f in FIELDS if f is not Column.APPLIED_AT)
    con.execute(
        f"create or replace table lines as select row_number() over () as row, *, {fields}"  # noqa: S608
        " from (select unnest($v::VARCHAR[]) as applied_at)",
        {"v": cells},
    )
    reading = Reading("a.csv", columns={"applied_at": "Applied On"})
    make_moments(con, reading, order)
    rows = con.execute(
        "select strftime(moments.applied_at, '%Y-%m-%d') from moments order by row"
    ).fetchall()
    return [day for (day,) in rows], reading


def test_the_order_of_day_and_month_is_told() -> None:
    with duckdb.connect() as con:
        _, reading = moments_of(con, ["03/04/2026", "25/04/2026"], "auto")
        assert "the day before the month, shown by 1 such as 25/04" in reading.notes[0].text
        _, reading = moments_of(con, ["03/04/2026"], "auto")
        assert "could be either way round" in reading.notes[0].text
        _, reading = moments_of(con, ["2026-04-03"], "auto")
        assert reading.notes == []


written_dates = st.one_of(
    st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1)).flatmap(  # noqa: DTZ001
        lambda day: st.sampled_from(
            ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%y", "%d %B %Y",
             "%b %d, %Y", "%Y/%m/%d", "%Y%m%d", "%d/%m/%Y %H:%M"]
        ).map(day.strftime)
    ),
    st.integers(0, 90_000).map(str),
    st.integers(10**8, 10**10).map(str),
    st.from_regex(r"[0-9]{1,4}[/.-][0-9]{1,2}[/.-][0-9]{2,4}", fullmatch=True),
)  # fmt: skip


@settings(max_examples=50, deadline=None)
@given(st.lists(written_dates, min_size=1, max_size=50))
@example(["1/1.00", "1-1/2001", "1.1.00"])
def test_sql_reads_the_dates_that_the_connector_reads(cells: list[str]) -> None:
    expected = []
    for cell in cells:
        try:
            moment = read_date(cell, "dmy")
        except (ValueError, OverflowError):
            expected.append(None)
        else:
            expected.append(moment.strftime("%Y-%m-%d") if moment else None)
    with duckdb.connect() as con:
        found, _ = moments_of(con, cells, "dmy")
    # SQL keeps days of any year, which the audit then calls impossible.
    kept = [day if day and "1970" <= day < "2101" else None for day in found]
    assert kept == expected


# Addresses


@pytest.mark.parametrize(
    ("cell", "parts"),
    [
        ("a@b.org", ["a@b.org"]),
        ("a@b.org; c@d.org", ["a@b.org", "c@d.org"]),
        ("a@b.org,c@d.org", ["a@b.org", "c@d.org"]),
        ("a@b.org c@d.org", ["a@b.org", "c@d.org"]),
        ("Ada King <a@b.org>", ["a@b.org"]),
        ("King, Ada <a@b.org>", ["a@b.org"]),
        ("mailto:a@b.org", ["a@b.org"]),
        ("a@b,org", ["a@b,org"]),
        ("a @ b.org", ["a @ b.org"]),
        ("n/a; a@b.org", ["a@b.org"]),
    ],
)
def test_a_cell_is_taken_apart(cell: str, parts: list[str]) -> None:
    assert parts_of(cell) == parts


cells = st.one_of(
    st.text(min_size=1, max_size=20),
    st.builds(
        "{}@{}".format,
        st.sampled_from(["jobs", "do-not-reply", "hr.team2", "ada", "a.b+c", "info+1", "x@", "é"]),
        st.sampled_from(
            ["b.org", "gmail.com", "mailinator.com", "b", "b..org", "x.local", "b.org;"]
        ),
    ),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(cells, min_size=1, max_size=60))
def test_sql_says_of_addresses_what_the_functions_say(values: list[str]) -> None:
    values = [v.encode("utf-8", "ignore").decode().replace("\0", "") or "x" for v in values]
    expected = []
    for place, cell in enumerate(values):
        for part in parts_of(cell):
            normal = normal_email(part)
            kinds = (is_role_address(normal), is_disposable(normal)) if normal else (False, False)
            expected.append((place, part, normal, *kinds))
    with duckdb.connect() as con:
        con.execute(
            "create table records as select (row_number() over () - 1)::INTEGER as n, email"
            " from (select unnest($v::VARCHAR[]) as email)",
            {"v": values},
        )
        make_addresses(con)
        found = con.execute("select n, raw, normal, role, disposable from addresses").fetchall()
    assert sorted(found, key=repr) == sorted(expected, key=repr)


# Files


HOSTILE = "<script>alert(1)</script>"


def test_nothing_hostile_gets_into_the_files(audit: Audit, tmp_path: Path) -> None:
    audit(
        row(1, Email="", First_Name="=cmd|' /C calc'!A0", Stage=HOSTILE, Recruiter="-"),
        row(2, Email="", First_Name="\t=1+1", Last_Name="@SUM(A1)", Job=HOSTILE),
        row(3, Email=HOSTILE, Candidate_ID="+44", First_Name="＝1"),  # noqa: RUF001
    )
    [first, second] = rows_of(tmp_path, "missing_email")
    assert first["name"].startswith("'=cmd")
    assert second["name"].startswith("'=1+1")
    assert rows_of(tmp_path, "invalid_email")[0]["record_id"] == "'+44"
    assert rows_of(tmp_path, "invalid_email")[0]["name"].startswith("'")
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_report_asks_nothing_of_the_network(audit: Audit, tmp_path: Path) -> None:
    audit(row(1), row(2, Email="", First_Name="Wilhelmina"))
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    for word in ("http://", "https://", "src=", "@import", "url(", "<link", "<script"):
        assert word not in page, word
    assert "default-src &#x27;none&#x27;" in page or "default-src 'none'" in page


def test_names_and_addresses_stand_in_the_lists_alone(audit: Audit, tmp_path: Path) -> None:
    audit(row(1, Email="wilhelmina@@gmail.com", First_Name="Wilhelmina", Last_Name="Ostrander"))
    assert rows_of(tmp_path, "invalid_email")[0]["value"] == "wilhelmina@@gmail.com"
    for name in ("report.html", "findings.json"):
        text = (tmp_path / "out" / name).read_text("utf-8").lower()
        assert "wilhelmina" not in text
        assert "ostrander" not in text
        assert "w***@@gmail.com" in text


def test_only_the_owner_may_read_what_is_written(audit: Audit, tmp_path: Path) -> None:
    audit(row(1), row(2, Email=""))
    out = tmp_path / "out"
    for path in (out, *out.rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_findings_json_says_what_the_figures_say(audit: Audit, tmp_path: Path) -> None:
    found = audit(row(1), row(2, Email=""), row(3, Email=""))
    kept = json.loads((tmp_path / "out" / "findings.json").read_text("utf-8"))
    assert kept == audits.as_json(found)
    assert kept["totals"] == {
        "records": 3, "applications": 3, "people": 3, "ready": 1, "to_mend": 2,
    }  # fmt: skip
    [missing] = [f for f in kept["findings"] if f["rule"] == "missing_email"]
    assert (missing["count"], missing["share"]) == (2, 0.666667)
    assert [e["record"] for e in missing["examples"]] == ["2", "3"]


def test_lists_of_an_earlier_audit_do_not_stay(audit: Audit, tmp_path: Path) -> None:
    audit(row(1, Email=""))
    assert ids_of(tmp_path, "missing_email") == ["1"]
    audit(row(1))
    assert ids_of(tmp_path, "missing_email") == []


def test_masked_values_keep_what_is_wrong() -> None:
    assert masked("ada.king@gmail,com") == "a***.k***@gmail,com"
    assert masked("ada(at)gmail.com") == "a***(at)gmail.com"
    assert masked("Ada Lovelace") == "A*** L***"


# Going on after a stop


class Stop(Exception):
    pass


def test_a_stopped_audit_goes_on_after_the_last_finished_phase(
    audit: Audit, tmp_path: Path
) -> None:
    path = tmp_path / "people.csv"
    path.write_text("\n".join([HEADER, row(1), row(2, Email="")]), encoding="utf-8")
    where = Settings(work=tmp_path / "work", out=tmp_path / "out")

    def stop(text: str) -> None:
        if text == audits.PHASES["judge"]:
            raise Stop

    with pytest.raises(Stop):
        audit_export(path, where, now=NOW, told=stop)
    [folder] = (tmp_path / "work").iterdir()
    work = open_work(folder)
    assert set(work.done) == {"read", "tidy", "link"}
    # Whoever goes on reads what is kept, and not the file again.
    work.con.execute("update records set owner = null where id = '1'")
    work.close()
    found = audit_export(path, where, now=NOW, told=lambda text: None)
    assert (found.counts["missing_email"], found.counts["no_owner"]) == (1, 1)
    assert list((tmp_path / "work").iterdir()) == []  # nothing personal is left behind


def test_an_audit_that_cannot_begin_leaves_nothing_behind(tmp_path: Path) -> None:
    where = Settings(work=tmp_path / "work", out=tmp_path / "out")
    empty = tmp_path / "empty.csv"
    empty.touch()
    for path in (tmp_path / "nobody.csv", empty):
        with pytest.raises(ConfigError):
            audit_export(path, where, now=NOW, told=lambda text: None)
    assert list((tmp_path / "work").iterdir()) == []


def test_another_file_or_other_settings_begin_anew(tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text("\n".join([HEADER, row(1)]), encoding="utf-8")

    def stop(text: str) -> None:
        if text == audits.PHASES["tidy"]:
            raise Stop

    for reads in (Reads(), Reads(columns={"owner": "Job"})):
        where = Settings(work=tmp_path / "work", out=tmp_path / "out", reads=reads)
        with pytest.raises(Stop):
            audit_export(path, where, now=NOW, told=stop)
    path.write_text("\n".join([HEADER, row(1), row(2)]), encoding="utf-8")
    with pytest.raises(Stop):
        audit_export(path, where, now=NOW, told=stop)
    assert len(list((tmp_path / "work").iterdir())) == 3


def test_two_audits_of_one_source_do_not_run_at_once(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from warmline.flows.audit.phases import open_work;"
        "work = open_work(Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(WarmlineError, match="running already"):
            open_work(tmp_path)
        other.stdin.close()


def test_half_of_a_work_database_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "audit.duckdb").write_bytes(b"\0" * 5000)
    work = open_work(tmp_path)
    assert work.done == {}
    work.close()


# Connections


class Listing:
    """A connection that lists `pages` of two candidates, and is away once at page `away`."""

    def __init__(self, pages: int, away: int, error: WarmlineError) -> None:
        self.pages, self.away, self.error = pages, away, error
        self.asked: list[str] = []

    def streams(self) -> tuple[str, ...]:
        return ("candidates", "interviews")

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        assert stream == "candidates"
        self.asked.append(cursor)
        for page in range(int(cursor or 0), self.pages):
            if page == self.away:
                self.away = -1
                raise self.error
            records = tuple(
                Record(str(n), json.dumps({"id": n}).encode()) for n in (2 * page, 2 * page + 1)
            )
            yield Page(stream, records, str(page + 1), last=page == self.pages - 1)

    def parse(self, received: Received) -> list[Event]:
        number = json.loads(received.body)["id"]
        if number == 3:
            raise Malformed("candidate 3: found no name; expected one")
        candidate = CandidateFacts(
            external_id=str(number),
            first_name="Ada",
            last_name=f"Nr{number}",
            can_email=number != 1,
        )
        updated = Event(EventKind.CANDIDATE_UPDATED, f"u{number}", "w", candidate=candidate)
        application = ApplicationFacts(
            f"a{number}", ApplicationStatus.ACTIVE, job=JobFacts("7", "Cook"), applied_at=NOW
        )
        submitted = Event(
            EventKind.APPLICATION_SUBMITTED,
            f"s{number}",
            "w",
            candidate=candidate,
            application=application,
        )
        return [updated, submitted]


def read_listing(listing: Listing, folder: Path, slept: list[float]) -> Reading:
    work = open_work(folder)
    try:
        found = read_connection(
            work, listing, "ats", now=NOW, told=lambda text: None, sleep=slept.append
        )
        rows = work.con.execute(
            "select candidate_id, application_id, last_name, do_not_contact from lines order by"
            " candidate_id, application_id nulls first"
        ).fetchall()
        assert rows[:4] == [
            ("0", None, "Nr0", "no"), ("0", "a0", None, None),
            ("1", None, "Nr1", "yes"), ("1", "a1", None, None),
        ]  # fmt: skip
        return found
    finally:
        work.close()


def test_a_reading_that_broke_off_goes_on_at_its_last_page(tmp_path: Path) -> None:
    listing = Listing(4, away=2, error=Unreachable("the vendor is away"))
    with pytest.raises(Unreachable):
        read_listing(listing, tmp_path, [])
    reading = read_listing(listing, tmp_path, [])
    assert listing.asked == ["", "2"]
    assert reading.rows == 14  # seven candidates, each with an application
    assert [why for _, why in reading.unread] == ["candidate 3: found no name; expected one"]


def test_a_vendor_that_asks_to_wait_is_waited_for(tmp_path: Path) -> None:
    slept: list[float] = []
    listing = Listing(3, away=1, error=Throttled("slower", after_s=7.0))
    assert read_listing(listing, tmp_path, slept).rows == 10
    assert (slept, listing.asked) == ([7.0], ["", "1"])


# Gates


@pytest.mark.parametrize(
    ("text", "hit"),
    [
        ("missing_email", True),
        ("missing_email>2", True),
        ("missing_email > 3", False),
        ("missing_email>30%", False),
        ("missing_email>29.9%", True),
        ("invalid_email", False),
        ("any", True),
        ("any>3", False),
    ],
)
def test_a_gate_is_hit_above_its_limit(text: str, hit: bool) -> None:
    assert bool(hits([gate_of(text)], {"missing_email": 3}, {"missing_email": 0.3})) is hit


@pytest.mark.parametrize("text", ["missing_emails", "any<3", "", "missing_email>x", "any>"])
def test_a_gate_that_cannot_be_read_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="--fail-on"):
        gate_of(text)
