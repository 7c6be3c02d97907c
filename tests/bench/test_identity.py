"""The generated export and the evaluation against it; the matcher here is a stub of the test's."""

from __future__ import annotations

import csv
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path

import duckdb
import pytest
from bench.identity import rates
from bench.identity.__main__ import figures, generated
from bench.identity.contacts import mailbox, otherwise, phone, written
from bench.identity.evaluate import Components, Kind, Score, Wrong, evaluate
from bench.identity.noise import NICKNAMES, plain, slip
from bench.identity.people import FIRST_TEST_SEED, Truth, generate, split_of
from bench.identity.words import names
from bench.kept import keep
from bench.runs import Figure

ROOT = Path(__file__).parents[2]
PEOPLE = 20_000
FILES = ("export", "truth", "duplicates", "lookalikes")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def truth(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return generate(tmp_path_factory.mktemp("people"), people=PEOPLE, seed=3)


@pytest.fixture(scope="module")
def export(truth: Truth) -> dict[str, dict[str, str]]:
    return {row["Candidate ID"]: row for row in rows(truth.export)}


@pytest.fixture(scope="module")
def hard(truth: Truth) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for row in rows(truth.duplicates):
        found.setdefault((row["one"], row["other"]), []).append(row["kind"])
    return found


def emails(row: dict[str, str]) -> set[str]:
    return {each for each in [row["Email"], *row["Other Emails"].split("; ")] if each}


def last_digits(number: str) -> str:
    return re.sub(r"\D", "", number.split(" x")[0])[-8:]


# The generator


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    made = []
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        (tmp_path / name).mkdir()
        made.append(generate(tmp_path / name, people=1500, seed=seed))
    for file in FILES:
        a, b, c = [(one.folder / f"{file}.csv").read_bytes() for one in made]
        assert a == b
        assert a != c


def test_every_record_is_there_once_and_has_a_person(
    truth: Truth, export: dict[str, dict[str, str]]
) -> None:
    who = {row["record"]: row["person"] for row in rows(truth.truth)}
    assert len(rows(truth.export)) == truth.records
    assert set(who) == set(export)
    assert len(set(who.values())) == truth.people == PEOPLE


def test_three_in_a_hundred_records_are_duplicates(truth: Truth) -> None:
    assert (truth.records - truth.people) / truth.records == pytest.approx(0.03, abs=0.004)


def test_the_pairs_are_all_pairs_of_records_of_one_person_and_no_others(
    truth: Truth, hard: dict[tuple[str, str], list[str]]
) -> None:
    people: dict[str, list[str]] = {}
    for row in rows(truth.truth):
        people.setdefault(row["person"], []).append(row["record"])
    wanted = {frozenset(pair) for all_of in people.values() for pair in combinations(all_of, 2)}
    assert {frozenset(pair) for pair in hard} == wanted
    assert len(hard) == len(wanted)


def test_every_difficulty_is_there(hard: dict[tuple[str, str], list[str]], truth: Truth) -> None:
    kinds = Counter(kind for all_of in hard.values() for kind in all_of)
    wanted = {kind for kind, _ in rates.RELATIONS} | {kind for kind, _ in rates.NAME_NOISE if kind}
    wanted |= {"plus_alias", "gmail_dots", "address_capitals", "changed_phone", "no_phone"}
    wanted |= {"employer_changed", "same_local_part"}
    assert set(kinds) == wanted
    alike = {row["kind"] for row in rows(truth.lookalikes)}
    assert alike == {
        "family_phone", "family_place", "family_mailbox", "same_name_family_phone",
        "same_name_family_place", "namesake", "agency_address", "switchboard", "recycled_phone",
    }  # fmt: skip


def test_what_a_pair_is_said_to_share_is_what_the_export_shows(
    export: dict[str, dict[str, str]], hard: dict[tuple[str, str], list[str]]
) -> None:
    seen = Counter[str]()
    for (one, other), kinds in hard.items():
        a, b = export[one], export[other]
        seen[kinds[0]] += 1
        same = {mailbox(each) for each in emails(a)} & {mailbox(each) for each in emails(b)}
        phones = last_digits(a["Phone"]), last_digits(b["Phone"])
        match kinds[0]:
            case "same_address":
                assert a["Email"] == b["Email"] != ""
            case "same_mailbox":
                assert a["Email"] != b["Email"]
                assert mailbox(a["Email"]) == mailbox(b["Email"])
            case "old_address":
                assert same
            case "phone_only":
                assert phones[0] == phones[1] != ""
                assert not same
            case "link_only" | "no_shared_key":
                slugs = {re.split(r"/in/|[?]", each)[1].strip("/").lower()
                         for each in (a["LinkedIn"], b["LinkedIn"]) if each}  # fmt: skip
                both = bool(a["LinkedIn"] and b["LinkedIn"])
                assert (both and len(slugs) == 1) == (kinds[0] == "link_only")
                assert not same
                assert phones[0] != phones[1] or not phones[0]
    assert min(seen.values()) >= 20


def test_without_a_shared_key_a_person_can_still_tell(
    truth: Truth, export: dict[str, dict[str, str]], hard: dict[tuple[str, str], list[str]]
) -> None:
    """Pairs of a first record and one made of it without a shared key have the town and the
    employer in common, which is not a large one, or the local part of the address at another
    provider. (Two further records of one person are told by way of the first.)"""
    large = {row["group"] for row in rows(truth.lookalikes) if row["kind"] == "switchboard"}
    looked_at = 0
    for (one, other), kinds in hard.items():
        if kinds[0] != "no_shared_key" or sum(other in pair or one in pair for pair in hard) > 1:
            continue
        a, b = export[one], export[other]
        looked_at += 1
        first_word = a["Company"].lower().split(" ")[0], b["Company"].lower().split(" ")[0]
        settled = a["Location"] == b["Location"] != "" and first_word[0] == first_word[1] != ""
        assert settled or "same_local_part" in kinds
        domain = a["Company"].lower().replace(" ", "-") + ".example.com"
        assert domain not in large or "same_local_part" in kinds
        assert not {"surname_changed", "initial"} & set(kinds)
    assert looked_at >= 20


def test_lookalikes_of_one_group_are_different_people(truth: Truth) -> None:
    who = {row["record"]: row["person"] for row in rows(truth.truth)}
    groups: dict[tuple[str, str], set[str]] = {}
    for row in rows(truth.lookalikes):
        groups.setdefault((row["kind"], row["group"]), set()).add(row["record"])
    for records in groups.values():
        assert len({who[record] for record in records}) == len(records)
    assert sum(len(records) > 1 for records in groups.values()) > 300


def test_faults_of_hygiene_are_one_or_two_rows_in_a_hundred(
    export: dict[str, dict[str, str]],
) -> None:
    found = Counter[str]()
    for row in export.values():
        found["no email"] += not row["Email"]
        found["invalid"] += bool(row["Email"]) and not re.fullmatch(
            r"[^@ ]+@[^@ ,]+\.[^@ ,]+", row["Email"]
        )
        found["no stage"] += not row["Stage"]
        found["no owner"] += not row["Recruiter"]
        found["date"] += not "2022" <= row["Applied On"] <= "2026-10-31"
    assert min(found.values()) > 0
    assert 0.01 < sum(found.values()) / len(export) < 0.02


def test_a_common_name_is_borne_by_many_people(
    truth: Truth, export: dict[str, dict[str, str]]
) -> None:
    who = {row["record"]: row["person"] for row in rows(truth.truth)}
    bearers: dict[tuple[str, str], set[str]] = {}
    for record, row in export.items():
        bearers.setdefault((row["First Name"], row["Last Name"]), set()).add(who[record])
    assert max(map(len, bearers.values())) >= 5  # of 20,000: hundreds of a million
    assert len(bearers) > PEOPLE / 2


def test_the_splits_share_the_common_names_and_not_the_others() -> None:
    dev, test = names("dev")[0], names("test")[0]
    for one, other in zip(dev, test, strict=True):
        for mine, theirs in ((one.women, other.women), (one.surnames, other.surnames)):
            assert mine.words[:3] == theirs.words[:3]
            assert set(mine.words) - set(theirs.words)
            assert set(theirs.words) - set(mine.words)
    assert split_of(FIRST_TEST_SEED) == split_of(5000) == "test"
    assert split_of(1) == split_of(9) == "dev"


@pytest.mark.parametrize("word", ["Johnson", "Łukasz", "Wei"])
def test_a_slip_changes_a_word_a_little(word: str) -> None:
    for seed in range(200):
        made = slip(random.Random(seed), word)
        assert made != word
        assert abs(len(made) - len(word)) <= 1
        assert sum((Counter(word.lower()) - Counter(made.lower())).values()) <= 1
    assert slip(random.Random(1), "Li") == "Li"


@pytest.mark.parametrize("address", ["maria.garcia@gmail.com", "ab@outlook.com", "x.y@firm.de"])
def test_an_address_written_otherwise_is_the_same_mailbox(address: str) -> None:
    seen = set()
    for seed in range(100):
        made, kind = otherwise(random.Random(seed), address)
        assert made != address
        assert mailbox(made) == mailbox(address)
        local, _, domain = made.partition("@")
        assert kind != "gmail_dots" or domain in ("gmail.com", "googlemail.com")
        assert not local.startswith(".")
        assert not local.endswith(".")
        seen.add(kind)
    assert len(seen) == {"gmail.com": 3, "outlook.com": 2}.get(address.split("@")[1], 1)


def test_notations_of_a_number_end_in_the_same_digits() -> None:
    number = phone(random.Random(1), "english")
    seen = {written(random.Random(seed), number) for seed in range(200)}
    assert len(seen) >= 8
    assert {last_digits(text) for text in seen} == {number.digits[-8:]}


def test_accents_are_lost_as_forms_lose_them() -> None:
    assert plain("Łukasz Øre Yılmaz Müller") == "Lukasz Ore Yilmaz Muller"  # noqa: RUF001
    assert "Bill" in NICKNAMES["William"]


# The evaluation


def small(folder: Path) -> Truth:
    """Person p: records 1, 2, 3. Person q: 4, 5. Persons r, s: 6, 7, who share a phone."""
    people = {"1": "p", "2": "p", "3": "p", "4": "q", "5": "q", "6": "r", "7": "s"}
    columns = "Candidate ID,First Name,Last Name,Email,Other Emails,Phone,LinkedIn,Company,Location"
    lines = {
        "export": [columns]
        + [f"{record},A,B,{record}@x.org,o{record}@x.org; p@x.org,,,," for record in people],
        "truth": ["record,person"] + [f"{record},{person}" for record, person in people.items()],
        "duplicates": ["one,other,kind", "1,2,typo", "1,3,typo", "1,3,nickname", "3,2,nickname",
                       "5,4,typo"],
        "lookalikes": ["record,kind,group", "6,family_phone,f", "7,family_phone,f",
                       "5,switchboard,w"],
    }  # fmt: skip
    for name, content in lines.items():
        (folder / f"{name}.csv").write_text("\n".join(content) + "\n")
    return Truth(folder, records=7, people=4)


def scored(folder: Path, *, joined: str, pairs: str) -> Score:
    """`joined`: groups as "12 67"; `pairs` as "12+ 23-" (+ sure, - for review)."""

    def link(con: duckdb.DuckDBPyConnection, table: str) -> None:
        records = con.table(table).filter("id = '3'").project("emails, phones, employer")
        assert records.fetchall() == [(["3@x.org", "o3@x.org", "p@x.org"], [], None)]
        con.execute("CREATE TABLE pairs (one TEXT, other TEXT, sure BOOL)")
        con.execute("CREATE TABLE groups (id TEXT, person TEXT)")
        for pair in pairs.split():
            con.execute("INSERT INTO pairs VALUES (?, ?, ?)", [pair[0], pair[1], pair[2] == "+"])
        grouped = {record: group for group in joined.split() for record in group}
        for record in "1234567":
            con.execute("INSERT INTO groups VALUES (?, ?)", [record, grouped.get(record, record)])

    return evaluate(small(folder), link)


def test_a_matcher_that_finds_nothing_joins_nothing_wrong(tmp_path: Path) -> None:
    score = scored(tmp_path, joined="", pairs="")
    assert (score.pairs, score.joined, score.reviewed, score.found) == (4, 0, 0, 0)
    assert score.precision_joined == 1
    assert score.recall_found == 0
    assert score.kinds == {"typo": Kind(3, 0, 0), "nickname": Kind(2, 0, 0)}
    assert not score.wrong


def test_a_perfect_matcher_is_told_so(tmp_path: Path) -> None:
    score = scored(tmp_path, joined="123 45", pairs="12+ 13+ 45+")
    assert score.precision_joined == score.recall_joined == score.recall_found == 1
    assert (score.joined, score.joined_right, score.reviewed) == (4, 4, 0)


def test_all_pairs_of_a_group_are_joined_and_the_wrong_ones_count(tmp_path: Path) -> None:
    """One sure pair too many makes a group of 1, 2, 6 and 7: one right pair, five wrong."""
    score = scored(tmp_path, joined="1267", pairs="12+ 26+ 67+")
    assert (score.joined, score.joined_right) == (6, 1)
    assert score.precision_joined == pytest.approx(1 / 6)
    assert score.wrong == {"other": Wrong(4, 0), "family_phone": Wrong(1, 0)}


def test_a_review_finds_what_hangs_together_through_it(tmp_path: Path) -> None:
    """1-2 joined, 2-3 on the list: 1-3 is found as well. 6-7 on the list is read in vain, 1-2 is
    joined already, and a pair told twice is read once."""
    score = scored(tmp_path, joined="12", pairs="12+ 32- 23- 67- 21-")
    assert (score.joined, score.reviewed, score.reviewed_right, score.found) == (1, 2, 1, 3)
    assert score.precision_reviewed == 0.5
    assert score.recall_joined == 0.25
    assert score.recall_found == 0.75
    assert score.reviewed_per_1000 == pytest.approx(2000 / 7)
    assert score.kinds == {"typo": Kind(3, 1, 2), "nickname": Kind(2, 0, 2)}
    assert score.wrong == {"family_phone": Wrong(0, 1)}


def test_a_wrong_pair_on_the_list_finds_nothing(tmp_path: Path) -> None:
    score = scored(tmp_path, joined="", pairs="16- 62-")
    assert score.found == 0
    assert score.precision_reviewed == 0


def test_what_hangs_together_does_so_in_any_order() -> None:
    for pairs in ([("1", "2"), ("1", "3")], [("2", "1"), ("3", "1")], [("1", "2"), ("2", "3")]):
        assert Components(pairs).same("2", "3")
        assert not Components(pairs).same("2", "4")


def test_aims_are_missed_by_what_misses_them(tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    good = figures(scored(tmp_path / "good", joined="123 45", pairs=""))
    bad = figures(scored(tmp_path / "bad", joined="67", pairs=""))
    assert all(figure.met for figure in good)
    assert {figure.name for figure in bad if not figure.met} == {
        "identity.precision_joined",
        "identity.recall_found",
    }


def test_the_same_addresses_joined_find_what_the_generator_says(truth: Truth) -> None:
    """The whole way with the simplest of matchers: whoever has an address in common is one."""

    def link(con: duckdb.DuckDBPyConnection, table: str) -> None:
        each = con.table(table).project("id, unnest(emails) AS email").distinct()  # noqa: F841
        con.execute(
            """CREATE TABLE pairs AS SELECT a.id AS one, b.id AS other, false AS sure
            FROM each a JOIN each b ON a.email = b.email AND a.id < b.id"""
        )
        con.table(table).project("id, id AS person").create("groups")

    score = evaluate(truth, link)
    assert score.joined == 0
    assert score.kinds["same_address"].found == score.kinds["same_address"].pairs
    old = score.kinds["old_address"]
    assert old.found > 0.8 * old.pairs  # the others have it as an alias
    assert score.kinds["phone_only"].found < score.kinds["phone_only"].pairs / 5
    assert score.wrong["agency_address"].reviewed > 100
    assert score.wrong["family_mailbox"].reviewed > 0


def test_what_was_made_is_kept_and_what_was_half_made_is_not(tmp_path: Path) -> None:
    first = generated(300, 1, tmp_path)
    assert generated(300, 1, tmp_path) == first
    before = first.export.read_bytes()
    (first.folder / "truth.json").unlink()
    first.export.write_text("half")
    assert generated(300, 1, tmp_path).export.read_bytes() == before


def test_the_verb_tells_the_figures_and_keeps_those_of_the_test_split(tmp_path: Path) -> None:
    def ran(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "bench.identity", "--people", "400", *more],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "120"},
            capture_output=True,
            text=True,
        )

    kept = tmp_path / "build" / "bench.json"
    dev = ran("--split", "dev")
    assert dev.returncode in (0, 1), dev.stderr
    assert ("missed:" in dev.stdout) == (dev.returncode == 1)
    assert "identity.precision_joined" in dev.stdout
    assert not kept.exists()
    assert ran().returncode in (0, 1)
    assert {row["name"] for row in json.loads(kept.read_text())} >= {"identity.recall_found"}
    wrong = ran("--split", "dev", "--seed", "1001")
    assert wrong.returncode == 2
    assert "--split test" in wrong.stdout


# What is kept


def test_each_run_keeps_its_own_rows_and_leaves_the_others(tmp_path: Path) -> None:
    path = tmp_path / "build" / "bench.json"
    keep([Figure("a", 1, "s", 5), Figure("b", 2, "s")], path)
    keep([Figure("c", 0.9951234, "share", 0.995, at_least=True), Figure("a", 7, "s", 5)], path)
    assert json.loads(path.read_text()) == [
        {"name": "a", "value": 7, "unit": "s", "aim": 5},
        {"name": "b", "value": 2, "unit": "s", "aim": None},
        {"name": "c", "value": 0.995123, "unit": "share", "aim": 0.995},
    ]
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("broken", ["", "{", "{}", "[1]"])
def test_a_broken_file_is_begun_anew(tmp_path: Path, broken: str) -> None:
    path = tmp_path / "bench.json"
    path.write_text(broken)
    keep([Figure("a", 1, "s")], path)
    assert [row["name"] for row in json.loads(path.read_text())] == ["a"]
