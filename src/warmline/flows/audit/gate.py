"""`--fail-on`: conditions under which a script is to stop."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from warmline.core.errors import ConfigError
from warmline.flows.audit.rules import RULES

ANY = "any"
_FORM = re.compile(r"(?P<rule>[a-z_]+)(?:\s*>\s*(?P<limit>\d+(?:\.\d+)?)(?P<percent>\s*%)?)?")


@dataclass(frozen=True, slots=True)
class Gate:
    """Hit where the rule finds more than `limit`: a count, or a share in percent."""

    text: str
    rule: str
    limit: float = 0.0
    percent: bool = False


def gate_of(text: str) -> Gate:
    """`missing_email`, `exact_duplicates>1%`, `invalid_email>50`, `any`. Raises ConfigError."""
    found = _FORM.fullmatch(text.strip())
    if found is None:
        raise ConfigError(
            f"--fail-on {text!r} cannot be read; expected a rule, or one with a limit such as "
            "'invalid_email>50' or 'exact_duplicates>1%'"
        )
    rule = found["rule"]
    if rule not in RULES and rule != ANY:
        raise ConfigError(f"--fail-on names {rule!r}; expected any, or one of {', '.join(RULES)}")
    return Gate(text.strip(), rule, float(found["limit"] or 0), bool(found["percent"]))


def hits(
    gates: Iterable[Gate],
    counts: Mapping[str, int],
    shares: Mapping[str, float],
    not_judged: Iterable[str] = (),
) -> list[str]:
    """A sentence for each gate that is hit. `shares` are of 1. A rule that could not be judged,
    because the export lacks the column, is hit too: a gate must not open for want of data."""
    unseen = frozenset(not_judged)
    told: list[str] = []
    for gate in gates:
        for rule in RULES if gate.rule == ANY else (gate.rule,):
            count, share = counts.get(rule, 0), shares.get(rule, 0.0)
            if rule in unseen and gate.rule != ANY:
                told.append(f"{gate.text}: the export has no column for it")
            elif (share * 100 if gate.percent else count) > gate.limit:
                told.append(f"{gate.text}: {rule} found {count:,} ({share:.2%})")
    return told
