"""A starter project to break, one line at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import SECRETS
from warmline.cli.starter import copy_starter
from warmline.config.project import load
from warmline.core.errors import ConfigError
from warmline.flows.runtime import build


@dataclass
class Folder:
    """A starter project. `edit` puts other text into a file of it; `fault` says what is wrong."""

    path: Path

    def edit(self, old: str, new: str, file: str = "warmline.yaml") -> int:
        """Replace the first `old`; returns the line (from 1) where it stood."""
        path = self.path / file
        text = path.read_text()
        assert old in text, f"{file} holds no {old!r}"
        path.write_text(text.replace(old, new, 1))
        return text[: text.index(old)].count("\n") + 1

    def fault(self) -> ConfigError:
        """What stops this project, whether the files or what the connectors say of them."""
        with pytest.raises(ConfigError) as caught:
            build(load(self.path)).close()
        return caught.value


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    copy_starter(tmp_path / "project")
    return Folder(tmp_path / "project")
