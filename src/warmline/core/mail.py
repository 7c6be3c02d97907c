"""One step of a sequence as e-mail: Markdown, Liquid and MJML compiled once, then only filled in.

`compile_step` does all that is the same for every reader, and raises `TemplateError` for what an
operator wrote wrongly. `CompiledStep.render` fills in the values of one reader, and raises
`MissingVariable` rather than let a half-empty mail leave. A value is data, never markup.

    subject, preheader ─ Liquid ───────────────────────────────────────────────┐
    body ─ Liquid tags out ─ Markdown ┬─ HTML ─ into the MJML layout ─ tags in ├─ CompiledStep
                                      └─ plain text + the layout's footer ─────┘
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from html.parser import HTMLParser
from typing import ClassVar, TextIO

import mrml
from liquid import BoundTemplate, Environment, FalsyStrictUndefined, RenderContext
from liquid.builtin.expressions import FilteredExpression, Path, StringLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.assign_tag import AssignNode, AssignTag
from liquid.exceptions import LiquidError, UndefinedError
from liquid.lex import compile_liquid_rules
from liquid.token import TOKEN_OUTPUT, Token
from liquid.undefined import is_undefined
from markdown_it import MarkdownIt
from markdown_it.token import Token as MdToken

from warmline.core.errors import WarmlineError

HTML_BYTES_MAX = 100_000  # Gmail cuts a mail at 102 kB, and the unsubscribe link is at its end
VALUE_CHARS_MAX = 2_000
LOOP_ITERATIONS_MAX = 1_000
FOOTER_VARIABLES = ("unsubscribe_url", "postal_address")  # what the law wants under every mail

TAGS = ("assign", "break", "case", "comment", "continue", "for", "if", "unless")
# fmt: off
FILTERS = (
    "abs", "append", "at_least", "at_most", "capitalize", "ceil", "compact", "concat", "default",
    "divided_by", "downcase", "first", "floor", "join", "last", "lstrip", "map", "minus",
    "modulo", "plus", "prepend", "remove", "remove_first", "replace", "replace_first", "reverse",
    "round", "rstrip", "size", "slice", "sort", "split", "squish", "strip", "times", "truncate",
    "truncatewords", "uniq", "upcase", "url_encode", "where",
)  # no `safe`: escaping is not optional; no `date`: it reads the clock
# fmt: on

_OPENERS = ("case", "for", "if", "unless")
_MIDDLES = ("else", "elsif", "when")
_URL_ATTRIBUTES = ("action", "background", "href", "src")
_LISTS = ("bullet_list_open", "ordered_list_open")
_VOID = ("br", "hr", "img")
_LEXER = compile_liquid_rules()
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+"
)  # line breaks, terminal codes, text-direction overrides and halves of characters
_VISIBLE = re.compile(
    rf"[^\s\u00ad\u200b-\u200f\u2060\ufeff{_CONTROL.pattern.removeprefix('[').removesuffix(']+')}]"
)
_URL = re.compile(r"(?:https?://|mailto:|tel:)[^\s<>\"]+\Z", re.IGNORECASE)
_COMMENT = re.compile(r"<!--(?!\[if).*?-->", re.DOTALL)
_INLINE_STYLE = re.compile(r"<mj-style\s+inline=\"inline\"\s*>(.*?)</mj-style>", re.DOTALL)
_CSS_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
_HTML_TAG = re.compile(r"<[a-zA-Z][^\s>/]*(?:[^>\"']|\"[^\"]*\"|'[^']*')*>")
_ATTRIBUTE = re.compile(r"([^\s=\"'<>/]+)\s*=\s*(\"[^\"]*\"|'[^']*')")
_NEXT_NUMBER, _FIRST_NUMBER = "\x1e", "\x1f"  # for lists whose length is known per reader only


class MailError(WarmlineError):
    """A mail that cannot be made. Nothing was sent."""


class TemplateError(MailError):
    """The operator's template is wrong: `step`, `part`, `line`, what was found and expected."""

    def __init__(self, step: str, part: str, line: int, found: str, expected: str) -> None:
        super().__init__(f"{step}, {part} line {line}: found {found}; expected {expected}")
        self.step, self.part, self.line = step, part, line
        self.found, self.expected = found, expected


class MissingVariable(MailError):
    """A value that this reader's mail needs is absent, blank or not fit for its place: hold it.

    `name` is the variable and `found` what it was; the value itself is never part of the message.
    """

    def __init__(self, name: str, step: str, where: str, found: str) -> None:
        hint = f'Fill it in at its source, or write {{{{ {name} | default: "…" }}}} in the step.'
        super().__init__(f"{step}, {where}: {name} is {found}", hint=hint)
        self.name, self.step, self.where, self.found = name, step, where, found


@dataclass(frozen=True, slots=True)
class RenderedMail:
    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class CompiledStep:
    """Immutable, so any number of threads may render it at once."""

    name: str
    variables: frozenset[str]
    _subject: _Part
    _preheader: _Part
    _html: _Part
    _text: _Part

    def render(self, context: Mapping[str, object]) -> RenderedMail:
        subject = " ".join(self._subject.render(context).split())
        if not _VISIBLE.search(subject):
            raise MissingVariable("subject", self.name, "subject line 1", "empty")
        preheader = " ".join(self._preheader.render(context).split())
        filled = {**context, "subject": subject, "preheader": preheader}
        html = self._html.render(filled)
        return RenderedMail(subject, html, _tidy(self._text.render(filled)))


def variables(step: CompiledStep) -> set[str]:
    """The values a step asks for, as dotted paths: `{"candidate.first_name", "company"}`."""
    return set(step.variables)


def compile_step(
    *,
    name: str,
    subject: str,
    body: str,
    layout: str,
    preheader: str = "",
    first_line: int = 1,
    requires: Collection[str] = FOOTER_VARIABLES,
) -> CompiledStep:
    """Compile one step. `first_line` is the line of its file where `body` begins."""
    layout = _COMMENT.sub(lambda m: "\n" * m[0].count("\n"), layout)
    styles, layout = _take_styles(layout, name)
    tags = _Tags(name, mark=_unused_word(body + layout))
    used = _variables(name, "subject", subject) | _variables(name, "preheader", preheader)
    used |= _variables(name, "body", body, first_line)
    layout_used = _variables(name, "layout", layout)
    for variable in requires:
        if variable not in layout_used:
            wanted = f"{{{{ {variable} }}}}"
            raise TemplateError(name, "layout", 1, f"no {wanted}", f"{wanted} in its footer")
    used |= layout_used - {"content", "subject", "preheader"}

    subject_part = tags.part(tags.take(subject, "subject")[0], _TEXT)
    preheader_part = tags.part(tags.take(preheader, "preheader")[0], _TEXT)
    markdown, lines = tags.take(body, "body", first_line)
    tokens = tags.parse_markdown(markdown, lines)
    plain_body = _plain(tokens, tags)
    html_body = _html(tokens, styles)
    tags.check_balance(html_body)
    shell, layout_lines = tags.take(layout, "layout")
    footer = _LayoutReader(tags, layout_lines).footer(shell)
    html = tags.mjml(shell, layout_lines).replace(tags.content, html_body)
    if len(html.encode()) > HTML_BYTES_MAX:
        size = f"{len(html.encode()):,} bytes of HTML"
        raise TemplateError(name, "body", first_line, size, f"at most {HTML_BYTES_MAX:,}")
    return CompiledStep(
        name=name,
        variables=frozenset(used),
        _subject=subject_part,
        _preheader=preheader_part,
        _html=tags.part(html, _HTML, urls=tags.url_places(html)),
        _text=tags.part(f"{plain_body}\n\n{footer}", _TEXT),
    )


# Liquid, stricter than it comes: a blank value is an error, and every output is escaped, always.


class _Unfit(Exception):
    """A value that may not be printed; `_Part.render` turns it into `MissingVariable`."""

    def __init__(self, name: str, found: str, index: int = -1) -> None:
        super().__init__(name, found)
        self.name, self.found, self.index = name, found, index


def _blank(value: object) -> str | None:
    """Why a value counts as missing, or None when it does not."""
    if is_undefined(value):
        return "undefined"
    if value is None:
        return "None"
    if isinstance(value, str):
        return None if _VISIBLE.search(value) else "empty"
    return "empty" if isinstance(value, (list, tuple, dict)) and not value else None


def _as_text(value: object) -> str:
    if isinstance(value, str):
        text = str(value)
    elif isinstance(value, bool):
        text = str(value).lower()
    elif isinstance(value, (list, tuple)):
        text = ", ".join(_as_text(item) for item in value)
    elif isinstance(value, Mapping):
        raise _Unfit("", "a group of values, not one")
    else:
        text = str(value)
    if len(text) > VALUE_CHARS_MAX:
        raise _Unfit("", f"{len(text):,} characters long, more than {VALUE_CHARS_MAX:,}")
    return _CONTROL.sub(" ", text)


def _default(value: object, fallback: object = None, *, allow_false: bool = False) -> object:
    if _blank(value) or (value is False and not allow_false):
        return fallback
    return value


def _url_only(value: object) -> str:
    text = _as_text(value)
    if not _URL.match(text):
        raise _Unfit("", "not a web address (https:, mailto: or tel:)")
    return text


class _StrictExpression(FilteredExpression):
    """Refuses a missing value before a filter can hide it, as in `{{ name | append: "," }}`."""

    __slots__ = ()

    def evaluate(self, context: RenderContext) -> object:
        value = self.left.evaluate(context)
        for step in self.filters or ():
            if step.name != "default":
                self.demand(value, str(self.left))
                for argument in step.args:
                    if isinstance(argument.value, Path):
                        self.demand(argument.value.evaluate(context), str(argument.value))
            try:
                value = step.evaluate(value, context)
            except _Unfit as unfit:
                raise _Unfit(str(self.left), unfit.found, self.token.start_index) from None
        return value

    def demand(self, value: object, name: str) -> None:
        if why := _blank(value):
            raise _Unfit(name, why, self.token.start_index)

    def may_be_empty(self) -> bool:
        """Only when the author wrote so: `| default: ""`."""
        return any(
            step.name == "default" and step.args and isinstance(step.args[0].value, StringLiteral)
            for step in self.filters or ()
        )

    @classmethod
    def of(cls, expression: object) -> _StrictExpression:
        if not isinstance(expression, FilteredExpression):
            raise AssertionError(expression)
        return cls(expression.token, expression.left, expression.filters)


class _StrictOutputNode(OutputNode):
    __slots__ = ("strict",)
    escapes: ClassVar[bool] = False

    def __init__(self, token: Token, expression: object) -> None:
        self.strict = _StrictExpression.of(expression)
        super().__init__(token, self.strict)

    def render_to_output(self, context: RenderContext, buffer: TextIO) -> int:
        value = self.strict.evaluate(context)
        if not (value == "" and isinstance(value, str) and self.strict.may_be_empty()):
            self.strict.demand(value, str(self.strict.left))
        try:
            text = _as_text(value)
        except _Unfit as unfit:
            raise _Unfit(str(self.strict.left), unfit.found, self.token.start_index) from None
        return buffer.write(escape(text) if self.escapes else text)


class _HtmlOutputNode(_StrictOutputNode):
    __slots__ = ()
    escapes = True


class _TextOutput(Output):
    node_class = _StrictOutputNode


class _HtmlOutput(Output):
    node_class = _HtmlOutputNode


class _StrictAssignNode(AssignNode):
    __slots__ = ()

    def render_to_output(self, context: RenderContext, _: TextIO) -> int:
        context.assign(self.name, _StrictExpression.of(self.expression).evaluate(context))
        return 0


class _StrictAssign(AssignTag):
    node_class = _StrictAssignNode


class _Liquid(Environment):
    loop_iteration_limit = LOOP_ITERATIONS_MAX

    def __init__(self, output: type[Output]) -> None:
        super().__init__(undefined=FalsyStrictUndefined)
        kept = {*TAGS, "output", "content", "illegal", "#"}
        self.tags = {name: tag for name, tag in self.tags.items() if name in kept}
        self.filters = {name: self.filters[name] for name in FILTERS}
        self.filters |= {"default": _default, "url_only": _url_only}
        self.add_tag(output)
        self.add_tag(_StrictAssign)


_TEXT = _Liquid(_TextOutput)
_HTML = _Liquid(_HtmlOutput)


@dataclass(frozen=True, slots=True)
class _Part:
    """A template, and for each Liquid tag in it where the operator wrote it."""

    step: str
    template: BoundTemplate
    offsets: Sequence[int]
    places: Sequence[tuple[str, int]]

    def render(self, context: Mapping[str, object]) -> str:
        try:
            return self.template.render(context)
        except _Unfit as unfit:
            part, line = self.place(unfit.index)
            raise MissingVariable(
                unfit.name, self.step, f"{part} line {line}", unfit.found
            ) from None
        except UndefinedError as error:
            part, line = self.place(error.token.start_index if error.token else -1)
            missing = str(error.message).removesuffix(" is undefined").strip("'")
            raise MissingVariable(missing, self.step, f"{part} line {line}", "undefined") from error
        except LiquidError as error:
            part, line = self.place(error.token.start_index if error.token else -1)
            raise TemplateError(
                self.step, part, line, str(error.message), "a value this tag can use"
            ) from error

    def place(self, offset: int) -> tuple[str, int]:
        index = bisect_right(self.offsets, offset) - 1
        return self.places[index] if index >= 0 else ("body", 1)


def _variables(step: str, part: str, source: str, first_line: int = 1) -> set[str]:
    """The variables of one source as it was written, which also finds its Liquid errors."""

    def wrong(index: int, found: str, expected: str) -> TemplateError:
        return TemplateError(step, part, first_line + source.count("\n", 0, index), found, expected)

    for match in _LEXER.finditer(source):
        if match.lastgroup in ("RAW", "DOC"):
            raise wrong(match.start(), f"{{% {str(match.lastgroup).lower()} %}}", _allowed_tags())
    try:
        analysis = _TEXT.from_string(source).analyze(include_partials=False)
    except LiquidError as error:
        index, found = (error.token.start_index if error.token else -1), str(error.message)
        if index < 0:  # the end of the file: the fault is where the open block began
            index = _last_opener(source)
        raise wrong(index, found, _allowed_tags() if "tag" in found else "Liquid") from error
    for filter_name, spans in analysis.filters.items():
        if filter_name not in FILTERS:
            found, expected = f"the filter {filter_name!r}", f"one of {', '.join(FILTERS)}"
            raise wrong(spans[0].index, found, expected)
    return {str(variable) for found_at in analysis.globals.values() for variable in found_at}


def _last_opener(source: str) -> int:
    """Where the innermost block begins that never ends."""
    opened: list[int] = []
    for match in _LEXER.finditer(source):
        name = match["name"] if match.lastgroup == "TAG" else None
        if name in _OPENERS:
            opened.append(match.start())
        elif name and name.startswith("end") and opened:
            opened.pop()
    return opened[-1] if opened else 0


def _allowed_tags() -> str:
    return f"one of the tags {', '.join(TAGS)}"


def _unused_word(text: str) -> str:
    word = "wlq"
    while word in text.lower():
        word += "q"
    return word


def _take_styles(layout: str, step: str) -> tuple[dict[str, str], str]:
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


@dataclass(frozen=True, slots=True)
class _Tag:
    text: str
    name: str  # "" for an output
    part: str
    line: int


class _Tags:
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
        for match in _LEXER.finditer(source):
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

    def address(self, label: str, url: str, *, last: bool = False) -> str:
        """What follows a link's words in plain text: `: address` at a line's end, else in ( )."""

        def written(text: str) -> str:
            return self.word.sub(lambda m: "".join(self.tags[int(m[1])].text.split()), text)

        address = url.removeprefix("mailto:").removeprefix("tel:")
        if not address or written(label.strip()) in (written(url), written(address)):
            return ""
        return f": {address}" if last else f" ({address})"

    def part(self, text: str, env: _Liquid, urls: Collection[int] = ()) -> _Part:
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
        return _Part(self.step, template, offsets, places)

    def parse_markdown(self, text: str, lines: Sequence[int]) -> list[MdToken]:
        spaced: list[str] = []
        origin: list[int] = []
        for line, number in zip(text.split("\n"), lines, strict=True):
            around = ["", line, ""] if self.only_logic(line) else [line]
            spaced += around
            origin += [number] * len(around)
        source = re.sub(rf"<({self.word.pattern})>", r"[\1](\1)", "\n".join(spaced))
        tokens = _MARKDOWN.parse(source)
        for token in tokens:
            for part in (token, *(token.children or ())):
                if part.type in ("html_block", "html_inline"):
                    found = f"raw HTML {part.content.strip()[:40]!r}"
                    line_found = origin[min((token.map or [0])[0], len(origin) - 1)]
                    expected = "Markdown; a note to yourself is {% comment %}…{% endcomment %}"
                    raise self.wrong("body", line_found, found, expected)
        return self.join_lists(self.unwrap(tokens))

    def unwrap(self, tokens: Sequence[MdToken]) -> list[MdToken]:
        """Paragraphs that hold only logic become bare `liquid` tokens."""
        out: list[MdToken] = []
        skip = 0
        for index, token in enumerate(tokens):
            if skip:
                skip -= 1
            elif token.type == "paragraph_open" and self.only_logic(tokens[index + 1].content):
                for word in self.word.finditer(tokens[index + 1].content):
                    out.append(MdToken("liquid", "", 0, content=word[0]))
                skip = 2
            else:
                out.append(token)
        return out

    def join_lists(self, tokens: list[MdToken]) -> list[MdToken]:
        """`{% for %}` or `{% if %}` around items goes inside the one list, not around several."""
        index = 0
        while index + 1 < len(tokens):
            if tokens[index].type == "liquid" and tokens[index + 1].type in _LISTS:
                self.join_list(tokens, index)
            index += 1
        return tokens

    def join_list(self, tokens: list[MdToken], index: int) -> None:
        opener, first = tokens[index : index + 2]
        closes = first.type.replace("_open", "_close")
        close = next(
            i
            for i in range(index + 2, len(tokens))
            if tokens[i].type == closes and tokens[i].level == first.level
        )
        end, after = [*tokens[close + 1 : close + 3], None, None][:2]
        name = self.of(opener.content)[0].name
        if end is None or end.type != "liquid" or self.of(end.content)[0].name != f"end{name}":
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

    def check_balance(self, html: str) -> None:
        """A Liquid block that opens inside one element and closes in another breaks the mail."""
        stack: list[str | _Tag] = []
        for match in re.finditer(rf"{self.word.pattern}|<(/?)([a-z][a-z0-9]*)[^>]*>", html):
            if match[1] is None:
                if not match[2]:
                    stack += [] if match[3] in _VOID else [match[3]]
                elif stack.pop() != match[3]:
                    raise self.unbalanced(stack)
                continue
            tag = self.tags[int(match[1])]
            if tag.name in _OPENERS:
                stack.append(tag)
            elif tag.name in _MIDDLES or tag.name.startswith("end"):
                if not isinstance(stack[-1], _Tag):
                    raise self.unbalanced(stack)
                if tag.name not in _MIDDLES:
                    stack.pop()

    def unbalanced(self, stack: Sequence[str | _Tag]) -> TemplateError:
        tag = next((t for t in reversed(stack) if isinstance(t, _Tag)), self.tags[0])
        found = f"{tag.text} that starts in one paragraph or list item and ends in another"
        expected = "each {% … %} on a line of its own, or all of it in one paragraph"
        return self.wrong(tag.part, tag.line, found, expected)

    def mjml(self, shell: str, lines: Sequence[int]) -> str:
        def line(offset: int) -> int:
            return lines[shell.encode()[:offset].count(b"\n")]

        try:  # no fonts: a mail that loads them tells a third party who read it
            html = str(mrml.to_html(shell, None, mrml.RenderOptions(fonts={})).content)
        except OSError as error:
            at = re.search(r"position (\d+)", str(error))
            number = line(int(at[1])) if at else 1
            raise self.wrong("layout", number, str(error), "an MJML document") from error
        if unknown := re.search(r"<mj-[\w-]+", html):
            number = line(shell.encode().find(unknown[0].encode()))
            raise self.wrong("layout", number, f"{unknown[0]}>", "an MJML element that fits here")
        return html

    def url_places(self, html: str) -> set[int]:
        """Where outputs begin a link's address. Refuses them where escaping does not protect."""
        places: set[int] = set()
        for block in re.finditer(r"<(style|script)\b.*?</\1>", html, re.DOTALL):
            self.refuse(block[0])
        for element in _HTML_TAG.finditer(html):
            if not self.word.search(element[0]):
                continue
            self.refuse(_ATTRIBUTE.sub("", element[0]))
            for attribute in _ATTRIBUTE.finditer(element[0]):
                key, value = attribute[1].lower(), attribute[2]
                if key == "style" or key.startswith("on"):
                    self.refuse(value)
                if key not in _URL_ATTRIBUTES:
                    continue
                for word in self.word.finditer(value):
                    before = self.word.sub("", value[1 : word.start()])
                    if not self.tags[int(word[1])].name and not re.search(r"[:/?#]", before):
                        places.add(element.start() + attribute.start(2) + word.start())
        return places

    def refuse(self, html: str) -> None:
        for tag in self.of(html):
            found = f"{tag.text} inside a style, a script or a bare attribute"
            raise self.wrong(tag.part, tag.line, found, "Liquid in text or in a quoted attribute")


# Markdown to HTML and to plain text.

_MARKDOWN = MarkdownIt("commonmark", {"html": True})  # html is parsed only to be refused
_MARKDOWN.add_render_rule("liquid", lambda _self, tokens, i, _options, _env: tokens[i].content)


def _html(tokens: Sequence[MdToken], styles: Mapping[str, str]) -> str:
    for token in tokens:
        for part in (token, *(token.children or ())):
            if part.nesting >= 0 and part.tag in styles:
                part.attrSet("style", styles[part.tag])
    return str(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})).strip()


def _plain(tokens: Sequence[MdToken], tags: _Tags) -> str:
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


def _plain_inline(children: Sequence[MdToken], tags: _Tags) -> str:
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


def _tidy(text: str) -> str:
    if _NEXT_NUMBER in text:
        number = 0

        def count(match: re.Match[str]) -> str:
            nonlocal number
            number = 0 if match[0] == _FIRST_NUMBER else number + 1
            return str(number) if number else ""

        text = re.sub(f"[{_FIRST_NUMBER}{_NEXT_NUMBER}]", count, text)
    text = re.sub(r"[ \t]+$", "", text.replace(_FIRST_NUMBER, ""), flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


class _LayoutReader(HTMLParser):
    """Reads the text that a layout sets below the letter, and finds elements that never close."""

    def __init__(self, tags: _Tags, lines: Sequence[int]) -> None:
        super().__init__(convert_charrefs=True)
        self.tags, self.lines = tags, lines
        self.open: list[tuple[str, int]] = []
        self.out: list[str] = []
        self.links: list[tuple[str, int]] = []
        self.below = False  # past {{ content }}

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
            self.out.append(re.sub(r"\s+", " ", data))
        elif self.tags.only_logic(data):  # {% if %} around a whole section
            self.out += (word[0] for word in self.tags.word.finditer(data))
