"""A text file as DuckDB can read it: unpacked, in UTF-8, without NULs, known to be plain or not."""

from __future__ import annotations

import codecs
import gzip
import itertools
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from warmline.core.errors import ConfigError
from warmline.flows.audit.notes import EXAMPLES_MAX, Reading
from warmline.kit.exports.reading import encoding_of

UNPACKED_BYTES_MAX = 20 * 1024**3
_CHUNK = 1024 * 1024
_UTF8 = ("utf-8", "utf-8-sig")
_UNREADABLE = "\N{REPLACEMENT CHARACTER}"
_BLANK_LINES = (b"\n\n", b"\n\r\n", b"\r\r")


@dataclass(frozen=True, slots=True)
class Text:
    """`plain`: no blank lines between rows, so that a row's number is its line's."""

    path: Path
    plain: bool


def unpack(path: Path, folder: Path, reading: Reading) -> Path:
    """The file itself, or what a gzip holds, as far as it can be unpacked."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return path
    name = path.name[:-3] if path.name.lower().endswith(".gz") else f"{path.name}.unpacked"
    unpacked = folder / f"unpacked-{name}"
    size, broken = 0, False
    with gzip.open(path, "rb") as packed, unpacked.open("wb") as out:
        while True:
            try:
                chunk = packed.read1(_CHUNK)
            except (EOFError, zlib.error, gzip.BadGzipFile):
                broken = True
                break
            if not chunk:
                break
            size += len(chunk)
            if size > UNPACKED_BYTES_MAX:
                raise ConfigError(
                    f"{path.name} unpacks to more than {UNPACKED_BYTES_MAX:,} bytes; "
                    "expected an export of at most that: split it"
                )
            out.write(chunk)
    if broken:
        _without_half_a_row(unpacked)
        reading.note(
            "the compressed file ends or breaks too early: what came before was read, and the "
            "rest is missing; copy it again"
        )
    return unpacked


def _without_half_a_row(path: Path) -> None:
    with path.open("rb+") as file:
        end = file.seek(0, 2)
        file.seek(max(0, end - _CHUNK))
        at = file.read().rfind(b"\n")
        if at >= 0:
            file.truncate(max(0, end - _CHUNK) + at + 1)


def as_utf8(path: Path, folder: Path, encoding: str, reading: Reading) -> tuple[Text, str]:
    """The same text in UTF-8, and the encoding it had. A file that is UTF-8 already stays where it
    is. `encoding` is a name, or `auto`. Raises ConfigError for a name that is none."""
    found = "" if encoding == "auto" else _known(encoding)
    if found in ("", *_UTF8):
        plain = _plain_utf8(path)
        if plain is not None:
            return Text(path, plain), found or "utf-8"
    found = found or encoding_of(path)
    recoded = folder / "recoded"
    _recode(path, recoded, found, reading)
    return Text(recoded, bool(_plain_utf8(recoded))), found


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise ConfigError(
            f"--encoding is {encoding!r}; expected auto or a name such as utf-8 or cp1252"
        ) from None


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _recode(path: Path, to: Path, encoding: str, reading: Reading) -> None:
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    line = 1
    nuls, wrong = _Seen(), _Seen()
    with to.open("wb") as out:
        for chunk in itertools.chain(_chunks(path), (b"",)):
            text = decoder.decode(chunk, final=not chunk)
            nuls.look(text, "\0", line)
            wrong.look(text, _UNREADABLE, line)
            line += text.count("\n")
            out.write(text.replace("\0", "").encode("utf-8", "replace"))
    if wrong.count:
        reading.note(
            f"characters that are no {encoding}, shown as {_UNREADABLE}; name the right encoding "
            "with --encoding",
            wrong.lines,
            wrong.count,
        )
    if nuls.count:
        reading.note("NUL bytes, which were left out", nuls.lines, nuls.count)


class _Seen:
    """On which lines a character was seen, and how often."""

    def __init__(self) -> None:
        self.count = 0
        self.lines: list[int] = []

    def look(self, text: str, character: str, line: int) -> None:
        found = text.count(character)
        if not found:
            return
        self.count += found
        at = -1
        while len(self.lines) < EXAMPLES_MAX and (at := text.find(character, at + 1)) >= 0:
            where = line + text.count("\n", 0, at)
            if where not in self.lines:
                self.lines.append(where)


def _plain_utf8(path: Path) -> bool | None:
    """Whether no line is blank but at the very end; None where it is not all UTF-8, or holds
    NULs, as UTF-16 does."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    plain, before, tail = True, 0, b""
    try:
        for chunk in _chunks(path):
            if b"\0" in chunk:
                return None
            decoder.decode(chunk)
            joined = tail + chunk
            blanks = [at for mark in _BLANK_LINES if (at := joined.find(mark)) >= 0]
            if plain and blanks:
                plain = _only_blanks(path, before - len(tail) + min(blanks))
            before += len(chunk)
            tail = joined[-2:]
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return None
    return plain


def _only_blanks(path: Path, at: int) -> bool:
    """Whether nothing but blanks follows."""
    if path.stat().st_size - at > _CHUNK:
        return False
    with path.open("rb") as file:
        file.seek(at)
        return not file.read().strip()
