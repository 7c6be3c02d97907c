"""`warmline merge crm`: what it prints and writes, and how it ends."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.conftest import House
from tests.harness import end, wait_for
from warmline.cli.merge_crm import COLUMNS, crm, first_interrupt_waits
from warmline.config.project import load
from warmline.core.errors import AuthFailed, ConfigError
from warmline.sandbox.hubspot.contacts import MERGES_MAX
from warmline.store.models import Candidate, CandidateEmail, ExternalId

WHOLE = ("a.lind@gmail.com", "alind@gmail.com", "=cmd@gmail.com", "lind@")


def run(house: House, **options: Any) -> None:
    given = {"connection": None, "apply": False, "out": None, "as_json": False, **options}
    crm(load(house.folder), **given)


def twins(house: House) -> tuple[str, str]:
    """Two contacts of somebody whom the ledger does not know."""
    one = house.box.hubspot.create("a.lind@gmail.com")["id"]
    house.clock.move(minutes=1)
    return str(one), str(house.box.hubspot.create("alind@gmail.com")["id"])


def test_the_report_tells_what_would_change_and_changes_nothing(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = twins(house)
    house.box.hubspot.create("b.lind@gmail.com", firstname="Bo")
    house.box.hubspot.create("blind@gmail.com", firstname="Eve")
    run(house)
    said = capsys.readouterr().out
    assert "4 contacts in crm: 1 too many, of 1 people; 1 groups for a person to decide" in said
    assert "candidates with several applications: 0" in said
    assert f"{other} (a***@gmail.com) becomes part of {one}" in " ".join(said.split())
    assert "Probable, never merged: 1" in said
    assert "Nothing was changed." in said
    assert not any(address in said for address in WHOLE)
    assert len(house.contacts()) == 4


def test_nothing_to_do_is_said(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    run(house, apply=True)
    said = capsys.readouterr().out
    assert "0 contacts in crm: no duplicates" in said
    assert "nothing was to be done" in said


def test_apply_merges_and_says_so(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    twins(house)
    run(house, apply=True)
    assert "1 merged" in capsys.readouterr().out
    assert len(house.contacts()) == 1
    run(house, apply=True)
    assert "no duplicates" in capsys.readouterr().out


def test_what_could_not_be_merged_is_listed_with_the_reason_and_the_exit_status(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = twins(house)
    row = house.box.hubspot.contacts.find(other)
    assert row is not None
    row.merges = MERGES_MAX
    with pytest.raises(typer.Exit) as ended:
        run(house, apply=True)
    assert ended.value.exit_code == 1
    said = capsys.readouterr().out
    assert "1 refused" in said
    assert f"{other} into {one}: refused: HubSpot answered 400" in said
    assert "250 times" in said


def test_json_is_for_scripts(house: House, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = twins(house)
    run(house, as_json=True)
    text = capsys.readouterr().out
    told = json.loads(text)
    assert (told["contacts"], told["duplicates"], told["applied"]) == (2, 1, False)
    [group] = told["groups"]
    assert (group["candidate"], group["primary"]) == (None, one)
    assert [row["id"] for row in group["contacts"]] == [one, other]
    assert not any(address in text for address in WHOLE)
    run(house, as_json=True, apply=True)
    told = json.loads(capsys.readouterr().out)
    [step] = told["steps"]
    assert (step["outcome"], step["primary"], step["contact"]) == ("done", one, other)
    assert step["standing"] == house.contacts()[0]["id"]


def test_the_csv_is_its_owners_and_no_cell_is_a_formula(house: House, tmp_path: Path) -> None:
    create = house.box.hubspot.create
    one = create("=cmd@gmail.com")["id"]
    house.clock.move(minutes=1)
    other = create("=cm.d@gmail.com")["id"]
    path = tmp_path / "report.csv"
    path.write_text("older")
    path.chmod(0o644)
    run(house, out=path)
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert [(row["contact"], row["role"]) for row in rows] == [(one, "primary"), (other, "other")]
    assert [row["addresses"] for row in rows] == ["'=***@gmail.com"] * 2
    assert all(row["created"].startswith("2026-03-02T09:0") for row in rows)
    run(house, out=path, apply=True)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["outcome"] for row in rows] == ["", "done"]


def test_what_was_done_is_told_before_an_error_is(
    house: House, capsys: pytest.CaptureFixture[str]
) -> None:
    twins(house)
    house.box.hubspot.scopes = frozenset({"crm.objects.contacts.read"})
    with pytest.raises(AuthFailed):
        run(house, apply=True)
    said = capsys.readouterr().out
    assert "1 too many" in said
    assert "1 were not tried: run it again" in said


def test_a_connection_that_cannot_is_refused(house: House) -> None:
    with pytest.raises(ConfigError, match="'ats'"):
        run(house, connection="ats")


def test_the_first_interrupt_waits_for_the_pair_in_hand_and_the_second_does_not(
    house: House,
) -> None:
    before = signal.getsignal(signal.SIGINT)
    with first_interrupt_waits(house.runtime):
        signal.raise_signal(signal.SIGINT)
        assert house.runtime.stopping.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


PEOPLE = 24
_CHILD = """
import sys
from pathlib import Path
from warmline.cli.setup import open_project
_, loaded = open_project(Path(sys.argv[1]))
from warmline.cli.merge_crm import crm
crm(loaded, connection=None, apply=True, out=None, as_json=True)
"""


def test_i10_killed_again_and_again_it_finishes_and_doubles_nothing(house: House) -> None:
    """SIGKILL at several moments of the run, the last run left to end."""
    crm_ = house.box.hubspot
    for number in range(PEOPLE):
        person = Candidate.objects.create(created_at=house.clock(), as_of=house.clock())
        for place in ("home", "work"):
            address = f"p{number}@{place}.example.com"
            CandidateEmail.objects.create(candidate=person, normal=address, mailbox=address)
            made = crm_.create(address)["id"]
            if place == "home":
                ExternalId.objects.create(
                    candidate=person, connection="crm", external_id=made, contact=True
                )
    for left in (2 * PEOPLE - 2, 2 * PEOPLE - 7, 2 * PEOPLE - 15):
        child = subprocess.Popen(
            [sys.executable, "-c", _CHILD, str(house.folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=dict(os.environ),
        )
        try:
            wait_for(
                lambda left=left: len(house.contacts()) <= left,  # type: ignore[misc]
                within_s=60,
                what=f"{left} contacts are left",
                every_s=0.005,
            )
            child.kill()
        finally:
            end(child)
    assert len(house.contacts()) > PEOPLE  # it was killed before it had ended
    run(house, apply=True, as_json=True)
    there = {one["id"]: one["emails"] for one in house.contacts()}
    assert len(there) == PEOPLE
    assert all(len(emails) == 2 for emails in there.values())
    ours = ExternalId.objects.filter(connection="crm", contact=True, gone_at=None)
    assert set(ours.values_list("external_id", flat=True)) == set(there)
    for row in ours:
        known = CandidateEmail.objects.filter(candidate=row.candidate)
        assert {email.normal for email in known} == set(there[row.external_id])
    run(house, apply=True, as_json=True)
    assert len(house.contacts()) == PEOPLE
