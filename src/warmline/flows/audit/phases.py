"""Phases that are done once: an audit that was stopped goes on after the last one that finished."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import duckdb

from warmline.core.errors import WarmlineError
from warmline.flows.audit.sql import Connection

MEMORY = "2GB"
# Goes up when a phase leaves other tables than before: what an older one left is of no use.
VERSION = 2
_EDGE_BYTES = 64 * 1024
_DATABASE = "audit.duckdb"


@dataclass(frozen=True, slots=True)
class Work:
    """An open work folder: what it holds belongs to one source and one set of settings."""

    folder: Path
    con: Connection
    done: dict[str, Any]

    def once(self, phase: str, run: Callable[[], Any]) -> Any:
        """What `run` gives (of JSON's kinds), from this time or from the time it finished."""
        if phase not in self.done:
            result = run()
            self.con.execute("insert into phases values (?, ?)", [phase, json.dumps(result)])
            self.con.execute("checkpoint")
            self.done[phase] = result
        return self.done[phase]

    def close(self) -> None:
        self.con.close()

    def remove(self) -> None:
        """Personal data is kept no longer than it is of use."""
        self.con.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def name_of(*parts: object) -> str:
    """The name of a work folder: another source or other settings are another folder."""
    text = json.dumps([VERSION, *map(str, parts)])
    return blake2b(text.encode(), digest_size=10).hexdigest()


def fingerprint(path: Path) -> str:
    """Size, time and a hash of the head: cheap, and it changes when the file does."""
    stat = path.stat()
    with path.open("rb") as file:
        head = blake2b(file.read(_EDGE_BYTES), digest_size=8).hexdigest()
    return f"{path.absolute()}-{stat.st_size}-{stat.st_mtime_ns}-{head}"


def open_work(folder: Path, *, memory: str = MEMORY) -> Work:
    """Open or make it. Raises WarmlineError where another audit of the same source is running."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / _DATABASE
    try:
        con = duckdb.connect(str(path))
    except duckdb.IOException as error:
        if "lock" in str(error).lower():
            raise WarmlineError(
                "an audit of the same source is running already",
                hint="wait for it, or stop it; this one then goes on where it was",
            ) from None
        con = _afresh(path)
    except duckdb.Error:
        con = _afresh(path)  # half of a database, left by a power cut
    path.chmod(0o600)
    con.execute(f"set memory_limit = '{memory}'")
    con.execute(f"set temp_directory = '{str(folder / 'spill').replace(chr(39), chr(39) * 2)}'")
    # Tables are written once and read a few times: packing them costs more than it saves.
    con.execute("pragma force_compression = 'uncompressed'")
    con.execute("set autoinstall_known_extensions = false")
    con.execute("create table if not exists phases (name VARCHAR, result VARCHAR)")
    rows = con.execute("select name, result from phases").fetchall()
    return Work(folder, con, {name: json.loads(result) for name, result in rows})


def _afresh(path: Path) -> Connection:
    for each in (path, path.with_name(path.name + ".wal")):
        with suppress(FileNotFoundError):
            each.unlink()
    return duckdb.connect(str(path))
