"""The verbs as people type them: a process of their own, sentences, exit statuses, no traceback."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import SECRETS
from warmline import __version__
from warmline.cli.starter import copy_starter


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@pytest.fixture
def warmline(tmp_path: Path) -> Callable[..., Said]:
    """Runs `python -m warmline …` in an empty folder, with nothing of ours in the environment."""

    def run(*args: object, cwd: Path = tmp_path, **env: str) -> Said:
        clean = {k: v for k, v in os.environ.items() if "WARMLINE" not in k and "DJANGO" not in k}
        done = subprocess.run(
            [sys.executable, "-m", "warmline", *map(str, args)],
            cwd=cwd,
            env={**clean, "NO_COLOR": "1", "COLUMNS": "200", **env},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr + done.stdout
        assert done.returncode != 70, done.stderr  # a fault of Warmline's
        for secret in SECRETS.values():
            assert secret not in done.stdout + done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project as `warmline init` makes it."""
    copy_starter(tmp_path / "hiring")
    return tmp_path / "hiring"


def edit(folder: Path, old: str, new: str) -> int:
    """Put other text into warmline.yaml; returns its line."""
    path = folder / "warmline.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return text[: text.index(old)].count("\n") + 1


def sentence(said: Said, *words: str) -> None:
    """It failed, and said why in a sentence or two, and nothing else."""
    assert said.code == 2
    assert said.out == ""
    lines = said.err.strip().splitlines()
    assert lines[0].startswith("error ")
    assert len(lines) <= 3
    for word in words:
        assert word in said.err


Run = Callable[..., Said]


def test_version_and_help(warmline: Run) -> None:
    assert warmline("--version").out == f"warmline {__version__}\n"
    help_text = warmline("--help").out
    for verb in ("init", "check", "up", "demo", "import", "triggers", "explain", "replay",
                 "settle", "sandbox"):  # fmt: skip
        assert re.search(rf"^\s+{verb}\s+\S", help_text, re.MULTILINE), verb
    said = warmline("settle", "--help")
    assert (said.code, said.err) == (0, "")
    assert "Usage" in said.out


def test_help_opens_no_ledger(warmline: Run, tmp_path: Path) -> None:
    warmline("check", "--help")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("args", [["nonsense"], ["explain"], ["replay", "x"], ["check", "--no"]])
def test_a_word_that_is_none_is_a_usage_error(warmline: Run, args: list[str]) -> None:
    said = warmline(*args)
    assert said.code == 2
    assert "Usage" in said.err


# init


def test_init_makes_a_project_that_check_accepts(warmline: Run, tmp_path: Path) -> None:
    said = warmline("init", "hiring")
    assert said.code == 0
    assert "warmline segment --apply --project hiring" in said.out
    assert "warmline check --project hiring" in said.out
    folder = tmp_path / "hiring"
    assert (folder / ".gitignore").read_text().splitlines() == ["secrets.env", "var/"]
    assert (folder / "secrets.env").stat().st_mode & 0o777 == 0o600
    said = warmline("check", "--offline", "--project", folder)
    assert said.code == 0
    assert "4 connections" in said.out
    assert "2 sequences with 7 steps" in said.out


def test_init_fills_an_empty_folder_and_refuses_one_with_files(
    warmline: Run, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    assert warmline("init", "empty").code == 0
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    sentence(warmline("init", "full"), "expected an empty or a new folder")
    assert [p.name for p in full.iterdir()] == ["mine.txt"]
    sentence(warmline("init", "full/mine.txt"))
    assert (full / "mine.txt").read_text() == "mine"


# The project


def test_without_a_project_every_verb_says_how_to_make_one(warmline: Run, tmp_path: Path) -> None:
    for args in (["check"], ["up"], ["triggers"], ["explain", "1"], ["replay", "1"], ["settle"],
                 ["import"]):  # fmt: skip
        sentence(warmline(*args), "no warmline.yaml in", "warmline init")
    sentence(warmline("check", "--project", "nowhere"), "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_the_project_is_found_here_by_option_and_by_environment(
    warmline: Run, folder: Path
) -> None:
    assert warmline("check", "--offline", cwd=folder).code == 0
    assert warmline("check", "--offline", "-p", folder).code == 0
    assert warmline("check", "--offline", WARMLINE_PROJECT=str(folder)).code == 0
    assert warmline("import", "--project", "hiring").code == 0
    assert (folder / "var" / "warmline.sqlite3").exists()


def test_a_wrong_line_is_named_with_file_and_number(warmline: Run, folder: Path) -> None:
    line = edit(folder, "from: ats, do: contact.upsert", "from: lever, do: contact.upsert")
    for verb in ("check", "up"):
        said = warmline(verb, "--project", folder)
        sentence(said, f"{folder / 'warmline.yaml'}:{line}: ", "'lever'", "expected one of")


def test_what_is_no_yaml_is_named_with_file_and_number(warmline: Run, folder: Path) -> None:
    edit(folder, "company: Northwind", "company: [Northwind")
    said = warmline("check", "--offline", "--project", folder)
    assert re.search(rf"{re.escape(str(folder))}/warmline\.yaml:\d+: is not YAML here", said.err)
    sentence(said)


@pytest.mark.parametrize("odd", ["[/red]", "[bold]", "%s {x}"])
def test_what_stands_in_a_file_is_shown_as_it_stands(warmline: Run, folder: Path, odd: str) -> None:
    edit(folder, "from: ats, do: contact.upsert", f"from: '{odd}', do: contact.upsert")
    sentence(warmline("check", "--offline", "--project", folder), f"'{odd}'")


def test_names_that_look_like_markup_are_shown_as_they_are(warmline: Run, folder: Path) -> None:
    """Applicants choose their names, and a terminal's colours are not theirs to set."""
    path = folder / "data" / "candidates.csv"
    path.write_text(path.read_text().replace("Amara,Okonkwo", "[/b] Amara,[red]Okonkwo"))
    edit(folder, "name: stage to interview", "name: '[/i] stage'")
    assert warmline("import", "--project", folder).code == 0
    said = warmline("explain", "amara.okonkwo@example.com", "--project", folder)
    assert said.code == 0
    assert "[/b] Amara [red]Okonkwo" in said.out
    assert warmline("triggers", "--offline", "--project", folder).code == 0


def test_secrets_env_that_is_not_utf_8_is_a_sentence(warmline: Run, folder: Path) -> None:
    (folder / "secrets.env").write_bytes(b"WARMLINE_ATS_CLIENT_ID=\xff\xfe")
    sentence(warmline("check", "--offline", "--project", folder), "secrets.env")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WARMLINE_LISTEN", "nowhere", "expected HOST:PORT"),
        ("WARMLINE_WEB_THREADS", "many", "expected int"),
        ("WARMLINE_DATABASE_URL", "mysql://host/x", "expected sqlite:/// or postgresql://"),
        ("WARMLINE_DATABASE_URL", "sqlite:////nowhere/at/all.sqlite3", "cannot be opened"),
        ("WARMLINE_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:1/x", "cannot be opened"),
        ("WARMLINE_SECRET_KEY_FILE", "/nowhere/key", "cannot be read"),
    ],
)
def test_a_wrong_setting_is_a_sentence(
    warmline: Run, folder: Path, name: str, value: str, words: str
) -> None:
    said = warmline("settle", "--project", folder, **{name: value})
    sentence(said, words)
    assert "hunter2" not in said.err


def test_a_wrong_log_level_stops_up_with_a_sentence(warmline: Run, folder: Path) -> None:
    said = warmline("up", "--project", folder, WARMLINE_LOG_LEVEL="LOUD")
    sentence(said, "WARMLINE_LOG_LEVEL is 'LOUD'")


def test_a_port_that_is_taken_stops_up_with_a_sentence(warmline: Run, folder: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        said = warmline("up", "--project", folder, WARMLINE_LISTEN=listen)
    assert said.code == 2
    assert "error " in said.err


# The verbs


def test_triggers_shows_the_guides_columns(warmline: Run, folder: Path) -> None:
    said = warmline("triggers", "--offline", "--project", folder)
    assert (said.code, said.err) == (0, "")
    for word in ("event", "source", "action", "target", "fields passed", "application.submitted",
                 "sequence: welcome", "applied_role", "stage.kind in"):  # fmt: skip
        assert word in said.out


def test_import_reads_the_sample_and_says_what_became_of_it(warmline: Run, folder: Path) -> None:
    said = warmline("import", "export", "--project", folder)
    assert said.code == 0
    assert "export: 4 new rows" in said.out
    assert "4 interpreted" in said.out
    said = warmline("import", "--project", folder)
    assert "export: 0 new rows" in said.out
    sentence(warmline("import", "ats", "--project", folder), "'ats'", "expected one of ['export']")


def test_import_of_nothing_and_of_a_broken_file_is_a_sentence(warmline: Run, folder: Path) -> None:
    path = folder / "data" / "candidates.csv"
    path.unlink()
    sentence(warmline("import", "--project", folder), "candidates.csv")
    path.write_bytes(b"\x00\x01\x02" * 100)
    said = warmline("import", "--project", folder)
    assert said.code in (0, 2)


def test_import_tells_the_bad_rows_of_this_import_alone(warmline: Run, folder: Path) -> None:
    path = folder / "data" / "candidates.csv"
    head = "Candidate ID,Name,Email,Job,Applied On\n"
    path.write_text(head + "1,Ada,ada@example.org,Cook,soon\n")
    assert "found 'soon'" in warmline("import", "--project", folder).out
    path.write_text(head + "2,Bo,bo@example.org,Cook,later\n")
    said = warmline("import", "--project", folder)
    assert "found 'later'" in said.out
    assert "found 'soon'" not in said.out
    assert "2 malformed" in said.out


def test_explain_tells_all_of_a_candidate_and_why(warmline: Run, folder: Path) -> None:
    warmline("import", "--project", folder)
    for query in (" MJ.Ferrer@Example.net ", "90003", "3"):
        said = warmline("explain", query, "--project", folder)
        assert said.code == 0
        assert "María José Ferrer" in said.out
        assert "silver_medalist" in said.out
        assert "because: export said" in said.out


@pytest.mark.parametrize("query", ["nobody@example.com", "9" * 40, "", "x" * 500, "[/b]"])
def test_explain_of_nobody_is_a_sentence(warmline: Run, folder: Path, query: str) -> None:
    said = warmline("explain", "--project", folder, "--", query)
    sentence(said, "no candidate is known by", "e-mail address")


@pytest.mark.parametrize("number", ["987654", "9" * 19, "9" * 40])
def test_replay_of_nothing_is_a_sentence(warmline: Run, folder: Path, number: str) -> None:
    sentence(warmline("replay", number, "--project", folder), f"there is no delivery {number}")


def test_replay_of_a_delivery_reads_it_again(warmline: Run, folder: Path) -> None:
    warmline("import", "--project", folder)
    said = warmline("replay", "1", "--project", folder)
    assert (said.code, said.err) == (0, "")
    assert "delivery 1 is interpreted" in said.out


def test_settle_with_nothing_to_settle(warmline: Run, folder: Path) -> None:
    said = warmline("settle", "--project", folder)
    assert (said.code, said.out) == (0, "no message is unknown\n")
    for args in (["7", "--arrived"], ["7", "--send"]):
        sentence(warmline("settle", *args, "--project", folder), "there is no message 7")
    sentence(warmline("settle", "7", "--project", folder), "--arrived or --send")
    said = warmline("settle", "7", "--arrived", "--send", "--project", folder)
    sentence(said, "not both")
