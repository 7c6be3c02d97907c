"""An ATS's exports as a source: which files, from where on, and a page of rows at a time."""

from __future__ import annotations

import codecs
import contextlib
import glob
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any

from warmline.connectors.files.rows import Reader, content_key
from warmline.core.errors import ConfigError
from warmline.core.events import Event
from warmline.kit.exports.columns import (
    DATES,
    NEEDED,
    Column,
    Columns,
    Recognition,
    configured_columns,
    configured_stages,
)
from warmline.kit.exports.dates import order_of
from warmline.kit.exports.reading import ENDINGS, rows
from warmline.kit.exports.shapes import Row
from warmline.ports import Access, Finding, Needs, Options, Page, Received, Record, Verdict

STREAM = "rows"
PAGE_ROWS = 500
FILES_MAX = 1000
CHECKED_FILES_MAX = 20
# Rows looked at before reading: so many always, and more where something is still to be found.
SURVEY_ROWS = 1000
SURVEY_ROWS_MAX = 100_000
_EDGE_BYTES = 64 * 1024
APPLICATION_DATE = "application_date"
# What `check` is asked for, as the columns of which one is enough.
FIELDS: Mapping[str, tuple[Column, ...]] = {
    **{field: NEEDED[field] for field in ("email", "name", "applied_role", "stage")},
    "recruiter_owner": NEEDED["owner"],
    APPLICATION_DATE: NEEDED["applied_at"],
    "tags": (Column.TAGS,),
}


@dataclass(frozen=True, slots=True)
class _Survey:
    """What a first pass over a file found: its headers, and the order of day and month (`?` where
    dates need one and none shows it)."""

    headers: tuple[str, ...]
    date_order: str
    rows: int
    fault: str


class Files:
    def __init__(self, options: Options) -> None:
        where = f"connection {options.name}"
        settings = options.settings
        self._path = str(settings.get("path") or "").strip()
        self._folder = options.folder
        if not self._path:
            raise ConfigError(f"{where}: path is missing: an export, a folder, or a pattern")
        self._where = where
        order = str(settings.get("date_order") or "auto")
        if order not in ("auto", "dmy", "mdy"):
            raise ConfigError(f"{where}: date_order is {order!r}; expected auto, dmy or mdy")
        self._encoding = str(settings.get("encoding") or "auto")
        if self._encoding != "auto":
            try:
                codecs.lookup(self._encoding)
            except LookupError:
                raise ConfigError(
                    f"{where}: encoding is {self._encoding!r}; expected auto or a name such as "
                    "utf-8 or cp1252"
                ) from None
        self._recognition = Recognition(configured_columns(settings.get("columns"), where))
        self._reader = Reader(
            self._recognition, configured_stages(settings.get("stages"), where), order
        )

    # -- listing

    def streams(self) -> tuple[str, ...]:
        return (STREAM,)

    def start(self, *, now: datetime) -> str:
        """Every file that is there now counts as read."""
        place = _Place({})
        # What is not there yet, or cannot be read, is news when it can.
        with contextlib.suppress(ConfigError):
            for path in self._paths():
                with contextlib.suppress(OSError):
                    place.done[str(path)] = _fingerprint(path)
        return place.written()

    def changes(self, stream: str, cursor: str, *, now: datetime) -> Iterator[Page]:
        """Every row of every file that is new or changed since `cursor`, in pages. A file that was
        being read is gone on with where it is still the same."""
        place = _Place.read(cursor)
        held: Page | None = None
        try:
            for page in self._pages(stream, place):
                if held is not None:
                    yield held
                held = page
        except ConfigError:
            if held is not None:
                yield held  # what was read before the file that is wrong
            raise
        yield Page(stream, held.records if held else (), place.written(), last=True)

    def _pages(self, stream: str, place: _Place) -> Iterator[Page]:
        paths = self._paths()
        place.forget_all_but({str(path) for path in paths})
        for path in paths:
            yield from self._file_pages(stream, path, place)

    def _file_pages(self, stream: str, path: Path, place: _Place) -> Iterator[Page]:
        try:
            print_before = _fingerprint(path)
        except OSError:
            return  # taken away between the listing and now; the next sweep sees
        if place.done.get(str(path)) == print_before:
            return
        skip = place.row if (place.file, place.fingerprint) == (str(path), print_before) else 0
        survey = self._survey(path)
        if survey.headers:
            self._recognition.require(survey.headers, path.name)
        place.file, place.fingerprint, place.row = str(path), print_before, skip
        waiting: list[Record] = []
        for row in rows(path, self._encoding):
            if row.number <= skip:
                continue
            if len(waiting) == PAGE_ROWS:
                yield Page(stream, tuple(waiting), place.written())
                waiting = []
            waiting.append(_record(path.name, row, survey.date_order))
            place.row = row.number
        if _still(path, print_before):
            place.done[str(path)] = print_before
        elif waiting:
            # It grew as we read: the last row may be half of one. The next sweep reads it anew.
            waiting.pop()
        place.file, place.fingerprint, place.row = "", "", 0
        if waiting:
            yield Page(stream, tuple(waiting), place.written())

    def _paths(self) -> list[Path]:
        """The files, the oldest first, so that the newest export has the last word."""
        path = self._folder / Path(self._path).expanduser()
        if path.is_dir():
            found = [each for each in path.iterdir() if _is_export(each)]
        elif glob.has_magic(str(path)):
            found = [Path(each) for each in glob.glob(str(path))]  # noqa: PTH207 -- patterns in folders
            found = [each for each in found if each.is_file() and each.name[0] not in ".~"]
        elif path.is_file():
            found = [path]
        else:
            raise ConfigError(
                f"{self._where}: path: found nothing at {self._path}; expected an export, "
                "a folder, or a pattern"
            )
        if len(found) > FILES_MAX:
            raise ConfigError(
                f"{self._where}: path: found {len(found)} files; expected at most {FILES_MAX}"
            )
        return sorted(found, key=_age)

    def _survey(self, path: Path) -> _Survey:
        headers: dict[str, None] = {}
        wanted = set(self._recognition.configured)
        order, count, fault = "", 0, ""
        columns: tuple[str, ...] = ()
        dated: tuple[str, ...] = ()
        for row in rows(path, self._encoding):
            if row.fault:
                fault = fault or f"row {row.number}: {row.fault}"
                continue
            count += 1
            if tuple(row.data) != columns:
                columns = tuple(row.data)
                headers |= dict.fromkeys(columns)
                known = self._recognition.columns(columns).header
                dated = tuple(known[each] for each in DATES if each in known)
                wanted -= set(known)
            if order in ("", "?"):
                seen = {order_of(row.data.get(header)) for header in dated}
                order = next((each for each in ("dmy", "mdy", "?") if each in seen), order)
            open_question = wanted or (order == "?" and self._reader.date_order == "auto")
            if count >= (SURVEY_ROWS_MAX if open_question else SURVEY_ROWS):
                break
        return _Survey(tuple(headers), order, count, fault)

    # -- reading

    def parse(self, received: Received) -> list[Event]:
        return self._reader.events(received.body, received.received_at)

    # -- checking

    def check(self, needs: Needs) -> list[Finding]:
        """For each of the newest files: can it be read, and which header is which field."""
        try:
            paths, advice = self._paths(), ""
        except ConfigError as error:
            paths, advice = [], error.reason
        if not paths:
            advice = advice or f"no file there yet; one that ends in {', '.join(ENDINGS)} is read"
            return [
                Finding(f"path {self._path}", Verdict.MISSING, advice),
                *(_unseen(field, self._path, needed) for field, needed in needs.fields.items()),
            ]
        return [
            each for path in paths[-CHECKED_FILES_MAX:] for each in self._check_file(path, needs)
        ]

    def _check_file(self, path: Path, needs: Needs) -> list[Finding]:
        name = path.name
        try:
            survey = self._survey(path)
        except OSError as error:
            survey = _Survey((), "", 0, f"it cannot be opened: {error.strerror}")
        if not survey.headers:
            return [
                Finding(name, Verdict.FAILED, survey.fault or "no row below a header"),
                *(_unseen(field, name, needed) for field, needed in needs.fields.items()),
            ]
        found = [Finding(name, Verdict.OK, f"readable; looked at {survey.rows:,} rows")]
        if survey.fault:
            found.append(Finding(f"{name}: rows", Verdict.FAILED, survey.fault))
        try:
            self._recognition.require(survey.headers, name)
        except ConfigError as error:
            found.append(Finding(f"{name}: columns", Verdict.FAILED, error.reason))
        columns = self._recognition.columns(survey.headers)
        # A row without a date counts as happening when it is read, whatever the triggers pass.
        fields = {APPLICATION_DATE: frozenset({Access.READ}), **needs.fields}
        found += [_field(field, name, columns, needed) for field, needed in fields.items()]
        told = {column for field in fields for column in FIELDS.get(field, ())}
        found += [
            Finding(f"{name}: {column}", Verdict.OK, f"column {header!r}")
            for column, header in columns.header.items()
            if column not in told
        ]
        found += _doubled(name, columns)
        if survey.date_order == "?" and self._reader.date_order == "auto":
            advice = "dates such as 03/04/2026 could be either; set date_order to dmy or mdy"
            found.append(Finding(f"{name}: date_order", Verdict.MISSING, advice))
        return found


def _field(field: str, name: str, columns: Columns, needed: frozenset[Access]) -> Finding:
    any_of = FIELDS.get(field, ())
    headers = [columns.header[column] for column in any_of if column in columns.header]
    read, advice = Verdict.OK, " and ".join(f"column {header!r}" for header in headers)
    if not headers:
        read, advice = Verdict.MISSING, _missing(field, any_of)
    write = Verdict.READ_ONLY  # an export is read, and never written back
    return Finding.of_field(
        field, f"{name}: {field}", needed, read=read, write=write, advice=advice
    )


def _unseen(field: str, name: str, needed: frozenset[Access]) -> Finding:
    unseen = Verdict.UNKNOWN
    advice = "no rows to look at"
    return Finding.of_field(
        field, f"{name}: {field}", needed, read=unseen, write=unseen, advice=advice
    )


def _doubled(name: str, columns: Columns) -> list[Finding]:
    return [
        Finding(
            f"{name}: {column}",
            Verdict.OK,
            f"column {header!r} could be it too and is not read; to choose, set columns.{column}",
        )
        for header, column in columns.doubled.items()
    ]


def _missing(field: str, any_of: tuple[Column, ...]) -> str:
    if not any_of:
        return "exports have no column for it here: leave it out of the triggers from this source"
    setting = f"set columns.{any_of[0]} to the header that holds it"
    if field == APPLICATION_DATE:
        return (
            "no column for the date of application: rows count as happening when they are read; "
            + setting
        )
    return f"no column for it: {setting}"


@dataclass(slots=True)
class _Place:
    """The cursor: which files are read as they are, and where in a file we are."""

    done: dict[str, str]
    file: str = ""
    fingerprint: str = ""
    row: int = 0

    @classmethod
    def read(cls, cursor: str) -> _Place:
        """An empty cursor, or one that is none of ours, means: everything."""
        try:
            found: Any = json.loads(cursor) if cursor else {}
            done = {str(k): str(v) for k, v in found.get("done", {}).items()}
            return cls(done, str(found.get("file", "")), str(found.get("print", "")),
                       int(found.get("row", 0)))  # fmt: skip
        except (ValueError, AttributeError, TypeError):
            return cls({})

    def written(self) -> str:
        at = {"file": self.file, "print": self.fingerprint, "row": self.row} if self.file else {}
        return json.dumps({"done": self.done, **at}, sort_keys=True)

    def forget_all_but(self, names: set[str]) -> None:
        self.done = {name: mark for name, mark in self.done.items() if name in names}


def _record(file: str, row: Row, date_order: str) -> Record:
    body: dict[str, object] = {"row": row.number, "file": file, "data": dict(row.data)}
    if row.fault:
        body["fault"] = row.fault
        key = content_key({"file": file, "row": row.number, "fault": row.fault})
    else:
        key = content_key(row.data)
    if date_order in ("dmy", "mdy"):
        body["date_order"] = date_order
    return Record(key, json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"))


def _is_export(path: Path) -> bool:
    name = path.name.lower().removesuffix(".gz")
    return name.endswith(ENDINGS) and path.name[0] not in ".~" and path.is_file()


def _age(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except OSError:
        return 0, path.name


def _fingerprint(path: Path) -> str:
    """Size, time and a hash of both ends: cheap, and it changes when the file does."""
    stat = path.stat()
    with path.open("rb") as file:
        edges = file.read(_EDGE_BYTES)
        if stat.st_size > _EDGE_BYTES:
            file.seek(max(_EDGE_BYTES, stat.st_size - _EDGE_BYTES))
            edges += file.read(_EDGE_BYTES)
    return f"{stat.st_size}-{stat.st_mtime_ns}-{blake2b(edges, digest_size=8).hexdigest()}"


def _still(path: Path, fingerprint: str) -> bool:
    try:
        return _fingerprint(path) == fingerprint
    except OSError:
        return False
