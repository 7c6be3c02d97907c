"""Mail: what an operator writes wrongly stops start-up, and what a value holds stays a value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from html import escape
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warmline.core.errors import WarmlineError
from warmline.core.mail import (
    VALUE_CHARS_MAX,
    CompiledStep,
    MissingVariable,
    RenderedMail,
    TemplateError,
    compile_step,
    variables,
)

LAYOUT = """<mjml>
  <mj-head>
    <mj-preview>{{ preheader }}</mj-preview>
    <mj-style inline="inline">p { margin: 0 0 9px; } a { color: #123456; }</mj-style>
  </mj-head>
  <mj-body><mj-section><mj-column>
    <mj-text>Above</mj-text>
    <mj-text>{{ content }}</mj-text>
    <mj-text>Why &amp; how: <a href="{{ unsubscribe_url }}">unsubscribe</a>.<br/>
      {{ postal_address }}</mj-text>
  </mj-column></mj-section></mj-body>
</mjml>
"""
FOOTER = {"unsubscribe_url": "https://x.test/u?a=1&b=2", "postal_address": "Street 1, Town"}


def compiled(body: str, subject: str = "Hello", **options: Any) -> CompiledStep:
    options.setdefault("layout", LAYOUT)
    return compile_step(name="welcome/01", subject=subject, body=body, **options)


def rendered(
    body: str, context: Mapping[str, object] | None = None, **options: Any
) -> RenderedMail:
    return compiled(body, **options).render({**FOOTER, **(context or {})})


def letter(mail: RenderedMail) -> str:
    """The plain text above the footer."""
    return mail.text.split("Why & how")[0].strip("\n")


class Elements(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    def hrefs(self) -> list[str]:
        return [str(attrs["href"]) for tag, attrs in self.found if tag == "a"]


# What a reader gets


def test_a_step_becomes_a_subject_an_html_part_and_a_text_part() -> None:
    mail = rendered("# Hi\n\nDear *{{ n }}*", {"n": "Ana"}, subject="For {{ n }}")
    assert mail.subject == "For Ana"
    assert "<h1>Hi</h1>" in mail.html
    assert "<em>Ana</em>" in mail.html
    assert mail.html.lower().startswith("<!doctype html>")
    assert mail.text == (
        "Hi\n\nDear Ana\n\nWhy & how: unsubscribe (https://x.test/u?a=1&b=2).\nStreet 1, Town\n"
    )


def test_the_layouts_inline_styles_stand_in_the_letters_elements() -> None:
    html = rendered("One [two](https://three.test).").html
    assert '<p style="margin: 0 0 9px;">' in html
    assert '<a href="https://three.test" style="color: #123456;">' in html


def test_a_mail_loads_nothing_from_elsewhere() -> None:
    mail = rendered("Hello")
    assert not re.search(r"<(link|script|img)\b|@import|url\(", mail.html)


def test_an_ampersand_in_an_address_survives_both_parts() -> None:
    mail = rendered("Hello")
    assert 'href="https://x.test/u?a=1&amp;b=2"' in mail.html
    assert FOOTER["unsubscribe_url"] in Elements(mail.html).hrefs()
    assert FOOTER["unsubscribe_url"] in mail.text


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("a [b](https://c.test) d", "a b (https://c.test) d"),
        ("a [b](https://c.test)", "a b: https://c.test"),
        ("<https://c.test>", "https://c.test"),
        ("<{{ url }}>", "https://u.test/?a&b"),
        ("[{{ mail }}](mailto:{{ mail }}).", "a@b.test."),
        ("[Write to me](mailto:{{ mail }}).", "Write to me (a@b.test)."),
        ("[Jobs]({{ url }})", "Jobs: https://u.test/?a&b"),
        ("**bold** _soft_ `code`", "bold soft code"),
        ("one\ntwo", "one two"),
        ("one\\\ntwo", "one\ntwo"),
        ("- a\n- b\n  - c\n\nd", "- a\n- b\n  - c\n\nd"),
        ("3. a\n4. b\n\n   c", "3. a\n\n4. b\n\n   c"),
        ("> a\\\n> b\n\nc", "    a\n    b\n\nc"),
        ("a\n\n---\n\nb", "a\n\n-----\n\nb"),
        (r"\*a\* &amp; 1 < 2", "*a* & 1 < 2"),
    ],
)
def test_plain_text_is_the_same_letter_without_markup(markdown: str, text: str) -> None:
    context = {"url": "https://u.test/?a&b", "mail": "a@b.test"}
    assert letter(rendered(markdown, context)) == text


def test_logic_on_its_own_line_leaves_no_empty_paragraph() -> None:
    body = "One\n\n{% if a %}\nTwo\n{% else %}\nThree\n{% endif %}\n\nFour"
    yes, no = rendered(body, {"a": True}), rendered(body, {"a": False})
    assert (letter(yes), letter(no)) == ("One\n\nTwo\n\nFour", "One\n\nThree\n\nFour")
    for mail in (yes, no):
        assert not re.search(r"<p[^>]*>\s*</p>", mail.html)
        assert mail.html.count("<p ") == 3


def test_a_loop_over_items_is_one_list_with_running_numbers() -> None:
    body = "1. Start\n\n{% for r in roles %}\n1. {{ r }}\n{% endfor %}\n\n1. End"
    mail = rendered(body, {"roles": ["A", "B"]})
    assert letter(mail) == "1. Start\n2. A\n3. B\n4. End"
    assert mail.html.count("<ol") == 1
    assert mail.html.count("<li") == 4
    alone = rendered("{% for r in roles %}\n- {{ r }}\n{% endfor %}", {"roles": ["A", "B"]})
    assert letter(alone) == "- A\n- B"
    assert alone.html.count("<ul") == 1


def test_an_item_that_does_not_apply_leaves_no_gap_in_the_numbers() -> None:
    body = "1. A\n{% if b %}\n2. B\n{% endif %}\n3. C"
    assert letter(rendered(body, {"b": True})) == "1. A\n2. B\n3. C"
    assert letter(rendered(body, {"b": False})) == "1. A\n2. C"


def test_a_list_that_is_all_loop_or_begins_with_a_condition_is_numbered() -> None:
    loop = rendered("{% for r in roles %}\n1. {{ r }}\n{% endfor %}", {"roles": ["A", "B"]})
    assert letter(loop) == "1. A\n2. B"
    body = "{% if a %}\n1. A\n{% endif %}\n2. B"
    assert letter(rendered(body, {"a": True})) == "1. A\n2. B"
    assert letter(rendered(body, {"a": False})) == "1. B"


def test_lists_in_two_branches_stay_two_lists() -> None:
    body = "{% if a %}\n- A\n{% else %}\n- B\n{% endif %}"
    mail = rendered(body, {"a": False})
    assert letter(mail) == "- B"
    assert mail.html.count("<ul") == mail.html.count("</ul>") == 1


def test_comments_are_for_the_author_only() -> None:
    body = "{% comment %}\nno {{ nothing }} **here**\n{% endcomment %}\nA{% # nor here %}B"
    mail = rendered(body)
    assert letter(mail) == "AB"
    assert "here" not in mail.html
    assert "nothing" not in variables(compiled(body))


def test_a_preheader_is_filled_in_and_may_be_left_out() -> None:
    with_one = rendered("Hello", {"n": "A & B"}, preheader="For {{ n }}")
    assert "For A &amp; B" in with_one.html
    assert "For A" not in with_one.text
    assert "Hello" in rendered("Hello").text


def test_a_section_of_the_layout_may_depend_on_a_value() -> None:
    layout = LAYOUT.replace(
        "<mj-text>Why",
        "<mj-raw>{% if ps %}</mj-raw><mj-text>PS {{ ps }}</mj-text><mj-raw>{% endif %}</mj-raw>"
        "<mj-text>Why",
    )
    with_one, without = (rendered("Hello", {"ps": ps}, layout=layout) for ps in ("Bye", None))
    assert "PS Bye" in with_one.text
    assert "PS Bye" in with_one.html
    assert "PS" not in without.text
    assert "PS" not in without.html


def test_the_words_that_stand_for_tags_cannot_collide_with_the_text() -> None:
    assert letter(rendered("wlq0e WLQ1e {{ n }} wlqq0e", {"n": "Ana"})) == "wlq0e WLQ1e Ana wlqq0e"


def test_many_threads_may_render_one_step() -> None:
    step = compiled("Hi {{ n }}{% for r in roles %}, {{ r }}{% endfor %}", "To {{ n }}")

    def render(number: int) -> bool:
        mail = step.render({**FOOTER, "n": f"N{number}", "roles": [number] * 5})
        line = f"Hi N{number}" + f", {number}" * 5
        return mail.subject == f"To N{number}" and line in mail.text and line in mail.html

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(render, range(400)))


# What is missing


@pytest.mark.parametrize("blank", [None, "", "  ", "\u00a0", "\u200b", "\n\t", "\x00", [], {}])
@pytest.mark.parametrize(
    "body",
    [
        "Hi {{ c.n }},",
        'Hi {{ c.n | append: "," }}',
        'Hi {{ "Dear " | append: c.n }}',
        "Hi {{ c.n | upcase }}",
        '{% assign x = "Dear " | append: c.n %}{{ x }}',
        "{% assign x = c.n %}{{ x }}",
        "Hi {{ c.n | default: c.m }}",
        "[a]({{ c.n }})",
    ],
)
def test_a_blank_value_is_missing_wherever_it_stands(body: str, blank: object) -> None:
    with pytest.raises(MissingVariable):
        rendered(body, {"c": {"n": blank}})
    with pytest.raises(MissingVariable):
        rendered(body, {"c": {}})
    with pytest.raises(MissingVariable):
        rendered(body)


def test_a_missing_variable_says_which_and_where() -> None:
    step = compiled("Hi\n\nDear {{ recruiter.name }}", first_line=5)
    with pytest.raises(MissingVariable) as caught:
        step.render({**FOOTER, "recruiter": {"name": None}})
    error = caught.value
    assert isinstance(error, WarmlineError)
    assert (error.name, error.step, error.where, error.found) == (
        "recruiter.name",
        "welcome/01",
        "body line 7",
        "None",
    )
    assert "recruiter.name" in str(error)
    with pytest.raises(MissingVariable, match="layout line 10"):
        step.render({"recruiter": {"name": "J"}, **FOOTER, "postal_address": ""})
    with pytest.raises(MissingVariable, match="subject line 1: job is undefined"):
        rendered("Hi", subject="About {{ job }}")


@pytest.mark.parametrize("blank", [{}, {"a": None}, {"a": ""}, {"a": " "}, {"a": False}])
def test_default_fills_what_is_missing_and_nothing_else(blank: dict[str, object]) -> None:
    assert letter(rendered('x{{ a | default: "y" }}', blank)) == "xy"
    assert letter(rendered('x{{ a | default: "" }}', blank)) == "x"
    assert letter(rendered('x{{ a | default: b | default: "z" }}', blank)) == "xz"
    assert letter(rendered('{{ a | default: "y" }}', {"a": "z"})) == "z"


def test_zero_and_false_are_values() -> None:
    assert (
        letter(rendered("{{ a }} {{ b }} {{ c }}", {"a": 0, "b": False, "c": 1.5})) == "0 false 1.5"
    )


def test_conditions_may_ask_about_what_is_missing() -> None:
    body = '{% if a %}A{% endif %}{% if a == "x" %}B{% else %}C{% endif %}'
    body += '{% case a %}{% when "x" %}D{% else %}E{% endcase %}{% unless a %}F{% endunless %}'
    for context in ({}, {"a": None}):
        assert letter(rendered(body, context)) == "CEF"
    with pytest.raises(MissingVariable, match="a is undefined"):
        rendered("{% for x in a %}{{ x }}{% endfor %}")


def test_a_subject_is_never_empty() -> None:
    with pytest.raises(MissingVariable, match="subject"):
        rendered("Hi", {"a": 0}, subject="{% if a > 1 %}Hello{% endif %}")


@pytest.mark.parametrize("value", [{"first_name": "Ana"}, "x" * (VALUE_CHARS_MAX + 1)])
def test_a_value_that_is_not_one_short_text_is_refused(value: object) -> None:
    with pytest.raises(MissingVariable) as caught:
        rendered("Hi {{ candidate }}", {"candidate": value})
    assert caught.value.name == "candidate"
    assert "Ana" not in str(caught.value)


def test_lists_are_joined_with_commas() -> None:
    assert letter(rendered("{{ a }}", {"a": ["x", "<y>"]})) == "x, <y>"


# What a value may not do

HOSTILE = [
    "{{7*7}}",
    "{{ unsubscribe_url }}",
    "{% raw %}",
    "{% if x %}",
    "<script>alert(1)</script>",
    "<b>x</b>",
    "*x*",
    "# x",
    "1. x",
    "[a](javascript:x)",
    "![](https://evil.test/p.png)",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='x",
    "&lt;b&gt;",
    "&amp;",
    "wlq0e",
    "--><b>",
    "<mj-raw>",
    "\\",
    "`x`",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_stays_what_it_is(value: str) -> None:
    mail = rendered("Hi **{{ n }}**, you", {"n": value}, subject="To {{ n }}", preheader="{{ n }}")
    assert mail.subject == f"To {value}"
    assert letter(mail) == f"Hi {value}, you"
    assert f"<strong>{escape(value)}</strong>" in mail.html
    assert f"Hi {value}, you" in Elements(mail.html).words


VALUES = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from([*HOSTILE, "\r\n", "\x1e", "\x1f", "\u202e", "a"]), max_size=4).map(
        "".join
    ),
)
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
INJECTION = compiled(
    "1. x\n{% if n %}\n2. {{ n }}\n{% endif %}\n\n[{{ n }}](https://x.test/?q={{ n | url_encode }})"
    ' ![{{ n }}](https://x.test/{{ n | url_encode }} "{{ n }}")',
    "To {{ n }}: {{ n | upcase }}",
    preheader="{{ n }}",
)
PLAIN_ELEMENTS = [tag for tag, _ in Elements(INJECTION.render({**FOOTER, "n": "a"}).html).found]


@given(VALUES)
@settings(max_examples=300, deadline=None)
def test_no_value_adds_an_element_a_line_or_a_header(value: str) -> None:
    try:
        mail = INJECTION.render({**FOOTER, "n": value})
    except MissingVariable:
        assert not re.search(r"[^\s\u00ad\u200b-\u200f\u2060\ufeff]", CONTROL.sub(" ", value))
        return
    page = Elements(mail.html)
    assert [tag for tag, _ in page.found] == PLAIN_ELEMENTS
    assert not any(name.startswith("on") for _, attrs in page.found for name in attrs)
    assert all(href.startswith("https://x.test/") for href in page.hrefs())
    assert not CONTROL.search(mail.subject)
    assert not CONTROL.search(mail.text.replace("\n", ""))
    assert mail.text.count("\n") == INJECTION.render({**FOOTER, "n": "a"}).text.count("\n")
    mail.html.encode()
    mail.text.encode()


PAIR = compiled("A{{ a }}B{{ b }}C")


@given(VALUES, VALUES)
@settings(max_examples=200, deadline=None)
def test_a_value_is_printed_as_it_is_or_not_at_all(first: str, second: str) -> None:
    try:
        mail = PAIR.render({**FOOTER, "a": first, "b": second})
    except MissingVariable:
        return
    clean = [re.sub(f"{CONTROL.pattern}+", " ", value) for value in (first, second)]
    expected = f"A{clean[0]}B{clean[1]}C"
    assert f'<p style="margin: 0 0 9px;">{escape(expected)}</p>' in mail.html
    assert letter(mail) == expected


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_the_subject_is_one_line(value: str) -> None:
    try:
        subject = rendered("Hi", {"n": value}, subject="Re {{ n }}\r\nBcc: x@y.test").subject
    except MissingVariable:
        return
    assert not CONTROL.search(subject)
    assert len(subject.splitlines()) == 1
    assert subject.endswith(" Bcc: x@y.test")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:x",
        "java\nscript:x",
        "\x01javascript:x",
        "data:text/html,x",
        "vbscript:x",
        "//evil.test",
        "x",
        "https://a.test/ b",
        'https://a.test/"onclick="x',
    ],
)
@pytest.mark.parametrize(
    "body", ["[a]({{ url }})", "![a]({{ url }})", "[a]({{ url }}/more)", "<{{ url }}>"]
)
def test_a_link_begins_with_an_address_or_the_mail_is_held(body: str, url: str) -> None:
    with pytest.raises(MissingVariable, match="url is not a web address") as caught:
        rendered(body, {"url": url})
    assert url not in str(caught.value)


def test_the_layouts_links_are_held_to_the_same() -> None:
    with pytest.raises(MissingVariable, match="unsubscribe_url is not a web address"):
        rendered("Hi", {"unsubscribe_url": "javascript:x"})


def test_only_the_beginning_of_an_address_decides() -> None:
    mail = rendered("[a](https://a.test/?q={{ q | url_encode }})", {"q": 'a "b" & c:d'})
    assert "https://a.test/?q=a+%22b%22+%26+c%3Ad" in Elements(mail.html).hrefs()


# What an operator may write wrongly


@pytest.mark.parametrize(
    ("body", "line", "found"),
    [
        ("ok\n\n{{ a", 3, "end of file"),
        ("ok\n{% if a %}b", 2, "endif"),
        ("ok\n\n{% endif %}", 3, "endif"),
        ("{% if %}x{% endif %}", 1, "expression"),
        ("a\nb {{ a | shout }}", 2, "shout"),
        ("{{ a | safe }}", 1, "safe"),
        ('{{ "now" | date: "%Y" }}', 1, "date"),
        ("a\n\n{% include 'x' %}", 3, "include"),
        ("{% render 'x' %}", 1, "render"),
        ("{% capture x %}a{% endcapture %}", 1, "capture"),
        ("a\n{% raw %}<b>{% endraw %}", 2, "raw"),
        ("a\n\n<b>x</b>", 3, "raw HTML"),
        ("a\n\n<div>\nx\n</div>", 3, "raw HTML"),
        ("{% comment %}\n\n{% endcomment %}\na <br> b", 4, "raw HTML"),
        ("a\n\n<!-- note -->", 3, "raw HTML"),
        ("a\n\nb {% if c %}\n\nd{% endif %} e", 3, "starts in one paragraph"),
        ("- a {% if c %}\n- b {% endif %}", 1, "starts in one paragraph"),
        ("**a {% if c %}b** d{% endif %}", 1, "starts in one paragraph"),
        ("x" * 100_001, 1, "bytes"),
    ],
)
def test_a_wrong_body_stops_start_up(body: str, line: int, found: str) -> None:
    with pytest.raises(TemplateError) as caught:
        compiled(body)
    error = caught.value
    assert (error.step, error.part, error.line) == ("welcome/01", "body", line)
    assert found in error.found
    assert error.expected
    assert f"body line {line}" in str(error)
    with pytest.raises(TemplateError) as caught:
        compiled(body, first_line=11)
    assert caught.value.line == line + 10


@pytest.mark.parametrize(
    ("before", "after", "line", "found"),
    [
        ("{{ content }}", "", 1, "no {{ content }}"),
        ("Above", "{{ content }}", 8, "a second {{ content }}"),
        ("{{ unsubscribe_url }}", "https://x.test", 1, "no {{ unsubscribe_url }}"),
        ("{{ postal_address }}", "", 1, "no {{ postal_address }}"),
        ("{{ postal_address }}", "{{ postal_address", 10, "end of file"),
        ("</mj-column>", "", 11, "</mj-section>"),
        ("</mj-column>", "</mj-colum>", 11, "</mj-colum>"),
        ("<mj-text>Above</mj-text>", "<mj-txt>Above</mj-txt>", 7, "<mj-txt>"),
        ("<mj-text>Above", "<mj-text>Above</b>", 7, "unexpected"),
        ("<mj-text>Above", '<mj-text color="{{ c }}">Above', 7, "inside a style"),
        ("</mj-head>", "<mj-style>a { color: {{ c }} }</mj-style></mj-head>", 5, "inside a style"),
        ("p {", ".big p {", 4, ".big p"),
    ],
)
def test_a_wrong_layout_stops_start_up(before: str, after: str, line: int, found: str) -> None:
    assert before in LAYOUT
    layout = LAYOUT.replace(before, after, 1)
    with pytest.raises(TemplateError) as caught:
        compiled("Hi", layout=layout)
    assert caught.value.part == "layout"
    assert found in caught.value.found
    assert caught.value.line == line or found in ("unexpected", "a second {{ content }}")


def test_not_mjml_at_all() -> None:
    with pytest.raises(TemplateError, match="expected an MJML document"):
        compiled("Hi", layout="{{ content }} {{ unsubscribe_url }} {{ postal_address }}")


def test_a_wrong_subject_names_the_subject() -> None:
    with pytest.raises(TemplateError) as caught:
        compiled("Hi", "{{ a")
    assert caught.value.part == "subject"


def test_a_filter_that_cannot_use_a_value_names_the_line() -> None:
    with pytest.raises(TemplateError, match="body line 3"):
        rendered("a\n\n{{ a | divided_by: 0 }}", {"a": 1})
    with pytest.raises(TemplateError, match="loop"):
        rendered("{% for x in a %}x{% endfor %}", {"a": [1] * 1001})


def test_an_interview_mail_may_do_without_the_footer() -> None:
    bare = LAYOUT.replace("{{ unsubscribe_url }}", "https://x.test").replace(
        "{{ postal_address }}", ""
    )
    assert "Hi" in compiled("Hi", layout=bare, requires=()).render({}).text


def test_variables_are_named_as_they_were_written() -> None:
    step = compiled(
        '{{ a.b }} {{ c | default: d.e | default: "x" }} {% if f.g == h %}{% endif %}'
        "{% for i in j.k %}{{ i.l }}{{ forloop.index }}{% endfor %}{% assign m = n %}{{ m }}",
        "{{ o }}",
        preheader="{{ p }}",
    )
    wanted = {"a.b", "c", "d.e", "f.g", "h", "j.k", "n", "o", "p"}
    assert variables(step) == wanted | {"unsubscribe_url", "postal_address"}


def test_braces_made_by_escapes_are_text() -> None:
    mail = rendered(r"a {\{ b }} {\% if %}")
    assert letter(mail) == "a {{ b }} {% if %}"
    assert "a {{ b }} {% if %}" in Elements(mail.html).words


def test_a_subject_that_holds_the_mark_of_a_placeholder_is_only_a_subject() -> None:
    for subject in ("wlq1e", "wlq0e wlq7e", "{{ name }} wlq3e"):
        step = compile_step(name="s", subject=subject, body="Hi {{ name }}", layout=LAYOUT)
        context = {"name": "Ada", "unsubscribe_url": "https://example.com/u", "postal_address": "x"}
        assert step.render(context).subject == subject.replace("{{ name }}", "Ada")
