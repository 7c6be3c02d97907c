"""The documents cannot drift: what is public stands in them, and what they name is there."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import typer
from django.urls import URLPattern
from pydantic import BaseModel
from typer.core import TyperGroup

from warmline.cli.main import app
from warmline.config.project import ProjectFile, TriggerFile, UnknownRule
from warmline.config.sequence_file import MonthlyFile, SequenceFile, StepFile, WindowFile
from warmline.config.settings import TABLE
from warmline.connectors.hubspot import contacts as hubspot_contacts
from warmline.connectors.hubspot import webhooks as hubspot_webhooks
from warmline.core import events, mail, mail_links, mail_liquid, policy, retries
from warmline.core.actions import FIELDS, ActionKind
from warmline.core.humans import Confidence
from warmline.core.outcomes import OutcomeKind
from warmline.core.segments import Segment
from warmline.core.sequences import StepClass
from warmline.flows import act, alerts, hits, incidents, intake, interpret, links, send, watch
from warmline.flows.exchanges import LONG_TRIES
from warmline.kit import exchange, redaction
from warmline.kit.http import TIMEOUT_S
from warmline.kit.manifest import manifests
from warmline.ports import CAPABILITIES, Channel, Verdict
from warmline.sandbox.faults import HOOK_KINDS, HTTP_KINDS, SMTP_KINDS
from warmline.store import statuses
from warmline.web.urls import urlpatterns

ROOT = Path(__file__).parent.parent
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
GLOSSARY = (ROOT / "GLOSSARY.md").read_text()


def under_git() -> list[Path]:
    """Every file that is, or is about to be, under Git."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("this copy is not a Git repository")
    paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    return [path for path in paths if path.is_file()]


def section(text: str, title: str) -> str:
    """What stands between this heading and the next of its rank or higher."""
    found = re.search(rf"^(#+) {re.escape(title)}$", text, re.MULTILINE)
    assert found, f"no heading {title!r}"
    end = re.search(rf"^#{{1,{len(found[1])}}} ", text[found.end() :], re.MULTILINE)
    return text[found.end() :][: end.start() if end else None]


def rows(text: str) -> list[str]:
    """The word in the first cell of each row of the tables in a section."""
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


def missing(words: Iterable[str], text: str) -> list[str]:
    return [word for word in words if f"`{word}`" not in text]


# What is public is documented


def test_every_setting_stands_in_the_reference_with_its_default() -> None:
    told = section(REFERENCE, "Process settings")
    assert rows(told) == [setting.name for setting in TABLE]
    for setting in TABLE:
        line = next(x for x in told.splitlines() if x.startswith(f"| `{setting.name}`"))
        default = f"`{setting.default}`" if setting.default != "" else "empty"
        assert f"| {setting.kind.__name__} | {default} |" in line
        assert ("(secret)" in line) == setting.secret


@pytest.mark.parametrize("name", sorted(manifests()))
def test_every_setting_of_a_connector_stands_in_the_reference(name: str) -> None:
    manifest = manifests()[name]
    told = section(REFERENCE, f"`{name}`")
    assert rows(told) == [setting.name for setting in manifest.settings]
    assert not missing(manifest.capabilities, told)
    for setting in manifest.settings:
        line = next(x for x in told.splitlines() if x.startswith(f"| `{setting.name}`"))
        assert ("**required**" in line) == setting.required
        assert (" secret |" in line) == setting.secret
        if setting.default not in (None, ""):
            assert f"`{setting.default}`" in line


def keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    """Every key that the model takes, with those of the models in it, by its name in the file."""
    found: list[str] = []
    for name, info in model.model_fields.items():
        key = f"{prefix}{info.alias or name}"
        found.append(key)
        inner: Any = info.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found += keys(inner, f"{key}.")
    return found


def test_every_key_of_warmline_yaml_stands_in_the_reference() -> None:
    told = rows(section(REFERENCE, "warmline.yaml"))
    assert sorted(told) == sorted([*keys(ProjectFile), "connections.<name>.connector"])


def test_every_key_of_a_trigger_stands_in_the_reference() -> None:
    told = rows(section(REFERENCE, "Triggers"))
    assert sorted(told) == sorted([*keys(TriggerFile), *FIELDS])


def test_every_key_of_a_sequence_stands_in_the_reference() -> None:
    told = rows(section(REFERENCE, "Sequences"))
    wanted = [*keys(SequenceFile), *keys(StepFile, "steps[].")]
    wanted += [*keys(WindowFile, "window."), *keys(MonthlyFile, "monthly.")]
    assert sorted(told) == sorted(wanted)


def test_every_field_that_a_trigger_passes_is_told_as_in_the_code() -> None:
    for field, help_text in FIELDS.items():
        assert f"| `{field}` | {help_text} |" in REFERENCE


def test_every_liquid_tag_and_filter_stands_in_the_reference() -> None:
    told = section(REFERENCE, "Sequences")
    assert not missing((*mail_liquid.TAGS, *mail_liquid.FILTERS), told)


def test_every_verb_and_option_stands_in_the_reference_and_the_readme() -> None:
    command = typer.main.get_command(app)
    assert isinstance(command, TyperGroup)
    told = section(REFERENCE, "Verbs")
    assert rows(told) == list(command.commands)
    readme = section((ROOT / "README.md").read_text(), "The verbs")
    assert [row.split()[1] for row in rows(readme)] == list(command.commands)
    inner = [c.commands.values() for c in command.commands.values() if isinstance(c, TyperGroup)]
    assert inner, "merge has verbs of its own"
    for verb in (*command.commands.values(), *(v for verbs in inner for v in verbs)):
        assert not isinstance(verb, TyperGroup) or not missing(verb.commands, told)
        for parameter in verb.params:
            for option in parameter.opts:
                if option.startswith("--") and option != "--help":
                    assert option in told, f"{verb.name} {option}"


def test_every_address_stands_in_the_reference() -> None:
    told = section(REFERENCE, "HTTP addresses")
    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern)
        address = "/" + str(pattern.pattern).replace("<str:", "<")
        assert re.search(rf"`(?:GET|POST) {re.escape(address)}[`?]", told), address


def test_every_capability_stands_in_the_reference_with_its_methods() -> None:
    told = section(REFERENCE, "Capabilities")
    assert rows(told) == list(CAPABILITIES)
    for protocol in CAPABILITIES.values():
        methods = [n for n, m in vars(protocol).items() if callable(m) and not n.startswith("_")]
        assert not missing(methods, told)


def test_every_kind_of_incident_stands_in_the_reference() -> None:
    """The keys are the first arguments of `open_incident`, or made by a helper of its own."""
    told = rows(section(REFERENCE, "Incidents"))
    source = "".join(p.read_text() for p in (ROOT / "src/warmline").rglob("*.py"))
    found = set(re.findall(r"open_incident\(\s*f?\"([^\"]+)\"", source))
    helpers = r"(?:return|else) f\"(no-address:[^\"]+|\{target\}:trouble|action:[^\"]+)\""
    found |= set(re.findall(helpers, source))
    seen = re.findall(r"(?:Seen\(\s*f|OVERDUE_KEY = )\"([^\"]+)\"", source)
    assert len(seen) == 4, "what the watch sees"
    found |= set(seen)
    strangers = re.findall(r"turned_away\(\s*runtime,\s*connection,\s*\"([^\"]+)\"", source)
    found |= {f"{{connection}}:{kind}" for kind in strangers}
    assert len(found) >= 11, "the patterns above find the keys no more"
    for key in found:
        literal = re.escape(key.replace("{kind}", "signature"))
        pattern = re.sub(r"\\\{[^}]*\\\}", "<[a-z]+>", literal)
        assert any(re.fullmatch(pattern, row) for row in told), key


def test_every_fault_of_the_sandbox_stands_in_the_reference() -> None:
    told = section(REFERENCE, "Sandbox")
    assert not missing(HTTP_KINDS | HOOK_KINDS | SMTP_KINDS, told)


def test_every_name_of_the_benchmark_stands_in_the_reference() -> None:
    source = (ROOT / "bench" / "runs.py").read_text()
    rate = re.search(r"^RATE = (\d+)", source, re.MULTILINE)
    assert rate
    names = re.findall(r"f\"\{kind\}\.(\w+)\"", source.replace("{RATE:g}", rate[1]))
    data = set(rows(section(REFERENCE, "Data")))
    assert set(rows(section(REFERENCE, "Benchmark"))) - data == set(names)
    files = (ROOT / "bench" / name for name in ("data.py", "month.py", "nurture.py"))
    sources = [*files, *(ROOT / "bench" / "identity").glob("*.py")]
    told = "".join(path.read_text() for path in sources)
    for name in data:
        assert f'"{name}"' in told or f'.{name.split(".")[1]}"' in told, name


def whole(span: timedelta, unit: timedelta) -> str:
    return f"{span / unit:g}"


DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("what", "figures"),
    [
        ("a webhook's body", [f"{intake.BODY_BYTES_MAX // 1024**2} MiB"]),
        (
            "tries of an action or a mail",
            [
                f"{retries.GIVE_UP_AFTER / timedelta(hours=1):g} h",
                f"{retries.FIRST_S:g} s",
                f"{retries.LONGEST_S:g} s",
            ],
        ),
        ("tries to apply a delivery", [f"{interpret.ATTEMPTS_MAX} |"]),
        ("deliveries interpreted in a transaction", [f"{interpret.BATCH} |"]),
        ("contacts a call to HubSpot", [f"{hubspot_contacts.BATCH_MAX} |"]),
        ("mails claimed at once", [f"{send.BATCH} |"]),
        (
            "a claim",
            [
                f"{whole(act.CLAIM_FOR, SECOND)} s for actions",
                f"{whole(send.CLAIM_FOR, SECOND)} s for mails",
            ],
        ),
        (
            "a mail that is overdue is held after",
            [f"{whole(policy.OVERDUE_AFTER, DAY)} days"],
        ),
        (
            "an exchange of a failed action",
            [
                f"of {exchange.CALLS_MAX};",
                f"{exchange.BODY_CHARS_MAX} characters of each body",
                f"{redaction.ITEMS_MAX} items",
                f"{redaction.TEXT_CHARS_MAX} characters of a text",
            ],
        ),
        ("tries after which an action that is put off keeps its call", [f"{LONG_TRIES} |"]),
        ("an unsubscribe link", [f"{whole(links.UNSUBSCRIBE_FOR, DAY)} days"]),
        (
            "every other link of a mail",
            [f"{whole(links.UNSUBSCRIBE_FOR, DAY)} days", f"{mail_links.TARGET_BYTES_MAX} bytes"],
        ),
        ("hits kept of one mail", [f"| {hits.HITS_MAX} |"]),
        ("a hit is judged after", [f"{whole(hits.JUDGE_AFTER, SECOND)} s"]),
        (
            "a letter with its layout",
            [
                f"{mail.HTML_BYTES_MAX} bytes",
                f"{mail_liquid.VALUE_CHARS_MAX} characters",
                f"{mail_liquid.LOOP_ITERATIONS_MAX} rounds",
            ],
        ),
        (
            "an alert",
            [
                f"{whole(incidents.TELL_AFTER, SECOND)} s",
                f"{whole(alerts.APART, SECOND)} s",
                f"{alerts.GIVE_UP_AFTER / timedelta(hours=1):g} h",
                f"{alerts.RETRY_S_MAX:g} s",
            ],
        ),
        (
            "the watch (`quiet`, `lag`, `error-rate`, `overdue`)",
            [f"{whole(watch.EVERY, SECOND)} s"],
        ),
        ("a vendor's answer", [f"{TIMEOUT_S:g} s"]),
        ("age of a webhook signed by HubSpot", [f"{hubspot_webhooks.AGE_S_MAX} s"]),
    ],
)
def test_limits_are_the_codes_own(what: str, figures: list[str]) -> None:
    line = next(x for x in REFERENCE.splitlines() if x.startswith(f"| {what} |"))
    for figure in figures:
        assert figure in line


# The vocabulary

WORDS: list[tuple[str, type[StrEnum]]] = [
    ("Events", events.EventKind),
    ("Actions", ActionKind),
    ("Segments", Segment),
    ("Outcomes", OutcomeKind),
    ("Stage kinds", events.StageKind),
    ("Application statuses", events.ApplicationStatus),
    ("Interview statuses", events.InterviewStatus),
    ("Step classes", StepClass),
    ("Channels", Channel),
    ("Verdicts", Verdict),
    ("Delivery statuses", statuses.DeliveryStatus),
    ("Event effects", statuses.EventEffect),
    ("Action statuses", statuses.ActionStatus),
    ("Enrolment statuses", statuses.EnrolmentStatus),
    ("Message statuses", statuses.MessageStatus),
    ("Consent bases", statuses.ConsentBasis),
    ("Hit kinds", statuses.HitKind),
    ("Confidence", Confidence),
    ("Suppression reasons", statuses.SuppressionReason),
    ("Incident statuses", statuses.IncidentStatus),
    ("Alert kinds", statuses.AlertKind),
    ("Alert statuses", statuses.AlertStatus),
    ("Pause scopes", statuses.PauseScope),
    ("Identity kinds", statuses.IdentityKind),
    ("Likeness statuses", statuses.LikenessStatus),
    ("Rules for unknown messages", UnknownRule),
]


@pytest.mark.parametrize(("title", "words"), WORDS, ids=[title for title, _ in WORDS])
def test_the_glossary_has_every_word_and_no_other(title: str, words: type[StrEnum]) -> None:
    assert rows(section(GLOSSARY, title)) == [word.value for word in words]


def test_no_status_is_left_out_of_the_glossary() -> None:
    there = {
        found
        for found in vars(statuses).values()
        if isinstance(found, type) and issubclass(found, StrEnum) and found is not StrEnum
    }
    assert there <= {words for _, words in WORDS}


def test_the_glossary_gives_each_status_the_meaning_that_stands_in_the_code() -> None:
    source = Path(statuses.__file__).read_text()
    meanings = re.findall(r"^    [A-Z_]+ = \"([a-z_]+)\"  # (.+)$", source, re.MULTILINE)
    assert len(meanings) > 25
    for word, meaning in meanings:
        assert f"| `{word}` | {meaning} |" in GLOSSARY


# The documents themselves


def documents() -> list[Path]:
    return [path for path in under_git() if path.suffix == ".md"]


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def test_every_relative_link_leads_somewhere() -> None:
    broken = []
    for document in documents():
        if "sequences" in document.parts:
            continue  # letters: their links are the reader's
        prose = re.sub(r"^```.*?^```", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            path, _, anchor = target.partition("#")
            if "://" in path or path.startswith("mailto:"):
                continue
            to = (document.parent / path).resolve() if path else document
            if not to.exists():
                broken.append(f"{document.relative_to(ROOT)}: {target}")
            elif anchor and to.suffix == ".md":
                headings = re.findall(r"^#+ (.+)$", to.read_text(), re.MULTILINE)
                if anchor not in {slug(heading) for heading in headings}:
                    broken.append(f"{document.relative_to(ROOT)}: {target}")
    assert not broken


def test_every_test_that_the_architecture_names_is_there() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    named = re.findall(r"\[`(test_\w+)`\]\(([^)]+)\)", text)
    assert len(named) >= 10
    for name, path in named:
        assert f"def {name}(" in (ROOT / path).read_text(), name


def test_every_decision_stands_in_the_index() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text()
    for record in sorted(folder.glob("[0-9]*.md")):
        number, _, title = record.read_text().splitlines()[0].removeprefix("# ").partition(": ")
        assert record.name.startswith(number)
        assert f"[{number}]({record.name}) | {title} |" in index


def test_the_readme_begins_with_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert [line.partition("#")[0].strip() for line in blocks[0].splitlines()] == [
        "make demo",
        "make test",
    ]
    before = text[: text.index("```")]
    assert "`" not in before, "a command stands before the two"


def test_the_project_stands_alone() -> None:
    """No path of the machine it was written on, and nothing outside this folder."""
    strange = ["/wor" + "k/", "../" + "shared", "/hom" + "e/", "/roo" + "t/", "/Use" + "rs/"]
    found = []
    for path in under_git():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # a picture or a spreadsheet
        found += [f"{path.relative_to(ROOT)}: {word}" for word in strange if word in text]
    assert not found
