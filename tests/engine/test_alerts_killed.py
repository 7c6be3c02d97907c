"""Alerts of the real process: killed with an alert in hand, and drilled while it runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Simulators, Warmline, ask, database, wait_for, warmline
from tests.hook import Hook
from warmline.cli.starter import copy_starter

TO = "ops@northwind.example"
CANARY = "canary-4711-token"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


@pytest.fixture(scope="module")
def simulators() -> Iterator[Simulators]:
    with Simulators() as made:
        yield made


def configure(running: Warmline, alerts: str) -> None:
    path = running.folder / "warmline.yaml"
    path.write_text(path.read_text().replace("\ncontent:", f"\nalerts: {alerts}\ncontent:", 1))


def texts(hook: Hook, words: str) -> list[str]:
    return [text for text in hook.texts() if words in text]


def test_i10_killed_between_the_answer_and_the_mark_it_tells_again_and_loses_nothing(
    tmp_path: Path, simulators: Simulators, hook: Hook
) -> None:
    with (
        database("sqlite") as url,
        warmline(tmp_path / "p", simulators, url, WARMLINE_ALERTS_PAGER=hook.url()) as running,
    ):
        configure(running, f"{{to: [pager], mail: {TO}}}")
        hook.first = running.kill  # with the post in hand
        running.start()
        assert ask(f"{running.url}/in/ats", method="POST", body={})[0] == 401
        wait_for(lambda: hook.came, within_s=40, what="the alert")
        assert running.process is not None
        running.process.wait(timeout=20)
        rows = running.ledger.rows("SELECT channel, status FROM warmline_alert")
        assert ("pager", "sending") in rows
        running.start()
        wait_for(
            lambda: len(texts(hook, "turned away")) == 2, within_s=20, what="the alert, told again"
        )
        wait_for(
            lambda: set(running.ledger.rows("SELECT status FROM warmline_alert")) == {("sent",)},
            within_s=10,
            what="both are marked",
        )
        # The kill may have come between the mail's two moments too: then it is the same mail again.
        mails = [mail for mail in simulators.mails() if TO in mail["to"]]
        assert len({mail["message_id"] for mail in mails}) == 1
        last = {text.splitlines()[-1] for text in texts(hook, "turned away")}
        assert len(last) == 1, "by its number it is known to be the same"
        assert running.terminate() == 0


def test_the_drill_passes_through_the_running_process_and_fails_loudly(
    tmp_path: Path, simulators: Simulators, hook: Hook
) -> None:
    secret = tmp_path / "pager-url"
    secret.write_text(hook.url(CANARY) + "\n")
    with (
        database("sqlite") as url,
        warmline(
            tmp_path / "p", simulators, url, WARMLINE_ALERTS_PAGER_FILE=str(secret)
        ) as running,
    ):
        none = running.verb("alerts", "drill")
        assert none.returncode == 1
        assert "no alert channel is configured" in none.stderr
        configure(running, f"{{to: [pager], mail: {TO}}}")
        running.start()

        good = running.verb("alerts", "drill")
        assert good.returncode == 0, good.stdout + good.stderr
        assert "ok      pager (Apprise, json) accepted the alert at" in good.stdout
        assert "ok      mail (mail to o***@northwind.example by mail) accepted" in good.stdout
        assert "no Warmline runs" not in good.stdout
        (text,) = texts(hook, "This is a drill")
        assert f"{running.url}/#failures" in text

        hook.status = 503
        bad = running.verb("alerts", "drill")
        assert bad.returncode == 1
        assert "failed  pager (Apprise, json): json: " in bad.stdout
        assert "503" in bad.stdout
        assert "ok      mail" in bad.stdout
        assert "did not get through by pager" in bad.stderr

        hook.status = 200
        assert running.terminate() == 0
        alone = running.verb("alerts", "drill")
        assert alone.returncode == 0, alone.stdout + alone.stderr
        assert "no Warmline runs: the drill goes its way in this process" in alone.stdout

        listed = running.verb("incidents", "--all", "--json")
        drills = [row for row in json.loads(listed.stdout) if row["drill"]]
        assert [(row["status"], bool(row["alerted_at"])) for row in drills] == [
            ("resolved", True)
        ] * 3
        said = "".join(
            [running.log.read_text(), *(r.stdout + r.stderr for r in (none, good, bad, alone))]
        )
        assert CANARY not in said
        assert "Traceback" not in said


def test_incidents_are_listed_acknowledged_and_resolved_by_hand(tmp_path: Path) -> None:
    copy_starter(tmp_path / "p")
    idle = Warmline(tmp_path / "p", f"sqlite:///{tmp_path}/ledger.sqlite3", 1)
    assert "no failure is open" in idle.verb("incidents").stdout
    idle.ledger.write(
        'INSERT INTO warmline_incident (key, connection, "trigger", record, reason, hint,'
        " status, count, opened_at, last_at, resolution, resolved_by, acknowledged_by, drill,"
        " alerted_by) VALUES ('k', 'crm', 't [x]', 'candidate 7', 'it [bold]broke', 'mend it',"
        " 'open', 3, '2026-03-02 09:00:00', '2026-03-02 09:00:00', '', '', '', 0, '')"
    )
    (number,) = [row["number"] for row in json.loads(idle.verb("incidents", "--json").stdout)]
    shown = idle.verb("incidents").stdout
    for words in ("candidate 7", "t [x]", "it [bold]broke", "mend it", " d "):
        assert words in shown
    assert idle.verb("incidents", "ack", str(number)).returncode == 0
    again = idle.verb("incidents", "ack", str(number))
    assert again.returncode == 2
    assert "was acknowledged by" in again.stderr
    without = idle.verb("incidents", "resolve", str(number))
    assert (without.returncode, "--why" in without.stderr) == (2, True)
    assert idle.verb("incidents", "resolve", str(number), "--why", "mended").returncode == 0
    assert idle.verb("incidents", "resolve", "99", "--why", "x").returncode == 2
    (row,) = json.loads(idle.verb("incidents", "--all", "--json").stdout)
    assert (row["status"], row["resolution"], row["over_24_h"]) == (
        "resolved",
        "mended",
        True,
    )
    assert row["resolved_by"] == row["acknowledged_by"] != ""
