"""One step of a sequence as e-mail: Markdown, Liquid and MJML compiled once, then only filled in.

`compile_step` does all that is the same for every reader, and raises `TemplateError` for what an
operator wrote wrongly. `CompiledStep.render` fills in the values of one reader, and raises
`MissingVariable` rather than let a half-empty mail leave. A value is data, never markup.

    subject, preheader ─ Liquid ───────────────────────────────────────────────┐
    body ─ Liquid tags out ─ Markdown ┬─ HTML ─ into the MJML layout ─ tags in ├─ CompiledStep
                                      └─ plain text + the layout's footer ─────┘

Liquid is `mail_liquid`, the letter is `mail_markdown`, the MJML around it is `mail_layout`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from warmline.core.mail_layout import (
    LayoutReader,
    mjml_to_html,
    take_styles,
    url_places,
    without_comments,
)
from warmline.core.mail_liquid import (
    FILTERS,
    HTML,
    LOOP_ITERATIONS_MAX,
    TAGS,
    TEXT,
    VALUE_CHARS_MAX,
    VISIBLE,
    MailError,
    MissingVariable,
    Part,
    TemplateError,
    used_variables,
)
from warmline.core.mail_markdown import (
    Tags,
    check_balance,
    parse_markdown,
    tidy,
    to_html,
    to_plain,
    unused_word,
)

__all__ = [
    "FILTERS",
    "FOOTER_VARIABLES",
    "HTML_BYTES_MAX",
    "LOOP_ITERATIONS_MAX",
    "TAGS",
    "VALUE_CHARS_MAX",
    "CompiledStep",
    "MailError",
    "MissingVariable",
    "RenderedMail",
    "TemplateError",
    "compile_step",
    "variables",
]

HTML_BYTES_MAX = 100_000  # Gmail cuts a mail at 102 kB, and the unsubscribe link is at its end
FOOTER_VARIABLES = ("unsubscribe_url", "postal_address")  # what the law wants under every mail


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
    _subject: Part
    _preheader: Part
    _html: Part
    _text: Part

    def render(self, context: Mapping[str, object]) -> RenderedMail:
        subject = " ".join(self._subject.render(context).split())
        if not VISIBLE.search(subject):
            raise MissingVariable("subject", self.name, "subject line 1", "empty")
        preheader = " ".join(self._preheader.render(context).split())
        filled = {**context, "subject": subject, "preheader": preheader}
        html = self._html.render(filled)
        return RenderedMail(subject, html, tidy(self._text.render(filled)))


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
    layout = without_comments(layout)
    styles, layout = take_styles(layout, name)
    tags = Tags(name, mark=unused_word(subject + preheader + body + layout))
    used = used_variables(name, "subject", subject) | used_variables(name, "preheader", preheader)
    used |= used_variables(name, "body", body, first_line)
    layout_used = used_variables(name, "layout", layout)
    for variable in requires:
        if variable not in layout_used:
            wanted = f"{{{{ {variable} }}}}"
            raise TemplateError(name, "layout", 1, f"no {wanted}", f"{wanted} in its footer")
    used |= layout_used - {"content", "subject", "preheader"}

    subject_part = tags.part(tags.take(subject, "subject")[0], TEXT)
    preheader_part = tags.part(tags.take(preheader, "preheader")[0], TEXT)
    markdown, lines = tags.take(body, "body", first_line)
    if not tags.says_something(markdown):
        raise TemplateError(name, "body", first_line, "no words", "a letter below the front matter")
    tokens = parse_markdown(markdown, lines, tags)
    plain_body = to_plain(tokens, tags)
    html_body = to_html(tokens, styles)
    check_balance(html_body, tags)
    shell, layout_lines = tags.take(layout, "layout")
    footer = LayoutReader(tags, layout_lines).footer(shell)
    html = mjml_to_html(shell, layout_lines, tags).replace(tags.content, html_body)
    if len(html.encode()) > HTML_BYTES_MAX:
        size = f"{len(html.encode()):,} bytes of HTML"
        raise TemplateError(name, "body", first_line, size, f"at most {HTML_BYTES_MAX:,}")
    return CompiledStep(
        name=name,
        variables=frozenset(used),
        _subject=subject_part,
        _preheader=preheader_part,
        _html=tags.part(html, HTML, urls=url_places(html, tags)),
        _text=tags.part(f"{plain_body}\n\n{footer}", TEXT),
    )
