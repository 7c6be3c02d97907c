"""A wrong project stops start-up and says where, what was found and what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.config.conftest import Folder
from warmline.config.project import load
from warmline.config.sequences import LoadedSequence
from warmline.core.actions import FIELDS
from warmline.core.errors import ConfigError
from warmline.core.events import EventKind, StageKind
from warmline.core.segments import Segment, default_rules
from warmline.flows.runtime import build

YAML = "warmline.yaml"
SEQUENCE = "sequences/welcome/sequence.yaml"
LETTER = "sequences/welcome/01-confirmation.md"
LAYOUT = "sequences/layout.mjml"
ROW = "  - {on: application.submitted, from: ats, do: contact.upsert, in: crm,"


def test_the_starter_project_loads_and_its_connectors_take_their_settings(folder: Folder) -> None:
    project = load(folder.path)
    runtime = build(project)
    runtime.close()
    assert list(project.connections) == ["ats", "crm", "mail", "export"]
    assert [t.on for t in project.triggers.triggers][:2] == [EventKind.APPLICATION_SUBMITTED] * 2
    welcome: LoadedSequence = project.sequences["welcome"]
    assert [step.day for step in welcome.sequence.steps] == [0, 3, 7]
    assert welcome.segment is Segment.ACTIVE_APPLICANT
    rules = project.segment_rules
    assert (rules.archived_after_months, rules.nurture_above) == (24, 10)
    assert rules.late_stages == (StageKind.FINAL, StageKind.OFFER)
    # What the starter writes out is what a project without rules of its own has.
    assert [(r.segment, r.name, r.when.text if r.when else "") for r in rules.rules] == list(
        default_rules()
    )


def test_the_triggers_of_the_starter_have_stable_names(folder: Folder) -> None:
    names = [t.name for t in load(folder.path).triggers.triggers]
    assert names[0] == "application.submitted -> contact.upsert"
    assert names[1] == "application.submitted -> enrol in welcome"
    assert len(set(names)) == len(names)


# Each fault: what stands in the file, what stands there instead, and words that must be said.
FAULTS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "an alert URL in the file": (
        "\ncontent:", "\nalerts: {to: ['slack://TOKENA/TOKENB']}\ncontent:",
        ("alerts.to holds something that is no name", "WARMLINE_ALERTS_SLACK"),
    ),
    "an alert URL in place of the list": (
        "\ncontent:", "\nalerts: {to: 'slack://TOKENA/TOKENB'}\ncontent:", ("is no name",),
    ),
    "an alert channel twice": (
        "\ncontent:", "\nalerts: {to: [pager, PAGER]}\ncontent:", ("'PAGER' twice",),
    ),
    "an alert channel called mail": (
        "\ncontent:", "\nalerts: {to: [mail]}\ncontent:", ("alerts.to names 'mail'",),
    ),
    "an alert channel without its URL": (
        "\ncontent:", "\nalerts: {to: [pager]}\ncontent:",
        ("WARMLINE_ALERTS_PAGER is not set", "WARMLINE_ALERTS_PAGER_FILE"),
    ),
    "an alert address that is none": (
        "\ncontent:", "\nalerts: {mail: ops}\ncontent:", ("alerts.mail is 'ops'",),
    ),
    "reminders out of bounds": (
        "\ncontent:", "\nalerts: {reminder_hours: 0}\ncontent:", ("alerts.reminder_hours", "0"),
    ),
    "silence of nobody": (
        "\ncontent:", "\nalerts: {quiet: {ads: 5}}\ncontent:", ("alerts.quiet names 'ads'",),
    ),
    "silence below zero": (
        "\ncontent:", "\nalerts: {quiet: {ats: -1}}\ncontent:", ("alerts.quiet.ats is -1",),
    ),
    "silence that is no number": (
        "\ncontent:", "\nalerts: {quiet: {ats: .nan}}\ncontent:", ("alerts.quiet.ats is nan",),
    ),
    "an unknown setting of alerts": (
        "\ncontent:", "\nalerts: {too: [x]}\ncontent:", ("alerts.too", "not a setting"),
    ),
    "not YAML": ("company: Northwind", "company: [Northwind", ("is not YAML here",)),
    "a tab": ("company: Northwind", "\tcompany: Northwind", ("is not YAML here",)),
    "a key twice": (
        "careers_url: https", "company: Again\ncareers_url: https", ("'company'", "given twice"),
    ),
    "an unknown setting": ("careers_url:", "career_url:", ("career_url", "not a setting")),
    "a number for text": ("company: Northwind Bakeries", "company: 7", ("company", "found 7")),
    "text for a number": ("poll_minutes: 5", "poll_minutes: soon", ("poll_minutes", "'soon'")),
    "a number out of bounds": ("poll_minutes: 5", "poll_minutes: 0", ("poll_minutes", "found 0")),
    "an empty company": ("company: Northwind Bakeries", 'company: ""', ("company", "found ''")),
    "a list for a mapping": ("content:\n", "content: [1]\nx:\n", ("content", "dictionary")),
    "a wrong public address": (
        "public_url: http://127.0.0.1:8025", "public_url: hire.example.com",
        ("public_url", "'hire.example.com'", "expected https://"),
    ),
    "a sender without address": (
        "address: kim.sandberg@example.com", "address: kim.sandberg",
        ("mail.sender.address", "'kim.sandberg'", "expected an e-mail address"),
    ),
    "mail by no connection": (
        "  connection: mail", "  connection: post",
        ("mail.connection", "'post'", "expected one of"),
    ),
    "an unknown rule": (
        "    marketing: ask", "    marketing: perhaps", ("mail.unknown.marketing", "'perhaps'"),
    ),
    "an unknown mail class": ("    marketing: ask", "    promo: ask", ("mail.unknown.promo",)),
    "an unknown stage kind": (
        "late_stages: [final, offer]", "late_stages: [final, ofer]",
        ("late_stages", "'ofer'", "'offer'"),
    ),
    "a name fit for no address": (
        "  crm:\n", "  c-r.m:\n", ("'c-r.m'", "expected letters, digits and underscores"),
    ),
    "our own name for a connection": (
        "  crm:\n", "  warmline:\n", ("'warmline'", "Warmline's own"),
    ),
    "an unknown event": (
        ROW, ROW.replace("application.submitted", "application.submited"),
        ("triggers.0.on", "'application.submited'", "'application.submitted'"),
    ),
    "an unknown action": (
        ROW, ROW.replace("contact.upsert", "contact.delete"),
        ("triggers.0.do", "'contact.delete'", "'contact.upsert'"),
    ),
    "an unknown source": (ROW, ROW.replace("from: ats", "from: lever"),
                          ("from is 'lever'", "expected one of")),
    "an unknown target": (ROW, ROW.replace("in: crm", "in: attio"),
                          ("in is 'attio'", "expected one of")),
    "a missing target": (ROW, ROW.replace(" in: crm,", ""), ("in is ''", "expected one of")),
    "an unknown column": (ROW, ROW.replace("from: ats", "from: ats, to: crm"),
                          ("triggers.0.to", "not a setting")),
    "a missing column": (ROW, ROW.replace("from: ats,", ""), ("triggers.0.from", "is missing")),
    "an enrolment in no system": (
        "do: sequence.enrol,  in: crm".replace("  ", " "), "do: sequence.enrol, in: attio",
        ("in is 'attio'", "expected one of"),
    ),
    "an unknown sequence": (
        "with: {sequence: welcome}", "with: {sequence: wellcome}",
        ("'wellcome'", "expected one of ['silver-medalist', 'welcome']"),
    ),
    "an enrolment in no sequence": (
        "with: {sequence: welcome}", "with: {}",
        ("''", "expected one of ['silver-medalist', 'welcome']"),
    ),
    "an unknown option": (
        "with: {sequence: welcome}", "with: {sequence: welcome, delay: soon}",
        ("'delay'", "expected"),
    ),
    "an option of another action": (
        ROW, ROW + " with: {sequence: welcome},", ("'sequence'", "expected"),
    ),
    "an action for a system that takes none": (
        ROW, ROW.replace("in: crm", "in: mail"), ("in is 'mail'", "expected one of"),
    ),
    "an action that its system cannot": (
        ROW, ROW.replace("in: crm", "in: ats"), ("'ats' cannot", "expected one of"),
    ),
    "an event of a system that tells none": (
        ROW, ROW.replace("from: ats", "from: mail"), ("from is 'mail'", "expected one of"),
    ),
    "an event that its system never tells": (
        ROW, ROW.replace("application.submitted", "message.clicked"),
        ("on is message.clicked, which 'ats' never tells", "application.submitted"),
    ),
    "an authority on nothing": (
        "poll_minutes: 5", "poll_minutes: 5\nauthority: {email: crm}",
        ("authority names 'email'", "recruiter_owner"),
    ),
    "an authority that is no system": (
        "poll_minutes: 5", "poll_minutes: 5\nauthority: {recruiter_owner: attio}",
        ("authority.recruiter_owner is 'attio'", "expected one of"),
    ),
    "mail by a system that sends none": (
        "  connection: mail", "  connection: crm",
        ("mail.connection", "'crm'", "expected one of ['mail']"),
    ),
    "an unknown connector": (
        "connector: hubspot", "connector: hubspott",
        ("connections.crm.connector", "'hubspott'", "expected one of"),
    ),
    "no connector": ("    connector: hubspot\n", "", ("connections.crm.connector", "is missing")),
    "an unknown setting of a connector": (
        "    base_url: http://127.0.0.1:8802", "    api_url: http://127.0.0.1:8802",
        ("connections.crm.api_url", "not a setting of hubspot", "base_url"),
    ),
    "a missing setting of a connector": (
        "    host: 127.0.0.1\n", "", ("connections.mail.host", "is missing"),
    ),
    "a secret in the file": (
        "    base_url: http://127.0.0.1:8802", "    access_token: pat-na1-0123456789",
        ("connections.crm.access_token", "is a secret", "WARMLINE_CRM_ACCESS_TOKEN"),
    ),
    "a setting that its connector refuses": (
        "    tls: none ", "    tls: maybe ", ("tls", "'maybe'", "starttls"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_of_warmline_yaml_is_named_with_its_line(folder: Folder, fault: str) -> None:
    old, new, words = FAULTS[fault]
    folder.edit(old, new)
    text = (folder.path / YAML).read_text()
    first = text[: text.index(new)].count("\n") + 1 if new else None
    error = folder.fault()
    assert str(error).startswith(f"{folder.path / YAML}:{error.line}: ")
    for word in words:
        assert word in str(error)
    assert error.line is not None
    if first is not None:
        assert first <= error.line <= first + 1 + new.count("\n")
    assert "\n" not in str(error)


def test_the_secret_itself_is_not_said(folder: Folder) -> None:
    folder.edit("    base_url: http://127.0.0.1:8802", "    access_token: pat-na1-0123456789")
    error = folder.fault()
    assert "0123456789" not in f"{error} {error.hint}"


def test_a_field_that_cannot_be_passed_is_named_with_those_that_can(folder: Folder) -> None:
    line = folder.edit("applied_role, application_date", "applied_rolle, application_date")
    error = folder.fault()
    assert error.line == line
    assert "'applied_rolle'" in str(error)
    for name in FIELDS:
        assert name in str(error)


def test_a_condition_that_is_not_cel_is_named_with_its_line(folder: Folder) -> None:
    line = folder.edit('stage.kind in ["interview", "final"]', "stage.kind in [")
    error = folder.fault()
    assert error.line == line
    assert "when is 'stage.kind in ['" in str(error)
    assert "expected true or false in CEL over event.kind" in str(error)


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("stage.knid == 'final'", "knid"),
        ("stge.kind == 'final'", "stge"),
        ("stage.kind", "it gives str and not true or false"),
        ("candidate.name > 3", "name"),
    ],
)
def test_a_condition_that_can_never_hold_is_refused(folder: Folder, when: str, said: str) -> None:
    line = folder.edit('stage.kind in ["interview", "final"]', when.replace("'", '"'))
    error = folder.fault()
    assert error.line == line
    assert said in str(error)


def test_a_field_that_the_event_cannot_tell_is_refused(folder: Folder) -> None:
    line = folder.edit("pass: [stage, interview_date, interviewer]", "pass: [stage, click_date]")
    error = folder.fault()
    assert error.line == line
    assert "'click_date', which application.stage_changed cannot tell" in str(error)
    assert "candidate.reengaged, message.clicked, message.replied" in str(error)


def test_two_triggers_of_one_name_are_refused_at_the_second(folder: Folder) -> None:
    line = folder.edit("  - {name: interview scheduled,", "  - {name: stage to interview,")
    error = folder.fault()
    assert error.line == line
    assert "two triggers are called 'stage to interview'" in str(error)


def test_two_triggers_for_the_same_want_names(folder: Folder) -> None:
    line = folder.edit(ROW, f"{ROW} pass: [name]}}\n{ROW}")
    error = folder.fault()
    assert error.line == line + 1
    assert "give one of them a `name:`" in str(error)


@pytest.mark.parametrize("key", ["company", "postal_address", "connections", "mail", "triggers"])
def test_a_missing_setting_is_named(folder: Folder, key: str) -> None:
    folder.edit(f"\n{key}:", f"\nx_{key}:")
    text = str(folder.fault())
    # What is missing has no line of its own; what stands in its place has one.
    assert f"{key} is missing" in text or f"x_{key} is not a setting" in text
    assert text.startswith(str(folder.path / YAML))


def test_on_is_a_key_and_not_a_boolean(folder: Folder) -> None:
    """YAML 1.1 reads `on:` as true, and a country called NO as false."""
    folder.edit("company: Northwind Bakeries", "company: NO")
    folder.edit("  response_days: 5", "  response_days: 5\n  office: off\n  lunch: yes")
    file = load(folder.path).file
    assert file.company == "NO"
    assert file.content == {"response_days": 5, "office": "off", "lunch": "yes"}
    assert file.triggers[0].on is EventKind.APPLICATION_SUBMITTED


def test_true_and_false_are_booleans(folder: Folder) -> None:
    folder.edit(ROW, ROW.replace("from: ats", "from: ats, enabled: false"))
    assert [t.enabled for t in load(folder.path).triggers.triggers][:2] == [False, True]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected a mapping"),
        ("# nothing\n", "expected a mapping"),
        ("- a list\n", "expected a mapping"),
        ("just words\n", "expected a mapping"),
        ("a: 1\n---\nb: 2\n", "is not YAML here"),
        ("a: !!python/object:os.system x\n", "is not YAML here"),
        ("a: 2026-02-30\n", "cannot be read"),
        ("a: &x [*x]\n", "an alias"),
        ("a: *nowhere\n", "is not YAML here"),
        ("a: \x07\n", "is not YAML"),
        ("[" * 5000, "nested too deeply"),
        ("? [a, b]\n: c\n", "is not YAML here"),
        ("1: x\n", "company is missing"),
    ],
)
def test_what_is_no_project_file_is_a_sentence(folder: Folder, text: str, words: str) -> None:
    (folder.path / YAML).write_text(text)
    error = folder.fault()
    assert words in str(error)
    assert str(error).startswith(str(folder.path / YAML))
    assert "\n" not in str(error)


def test_a_file_that_refers_to_itself_again_and_again_is_refused_quickly(folder: Folder) -> None:
    """A billion laughs: nine lines that would be read for hours."""
    lines = ["a0: &a0 [x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 12)]
    (folder.path / YAML).write_text("\n".join(lines))
    assert "an alias (*a0); expected the value written out" in str(folder.fault())


def test_another_encoding_is_named(folder: Folder) -> None:
    path = folder.path / YAML
    path.write_bytes(path.read_bytes().replace(b"Northwind", "Bäckerei".encode("latin-1")))
    error = folder.fault()
    assert "expected UTF-8; byte" in str(error)
    assert error.file == str(path)


def test_a_byte_order_mark_and_windows_line_ends_are_read(folder: Folder) -> None:
    for file in (YAML, SEQUENCE, LETTER, LAYOUT):
        path = folder.path / file
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert load(folder.path).sequences["welcome"].sequence.steps[0].name == "01-confirmation"


def test_a_huge_file_is_refused_before_it_is_read_through(folder: Folder) -> None:
    (folder.path / YAML).write_text("#" * (1024 * 1024 + 1))
    assert "expected a file of at most 1 MiB" in str(folder.fault())


def test_no_project_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "warmline init" in caught.value.hint


def test_a_folder_in_the_files_place_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / YAML).mkdir()
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path)
