"""The project as it was: another folder, or a Git revision of this one, read without touching the
working tree."""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from warmline.config.project import FILE, Project, load
from warmline.core.errors import ConfigError, WarmlineError

_GIT_S = 60
_BYTES_MAX = 100 * 1024 * 1024


@contextmanager
def old_version(old: str, folder: Path) -> Iterator[Project]:
    """Raises WarmlineError where `old` is neither, and ConfigError for what is wrong in it, under
    the name that it has for its author."""
    path = Path(old)
    if path.is_dir():
        if not (path / FILE).is_file():
            raise ConfigError(
                f"--against names the folder {old}, which holds no {FILE}",
                hint="expected a project folder, or a Git revision such as HEAD~1",
            )
        yield load(path.absolute())
        return
    with tempfile.TemporaryDirectory(prefix="warmline-simulate-") as made:
        _unpack(_archive(old, folder), Path(made))
        if not (Path(made) / FILE).is_file():
            raise ConfigError(f"the revision {old} holds no {FILE} in this folder")
        try:
            yield load(Path(made))
        except ConfigError as error:
            if made not in str(error):
                raise
            said = str(error).replace(f"{made}/", f"{old}:")
            raise ConfigError(said, hint=error.hint) from None


def _archive(revision: str, folder: Path) -> bytes:
    if not shutil.which("git"):
        raise WarmlineError(f"--against names {revision!r}, which is no folder; there is no git")
    if revision.startswith("-"):
        raise WarmlineError(f"--against names {revision!r}; expected a folder or a Git revision")
    prefix = _git(folder, "rev-parse", "--show-prefix")
    if prefix is None:
        raise WarmlineError(
            f"--against names {revision!r}, which is no folder; and {folder} is not under Git",
            hint="expected a project folder, or a Git revision of this one",
        )
    commit = _git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit is None:
        raise WarmlineError(
            f"--against names {revision!r}, which is neither a folder nor a Git revision",
            hint="expected a project folder, or a revision such as HEAD~1 or origin/main",
        )
    tree = f"{commit.decode().strip()}:{prefix.decode().strip()}"
    top = _git(folder, "rev-parse", "--show-toplevel") or b""
    # From the top: elsewhere `git archive` takes the folder that it is in for a part of the tree.
    found = _git(Path(top.decode().rstrip("\n")), "archive", "--format=tar", tree)
    if found is None:
        raise ConfigError(f"the revision {revision} does not hold this folder")
    return found


def _git(folder: Path, *arguments: str) -> bytes | None:
    try:
        ran = subprocess.run(  # noqa: S603 - no shell; the revision never begins with a dash
            ["git", "-C", str(folder), *arguments],  # noqa: S607
            capture_output=True,
            check=False,
            timeout=_GIT_S,
        )
    except subprocess.TimeoutExpired:
        raise WarmlineError(f"git took longer than {_GIT_S} s") from None
    return None if ran.returncode else ran.stdout


def _unpack(archive: bytes, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        if sum(member.size for member in tar.getmembers()) > _BYTES_MAX:
            raise ConfigError(f"the old version holds over {_BYTES_MAX:,} bytes")
        tar.extractall(folder, filter="data")
