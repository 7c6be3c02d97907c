"""The demo's progress and its summary, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich.box import SIMPLE_HEAD
from rich.console import Console, JustifyMethod
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

from warmline.cli.demo.checks import Check, Found
from warmline.cli.demo.script import END, START
from warmline.core.metrics import FIRST_TOUCH_AIM_S

Show = Callable[[datetime, int, int], None]


@contextmanager
def progress(console: Console) -> Iterator[Show]:
    """A bar on a terminal; elsewhere a line a virtual day."""
    if console.is_terminal and not console.is_dumb_terminal:
        with Progress(
            TextColumn("{task.description}"), BarColumn(), console=console, refresh_per_second=4
        ) as bar:
            task = bar.add_task("", total=(END - START).total_seconds())

            def move(at: datetime, applications: int, mails: int) -> None:
                bar.update(
                    task,
                    completed=(at - START).total_seconds(),
                    description=f"{_when(at)}  {applications:>4} applications {mails:>5} mails",
                )

            yield move
        return
    said: set[str] = set()

    def line(at: datetime, applications: int, mails: int) -> None:
        day = f"{at:%Y-%m-%d}"
        if day not in said:
            said.add(day)
            console.print(f"{_when(at)}  {applications} applications, {mails} mails")

    yield line


def _when(at: datetime) -> str:
    return f"{at:%a} {at.day:>2} {at:%b %H:%M}"


_TOUCH_NOTE = (
    "In virtual time, of those who gave an address when they applied. Webhooks take seconds of "
    "it; Warmline's own milliseconds are real time and not in it."
)
_PROMISE_NOTE = (
    "The welcome within 5 minutes is promised to everybody who gives an address, but where the "
    "reader's own mail server says “try again later”. Dead mailboxes stay open for a person."
)


def summary(console: Console, found: Found, checks: Sequence[Check]) -> None:
    console.print(_figures(found))
    console.print(_touch(found))
    console.print(_TOUCH_NOTE)
    console.print()
    console.print(_letters(found))
    console.print(_troubles(found))
    console.print(_verdict(checks))
    console.print(_PROMISE_NOTE)
    console.print()
    for check in checks:
        if not check.ok:
            console.print(
                f"[red]{check.name}[/red]: expected {check.expected}, found {check.found}",
                soft_wrap=True,
            )
            for name in check.names:
                console.print(f"  {name}", soft_wrap=True, markup=False)


def _table(title: str, *columns: str) -> Table:
    """Columns whose name begins with # hold numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD)
    for i, name in enumerate(columns):
        justify: JustifyMethod = "right" if name.startswith("#") else "left"
        table.add_column(name.lstrip("#"), justify=justify, no_wrap=i == 0)
    return table


def _figures(found: Found) -> Table:
    table = _table("The week", "", "#number", "of note")
    hooks = found.webhooks
    on_the_way = (
        f"{hooks.get('lost', 0)} lost, {hooks.get('duplicated', 0)} sent twice, "
        f"{hooks.get('reordered', 0)} held up by minutes"
    )
    out = sum(one.opted_out_at is not None for one in found.applicants)
    rows = [
        ("applicants", len(found.applicants), "people"),
        (
            "applications",
            found.in_the_week,
            f"{found.by_poll} found by one of {found.polls} polls",
        ),
        ("webhooks of the ATS", hooks.get("attempts", 0), on_the_way),
        ("in the ATS", found.in_ats, _segments(found)),
        ("contacts in the CRM", len(found.contacts), f"{len(found.duplicates())} duplicates"),
        ("mails", len(found.mails), ", ".join(f"{s}: {n}" for s, n in found.sent().items())),
        ("bounced", len(found.dead_tries), "mailboxes that do not exist"),
        ("unsubscribed", out, f"{len(found.after_opt_out())} mails after it"),
    ]
    for what, number, note in rows:
        table.add_row(what, str(number), note)
    return table


def _segments(found: Found) -> str:
    return ", ".join(f"{n} {word.replace('_', ' ')}" for word, n in found.segments.items())


def _touch(found: Found) -> Table:
    table = _table(
        "Time to first touch",
        "from the ATS to the mailbox",
        "#",
        "",
    )
    touch = found.touches()
    for name, value in (("p50", touch.median_s), ("p99", touch.p99_s), ("max", touch.max_s)):
        late = (value or 0) > FIRST_TOUCH_AIM_S
        note = "the reader's mail server said 451 again and again" if late else ""
        table.add_row(name, f"{value or 0:.0f} s", note)
    minutes = f"under {FIRST_TOUCH_AIM_S / 60:.0f} minutes"
    table.add_row(minutes, f"{100 * (touch.share_in_aim or 0):.1f} %", f"of {touch.count}")
    return table


def _letters(found: Found) -> Table:
    table = _table("Letters that did not leave", "why", "#number")
    for why, n in sorted(found.stopped.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(why, str(n))
    return table


def _troubles(found: Found) -> Table:
    table = _table(
        "Failures", "what", "#times", "#failures", "#longest", "how they ended", "#still open"
    )
    for t in found.troubles:
        table.add_row(
            t.what,
            str(t.incidents),
            str(t.failures),
            span(t.longest) if t.longest else "",
            t.ended,
            str(t.open),
        )
    return table


def _verdict(checks: Sequence[Check]) -> Table:
    table = _table(
        "What must hold",
        "",
        "expected",
        "found",
        "",
    )
    for check in checks:
        mark = "[green]holds[/green]" if check.ok else "[red]FAILS[/red]"
        table.add_row(check.name, check.expected, check.found, mark)
    return table


def span(length: timedelta) -> str:
    """`4 s`, `12 min`, `3 h`, `2 days`."""
    seconds = length.total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
