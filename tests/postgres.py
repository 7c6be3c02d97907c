"""A PostgreSQL of the tests' own, where the server's programs are installed."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def _programs() -> Path | None:
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if int(folder.parent.name) >= 15 and (folder / "initdb").exists():
            return folder
    found = shutil.which("initdb")
    return Path(found).parent if found else None


PROGRAMS = _programs()
WHY_NOT = "" if PROGRAMS else "PostgreSQL 15+ is not installed (Debian: postgresql)"


@contextmanager
def server() -> Iterator[str]:
    """A cluster in a temporary folder on a free port of loopback; gives its URL, without a
    database's name. PostgreSQL will not run as root: as root, `postgres` or `nobody` runs it."""
    assert PROGRAMS is not None
    with tempfile.TemporaryDirectory(prefix="wl-pg-", ignore_cleanup_errors=True) as folder:
        user = _other_user() if os.geteuid() == 0 else None
        if user:
            shutil.chown(folder, user)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        data = f"{folder}/data"
        _run(
            user, "initdb", "-D", data, "-U", "warmline", "-A", "trust", "-E", "UTF8", "--locale=C"
        )
        options = (
            f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
        )
        _run(user, "pg_ctl", "-D", data, "-w", "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql://warmline@127.0.0.1:{port}"
        finally:
            _run(user, "pg_ctl", "-D", data, "-m", "immediate", "stop")


def _other_user() -> str:
    known = Path("/etc/passwd").read_text()
    return "postgres" if "\npostgres:" in known else "nobody"


def _run(user: str | None, program: str, *arguments: str) -> None:
    assert PROGRAMS is not None
    subprocess.run(
        [str(PROGRAMS / program), *arguments],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        cwd="/",
    )
