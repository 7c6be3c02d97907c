"""SPF (RFC 7208): does a domain's record let an address send for it, and within the limits?

Pure: what the DNS says is asked of `Records`. Macros are not unfolded: a record that needs one to
decide gives UNCLEAR.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

LOOKUPS_MAX = 10
RECORD_CHARS_MAX = 255  # of one string in the DNS; longer ones stand in several
_LOOKS_UP = frozenset({"include", "a", "mx", "ptr", "exists", "redirect"})
_QUALIFIERS = {"+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}


class Result(StrEnum):
    """What a receiving server would find."""

    PASS = "pass"  # noqa: S105 -- a word of RFC 7208
    FAIL = "fail"
    SOFTFAIL = "softfail"
    NEUTRAL = "neutral"
    NONE = "none"  # there is no record
    PERMERROR = "permerror"  # there is one that cannot be used, which counts as none
    UNCLEAR = "unclear"  # a macro decides


class Records(Protocol):
    """What the DNS holds; nothing there is an empty list."""

    def txt(self, name: str) -> list[str]: ...

    def addresses(self, name: str) -> list[str]: ...

    def mail_servers(self, name: str) -> list[str]: ...


class BadRecord(Exception):
    """A record that receivers cannot use: the reason."""


@dataclass(frozen=True, slots=True)
class Judged:
    """`why`: the term that decided, or what is wrong. `records`: those found at the name."""

    result: Result
    why: str
    records: tuple[str, ...] = ()
    lookups: int = 0


@dataclass(slots=True)
class _Walk:
    records: Records
    address: ipaddress.IPv4Address | ipaddress.IPv6Address | None
    lookups: int = 0
    path: list[str] = field(default_factory=list)


def spf_records(texts: Iterable[str]) -> list[str]:
    return [t for t in texts if t.lower() == "v=spf1" or t.lower().startswith("v=spf1 ")]


def judge(domain: str, address: str, records: Records) -> Judged:
    """What a receiver finds for a mail from `address` with this domain in MAIL FROM. With no
    address only the record itself is looked at, all of it: PASS then means that it is well made."""
    found = spf_records(records.txt(domain))
    if not found:
        return Judged(Result.NONE, "there is no record")
    if len(found) > 1:
        return Judged(Result.PERMERROR, f"there are {len(found)} records", tuple(found))
    ip = ipaddress.ip_address(address) if address else None
    walk = _Walk(records, ip)
    try:
        result, why = _evaluate(domain, found[0], walk)
    except BadRecord as error:
        return Judged(Result.PERMERROR, str(error), tuple(found), walk.lookups)
    if ip is None and result is not Result.UNCLEAR:
        result, why = Result.PASS, "it can be read"
    return Judged(result, why, tuple(found), walk.lookups)


def _evaluate(domain: str, record: str, walk: _Walk) -> tuple[Result, str]:
    if domain in walk.path:
        raise BadRecord(f"{domain} includes itself")
    walk.path.append(domain)
    try:
        redirect, unclear = "", ""
        for term in record.split()[1:]:
            name, value = _term(term)
            if name == "redirect":
                redirect = value
            if name in ("redirect", "exp") or "=" in term.split(":")[0]:
                continue
            qualifier = term[0] if term[0] in _QUALIFIERS else "+"
            matched = _matches(name, value, domain, walk)
            if matched is None:
                unclear = unclear or term
            elif matched and walk.address is not None:
                if unclear:
                    return Result.UNCLEAR, unclear
                return Result(_QUALIFIERS[qualifier]), term
            if name == "all":
                break
        else:
            if redirect:
                return _redirected(redirect, walk)
        return (Result.UNCLEAR, unclear) if unclear else (Result.NEUTRAL, "no term matches")
    finally:
        walk.path.pop()


def _redirected(target: str, walk: _Walk) -> tuple[Result, str]:
    _count(walk, f"redirect={target}")
    if "%" in target:
        return Result.UNCLEAR, f"redirect={target}"
    return _evaluate(target, _only(target, walk), walk)


def _term(term: str) -> tuple[str, str]:
    """Name and value. Raises BadRecord for a term that SPF does not know."""
    bare = term[1:] if term[0] in _QUALIFIERS else term
    head, equals, value = bare.partition("=")
    if equals and ":" not in head and "/" not in head:
        return head.lower(), value.lower()
    head, colon, value = bare.partition(":")
    name, slash, rest = head.partition("/")
    name = name.lower()
    if name not in ("all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"):
        raise BadRecord(f"{term!r} is no term of SPF")
    if name in ("include", "exists", "ip4", "ip6") and not value:
        raise BadRecord(f"{term!r} names nothing")
    if name == "all" and (colon or slash):
        raise BadRecord(f"{term!r} is no term of SPF: expected `all` by itself")
    return name, (value + slash + rest if slash else value).lower()


def _matches(name: str, value: str, domain: str, walk: _Walk) -> bool | None:
    """Whether the address is one of the term's; None where a macro decides."""
    if name in _LOOKS_UP:
        _count(walk, f"{name}:{value}" if value else name)
    if "%" in value:
        return None
    match name:
        case "all":
            return True
        case "ip4" | "ip6":
            return _in_network(name, value, walk)
        case "include":
            result, _ = _evaluate(value, _only(value, walk), walk)
            if result is Result.UNCLEAR:
                return None
            return result is Result.PASS
        case "a" | "mx":
            host, four, six = _host_and_sizes(value, domain)
            hosts = walk.records.mail_servers(host)[:10] if name == "mx" else [host]
            found = [a for h in hosts for a in walk.records.addresses(h)]
            return walk.address is not None and any(
                walk.address in ipaddress.ip_network(f"{a}/{six if ':' in a else four}", False)
                for a in found
            )
        case _:  # ptr asks every receiver to look backwards, and exists is made for macros
            return None


def _only(domain: str, walk: _Walk) -> str:
    found = spf_records(walk.records.txt(domain))
    if len(found) != 1:
        has = f"{len(found)} SPF records" if found else "no SPF record"
        raise BadRecord(f"{domain}, which it includes, has {has}")
    return found[0]


def _count(walk: _Walk, term: str) -> None:
    walk.lookups += 1
    if walk.lookups > LOOKUPS_MAX:
        raise BadRecord(f"it needs more than {LOOKUPS_MAX} look-ups, the last for {term}")


def _in_network(name: str, value: str, walk: _Walk) -> bool:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        raise BadRecord(f"{name}:{value} holds no address") from None
    if network.version != (4 if name == "ip4" else 6):
        raise BadRecord(f"{name}:{value} is an address of version {network.version}")
    return walk.address is not None and walk.address in network


def _host_and_sizes(value: str, domain: str) -> tuple[str, int, int]:
    host, _, sizes = value.partition("/")
    four, _, six = sizes.partition("//")
    if sizes.startswith("/"):
        four, six = "", sizes[1:]
    if not all(part.isdigit() or not part for part in (four, six)):
        raise BadRecord(f"/{sizes} is no size of a network")
    return host or domain, int(four or 32), int(six or 128)


def with_terms(record: str, terms: Sequence[str]) -> str:
    """The record with these terms before what it says of all others."""
    words = record.split() or ["v=spf1"]
    at = next(
        (
            i
            for i, word in enumerate(words)
            if word.lower().lstrip("+-~?") == "all" or word.lower().startswith("redirect=")
        ),
        len(words),
    )
    made = [*words[:at], *(t for t in terms if t not in words), *words[at:]]
    if at == len(words):
        made.append("~all")
    return " ".join(made)


def term_for(address: str) -> str:
    return f"ip6:{address}" if ":" in address else f"ip4:{address}"
