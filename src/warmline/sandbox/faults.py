"""Faults on order: rules that say which share of which calls goes wrong, and how.

Every rule rolls its own seeded dice, so that a run can be repeated.
"""

from __future__ import annotations

import fnmatch
import random
import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

HTTP_KINDS = frozenset(
    {
        "rate_limited",  # 429 in the vendor's own shape and headers
        "error",  # 500 in the vendor's own shape
        "plan",  # 403: the account's plan does not include it
        "unavailable",  # 503
        "timeout_before",  # hang, then drop the connection; nothing was written
        "timeout_after",  # do the write, hang, then drop the connection without answering
        "slow",  # wait, then answer as usual
        "malformed",  # 200 with a JSON body that stops half-way
        "drop",  # close the connection at once; nothing was written
    }
)
HOOK_KINDS = frozenset(
    {
        "drop",  # the webhook is lost
        "duplicate",  # it is sent twice
        "reorder",  # it is held back by up to `seconds`
    }
)
SMTP_KINDS = frozenset(
    {
        "refuse",  # 550 5.1.1 at RCPT
        "later",  # 451 4.7.1, at RCPT or (stage: data) after DATA
        "drop_before",  # close at DATA; the mail was not taken
        "drop_after",  # take and keep the mail, then close without answering
        "timeout",  # hang after DATA without keeping the mail, then close
        "slow",  # wait, then answer as usual
    }
)
RULES_MAX = 200


class RuleError(ValueError):
    """The rule cannot be read; the text says which field and what is accepted."""


@dataclass
class FaultRule:
    """One fault on order."""

    kind: str
    share: float = 1.0  # of matching calls, 0..1
    count: int | None = None  # hits left; None is without end
    path: str = ""  # part of the path, or a pattern with * and ?
    method: str = ""  # empty is every method
    seconds: float = 0.0
    stage: str = ""  # SMTP `later` only: "rcpt" (default) or "data"
    seed: int = 0
    hits: int = 0
    dice: random.Random = field(default_factory=random.Random, repr=False)

    def matches(self, subject: str, method: str) -> bool:
        """Whether the rule is about this call at all; no dice yet."""
        if self.count is not None and self.count <= 0:
            return False
        if self.method and self.method != method:
            return False
        if not self.path or self.path in subject:
            return True
        return "*" in self.path and fnmatch.fnmatchcase(subject, self.path)

    def as_json(self) -> dict[str, Any]:
        """The rule as the control API shows it."""
        return {
            "kind": self.kind,
            "share": self.share,
            "count": self.count,
            "path": self.path,
            "method": self.method,
            "seconds": self.seconds,
            "stage": self.stage,
            "seed": self.seed,
            "hits": self.hits,
        }


class FaultPlan:
    """The rules in force on one door. Safe to use from many threads."""

    def __init__(self, kinds: Collection[str] = HTTP_KINDS, seed: int = 0) -> None:
        """Accept rules of these `kinds`; rules without a seed get one derived from `seed`."""
        self._kinds = frozenset(kinds)
        self._seeds = random.Random(seed)
        self._rules: list[FaultRule] = []
        self._lock = threading.Lock()

    def add(self, rule: Mapping[str, Any]) -> FaultRule:
        """Put one rule, given as its JSON fields, into force. Raises RuleError."""
        made = self._read(rule)
        with self._lock:
            if len(self._rules) >= RULES_MAX:
                raise RuleError(f"There are {RULES_MAX} rules already; clear them first.")
            self._rules.append(made)
        return made

    def clear(self) -> None:
        """Lift every rule."""
        with self._lock:
            self._rules.clear()

    def as_json(self) -> list[dict[str, Any]]:
        """The rules in force, with their hits."""
        with self._lock:
            return [rule.as_json() for rule in self._rules]

    def pick(
        self, subject: str, method: str = "", kinds: Collection[str] | None = None, stage: str = ""
    ) -> FaultRule | None:
        """The first rule that strikes this call, or None. Each strike uses up one of its count."""
        if not self._rules:
            return None
        with self._lock:
            for rule in self._rules:
                if kinds is not None and rule.kind not in kinds:
                    continue
                if stage and rule.stage and rule.stage != stage:
                    continue
                if not rule.matches(subject, method):
                    continue
                if rule.share < 1 and rule.dice.random() >= rule.share:
                    continue
                rule.hits += 1
                if rule.count is not None:
                    rule.count -= 1
                return rule
        return None

    def _read(self, rule: Mapping[str, Any]) -> FaultRule:
        known = {"kind", "share", "count", "path", "to", "method", "seconds", "stage", "seed"}
        if extra := set(rule) - known - {"hits"}:
            raise RuleError(f"Unknown field {sorted(extra)[0]!r}; a rule has {sorted(known)}.")
        kind = rule.get("kind")
        if kind not in self._kinds:
            raise RuleError(f"Unknown kind {kind!r}; here it is one of {sorted(self._kinds)}.")
        try:
            share = float(rule.get("share", 1.0))
            count = None if rule.get("count") is None else int(rule["count"])
            seconds = float(rule.get("seconds") or 0)
            seed = rule.get("seed")
            seed = self._seeds.randrange(2**31) if seed is None else int(seed)
        except (TypeError, ValueError) as bad:
            raise RuleError(f"share, count, seconds and seed are numbers: {bad}") from bad
        if not 0 <= share <= 1 or seconds < 0 or (count is not None and count < 0):
            raise RuleError("share is from 0 to 1; count and seconds are not negative.")
        return FaultRule(
            kind=str(kind),
            share=share,
            count=count,
            path=str(rule.get("path") or rule.get("to") or ""),
            method=str(rule.get("method") or "").upper(),
            seconds=seconds,
            stage=str(rule.get("stage") or ("rcpt" if kind == "later" else "")),
            seed=seed,
            dice=random.Random(seed),
        )
