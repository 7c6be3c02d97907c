"""Killed at any instruction and started again, Warmline loses nothing and doubles nothing (I10).

The real thing: simulators in a process that outlives every kill, `warmline up` as a process that
is killed, and a sender that comes again until it is answered 200, as Greenhouse does.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests import postgres
from tests.harness import (
    SECRETS,
    Poster,
    Simulators,
    TooSlowError,
    Warmline,
    applications,
    ask,
    clean_environment,
    database,
    wait_for,
    warmline,
)

KILLS = 10
MAIL_CONNECTIONS = 2  # the default of WARMLINE_MAIL_THREADS
# A third of the calls answered with 429 or 500 (the second rule sees what the first let pass),
# and one write in fifty that happens without an answer.
FAULTS = (
    {"kind": "rate_limited", "share": 1 / 6, "seed": 1},
    {"kind": "error", "share": 1 / 5, "seed": 2},
    {"kind": "timeout_after", "share": 1 / 50, "seconds": 0.2, "seed": 3},
)
AHEAD = 100  # applications that are accepted and not yet mailed, while Warmline is killed
PROGRESS_S = 120.0  # without a mail more: then it is stuck
REST_S = 240.0  # longer than a claim lives
# A command that runs another one, whose files may grow to 1.5 MB each and no further.
_LIMIT = "r.setrlimit(r.RLIMIT_FSIZE, (1_500_000, 1_500_000))"
LITTLE_ROOM = (
    sys.executable,
    "-c",
    f"import os, resource as r, sys; {_LIMIT}; os.execvp(sys.argv[1], sys.argv[1:])",
)
needs_postgres = pytest.mark.skipif(bool(postgres.WHY_NOT), reason=postgres.WHY_NOT)
KNOWN = 2500  # candidates in the ATS, more than any test here posts
stores = pytest.mark.parametrize(
    "store", ["sqlite", pytest.param("postgresql", marks=needs_postgres)]
)


def _applications(store: str) -> int:
    asked = os.environ.get("WARMLINE_KILL_APPLICATIONS")
    return int(asked) if asked else {"sqlite": 2000, "postgresql": 500}[store]


@contextmanager
def _house(
    store: str, folder: Path, faults: Sequence[Mapping[str, object]] = (), **environment: str
) -> Iterator[tuple[Simulators, Warmline]]:
    with (
        database(store) as url,
        Simulators() as simulators,
        warmline(folder / "project", simulators, url, **environment) as made,
    ):
        simulators.knows(KNOWN)
        if faults:
            simulators.crm_fails(faults)
        try:
            yield simulators, made
        except BaseException:
            print(_state(simulators, made))  # noqa: T201 -- pytest shows it with the failure
            raise


def _state(simulators: Simulators, made: Warmline) -> str:
    """What one wants to know of a run that failed."""
    lines = [f"starts {made.starts}"]
    try:
        for table in ("delivery", "action", "enrolment", "message", "incident"):
            lines.append(f"{table:<10} {made.ledger.statuses(table)}")
        sql = "SELECT key, count, status, reason FROM warmline_incident ORDER BY id DESC LIMIT 10"
        lines += [f"incident   {row}" for row in made.ledger.rows(sql)]
        sql = (
            "SELECT id, kind, status, attempts, due_at, claim_until, reason FROM warmline_action "
            "WHERE status IN ('planned', 'claimed', 'unknown', 'refused') ORDER BY id LIMIT 10"
        )
        lines += [f"action     {row}" for row in made.ledger.rows(sql)]
        _, log = ask(f"{simulators.crm}/_control/requests?limit=1")
        lines.append(f"CRM calls  {log['by_call']} {log['by_status']}")
        lines.append(f"CRM faults {[(r['kind'], r['hits']) for r in simulators.crm_faults()]}")
        lines.append(f"mails      {simulators.mail_count()}")
    except Exception as error:
        lines.append(f"and then: {error!r}")
    return "\n".join([*lines, "the end of Warmline's log:", made.last_words(60)])


def _kill_at_random(
    rng: random.Random, simulators: Simulators, made: Warmline, poster: Poster, people: int
) -> None:
    """Ten kills: eight while so and so many mails have come, each a random moment later; after
    two of these, one more while Warmline is still starting. Webhooks come in all the while, some
    way ahead of the mails."""

    def mails() -> int:
        came = simulators.mail_count()
        poster.limit = came + AHEAD
        return came

    moments = sorted(rng.sample(range(1, max(people - people // 20, KILLS)), KILLS - 2))
    for number, wanted in enumerate(moments):
        _until(lambda wanted=wanted: mails() >= wanted, simulators, poster)  # type: ignore[misc]
        time.sleep(rng.uniform(0, 0.3))
        made.kill()
        if number in (2, 5):
            made.start(healthy=False)
            time.sleep(rng.uniform(0.05, 1.5))
            made.kill()
        made.start(healthy=False)
    poster.limit = sys.maxsize
    made.wait_healthy()
    assert made.starts == KILLS + 1


def _until(found: Callable[[], bool], simulators: Simulators, poster: Poster) -> None:
    """Wait for it as long as there is progress."""
    came = (-1, -1)
    while True:
        try:
            wait_for(found, within_s=PROGRESS_S, what="progress")
        except TooSlowError:
            before, came = came, (simulators.mail_count(), len(poster.accepted))
            if came == before:
                raise
        else:
            return


@pytest.mark.timeout(900)
@stores
@pytest.mark.parametrize("faults", [(), FAULTS], ids=["calm", "crm-fails"])
def test_i10_i4_i3_ten_kills_lose_nothing_and_double_nothing(
    store: str, faults: Sequence[Mapping[str, object]], tmp_path: Path
) -> None:
    count = _applications(store)
    twice = count // 20
    posts = applications(count - twice, twice=twice)
    people = {post.email for post in posts}
    assert len(posts) == count
    assert len(people) == count - twice

    with _house(store, tmp_path, faults) as (simulators, made):
        made.start()
        with Poster(made.port, posts) as poster:
            _kill_at_random(
                random.Random(f"{store}{faults}"), simulators, made, poster, len(people)
            )
            _until(lambda: poster.done, simulators, poster)
        made.at_rest(within_s=REST_S)

        ledger = made.ledger
        wait_for(lambda: not ledger.untagged(), within_s=REST_S, what="everybody is tagged")
        # I1: what was answered 200 is there, once, and has been read.
        assert _lost(poster, made) == []
        assert ledger.count("delivery", "channel = 'webhook' AND status = 'interpreted'") == count
        assert set(ledger.statuses("delivery")) == {"interpreted"}
        assert ledger.count("application") == count
        # I3: one person, one candidate, one contact.
        assert ledger.count("candidate") == len(people)
        contacts = Counter(email for c in simulators.contacts() for email in c["emails"])
        assert contacts == Counter(people)
        assert set(ledger.statuses("action")) <= {"done", "already_done"}
        # I4: never two mails; one, unless nobody knows.
        _one_mail_each(simulators, made, people)
        # Everybody is tagged in the ATS, once.
        writes = simulators.tag_writes()
        assert len(writes) == len(people)
        assert {(row["tag"], row["writes"]) for row in writes} == {("warmline:active_applicant", 1)}


def _lost(poster: Poster, made: Warmline) -> list[str]:
    """Whose webhook was answered 200, and its bytes are not in the ledger."""
    answered = list(poster.accepted)  # before the ledger is read: more may be coming
    kept = {bytes(body) for (body,) in made.ledger.rows("SELECT body FROM warmline_delivery")}
    return [post.email for post in answered if post.body not in kept]


def _one_mail_each(simulators: Simulators, made: Warmline, people: set[str]) -> None:
    ledger = made.ledger
    mails = Counter(
        (to, mail["headers"]["x-warmline-step"]) for mail in simulators.mails() for to in mail["to"]
    )
    assert {pair: n for pair, n in mails.items() if n > 1} == {}
    assert {step for _, step in mails} <= {"welcome/1"}
    sql = "SELECT id, to_address FROM warmline_message WHERE status = 'unknown'"
    unknown = {str(number): address for number, address in ledger.rows(sql)}
    assert len(unknown) <= KILLS * MAIL_CONNECTIONS
    without = people - {to for to, _ in mails}
    assert without <= set(unknown.values())
    assert set(ledger.statuses("message")) <= {"handed_off", "unknown"}
    assert ledger.count("message") == len(people)
    told = made.verb("settle")
    assert told.returncode == 0, told.stderr
    listed = {word for line in told.stdout.splitlines() for word in line.split()}
    assert set(unknown) <= listed


@stores
def test_i10_sigterm_finishes_or_releases_what_is_claimed(store: str, tmp_path: Path) -> None:
    posts = applications(400)
    with _house(store, tmp_path) as (simulators, made):
        made.start()
        with Poster(made.port, posts) as poster:
            for mails in (40, 120, 200):
                _until(
                    lambda wanted=mails: simulators.mail_count() >= wanted,  # type: ignore[misc]
                    simulators,
                    poster,
                )
                assert made.terminate(within_s=20) == 0, made.last_words()
                left = made.ledger.unfinished()
                assert left, "it was to be ended in the middle of work"
                assert not {"action claimed", "message claimed", "message sending"} & set(left)
                made.start()
            _until(lambda: poster.done, simulators, poster)
        made.at_rest(within_s=REST_S)
        assert made.ledger.statuses("message") == {"handed_off": 400}
        assert Counter(to for mail in simulators.mails() for to in mail["to"]) == Counter(
            post.email for post in posts
        )
        assert len(simulators.contacts()) == 400


def test_i10_i4_nurture_mail_killed_while_it_is_handed_over_is_neither_lost_nor_doubled(
    tmp_path: Path,
) -> None:
    """Every rule of the policy between the row and the mail; what a sender took of its day and did
    not send is given back."""
    due, kills, rng = 400, 4, random.Random(4)
    with _house("sqlite", tmp_path) as (simulators, made):
        handing = [sys.executable, "-m", "bench.handing", str(made.folder), "seed", str(due)]
        environment = clean_environment(**SECRETS, WARMLINE_DATABASE_URL=made.database_url)
        seeded = subprocess.run(handing, env=environment, check=False)
        assert seeded.returncode == 0
        made.start(healthy=False)
        for kill in range(1, kills + 1):
            wanted = kill * due // (kills + 2)
            wait_for(
                lambda: simulators.mail_count() >= wanted,  # noqa: B023
                within_s=PROGRESS_S,
                what="mails",
            )
            time.sleep(rng.uniform(0, 0.1))
            made.kill()
            made.start(healthy=False)
        made.at_rest(within_s=REST_S)
        mails = Counter(to for mail in simulators.mails() for to in mail["to"])
        assert set(mails.values()) == {1}
        statuses = made.ledger.statuses("message")
        assert set(statuses) <= {"handed_off", "unknown"}
        assert sum(statuses.values()) == due
        unknown = statuses.get("unknown", 0)
        assert unknown <= kills * MAIL_CONNECTIONS
        assert due - unknown <= len(mails) <= due
        sql = "SELECT SUM(mails) FROM warmline_senderday WHERE name LIKE '@%'"
        assert made.ledger.rows(sql) == [(due,)]


@stores
def test_a_second_warmline_on_the_same_ledger_is_refused(store: str, tmp_path: Path) -> None:
    with _house(store, tmp_path) as (simulators, made):
        made.start()
        with warmline(tmp_path / "second", simulators, made.database_url) as second:
            second.start(healthy=False)
            assert second.process is not None
            assert second.process.wait(timeout=30) == 2
            assert "another Warmline runs on this ledger already" in second.last_words()
            assert "Traceback" not in second.last_words()
        assert ask(f"{made.url}/healthz")[0] == 200


def test_i1_on_a_full_disk_nothing_is_acknowledged_and_nothing_is_lost(tmp_path: Path) -> None:
    """A limit on the size of files stands for the full disk: SQLite's writes fail in the same
    place. What was answered 200 before is done once there is room."""
    posts = applications(400)
    with _house("sqlite", tmp_path) as (simulators, made):
        made.start(within=LITTLE_ROOM)
        with Poster(made.port, posts) as poster:
            wait_for(lambda: poster.answers["503"] >= 20, within_s=60, what="the disk to be full")
            assert set(poster.answers) <= {"200", "503"}
            status, said = ask(f"{made.url}/in/ats", method="POST", body={})
            assert status in (401, 503), said  # a stranger is a stranger, room or no room
            assert _lost(poster, made) == []
            assert made.process is not None
            assert made.process.poll() is None, made.last_words()
            made.terminate(within_s=30)
            made.start()
            _until(lambda: poster.done, simulators, poster)
        made.at_rest(within_s=REST_S)
        _one_mail_each(simulators, made, {post.email for post in posts})
        assert len(simulators.contacts()) == 400


@stores
def test_i10_segment_apply_killed_and_started_again_tags_everybody_once(
    store: str, tmp_path: Path
) -> None:
    """Five kills while the ATS is read and tagged; the first sync waits for the end of it."""
    people, rng = 400, random.Random(store)
    with (
        database(store) as url,
        Simulators() as simulators,
        warmline(tmp_path / "project", simulators, url) as made,
    ):
        simulators.history(people)
        sql = "DELETE FROM warmline_cursor"  # as if nothing had been read or tagged yet
        made.ledger.write(sql)
        for kill in range(KILLS // 2):
            process = made.begin("segment", "--apply")
            already = len(simulators.tag_writes())
            if kill:
                wait_for(
                    lambda: len(simulators.tag_writes()) > already or process.poll() is not None,  # noqa: B023
                    within_s=60,
                    what="a tag",
                )
            time.sleep(rng.random())
            process.kill()
            process.wait()
        ended = made.verb("segment", "--apply", "--json")
        assert ended.returncode == 0, ended.stderr
        found = json.loads(ended.stdout)
        assert found["candidates"] == sum(found["counts"].values()) == people
        assert found["first_sync_allowed"]
        assert found["records_without_their_tag"] == {"ats": 0}
        writes = simulators.tag_writes()
        assert len(writes) == people
        assert {row["writes"] for row in writes} == {1}
        assert simulators.contacts() == []


@stores
def test_i10_i3_backfill_killed_ten_times_writes_everybody_once(store: str, tmp_path: Path) -> None:
    """Each kill falls after a batch reached the CRM: only those that were under way may be sent
    again, which is one, and in the last round one of each thread."""
    people, batch, rng, threads = 2600, 100, random.Random(store), 4
    with _house(store, tmp_path) as (simulators, made):

        def batches() -> int:
            log = ask(f"{simulators.crm}/_control/requests?limit=1000")[1]["requests"]
            return sum(entry["path"].endswith("/contacts/batch/upsert") for entry in log)

        def outlook(*arguments: str) -> dict[str, int]:
            ended = made.verb("backfill", "--json", *arguments)
            assert ended.returncode == 0, ended.stderr
            contacts: dict[str, int] = json.loads(ended.stdout)["contacts"][0]
            return contacts

        simulators.history(people)
        made.ledger.write("DELETE FROM warmline_cursor")  # the ATS is read anew
        tagged = made.verb("segment", "--apply", within_s=300)
        assert tagged.returncode == 0, tagged.stderr
        to_write = outlook()["to_write"]
        assert to_write > batch * KILLS
        assert simulators.contacts() == []
        simulators.crm_fails([{"kind": "slow", "path": "batch/upsert", "seconds": 0.5}])
        for kill in range(KILLS):
            at_once = threads if kill == KILLS - 1 else 1
            process = made.begin("backfill", "--apply", "--at-once", str(at_once))
            already = batches()
            wait_for(lambda: batches() > already, within_s=60, what="a batch is written")  # noqa: B023
            time.sleep(rng.random() / 2)
            assert process.poll() is None, made.last_words()
            process.kill()
            process.wait()
        assert outlook()["to_write"] > 0  # it was killed before it had ended
        told = outlook("--apply", "--at-once", "1")
        assert (told["there"], told["to_write"], told["waiting"]) == (to_write, 0, 0)
        emails = Counter(email for c in simulators.contacts() for email in c["emails"])
        assert len(emails) == to_write
        assert set(emails.values()) == {1}
        # The threads' last batches, one of each, need not be full.
        assert batches() <= -(-to_write // batch) + (KILLS - 1) + threads + (threads - 1)
        sent = batches()
        assert outlook("--apply")["to_write"] == 0
        assert batches() == sent  # again, it calls nobody
