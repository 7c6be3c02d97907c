"""The demo's progress and its summary, for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from rich.console import Console
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


def summary(console: Console, found: Found, checks: Sequence[Check]) -> None:
    _figures(console, found)
    _letters(console, found)
    _troubles(console, found)
    _checks(console, checks)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for name in columns:
        right = name.startswith(("number", "found", "failures", "still"))
        table.add_column(name, justify="right" if right and name != "found" else "left")
    return table


def _figures(console: Console, found: Found) -> None:
    table = _table("The week", "", "number", "of note")
    hooks = found.webhooks
    lost = [f"{hooks.get('lost', 0)} lost", f"{hooks.get('duplicated', 0)} sent twice"]
    lost.append(f"{hooks.get('reordered', 0)} held up by minutes")
    everybody = found.touches(all_of_them=True)
    out = sum(one.opted_out_at is not None for one in found.applicants)
    rows = [
        ("applicants", len(found.applicants), "people"),
        ("applications", found.applications, f"{found.by_poll} found by polling"),
        ("webhooks of the ATS", hooks.get("attempts", 0), ", ".join(lost)),
        ("contacts in the CRM", len(found.contacts), f"{len(found.duplicates())} duplicates"),
        ("mails", len(found.mails), ", ".join(f"{s}: {n}" for s, n in found.sent().items())),
        ("bounced", len(found.dead_tries), "dead mailboxes, each tried once"),
        ("unsubscribed", out, f"{len(found.after_opt_out())} mails after it"),
    ]
    for what, number, note in rows:
        table.add_row(what, str(number), note)
    console.print(table)
    touch = _table("Time to first touch (virtual)", "from the ATS to the mailbox", "number", "")
    table = touch
    table.add_row("applicants", str(everybody.count), "who gave an address when they applied")
    for name, value in (
        ("p50", everybody.median_s),
        ("p99", everybody.p99_s),
        ("max", everybody.max_s),
    ):
        note = "their mail server said 451 again and again" if name == "max" else ""
        slow = (value or 0) > FIRST_TOUCH_AIM_S
        table.add_row(name, f"{value or 0:.0f} s", note if slow else "")
    table.add_row(
        f"under {FIRST_TOUCH_AIM_S / 60:.0f} minutes",
        f"{100 * (everybody.share_in_aim or 0):.1f} %",
        "Warmline's own milliseconds are real time and not in these figures",
    )
    console.print(table)


def _letters(console: Console, found: Found) -> None:
    table = _table("Letters that did not leave", "why", "number")
    for why, n in sorted(found.stopped.items(), key=lambda item: (-item[1], item[0])):
        table.add_row(why, str(n))
    console.print(table)


def _troubles(console: Console, found: Found) -> None:
    table = _table(
        "Failures", "what", "number", "failures", "longest", "how they ended", "still open"
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
    console.print(table)


def _checks(console: Console, checks: Sequence[Check]) -> None:
    table = _table("What must hold", "check", "expected", "found", "")
    for check in checks:
        mark = "[green]holds[/green]" if check.ok else "[red]FAILS[/red]"
        table.add_row(check.name, check.expected, check.found, mark)
    console.print(table)
    for check in checks:
        if not check.ok:
            console.print(
                f"[red]{check.name}[/red]: expected {check.expected}, found {check.found}",
                soft_wrap=True,
            )
            for name in check.names:
                console.print(f"  {name}", soft_wrap=True, markup=False)


def span(length: timedelta) -> str:
    """`4 s`, `12 min`, `3 h`, `2 days`."""
    seconds = length.total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h" if seconds < 172_800 else f"{seconds / 86_400:.0f} days"
