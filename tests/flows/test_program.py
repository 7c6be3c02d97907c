"""Each rule of a sequence by the real road: exits, holds, turns, re-entry, branches, variants,
months, versions. The clock is virtual, the files are a project's own."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import House
from warmline.config.project import load
from warmline.core.events import Event as CoreEvent
from warmline.core.events import EventKind
from warmline.core.segments import Segment
from warmline.flows import merge, nurture, versions
from warmline.flows.segment import own_delivery
from warmline.flows.whereabouts import where_is
from warmline.ports import Channel
from warmline.store.db import writing
from warmline.store.models import (
    Action,
    Application,
    Candidate,
    Enrolment,
    Event,
    Incident,
    Message,
    SequenceVersion,
)

LETTER = "---\nsubject: {name}\n---\nHi {{{{ candidate.first_name }}}}, this is {name}.\n"
BASE = "name: {name}\nsegment: {segment}\n"


def put(house: House, files: dict[str, str], *, keep: bool = False) -> None:
    """These files into the sequences folder, and the project read anew. A letter's text may be
    empty: it is made up."""
    folder = house.folder / "sequences"
    for path, text in files.items():
        (folder / path).parent.mkdir(exist_ok=True)
        letter = path.endswith(".md") and not text
        (folder / path).write_text(LETTER.format(name=Path(path).stem) if letter else text)
    house.runtime.project = load(house.folder)


def silver(house: House, **person: Any) -> Candidate:
    """Somebody who was rejected after the final round, a day ago."""
    row = house.apply(**person)
    house.settle()
    house.does("move", row["id"], "Final Interview")
    house.does("reject", row["id"])
    house.settle()
    return Application.objects.get(external_id=str(row["id"])).candidate


def days(house: House, count: int) -> None:
    for _ in range(count):
        house.clock.move(days=1)
        house.settle()


def on(candidate: Candidate, sequence: str = "silver-medalist") -> Enrolment:
    return Enrolment.objects.filter(candidate=candidate, sequence=sequence).order_by("-run")[0]


def sent(enrolment: Enrolment) -> list[str]:
    rows = Message.objects.filter(enrolment=enrolment, status="handed_off").order_by(
        "handed_off_at"
    )
    return [Path(row.piece).stem for row in rows]


def hears(house: House, candidate: Candidate, kind: EventKind) -> Event:
    """An event about the candidate, on the road of our own pages."""
    from warmline.flows.batch import Applied, Heard
    from warmline.flows.plan import Plan
    from warmline.store.statuses import EventEffect

    now = house.clock()
    with writing():
        key = f"{kind}:{candidate.pk}:{Event.objects.count()}"
        delivery = own_delivery(Channel.FORM, {}, key, now)
        row = Event.objects.create(
            connection="warmline", key=key, kind=kind, word="w", occurred_at=now, recorded_at=now,
            delivery=delivery, candidate=candidate,
        )  # fmt: skip
        plan = Plan(house.runtime, "warmline", now)
        heard = Heard(CoreEvent(kind, key, "w", now), now, now)
        plan.add(row, heard, Applied(EventEffect.APPLIED, kind, candidate), live=True)
        plan.write()
    return row


def steps(*rows: str) -> str:
    return "steps:\n" + "".join(f"  - {{{row}, class: marketing}}\n" for row in rows)


def silver_file(body: str, head: str = "") -> str:
    base = BASE.format(name="silver-medalist", segment="silver_medalist")
    return f"{base}priority: 10\n{head}{body}"


SILVER = "silver-medalist/sequence.yaml"
TWO = ("day: 7, file: 01-thanks.md", "day: 30, file: 02-news.md")


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        (EventKind.MESSAGE_REPLIED, "replied"),
        (EventKind.CANDIDATE_REENGAGED, "reengaged"),
    ],
)
def test_an_act_of_the_person_ends_the_sequence_at_the_event(
    house: House, kind: EventKind, why: str
) -> None:
    put(house, {SILVER: silver_file(steps(*TWO),
                                    "exits: [replied, reengaged]\n")})  # fmt: skip
    one = silver(house)
    house.clock.move(days=7)
    nurture.tick(house.runtime)  # planned, and not gone
    hears(house, one, kind)
    row = on(one)
    assert (row.status, row.ended_at) == ("stopped", house.clock())
    (message,) = row.messages.all()
    assert message.status == "held"
    days(house, 40)
    assert sent(row) == []


def test_an_opened_mail_and_a_click_of_nobody_known_end_nothing(house: House) -> None:
    """I9: only what a person did moves a person."""
    put(house, {SILVER: silver_file(steps("day: 7, file: 01-thanks.md"), "exits: [replied]\n")})
    one = silver(house)
    for kind in (EventKind.MESSAGE_OPENED, EventKind.MESSAGE_CLICKED):
        hears(house, one, kind)
    assert on(one).status == "active"


def test_a_claimed_mail_is_taken_back_by_an_exit(house: House) -> None:
    put(house, {SILVER: silver_file(steps("day: 7, file: 01-thanks.md"), "exits: [replied]\n")})
    one = silver(house)
    house.clock.move(days=7)
    nurture.tick(house.runtime)
    Message.objects.filter(enrolment=on(one)).update(status="claimed", claimed_by="me")
    hears(house, one, EventKind.MESSAGE_REPLIED)
    message = Message.objects.get(enrolment=on(one))
    assert (message.status, message.claimed_by) == ("held", "")
    assert on(one).status == "stopped"  # it had been finished: its last step was planned


def test_who_applies_elsewhere_leaves_the_sequence_and_who_is_hired_too(house: House) -> None:
    put(house, {SILVER: silver_file(steps(*TWO),
                                    "exits: [active_elsewhere, hired]\n")})  # fmt: skip
    one = silver(house)
    record = one.external_ids.get(connection="ats").external_id
    house.apply(candidate_id=int(record), job_id=4002)
    house.settle()
    assert on(one).status == "stopped"


def test_the_application_that_a_welcome_is_about_does_not_end_it(house: House) -> None:
    path = house.folder / "sequences/welcome/sequence.yaml"
    put(
        house,
        {
            "welcome/sequence.yaml": re.sub(
                r"^exits:.*$", "exits: [active_elsewhere]", path.read_text(), flags=re.M
            )
        },
    )
    row = house.apply()
    house.settle()
    house.does("move", row["id"], "Phone Screen")
    house.settle()
    one = Candidate.objects.get()
    assert on(one, "welcome").status == "active"
    house.apply(candidate_id=row["candidate_id"], job_id=4002)
    house.settle()
    assert on(one, "welcome").status == "stopped"


def test_while_a_hold_rule_holds_the_step_waits_with_its_reason(house: House) -> None:
    hold = """hold: 'candidate.tags.exists(t, t == "vip")'\n"""
    put(house, {SILVER: silver_file(steps("day: 7, file: 01-thanks.md", "day: 9, file: 02-news.md"),
                                    hold)})  # fmt: skip
    one = silver(house)
    Candidate.objects.filter(pk=one.pk).update(tags=["vip"])
    days(house, 10)
    row = on(one)
    assert row.messages.count() == 0
    assert row.reason.startswith("held: candidate.tags")
    Candidate.objects.filter(pk=one.pk).update(tags=[])
    house.clock.move(days=1)
    house.settle()
    assert sent(row) == ["01-thanks"]
    went = house.clock()
    days(house, 3)
    second = row.messages.get(step=2)
    assert second.due_at >= went + timedelta(days=2)  # two days after it, as the file says
    assert on(one).reason == ""


def test_nobody_is_enrolled_in_a_sequence_for_another_segment(house: House) -> None:
    """Only differentiated content."""
    put(house, {SILVER: silver_file(steps("day: 7, file: 01-thanks.md")).replace(
        "silver_medalist", "passive_lead")})  # fmt: skip
    one = silver(house)
    assert not Enrolment.objects.filter(candidate=one, sequence="silver-medalist").exists()
    (action,) = Action.objects.filter(trigger="silver medalist")
    assert action.status == "skipped"
    assert action.reason.endswith("and not passive_lead")
    assert house.runtime.project.sequences["silver-medalist"].segment is Segment.PASSIVE_LEAD


def again(house: House, one: Candidate) -> None:
    """The same person applies, comes far, and is rejected once more."""
    record = one.external_ids.get(connection="ats").external_id
    row = house.apply(candidate_id=int(record), job_id=4002)
    house.settle()
    house.does("move", row["id"], "Final Interview")
    house.does("reject", row["id"])
    house.settle()


@pytest.mark.parametrize(
    ("reentry", "after", "runs"), [("", 400, [1]), ("30", 20, [1]), ("30", 45, [1, 2])]
)
def test_re_entry_is_another_run_and_only_after_its_days(
    house: House, reentry: str, after: int, runs: list[int]
) -> None:
    head = f"reentry_days: {reentry}\n" if reentry else ""
    put(house, {SILVER: silver_file(steps("day: 7, file: 01-thanks.md"), head)})
    one = silver(house)
    days(house, 7)
    house.clock.move(days=after)
    again(house, one)
    mine = Enrolment.objects.filter(candidate=one, sequence="silver-medalist").order_by("run")
    assert [row.run for row in mine] == runs


def test_the_branch_is_decided_when_the_step_is_planned(house: House) -> None:
    rule = """'candidate.tags.exists(t, t == "bread")'"""
    put(house, {
        SILVER: silver_file(
            "steps:\n  - day: 7\n    branches:\n"
            f"      - {{when: {rule}, file: 02-news.md}}\n      - {{file: 01-thanks.md}}\n"
        )
    })  # fmt: skip
    one, two = silver(house), silver(house, first_name="Bo", email="bo@example.com")
    Candidate.objects.filter(pk=two.pk).update(tags=["bread"])
    days(house, 7)
    assert (sent(on(one)), sent(on(two))) == (["01-thanks"], ["02-news"])
    assert on(one).messages.get().piece == "01-thanks"


def test_where_no_branch_holds_the_step_is_passed_over_and_said(house: House) -> None:
    put(house, {
        SILVER: silver_file(
            "steps:\n  - day: 7\n    branches:\n"
            "      - {when: 'segment == \"x\"', file: 02-news.md}\n"
            "  - {day: 9, file: 01-thanks.md}\n"
        )
    })  # fmt: skip
    one = silver(house)
    days(house, 8)
    assert on(one).messages.get(step=1).reason == "no branch of it is for them"
    days(house, 1)
    assert sent(on(one)) == ["01-thanks"]


def test_roles_that_fit_are_in_the_letter_and_decide_the_branch(house: House) -> None:
    roles = (
        "---\nsubject: Roles\n---\nHi {{ candidate.first_name }}\n\n"
        "{% for role in roles %}\n- {{ role.title }}\n{% endfor %}\n"
    )
    put(house, {
        "silver-medalist/05-roles.md": roles,
        SILVER: silver_file(
            "steps:\n  - day: 7\n    branches:\n"
            "      - {when: 'size(roles) > 0', file: 05-roles.md}\n      - {file: 01-thanks.md}\n"
        ),
    })  # fmt: skip
    one = silver(house)
    title = Application.objects.get(candidate=one).job.title  # type: ignore[union-attr]
    two = silver(house, first_name="Bo", email="bo@example.com")
    skill = "kubernetes"
    Candidate.objects.filter(pk=two.pk).update(tags=[skill])
    row = house.apply(first_name="Cy", email="cy@example.com", job_id=4002)
    house.settle()
    job = Application.objects.get(external_id=str(row["id"])).job
    assert job is not None
    job.title, job.department, job.office = "Kubernetes keeper", "Keeping", ""
    job.save()
    days(house, 7)
    assert sent(on(two)) == ["05-roles"]
    named = [role["title"] for role in on(two).messages.get().values["roles"]]
    assert named == ["Kubernetes keeper"]  # and not the one that they have applied to
    assert title not in named
    assert [m["subject"] for m in house.mails("bo@example.com")][-1] == "Roles"
    assert sent(on(one)) == ["01-thanks"]


def test_variants_go_to_each_arm_and_the_holdout_gets_nothing(house: House) -> None:
    put(house, {
        SILVER: silver_file(
            "steps:\n  - day: 7\n    variants: {a: 01-thanks.md, b: 02-news.md}\n    holdout: 0.5\n"
        )
    })  # fmt: skip
    people = [
        silver(house, first_name=f"P{n}", email=f"p{n}@example.com") for n in range(12)
    ]  # fmt: skip
    days(house, 7)
    rows = list(Message.objects.filter(enrolment__sequence="silver-medalist"))
    assert len(rows) == len(people)
    assert {row.status for row in rows} == {"handed_off", "withheld"}
    for row in rows:
        if row.status == "handed_off":
            assert Path(row.piece).stem == {"a": "01-thanks", "b": "02-news"}[row.variant]
    assert len(house.mails()) == len(people) + sum(r.status == "handed_off" for r in rows)


MONTHLY = "monthly: {class: marketing, every_days: 30, library: shelf, from_day: 40}\n"


def shelf(house: House, *names: str) -> dict[str, str]:
    return {f"shelf/{name}.md": "" for name in names}


def test_monthly_pieces_go_on_and_none_comes_twice(house: House) -> None:
    body = steps("day: 7, file: 01-thanks.md") + MONTHLY + "reentry_days: 1\nexits: [replied]\n"
    put(house, {**shelf(house, "a", "b", "c"), SILVER: silver_file(body)})
    one = silver(house)
    enrolled = on(one).enrolled_at
    days(house, 75)
    assert sent(on(one)) == ["01-thanks", "a", "b"]
    months = Message.objects.filter(enrolment=on(one), step__gt=1).order_by("step")
    office = on(one).application.job.office  # type: ignore[union-attr]
    there = where_is(house.runtime.project, one, office).clock  # summer time begins meanwhile
    local = enrolled.astimezone(there).replace(tzinfo=None)
    found = [m.due_at.astimezone(there).replace(tzinfo=None) - local for m in months]
    assert found == [timedelta(days=40), timedelta(days=70)]
    # Another run of the same sequence goes on where the library stands.
    hears(house, one, EventKind.MESSAGE_REPLIED)
    house.clock.move(days=2)
    again(house, one)
    assert on(one).run == 2
    days(house, 45)
    assert sent(on(one)) == ["01-thanks", "c"]
    # Then it has run out: an incident, and no letter.
    days(house, 40)
    (incident,) = Incident.objects.filter(key="library:silver-medalist")
    assert incident.status == "open"
    put(house, shelf(house, "d"))
    days(house, 2)
    assert sent(on(one)) == ["01-thanks", "c", "d"]


def test_a_piece_that_the_other_half_of_a_merge_has_had_does_not_come_again(house: House) -> None:
    body = steps("day: 7, file: 01-thanks.md") + MONTHLY
    put(house, {**shelf(house, "a", "b"), SILVER: silver_file(body)})
    one, two = silver(house), silver(house, first_name="Bo", email="bo@example.com")
    days(house, 41)
    assert [sent(on(c)) for c in (one, two)] == [["01-thanks", "a"]] * 2
    with writing():
        merge.fold(one, two, evidence="t", now=house.clock())
    Message.objects.filter(candidate=one, piece="shelf/a.md").update(status="expired")
    days(house, 30)
    assert sent(on(one))[-1] == "b"


def test_an_enrolment_goes_on_with_the_files_it_began_with(house: House) -> None:
    put(
        house,
        {SILVER: silver_file(steps(*TWO))},
    )
    one = silver(house)
    old = on(one).version
    put(house, {SILVER: silver_file(steps("day: 7, file: 04-question.md")),
                "silver-medalist/02-news.md": LETTER.format(name="another letter")})  # fmt: skip
    (house.folder / "sequences/silver-medalist/01-thanks.md").unlink()
    put(house, {})
    versions._compiled.clear()  # as in another process
    two = silver(house, first_name="Bo", email="bo@example.com")
    days(house, 30)
    assert sent(on(one)) == ["01-thanks", "02-news"]
    assert sent(on(two)) == ["04-question"]
    assert on(two).version != old
    assert not [m for m in house.mails("ada.lind") if "another letter" in m["subject"]]
    assert SequenceVersion.objects.filter(sequence="silver-medalist").count() == 2


def test_a_step_leaves_in_the_readers_hours(house: House) -> None:
    window = 'window: {from: "09:00", to: "17:00", days: business}\n'
    put(house, {SILVER: silver_file(steps("day: 7, file: 01-thanks.md"), window)})
    house.clock.move(hours=14)  # 23:00
    one = silver(house)
    Candidate.objects.filter(pk=one.pk).update(place="New York, USA")
    house.clock.move(days=6, hours=1)
    for _ in range(24 * 3):
        house.clock.move(hours=1)
        house.settle()
    (message,) = Message.objects.filter(enrolment=on(one), status="handed_off")
    assert message.handed_off_at is not None
    local = message.handed_off_at.astimezone(ZoneInfo("America/New_York"))
    assert 9 <= local.hour < 17
    assert local.weekday() < 5


def test_planning_costs_about_as_many_queries_for_forty_as_for_ten(house: House) -> None:
    body = steps(*TWO) + MONTHLY
    put(house, {**shelf(house, "a", "b"), SILVER: silver_file(body, "exits: [replied, hired]\n")})
    one = silver(house)
    first = on(one)
    costs = {}
    for count, start in ((10, 0), (40, 100)):
        make(first, count, start)
        with CaptureQueriesContext(connection) as caught:
            nurture.tick(house.runtime)
        costs[count] = len(caught)
    assert Message.objects.filter(enrolment__sequence="silver-medalist").count() == 50
    assert costs[40] <= costs[10] + 3


def make(like: Enrolment, count: int, start: int) -> None:
    for n in range(start, start + count):
        candidate = Candidate.objects.create(first_name=f"N{n}", created_at=like.enrolled_at,
                                             as_of=like.enrolled_at)  # fmt: skip
        Enrolment.objects.create(
            candidate=candidate, sequence=like.sequence, version=like.version, event=like.event,
            enrolled_at=like.enrolled_at - timedelta(days=7),
            next_due_at=like.enrolled_at, next_step=1,
        )  # fmt: skip
