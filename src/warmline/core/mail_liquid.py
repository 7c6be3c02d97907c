"""Liquid, stricter than it comes: a blank value is an error, and every output is escaped, always.

`TEXT` and `HTML` are the two environments. A `Part` is one template that knows where the operator
wrote each of its tags, so that an error can say so. The errors of a mail live here, where every
other mail module can import them.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import ClassVar, TextIO

from liquid import BoundTemplate, Environment, FalsyStrictUndefined, RenderContext
from liquid.builtin.expressions import FilteredExpression, Path, StringLiteral
from liquid.builtin.output import Output, OutputNode
from liquid.builtin.tags.assign_tag import AssignNode, AssignTag
from liquid.exceptions import LiquidError, UndefinedError
from liquid.lex import compile_liquid_rules
from liquid.token import Token
from liquid.undefined import is_undefined

from warmline.core.errors import WarmlineError

VALUE_CHARS_MAX = 2_000
LOOP_ITERATIONS_MAX = 1_000

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

OPENERS = ("case", "for", "if", "unless")
LEXER = compile_liquid_rules()
_CONTROL = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+"
)  # line breaks, terminal codes, text-direction overrides and halves of characters
VISIBLE = re.compile(
    rf"[^\s\u00ad\u200b-\u200f\u2060\ufeff{_CONTROL.pattern.removeprefix('[').removesuffix(']+')}]"
)
_URL = re.compile(r"(?:https?://|mailto:|tel:)[^\s<>\"]+\Z", re.IGNORECASE)


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


class _Unfit(Exception):
    """A value that may not be printed; `Part.render` turns it into `MissingVariable`."""

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
        return None if VISIBLE.search(value) else "empty"
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


class Liquid(Environment):
    loop_iteration_limit = LOOP_ITERATIONS_MAX

    def __init__(self, output: type[Output]) -> None:
        super().__init__(undefined=FalsyStrictUndefined)
        kept = {*TAGS, "output", "content", "illegal", "#"}
        self.tags = {name: tag for name, tag in self.tags.items() if name in kept}
        self.filters = {name: self.filters[name] for name in FILTERS}
        self.filters |= {"default": _default, "url_only": _url_only}
        self.add_tag(output)
        self.add_tag(_StrictAssign)


TEXT = Liquid(_TextOutput)
HTML = Liquid(_HtmlOutput)


@dataclass(frozen=True, slots=True)
class Part:
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


def used_variables(step: str, part: str, source: str, first_line: int = 1) -> set[str]:
    """The variables of one source as it was written, which also finds its Liquid errors."""

    def wrong(index: int, found: str, expected: str) -> TemplateError:
        return TemplateError(step, part, first_line + source.count("\n", 0, index), found, expected)

    for match in LEXER.finditer(source):
        if match.lastgroup in ("RAW", "DOC"):
            raise wrong(match.start(), f"{{% {str(match.lastgroup).lower()} %}}", _allowed_tags())
    try:
        analysis = TEXT.from_string(source).analyze(include_partials=False)
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
    for match in LEXER.finditer(source):
        name = match["name"] if match.lastgroup == "TAG" else None
        if name in OPENERS:
            opened.append(match.start())
        elif name and name.startswith("end") and opened:
            opened.pop()
    return opened[-1] if opened else 0


def _allowed_tags() -> str:
    return f"one of the tags {', '.join(TAGS)}"
