"""How the pages write figures, durations and the ledger's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from warmline.flows.incidents import RESOLVE_WITHIN, took
from warmline.store.models import Incident
from warmline.store.statuses import IncidentStatus

register = template.Library()

_NB = "\N{NO-BREAK SPACE}"
_TICKS = re.compile(r"`([^`]+)`")
_BETWEEN_LETTERS = re.compile(r"(?<=[a-z])_(?=[a-z])")

_DELIVERY_MEANS = {
    "received": "committed here, waits to be read",
    "interpreted": "read; what it told is in the ledger",
    "unmapped": "read; tells of something that Warmline has no use for",
    "malformed": "not what the vendor documents; kept, with the reason",
    "failed": "reading it failed on our side; kept, and open as a failure",
    "discarded": "could not be read, and somebody said that it need not be",
}


@register.filter
def figure(value: float | None) -> str:
    """1234 as 1,234."""
    return "" if value is None else f"{value:,.0f}"


@register.filter
def duration(seconds: float | None) -> str:
    """Two units at most, a number never parted from its unit: 0.4 s, 3 min 12 s, 2 h 5 min."""
    if seconds is None:
        return ""
    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + f"{_NB}s"
    whole = round(seconds)
    for size, unit, small, small_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small
            first = f"{whole // size}{_NB}{unit}"
            return f"{first} {rest}{_NB}{small_unit}" if rest else first
    return f"{whole}{_NB}s"


@register.filter
def percent(share: float | None) -> str:
    """0.9987 as 99.8: rounded down, so that 100 means all of them."""
    if share is None:
        return ""
    tenths = int(share * 1000 + 1e-6)
    return f"{tenths // 10}" + (f".{tenths % 10}" if tenths % 10 else "")


@register.filter
def within(count: int, share: float | None) -> int:
    """How many of `count` the share is."""
    return round(count * (share or 0.0))


@register.filter
def less(value: int, other: int) -> int:
    return value - other


@register.filter
def utc(moment: datetime | None) -> str:
    """A `time` element, to the minute. The pages say once that all times are UTC."""
    if moment is None:
        return ""
    return format_html(
        '<time datetime="{}">{}</time>',
        moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        moment.strftime("%Y-%m-%d %H:%M"),
    )


@register.filter
def words(text: object) -> str:
    """A word of the ledger's vocabulary for reading: `handed_off` as `handed off`."""
    return _BETWEEN_LETTERS.sub(" ", str(text))


@register.filter
def arrows(text: str) -> str:
    return text.replace("->", "→")


@register.filter
def ended_as(what: str) -> str:
    """`mail welcome/culture_story -> handed_off` as `mail welcome/culture_story → handed off`."""
    head, arrow, status = what.rpartition(" -> ")
    return f"{arrows(head)} → {words(status)}" if arrow else what


@register.filter
def ticks(text: str) -> SafeString:
    """What stands between backticks is something to type."""
    parts = _TICKS.split(text)
    return format_html_join(
        "",
        "{}",
        ((format_html("<code>{}</code>", p) if i % 2 else p,) for i, p in enumerate(parts)),
    )


@register.filter
def of(table: Mapping[Any, Any], key: object) -> Any:
    return table.get(key)


@register.filter
def is_web(url: str) -> bool:
    """A vendor's link is followed only where it is one."""
    return url.startswith(("https://", "http://"))


@register.filter
def delivery_means(status: str) -> str:
    return _DELIVERY_MEANS.get(status, "")


@register.filter
def age_s(incident: Incident, at: datetime) -> float:
    """Seconds from a failure to its end, or until now."""
    return took(incident, at).total_seconds()


@register.filter
def late(incident: Incident, at: datetime) -> bool:
    return took(incident, at) > RESOLVE_WITHIN


@register.filter
def live(incidents: Iterable[Incident]) -> list[Incident]:
    return [i for i in incidents if i.status != IncidentStatus.RESOLVED]


@register.filter
def ended(incidents: Iterable[Incident]) -> list[Incident]:
    return [i for i in incidents if i.status == IncidentStatus.RESOLVED]
