"""Every letter of a project held against the rules of `core.mail_lint`, without a ledger.

It reads the files itself, so that one broken letter hides no other. Nothing is asked of the network
but with `online`: then the links to hosts that `warmline.yaml` itself names are followed.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from warmline.config.letters import LAYOUT, LetterFile, letter_paths, read_letter
from warmline.config.project import FILE, ProjectFile, read_file
from warmline.config.yaml_lines import Lines, read_text
from warmline.core.errors import ConfigError, WarmlineError
from warmline.core.letters import bare_reader, full_reader, known
from warmline.core.mail_lint import (
    Fault,
    Severity,
    address_fault,
    layout_faults,
    links_in,
    lint,
)
from warmline.kit.http import Door

SEQUENCES = "sequences"
ONLINE_MAX = 50  # links followed; the rest is told as not seen
ONLINE_S = 10.0
PICTURE_BYTES_MAX = 1024 * 1024
_ANY_STATUS = tuple(range(300, 600))


@dataclass(frozen=True, slots=True)
class Placed:
    """A fault with its file, relative to the project folder."""

    file: str
    fault: Fault

    def __str__(self) -> str:
        told = self.fault
        return (
            f"{self.file}:{told.line}: {told.severity} {told.rule}: {told.found}; "
            f"expected {told.expected}"
        )

    def as_json(self) -> dict[str, Any]:
        said = asdict(self.fault)
        said.pop("in_layout")
        return {"file": self.file, **said}


@dataclass(frozen=True, slots=True)
class Linted:
    letters: int
    faults: tuple[Placed, ...]

    def count(self, severity: Severity) -> int:
        return sum(placed.fault.severity is severity for placed in self.faults)


def lint_mail(folder: Path, *, online: bool, now: Callable[[], datetime]) -> Linted:
    """Raises ConfigError where warmline.yaml or the layout cannot be read at all."""
    file, lines = read_file(folder)
    sequences = folder / SEQUENCES
    paths = letter_paths(sequences)
    if not paths:
        raise ConfigError("expected letters: Markdown files in its folders", file=str(sequences))
    layout = read_text(sequences / LAYOUT)
    layout_name = f"{SEQUENCES}/{LAYOUT}"
    found = [*_of_the_project(file, lines)]
    found += [Placed(layout_name, fault) for fault in layout_faults(layout)]
    read: list[LetterFile] = []
    for path in paths:
        name = path.relative_to(folder).as_posix()
        try:
            one = read_letter(path)
        except ConfigError as error:
            found.append(Placed(name, _unreadable(error)))
            continue
        read.append(one)
        full = sample(file)
        for fault in lint(
            one.letter, layout, known=known(file.content), full=full, bare=bare_reader(full)
        ):
            found.append(Placed(layout_name if fault.in_layout else name, fault))
    found += _twice(folder, read)
    if online:
        found += _followed(folder, file, read, now)
    return Linted(len(paths), tuple(dict.fromkeys(found)))  # the layout's, once and not a letter


def sample(file: ProjectFile) -> dict[str, object]:
    """The reader of whom everything is known, in this project."""
    return full_reader(
        company=file.company,
        postal_address=file.postal_address,
        careers_url=file.careers_url,
        sender_name=file.mail.sender.name,
        sender_address=file.mail.sender.address,
        content=file.content,
        public_url=file.public_url,
    )


def _unreadable(error: ConfigError) -> Fault:
    """What it says already names the file, and as a rule what was expected."""
    said = str(error).removeprefix(f"{error.file}:{error.line}: ").removeprefix(f"{error.file}: ")
    found, told, expected = said.rpartition("expected ")
    if not told:
        found, expected = said, "a letter"
    return Fault(
        "file", Severity.ERROR, error.line or 1, found.strip(" ;") or "something else", expected
    )


def _of_the_project(file: ProjectFile, lines: Lines) -> Iterator[Placed]:
    """What stands in every mail, and is written in warmline.yaml."""

    def placed(key: str, rule: str, severity: Severity, found: str, expected: str) -> Placed:
        return Placed(FILE, Fault(rule, severity, lines.of((key,)) or 1, found, expected))

    if not re.search(r"\d", file.postal_address) or len(file.postal_address.split()) < 3:
        yield placed(
            "postal_address",
            "no-address",
            Severity.WARNING,
            "a postal address without a number, or of one or two words",
            "street and number or P.O. box, postcode and town: the law asks for it",
        )
    if file.careers_url and (problem := address_fault(file.careers_url)):
        yield placed(
            "careers_url",
            "link",
            Severity.ERROR,
            f"careers_url {problem}",
            "https://…",
        )
    if _on_this_machine(file.public_url):
        yield placed(
            "public_url",
            "link",
            Severity.WARNING,
            "public_url is on this machine: nobody else can unsubscribe",
            "the address by which the outside reaches this server",
        )
    elif problem := address_fault(file.public_url):
        yield placed(
            "public_url", "link", Severity.ERROR, f"public_url {problem}", "https://your.host"
        )


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _twice(folder: Path, letters: Sequence[LetterFile]) -> Iterator[Placed]:
    """One subject for two letters looks like one mail sent twice."""
    seen: dict[str, str] = {}
    for one in letters:
        subject = one.letter.subject.casefold().strip()
        if subject in seen:
            yield Placed(
                one.path.relative_to(folder).as_posix(),
                Fault(
                    "subject-twice",
                    Severity.WARNING,
                    one.letter.subject_line,
                    f"the subject of {seen[subject]}",
                    "another",
                ),
            )
        seen.setdefault(subject, one.letter.name)


# Online


def _followed(
    folder: Path, file: ProjectFile, letters: Sequence[LetterFile], now: Callable[[], datetime]
) -> Iterator[Placed]:
    """Links and pictures on hosts that warmline.yaml names, each asked for once. Redirects are not
    followed, and no other host is called."""
    hosts = {
        urlsplit(url).netloc.lower()
        for url in (file.careers_url, file.public_url, *map(str, file.content.values()))
        if url.startswith(("http://", "https://"))
    }
    wanted: dict[str, tuple[str, int, bool]] = {}
    if file.careers_url:
        wanted[file.careers_url] = (FILE, 1, False)
    for one in letters:
        for found in links_in(one.letter):
            if "{" not in found.url and urlsplit(found.url).netloc.lower() in hosts:
                name = one.path.relative_to(folder).as_posix()
                wanted.setdefault(found.url, (name, found.line, found.image))
    for number, (url, (name, line, image)) in enumerate(wanted.items()):
        if number == ONLINE_MAX:
            said = f"{len(wanted) - ONLINE_MAX} more links were not followed"
            yield Placed(
                name, Fault("link", Severity.WARNING, line, said, f"at most {ONLINE_MAX} links")
            )
            return
        if fault := _answer(url, line, image=image, now=now):
            yield Placed(name, fault)


def _answer(url: str, line: int, *, image: bool, now: Callable[[], datetime]) -> Fault | None:
    what, short = ("the picture" if image else "the link"), url[:80]
    try:
        with closing(Door(url, vendor="the link", timeout_s=ONLINE_S, now=now)) as door:
            # Only a picture that was loaded has a size that can be trusted.
            answer = door.call("GET" if image else "HEAD", url, accept=_ANY_STATUS)
    except WarmlineError as error:
        said = f"{what} {short} does not answer: {error.reason}"
        return Fault("link", Severity.WARNING, line, said, "an answer")
    if answer.status_code in (404, 410):
        said = f"{what} {short} answers {answer.status_code}"
        return Fault("link", Severity.ERROR, line, said, "a page that is there")
    if answer.status_code >= 500:
        said = f"{what} {short} answers {answer.status_code}"
        return Fault("link", Severity.WARNING, line, said, "an answer")
    size = len(answer.content)
    if image and size > PICTURE_BYTES_MAX:
        said = f"a picture of {size / 1024**2:.1f} MiB: {short}"
        expected = f"at most {PICTURE_BYTES_MAX // 1024**2} MiB: telephones load it on the road"
        return Fault("picture-size", Severity.ERROR, line, said, expected)
    return None
