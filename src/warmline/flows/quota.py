"""How many mails a sender and a domain may let leave today (UTC), and how many have.

Taken in the transaction of the claim, given back where the mail did not leave. Receipts are counted
and never held: whoever applied is answered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from math import log

from django.db.models import F

from warmline.config.policy import SendersFile
from warmline.flows.runtime import Runtime
from warmline.store.models import SenderDay
from warmline.store.queries import add_to_sender_days

_KEPT_MAX = 10_000  # names whose warm-up is remembered


def names_of(address: str) -> tuple[str, str]:
    """What a mail from this address counts for: the sender, and its domain."""
    return address, f"@{address.rpartition('@')[2]}"


def give_back(taken: Iterable[tuple[str, datetime]]) -> None:
    """These mails did not leave: each with its sender and the moment of its claim. The caller holds
    the transaction."""
    back = Counter((name, at.date()) for sender, at in taken if sender for name in names_of(sender))
    for (name, day), mails in sorted(back.items()):
        SenderDay.objects.filter(name=name, day=day, mails__gte=mails).update(
            mails=F("mails") - mails
        )


@dataclass(slots=True)
class Quota:
    """What the mails of one claim take. The caller holds the transaction."""

    day: date
    limits: Mapping[str, int]
    left: dict[str, int]
    taken: Counter[str] = field(default_factory=Counter)

    @classmethod
    def of(cls, runtime: Runtime, senders: Collection[str], now: datetime) -> Quota:
        """Under the lock: of two claims at once, one sees what the other took."""
        day, file = now.date(), runtime.project.file.policy.senders
        names = sorted({name for sender in senders for name in names_of(sender)})
        limits = _limits(runtime, file, names, day)
        if not limits:
            return cls(day, {}, {})
        SenderDay.objects.bulk_create(
            [SenderDay(name=name, day=day) for name in sorted(limits)], ignore_conflicts=True
        )
        rows = SenderDay.objects.select_for_update().filter(name__in=limits, day=day)
        gone = {row.name: row.mails for row in rows.order_by("name")}
        return cls(day, limits, {name: limit - gone[name] for name, limit in limits.items()})

    def full(self, sender: str) -> str:
        """Which limit is reached, in words; empty where one more may leave."""
        for name in names_of(sender):
            if self.left.get(name, 1) <= 0:
                whom = "this domain" if name.startswith("@") else "this sender"
                return f"{self.limits[name]} mails have left from {whom} today, which is the limit"
        return ""

    def take(self, sender: str) -> None:
        for name in names_of(sender):
            self.taken[name] += 1
            if name in self.left:
                self.left[name] -= 1

    def keep(self) -> None:
        if self.taken:
            add_to_sender_days(self.day, self.taken)

    @property
    def tomorrow(self) -> datetime:
        return datetime.combine(self.day + timedelta(days=1), time(0), UTC)


def limit_of(top: int | None, first: int | None, growth: float, days_before: int) -> int | None:
    """The limit of a day: so many days before it, mail left. None: no limit."""
    if first is None or top is None:
        return top
    if first >= top or days_before * log(growth) >= log(top / first):
        return top
    return int(first * growth**days_before)


def _limits(runtime: Runtime, file: SendersFile, names: list[str], day: date) -> dict[str, int]:
    warm_up = file.warm_up
    if file.a_day is None and file.domain_a_day is None:
        return {}
    days = _days_before(runtime, names, day) if warm_up else {}
    found: dict[str, int] = {}
    for name in names:
        is_domain = name.startswith("@")
        top = file.domain_a_day if is_domain else file.a_day
        first = warm_up.first if warm_up else None
        if warm_up and is_domain:
            ratio = (file.domain_a_day or 0) / file.a_day if file.a_day else 1
            first = warm_up.domain_first or max(1, int(warm_up.first * ratio))
        limit = limit_of(top, first, warm_up.growth if warm_up else 1, days.get(name, 0))
        if limit is not None:
            found[name] = limit
    return found


def _days_before(runtime: Runtime, names: list[str], day: date) -> Mapping[str, int]:
    """On how many days before this one mail left from each name. That does not change any more:
    remembered for the day."""
    kept = runtime.warmed
    if kept.get("") != day.toordinal() or len(kept) > _KEPT_MAX:
        kept.clear()
        kept[""] = day.toordinal()
    unknown = [name for name in names if name not in kept]
    if unknown:
        rows = SenderDay.objects.filter(name__in=unknown, day__lt=day, mails__gt=0)
        counts = Counter(rows.values_list("name", flat=True))
        kept.update({name: counts[name] for name in unknown})
    return kept
