"""The report: one HTML file that asks nothing of the network and runs nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from django.template import Context, Engine

from warmline import __version__
from warmline.flows.audit.page import number, percent, width
from warmline.flows.simulate.compare import Comparison, Kind
from warmline.flows.simulate.findings import Collision, Fate, Mail, Simulation, Volume, alike

_HERE = Path(__file__).parent
PEOPLE_SHOWN, ROWS_SHOWN, SENDERS_SHOWN = 100, 50, 8
_SEGMENTS = {
    "active_applicant": "active applicant",
    "silver_medalist": "silver medalist",
    "passive_lead": "passive lead",
    "": "no segment",
}
_BAR = 40.0  # height of a chart, in its own units


def page(found: Simulation, compared: Comparison | None = None) -> str:
    """Every value is a text before it comes to the template, and the template escapes them all."""
    sent = found.sent
    mailed = len({mail.candidate for mail in sent})
    context = {
        "company": found.company,
        "days": number(found.days),
        "begins": _day(found.begins),
        "ends": _day(found.ends),
        "version": __version__,
        "mails": number(len(sent)),
        "mailed": number(mailed),
        "people": number(found.people),
        "mailed_share": percent(mailed, found.people),
        "mailed_width": width(mailed, found.people),
        "nothing": number(len(found.without)),
        "held": number(len(found.holds)),
        "close": number(sum(1 for one in found.collisions if one.what == "two mails")),
        "wanted": number(sum(1 for one in found.collisions if one.what == "two sequences")),
        "within": f"{found.within_days:g}",
        "assumed": [_sentence(text) for text in found.assumed],
        "changes": _changes(compared) if compared is not None else None,
        "steps": _steps(found, sent),
        "senders": [_volume(one, found) for one in found.senders[:SENDERS_SHOWN]],
        "more_senders": _more(len(found.senders), SENDERS_SHOWN),
        "domains": [_volume(one, found) for one in found.domains[:SENDERS_SHOWN]],
        "more_domains": _more(len(found.domains), SENDERS_SHOWN),
        "persons": _persons(found.mails),
        "more_persons": _more(len({mail.candidate for mail in found.mails}), PEOPLE_SHOWN),
        "holds": _holds(found),
        "collisions": _collisions(found),
        "without": _without(found),
        "actions": [
            {"name": f"{kind} in {name}", "count": number(n)}
            for name, kinds in found.actions.items()
            for kind, n in sorted(kinds.items())
        ],
    }
    template = Engine(dirs=[str(_HERE)]).get_template("report.html")
    return template.render(Context(context, autoescape=True, use_l10n=False))


def _sentence(text: str) -> str:
    plain = text.replace("`", "")
    return plain[:1].upper() + plain[1:] + "."


def _day(moment: datetime | date) -> str:
    return f"{moment:%d %B %Y}".lstrip("0")


def _more(there: int, shown: int) -> str:
    return number(there - shown) if there > shown else ""


def _steps(found: Simulation, sent: Sequence[Mail]) -> list[dict[str, Any]]:
    """Mails of each step, by sequence."""
    counts = Counter((mail.sequence, mail.step, mail.piece) for mail in sent)
    widest = max(counts.values(), default=0)
    made = []
    for sequence, rows in groupby(sorted(counts.items()), key=lambda item: item[0][0]):
        title, version = found.sequences.get(sequence, (sequence, ""))
        made.append(
            {
                "title": title,
                "name": sequence,
                "version": version,
                "bars": [
                    {
                        "name": f"{step}. {piece}",
                        "count": number(n),
                        "width": width(n, widest),
                    }
                    for (_, step, piece), n in rows
                ],
            }
        )
    return made


def _volume(one: Volume, found: Simulation) -> dict[str, Any]:
    first = found.begins.date()
    days = (found.ends.date() - first).days + 1
    top = max([*one.by_day.values(), *one.limits.values()], default=1)
    busiest, most = one.busiest
    over = [day for day, n in one.by_day.items() if day in one.limits and n >= one.limits[day]]
    said = f"{number(one.total)} mails on {number(len(one.by_day))} days"
    return {
        "name": one.name,
        "said": said,
        "busiest": f"{number(most)} on {_day(busiest)}",
        "at_limit": number(len(over)) if over else "",
        "label": f"Mails a day from {one.name}: {said}, most {number(most)} on {_day(busiest)}",
        "span": f"0 0 {days} {_BAR:g}",
        "bars": [
            {
                "x": f"{(day - first).days + 0.08:.2f}",
                "y": f"{_BAR - _height(n, top):.2f}",
                "height": f"{_height(n, top):.2f}",
            }
            for day, n in sorted(one.by_day.items())
        ],
        "limits": [
            {"x": str((day - first).days), "y": f"{_BAR - _BAR * limit / top:.2f}"}
            for day, limit in sorted(one.limits.items())
        ],
        "months": _months(first, days),
    }


def _height(n: int, top: int) -> float:
    return max(1.0, _BAR * n / top)


def _months(first: date, days: int) -> list[dict[str, str]]:
    """The first day of each month, where it lies along the chart."""
    marks = []
    for i in range(days):
        day = first + timedelta(days=i)
        if day.day == 1 or i == 0:
            marks.append((i, day))
    if len(marks) > 1 and marks[1][0] < days * 0.08:
        marks.pop(0)
    step = -(-len(marks) // 6)
    return [
        {"at": f"{100 * i / days:.2f}", "name": f"{day.day} {day:%b}"}
        for i, day in marks[::step]
        if i < days * 0.94
    ]


def _persons(mails: Sequence[Mail]) -> list[dict[str, Any]]:
    by_person: dict[int, list[Mail]] = {}
    for mail in mails:
        if mail.candidate in by_person or len(by_person) < PEOPLE_SHOWN:
            by_person.setdefault(mail.candidate, []).append(mail)
    return [
        {
            "candidate": str(pk),
            "address": rows[0].address or "no address",
            "segment": _SEGMENTS.get(rows[0].segment, rows[0].segment),
            "count": f"{sum(1 for m in rows if m.fate is Fate.SENT)} of {len(rows)}",
            "mails": [
                {
                    "local": mail.local,
                    "zone": mail.zone,
                    "where": mail.where,
                    "subject": mail.subject or mail.piece,
                    "fate": str(mail.fate),
                    "reason": mail.reason,
                    "sender": mail.sender,
                }
                for mail in rows
            ],
        }
        for pk, rows in by_person.items()
    ]


def _holds(found: Simulation) -> list[dict[str, str]]:
    """By reason: how often, how many people, and how it ended."""
    people: dict[str, set[int]] = {}
    ended: Counter[str] = Counter()
    counts = found.why_held
    named = alike({hold.reason for hold in found.holds})
    for hold in found.holds:
        reason = named[hold.reason]
        ended[reason] += hold.until is not None
        people.setdefault(reason, set()).add(hold.candidate)
    return [
        {
            "reason": reason,
            "count": number(n),
            "people": number(len(people[reason])),
            "ended": number(ended[reason]),
        }
        for reason, n in counts.most_common()
    ]


def _collisions(found: Simulation) -> list[dict[str, str]]:
    """By the two mails or sequences that meet: how often, of how many people, how close at most."""
    met: dict[tuple[str, str, str], list[Collision]] = {}
    for one in found.collisions:
        met.setdefault((one.what, one.first, one.second), []).append(one)
    rows = sorted(met.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        {
            "what": what,
            "first": first,
            "second": second,
            "count": number(len(ones)),
            "people": number(len({one.candidate for one in ones})),
            "closest": _closest(ones),
        }
        for (what, first, second), ones in rows[:ROWS_SHOWN]
    ]


def _closest(ones: Sequence[Collision]) -> str:
    apart = [one.apart_days for one in ones if one.apart_days is not None]
    return f"{min(apart):g}" if apart else ""


def _without(found: Simulation) -> list[dict[str, str]]:
    counts = found.why_nothing
    widest = max(counts.values(), default=0)
    return [
        {
            "reason": reason.replace("`", ""),
            "count": number(n),
            "share": percent(n, found.people),
            "width": width(n, widest),
        }
        for reason, n in counts.most_common(ROWS_SHOWN)
    ]


_KINDS: Mapping[Kind, str] = {
    Kind.ADDED: "added",
    Kind.REMOVED: "removed",
    Kind.MOVED: "moved",
    Kind.SUBJECT: "subject",
    Kind.TEXT: "text",
    Kind.SENDER: "sender",
}


def _changes(found: Comparison) -> dict[str, Any]:
    return {
        "old": found.old,
        "before": number(len(found.before.sent)),
        "people": number(found.people),
        "any": bool(found.changes),
        "counts": [
            {"name": name, "count": number(found.counts[kind])} for kind, name in _KINDS.items()
        ],
        "kinds": list(_KINDS.values()),
        "parts": [
            {
                "where": f"{part.sequence}/{part.piece}",
                "before": number(part.sent_before),
                "now": number(part.sent_after),
                "cells": [
                    {
                        "name": name,
                        "count": number(part.counts[kind]),
                        "by": f"{part.shift_days:+.1f} days" if kind is Kind.MOVED and part.shifts
                        else "",
                    }
                    for kind, name in _KINDS.items()
                ],
                "people": number(len(part.people)),
                "subjects": [
                    {"before": one, "after": other, "count": number(n)}
                    for (one, other), n in part.subjects.most_common(ROWS_SHOWN)
                ],
                "reasons": [
                    {"why": why, "count": number(n)}
                    for why, n in part.reasons.most_common(ROWS_SHOWN)
                ],
            }
            for part in found.parts
        ],
    }  # fmt: skip
