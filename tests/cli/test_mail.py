"""`warmline mail` and `warmline check mail` as people and scripts run them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.test_verbs import Said
from tests.conftest import SECRETS, mails_of, point_at
from tests.harness import Warmline, clean_environment
from tests.names import names
from warmline.cli.starter import copy_starter
from warmline.sandbox.serve import Sandbox

Run = Callable[..., Said]
LETTER = "sequences/welcome/02-culture-story.md"


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(background=False) as box:
        yield box


@pytest.fixture
def folder(tmp_path: Path, box: Sandbox) -> Path:
    copy_starter(tmp_path / "hiring")
    point_at(tmp_path / "hiring", box)
    return tmp_path / "hiring"


@pytest.fixture
def run(folder: Path) -> Run:
    def run(*words: str) -> Said:
        ours = {**SECRETS, "WARMLINE_SECRET_KEY": "k", "NO_COLOR": "1", "COLUMNS": "60"}
        done = subprocess.run(
            [*Warmline.command, *words, "-p", str(folder)],
            env=clean_environment(**ours),
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr + done.stdout
        return Said(done.returncode, done.stdout, done.stderr)

    return run


def test_a_preview_says_what_it_is_and_writes_the_html(run: Run, folder: Path) -> None:
    said = run("mail", "preview", "silver-medalist/1")
    assert said.code == 0, said.err
    assert "subject Thank you, and may I write to you again?" in " ".join(said.out.split())
    assert "for      a sample person" in said.out
    assert "Hi Amara," in said.out
    page = folder / "letter.html"
    said = run("mail", "preview", "silver-medalist/1", "--html", str(page))
    assert "bytes, for a sample person" in said.out
    assert page.read_text().startswith("<!doctype html>")


def test_a_letter_that_is_not_there_is_a_sentence(run: Run) -> None:
    said = run("mail", "preview", "welcome/7")
    assert said.code == 2
    assert "welcome has no letter '7'" in said.err


def test_a_test_arrives_and_a_wrong_address_does_not(run: Run, box: Sandbox) -> None:
    said = run("mail", "test", "welcome/1", "--to", "me@northwind.example")
    assert (said.code, said.out.split(":")[0]) == (0, "sent, for a sample person")
    (mail,) = mails_of(box)
    assert mail["subject"].startswith("[Test] ")
    said = run("mail", "test", "welcome/1", "--to", "me")
    assert said.code == 2
    assert "--to is no e-mail address" in said.err
    box.mailbox.faults.add({"kind": "refuse", "count": 1})
    said = run("mail", "test", "welcome/1", "--to", "me@northwind.example")
    assert said.code == 1
    assert "the test was not accepted" in said.err
    assert len(mails_of(box)) == 1


def test_lint_is_a_gate_that_needs_no_ledger(run: Run, folder: Path) -> None:
    said = run("mail", "lint")
    assert said.code == 0, said.out
    assert said.out.endswith("22 letters: 0 errors, 18 warnings\n")
    assert not (folder / "var").exists()
    path = folder / LETTER
    path.write_text(path.read_text().replace("The yellow", "Urgent [bold]the[/bold] yellow"))
    said = run("mail", "lint")
    assert said.code == 1
    (line,) = [line for line in said.out.splitlines() if line.startswith(f"{LETTER}:2:")]
    assert "error subject-spam: 'Urgent'" in line
    said = run("mail", "lint", "--json")
    assert said.code == 1
    told = json.loads(said.out)
    assert (told["letters"], told["errors"]) == (22, 1)
    assert {"file", "rule", "severity", "line", "found", "expected"} == set(told["faults"][0])


def test_check_mail_prints_records_that_can_be_copied(run: Run, folder: Path) -> None:
    path = folder / "warmline.yaml"
    text = path.read_text()
    with names(
        "example.com. IN MX 10 mail.example.com.\nmail.example.com. IN A 203.0.113.7"
    ) as dns:
        told = f'  dns: {{server: "{dns.server}", selectors: [s1], hosts: [mail.example.com]}}\n'
        path.write_text(text.replace("  sender:\n", told + "  sender:\n", 1))
        said = run("check", "mail")
        as_json = run("check", "mail", "--json")
    assert said.code == as_json.code == 1
    for record in (
        'example.com. IN TXT "v=spf1 ip4:203.0.113.7 ~all"',
        's1._domainkey.example.com. IN TXT "v=DKIM1; k=rsa; p=…"',
        '_dmarc.example.com. IN TXT "v=DMARC1; p=none; rua=mailto:dmarc@example.com"',
        "7.113.0.203.in-addr.arpa. IN PTR mail.example.com.",
    ):
        assert record in said.out, "whole, whatever the width of the terminal"
    report = json.loads(as_json.out)
    assert (report["ok"], report["to_mend"]) == (False, 5)
    assert report["dns"] == []
    said = run("check", "letters")
    assert said.code == 2
    assert "expected `check` or `check mail`" in said.err
