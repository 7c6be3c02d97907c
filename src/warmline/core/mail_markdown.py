"""The letter: Liquid tags out, Markdown to HTML and to plain text, and the tags back in."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from liquid.exceptions import LiquidError
from liquid.token import TOKEN_OUTPUT
from markdown_it import MarkdownIt
from markdown_it.token import Token as MdToken

from warmline.core.mail_liquid import LEXER, OPENERS, VISIBLE, Liquid, Part, TemplateError

_MIDDLES = ("else", "elsif", "when")
_LISTS = ("bullet_list_open", "ordered_list_open")
_VOID = ("br", "hr", "img")
_NEXT_NUMBER, _FIRST_NUMBER = "\x1e", "\x1f"  # for lists whose length is known per reader only

_MARKDOWN = MarkdownIt("commonmark", {"html": True})  # html is parsed only to be refused
_MARKDOWN.add_render_rule("liquid", lambda _self, tokens, i, _options, _env: tokens[i].content)


def unused_word(text: str) -> str:
    word = "wlq"
    while word in text.lower():
        word += "q"
    return word


@dataclass(frozen=True, slots=True)
class _Tag:
    text: str
    name: str  # "" for an output
    part: str
    line: int


class Tags:
    """Liquid tags, taken out before Markdown and MJML and put back afterwards.

    A tag is replaced by a plain word (`wlq12e`), which means nothing to Markdown, URLs and MJML.
    """

    def __init__(self, step: str, mark: str) -> None:
        self.step = step
        self.mark = mark
        self.word = re.compile(rf"{mark}(\d+)e")
        self.tags: list[_Tag] = []
        self.content = ""  # the word that stands for {{ content }}: the letter

    def wrong(self, part: str, line: int, found: str, expected: str) -> TemplateError:
        return TemplateError(self.step, part, line, found, expected)

    def take(self, source: str, part: str, first_line: int = 1) -> tuple[str, list[int]]:
        """The source with words for tags and without comments, and the source line of each line."""
        out: list[str] = []
        line, lines, comments = first_line, [first_line], 0
        for match in LEXER.finditer(source):
            text, kind = match[0], match.lastgroup
            name = (match["name"] or "") if kind == "TAG" else ""
            if name in ("comment", "endcomment"):
                comments += 1 if name == "comment" else -1
            elif comments or name == "#":
                pass
            elif kind in (TOKEN_OUTPUT, "TAG"):
                word = f"{self.mark}{len(self.tags)}e"
                if part == "layout" and kind == TOKEN_OUTPUT:
                    if match["stmt"] == "preheader":  # a step need not have one
                        text = '{{ preheader | default: "" }}'
                    elif match["stmt"] == "content":
                        if self.content:
                            raise self.wrong(part, line, "a second {{ content }}", "one")
                        self.content = word
                self.tags.append(_Tag(text, name, part, line))
                out.append(word)
            else:
                out.append(text)
                lines += range(line + 1, line + 1 + text.count("\n"))
            line += match[0].count("\n")
        if part == "layout" and not self.content:
            raise self.wrong(part, 1, "no {{ content }}", "{{ content }} where the letter goes")
        return "".join(out), lines

    def of(self, text: str) -> list[_Tag]:
        return [self.tags[int(number)] for number in self.word.findall(text)]

    def only_logic(self, text: str) -> bool:
        """Nothing but `{% … %}` tags: such a line is structure, not a paragraph."""
        found = self.of(text)
        return bool(found) and all(t.name for t in found) and not self.word.sub("", text).strip()

    def says_something(self, text: str) -> bool:
        """Whether a reader may see anything of it: words, a picture, or a value."""
        return any(not tag.name for tag in self.of(text)) or bool(
            VISIBLE.search(self.word.sub("", text))
        )

    def address(self, label: str, url: str, *, last: bool = False) -> str:
        """What follows a link's words in plain text: `: address` at a line's end, else in ( )."""

        def written(text: str) -> str:
            return self.word.sub(lambda m: "".join(self.tags[int(m[1])].text.split()), text)

        address = url.removeprefix("mailto:").removeprefix("tel:")
        if not address or written(label.strip()) in (written(url), written(address)):
            return ""
        return f": {address}" if last else f" ({address})"

    def part(self, text: str, env: Liquid, urls: Collection[int] = ()) -> Part:
        """Put the tags back. `urls` are the positions of outputs that begin a link's address."""
        out: list[str] = []
        offsets: list[int] = []
        places: list[tuple[str, int]] = []
        size = last = 0
        for match in re.finditer(rf"{self.word.pattern}|\{{[{{%]", text):
            out.append(text[last : match.start()])
            size += match.start() - last
            last = match.end()
            if match[1] is None:  # braces that Markdown made out of escapes: text, not a tag
                restored = f"{{{{ '{match[0]}' }}}}"
            else:
                tag = self.tags[int(match[1])]
                offsets.append(size)
                places.append((tag.part, tag.line))
                restored = tag.text
                if match.start() in urls:
                    restored = re.sub(r"\s*(-?\}\})\Z", r" | url_only \1", restored)
            out.append(restored)
            size += len(restored)
        out.append(text[last:])
        try:
            template = env.from_string("".join(out))
        except LiquidError as error:
            raise self.wrong("body", 1, str(error.message), "Liquid tags that close") from error
        return Part(self.step, template, offsets, places)


def parse_markdown(text: str, lines: Sequence[int], tags: Tags) -> list[MdToken]:
    spaced: list[str] = []
    origin: list[int] = []
    for line, number in zip(text.split("\n"), lines, strict=True):
        around = ["", line, ""] if tags.only_logic(line) else [line]
        spaced += around
        origin += [number] * len(around)
    source = re.sub(rf"<({tags.word.pattern})>", r"[\1](\1)", "\n".join(spaced))
    tokens = _MARKDOWN.parse(source)
    for token in tokens:
        for part in (token, *(token.children or ())):
            if part.type in ("html_block", "html_inline"):
                found = f"raw HTML {part.content.strip()[:40]!r}"
                line_found = origin[min((token.map or [0])[0], len(origin) - 1)]
                expected = "Markdown; a note to yourself is {% comment %}…{% endcomment %}"
                raise tags.wrong("body", line_found, found, expected)
    return _join_lists(_unwrap(tokens, tags), tags)


def _unwrap(tokens: Sequence[MdToken], tags: Tags) -> list[MdToken]:
    """Paragraphs that hold only logic become bare `liquid` tokens."""
    out: list[MdToken] = []
    skip = 0
    for index, token in enumerate(tokens):
        if skip:
            skip -= 1
        elif token.type == "paragraph_open" and tags.only_logic(tokens[index + 1].content):
            for word in tags.word.finditer(tokens[index + 1].content):
                out.append(MdToken("liquid", "", 0, content=word[0]))
            skip = 2
        else:
            out.append(token)
    return out


def _join_lists(tokens: list[MdToken], tags: Tags) -> list[MdToken]:
    """`{% for %}` or `{% if %}` around items goes inside the one list, not around several."""
    index = 0
    while index + 1 < len(tokens):
        if tokens[index].type == "liquid" and tokens[index + 1].type in _LISTS:
            _join_list(tokens, index, tags)
        index += 1
    return tokens


def _join_list(tokens: list[MdToken], index: int, tags: Tags) -> None:
    opener, first = tokens[index : index + 2]
    closes = first.type.replace("_open", "_close")
    close = next(
        i
        for i in range(index + 2, len(tokens))
        if tokens[i].type == closes and tokens[i].level == first.level
    )
    end, after = [*tokens[close + 1 : close + 3], None, None][:2]
    name = tags.of(opener.content)[0].name
    if end is None or end.type != "liquid" or tags.of(end.content)[0].name != f"end{name}":
        return
    follows = index > 0 and tokens[index - 1].type == closes
    continues = after is not None and after.type == first.type
    if not (follows or continues or name == "for"):
        return
    first.meta["changing"] = True
    tokens[index : index + 2] = [first, opener]
    tokens[close : close + 2] = [end, tokens[close]]
    if continues:
        del tokens[close + 1 : close + 3]
    if follows:
        opened = (t for t in reversed(tokens[:index]) if t.type == first.type)
        next(t for t in opened if t.level == first.level).meta["changing"] = True
        del tokens[index - 1 : index + 1]


def check_balance(html: str, tags: Tags) -> None:
    """A Liquid block that opens inside one element and closes in another breaks the mail."""
    stack: list[str | _Tag] = []
    for match in re.finditer(rf"{tags.word.pattern}|<(/?)([a-z][a-z0-9]*)[^>]*>", html):
        if match[1] is None:
            if not match[2]:
                stack += [] if match[3] in _VOID else [match[3]]
            elif stack.pop() != match[3]:
                raise _unbalanced(stack, tags)
            continue
        tag = tags.tags[int(match[1])]
        if tag.name in OPENERS:
            stack.append(tag)
        elif tag.name in _MIDDLES or tag.name.startswith("end"):
            if not isinstance(stack[-1], _Tag):
                raise _unbalanced(stack, tags)
            if tag.name not in _MIDDLES:
                stack.pop()


def _unbalanced(stack: Sequence[str | _Tag], tags: Tags) -> TemplateError:
    tag = next((t for t in reversed(stack) if isinstance(t, _Tag)), tags.tags[0])
    found = f"{tag.text} that starts in one paragraph or list item and ends in another"
    expected = "each {% … %} on a line of its own, or all of it in one paragraph"
    return tags.wrong(tag.part, tag.line, found, expected)


def to_html(tokens: Sequence[MdToken], styles: Mapping[str, str]) -> str:
    for token in tokens:
        for part in (token, *(token.children or ())):
            if part.nesting >= 0 and part.tag in styles:
                part.attrSet("style", styles[part.tag])
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})).strip()


def to_plain(tokens: Sequence[MdToken], tags: Tags) -> str:
    """The same letter for readers of plain text; links keep their address, nothing is wrapped."""
    out: list[str] = []
    indents: list[str] = []  # one for each list item or quotation we are in
    numbers: list[int | None] = []  # each list's next number; None has bullets, 0 counts later
    bullet = ""

    def block(text: str) -> None:
        nonlocal bullet
        indent = "".join(indents)
        out.append(indent.removesuffix(" " * len(bullet)) + bullet)
        out.append(text.replace("\n", "\n" + indent))
        bullet = ""

    for token in tokens:
        match token.type:
            case "inline":
                block(_plain_inline(token.children or (), tags))
            case "paragraph_close" | "heading_close":
                out.append("\n" if token.hidden else "\n\n")
            case "liquid":
                out.append(token.content)
            case "hr" | "fence" | "code_block":
                block((token.content.rstrip("\n") or "-----") + "\n\n")
            case "blockquote_open":
                indents.append("    ")
            case "blockquote_close" | "list_item_close":
                indents.pop()
                bullet = ""
            case "bullet_list_open":
                numbers.append(None)
            case "ordered_list_open" if token.meta.get("changing"):
                numbers.append(0)
                out.append(_FIRST_NUMBER)
            case "ordered_list_open":
                numbers.append(int(token.attrGet("start") or 1))
            case "list_item_open":
                number = numbers[-1]
                bullet = "- " if number is None else f"{number or _NEXT_NUMBER}. "
                indents.append(" " * len(bullet))
                numbers[-1] = number + 1 if number else number
            case "bullet_list_close" | "ordered_list_close":
                numbers.pop()
                out.append("" if numbers else "\n")
            case _:
                pass
    return "".join(out)


def _plain_inline(children: Sequence[MdToken], tags: Tags) -> str:
    out: list[str] = []
    links: list[tuple[str, int]] = []
    for index, child in enumerate(children):
        match child.type:
            case "softbreak":
                out.append(" ")
            case "hardbreak":
                out.append("\n")
            case "link_open":
                links.append((str(child.attrGet("href") or ""), len(out)))
            case "link_close":
                url, start = links.pop()
                label, last = "".join(out[start:]), index == len(children) - 1
                out.append(tags.address(label, url, last=last))
            case _:  # text, code, and the alternative text of an image
                out.append(child.content)
    return "".join(out)


def tidy(text: str) -> str:
    if _NEXT_NUMBER in text:
        number = 0

        def count(match: re.Match[str]) -> str:
            nonlocal number
            number = 0 if match[0] == _FIRST_NUMBER else number + 1
            return str(number) if number else ""

        text = re.sub(f"[{_FIRST_NUMBER}{_NEXT_NUMBER}]", count, text)
    text = re.sub(r"[ \t]+$", "", text.replace(_FIRST_NUMBER, ""), flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"
