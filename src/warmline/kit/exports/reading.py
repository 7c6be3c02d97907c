"""Bytes of an export → rows, one after the other, so that a file of any size takes little memory.

Nothing here raises for what a file holds: a row that cannot be read comes as a `Row` with a
`fault`, and the rows after it are still read. A JSON array alone is read whole, up to a limit.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from charset_normalizer import from_bytes

from warmline.kit.exports.delimited import delimited_rows
from warmline.kit.exports.objects import array_rows, line_rows
from warmline.kit.exports.shapes import Row, Unreadable
from warmline.kit.exports.workbook import workbook_rows

ENDINGS = (".csv", ".tsv", ".tab", ".txt", ".json", ".jsonl", ".ndjson", ".xlsx")
_SAMPLE = 64 * 1024
_CHUNK = 1024 * 1024
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(path: Path) -> str:
    """The name of the text's encoding; OSError where the file cannot be opened."""
    return _encoding(path, _is_gzip(path))


def form_of(path: Path, name: str = "") -> str:
    """json, jsonl or delimited: by the ending of `name` (else the file's own), and what it holds.
    The text is UTF-8."""
    with _text(path, _is_gzip(path), "utf-8-sig") as text:
        return _kind((name or path.name).lower().removesuffix(".gz"), text)


def rows(path: Path, encoding: str = "auto", *, name: str = "") -> Iterator[Row]:
    """Every row of the file. The last may be a fault that says why there are no more. `name`: what
    the file is called where it came from, if it is another."""
    number = 0
    try:
        for row in _rows(path, encoding, (name or path.name).lower()):
            number = row.number
            yield row
    except Unreadable as error:
        yield Row(number + 1, fault=str(error))
    except (EOFError, zlib.error, gzip.BadGzipFile):
        yield Row(
            number + 1,
            fault=f"the compressed file ends or breaks after row {number}; expected it whole: "
            "copy it again",
        )
    except OSError as error:
        why = error.strerror or type(error).__name__
        yield Row(number + 1, fault=f"the file cannot be read: {why}")


def _rows(path: Path, encoding: str, name: str) -> Iterator[Row]:
    with path.open("rb") as file:
        start = file.read(8)
    if start.startswith(b"PK\x03\x04"):
        yield from workbook_rows(path)
    elif start.startswith(b"\xd0\xcf\x11\xe0"):
        raise Unreadable("found an old Excel workbook (XLS); expected XLSX or CSV: save it so")
    else:
        gzipped = start.startswith(b"\x1f\x8b")
        name = name.removesuffix(".gz")
        found = _encoding(path, gzipped) if encoding == "auto" else encoding
        with _text(path, gzipped, found) as text:
            kind = _kind(name, text)
        with _text(path, gzipped, found) as text:
            if kind == "json":
                yield from array_rows(text)
            elif kind == "jsonl":
                yield from line_rows(text)
            else:
                yield from delimited_rows(text, "\t" if name.endswith((".tsv", ".tab")) else "")


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


@contextmanager
def _binary(path: Path, gzipped: bool) -> Iterator[io.BufferedReader | gzip.GzipFile]:
    with path.open("rb") as raw:
        if not gzipped:
            yield raw
            return
        with gzip.GzipFile(fileobj=raw, mode="rb") as unpacked:
            yield unpacked


@contextmanager
def _text(path: Path, gzipped: bool, encoding: str) -> Iterator[io.TextIOWrapper]:
    with _binary(path, gzipped) as raw:
        text = io.TextIOWrapper(raw, encoding=encoding, errors="replace", newline="")
        try:
            yield text
        finally:
            text.detach()


# Encodings


def _encoding(path: Path, gzipped: bool) -> str:
    """By its mark; else UTF-8 where the whole file is; else by what charset-normalizer finds."""
    with _binary(path, gzipped) as raw:
        start = raw.read1(_SAMPLE)
        for bom, name in _BOMS:
            if start.startswith(bom):
                return name
        nuls = start.count(0)
        if nuls > len(start) // 4:
            return "utf-16-le" if start[1::2].count(0) > nuls // 2 else "utf-16-be"
        decoder = codecs.getincrementaldecoder("utf-8")()
        chunk = start
        multibyte = 0
        while chunk:
            try:
                multibyte += len(chunk) - len(decoder.decode(chunk))
            except UnicodeDecodeError as error:
                at = max(0, error.start - _SAMPLE // 2)
                sample = chunk[at : at + _SAMPLE]
                return "utf-8" if _broken_utf8(sample, multibyte) else _old_encoding(sample)
            try:
                chunk = raw.read1(_CHUNK)
            except (EOFError, zlib.error, gzip.BadGzipFile):
                break  # said by the row that it breaks at
    return "utf-8"


def _broken_utf8(sample: bytes, multibyte: int) -> bool:
    """Whether this is UTF-8 with a few wrong bytes: what follows its rules is no accident where
    it is much more than what breaks them."""
    text = sample.decode("utf-8", "replace")
    wrong = text.count("\ufffd")
    right = sum(character > "\x7f" for character in text) - wrong
    return right + multibyte > 2 * wrong


def _old_encoding(sample: bytes) -> str:
    found = from_bytes(sample)
    best = found.best()
    if best is None:
        return "cp1252"
    for match in found:
        # Many one-byte encodings differ in a handful of letters; Windows's is the usual one.
        close = match.chaos <= best.chaos + 0.02 and match.coherence >= best.coherence - 0.1
        if close and "cp1252" in (match.encoding, *match.could_be_from_charset):
            return "cp1252"
    return best.encoding


def _kind(name: str, text: io.TextIOWrapper) -> str:
    """json, jsonl or delimited; the ending decides where it is a known one."""
    if name.endswith((".csv", ".tsv", ".tab")):
        return "delimited"
    if name.endswith((".jsonl", ".ndjson")):
        return "jsonl"
    first = _next_line(text)
    if first.startswith("["):
        return "json"
    if first.startswith("{"):
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            return "json"
        return "jsonl" if _next_line(text) else "json"
    return "json" if name.endswith(".json") else "delimited"


def _next_line(text: io.TextIOWrapper) -> str:
    """The next line that is not blank, or the beginning of it; empty at the end."""
    for _ in range(1000):
        line = text.readline(_CHUNK)
        if not line or (line := line.strip("\ufeff \t\r\n")):
            return line
    return ""
