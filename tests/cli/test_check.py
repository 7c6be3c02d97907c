"""`warmline check` as people and scripts run it: the table, the JSON, the exit status."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_verbs import Said
from tests.conftest import SECRETS, point_at
from tests.harness import Simulators, Warmline, clean_environment, free_port, make_project
from warmline.cli.starter import copy_starter
from warmline.sandbox.serve import Sandbox

Run = Callable[..., Said]
ANSI = "\x1b"


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(background=False) as box:
        box.greenhouse.apply()
        yield box


@pytest.fixture
def folder(tmp_path: Path, box: Sandbox) -> Path:
    """The starter project on a sandbox of its own; where public_url points nothing listens."""
    copy_starter(tmp_path / "hiring")
    point_at(tmp_path / "hiring", box)
    edit(tmp_path / "hiring", "http://127.0.0.1:8025", f"http://127.0.0.1:{free_port()}")
    return tmp_path / "hiring"


@pytest.fixture
def check(folder: Path) -> Run:
    """Runs `warmline check` on it in a process of its own."""

    def run(*args: str, **env: str) -> Said:
        ours = {**SECRETS, "WARMLINE_SECRET_KEY": "k", "NO_COLOR": "1", "COLUMNS": "200", **env}
        done = subprocess.run(
            [*Warmline.command, "check", *args, "-p", str(folder)],
            env=clean_environment(**ours),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr + done.stdout
        for secret in SECRETS.values():
            assert secret not in done.stdout + done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def edit(folder: Path, old: str, new: str) -> None:
    path = folder / "warmline.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def row(said: Said, field: str) -> list[str]:
    """The cells of the first row that begins with this field."""
    lines = [line.strip("│ \n").split("│") for line in said.out.splitlines() if "│" in line]
    return next([cell.strip() for cell in line] for line in lines if line[0].strip() == field)


def findings(told: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    return {f["field"] or f["what"]: f for f in told["connections"][name]["findings"]}


def test_the_table_tells_each_connection_field_and_door(check: Run) -> None:
    said = check()
    assert said.code == 1
    assert said.err == ""
    assert ANSI not in said.out
    for title in ("ats (greenhouse)", "crm (hubspot)", "mail (smtp)", "export (files)",
                  "webhooks to ats", "webhooks to crm"):  # fmt: skip
        assert re.search(rf"^{re.escape(title)}\s*$", said.out, re.MULTILINE), title
    header = next(line for line in said.out.splitlines() if "field" in line)
    assert re.findall(r"\w[\w ]*\w", header) == ["field", "read", "write", "verdict", "what to do"]
    assert row(said, "email")[1:4] == ["yes", "", "ok"]
    assert row(said, "tags")[1:4] == ["yes", "yes", "ok"]
    assert row(said, "interview_date")[1:4] == ["?", "", "unknown"]
    # The one thing that is wrong here, once though two doors wait for it.
    assert said.out.rstrip().splitlines()[-1].startswith("1 to mend; ")
    assert "unreachable" in said.out


def test_json_alone_stands_on_standard_output(check: Run, box: Sandbox) -> None:
    box.hubspot.contacts.definitions["candidate_stage"]["modificationMetadata"]["readOnlyValue"] = (
        True
    )
    said = check("--json")
    assert (said.code, said.err) == (1, "")
    told = json.loads(said.out)
    parts = {"connections", "webhooks", "alerts"}
    assert set(told) == {"ok", "asked", "to_mend", "unseen", *parts}
    assert told["ok"] is False
    assert told["to_mend"] == 2
    assert list(told["connections"]) == ["ats", "crm", "mail", "export"]
    stage = findings(told, "crm")["stage"]
    assert stage == {
        "what": "contact property candidate_stage",
        "field": "stage",
        "read": "ok",
        "write": "read_only",
        "verdict": "read_only",
        "advice": "HubSpot lets nobody write it: name another one in the connection's `properties`",
    }
    assert findings(told, "ats")["email"]["write"] is None
    door = told["webhooks"]["ats"]
    assert door["url"].endswith("/in/ats")
    assert (door["last_signed_at"], door["last_signed_s_ago"]) == (None, None)
    assert door["findings"][0]["verdict"] == "unreachable"


def test_the_causes_are_told_apart_at_once(check: Run, box: Sandbox, folder: Path) -> None:
    """Wrong credentials at one, a plan at the other, nothing that answers at the third."""
    box.greenhouse.client_secret = "changed-over-there"
    box.hubspot.faults.add({"kind": "plan", "path": "/crm/v3/properties"})
    edit(folder, f"port: {box.smtp_port}", "port: 9")
    (folder / "data" / "candidates.csv").write_text("Name,Email\nAda,ada@example.com\n")
    told = json.loads(check("--json").out)
    assert findings(told, "ats")["email"]["verdict"] == "credentials"
    assert findings(told, "crm")["stage"]["verdict"] == "plan"
    assert {f["verdict"] for f in told["connections"]["mail"]["findings"]} == {"unreachable"}
    assert findings(told, "export")["email"]["verdict"] == "ok"
    assert findings(told, "export")["stage"]["verdict"] == "missing"


def test_offline_asks_nobody(check: Run, box: Sandbox) -> None:
    said = check("--offline")
    assert (said.code, said.err) == (0, "")
    assert len(said.out.splitlines()) == 1
    assert "4 connections" in said.out
    said = check("--offline", "--json")
    told = json.loads(said.out)
    assert (said.code, told["ok"], told["asked"]) == (0, True, False)
    assert {f["verdict"] for f in told["connections"]["ats"]["findings"]} == {"unknown"}
    assert box.greenhouse.log.as_json()["total"] == box.hubspot.log.as_json()["total"] == 0


def test_a_wrong_folder_is_status_2_and_no_json(check: Run, folder: Path) -> None:
    edit(folder, "connector: hubspot", "connector: hubsport")
    said = check("--json")
    assert (said.code, said.out) == (2, "")
    assert "warmline.yaml:" in said.err
    assert "hubsport" in said.err


def test_a_running_warmline_in_order_is_status_0(tmp_path: Path) -> None:
    """The real thing: simulators, `warmline up`, the ping that sandboxes send, and the check."""
    with Simulators() as simulators:
        port = free_port()
        folder = tmp_path / "project"
        make_project(folder, simulators, port)
        database = f"sqlite:///{tmp_path}/ledger.sqlite3"
        warmline = Warmline(folder, database, port)
        try:
            warmline.start()
            said = warmline.verb("check", "--json")
            assert said.returncode == 0, said.stdout + said.stderr
            told = json.loads(said.stdout)
            assert told["ok"] is True
            assert told["webhooks"]["ats"]["findings"][0]["verdict"] == "ok"
            assert warmline.ledger.count("incident", "key LIKE 'ats:%'") == 0
        finally:
            warmline.close()
        said = warmline.verb("check", "--json")
        assert said.returncode == 1
        assert json.loads(said.stdout)["webhooks"]["ats"]["findings"][0]["verdict"] == "unreachable"
