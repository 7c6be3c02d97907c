"""What is wrong with a letter before anybody gets it: rules that name the line, and say why.

An ERROR is a mail that would not arrive whole, would break a law, or would be taken for spam. A
WARNING may be meant so.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from liquid.exceptions import LiquidError

from warmline.core.mail import CompiledStep, RenderedMail, compile_step
from warmline.core.mail_liquid import TEXT, MissingVariable, TemplateError
from warmline.core.mail_markdown import Tags, unused_word
from warmline.core.mail_subjects import subject_faults

LINK_CHARS_MAX = 1_000
_LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(\s*<?([^)\s>]*)")
_REFERENCE = re.compile(r"^[ ]{0,3}\[[^\]]+\]:[ \t]*<?(\S*?)>?[ \t]*$", re.MULTILINE)
_ATTRIBUTE = re.compile(r"<(mj-image|img|[a-z-]+)\b([^>]*?)\b(href|src)=\"([^\"]*)\"([^>]*)>")
_RESERVED = re.compile(r"(?:^|\.)(?:example(?:\.(?:com|org|net))?|test|invalid|localhost)$")
_LEFT_OVER = re.compile(r"\*\*|\]\(|^#{1,6} |\{[{%]|[%}]\}", re.MULTILINE)
_OF_THE_ROLES = re.compile(r"roles[.\[]")
_REPLACE = re.compile(r"\bREPLACE\b")


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Fault:
    """`line` counts from 1 in the letter's file, or in the layout's where `in_layout`."""

    rule: str
    severity: Severity
    line: int
    found: str
    expected: str
    in_layout: bool = False


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter as its file has it, with the lines where its parts begin."""

    name: str
    subject: str
    preheader: str
    body: str
    subject_line: int = 2
    preheader_line: int = 3
    first_line: int = 1

    def compiled(self, layout: str) -> CompiledStep:
        """Raises TemplateError."""
        return compile_step(
            name=self.name,
            subject=self.subject,
            preheader=self.preheader,
            body=self.body,
            layout=layout,
            first_line=self.first_line,
        )

    def line(self, part: str, line: int) -> int:
        """The line in the file of a line that an error names."""
        return {"subject": self.subject_line, "preheader": self.preheader_line}.get(part, line)


@dataclass(frozen=True, slots=True)
class Found:
    """A link or a picture (`image`) of a letter; Liquid in it stands as it was written."""

    line: int
    image: bool
    words: str
    url: str


def lint(
    letter: Letter,
    layout: str,
    *,
    known: Collection[str],
    full: Mapping[str, object],
    bare: Mapping[str, object],
) -> list[Fault]:
    """Every fault, by line. `full` and `bare` are the readers of `core.letters`."""
    faults = [
        *_names(letter, known),
        *_subject(letter),
        *_links(letter),
        *_replace(letter),
    ]
    try:
        compiled = letter.compiled(layout)
    except TemplateError as error:
        faults.append(_template(letter, error))
    else:
        faults += _filled_in(letter, compiled, full, bare)
    return sorted(faults, key=lambda fault: (fault.in_layout, fault.line, fault.rule))


def _error(rule: str, line: int, found: str, expected: str) -> Fault:
    return Fault(rule, Severity.ERROR, line, found, expected)


def _warning(rule: str, line: int, found: str, expected: str) -> Fault:
    return Fault(rule, Severity.WARNING, line, found, expected)


def _template(letter: Letter, error: TemplateError) -> Fault:
    in_layout = error.part == "layout"
    rule = _LAW.get(error.found, "template") if in_layout else "template"
    line = error.line if in_layout else letter.line(error.part, error.line)
    return Fault(rule, Severity.ERROR, line, error.found, error.expected, in_layout)


_LAW = {
    "no {{ unsubscribe_url }}": "no-unsubscribe",
    "no {{ postal_address }}": "no-address",
}


def _names(letter: Letter, known: Collection[str]) -> Iterator[Fault]:
    """Names that no mail is filled with, in every branch: also those that no sample reaches."""
    parts = (
        (letter.subject, letter.subject_line),
        (letter.preheader, letter.preheader_line),
        (letter.body, letter.first_line),
    )
    for source, first in parts:
        try:
            found = TEXT.from_string(source).analyze(include_partials=False).globals
        except LiquidError:
            continue  # told as `template`
        for places in found.values():
            for variable in places:
                name = str(variable)
                if name in known or _OF_THE_ROLES.match(name):
                    continue
                line = first + source.count("\n", 0, variable.span.index)
                group = name.split(".")[0] + "."
                near = sorted(k for k in known if k.startswith(group)) or sorted(
                    k for k in known if "." not in k
                )
                yield _error("unknown-variable", line, name, f"one of {', '.join(near)}")


def _subject(letter: Letter) -> Iterator[Fault]:
    for problem in subject_faults(letter.subject):
        yield _error("subject-spam", letter.subject_line, problem.found, problem.expected)
    if not letter.preheader.strip():
        yield _warning(
            "no-preheader",
            letter.subject_line,
            "no preheader: mail clients show the first words of the letter instead",
            "`preheader:` with what the subject leaves open",
        )
    elif letter.preheader.strip().casefold() == letter.subject.strip().casefold():
        yield _warning(
            "no-preheader",
            letter.preheader_line,
            "a preheader that says the subject again",
            "what the subject leaves open",
        )


def _replace(letter: Letter) -> Iterator[Fault]:
    found = _REPLACE.search(letter.body)
    if found:
        line = letter.first_line + letter.body.count("\n", 0, found.start())
        yield _warning(
            "invented", line, "REPLACE: this text is invented", "your own, without that word"
        )


# Links and pictures


def links_in(letter: Letter) -> list[Found]:
    """The links and pictures of the letter, in order; comments are left out."""
    tags = Tags(letter.name, mark=unused_word(letter.body))
    text, lines = tags.take(letter.body, "body", letter.first_line)

    def written(part: str) -> str:
        return tags.word.sub(lambda m: tags.tags[int(m[1])].text, part)

    found = [
        (m.start(), bool(m[1]), written(m[2]).strip(), written(m[3])) for m in _LINK.finditer(text)
    ]
    found += [(m.start(), False, "", written(m[1])) for m in _REFERENCE.finditer(text)]
    return [
        Found(lines[text.count("\n", 0, at)], image, words, url)
        for at, image, words, url in sorted(found)
    ]


def _links(letter: Letter) -> Iterator[Fault]:
    for found in links_in(letter):
        what = "the picture" if found.image else "the link"
        if problem := address_fault(found.url):
            yield _error("link", found.line, f"{what} {found.url[:60]!r} {problem}", _AN_ADDRESS)
        elif _RESERVED.search(_host(found.url)):
            yield _warning(
                "link", found.line, f"{what} leads to {_host(found.url)}", "a host of yours"
            )
        if found.image and not found.words:
            yield _error(
                "image-alt",
                found.line,
                "a picture without words",
                "![what it shows](https://…): many readers see no pictures",
            )


def layout_faults(layout: str) -> list[Fault]:
    """Links and pictures that the layout itself has. Its Liquid is the letters' business."""
    faults = []
    for match in _ATTRIBUTE.finditer(re.sub(r"<!--.*?-->", _blank_lines, layout, flags=re.DOTALL)):
        line = 1 + layout.count("\n", 0, match.start(3))
        if problem := address_fault(match[4]):
            found = f'{match[3]}="{match[4][:60]}" {problem}'
            faults.append(Fault("link", Severity.ERROR, line, found, _AN_ADDRESS, in_layout=True))
        if match[1] in ("mj-image", "img") and not re.search(r"\balt=\"[^\"]", match[2] + match[5]):
            faults.append(
                Fault(
                    "image-alt",
                    Severity.ERROR,
                    line,
                    f"<{match[1]}> without alt",
                    'alt="what it shows"',
                    in_layout=True,
                )
            )
    return faults


_AN_ADDRESS = "https://…, mailto:…, tel:… or one of the links that each mail is filled with"


def _blank_lines(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def address_fault(url: str) -> str | None:
    """Why a reader cannot follow it, as the rest of a sentence; None where they can. An address
    that begins with Liquid is judged when it is filled in."""
    if not url:
        return "leads nowhere"
    if len(url) > LINK_CHARS_MAX:
        return f"has {len(url):,} characters"
    if url.startswith(("{{", "{%")):
        return None
    plain = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", "x", url)
    scheme, colon, rest = plain.partition(":")
    if plain.startswith("#"):
        return "leads within the mail, where most mail clients do not follow"
    if plain.startswith("//") or not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        return "is relative: a mail stands on no site"
    match scheme.lower():
        case "mailto":
            return None if re.fullmatch(r"[^@\s]+(@[^@\s]+)?", rest) else "holds no address"
        case "tel":
            return None if re.fullmatch(r"[+\d().-]+", rest) or "x" in rest else "holds no number"
        case "http":
            return "is http: what is read and clicked there can be read on the way"
        case "https":
            return None if _is_host(plain) else "is no address: its host cannot be read"
        case "data":
            return "carries its picture within it, which mail clients do not show"
        case _:
            return f"begins with {scheme}:, which mail clients do not follow"


def _host(url: str) -> str:
    try:
        return (urlsplit(url).hostname or "").lower() if "{" not in url.split("/")[0] else ""
    except ValueError:
        return ""


def _is_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
        host = host.encode("idna").decode()
    except (ValueError, UnicodeError):
        return False
    return bool(re.fullmatch(r"(?:[a-z0-9_](?:[a-z0-9_-]*[a-z0-9])?\.)+[a-z0-9-]{2,}|x", host))


# Filled in


def _filled_in(
    letter: Letter, compiled: CompiledStep, full: Mapping[str, object], bare: Mapping[str, object]
) -> Iterator[Fault]:
    mail, faults = _render(letter, compiled, full)
    for fault in faults:
        yield _error("missing-value", *fault)
    if mail is not None:
        yield from _whole(letter, mail, full)
    bare_mail, faults = _render(letter, compiled, bare)
    for line, found, expected in faults:
        yield _warning("missing-value", line, f"{found} for some, whose mail is held", expected)
    if mail is not None and bare_mail is not None:
        yield from _footer(bare_mail, bare)


def _render(
    letter: Letter, compiled: CompiledStep, reader: Mapping[str, object]
) -> tuple[RenderedMail | None, list[tuple[int, str, str]]]:
    """The mail, and each value that was missing; what is missing is filled with a word, to find
    the next. None where it cannot be made at all."""
    context = copy.deepcopy(dict(reader))
    missing: list[tuple[int, str, str]] = []
    for _ in range(50):
        try:
            return compiled.render(context), missing
        except MissingVariable as error:
            part, _, line = error.where.partition(" line ")
            number = letter.line(part, int(line.split()[0]) if line[:1].isdigit() else 1)
            expected = f'a value, or {{{{ {error.name} | default: "…" }}}}'
            missing.append((number, f"{error.name} is {error.found}", expected))
            if not _put(context, error.name):
                return None, missing
        except TemplateError as error:
            missing.append((letter.line(error.part, error.line), error.found, error.expected))
            return None, missing
    return None, missing


def _put(context: dict[str, object], name: str) -> bool:
    """Set a word at the dotted path. False where no value would help."""
    *groups, last = name.split(".")
    node: object = context
    for group in groups:
        node = node.get(group) if isinstance(node, dict) else None
    if not isinstance(node, dict) or not isinstance(node.get(last, ""), str) or node.get(last):
        return False
    node[last] = "https://example.com" if last.endswith("url") else "word"
    return True


def _whole(letter: Letter, mail: RenderedMail, full: Mapping[str, object]) -> Iterator[Fault]:
    yield from _footer(mail, full)
    for problem in subject_faults(mail.subject, written=False):
        severity = Severity.ERROR if problem.sure else Severity.WARNING
        yield Fault("subject-long", severity, letter.subject_line, problem.found, problem.expected)
    if left := _LEFT_OVER.search(mail.text):
        line = letter.first_line + max(
            (i for i, text in enumerate(letter.body.split("\n")) if left[0] in text), default=0
        )
        yield _error(
            "markup",
            line,
            f"the reader sees {left[0]!r} in the letter",
            "Markdown that closes; put emphasis inside of a link: [**words**](…)",
        )


def _footer(mail: RenderedMail, reader: Mapping[str, object]) -> Iterator[Fault]:
    """What the law wants stands in both parts, for this reader too."""
    for name, rule in (("unsubscribe_url", "no-unsubscribe"), ("postal_address", "no-address")):
        value = str(reader[name])
        for part, text in (("the HTML", mail.html), ("the plain text", mail.text)):
            if value not in text and value.replace("&", "&amp;") not in text:
                yield Fault(
                    rule,
                    Severity.ERROR,
                    1,
                    f"{part} of the mail has no {name}",
                    f"{{{{ {name} }}}} in the footer, under no condition",
                    in_layout=True,
                )
