"""`make connector`: what it lays out passes lint and the contract suite as it is."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import warmline.connectors
from warmline.core.errors import ConfigError
from warmline.kit.manifest import FOLDER, read_manifest
from warmline.testing.contract import Subject, checks_for
from warmline.testing.contract.__main__ import main
from warmline.testing.contract.new import lay_out

ROOT = Path(__file__).parent.parent.parent
LONGEST = "a_name_that_is_long9"


@pytest.mark.parametrize("name", ["zz", LONGEST])
def test_a_new_folder_passes_the_suite_and_its_own_tests(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = lay_out(name, tmp_path)
    assert str(tmp_path / name) in told
    monkeypatch.setattr(
        warmline.connectors, "__path__", [*warmline.connectors.__path__, str(tmp_path)]
    )
    module = importlib.import_module(f"warmline.connectors.{name}.contract")
    subject = Subject(
        read_manifest(tmp_path / name / "manifest.toml"), tmp_path / name, module.harness()
    )
    checks = checks_for(subject)
    assert "rubbish_is_malformed" in {check.name for check in checks}
    for check in checks:
        check.run(subject)
    own = importlib.import_module(f"warmline.connectors.{name}.test_connector")
    for test in (getattr(own, word) for word in dir(own) if word.startswith("test_")):
        test()


@pytest.mark.parametrize("name", ["zz", LONGEST])
def test_a_new_folder_passes_lint(name: str, tmp_path: Path) -> None:
    lay_out(name, tmp_path)
    config = ["--config", str(ROOT / "pyproject.toml")]
    # As in its own place: tests there may assert.
    for verb in (["check", "--ignore", "S101"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *verb, *config, str(tmp_path)]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "name", ["", "Acme", "a", "9lives", "ac-me", "../evil", "class", "x" * 21, "ac me", "äcme"]
)
def test_a_bad_name_is_refused_with_a_sentence(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is no name for a connector: expected 2 to 20"):
        lay_out(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_taken_name_is_refused_and_nothing_is_touched(
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = (FOLDER / "hubspot" / "manifest.toml").read_bytes()
    assert main(["new", "hubspot"]) == 1
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith("there is a connector hubspot already: ")
    assert (FOLDER / "hubspot" / "manifest.toml").read_bytes() == before


@pytest.mark.parametrize("arguments", [[], ["new"], ["old", "x"], ["new", "a", "b"]])
def test_a_wrong_call_says_how(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert capsys.readouterr().err.startswith("usage: ")


def test_a_connector_that_is_none_has_no_golden_events(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["golden", "nobody"]) == 1
    assert "there is no connector 'nobody'" in capsys.readouterr().err
