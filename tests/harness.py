"""The real thing as processes: simulators that outlive kills, `warmline up`, and posters.

Nothing here imports Django or sets it up, so that `bench/` may use it too.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import psycopg

from tests import postgres
from warmline.cli.starter import copy_starter
from warmline.sandbox.greenhouse.simulator import Greenhouse

HOST = "127.0.0.1"
POLL_S = 0.05
UNLIMITED = 1_000_000
SECRETS = {
    "WARMLINE_ATS_CLIENT_ID": "sandbox-client",
    "WARMLINE_ATS_CLIENT_SECRET": "sandbox-client-secret",
    "WARMLINE_ATS_WEBHOOK_SECRET": "sandbox-webhook-secret",
    "WARMLINE_CRM_ACCESS_TOKEN": "sandbox-token",
    "WARMLINE_CRM_CLIENT_SECRET": "sandbox-app-secret",
}
T = TypeVar("T")


class TooSlowError(AssertionError):
    """What was waited for did not come in time."""


def wait_for(found: Callable[[], T], *, within_s: float, what: str, every_s: float = POLL_S) -> T:
    """The first true value of `found`, looked for again and again. Raises TooSlowError."""
    deadline = time.monotonic() + within_s
    while not (value := found()):
        if time.monotonic() > deadline:
            raise TooSlowError(f"not within {within_s:g} s: {what}")
        time.sleep(every_s)
    return value


def free_port() -> int:
    with socket.socket() as free:
        free.bind((HOST, 0))
        port: int = free.getsockname()[1]
        return port


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without any setting of Warmline's or Django's, plus `more`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WARMLINE_", "DJANGO_", "COV_CORE_"))
    }
    return {**kept, **more}


def end(process: subprocess.Popen[Any], *, within_s: float = 10.0) -> int:
    """End a child by its id: politely, then not. Returns its exit code."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            process.kill()
    code = process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    return code


def ask(
    url: str, *, method: str = "GET", body: object = None, timeout_s: float = 20.0
) -> tuple[int, Any]:
    """Status and JSON (None where there is none) of one call on loopback."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    with closing(http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout_s)) as to:
        content = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if content else {}
        to.request(method, f"{parts.path}?{parts.query}", content, headers)
        answer = to.getresponse()
        raw = answer.read()
        return answer.status, json.loads(raw) if raw[:1] in (b"{", b"[") else None


class Simulators:
    """Greenhouse, HubSpot and the mail catcher, in a process of their own."""

    def __init__(self, *, hubspot_rate: int = UNLIMITED, greenhouse_rate: int = UNLIMITED) -> None:
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "warmline.sandbox"),
                *("--hubspot-rate", str(hubspot_rate)),
                *("--greenhouse-rate", str(greenhouse_rate)),
            ],
            stdout=subprocess.PIPE,
            env=clean_environment(),
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the simulators ended with {end(self.process)}")
        self.addresses: dict[str, Any] = json.loads(line)
        self.ats: str = self.addresses["greenhouse"]["url"].removesuffix("/v3")
        self.crm: str = self.addresses["hubspot"]["url"]
        self.mailbox: str = self.addresses["mailbox"]["url"]

    def __enter__(self) -> Simulators:
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process)

    def knows(self, people: int) -> None:
        """The ATS has the candidates whom `applications` tells of."""
        body = {"number": people}
        status, said = ask(f"{self.ats}/_control/do/add_strangers", method="POST", body=body)
        assert status == 200, said

    def history(self, people: int) -> None:
        """The ATS has candidates with a past."""
        status, said = ask(
            f"{self.ats}/_control/do/add_history", method="POST", body={"number": people}
        )
        assert status == 200, said

    def tag_writes(self) -> list[dict[str, Any]]:
        writes: list[dict[str, Any]] = ask(f"{self.ats}/_control/tag_writes")[1]
        return writes

    def crm_fails(self, rules: Sequence[Mapping[str, Any]]) -> None:
        status, said = ask(f"{self.crm}/_control/faults", method="POST", body=list(rules))
        assert status == 201, said

    def crm_faults(self) -> list[dict[str, Any]]:
        rules: list[dict[str, Any]] = ask(f"{self.crm}/_control/faults")[1]
        return rules

    def contacts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask(f"{self.crm}/_control/contacts")[1]
        return found

    def mail_count(self) -> int:
        """How many mails ever came."""
        return int(ask(f"{self.mailbox}/api/count")[1]["received"])

    def mails(self) -> list[dict[str, Any]]:
        """Every mail, oldest first. Call it when no more are coming."""
        found: dict[int, dict[str, Any]] = {}
        while True:
            _, page = ask(f"{self.mailbox}/api/messages?limit=1000&offset={len(found)}")
            if not page["messages"]:
                return [found[number] for number in sorted(found)]
            found |= {mail["id"]: mail for mail in page["messages"]}


@dataclass(frozen=True)
class Post:
    """One webhook, ready to go: raw body and headers, signed, with an event id of its own."""

    headers: dict[str, str]
    body: bytes
    email: str


def applications(people: int, *, twice: int = 0, seed: int = 1) -> list[Post]:
    """`people` distinct applicants, and second applications of `twice` of them to another job:
    the simulator's own `new_candidate_application` webhooks. In the order of a hiring week: the
    second application of somebody comes anywhere after the first."""
    rng = random.Random(seed)
    greenhouse = Greenhouse(rng=random.Random(rng.random()))
    greenhouse.secret = SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"]
    jobs = sorted(greenhouse.world.jobs.rows)
    again = set(rng.sample(range(people), twice))
    waiting: list[tuple[int, int, str]] = []
    posts: list[Post] = []

    def post(email: str, job: int, person: Any, candidate: int | None) -> int:
        with greenhouse.captured() as webhooks:
            row = greenhouse.apply(person, job, candidate_id=candidate)
        ((headers, body),) = webhooks
        posts.append(Post(headers, body, email))
        return int(row["candidate_id"])

    for number in range(people):
        person = greenhouse.people.applicant()
        job = rng.choice(jobs)
        candidate = post(person.email, job, person, None)
        if number in again:
            other = rng.choice([one for one in jobs if one != job])
            waiting.append((candidate, other, person.email))
        if waiting and (rng.random() < 0.1 or number == people - 1):
            for candidate, other, email in waiting:
                post(email, other, None, candidate)
            waiting.clear()
    return posts


class Poster:
    """Posts as Greenhouse does: until the answer is 200, again with the same event id.

    `limit` is how many may be accepted for now: raised as the work goes on, it keeps webhooks
    coming for as long as there is work.
    """

    def __init__(self, port: int, posts: Sequence[Post], *, threads: int = 8) -> None:
        self._port = port
        self._left = deque(posts)
        self._count = self.limit = len(posts)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self.accepted: list[Post] = []
        self.answers: Counter[str] = Counter()  # status, or the name of what went wrong
        self._threads = [
            threading.Thread(target=self._run, name=f"poster-{number}") for number in range(threads)
        ]

    def __enter__(self) -> Poster:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def done(self) -> bool:
        return len(self.accepted) == self._count

    def _run(self) -> None:
        to: http.client.HTTPConnection | None = None
        while not self._stop.is_set() and not self.done:
            try:
                post = self._left.popleft() if len(self.accepted) < self.limit else None
            except IndexError:
                post = None  # but the last ones may come back
            if post is None:
                self._stop.wait(POLL_S)
                continue
            try:
                to = to or http.client.HTTPConnection(HOST, self._port, timeout=30)
                to.request("POST", "/in/ats", post.body, post.headers)
                answer = to.getresponse()
                answer.read()
                word = str(answer.status)
                if answer.status == 503 and not answer.getheader("Retry-After"):
                    word += " without Retry-After"
            except (OSError, http.client.HTTPException) as error:
                word = type(error).__name__
                if to is not None:
                    to.close()
                to = None
            with self._lock:
                self.answers[word] += 1
                if word == "200":
                    self.accepted.append(post)
                else:
                    self._left.append(post)
            if word != "200":
                self._stop.wait(POLL_S)
        if to is not None:
            to.close()


@dataclass
class Ledger:
    """Warmline's tables, read from outside."""

    url: str

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        if self.url.startswith("sqlite"):
            path = self.url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)) as database:
                return list(database.execute(sql))
        with psycopg.connect(self.url, autocommit=True) as database:
            return list(database.execute(sql.encode()))

    def write(self, sql: str) -> None:
        """Only while Warmline is down."""
        if self.url.startswith("sqlite"):
            path = self.url.removeprefix("sqlite:///")
            with closing(sqlite3.connect(path, timeout=30)) as database, database:
                database.execute(sql)
            return
        with psycopg.connect(self.url, autocommit=True) as server:
            server.execute(sql.encode())

    def count(self, table: str, where: str = "1 = 1") -> int:
        ((number,),) = self.rows(f"SELECT count(*) FROM warmline_{table} WHERE {where}")  # noqa: S608
        return int(number)

    def statuses(self, table: str) -> dict[str, int]:
        sql = f"SELECT status, count(*) FROM warmline_{table} GROUP BY status"  # noqa: S608
        return dict(self.rows(sql))

    def unfinished(self) -> dict[str, int]:
        """What is still to be done now, by table and status; empty when Warmline is at rest."""
        busy = {
            "delivery": ("status", ("received",)),
            # Tags go at the pace that the ATS allows, long after everything else.
            "action": (
                "CASE WHEN kind = 'candidate.tag' THEN 'tag' ELSE status END",
                ("planned", "claimed", "unknown"),
            ),
            "message": ("status", ("planned", "claimed", "sending")),
        }
        left: dict[str, int] = {}
        for table, (word, words) in busy.items():
            sql = f"SELECT {word}, count(*) FROM warmline_{table} GROUP BY 1"  # noqa: S608
            counts = dict(self.rows(sql))
            left |= {f"{table} {w}": n for w, n in counts.items() if w in words}
        return left

    def untagged(self) -> int:
        """Tags that are still to be written."""
        return self.count(
            "action", "kind = 'candidate.tag' AND status NOT IN ('done', 'already_done')"
        )


@dataclass
class Warmline:
    """`warmline up` on a project folder, as a process that is started, killed, started again."""

    folder: Path
    database_url: str
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    command: Sequence[str] = (sys.executable, "-m", "warmline")
    process: subprocess.Popen[bytes] | None = None
    starts: int = 0

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.database_url)

    @property
    def log(self) -> Path:
        return self.folder / "warmline.log"

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def _environment(self) -> dict[str, str]:
        ours = {
            "WARMLINE_SECRET_KEY": "a key of the tests",
            "WARMLINE_LISTEN": f"{HOST}:{self.port}",
            "WARMLINE_DATABASE_URL": self.database_url,
            "WARMLINE_LOG_LEVEL": "WARNING",
        }
        return clean_environment(**{**SECRETS, **ours, **self.environment})

    def start(self, *, within: Sequence[str] = (), healthy: bool = True) -> None:
        """`within` is a command that runs the rest of its arguments, like `nice`."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*within, *self.command, "up", "-p", str(self.folder)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environment(),
            )
        self.starts += 1
        if healthy:
            self.wait_healthy()

    def wait_healthy(self, *, within_s: float = 60.0) -> None:
        wait_for(self._healthy, within_s=within_s, what=f"{self.url}/healthz answers")

    def _healthy(self) -> bool:
        assert self.process is not None
        code = self.process.poll()
        assert code is None, f"warmline ended with {code}:\n{self.last_words()}"
        try:
            return ask(f"{self.url}/healthz", timeout_s=5)[0] == 200
        except OSError:
            return False

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, *, within_s: float = 20.0) -> int:
        """SIGTERM. Returns the exit code; raises subprocess.TimeoutExpired."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=within_s)

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """A verb as a process that may be killed."""
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [*self.command, *arguments, "-p", str(self.folder)],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env=self._environment(),
            )

    def verb(self, *arguments: str, within_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Another verb of `warmline`, on the same project, as a process of its own."""
        return subprocess.run(
            [*self.command, *arguments, "-p", str(self.folder)],
            env={**self._environment(), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
        )

    def at_rest(self, *, within_s: float) -> None:
        """Wait until nothing is left to do now."""
        wait_for(
            lambda: not self.ledger.unfinished(),
            within_s=within_s,
            what="nothing is left to do",
            every_s=0.25,
        )

    def last_words(self, lines: int = 40) -> str:
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def close(self) -> None:
        if self.process is not None:
            end(self.process)


def make_project(folder: Path, simulators: Simulators, port: int) -> None:
    """The starter project, pointed at these simulators."""
    copy_starter(folder)
    path = folder / "warmline.yaml"
    text = path.read_text()
    at = simulators.addresses
    for old, new in {
        "http://127.0.0.1:8801": at["greenhouse"]["url"],
        "http://127.0.0.1:8802": at["hubspot"]["url"],
        "http://127.0.0.1:8803": at["mailbox"]["url"],
        "http://127.0.0.1:8025": f"http://{HOST}:{port}",
        "port: 8804": f"port: {at['smtp']['port']}",
    }.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


@contextmanager
def warmline(
    folder: Path, simulators: Simulators, database_url: str = "", **environment: str
) -> Iterator[Warmline]:
    """A Warmline to start, on a new project in `folder`; whatever happens, it is ended after."""
    port = free_port()
    make_project(folder, simulators, port)
    url = database_url or f"sqlite:///{folder}/ledger.sqlite3"
    made = Warmline(folder, url, port, environment)
    try:
        tagged = made.verb("segment", "--apply")  # nothing is exported or mailed before it
        assert tagged.returncode == 0, tagged.stderr
        yield made
    finally:
        made.close()


@contextmanager
def database(kind: str) -> Iterator[str]:
    """An empty ledger's URL: empty for SQLite, which `warmline` puts into its folder; else a
    database of a PostgreSQL server made for it."""
    if kind == "sqlite":
        yield ""
        return
    with postgres.server() as server:
        with psycopg.connect(f"{server}/postgres", autocommit=True) as maintenance:
            maintenance.execute("CREATE DATABASE ledger")
        yield f"{server}/ledger"
