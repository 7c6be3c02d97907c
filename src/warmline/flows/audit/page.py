"""The report: one HTML file that asks nothing of the network, for people who recruit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.template import Context, Engine

from warmline import __version__
from warmline.flows.audit.figures import Bar, Figures, Finding
from warmline.flows.audit.rules import Severity

_HERE = Path(__file__).parent
_SEVERITIES = {
    Severity.CRITICAL: "mend at once",
    Severity.HIGH: "mend first",
    Severity.MEDIUM: "mend next",
    Severity.LOW: "when there is time",
}
_SEGMENTS = {
    "active_applicant": "Active applicants",
    "silver_medalist": "Silver medalists",
    "passive_lead": "Passive leads",
    "archived": "Archived",
}
_CHARTS = (
    ("segments", "By segment", "Where each record would stand at the first sync."),
    ("stages", "By stage", "The stage of the latest application."),
    ("sources", "By source", "Where the records came from."),
    ("years", "By year", "The year of the latest application."),
)


def page(figures: Figures) -> str:
    """Every value is a text before it comes to the template, and the template escapes them all."""
    found = [finding for finding in figures.findings if finding.count]
    widest = max((finding.share for finding in found), default=1.0)
    context = {
        "source": figures.reading.source,
        "form": figures.reading.form,
        "made": f"{figures.made_at:%d %B %Y}".lstrip("0"),
        "version": __version__,
        "records": number(figures.records),
        "applications": number(figures.applications),
        "people": number(figures.people),
        "surplus": number(figures.records - figures.people),
        "ready": number(figures.ready),
        "mend": number(figures.records - figures.ready),
        "ready_share": percent(figures.ready, figures.records),
        "ready_width": width(figures.ready, figures.records),
        "findings": [_finding(place, f, widest) for place, f in enumerate(found, 1)],
        "clean": [f.rule.title for f in figures.findings if not f.count and not f.lacks],
        "lacking": [{"title": f.rule.title, "lacks": f.lacks} for f in figures.findings if f.lacks],
        "charts": [
            _chart(title, text, figures.charts.get(name, ()))
            for name, title, text in _CHARTS
            if figures.charts.get(name)
        ],
        "duplicates": _bars(figures.charts.get("duplicates", ()), "exact", "probable"),
        "notes": [note.sentence() for note in figures.reading.notes],
        "columns": [
            {"field": field.replace("_", " "), "header": header}
            for field, header in figures.reading.columns.items()
        ],
        "unknown": ", ".join(figures.reading.unknown),
    }
    template = Engine(dirs=[str(_HERE)]).get_template("report.html")
    return template.render(Context(context, autoescape=True, use_l10n=False))


def number(value: int) -> str:
    """1234 as 1,234."""
    return f"{value:,}"


def percent(part: int, whole: int) -> str:
    """Rounded down to a tenth, so that 100 % means all of them; what is there is never 0 %."""
    if not whole:
        return "0 %"
    tenths = part * 1000 // whole
    if part and not tenths:
        return "< 0.1 %"
    return f"{tenths // 10}.{tenths % 10} %".replace(".0 %", " %")


def width(part: int, whole: int) -> str:
    """For a bar, in percent; what is there can be seen."""
    if not part or not whole:
        return "0"
    return f"{max(0.6, 100 * part / whole):.2f}"


def _pairs(count: int) -> str:
    return f"{number(count)} {'pair' if count == 1 else 'pairs'}" if count else ""


def _finding(place: int, finding: Finding, widest: float) -> dict[str, Any]:
    rule = finding.rule
    return {
        "place": str(place),
        "key": rule.key,
        "title": rule.title,
        "severity": _SEVERITIES[rule.severity],
        "level": str(rule.severity),
        "count": number(finding.count),
        "of": finding.unit,
        "share": _share(finding),
        "pairs": _pairs(finding.pairs),
        "width": f"{max(0.6, 100 * finding.share / widest):.2f}" if widest else "0",
        "why": rule.why,
        "todo": rule.todo,
        "value": "Other record" if finding.pairs else "Value",
        "examples": [
            {
                "record": e.record or "none",
                "row": number(e.row) if e.row else "",
                "value": e.value,
                "evidence": e.evidence,
            }
            for e in finding.examples
        ],
    }


def _share(finding: Finding) -> str:
    return percent(finding.count, round(finding.count / finding.share)) if finding.share else ""


def _chart(title: str, text: str, bars: tuple[Bar, ...]) -> dict[str, Any]:
    named = tuple(Bar(_SEGMENTS.get(bar.name, bar.name), bar.count, bar.rest) for bar in bars)
    return {"title": title, "text": text, "bars": _bars(named, "ready", "to mend")}


def _bars(bars: tuple[Bar, ...], first: str, second: str) -> list[dict[str, str]]:
    widest = max((bar.count + bar.rest for bar in bars), default=0)
    return [
        {
            "name": bar.name,
            "total": number(bar.count + bar.rest),
            "first": f"{number(bar.count)} {first}",
            "second": f"{number(bar.rest)} {second}",
            "share": percent(bar.rest, bar.count + bar.rest),
            "first_width": width(bar.count, widest),
            "second_at": f"{100 * bar.count / widest:.2f}" if widest else "0",
            "second_width": width(bar.rest, widest),
        }
        for bar in bars
    ]
