"""The addresses of each record, as a table: which are valid, which are an office's or throw-away.

A function called a million times from SQL costs more than all the rest. So SQL takes the plain
addresses, and Python, with the rules of `core`, each distinct one of the others.
"""

# ruff: noqa: S608 - what is put into the queries is our own or quoted

from __future__ import annotations

import re
from collections.abc import Iterator

from email_validator import SPECIAL_USE_DOMAIN_NAMES

from warmline.core.candidates import normal_email
from warmline.core.matching import is_disposable, is_role_address
from warmline.flows.audit.sql import Connection, keep, quoted
from warmline.kit.exports.cells import NOTHING

_LOCAL = r"[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,62}[A-Za-z0-9])?"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS = rf"{_LOCAL}@(?:{_LABEL}\.)+[A-Za-z]{{1,63}}"
_BETWEEN = re.compile(r"[;|\n\r]+")
_IN_BRACKETS = re.compile(r"<([^<>]*)>")
# The words before the @, without a number behind them and without a +tag.
_WORDS = """string_split(translate(rtrim(split_part(split_part(normal, '@', 1), '+', 1),
    '0123456789'), '._-', '   '), ' ')"""
# The longest word of an office's address has 17 letters.
_WORD_CHARS_MAX = 20


def parts_of(cell: str) -> list[str]:
    """The addresses that a cell holds, as written: `a@b; c@d`, `Ada <a@b>`, `a@b c@d`. A blank
    within one address stays: it is what is wrong with it."""
    found: list[str] = []
    for part in _parts(cell):
        inner = _IN_BRACKETS.search(part)
        text = (inner[1] if inner else part).strip(" \t\"'()[]\u00a0").removeprefix("mailto:")
        words = text.split()
        if len(words) > 1 and all("@" in word.strip("@") for word in words):
            found += words
        elif text and text.casefold() not in NOTHING:
            found.append(text)
    return list(dict.fromkeys(found))


def _parts(cell: str) -> Iterator[str]:
    """A comma stands between two addresses, or for a dot within one."""
    for part in _BETWEEN.split(cell):
        between_commas = [piece for piece in part.split(",") if piece.strip()]
        if all("@" in piece for piece in between_commas):
            yield from between_commas
        else:
            yield part


def make_addresses(con: Connection) -> None:
    """Make `addresses(n, raw, normal, role, disposable)` of the `email` cells of `records`. `raw`
    as written; `normal` is null where it is no address (`core.candidates.normal_email`)."""
    special = "|".join(sorted(name for name in SPECIAL_USE_DOMAIN_NAMES if "." not in name))
    con.execute(f"""
        create or replace temp table email_cells as
        select n, email as cell,
               regexp_full_match(email, {quoted(_ADDRESS)}) and strlen(email) <= 254
               and not contains(email, '..') and not contains(split_part(email, '@', 2), '--')
               and not regexp_matches(lower(email), '[.](?:{special})$') as plain
        from records where email is not null
    """)
    _take_apart(con)
    con.execute("""
        create or replace temp table written as
        select n, cell as raw, lower(cell) as normal from email_cells where plain
        union all
        select n, raw, normal from email_cells join apart using (cell) where not plain
    """)
    _tell_kinds(con)
    con.execute("""
        create or replace table addresses as
        select n, raw, normal,
               coalesce(normal in (select role from roles), false) as role,
               coalesce(split_part(normal, '@', 2) in (select domain from throwaways), false)
                   as disposable
        from written
    """)
    for name in ("email_cells", "apart", "written", "roles", "throwaways"):
        con.execute(f"drop table {name}")


def _take_apart(con: Connection) -> None:
    """Make `apart(cell, raw, normal)`: each distinct cell that is no plain address."""
    cells, raws, normals = [], [], []
    for (cell,) in con.execute("select distinct cell from email_cells where not plain").fetchall():
        for raw in parts_of(cell):
            cells.append(cell)
            raws.append(raw)
            normals.append(normal_email(raw))
    keep(
        con,
        "apart",
        {"cell": ("VARCHAR", cells), "raw": ("VARCHAR", raws), "normal": ("VARCHAR", normals)},
    )


def _tell_kinds(con: Connection) -> None:
    """Make `roles(role)` and `throwaways(domain)`. An office's address is made of words that are
    roles: few distinct words are asked about, and then the few addresses that have one."""
    domains = con.execute(
        "select distinct split_part(normal, '@', 2) from written where normal is not null"
    ).fetchall()
    throwaways = [domain for (domain,) in domains if is_disposable(f"x@{domain}")]
    keep(con, "throwaways", {"domain": ("VARCHAR", throwaways)})
    words = con.execute(f"""
        select distinct word from (select unnest({_WORDS}) as word from written)
        where strlen(word) <= {_WORD_CHARS_MAX}
    """).fetchall()
    # "do not reply" is a role, of words that are none.
    known = [word for (word,) in words if word == "reply" or is_role_address(f"{word}@x.org")]
    if not known:
        known = ["reply"]
    either = "|".join(sorted(known))
    maybe = con.execute(
        "select distinct normal from written where regexp_matches(normal, $words)",
        {"words": f"(?:^|[._-])(?:{either})[0-9]*[+@._-]"},
    ).fetchall()
    keep(con, "roles", {"role": ("VARCHAR", [n for (n,) in maybe if is_role_address(n)])})
