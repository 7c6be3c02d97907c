"""Lint bites: each rule with a letter that breaks it, and the line where it is broken."""

from __future__ import annotations

import pytest

from warmline.core.letters import bare_reader, full_reader, known
from warmline.core.mail_lint import Fault, Letter, Severity, layout_faults, lint

LAYOUT = """<mjml><mj-head><mj-preview>{{ preheader }}</mj-preview></mj-head>
<mj-body><mj-section><mj-column>
<mj-text>{{ content }}</mj-text>
<mj-text><a href="{{ unsubscribe_url }}">No more</a> {{ postal_address }}</mj-text>
</mj-column></mj-section></mj-body></mjml>
"""
CONTENT = {"response_days": 5, "nothing": ""}
FULL = full_reader(
    company="Northwind",
    postal_address="12 Mill Lane, Bristol BS1 4ND",
    careers_url="https://northwind.org/jobs",
    sender_name="Kim Sandberg",
    sender_address="kim@northwind.org",
    content=CONTENT,
    public_url="https://hire.northwind.org",
)
BODY = 'Hi {{ candidate.first_name | default: "there" }},\n\nWords.\n'


def faults(
    body: str = BODY, subject: str = "A story", preheader: str = "Of us.", layout: str = LAYOUT
) -> list[Fault]:
    letter = Letter("welcome/02", subject, preheader, body, first_line=5)
    return lint(letter, layout, known=known(CONTENT), full=FULL, bare=bare_reader(FULL))


def only(found: list[Fault]) -> Fault:
    (one,) = found
    return one


def test_a_good_letter_has_no_fault() -> None:
    assert faults() == []
    assert layout_faults(LAYOUT) == []


@pytest.mark.parametrize(
    ("subject", "why"),
    [
        ("Re: our talk", "as if it answered"),
        ("FWD: a role", "as if it answered"),
        ("Act now: three roles", "'Act now'"),
        ("A role, guaranteed", "'guaranteed'"),
        ("Don't miss this one", "miss"),
        ("WE ARE HIRING BAKERS", "capitals"),
        ("A role that is PERFECT", "capitals"),
        ("A role for you!!", "'!!'"),
        ("Hello! A role!", "'! A role!'"),
        ("Really??", "'??'"),
        ("F R E E lunch", "letters set apart"),
        ("Earn $$$ at night", "'$$$'"),
        ("🎉🔥 A role", "emoji"),
    ],
)
def test_a_subject_like_spam_is_told_with_its_reason(subject: str, why: str) -> None:
    one = only(faults(subject=subject))
    assert (one.rule, one.severity, one.line) == ("subject-spam", Severity.ERROR, 2)
    assert why in one.found
    assert one.expected


@pytest.mark.parametrize(
    "subject",
    [
        "What has changed here since we spoke",
        "Your application for {{ job.title }} has arrived",
        "Twenty to three in the morning",
        "A freelancer, a winning rye and the IT team!",
        "Reading: three books",
        "UX and HR at {{ company }}",
        "Is it you?",
        "A role that pays £30,000",
    ],
)
def test_a_plain_subject_is_not_taken_for_spam(subject: str) -> None:
    assert [fault for fault in faults(subject=subject) if fault.rule == "subject-spam"] == []


def test_what_a_value_holds_is_not_the_authors() -> None:
    found = faults(subject="{{ job.title | default: 'URGENT WINNER' }}")
    assert found == []


@pytest.mark.parametrize(("size", "severity"), [(61, Severity.WARNING), (101, Severity.ERROR)])
def test_a_long_subject_is_told(size: int, severity: Severity) -> None:
    one = only(faults(subject=("word " * 30)[:size].strip().ljust(size, "s")))
    assert (one.rule, one.severity) == ("subject-long", severity)
    assert str(size) in one.found
    assert faults(subject="s" * 60) == []


@pytest.mark.parametrize("preheader", ["", " ", "a story"])
def test_a_preheader_is_wanted_and_says_something_else(preheader: str) -> None:
    assert only(faults(preheader=preheader)).rule == "no-preheader"


@pytest.mark.parametrize(
    "name",
    ["candidate.firstname", "kandidat.name", "content.days", "job", "settings.SECRET_KEY",
     "candidate.__class__", "project.file", "enrolment.candidate.emails"],
)  # fmt: skip
def test_an_unknown_variable_is_named_with_its_line_even_where_nobody_comes(name: str) -> None:
    found = faults(f"{BODY}\n{{% if job.title == 'x' %}}\n\n{{{{ {name} }}}}\n\n{{% endif %}}\n")
    one = next(fault for fault in found if fault.rule == "unknown-variable")
    assert (one.found, one.line, one.severity) == (name, 11, Severity.ERROR)
    assert one.expected.startswith("one of ")


def test_an_unknown_variable_of_the_subject_has_its_line() -> None:
    found = faults(
        subject="{{ jobb.title | default: 'x' }}", preheader="{{ nobody | default: '' }}"
    )
    assert [(f.rule, f.line) for f in found] == [("unknown-variable", 2), ("unknown-variable", 3)]


def test_members_of_roles_and_names_of_the_letters_own_are_known() -> None:
    body = BODY + (
        "{% assign first = roles[0].title %}{{ roles.size }}\n\n"
        "{% for role in roles %}\n- {{ role.title }}\n{% endfor %}\n"
        '{{ first | default: "" }}\n'
    )
    assert faults(body) == []


def test_a_value_that_is_missing_even_for_the_sample_is_an_error() -> None:
    one = faults(f"{BODY}\n{{{{ content.nothing }}}}\n")[0]
    assert (one.rule, one.severity, one.line) == ("missing-value", Severity.ERROR, 9)
    assert "content.nothing is empty" in one.found


def test_what_some_lack_is_a_warning_for_each_value() -> None:
    found = faults(f"{BODY}\nFor {{{{ job.title }}}}\nin {{{{ job.office }}}}.\n")
    assert [(f.rule, f.severity, f.line) for f in found] == [
        ("missing-value", Severity.WARNING, 9),
        ("missing-value", Severity.WARNING, 10),
    ]
    assert "job.title is empty" in found[0].found
    assert "{{ job.title | default:" in found[0].expected


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("team.html", "relative"),
        ("/jobs", "relative"),
        ("//northwind.org", "relative"),
        ("www.northwind.org", "relative"),
        ("", "leads nowhere"),
        ("#below", "within the mail"),
        ("http://northwind.org", "is http"),
        ("HTTP://northwind.org", "is http"),
        ("https://", "no address"),
        ("https://nohost", "no address"),
        ("https://a..b", "no address"),
        ("https://x.org:port", "no address"),
        ("https://[::1", "no address"),
        ("ftp://x.org", "begins with ftp:"),
        ("javascript:alert", "begins with javascript:"),
        ("mailto:", "holds no address"),
        ("tel:call-me", "holds no number"),
    ],
)
def test_a_link_that_nobody_can_follow_is_named_with_its_line(url: str, why: str) -> None:
    found = [f for f in faults(f"{BODY}\nSee\n[the page]({url}).\n") if f.rule == "link"]
    one = only(found)
    assert (one.severity, one.line) == (Severity.ERROR, 10)
    assert why in one.found


@pytest.mark.parametrize(
    "link",
    [
        "[a](https://northwind.org/jobs?a=1&b=2#c)",
        "[a]({{ unsubscribe_url }})",
        "[a](mailto:{{ recruiter.email }})",
        "[a](https://northwind.org/{{ job.office | default: 'x' | url_encode }})",
        "[a](https://bücher.org)",
        "[a](tel:+44-20-7946)",
        "{% comment %}[a](nowhere){% endcomment %}",
        "![The team](https://northwind.org/team.jpg)",
        "[![The team](https://northwind.org/team.jpg)](https://northwind.org)",
    ],
)
def test_a_good_link_is_let_be(link: str) -> None:
    assert faults(f"{BODY}\n{link}\n") == []


def test_a_reference_is_a_link_too() -> None:
    one = only(faults(f"{BODY}\n[the page][1]\n\n[1]: team.html\n"))
    assert (one.rule, one.line) == ("link", 11)


def test_a_host_that_cannot_be_is_a_warning() -> None:
    one = only(faults(f"{BODY}\n[a](https://careers.example.com)\n"))
    assert (one.rule, one.severity) == ("link", Severity.WARNING)


def test_a_picture_wants_words() -> None:
    one = only(faults(f"{BODY}\n![](https://northwind.org/team.jpg)\n"))
    assert (one.rule, one.severity, one.line) == ("image-alt", Severity.ERROR, 9)


def test_a_picture_of_the_folder_is_no_picture_in_a_mail() -> None:
    assert only(faults(f"{BODY}\n![The team](team.jpg)\n")).rule == "link"


def test_a_picture_of_five_megabytes_within_the_letter_is_refused() -> None:
    body = f"{BODY}\n![The team](data:image/png;base64,{'A' * 5 * 1024 * 1024})\n"
    found = {fault.rule: fault for fault in faults(body)}
    assert "characters" in found["link"].found
    assert "bytes of HTML" in found["template"].found
    assert all(len(fault.found) < 200 for fault in found.values())


@pytest.mark.parametrize("body", ["", "\n \n", "{% comment %}Later.{% endcomment %}\n",
                                  "{% if job.title %}\n{% endif %}\n"])  # fmt: skip
def test_a_letter_without_words_is_refused(body: str) -> None:
    one = only(faults(body))
    assert (one.rule, one.found) == ("template", "no words")


def test_a_letter_of_one_value_has_words() -> None:
    assert faults("{{ company }}\n") == []


@pytest.mark.parametrize(
    "body",
    ["{% include '/etc/passwd' %}", "{% render 'secrets.env' %}", "{{ 'x' | shout }}",
     "{% if job.title %}x", "<script>x</script>"],
)  # fmt: skip
def test_what_a_template_may_not_do_is_an_error_with_its_line(body: str) -> None:
    found = [fault for fault in faults(f"{BODY}\n{body}\n") if fault.rule == "template"]
    assert [fault.line for fault in found] == [9]


@pytest.mark.parametrize(
    ("variable", "rule"),
    [("{{ unsubscribe_url }}", "no-unsubscribe"), ("{{ postal_address }}", "no-address")],
)
def test_a_layout_without_what_the_law_wants_is_an_error(variable: str, rule: str) -> None:
    one = only(faults(layout=LAYOUT.replace(variable, "https://x.org")))
    assert (one.rule, one.severity, one.in_layout) == (rule, Severity.ERROR, True)


def test_a_condition_around_what_the_law_wants_is_an_error() -> None:
    hidden = '{% if job.title != "" %}{{ postal_address }}{% endif %}'
    found = faults(layout=LAYOUT.replace("{{ postal_address }}", hidden))
    assert {(fault.rule, fault.in_layout) for fault in found} == {("no-address", True)}


def test_markdown_that_a_reader_would_see_is_an_error() -> None:
    body = f"{BODY}\n**[A role](https://northwind.org)**{{% if true %}}, open{{% endif %}}\n"
    one = only(faults(body))
    assert (one.rule, one.line) == ("markup", 9)
    assert "'**'" in one.found


def test_the_mark_of_what_is_invented_is_told() -> None:
    one = only(faults("{% comment %}\nREPLACE this.\n{% endcomment %}\n" + BODY))
    assert (one.rule, one.severity, one.line) == ("invented", Severity.WARNING, 6)


def test_the_layouts_own_links_and_pictures_are_looked_at() -> None:
    shell = LAYOUT.replace(
        "<mj-text>{{ content }}",
        '<mj-image src="logo.png" />\n<mj-image src="https://x.org/l.png" alt="Northwind" />'
        '<!-- <a href="x"> --><mj-text><a href="/jobs">Jobs</a></mj-text>\n<mj-text>{{ content }}',
    )
    found = layout_faults(shell)
    assert [(f.rule, f.line, f.in_layout) for f in found] == [
        ("link", 3, True),
        ("image-alt", 3, True),
        ("link", 4, True),
    ]
