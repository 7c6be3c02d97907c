"""`make connector`: what it lays out is a connector, and a wrong name is told so."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import warmline.connectors
from warmline.core.errors import ConfigError
from warmline.kit.manifest import manifests, read_manifest
from warmline.testing.contract import Subject, checks_for
from warmline.testing.contract.__main__ import main
from warmline.testing.contract.golden import update
from warmline.testing.contract.new import lay_out

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("name", ["zoho_recruit", "ab", "a" * 24])
def test_a_new_folder_lints_and_keeps_the_contract(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "src" / "warmline" / "connectors"
    told = lay_out(name, folder)
    assert f"### `{name}`" in told
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for there in (ROOT / "src" / "warmline").iterdir():  # so that ruff knows what is our own
        if there.name != "connectors":
            (folder.parent / there.name).symlink_to(there)
    for verb in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        ruff = [sys.executable, "-m", "ruff", *verb, str(folder)]
        ran = subprocess.run(ruff, capture_output=True, text=True, cwd=tmp_path)
        assert ran.returncode == 0, ran.stdout
    monkeypatch.setattr(
        warmline.connectors, "__path__", [*warmline.connectors.__path__, str(folder)]
    )
    module = importlib.import_module(f"warmline.connectors.{name}.contract")
    home = folder / name
    laid_out = Subject(read_manifest(home / "manifest.toml"), home, module.harness())
    for check in checks_for(laid_out):
        check.run(laid_out)
    assert update(laid_out) == []
    tests = importlib.import_module(f"warmline.connectors.{name}.test_connector")
    tests.test_a_word_that_has_no_event_gives_none()
    tests.test_the_readme_names_every_word()


@pytest.mark.parametrize(
    "name",
    ["", "Lever", "1st", "a", "le-ver", "lever ", "../lever", "a/b", "class", "x" * 25, "le__\n"],
)
def test_a_name_that_is_none_is_told_what_one_is(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="lower-case letters"):
        lay_out(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_says_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected the vendor's name"):
        lay_out("utils", tmp_path)


def test_a_name_that_is_taken_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    before = (ROOT / "src/warmline/connectors/greenhouse/connector.py").read_bytes()
    assert main(["new", "greenhouse"]) == 1
    told = capsys.readouterr()
    assert told.err == "NAME: connectors/greenhouse is there already; nothing was changed\n"
    assert (ROOT / "src/warmline/connectors/greenhouse/connector.py").read_bytes() == before


def test_golden_events_are_asked_for_by_a_name_that_there_is(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["golden", "nobody"]) == 1
    assert ", ".join(manifests()) in capsys.readouterr().err
    assert main(["golden", "hubspot"]) == 0
    assert capsys.readouterr().out == "nothing changed\n"
    assert main([]) == 2
    assert capsys.readouterr().err.startswith("usage: ")
