"""`warmline simulate`: the real flows, a virtual clock, and nothing that leaves."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from tests.conftest import START, House
from tests.harness import wait_for
from warmline.config.project import load
from warmline.core.errors import WarmlineError
from warmline.engine.work import Worker, run_through, run_until_idle
from warmline.flows.opt_out import suppress_candidate
from warmline.flows.runtime import Runtime, build
from warmline.flows.simulate.compare import Kind, compare, markdown
from warmline.flows.simulate.findings import Fate, Simulation, alike
from warmline.flows.simulate.play import end_of_stretch, stretch_for
from warmline.flows.simulate.run import Asked, Stage, simulate
from warmline.flows.simulate.writing import safe, write
from warmline.store.db import writing
from warmline.store.models import Candidate, Enrolment, Message, Pause
from warmline.store.statuses import SuppressionReason

LETTER = "---\nsubject: {subject}\n---\nHello {{{{ candidate.first_name }}}},\n\n{body}\n"
STEPS = """name: {name}
title: {name}
segment: {segment}
priority: {priority}
steps:
"""
# Writes down every door to the network that Python opens, and shuts it.
GUARDED = """
import sys
def guard(event, args):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"):
        open({seen!r}, "a").write(event)
        raise OSError("no network here")
sys.addaudithook(guard)
from warmline.cli.main import main
main()
"""


def sequence(folder: Path, name: str, segment: str, days: dict[int, str]) -> None:
    """A sequence with a marketing letter on each of these days, by subject."""
    home = folder / "sequences" / name
    for old in home.glob("*"):
        old.unlink()
    first = 10 if segment == "silver_medalist" else 0
    text = STEPS.format(name=name, segment=segment, priority=first)
    for number, (day, subject) in enumerate(days.items(), start=1):
        letter = f"{number:02d}-{subject.lower()}.md"
        (home / letter).write_text(LETTER.format(subject=subject, body="Kind regards"))
        text += f"  - {{day: {day}, file: {letter}, class: marketing}}\n"
    (home / "sequence.yaml").write_text(text)


@pytest.fixture
def small(house: House) -> Iterator[House]:
    """Letters on days 0, 3 and 7 for applicants, 7 and 20 for silver medalists."""
    sequence(house.folder, "welcome", "active_applicant", {0: "First", 3: "Second", 7: "Third"})
    sequence(house.folder, "silver-medalist", "silver_medalist", {7: "Thanks", 20: "News"})
    house.worker.close()
    house.runtime.close()
    house.runtime = build(load(house.folder), now=house.clock, chance=random.Random(7).random)
    house.worker = Worker(house.runtime)
    yield house
    house.worker.close()
    house.runtime.close()


def people(house: House) -> dict[str, int]:
    """Ada and Ben apply; Ben opts out; Cleo is rejected after the final round, Dan before it. A day
    later: their numbers, by first name."""
    rows = {
        name: house.apply(first_name=name, last_name="X", email=f"{name.lower()}@example.com")
        for name in ("Ada", "Ben", "Cleo", "Dan")
    }
    house.settle()
    house.does("move", rows["Cleo"]["id"], "Final Interview")
    house.clock.move(days=1)
    house.does("reject", rows["Cleo"]["id"])
    house.does("reject", rows["Dan"]["id"])
    house.settle()
    ben = Candidate.objects.get(first_name="Ben")
    with writing():
        suppress_candidate(
            ben, SuppressionReason.UNSUBSCRIBED, source="test", now=house.clock(), detail=""
        )
    house.settle()
    return {c.first_name: c.pk for c in Candidate.objects.all()}


def of_the_past(house: House) -> dict[str, int]:
    """The same, and nobody has put Cleo onto a sequence: the backfill does, with the files as they
    are by then. Its letters go on days 0 and 20."""
    who = people(house)
    Enrolment.objects.filter(sequence="silver-medalist").delete()
    Enrolment.objects.filter(candidate=who["Cleo"]).update(status="stopped", next_due_at=None)
    sequence(house.folder, "silver-medalist", "silver_medalist", {0: "Thanks", 20: "News"})
    return who


def stage() -> Stage:
    def settle(runtime: Runtime) -> Callable[[], object]:
        worker = Worker(runtime)
        return lambda: run_through(runtime, worker)

    return Stage(settle)


def played(house: House, **asked: Any) -> Simulation:
    """In this process: the tests' ledger is the copy."""
    given = {"begins": house.clock(), "days": 60, **asked}
    return simulate(load(house.folder), Asked(**given), stage())


here = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="a simulation runs on a copy, and that is SQLite"
)


# What is found


@here
def test_every_mail_is_the_one_that_the_program_says(small: House) -> None:
    who = people(small)
    found = played(small)
    assert [(m.candidate, m.where, m.subject, m.at) for m in found.sent] == [
        (who["Ada"], "welcome/2", "Second", START + timedelta(days=3)),
        (who["Ada"], "welcome/3", "Third", START + timedelta(days=7)),
        (who["Cleo"], "silver-medalist/1", "Thanks", START + timedelta(days=8)),
        (who["Cleo"], "silver-medalist/2", "News", START + timedelta(days=21)),
    ]
    assert {(m.address, m.fate) for m in found.sent} == {
        ("a***@example.com", Fate.SENT),
        ("c***@example.com", Fate.SENT),
    }
    kept = {(m.candidate, m.where): m.reason for m in found.kept}
    assert kept[who["Dan"], "welcome/2"] == "no application is active any more"
    held = {(hold.candidate, hold.where, hold.at) for hold in found.holds}
    assert (who["Dan"], "welcome/2", START + timedelta(days=3)) in held
    without = {one.candidate: one.reason for one in found.without}
    assert without == {
        who["Ben"]: "suppressed: unsubscribed",
        who["Dan"]: "held: no application is active any more",
    }


@here
def test_a_clock_that_stops_at_what_is_due_and_one_that_ticks_say_the_same(small: House) -> None:
    """The same flows on the same ledger, minute after minute, by the real runtime."""
    people(small)
    ahead = [(m.candidate, m.where, m.at) for m in played(small, days=10).sent]
    Message.objects.all().delete()
    connection.cursor().execute("UPDATE warmline_enrolment SET status='stopped'")
    small.clock.at = START + timedelta(days=300)
    small.apply(first_name="Eve", last_name="X", email="eve@example.com")
    small.settle()
    begins = small.clock()
    there = Message.objects.count()
    for _ in range(8 * 24 * 4):
        small.clock.move(minutes=15)
        run_until_idle(small.runtime, small.worker)
    sent = Message.objects.filter(pk__gt=0).order_by("pk")[there:]
    assert [(m.step, m.handed_off_at - begins) for m in sent if m.handed_off_at] == [
        (2, timedelta(days=3)),
        (3, timedelta(days=7)),
    ]
    assert [(where, at - START) for _, where, at in ahead[:2]] == [
        ("welcome/2", timedelta(days=3)),
        ("welcome/3", timedelta(days=7)),
    ]


@here
def test_nothing_reaches_a_system_and_what_is_written_is_counted(small: House) -> None:
    people(small)
    before = (len(small.mails()), len(small.contacts()))
    found = played(small)
    assert len(found.sent) == 4
    assert (len(small.mails()), len(small.contacts())) == before
    assert set(found.actions) <= {"ats", "crm"}


@here
def test_with_the_backfill_those_of_the_past_get_their_letters_too(small: House) -> None:
    who = of_the_past(small)
    begins = small.clock()
    found = played(small, backfill_months=12)
    assert found.enrolled_by_backfill == 1
    assert [(m.where, m.at) for m in found.sent if m.candidate == who["Cleo"]] == [
        ("silver-medalist/1", begins),
        ("silver-medalist/2", begins + timedelta(days=20)),
    ]


@here
def test_two_mails_within_the_days_are_a_collision(small: House) -> None:
    who = people(small)
    found = played(small, within_days=4.5)
    assert [(c.candidate, c.what, c.first, c.second, c.apart_days) for c in found.collisions] == [
        (who["Ada"], "two mails", "welcome/1", "welcome/2", 3.0),
        (who["Ada"], "two mails", "welcome/2", "welcome/3", 4.0),
    ]


@here
def test_who_waits_for_the_end_of_another_sequence_is_a_collision(small: House) -> None:
    who = people(small)
    on = Enrolment.objects.get(candidate=who["Ada"])
    Enrolment.objects.create(
        candidate=on.candidate, sequence="silver-medalist", version="1", event=on.event,
        enrolled_at=on.enrolled_at, status="waiting",
    )  # fmt: skip
    Enrolment.objects.filter(candidate=who["Ada"], status="active").update(
        next_due_at=START + timedelta(days=100)
    )
    met = [c for c in played(small, days=10).collisions if c.what == "two sequences"]
    assert (who["Ada"], "welcome", "silver-medalist") in [
        (one.candidate, one.first, one.second) for one in met
    ]
    assert {one.candidate for one in met} == {who["Ada"], who["Cleo"]}


@here
def test_what_is_paused_stays_so_and_is_said(small: House) -> None:
    who = people(small)
    Pause.objects.create(
        scope="sequence", name="welcome", why="new words", by="ada", since=small.clock()
    )
    found = played(small)
    assert "welcome" not in {m.sequence for m in found.sent}
    assert {w.candidate: w.reason for w in found.without}[who["Ada"]] == "welcome is paused"
    assert "sequence 'welcome' stays paused: new words" in found.assumed


@here
def test_the_volume_is_counted_a_day_by_sender_and_domain_against_its_limit(small: House) -> None:
    people(small)
    path = small.folder / "warmline.yaml"
    head = path.read_text().partition("\npolicy:")[0]
    path.write_text(f"{head}\npolicy: {{senders: {{a_day: 30}}}}\n")
    found = played(small, days=30)
    (sender,), (domain,) = found.senders, found.domains
    mailed = {(START + timedelta(days=n)).date(): 1 for n in (3, 7, 8, 21)}
    assert sender.by_day == domain.by_day == mailed
    assert sender.name.endswith(f"@{domain.name}")
    assert sender.limits[START.date() + timedelta(days=3)] == 30
    assert domain.limits == {}


@here
def test_a_ledger_with_nobody_in_it_is_told_of(house: House) -> None:
    with pytest.raises(WarmlineError, match="nobody in the ledger"):
        played(house)


def test_no_stretch_crosses_a_moment_at_which_a_rule_begins() -> None:
    """Windows that end at 17:00 and 17:40: five minutes at a time."""
    assert stretch_for([]) == timedelta(minutes=15)
    assert stretch_for([time(17), time(17, 40)]) == timedelta(minutes=5)
    five, ends = timedelta(minutes=5), datetime(2026, 3, 2, 17, 40, tzinfo=UTC)
    instant = timedelta(microseconds=1)
    assert end_of_stretch(ends - instant, five) == ends - instant
    assert end_of_stretch(ends, five) == ends + five - instant


# What is shown


def test_reasons_that_differ_by_a_figure_alone_are_counted_as_one() -> None:
    twenty, sixty = "20 mails have left today", "60 mails have left today"
    assert alike([twenty, sixty, "overdue by more than 2 days"]) == {
        twenty: "N mails have left today",
        sixty: "N mails have left today",
        "overdue by more than 2 days": "overdue by more than 2 days",
    }


@here
def test_the_files_say_the_same_and_hold_no_whole_address(small: House, tmp_path: Path) -> None:
    people(small)
    found = played(small)
    write(found, tmp_path / "out")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out" / "mails.csv").read_text())))
    told = json.loads((tmp_path / "out" / "simulation.json").read_text())
    assert told["mails"] == 4
    assert len(told["every_mail"]) == len(rows) == len(found.mails)
    assert rows[0]["utc"] == "2026-03-05T09:00:00Z"
    assert rows[0]["status"] == "sent"
    for path in (tmp_path / "out").iterdir():
        assert path.stat().st_mode & 0o077 == 0
        assert "ada@example.com" not in path.read_text()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<script" not in page
    assert "default-src 'none'" in page


def test_no_cell_is_a_formula() -> None:
    assert safe("=cmd()") == "'=cmd()"
    assert safe("Hello") == "Hello"


@here
def test_what_another_version_of_the_project_changes(small: House) -> None:
    who = of_the_past(small)
    before = played(small, backfill_months=12)
    Message.objects.filter(pk__in=[m.number for m in before.mails]).delete()
    Enrolment.objects.filter(sequence="silver-medalist").delete()
    home = small.folder / "sequences" / "silver-medalist"
    for name, old, new in (
        ("01-thanks.md", "subject: Thanks", "subject: Another | one"),
        ("sequence.yaml", "day: 20", "day: 22"),
    ):
        (home / name).write_text((home / name).read_text().replace(old, new))
    after = played(small, backfill_months=12)
    found = compare("HEAD~1", before, after)
    mine = [(c.kind, c.mail.where) for c in found.changes if c.mail.candidate == who["Cleo"]]
    assert mine == [(Kind.SUBJECT, "silver-medalist/1"), (Kind.MOVED, "silver-medalist/2")]
    assert next(c.shift_days for c in found.changes if c.kind is Kind.MOVED) == 2.0
    told = markdown(found)
    assert r"“Thanks” becomes “Another \| one” (1)" in told
    assert "@" not in told


# The verb


def run(
    house: House, *options: str, guarded: str = "", **more: str
) -> subprocess.CompletedProcess[str]:
    command = ["-c", GUARDED.format(seen=guarded)] if guarded else ["-m", "warmline"]
    return subprocess.run(
        [sys.executable, *command, "simulate", "--project", str(house.folder), *options],
        capture_output=True,
        text=True,
        env={**os.environ, **more},
    )


def everything() -> str:
    """A hash of every row of the ledger."""
    digest = hashlib.sha256()
    for model in apps.get_app_config("warmline").get_models():
        digest.update(repr(list(model.objects.order_by("pk").values_list())).encode())
    return digest.hexdigest()


def test_the_ledger_is_only_read_and_no_socket_is_opened(small: House, tmp_path: Path) -> None:
    small.clock.at = datetime.now(UTC) - timedelta(days=1)
    people(small)
    before, name = everything(), connection.settings_dict["NAME"]
    connection.close()
    kept = Path(name).read_bytes() if connection.vendor == "sqlite" else b""
    seen, out, temporary = tmp_path / "seen", tmp_path / "out", tmp_path / "tmp"
    temporary.mkdir()
    ran = run(
        small,
        *("--days", "40", "--out", str(out), "--json"),
        guarded=str(seen),
        TMPDIR=str(temporary),
    )
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["mails"] == 4
    assert told["people"] == 4
    assert not seen.exists()
    assert list(temporary.iterdir()) == []
    assert everything() == before
    if connection.vendor == "sqlite":
        assert Path(name).read_bytes() == kept


def test_two_versions_are_compared_on_the_same_copy(small: House, tmp_path: Path) -> None:
    small.clock.at = datetime.now(UTC) - timedelta(days=1)
    of_the_past(small)
    old, comment = tmp_path / "old", tmp_path / "comment.md"
    shutil.copytree(small.folder, old)
    options = ("--days", "40", "--backfill", "--against", str(old), "--fail-on-change", "--json",
               "--out", str(tmp_path / "out"), "--markdown", str(comment))  # fmt: skip
    same = run(small, *options)
    assert same.returncode == 0, same.stderr
    assert json.loads(same.stdout)["against"]["changes"] == {}
    assert "No mail changes." in comment.read_text()
    sequence(old, "silver-medalist", "silver_medalist", {0: "Thanks", 25: "News"})
    ran = run(small, *options)
    assert ran.returncode == 1, ran.stderr
    assert json.loads(ran.stdout)["against"]["changes"] == {"moved": 1}
    assert "(-5.0 days)" in comment.read_text()


def git(folder: Path, *arguments: str) -> None:
    who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.com")
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def test_a_git_revision_is_read_beside_the_working_tree(small: House, tmp_path: Path) -> None:
    small.clock.at = datetime.now(UTC) - timedelta(days=1)
    of_the_past(small)
    git(small.folder.parent, "init")
    git(small.folder.parent, "add", "project")
    git(small.folder.parent, "commit", "-m", "before")
    home = small.folder / "sequences" / "silver-medalist"
    letter, steps = home / "01-thanks.md", home / "sequence.yaml"
    letter.write_text(letter.read_text().replace("subject: Thanks", "subject: Changed"))
    options = ("--days", "10", "--backfill", "--json", "--out", str(tmp_path / "out"))
    ran = run(small, *options, "--against", "HEAD")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["against"]["changes"] == {"subject": 1}
    assert "Changed" in letter.read_text()
    good = steps.read_text()
    steps.write_text("name: 5\n")
    git(small.folder.parent, "commit", "-am", "broken")
    steps.write_text(good)
    broken = run(small, *options, "--against", "HEAD")
    assert broken.returncode == 2
    assert "HEAD:sequences/silver-medalist/sequence.yaml" in broken.stderr
    assert "Traceback" not in broken.stderr


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # closed meanwhile
        return ""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ended_half_way_it_leaves_nothing_behind(
    small: House, tmp_path: Path, number: signal.Signals
) -> None:
    small.clock.at = datetime.now(UTC) - timedelta(days=1)
    people(small)
    before = everything()
    temporary, out = tmp_path / "tmp", tmp_path / "out"
    temporary.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "warmline", "simulate", "--project", str(small.folder),
         "--days", "1100", "--out", str(out)],
        env={**os.environ, "TMPDIR": str(temporary)},
        stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip

    def has_copy() -> bool:
        return any(
            "warmline-simulate" in _target(fd) for fd in Path(f"/proc/{process.pid}/fd").iterdir()
        )

    wait_for(has_copy, within_s=60, what="the copy")
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if number is signal.SIGINT else -number), said
    assert list(temporary.iterdir()) == []
    assert not out.exists()
    assert everything() == before
