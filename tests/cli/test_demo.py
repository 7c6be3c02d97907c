"""`warmline demo`: the week is played, its numbers hold, and a number that does not is named."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from warmline.cli.demo.checks import Applicant, Caught, Contact, Found, Trouble, checks
from warmline.cli.demo.script import Role, write

_FLAGS = "people's clicks in the CRM's mails flagged in the ATS, scanners' not"
_WARMLINE = (sys.executable, "-c", "from warmline.cli.main import main; main()", "demo")


def _env() -> dict[str, str]:
    env = {k: v for k, v in os.environ.items() if not k.startswith(("WARMLINE_", "DJANGO_"))}
    # What this machine is set up for is not the demo's business.
    return {**env, "TERM": "dumb", "WARMLINE_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/no"}


def _run(cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_WARMLINE, *arguments], cwd=cwd, env=_env(), capture_output=True, text=True, timeout=300
    )


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> list[subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("demo")
    return [_run(folder, "--applicants", "40", "--seed", "3") for _ in range(2)]


def test_the_numbers_hold(twice: list[subprocess.CompletedProcess[str]]) -> None:
    done = twice[0]
    assert done.returncode == 0, done.stdout + done.stderr
    for line in (
        r"applications +40 ",
        r"contacts in the CRM +37 +0 duplicates",
        r"unsubscribed +2 +0 mails after it",
        r"p99 +\d+ s",
        r"CRM: 500, 429, or no answer .* it works again",
        r"a letter sent twice +0 +0 +holds",
        r"seed 3: 23 of 23 checks hold",
    ):
        assert re.search(line, done.stdout), f"{line} is not in\n{done.stdout}"
    assert "FAILS" not in done.stdout


def test_progress_is_plain_lines_where_there_is_no_terminal(
    twice: list[subprocess.CompletedProcess[str]],
) -> None:
    lines = twice[0].stderr.splitlines()
    assert len(lines) == 16  # a line a virtual day
    assert "\x1b" not in twice[0].stderr + twice[0].stdout


def test_a_seed_gives_the_same_week_again(twice: list[subprocess.CompletedProcess[str]]) -> None:
    one, other = (re.sub(r"\d+ s of real time", "", done.stdout) for done in twice)
    assert one == other


def test_a_folder_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / "demo-project" / "letters.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    done = _run(tmp_path, "--applicants", "10")
    assert done.returncode == 2
    assert "was not made by a demo" in done.stderr
    assert mine.read_text() == "mine"
    assert list(mine.parent.iterdir()) == [mine]


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [*_WARMLINE, "--applicants", "10", "--keep"],
        cwd=tmp_path,
        env={**_env(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    yield process
    process.kill()
    process.communicate()


def test_keep_stays_up_with_the_pages(kept: subprocess.Popen[str], tmp_path: Path) -> None:
    assert kept.stdout is not None
    said = ""
    for line in kept.stdout:
        said += line
        if "Ctrl-C ends it" in line:
            break
    pages = re.findall(r"^(?:overview|explain|mailbox) +(http://\S+)$", said, re.MULTILINE)
    assert len(pages) == 3, said
    for page in pages:
        assert httpx.get(page, trust_env=False).status_code == 200, page
    _one_more_applies(said)
    second = _run(tmp_path, "--applicants", "10")
    assert second.returncode == 2
    assert "is up" in second.stderr
    kept.send_signal(signal.SIGINT)
    assert kept.wait(timeout=30) == 0


def _one_more_applies(said: str) -> None:
    """What is done to the simulators while it stays up takes its way."""
    mailbox, apply = (
        re.search(rf"^{word} .*?(http://\S+)", said, re.MULTILINE)
        for word in ("mailbox", "one more")
    )
    assert mailbox is not None
    assert apply is not None
    person = {"first_name": "Ada", "last_name": "Lind", "email": "ada.lind@example.com"}
    httpx.post(apply[1], json={"person": person}, trust_env=False).raise_for_status()
    for _ in range(100):
        page = httpx.get(f"{mailbox[1]}?to=ada.lind", trust_env=False).text
        if "Your application for" in page:
            return
        time.sleep(0.1)
    raise AssertionError("no welcome came")


def test_the_smallest_week_has_one_of_each() -> None:
    script = write(5, 10)
    assert {part.role for part in script.parts} >= set(Role) - {Role.PLAIN}
    assert script == write(5, 10)
    assert script != write(6, 10)


# The checks bite

_MONDAY = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
_DAYS = {"welcome/1": 0, "welcome/2": 3, "welcome/3": 7}


def _good() -> Found:
    """Ada hears all, Ben is interviewed and opts out, Cleo's mailbox does not exist."""
    ada = Applicant("Ada Lind", ("ada@example.com",), _MONDAY)
    ben = Applicant(
        "Ben Okoro",
        ("ben@example.com",),
        _MONDAY,
        undisturbed=False,
        opted_out_at=_MONDAY + timedelta(days=2),
        interview=("2026-03-04T10:00:00+00:00", "Saoirse Banerjee"),
    )
    cleo = Applicant("Cleo Diaz", ("cleo@example.com",), _MONDAY, works=False, undisturbed=False)
    interview = {"interview_date": "2026-03-04T10:00:00.000Z", "interviewer": "Saoirse Banerjee"}
    soon = _MONDAY + timedelta(seconds=9)
    return Found(
        applicants=[ada, ben, cleo],
        clicked=["https://jobs.example.com/0"],
        flagged=["https://jobs.example.com/0"],
        applications=4,
        in_the_week=4,
        days=dict(_DAYS),
        contacts=[
            Contact("1", ("ada@example.com",), {}),
            Contact("2", ("ben@example.com",), interview),
            Contact("3", ("cleo@example.com",), {}),
        ],
        mails=[
            *(
                Caught("ada@example.com", step, soon + timedelta(days=day))
                for step, day in _DAYS.items()
            ),
            Caught("ben@example.com", "welcome/1", soon),
        ],
        troubles=[Trouble("mail server: no such mailbox (550)", 1, 1, 1, 1, "open")],
        dead_tries=[1],
        webhooks={"attempts": 4},
        ledger_applicants=3,
        ledger_applications=4,
        ledger_contacts=3,
        ledger_sent={"welcome/1": 2, "welcome/2": 1, "welcome/3": 1},
        letters=9,
        in_ats=4,
        people=3,
        segments={"active_applicant": 2, "archived": 1},
        waiting={"mails": 0},
    )


def test_good_numbers_hold() -> None:
    assert [check for check in checks(_good()) if not check.ok] == []


def _mail(found: Found, to: str, step: str, **later: float) -> None:
    found.mails.append(Caught(to, step, _MONDAY + timedelta(**later)))
    found.ledger_sent[step] = found.ledger_sent.get(step, 0) + 1


def _second_contact(found: Found) -> None:
    found.contacts.append(Contact("4", ("ada@example.com",), {}))


def _lost_contact(found: Found) -> None:
    del found.contacts[0]


def _strange_contact(found: Found) -> None:
    found.contacts.append(Contact("4", ("who@example.com",), {}))


def _wrong_interview(found: Found) -> None:
    found.contacts[1].properties["interview_date"] = "2026-03-05T10:00:00Z"


def _slow(found: Found) -> None:
    found.mails[3].at += timedelta(minutes=6)


def _open_incident(found: Found) -> None:
    found.troubles.append(Trouble("CRM: 500, 429, or no answer", 1, 9, 1, 0, "open"))


@pytest.mark.parametrize(
    ("doctored", "names"),
    [
        (
            _second_contact,
            {"one contact a person", "duplicate contacts", "ledger and CRM: contacts"},
        ),
        (_lost_contact, {"one contact a person", "ledger and CRM: contacts"}),
        (
            _strange_contact,
            {
                "one contact a person",
                "contacts of nobody we know",
                "ledger and CRM: contacts",
            },
        ),
        (_wrong_interview, {"interviews on their contacts"}),
        (
            lambda f: _mail(f, "ada@example.com", "welcome/2", days=3, seconds=40),
            {"a letter sent twice", "letters on their day, if undisturbed"},
        ),
        (
            lambda f: _mail(f, "ben@example.com", "welcome/2", days=3),
            {"mails after an opt-out"},
        ),
        (lambda f: _mail(f, "who@example.com", "welcome/2", days=3), {"mails to strangers"}),
        (
            lambda f: f.mails.pop(2),
            {"letters on their day, if undisturbed", "ledger and mailbox: mails by step"},
        ),
        (
            lambda f: f.mails.pop(3),
            {"a welcome to every working mailbox", "ledger and mailbox: mails by step"},
        ),
        (_slow, {"the welcome within 5 minutes"}),
        (lambda f: f.dead_tries.append(2), {"dead mailboxes tried once"}),
        (lambda f: f.scanner_changed.append("Ada Lind"), {"changes by a mail scanner's GET"}),
        (lambda f: f.clicked.append("https://jobs.example.com/1"), {_FLAGS}),
        (lambda f: f.flagged.append("https://jobs.example.com/2"), {_FLAGS}),
        (lambda f: (f.clicked.clear(), f.flagged.clear()), {_FLAGS}),
        (_open_incident, {"failures left unexplained"}),
        (lambda f: f.waiting.update(mails=1), {"work left waiting"}),
        (lambda f: setattr(f, "not_accepted", 1), {"webhooks not accepted at once"}),
        (lambda f: setattr(f, "ledger_applicants", 4), {"ledger and ATS: people"}),
        (lambda f: setattr(f, "ledger_applications", 3), {"ledger and ATS: applications"}),
        (lambda f: setattr(f, "letters", 8), {"letters accounted for"}),
    ],
)
def test_a_number_that_does_not_hold_is_named(
    doctored: Callable[[Found], object], names: set[str]
) -> None:
    found = deepcopy(_good())
    doctored(found)
    assert {check.name for check in checks(found) if not check.ok} == names


def test_whom_their_mail_server_put_off_is_no_broken_promise() -> None:
    found = _good()
    _slow(found)
    found.applicants[1].put_off = True
    assert all(check.ok for check in checks(found))
    assert found.touches().share_in_aim == 0.5
