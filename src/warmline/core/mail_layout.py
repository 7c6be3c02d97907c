"""The MJML layout around the letter: its styles, its footer as plain text, and its HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html.parser import HTMLParser

import mrml

from warmline.core.mail_liquid import TemplateError
from warmline.core.mail_markdown import Tags

_URL_ATTRIBUTES = ("action", "background", "href", "src")
_COMMENT = re.compile(r"<!--(?!\[if).*?-->", re.DOTALL)
_INLINE_STYLE = re.compile(r"<mj-style\s+inline=\"inline\"\s*>(.*?)</mj-style>", re.DOTALL)
_CSS_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_HTML_TAG = re.compile(r"<[a-zA-Z][^\s>/]*(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_ATTRIBUTE = re.compile(r"([^\s=\"'<>/]+)\s*=\s*(\"[^\"]*\"|'[^']*')")


def without_comments(layout: str) -> str:
    return _COMMENT.sub(lambda m: "\n" * m[0].count("\n"), layout)


def take_styles(layout: str, step: str) -> tuple[dict[str, str], str]:
    """The layout's `<mj-style inline="inline">`, by element: it goes into the letter's tags."""
    styles: dict[str, str] = {}
    for block in _INLINE_STYLE.finditer(layout):
        css = re.sub(r"/\*.*?\*/", "", block[1], flags=re.DOTALL)
        for selectors, declarations in _CSS_RULE.findall(css):
            for selector in selectors.split(","):
                if not re.fullmatch(r"[a-z]+[1-6]?", selector.strip()):
                    line = 1 + layout.count("\n", 0, block.start())
                    found, expected = f"{selector.strip()!r}", "element names such as p, a, li"
                    raise TemplateError(step, "layout", line, found, expected)
                text = " ".join(declarations.split()).replace('"', "'")
                styles[selector.strip()] = styles.get(selector.strip(), "") + text
    return styles, _INLINE_STYLE.sub(lambda m: "\n" * m[0].count("\n"), layout)


class LayoutReader(HTMLParser):
    """Reads the text that a layout sets below the letter, and finds elements that never close."""

    def __init__(self, tags: Tags, lines: Sequence[int]) -> None:
        super().__init__(convert_charrefs=True)
        self.tags, self.lines = tags, lines
        self.open: list[tuple[str, int]] = []
        self.out: list[str] = []
        self.links: list[tuple[str, int]] = []
        self.below = False  # past {{ content }}
        self.begins = True  # at the start of a text, where white space means nothing

    def footer(self, shell: str) -> str:
        self.feed(shell)
        self.close()
        for name, line in self.open:
            raise self.tags.wrong("layout", line, f"<{name}> that never closes", f"</{name}>")
        return re.sub(r" *\n *", "\n", "".join(self.out) if self.below else "")

    @property
    def line(self) -> int:
        return self.lines[min(self.getpos()[0], len(self.lines)) - 1]

    def handle_starttag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        if tag.startswith("mj"):
            self.open.append((tag, self.line))
            self.begins = True
        if tag == "br":
            self.out.append("\n")
        url = next((value or "" for key, value in attrs if key == "href"), "")
        if tag in ("a", "mj-button"):
            self.links.append((url, len(self.out)))

    def handle_startendtag(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        if tag == "br":
            self.out.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("a", "mj-button") and self.links:
            url, start = self.links.pop()
            self.out.append(self.tags.address("".join(self.out[start:]), url))
        if tag in ("p", "div", "mj-text", "mj-button"):
            self.out.append("\n\n")
        if tag.startswith("mj"):
            name, line = self.open.pop() if self.open else ("", self.line)
            if name != tag:
                expected = f"</{name}> for the <{name}> on line {line}" if name else "no such end"
                raise self.tags.wrong("layout", self.line, f"</{tag}>", expected)

    def handle_data(self, data: str) -> None:
        if self.tags.content in data:
            data = data.partition(self.tags.content)[2]
            self.below = True
            self.out.clear()
        if any(name in ("mj-text", "mj-button") for name, _ in self.open):
            text = re.sub(r"\s+", " ", data)
            self.out.append(text.lstrip() if self.begins else text)
            self.begins = self.begins and not text.strip()
        elif self.tags.only_logic(data):  # {% if %} around a whole section
            self.out += (word[0] for word in self.tags.word.finditer(data))


def mjml_to_html(shell: str, lines: Sequence[int], tags: Tags) -> str:
    def line(offset: int) -> int:
        return lines[shell.encode()[:offset].count(b"\n")]

    try:  # no fonts: a mail that loads them tells a third party who read it
        html = str(mrml.to_html(shell, None, mrml.RenderOptions(fonts={})).content)
    except OSError as error:
        at = re.search(r"position (\d+)", str(error))
        number = line(int(at[1])) if at else 1
        raise tags.wrong("layout", number, str(error), "an MJML document") from error
    if unknown := re.search(r"<mj-[\w-]+", html):
        number = line(shell.encode().find(unknown[0].encode()))
        raise tags.wrong("layout", number, f"{unknown[0]}>", "an MJML element that fits here")
    return html


def url_places(html: str, tags: Tags) -> set[int]:
    """Where outputs begin a link's address. Refuses them where escaping does not protect."""
    places: set[int] = set()
    for block in re.finditer(r"<(style|script)\b.*?</\1>", html, re.DOTALL):
        _refuse(block[0], tags)
    for element in _HTML_TAG.finditer(html):
        if not tags.word.search(element[0]):
            continue
        _refuse(_ATTRIBUTE.sub("", element[0]), tags)
        for attribute in _ATTRIBUTE.finditer(element[0]):
            key, value = attribute[1].lower(), attribute[2]
            if key == "style" or key.startswith("on"):
                _refuse(value, tags)
            if key not in _URL_ATTRIBUTES:
                continue
            for word in tags.word.finditer(value):
                before = tags.word.sub("", value[1 : word.start()])
                if not tags.tags[int(word[1])].name and not re.search(r"[:/?#]", before):
                    places.add(element.start() + attribute.start(2) + word.start())
    return places


def _refuse(html: str, tags: Tags) -> None:
    for tag in tags.of(html):
        found = f"{tag.text} inside a style, a script or a bare attribute"
        raise tags.wrong(tag.part, tag.line, found, "Liquid in text or in a quoted attribute")
