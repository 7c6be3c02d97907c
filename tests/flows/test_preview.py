"""A letter on the screen and in one's own mailbox; and that the ledger does not notice."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from django.apps import apps

from tests.conftest import House
from warmline.core import letters
from warmline.core.errors import ConfigError, WarmlineError
from warmline.core.outcomes import OutcomeKind
from warmline.flows.compose import filled_with
from warmline.flows.fields import known
from warmline.flows.links import VARIABLES
from warmline.flows.opt_out import suppress
from warmline.flows.preview import Preview, preview, send_test
from warmline.flows.roles import fitting, open_roles
from warmline.store.models import Candidate, Enrolment
from warmline.store.statuses import SuppressionReason

ME = "kim@northwind.example"


def whole(house: House, to: str) -> dict[str, Any]:
    """The one mail to them, with its headers and parts."""
    (mail,) = house.mails(to)
    url = f"{house.box.mailbox_url}/api/messages/{mail['id']}"
    found: dict[str, Any] = httpx.get(url, trust_env=False).json()
    return found


def shown(house: House, name: str = "welcome/1", **options: Any) -> Preview:
    return preview(house.runtime.project, name, now=house.clock(), **options)


def rows(house: House) -> dict[str, int]:
    return {
        m.__name__: m._default_manager.count() for m in apps.get_app_config("warmline").get_models()
    }


def to_me(house: House, to: str = ME, name: str = "welcome/1", **options: Any) -> OutcomeKind:
    one = shown(house, name, **options)
    return send_test(house.runtime, one, to, mark="a1b2", now=house.clock()).kind


def test_a_letter_of_a_real_candidate(house: House) -> None:
    house.apply()
    house.settle()
    one = shown(house, candidate="ada.lind@example.com")
    assert one.for_whom == f"candidate {Candidate.objects.get().pk}"
    sent = whole(house, "ada.lind@example.com")
    assert one.mail.subject == sent["subject"]
    assert "Hi Ada," in one.mail.text
    assert "2 March 2026" in one.mail.text
    assert one.sender_address in sent["from"]
    # Its links are nobody's: clicked in a preview, they change nothing for the candidate.
    assert f"{house.runtime.project.public_url}/u/sample" in one.mail.text
    assert "/u/sample" not in sent["text"]


def test_day_60_of_a_real_candidate_names_the_roles_that_fit_them(house: House) -> None:
    house.apply()
    for number, job_id in enumerate(sorted(house.box.greenhouse.world.jobs.rows)):
        house.apply(first_name="Eve", email=f"eve{number}@example.com", job_id=job_id)
    house.settle()
    one = known([Candidate.objects.get(first_name="Ada").pk]).popitem()[1]
    wanted = fitting(one, open_roles(house.clock()), "https://careers.example.com")
    assert wanted, "the sandbox has a job like Ada's"
    text = shown(house, "silver-medalist/03-roles", candidate="ada.lind@example.com").mail.text
    assert re.findall(r"^- (.+?) \(https", text, re.MULTILINE) == [r["title"] for r in wanted]


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("welcome/1", "01-confirmation"),
        ("welcome/02-culture-story", "02-culture-story"),
        ("welcome/02-culture-story.md", "02-culture-story"),
        ("library/06-the-route", "06-the-route"),
    ],
)
def test_letters_by_their_names(house: House, name: str, stem: str) -> None:
    assert shown(house, name).letter.path.stem == stem


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("welcome", "expected SEQUENCE/STEP"),
        ("welkome/1", "one of ['library', 'silver-medalist', 'welcome']"),
        ("welcome/9", "no letter '9'; expected one of ['01-confirmation'"),
        ("welcome/0", "no letter '0'"),
        ("welcome/../../warmline", "no letter '../../warmline'"),
        ("", "no letter ''"),
    ],
)
def test_a_letter_that_is_not_there_is_named(house: House, name: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        shown(house, name)
    assert words in str(caught.value)


def test_a_sequence_is_found_by_its_own_name_too(house: House) -> None:
    folder = house.folder / "sequences"
    (folder / "welcome").rename(folder / "first-week")
    assert shown(house, "welcome/1").letter.letter.name == "first-week/01-confirmation"
    assert shown(house, "first-week/1").letter.path.parent.name == "first-week"


def test_a_step_of_several_letters_asks_which(house: House) -> None:
    path = house.folder / "sequences/welcome/sequence.yaml"
    path.write_text(
        "name: welcome\nsegment: active_applicant\nsteps:\n  - day: 0\n    branches:\n"
        "      - {when: x, file: 01-confirmation.md}\n      - {file: 02-culture-story.md}\n"
    )
    with pytest.raises(ConfigError, match="welcome/01-confirmation or welcome/02-culture-story"):
        shown(house)


def test_a_sample_of_whom_only_a_name_is_known(house: House) -> None:
    assert "Hi there," in shown(house, bare=True).mail.text
    assert shown(house, bare=True).for_whom == "somebody with only a name"


def test_nobody_by_that_name(house: House) -> None:
    with pytest.raises(WarmlineError, match="nobody in the ledger") as caught:
        shown(house, candidate="nobody@example.com")
    assert "nobody@example.com" not in str(caught.value)


def test_who_would_get_no_mail_is_told_why(house: House) -> None:
    path = house.folder / "sequences/welcome/01-confirmation.md"
    path.write_text("---\nsubject: x\n---\nIn {{ job.office }}\n")
    with pytest.raises(WarmlineError) as caught:
        shown(house, bare=True)
    assert "somebody with only a name would get no mail: job.office is empty" in str(caught.value)
    assert "default" in caught.value.hint


def test_a_broken_letter_is_named_with_its_line(house: House) -> None:
    path = house.folder / "sequences/welcome/01-confirmation.md"
    path.write_text("---\nsubject: x\n---\nHi\n\n{% if %}\n")
    with pytest.raises(ConfigError) as caught:
        shown(house)
    assert (caught.value.file, caught.value.line) == (str(path), 6)


def test_a_test_comes_marked_to_that_address_alone_and_leaves_no_row(house: House) -> None:
    house.apply()
    house.settle()
    before, mails = rows(house), len(house.mails())
    assert to_me(house, candidate="ada.lind@example.com") is OutcomeKind.DONE
    assert rows(house) == before
    assert len(house.mails()) == mails + 1
    mail = whole(house, ME)
    assert mail["subject"].startswith("[Test] Your application for ")
    assert "Hi Ada," in mail["text"]
    headers = {name.lower(): value for name, value in mail["all_headers"]}
    assert headers["x-warmline-test"] == "welcome/01-confirmation"
    assert headers["message-id"].startswith("<warmline.test.a1b2@")
    assert headers["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"
    assert "x-warmline-step" not in headers


@pytest.mark.parametrize("to", ["", "kim", "kim@", "a@b.example, c@d.example"])
def test_what_is_no_address_is_refused(house: House, to: str) -> None:
    with pytest.raises(WarmlineError, match="--to is no e-mail address"):
        to_me(house, to)
    assert house.mails() == []


def test_a_suppressed_address_gets_no_test(house: House) -> None:
    suppress([ME], SuppressionReason.UNSUBSCRIBED, source="here", now=house.clock())
    with pytest.raises(WarmlineError, match="suppressed"):
        to_me(house, "Kim@Northwind.example")
    assert house.mails() == []


def test_a_candidate_gets_no_test(house: House) -> None:
    house.apply()
    house.settle()
    before = len(house.mails())
    with pytest.raises(WarmlineError, match="a candidate's address"):
        to_me(house, "ADA.lind@example.com")
    assert len(house.mails()) == before


def test_a_server_that_refuses_is_told(house: House) -> None:
    house.box.mailbox.faults.add({"kind": "refuse", "count": 1})
    assert to_me(house) is OutcomeKind.REFUSED


def test_what_lint_knows_is_what_a_mail_is_filled_with(house: House) -> None:
    row = house.apply()
    house.settle()
    house.does("reject", row["id"])
    house.settle()
    one = known([Candidate.objects.get().pk]).popitem()[1]
    enrolment = Enrolment(candidate=one.candidate, sequence="welcome", application=one.latest)
    filled = filled_with(house.runtime.project, enrolment, one, house.clock())
    names = {
        f"{group}.{name}" if isinstance(value, dict) else group
        for group, value in {**filled, **VARIABLES}.items()
        for name in (value if isinstance(value, dict) else [""])
    }
    told = {name for name in names if not name.startswith("content.")}
    assert told == set(letters.VARIABLES)
