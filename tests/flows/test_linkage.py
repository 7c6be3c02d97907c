"""Who is the same person in a table of records."""

from __future__ import annotations

import random
from collections.abc import Callable

import duckdb
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from warmline.core.candidates import normal_email
from warmline.core.matching import base_key, mailbox_key, phone_key, profile_key
from warmline.flows.linkage import Linked, keys, link

addresses = st.one_of(
    st.text(max_size=30),
    st.text(alphabet="aB1@.-_+ ;<,>\u00a0é\u212a\n", max_size=24),
    st.builds(
        "{}{}@{}{}".format,
        st.sampled_from(["", " ", "<", "\u200b", "+"]),
        st.from_regex(r"[a-zA-Z0-9._+-]{1,20}", fullmatch=True),
        st.sampled_from(
            ["gmail.com", "GoogleMail.com", "me.com", "ya.ru", "outlook.com", "example.com",
             "ex--ample.com", "x.local", "uni.example.ac.uk", "xn--bcher-kva.example",
             "b\u00fccher.de", "yahoo.com", "a.c0m", "localhost", "-a.com", "\u212aelvin.com"]
        ),
        st.sampled_from(["", " ", ">;", "\u00a0", ".", "\n"]),
    ),
)  # fmt: skip
numbers = st.one_of(
    st.text(max_size=24),
    st.text(alphabet="+0123456789() -./xX#extEXTon;=\u0663\u212a\n", max_size=30),
    st.builds(
        "{}{}{}".format,
        st.sampled_from(["+44 (0)", "0044", "+45", "+1-", "tel:+49 ", "0", "", "(0) "]),
        st.from_regex(r"[0-9]{2,5}[ /.-]?[0-9]{3,8}", fullmatch=True),
        st.sampled_from(["", " x12", " ext. 4", ";ext=1", "#3", " (home)", " Durchwahl 7"]),
    ),
)
links = st.one_of(
    st.text(max_size=30),
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "https://", "http://www.", "HTTPS://de.", " "]),
        st.sampled_from(
            ["linkedin.com/in/", "LinkedIn.com/in/", "github.com/", "xing.com/profile/",
             "stackoverflow.com/users/", "gitlab.com/", "dribbble.com/", "behance.net/",
             "linkedin.com/company/", "example.com/", "linkedin.com/mwlite/in/",
             "linkedin.com/pub/"]
        ),
        st.one_of(
            st.from_regex(r"[A-Za-z0-9._-]{0,12}", fullmatch=True),
            st.sampled_from(["me", "features", "j%C3%BCrgen", "42/ada", "%2f", "Ada\u212a", "a b"]),
        ),
        st.sampled_from(["", "/", "?x=1", "#top", "/en", " ", "/?a", "\n"]),
    ),
)  # fmt: skip


def said_by_sql(
    build: Callable[[duckdb.DuckDBPyConnection, str], None], table: str, values: list[str]
) -> dict[int, tuple[str, ...]]:
    con = duckdb.connect()
    con.execute("create table given as select unnest($v::VARCHAR[]) as raw", {"v": values})
    build(con, "select (row_number() over ()) :: INTEGER - 1 as n, raw from given")
    columns = "mailbox, base" if table == "linkage_emails" else "key"
    rows = con.execute(f"select n, {columns} from {table}").fetchall()  # noqa: S608
    return {row[0]: row[1:] for row in rows}


def clean(values: list[str]) -> list[str]:
    """What a table can hold: no half characters."""
    return [v.encode("utf-8", "ignore").decode() for v in values]


@settings(max_examples=40, deadline=None)
@given(st.lists(addresses, min_size=1, max_size=200).map(clean))
@example(
    [
        "a..da@example.com",
        "ada@ex--ample.com",
        "ada@host.local",
        "a" * 65 + "@example.com",
        "+a@gmail.com",
        "a.d.a+x+y@GMAIL.com",
        "ada+x@example.com",
        "ada@b" + ".c" * 130 + ".de",
    ]
)
def test_sql_says_of_addresses_what_the_functions_say(values: list[str]) -> None:
    expected = {
        at: (mailbox_key(normal), base_key(normal))
        for at, raw in enumerate(values)
        if (normal := normal_email(raw)) is not None
    }
    assert said_by_sql(keys.emails, "linkage_emails", values) == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(numbers, min_size=1, max_size=200).map(clean))
@example(["44 ( 0 ) 2079460", "+45 12 34 56 79", "001 2025550123", "+7 (0) 1234567", "7" * 9])
def test_sql_says_of_telephone_numbers_what_the_function_says(values: list[str]) -> None:
    expected = {at: (phone_key(raw),) for at, raw in enumerate(values)}
    assert said_by_sql(keys.phones, "linkage_phones", values) == expected


@settings(max_examples=40, deadline=None)
@given(st.lists(links, min_size=1, max_size=200).map(clean))
@example(["linkedin.com/in/j%C3%BCrgen", "github.com/features", "LINKEDIN.com/in/Ada  x"])
def test_sql_says_of_profiles_what_the_function_says(values: list[str]) -> None:
    expected = {at: (profile_key(raw),) for at, raw in enumerate(values)}
    assert said_by_sql(keys.profiles, "linkage_links", values) == expected


Record = dict[str, object]


def record(id: str, first: str | None = None, last: str | None = None, **more: object) -> Record:
    blank = {"emails": None, "phones": None, "links": None, "employer": None, "place": None}
    return {"id": id, "first_name": first, "last_name": last, **blank, **more}


def table(records: list[Record]) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect()
    con.execute(
        "create table people(id VARCHAR, first_name VARCHAR, last_name VARCHAR, emails VARCHAR[],"
        " phones VARCHAR[], links VARCHAR[], employer VARCHAR, place VARCHAR)"
    )
    columns = ("id", "first_name", "last_name", "employer", "place")
    if records:
        con.execute(
            "insert into people select unnest($id::VARCHAR[]), unnest($first_name::VARCHAR[]),"
            " unnest($last_name::VARCHAR[]), unnest($emails::VARCHAR[][]),"
            " unnest($phones::VARCHAR[][]), unnest($links::VARCHAR[][]),"
            " unnest($employer::VARCHAR[]), unnest($place::VARCHAR[])",
            {c: [r[c] for r in records] for c in (*columns, "emails", "phones", "links")},
        )
    return con


def linked(records: list[Record]) -> tuple[Linked, dict[tuple[str, str], tuple[bool, list[str]]],
                                           dict[str, str]]:  # fmt: skip
    con = table(records)
    result = link(con, "people")
    pairs = con.execute("select one, other, sure, score, evidence from pairs").fetchall()
    assert all(one < other and 0 <= score <= 1 for one, other, _, score, _ in pairs)
    groups = dict(con.execute("select id, person from groups").fetchall())
    left = con.execute("select table_name from duckdb_tables()").fetchall()
    assert sorted(name for (name,) in left) == ["groups", "pairs", "people"]
    return result, {(one, other): (sure, why) for one, other, sure, _, why in pairs}, groups


ADA = {"emails": ["Ada.Lind+jobs@gmail.com"], "phones": ["+44 20 7946 0018"]}


@pytest.mark.parametrize("size", [0, 1, 2, 50])
def test_small_tables_work(size: int) -> None:
    records = [
        record(f"r{n:02}", FIRST[n % 25], PARTS[n % 16], emails=[f"p{n}@example.com"], place="Ulm")
        for n in range(size)
    ]
    if size > 1:
        records[1] = {**records[0], "id": "r01"}
    result, pairs, groups = linked(records)
    assert result.records == len(groups) == size
    assert not result.trained
    assert list(pairs) == ([("r00", "r01")] if size > 1 else [])
    assert result.sure == len(pairs)
    assert result.joined == 2 * len(pairs)
    assert all(person == id for id, person in groups.items() if id not in ("r00", "r01"))


def test_a_table_of_nothing_but_ids_says_nothing() -> None:
    blank = [record("a"), record("b", "", ""), record("c", emails=[], phones=[None], links=[""])]
    result, pairs, groups = linked(blank)
    assert pairs == {}
    assert groups == {"a": "a", "b": "b", "c": "c"}
    assert result.compared == 0


@pytest.mark.parametrize(
    ("other", "sure"),
    [
        (record("b", "Ada", "Lind", emails=["adalind@googlemail.com"]), True),
        (record("b", "Ada", "Berg", emails=["adalind@gmail.com"]), True),
        (record("b", None, None, emails=["adalind@gmail.com"]), True),
        (record("b", "Lind", "Ada", emails=["x@example.com", " ADALIND@gmail.com>"]), True),
        (record("b", "Carl", "Lind", emails=["adalind@gmail.com"]), False),
        (record("b", "Ada", "Lind", phones=["020 7946 0018"], employer="Acme Ltd."), True),
        (record("b", "Ada", "Lind", phones=["020 7946 0018"]), False),
        (record("b", "Ada", "Berg", phones=["020 7946 0018"]), False),
        (record("b", "Carl", "Lind", phones=["020 7946 0018"], employer="Acme Ltd"), None),
        (record("b", "Ada", "Lind", links=["https://de.linkedin.com/in/Ada-1?x=1"]), True),
        (record("b", "Carl", "Berg", links=["linkedin.com/in/ada-1"]), False),
        (record("b", "Ada", "Lind"), None),
    ],
)
def test_what_joins_and_what_waits(other: Record, sure: bool | None) -> None:
    one = record("a", "Ada", "Lind", employer="ACME Ltd", links=["linkedin.com/in/ada-1/"], **ADA)
    crowd = [record(f"x{n}", f"Name{n}", f"Other{n}", place="Ulm") for n in range(30)]
    _, pairs, groups = linked([one, other, *crowd])
    assert pairs.get(("a", "b"), (None, []))[0] is sure
    assert (groups["b"] == "a") is (sure is True)


def test_the_evidence_is_in_words_and_names_nobody() -> None:
    _, pairs, _ = linked([
        record("a", "Robert", "Lindqvist", employer="Acme", place="Ulm", **ADA),
        record("b", "Bob", "Lindqist", employer="ACME", place="ulm",
               emails=["adalind@gmail.com"], phones=["02079460018"]),
    ])  # fmt: skip
    assert pairs[("a", "b")] == (True, [
        "same mailbox", "same phone", "same employer", "same place",
        "first name is a nickname, last name differs by a letter",
    ])  # fmt: skip


def test_an_office_and_a_throwaway_mailbox_join_nobody() -> None:
    for address in ("jobs@example.com", "x@mailinator.com", "hr+1@outlook.com"):
        _, pairs, _ = linked([
            record("a", "Ada", None, emails=[address]), record("b", None, None, emails=[address])
        ])  # fmt: skip
        assert pairs == {}


def test_a_tag_at_any_domain_needs_the_name_beside_it() -> None:
    one = record("a", "Ada", "Lind", emails=["ada+x@example.com"])
    _, pairs, _ = linked([one, record("b", "Ada", "Lind", emails=["ada@example.com"])])
    assert pairs[("a", "b")] == (True, ["same address but for a +tag", "same name"])
    _, pairs, _ = linked([one, record("b", "Carl", "Berg", emails=["ada@example.com"])])
    assert pairs == {}


def test_people_of_contradicting_names_are_not_joined_through_a_third() -> None:
    shared = {"emails": ["family@example.net"]}
    result, pairs, groups = linked([
        record("a", "John", "Lind", **shared), record("b", "Jane", "Lind", **shared),
        record("c", "J.", "Lind", **shared),
    ])  # fmt: skip
    assert groups["a"] != groups["b"]
    assert result.joined == 2
    assert [sure for sure, _ in pairs.values()].count(True) == 1
    assert any("joining them would" in why[-1] for sure, why in pairs.values() if not sure)


def test_a_crowd_behind_one_key_is_left_out_and_counted() -> None:
    shared = {"phones": ["+44 20 7946 0018"], "emails": ["agency@agency.example"]}
    crowd = [record(f"r{n:05}", f"Fa{n:04}", f"La{n % 97:03}", **shared) for n in range(10_000)]
    johns = [record(f"s{n:05}", "John", "Smith", place="London") for n in range(5_000)]
    result, pairs, _ = linked([*crowd, *johns])
    assert result.compared < 100_000
    skipped = {left.rule: left.largest for left in result.skipped}
    assert skipped["phone"] == skipped["mailbox"] == 10_000
    assert skipped["name"] == skipped["name and place"] == 5_000
    assert not any(sure for sure, _ in pairs.values())


def test_a_family_may_share_a_telephone_and_an_agency_may_not() -> None:
    names = ["Ada", "Carl", "Berta", "Erik", "Nora", "Oskar", "Ingrid", "Johan"]
    family = [record(name, name, "Lind", phones=["020 7946 0018"]) for name in names]
    result, _, _ = linked(family)
    assert (result.compared, result.skipped) == (28, ())
    result, _, _ = linked([*family, record("x", "Klara", "Lind", phones=["02079460018"])])
    assert [(left.rule, left.blocks, left.largest) for left in result.skipped] == [("phone", 1, 9)]
    assert result.compared == 0


def test_one_person_a_thousand_times_is_one_person() -> None:
    result, _, groups = linked([
        record(f"r{n:04}", "Ada", "Lind", **ADA) for n in range(1_000)
    ])  # fmt: skip
    assert set(groups.values()) == {"r0000"}
    assert result.joined == 1_000
    assert result.compared < 5_000


FIRST = (
    *("Ada", "Carl", "Berta", "Erik", "Nora", "Oskar", "Ingrid", "Johan", "Klara", "Lars", "Maja"),
    *("Nils", "Olivia", "Per", "Rosa", "Sven", "Tove", "Ulla", "Viktor", "Wilma", "Robert"),
    *("William", "Elizabeth", "Michael", "Daniel"),
)
SHORT = {"Robert": "Bob", "William": "Bill", "Elizabeth": "Liz", "Michael": "Mike", "Daniel": "Dan"}
PARTS = (
    *("berg", "lind", "kvist", "strand", "holm", "dahl", "gren", "lund", "sten", "wall", "fors"),
    *("hag", "nord", "syd", "vest", "mark"),
)


def people(count: int, seed: int) -> tuple[list[Record], dict[str, int]]:
    """Records and whose they are: one in twenty is told again, otherwise than before; one in
    fifty people has a relative with the same telephone and surname."""
    chance = random.Random(seed)
    records: list[Record] = []
    whose: dict[str, int] = {}
    known: list[Record] = []

    def add(person: int, record: Record) -> None:
        id = f"c{chance.getrandbits(60):016x}"
        whose[id] = person
        records.append({**record, "id": id})

    for person in range(count):
        first = chance.choice(FIRST) + chance.choice(["", "", "-" + chance.choice(FIRST)])
        last = "".join(chance.choice(PARTS) for _ in range(chance.choice([2, 3]))).title()
        one = record(
            "", first, last, emails=[f"{first}.{last}{person}@gmail.com".lower()],
            phones=[f"+46 7{chance.randrange(10**8):08}"], place=f"Town {chance.randrange(60)}",
            employer=f"{chance.choice(PARTS)} {chance.choice(PARTS)} AB",
        )  # fmt: skip
        if known and chance.random() < 0.02:
            one |= {k: known[-1][k] for k in ("last_name", "phones", "place")}
        known.append(one)
        add(person, one)
        if chance.random() < 0.05:
            add(person, again(one, chance))
    chance.shuffle(records)
    return records, whose


def again(one: Record, chance: random.Random) -> Record:
    first, last = str(one["first_name"]), str(one["last_name"])
    (email,), (phone,) = one["emails"], one["phones"]  # type: ignore[misc]
    at = chance.randrange(1, len(last) - 2)
    change: Record = chance.choice([
        {"last_name": last[:at] + last[at + 1] + last[at] + last[at + 2 :]},
        {"first_name": last, "last_name": first},
        {"last_name": chance.choice(PARTS).title() + "son"},
        {"first_name": SHORT.get(first, first)},
        {"first_name": first.upper(), "last_name": last.upper()},
    ])  # fmt: skip
    reached: Record = chance.choice([
        {"emails": [str(email).replace(".", "", 1).replace("@gmail", "+cv@googlemail")]},
        {"emails": [str(email), f"other{chance.randrange(10**6)}@example.org"]},
        {"emails": [f"work{chance.randrange(10**6)}@example.org"],
         "phones": ["0" + str(phone)[4:]]},
        {"emails": [], "phones": []} if "last_name" not in change else {"phones": []},
    ])  # fmt: skip
    return {**one, **change, **reached}


@pytest.fixture(scope="module")
def town() -> tuple[duckdb.DuckDBPyConnection, Linked, dict[str, int]]:
    records, whose = people(5_000, seed=7)
    con = table(records)
    return con, link(con, "people"), whose


def test_it_is_right_where_it_joins_and_finds_nearly_all(
    town: tuple[duckdb.DuckDBPyConnection, Linked, dict[str, int]],
) -> None:
    con, result, whose = town
    assert result.trained
    people: dict[int, list[str]] = {}
    for id, person in whose.items():
        people.setdefault(person, []).append(id)
    true = {(min(ids), max(ids)) for ids in people.values() if len(ids) == 2}
    pairs = {(one, other): sure for one, other, sure in
             con.execute("select one, other, sure from pairs").fetchall()}  # fmt: skip
    sure = {pair for pair, certain in pairs.items() if certain}
    assert len(sure & true) >= 0.995 * len(sure)
    assert len(sure) >= 0.7 * len(true)
    assert len(true & pairs.keys()) >= 0.95 * len(true)
    assert len(pairs.keys() - sure) < 2 * len(true)
    groups = dict(con.execute("select id, person from groups").fetchall())
    assert all(groups[one] == groups[other] for one, other in sure)
    assert sum(id != person for id, person in groups.items()) == len(sure)


def test_the_same_table_gives_the_same_answer_in_any_order(
    town: tuple[duckdb.DuckDBPyConnection, Linked, dict[str, int]],
) -> None:
    con, result, _ = town
    asked = "select one, other, sure, round(score, 6), evidence from pairs order by all"
    first = con.execute(asked).fetchall()
    con.execute("create table turned as from people order by id desc")
    second = link(con, "turned")
    assert con.execute(asked).fetchall() == first
    assert (second.sure, second.probable, second.skipped) == (
        result.sure, result.probable, result.skipped
    )  # fmt: skip


def test_progress_is_told_and_no_secret_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    con = table([record("a", "Ada", "Lind", **ADA), record("b", "Ada", "Lind", **ADA)])
    heard: list[str] = []
    result = link(con, "people", told=heard.append)
    assert len(heard) == 5
    assert "Lind" not in " ".join(heard)
    assert set(result.seconds) == {"keys", "blocks", "model", "verdicts"}
    assert capsys.readouterr() == ("", "")
