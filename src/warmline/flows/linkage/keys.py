"""The keys of `core.matching` for a whole table at once: plain values in SQL, odd ones in Python.

A function called a million times from SQL would cost more than all the rest of the linkage. So
each query here says in SQL what the Python function says of a *plain* value (printable ASCII of
the usual shape) and leaves every other one, once for each distinct value, to the function itself.
"""

# ruff: noqa: S608 - what is put into the queries is our own; values go as parameters

from __future__ import annotations

from collections.abc import Callable

import duckdb
from email_validator import SPECIAL_USE_DOMAIN_NAMES

from warmline.core.candidates import normal_email
from warmline.core.matching import (
    MAILBOX_DOMAINS,
    NO_PROFILE,
    PHONE_ABROAD,
    PHONE_COUNTRY,
    PHONE_EXTENSION,
    PHONE_RUNS,
    PROFILES,
    base_key,
    mailbox_key,
    phone_key,
    profile_key,
)
from warmline.core.names import nicknames

# So many letters and digits of an address must be there beside the person's name for the address
# to tell of anything at another provider.
REST_MIN = 4
# The strays of `normal_email` that are ASCII: an address with another one is not plain.
_STRAY = "' <>;,' || chr(9) || chr(10) || chr(13)"
_LOCAL = r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,62}[A-Za-z0-9])?"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = rf"{_LOCAL}@(?:{_LABEL}\.)+[A-Za-z]{{1,63}}"


def quoted(text: str) -> str:
    """A string literal for SQL."""
    return "'" + text.replace("'", "''") + "'"


def count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """The rows of a table."""
    return int(con.execute(f"select count(*) from {table}").fetchall()[0][0])


def normalise(con: duckdb.DuckDBPyConnection, table: str) -> int:
    """Make `linkage_names`, `linkage_keys` and `linkage_emails` of `table`; the number of records.

    `linkage_names(n, id, first, given, last, employer, place, ...)`: n numbers the records in the
    order of their ids; names are folded, `given` is the formal name behind the first word.
    `linkage_keys(kind, key, n)`: what each record can be reached by, hashed, each once; `kind` is
    one of mailbox, base, local, phone, profile. A base is there where some record has it with a
    tag, for it says no more than the mailbox otherwise.
    """
    _names(con, table)
    con.execute("create or replace temp table linkage_keys(kind VARCHAR, key UBIGINT, n INTEGER)")
    con.execute(
        "create or replace temp table linkage_lists as select n, emails, phones, links"
        f" from {table} join linkage_names using (id)"
    )
    emails(con, "select n, unnest(emails) as raw from linkage_lists")
    # A name that the address is made of says nothing beside the name itself.
    local = "replace(split_part(base, '@', 1), '.', '')"
    rest = "key"
    for word in ("first", "last", *(f"split_part({w}_words, ' ', {i})" for w in ("first", "last")
                                    for i in (1, 2))):  # fmt: skip
        rest = f"replace({rest}, coalesce({word}, ''), '')"
    tagged = "base in (select base from linkage_emails where base <> mailbox)"
    _keep(con, "mailbox", "select n, mailbox as key from linkage_emails")
    _keep(con, "base", f"select n, base as key from linkage_emails where {tagged}")
    _keep(con, "local", f"select n, {local} as key from linkage_emails join linkage_names using (n)"
                        f" where length({rest}) >= {REST_MIN}")  # fmt: skip
    phones(con, "select n, unnest(phones) as raw from linkage_lists")
    _keep(con, "phone", "select n, key from linkage_phones where key <> ''")
    profiles(con, "select n, unnest(links) as raw from linkage_lists")
    _keep(con, "profile", "select n, key from linkage_links where key <> ''")
    con.execute("drop table linkage_phones; drop table linkage_links; drop table linkage_lists")
    return count(con, "linkage_names")


def _keep(con: duckdb.DuckDBPyConnection, kind: str, source: str) -> None:
    con.execute(
        f"insert into linkage_keys select distinct {quoted(kind)}, hash(key, {quoted(kind)}), n"
        f" from ({source})"
    )


_TITLES = "('dr', 'prof', 'mr', 'mrs', 'ms')"


def folded_sql(column: str) -> str:
    """The words of a text in lower case, without accents and punctuation. Near to
    `core.names.folded` and no more: only blocking and scoring use it."""
    plain = f"replace(replace(lower(strip_accents({column})), 'ß', 'ss'), 'æ', 'ae')"
    joined = rf"regexp_replace(translate({plain}, 'øłđðı', 'olddi'), '[\x27\x{{2019}}.]', '', 'g')"
    return (
        f"case when regexp_full_match({column}, '[A-Za-z]*') then lower({column})"
        rf" else trim(regexp_replace({joined}, '[^\p{{L}}\p{{N}}]+', ' ', 'g')) end"
    )


def _names(con: duckdb.DuckDBPyConnection, table: str) -> None:
    formal = nicknames()
    con.execute(
        "create or replace temp table linkage_nicknames as"
        " select unnest($nick::VARCHAR[]) as nick, unnest($formal::VARCHAR[]) as formal",
        {"nick": list(formal), "formal": list(formal.values())},
    )
    every = " union ".join(
        f"select {column} as raw from {table}"
        for column in ("first_name", "last_name", "employer", "place")
    )
    con.execute(f"""
        create or replace temp table linkage_texts as
        with folded as (select raw, {folded_sql("raw")} as text from ({every})),
        untitled as (
            select raw, nullif(text, '') as text, split_part(text, ' ', 1) as title,
                   case when title in {_TITLES} and contains(text, ' ')
                       then ltrim(text[strpos(text, ' ') :]) else text end as words,
                   split_part(words, ' ', 1) as head
            from folded
        )
        select raw, text, words, nullif(replace(words, ' ', ''), '') as joined,
               coalesce(formal, nullif(head, '')) as given
        from untitled left join linkage_nicknames on nick = head
    """)
    con.execute(f"""
        create or replace temp table linkage_names as
        select (row_number() over (order by id)) :: INTEGER - 1 as n, id,
               coalesce(first_name, '') as first_name, coalesce(last_name, '') as last_name,
               f.words as first_words, l.words as last_words,
               f.joined as first, f.given, l.joined as last,
               company.text as employer, town.text as place
        from {table} left join linkage_texts f on f.raw = first_name
        left join linkage_texts l on l.raw = last_name
        left join linkage_texts company on company.raw = employer
        left join linkage_texts town on town.raw = place
    """)
    con.execute("drop table linkage_nicknames; drop table linkage_texts")


def emails(con: duckdb.DuckDBPyConnection, source: str) -> None:
    """Make `linkage_emails(n, mailbox, base)` of a query for `(n, raw)`: `normal_email`, then
    `mailbox_key` and `base_key`. What is no address is left out."""
    special = "|".join(sorted(name for name in SPECIAL_USE_DOMAIN_NAMES if "." not in name))
    con.execute(
        f"create or replace temp table linkage_raw as"
        f" select n, raw, trim(raw, {_STRAY}) as text,"
        f" regexp_full_match(text, {quoted(_ADDRESS)}) and length(text) <= 254"
        f" and not contains(text, '..') and not contains(split_part(text, '@', 2), '--')"
        f" and not regexp_matches(lower(text), '[.](?:{special})$') as plain"
        f" from ({source}) where raw is not null"
    )
    domains = ", ".join(f"({quoted(k)}, {quoted(v)})" for k, v in MAILBOX_DOMAINS.items())
    con.execute(f"""
        create or replace temp table linkage_emails as
        with parts as (
            select n, lower(text) as normal, split_part(normal, '@', 1) as local,
                   split_part(normal, '@', 2) as domain from linkage_raw where plain
        ), boxes as (
            select n, case when known_as is null then normal
                when known_as = 'gmail.com'
                    then replace(split_part(local, '+', 1), '.', '') || '@gmail.com'
                else split_part(local, '+', 1) || '@' || known_as end as mailbox
            from parts left join (values {domains}) as known(domain, known_as) using (domain)
        )
        select n, mailbox, case when contains(mailbox, '+')
            then split_part(split_part(mailbox, '@', 1), '+', 1) || '@'
                || split_part(mailbox, '@', 2) else mailbox end as base
        from boxes
    """)
    odd = con.execute(
        "select distinct raw from linkage_raw where not plain and contains(raw, '@')"
    ).fetchall()
    known = [(raw, normal) for (raw,) in odd if (normal := normal_email(raw)) is not None]
    con.execute(
        "insert into linkage_emails select n, mailbox, base from linkage_raw join"
        " (select unnest($raw::VARCHAR[]) as raw, unnest($mailbox::VARCHAR[]) as mailbox,"
        " unnest($base::VARCHAR[]) as base) using (raw) where not plain",
        {
            "raw": [raw for raw, _ in known],
            "mailbox": [mailbox_key(normal) for _, normal in known],
            "base": [base_key(normal) for _, normal in known],
        },
    )
    con.execute("drop table linkage_raw")


def phones(con: duckdb.DuckDBPyConnection, source: str) -> None:
    """Make `linkage_phones(n, raw, key)` of a query for `(n, raw)`: `phone_key`."""
    con.execute(f"""
        create or replace temp table linkage_phones as
        with texts as (
            select n, raw, strlen(raw) = length(raw) as plain,
                   regexp_replace(regexp_replace(lower(raw), {quoted(PHONE_EXTENSION)}, '', 's'),
                       '[(] *0 *[)]', '', 'g') as text
            from ({source}) where raw is not null
        ), digits as (
            select n, raw, plain, regexp_replace(text, '[^0-9]', '', 'g') as digits,
                   ltrim(digits, '0') as significant,
                   case when regexp_matches(text, {quoted(PHONE_ABROAD)})
                       then ltrim(regexp_replace(significant, {quoted(PHONE_COUNTRY)}, ''), '0')
                       else significant end as "national"
            from texts
        ), keys as (
            select n, raw, plain, right("national", 9) as key,
                   length(significant) between 7 and 15 and length(digits) <= 17
                   and length(key) >= 7 and key <> repeat(left(key, 1), length(key))
                   and not contains({quoted(PHONE_RUNS[0])}, key)
                   and not contains({quoted(PHONE_RUNS[1])}, key) as valid
            from digits
        )
        select n, raw, case when not plain then null when valid then key else '' end as key
        from keys
    """)
    _rest(con, "linkage_phones", phone_key)


def profiles(con: duckdb.DuckDBPyConnection, source: str) -> None:
    """Make `linkage_links(n, raw, key)` of a query for `(n, raw)`: `profile_key`."""
    cases = ", ".join(
        f"case when contains(text, {quoted(site)}) then {quoted(site + ':')}"
        f" || nullif(regexp_extract(text, {quoted(pattern)}, 1), '') end"
        for site, pattern in PROFILES.items()
    )
    nobody = ", ".join(quoted(word) for word in sorted(NO_PROFILE))
    con.execute(f"""
        create or replace temp table linkage_links as
        with texts as (
            select n, raw, regexp_full_match(raw, '[ !-$&-~]*') as plain,
                   regexp_replace(trim(lower(raw)), ' +', ' ', 'g') as text
            from ({source}) where raw is not null
        ), found as (select n, raw, plain, coalesce({cases}, '') as key from texts)
        select n, raw, case when not plain then null
               when split_part(key, ':', 2) in ({nobody}) then '' else key end as key
        from found
    """)
    _rest(con, "linkage_links", profile_key)


def _rest(con: duckdb.DuckDBPyConnection, table: str, key: Callable[[str], str]) -> None:
    """The keys of the values that are not plain."""
    odd = [raw for (raw,) in con.execute(f"select distinct raw from {table} where key is null")
           .fetchall()]  # fmt: skip
    if odd:
        con.execute(
            f"update {table} set key = odd.key from (select unnest($raw::VARCHAR[]) as raw,"
            f" unnest($key::VARCHAR[]) as key) as odd where {table}.raw = odd.raw"
            f" and {table}.key is null",
            {"raw": odd, "key": [key(raw) for raw in odd]},
        )
