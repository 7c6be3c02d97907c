"""How probable it is that two records are one person's: a Splink model, trained on the table.

The Fellegi-Sunter model (I. Fellegi, A. Sunter, "A theory for record linkage", 1969): `u` is how
often two people agree on a field by chance, estimated from random pairs; `m` is how often two
records of one person agree on it, estimated by expectation maximisation among records that share
a name, and among those that share a profile or a mailbox (not a telephone: families do). What the
table is too small to say keeps the defaults below.
"""

# ruff: noqa: S608 - what is put into the queries is our own; values go as parameters

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator
from typing import Any, Final

import duckdb
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink.internals.exceptions import EMTrainingException

from warmline.flows.linkage.blocks import WEAK_MAX
from warmline.flows.linkage.keys import count

# With fewer records than this, what two strangers share cannot be counted.
TRAIN_MIN = 2_000
# Records that one person left twice, of all records, before anything is known of the table.
REPEATED: Final = 0.03
_U_PAIRS = 1e6
_EM_PAIRS = 1e5
_SEED = 1
# No single agreement may say more than these: a table has few of the rare kinds.
_M_MIN, _M_MAX, _U_MIN = 0.002, 0.98, 1e-7

# The same town is worth something even where nearly all people of one name live there; and from
# fewer namesakes than this nothing can be said of them.
_U_PLACE_MAX = 0.5
_NAMESAKES_MIN = 200
# Where one person's records are looked for. The second half tells Splink which comparisons the
# rule uses up.
_SAME_NAME = "l.one_name = r.one_name and l.first = r.first and l.last = r.last"
_SAME_PROFILE = "l.one_profile = r.one_profile and l.profile[1] = r.profile[1]"
_SAME_MAILBOX = "l.one_mailbox = r.one_mailbox and l.mailbox[1] = r.mailbox[1]"

_SWAPPED = "first_l = last_r and last_l = first_r"
_Level = tuple[str, float, float]  # condition, m, u


def _comparison(name: str, unknown: str, levels: list[_Level], rare: str = "") -> dict[str, Any]:
    """`rare`: the column whose rare values say more when they agree (the first level)."""
    made: list[dict[str, Any]] = [
        {"sql_condition": unknown, "is_null_level": True, "label_for_charts": "unknown"}
    ]
    for at, (condition, m, u) in enumerate(levels):
        level: dict[str, Any] = {
            "sql_condition": condition, "label_for_charts": f"{name} {at}",
            "m_probability": m, "u_probability": u,
        }  # fmt: skip
        if rare and at == 0:
            level |= {"tf_adjustment_column": rare, "tf_minimum_u_value": 1e-5}
        made.append(level)
    return {"output_column_name": name, "comparison_levels": made}


def _missing(column: str) -> str:
    return f"{column}_l is null or {column}_r is null"


def _comparisons() -> list[dict[str, Any]]:
    contact: list[tuple[str, list[_Level]]] = [
        ("phone", [("list_has_any(phone_l, phone_r)", 0.6, 2e-6), ("ELSE", 0.4, 0.999998)]),
        ("profile", [("list_has_any(profile_l, profile_r)", 0.8, 2e-7),
                     ("ELSE", 0.2, 0.9999998)]),
        ("mailbox", [("list_has_any(mailbox_l, mailbox_r)", 0.4, 1e-6),
                  ("list_has_any(base_l, base_r)", 0.02, 1e-6),
                  ("list_has_any(local_l, local_r)", 0.15, 5e-6),
                  ("ELSE", 0.43, 0.999992)]),
    ]  # fmt: skip
    return [
        _comparison("first", _missing("first"), [
            ("first_l = first_r", 0.75, 0.004), (_SWAPPED, 0.03, 1e-6),
            ("given_l = given_r", 0.06, 0.002),
            ("jaro_winkler_similarity(first_l, first_r) >= 0.9", 0.08, 0.004),
            ("left(first_l, 1) = left(first_r, 1) and least(length(first_l), length(first_r)) = 1",
             0.03, 0.001), ("ELSE", 0.05, 0.989)], rare="first"),
        _comparison("last", _missing("last"), [
            ("last_l = last_r", 0.8, 0.001), (_SWAPPED, 0.03, 1e-6),
            ("jaro_winkler_similarity(last_l, last_r) >= 0.9", 0.1, 0.002),
            ("contains(last_l, last_r) or contains(last_r, last_l)", 0.01, 0.001),
            ("ELSE", 0.06, 0.996)], rare="last"),
        *(_comparison(name, _missing(name), levels) for name, levels in contact),
        _comparison("employer", _missing("employer"), [
            ("employer_l = employer_r", 0.6, 0.003),
            ("jaro_winkler_similarity(employer_l, employer_r) >= 0.9", 0.05, 0.001),
            ("ELSE", 0.35, 0.996)], rare="employer"),
        _comparison("place", _missing("place"), [
            ("place_l = place_r", 0.75, 0.02),
            ("jaro_winkler_similarity(place_l, place_r) >= 0.9", 0.05, 0.002),
            ("ELSE", 0.2, 0.978)]),
    ]  # fmt: skip


def score(con: duckdb.DuckDBPyConnection) -> bool:
    """Make `linkage_scores(a, b, score)` of `linkage_pairs`: the probability of each pair.
    True where the model was trained, false where the table was too small for it."""
    _inputs(con)
    records = count(con, "linkage_names")
    con.execute("create or replace temp table linkage_scores(a INTEGER, b INTEGER, score DOUBLE)")
    if not count(con, "linkage_pairs"):
        return False
    comparisons = _comparisons()
    trained = records >= TRAIN_MIN
    with _quiet():
        if trained:
            comparisons = _trained(con, comparisons, records)
        _predict(con, comparisons, records)
    return trained


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Splink tells of its training on its logger and in warnings; none of it is for operators."""
    names = [name for name in logging.Logger.manager.loggerDict if name.startswith("splink")]
    before = [(log, log.disabled) for log in map(logging.getLogger, names)]
    for log, _ in before:
        log.disabled = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, disabled in before:
            log.disabled = disabled


def _inputs(con: duckdb.DuckDBPyConnection) -> None:
    """What the model looks at. Of the keys a record has, only those that it shares with another
    can agree; where it has others, the list is empty, and where it has none, unknown."""
    kinds = ("mailbox", "base", "local", "phone", "profile")
    mine = ", ".join(f"list(key order by key) filter (kind = '{k}') as {k}" for k in kinds)
    has = {k: f"n in (select n from linkage_keys where kind = '{k}')" for k in kinds}
    has["base"] = has["local"] = has["mailbox"]
    lists = ", ".join(f"case when {has[k]} then coalesce({k}, []) end as {k}" for k in kinds)
    con.execute(f"""
        create or replace table linkage_model as
        with common as (
            select key from linkage_keys where kind = 'local' group by key
            having count(*) between 2 and {WEAK_MAX}
        ), keys as (
            select n, {mine} from (
                select kind, key, n from linkage_shared
                union all select kind, key, n from linkage_keys semi join common using (key)
            ) group by n
        )
        select n, first, given, last, employer, place, {lists},
               list_min(profile) as one_profile, list_min(mailbox) as one_mailbox,
               hash(first, last) as one_name
        from linkage_names left join keys using (n)
    """)


def _clear(con: duckdb.DuckDBPyConnection) -> None:
    """Drop what Splink keeps in the database for another question to the same model."""
    tables = con.execute(
        "select table_name from duckdb_tables() where starts_with(table_name, '__splink__')"
    ).fetchall()
    for (table,) in tables:
        con.execute(f'drop table "{table}"')


def _settings(comparisons: list[dict[str, Any]], records: int) -> SettingsCreator:
    matches = max(1.0, records * REPEATED)
    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="n",
        comparisons=list(comparisons),
        blocking_rules_to_generate_predictions=[block_on("n")],
        probability_two_random_records_match=min(0.05, 2 * matches / (records * records)),
        retain_matching_columns=False,
        retain_intermediate_calculation_columns=False,
    )


def _trained(
    con: duckdb.DuckDBPyConnection, comparisons: list[dict[str, Any]], records: int
) -> list[dict[str, Any]]:
    """The comparisons with what the table says of `m` and `u`, within limits."""
    api = DuckDBAPI(con)
    linker = Linker(api.register("linkage_model"), _settings(comparisons, records))
    linker.training.estimate_u_using_random_sampling(
        max_pairs=_U_PAIRS, seed=_SEED, min_count_per_level=None, num_chunks=1
    )
    for rule in (_SAME_NAME, _SAME_PROFILE, _SAME_MAILBOX):
        _maximise(linker, rule)
    learnt = linker.misc.save_model_to_json()["comparisons"]
    _clear(con)
    found = {comparison["output_column_name"]: comparison for comparison in learnt}
    within = [_within_limits(one, found.get(one["output_column_name"], one)) for one in comparisons]
    exact = within[-1]["comparison_levels"][1]
    exact["u_probability"] = max(exact["u_probability"], _chance_of_place(con))
    return within


def _chance_of_place(con: duckdb.DuckDBPyConnection) -> float:
    """How often two people of one name live in one town by chance; 0 where too few share a name.

    Names go with places, so this is more often than for any two people, and agreement on both
    says less than the two taken for independent would. Pairs that share an address or a
    telephone are likely one person and are left out."""
    pairs = "coalesce(sum(size * (size - 1) / 2), 0)"
    names, towns = (
        con.execute(f"""
            select {pairs} from (
                select count(*) as size from linkage_names
                where first is not null and last is not null and place is not null
                group by first, last{more})
        """).fetchall()[0][0]
        for more in ("", ", place")
    )
    ((of_names, of_towns),) = con.execute("""
        select count(*), count(*) filter (l.place = r.place)
        from linkage_pairs join linkage_names l on l.n = a join linkage_names r on r.n = b
        where strong and l.first = r.first and l.last = r.last
          and l.place is not null and r.place is not null
    """).fetchall()
    if names - of_names < _NAMESAKES_MIN:
        return 0.0
    return min(_U_PLACE_MAX, float((towns - of_towns) / (names - of_names)))


def _maximise(linker: Linker, rule: str) -> None:
    """Expectation maximisation among the pairs of one rule, if there are any."""
    with contextlib.suppress(EMTrainingException):
        linker.training.estimate_parameters_using_expectation_maximisation(
            rule, max_pairs=_EM_PAIRS, estimate_without_term_frequencies=True
        )


def _within_limits(default: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    """What was never observed keeps its default; no figure passes the limits."""
    levels = []
    for before, after in zip(default["comparison_levels"], found["comparison_levels"], strict=True):
        level = dict(before)
        if not before.get("is_null_level"):
            m, u = (
                value if isinstance(value, float) else before[key]
                for key, value in ((k, after.get(k)) for k in ("m_probability", "u_probability"))
            )
            level["m_probability"] = min(_M_MAX, max(_M_MIN, m))
            level["u_probability"] = max(_U_MIN, u)
        levels.append(level)
    return default | {"comparison_levels": levels}


def _predict(
    con: duckdb.DuckDBPyConnection, comparisons: list[dict[str, Any]], records: int
) -> None:
    api = DuckDBAPI(con)
    con.execute("create or replace table linkage_blocked as select '0' as match_key,"
                " a as join_key_l, b as join_key_r from linkage_pairs")  # fmt: skip
    linker = Linker(api.register("linkage_model"), _settings(comparisons, records))
    linker.table_management.register_blocked_pairs_for_predict(api.register("linkage_blocked"))
    found = linker.inference.predict()
    con.execute(
        "insert into linkage_scores select least(n_l, n_r), greatest(n_l, n_r), match_probability"
        f" from {found.physical_name}"
    )
    _clear(con)
    con.execute("drop table linkage_blocked")
