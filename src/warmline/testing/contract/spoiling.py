"""Bodies that no vendor should send: golden ones with one place spoilt, and plain rubbish."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

CANARY = "canary.of.the.suite@leak.example"
PLACES_MAX = 150  # of one body
_DEEP = "[" * 100_000 + "]" * 100_000

RUBBISH: tuple[tuple[str, bytes], ...] = (
    ("nothing", b""),
    ("blanks", b"  \n"),
    ("no JSON", b"<html>Sign in</html>"),
    ("half of an object", b'{"action": "x", "payload": {'),
    ("bytes that are no text", b"\xff\xfe\x00\x80"),
    ("nested too deep", _DEEP.encode()),
    ("an object nested too deep", b'{"action":' * 50_000 + b"1" + b"}" * 50_000),
    ("a number too large to read", b'{"action": ' + b"9" * 5_000 + b"}"),
    ("not a number", b'{"action": NaN, "id": Infinity}'),
    ("null", b"null"),
    ("true", b"true"),
    ("a number", b"7"),
    ("a text", b'"text"'),
    ("an address", json.dumps(CANARY).encode()),
    ("a list of nulls", b"[null, null]"),
    ("a list of lists", b"[[], {}]"),
    ("a list of numbers", b"[1, 2]"),
)

# What every place is replaced by; `...` takes the key away.
_ALWAYS: tuple[Any, ...] = (..., None, CANARY, "\ud800", {})
# Of these each place gets three, in turn: many places are alike, and a run must be short.
_IN_TURN: tuple[Any, ...] = (
    True,
    -1,
    0,
    1.5,
    10**40,
    "",
    " ",
    "nul\0",
    "x" * 10_000,
    [],
    [None],
    {"id": {"id": []}},
)

Path = tuple[str | int, ...]


def spoilt(body: bytes) -> Iterator[tuple[Path, bytes]]:
    """The path that was spoilt, and the body."""
    try:
        whole = json.loads(body)
    except ValueError:
        return
    for number, path in enumerate(_paths(whole, ())):
        if number == PLACES_MAX:
            return
        turn = ((_IN_TURN * 2)[(3 * number + len(body)) % len(_IN_TURN) :])[:3]
        for instead in (*_ALWAYS, *turn):
            yield path, _with(whole, path, instead)


def as_text(path: Path) -> str:
    """`$.payload.jobs[0].name`."""
    return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)


def _paths(found: Any, at: Path) -> Iterator[Path]:
    steps = (
        found.items()
        if isinstance(found, dict)
        else enumerate(found[:2])
        if isinstance(found, list)
        else ()
    )
    for step, value in steps:
        yield (*at, step)
        yield from _paths(value, (*at, step))


def _with(whole: Any, path: Path, instead: Any) -> bytes:
    """Only what leads to the place is copied."""
    top = copy.copy(whole)
    parent = top
    for step in path[:-1]:
        parent[step] = copy.copy(parent[step])
        parent = parent[step]
    if instead is ...:
        del parent[path[-1]]
    else:
        parent[path[-1]] = instead
    return json.dumps(top).encode()
