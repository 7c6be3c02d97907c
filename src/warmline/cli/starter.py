"""`warmline init`: the starter project, copied."""

from __future__ import annotations

import shutil
from importlib.resources import as_file, files
from pathlib import Path

from warmline.cli.setup import out
from warmline.core.errors import ConfigError


def make_project(folder: Path) -> None:
    """Raises ConfigError rather than write into a folder that holds something."""
    copy_starter(folder)
    out.print(f"Made {folder}. Next:", markup=False)
    out.print("  warmline sandbox                       the simulators, in a second terminal")
    for verb in ("check", "segment --apply", "up"):  # nothing is synced before the second
        out.print(f"  warmline {verb} --project {folder}", markup=False, soft_wrap=True)


def copy_starter(folder: Path) -> None:
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError("expected an empty or a new folder, found files in it", file=str(folder))
    with as_file(files("warmline.config") / "starter") as starter:
        shutil.copytree(starter, folder, dirs_exist_ok=True)
    (folder / "gitignore").rename(folder / ".gitignore")
    (folder / "secrets.env").chmod(0o600)
