"""`warmline failures`, `pause`, `resume` and `pauses`: what they print, and how they end."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from tests.cli.test_verbs import Said, folder, sentence, warmline  # noqa: F401 - fixtures
from tests.conftest import House
from tests.flows.test_failures import UPSERT, refused
from tests.harness import wait_for
from warmline.cli import failures as verb
from warmline.config.project import Project, load
from warmline.core.errors import WarmlineError
from warmline.flows import failures
from warmline.flows.failures import Wanted
from warmline.flows.runtime import utc_now
from warmline.store.models import Action
from warmline.store.sole import SoleRunner
from warmline.store.statuses import ActionStatus

Run = Callable[..., Said]
Captured = pytest.CaptureFixture[str]


def told(house: House, **options: object) -> None:
    given = {"group": False, "page": 1, "as_json": False, "wanted": Wanted(), **options}
    wanted = given.pop("wanted")
    verb.show(load(house.folder), wanted, **given)  # type: ignore[arg-type]


def try_again(house: House, *refs: str, trigger: str = "", everything: bool = False) -> None:
    def sleep(seconds: float) -> None:
        house.clock.at = utc_now()  # the verb's own
        house.settle()  # the running Warmline, meanwhile

    verb.replay(project(house), refs, trigger=trigger, everything=everything, sleep=sleep)


def project(house: House) -> Project:
    return load(house.folder)


def test_the_list_the_groups_and_one_in_full(house: House, capsys: Captured) -> None:
    refused(house, 2)
    told(house)
    said = capsys.readouterr().out
    assert "Failed: 2" in said
    assert re.search(r"a\d+ .* contact\.upsert in crm", said)
    assert "applied_role" in said
    told(house, group=True)
    said = capsys.readouterr().out
    assert re.search(r"│ +2 │ application\.submitted", said)
    assert "applied_role" in said
    told(house, as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert (found["total"], found["failures"][0]["trigger"]) == (2, UPSERT)
    told(house, group=True, as_json=True)
    assert json.loads(capsys.readouterr().out)["groups"][0]["count"] == 2
    verb.detail(project(house), found["failures"][0]["failure"], as_json=False)
    said = capsys.readouterr().out
    assert "POST /crm/v3/objects/contacts/batch/upsert" in said
    assert "mend the cause" in said
    assert "lind@" not in said.lower()
    with pytest.raises(WarmlineError, match="there is no page 7; the last is 1"):
        told(house, page=7)


def test_a_replay_here_says_that_it_failed_again_and_then_that_it_is_done(
    house: House, capsys: Captured
) -> None:
    mend = refused(house)
    (one,), _ = failures.listed(house.runtime, Wanted())
    Action.objects.update(due_at=house.clock.at)
    with pytest.raises(typer.Exit) as ended:
        try_again(house, one.ref)
    assert ended.value.exit_code == 1
    said = capsys.readouterr().out
    assert "1 failed again: the cause still stands" in said
    assert f"{one.ref} refused: HubSpot said" in said
    mend()
    try_again(house, everything=True)
    assert capsys.readouterr().out == "1 done\n"
    try_again(house, trigger=UPSERT)
    assert capsys.readouterr().out == f"nothing has failed of {UPSERT!r}\n"


def test_beside_a_running_warmline_a_replay_waits_for_what_it_says(
    house: House, capsys: Captured
) -> None:
    refused(house)
    with SoleRunner(), pytest.raises(typer.Exit):
        try_again(house, everything=True)
    assert "1 failed again" in capsys.readouterr().out


def test_a_replay_of_what_is_paused_says_so_at_once(house: House, capsys: Captured) -> None:
    from warmline.flows.pauses import pause
    from warmline.store.statuses import PauseScope

    refused(house)
    pause(house.runtime, PauseScope.TRIGGER, UPSERT, why="w", by="me")

    def sleep(seconds: float) -> None:
        raise AssertionError("nobody does it now")

    with SoleRunner():
        verb.replay(project(house), (), trigger="", everything=True, sleep=sleep)
    assert "1 waiting: it is paused" in capsys.readouterr().out


def test_one_wrong_number_stops_all(house: House) -> None:
    refused(house)
    (one,), _ = failures.listed(house.runtime, Wanted())
    with pytest.raises(WarmlineError, match="there is no failure a999"):
        try_again(house, one.ref, "a999")
    with pytest.raises(WarmlineError, match="there is no failure a999"):
        verb.discard(project(house), [one.ref, "a999"], why="w")
    assert Action.objects.get(trigger=UPSERT).status == ActionStatus.REFUSED


# As people type them


def test_with_nothing_failed_and_nothing_paused(warmline: Run, folder: Path) -> None:  # noqa: F811
    assert warmline("failures", "-p", folder).out == "nothing has failed\n"
    assert warmline("failures", "--group", "-p", folder).out == "nothing has failed\n"
    assert warmline("failures", "replay", "--all", "-p", folder).out == "nothing has failed\n"
    assert warmline("failures", "-p", folder, "replay", "--all").out == "nothing has failed\n"
    assert warmline("pauses", "-p", folder).out == "nothing is paused\n"
    assert warmline("pauses", "--past", "-p", folder).out == "nothing was ever paused\n"
    assert warmline("pauses", "--json", "-p", folder).out == "[]\n"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["failures", "show", "a7"], "there is no failure a7"),
        (["failures", "show", "[/b]"], "'[/b]' is no number of a failure"),
        (["failures", "replay"], "say which: their numbers, --trigger NAME, or --all"),
        (["failures", "replay", "a7", "--all"], "one of the three"),
        (["failures", "replay", "a7"], "there is no failure a7"),
        (["failures", "replay", "--trigger", "x"], "there is no trigger 'x'; expected one of"),
        (["failures", "discard", "a7", "--why", "w"], "there is no failure a7"),
        (["failures", "--trigger", "x"], "there is no trigger 'x'; expected one of"),
        (["failures", "--connection", "x"], "there is no connection 'x'; expected one of"),
        (["failures", "--candidate", "99"], "there is no candidate 99"),
        (["pause", "--why", "w"], "say one of --trigger NAME"),
        (["pause", "--all", "--trigger", "x", "--why", "w"], "one at a time"),
        (["pause", "--all"], "a pause needs a reason"),
        (
            ["pause", "--sequence", "x", "--why", "w"],
            "expected one of ['silver-medalist', 'welcome']",
        ),
        (["pause", "--all", "--for", "fun"], "--for is 'fun'; expected deduplication"),
        (["resume", "--all"], "everything is not paused"),
        (["resume"], "say one of --trigger NAME"),
        (["resume", "--all", "--despite", " "], "--despite needs a reason"),
    ],
)
def test_bad_input_is_a_sentence(
    warmline: Run,  # noqa: F811
    folder: Path,  # noqa: F811
    args: list[str],
    words: str,
) -> None:
    sentence(warmline(*args, "--project", folder), words)


def test_a_pause_from_the_command_line_to_its_end(warmline: Run, folder: Path) -> None:  # noqa: F811
    said = warmline("pause", "--sequence", "welcome", "--why", "new [texts]", "-p", folder)
    assert (said.code, said.err.count("\n") <= 1) == (0, True)
    assert "sequence 'welcome' is paused; now wait: nothing" in said.out
    assert "warmline resume --sequence welcome" in said.out
    said = warmline("pause", "--all", "--for", "deduplication", "-p", folder)
    assert "once `warmline merge crm` has found no duplicates" in said.out
    said = warmline("pauses", "-p", folder)
    assert "new [texts]" in said.out
    assert "for deduplication: crm has not been searched since the pause began" in said.out
    (one, two) = json.loads(warmline("pauses", "--json", "-p", folder).out)
    assert (one["scope"], one["name"], two["deduplication"]) == ("sequence", "welcome", True)
    sentence(
        warmline("resume", "--all", "-p", folder),
        "the deduplication is not confirmed",
        "warmline merge crm",
    )
    said = warmline("resume", "--all", "--despite", "a test", "-p", folder)
    assert "everything goes on after" in said.out
    assert "still paused: sequence 'welcome' since" in said.out
    assert warmline("resume", "--sequence", "welcome", "-p", folder).code == 0
    said = warmline("pauses", "--past", "-p", folder)
    assert "despite duplicates: a test" in said.out


def test_up_says_what_is_paused(warmline: Run, folder: Path) -> None:  # noqa: F811
    warmline("pause", "--all", "--why", "a holiday", "-p", folder)
    from tests.harness import clean_environment, free_port

    log = folder / "said.log"
    with log.open("wb") as out:
        up = subprocess.Popen(
            [sys.executable, "-m", "warmline", "up", "-p", str(folder)],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=clean_environment(
                WARMLINE_LISTEN=f"127.0.0.1:{free_port()}", WARMLINE_SECRET_KEY="k"
            ),
        )
    try:
        wait_for(lambda: "paused:" in log.read_text(), within_s=30, what="`up` says what is paused")
    finally:
        up.terminate()
        up.wait(timeout=20)
    assert "paused: everything since" in log.read_text()
    assert "a holiday" in log.read_text()
