"""A whole project's letters held against the rules: every file, each fault once, and links asked
for on hosts of ours alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from warmline.cli.starter import copy_starter
from warmline.core.errors import ConfigError
from warmline.core.mail_lint import Severity
from warmline.flows.lint_mail import Linted, Placed, lint_mail

LETTER = "sequences/welcome/02-culture-story.md"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    copy_starter(tmp_path / "hiring")
    path = tmp_path / "hiring/warmline.yaml"
    text = path.read_text().replace("http://127.0.0.1:8025", "https://hire.northwind.org")
    path.write_text(text.replace("https://careers.example.com", "https://careers.northwind.org"))
    return tmp_path / "hiring"


def linted(folder: Path, *, online: bool = False) -> Linted:
    return lint_mail(folder, online=online, now=lambda: datetime(2026, 3, 2, tzinfo=UTC))


def faults(folder: Path, *, online: bool = False) -> list[Placed]:
    """Without the one of each letter that is invented."""
    found = linted(folder, online=online).faults
    return [placed for placed in found if placed.fault.rule != "invented"]


def test_the_starter_has_no_fault_but_that_its_stories_are_invented(folder: Path) -> None:
    found = linted(folder)
    assert found.letters == 22
    assert found.count(Severity.ERROR) == 0
    assert {placed.fault.rule for placed in found.faults} == {"invented"}
    assert found.count(Severity.WARNING) == 17


def test_each_broken_letter_is_told_and_hides_no_other(folder: Path) -> None:
    (folder / LETTER).write_text("no front matter")
    (folder / "sequences/welcome/03-role-context.md").write_text("---\nsubject: Urgent\n---\n")
    (folder / "sequences/library/01-the-oven-that-lied.md").write_text("---\nsubject: [\n---\nx")
    found = {(p.file, p.fault.line, p.fault.rule) for p in faults(folder)}
    assert {
        (LETTER, 1, "file"),
        ("sequences/welcome/03-role-context.md", 2, "subject-spam"),
        ("sequences/welcome/03-role-context.md", 4, "template"),
    } < found
    assert any(file.startswith("sequences/library/01") for file, *_ in found)
    said = str(next(p for p in faults(folder) if p.file == LETTER))
    assert said.startswith(f"{LETTER}:1: error file: ")
    assert "expected the file to begin with `---`" in said


def test_a_fault_of_the_layout_is_told_once_and_not_for_each_letter(folder: Path) -> None:
    path = folder / "sequences/layout.mjml"
    path.write_text(path.read_text().replace("{{ postal_address }}", "Bristol"))
    found = [(p.file, p.fault.rule, p.fault.found.split(" of ")[0]) for p in faults(folder)]
    assert found == [
        ("sequences/layout.mjml", "no-address", "the HTML"),
        ("sequences/layout.mjml", "no-address", "the plain text"),
    ]


def test_a_letter_of_five_megabytes_is_refused(folder: Path) -> None:
    (folder / LETTER).write_text(
        "---\nsubject: x\npreheader: y\n---\n![a](data:image/png;base64," + "A" * 5_000_000 + ")"
    )
    (one,) = faults(folder)
    assert (one.file, one.fault.expected) == (LETTER, "a file of at most 1 MiB")


def test_one_subject_twice_is_told(folder: Path) -> None:
    path = folder / LETTER
    path.write_text(path.read_text().replace("The yellow kettle", "THE OVEN that lied"))
    (one,) = [p for p in faults(folder) if p.fault.rule == "subject-twice"]
    assert (one.file, one.fault.line) == (LETTER, 2)
    assert "library/01-the-oven-that-lied" in one.fault.found


@pytest.mark.parametrize(
    ("old", "new", "rule", "words"),
    [
        ("12 Mill Lane, Bristol BS1 4ND", "Bristol", "no-address", "postal address"),
        ("https://careers.northwind.org", "careers.html", "link", "careers_url is relative"),
        ("https://hire.northwind.org", "http://127.0.0.1:8025", "link", "on this machine"),
        ("https://hire.northwind.org", "http://hire.northwind.org", "link", "public_url is http"),
    ],
)
def test_what_every_mail_takes_from_the_project_is_looked_at(
    folder: Path, old: str, new: str, rule: str, words: str
) -> None:
    path = folder / "warmline.yaml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    found = [p for p in faults(folder) if p.file == "warmline.yaml"]
    assert [p.fault.rule for p in found] == [rule]
    assert words in found[0].fault.found
    assert new in path.read_text().splitlines()[found[0].fault.line - 1]


def test_no_letters_and_no_project_are_sentences(folder: Path) -> None:
    for path in (folder / "sequences").glob("*/*.md"):
        path.unlink()
    with pytest.raises(ConfigError, match="expected letters"):
        linted(folder)
    (folder / "warmline.yaml").unlink()
    with pytest.raises(ConfigError, match=r"no warmline\.yaml"):
        linted(folder)


# Online


class _Site(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        asked: list[str] = self.server.asked  # type: ignore[attr-defined]
        asked.append(self.path)
        self.send_response({"/gone": 404, "/down": 503, "/moved": 301}.get(self.path, 200))
        self.send_header("Content-Length", str(self.size))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(b"x" * self.size)

    @property
    def size(self) -> int:
        return 5 * 1024**2 if self.path == "/big.jpg" else 10

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def site() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Site) as server:
        server.asked = asked  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", asked
        finally:
            server.shutdown()
            thread.join()


def test_online_follows_links_of_our_hosts_once_and_calls_no_other(folder: Path) -> None:
    with site() as (ours, asked), site() as (other, strangers):
        path = folder / "warmline.yaml"
        path.write_text(path.read_text().replace("https://careers.northwind.org", ours))
        letter = folder / LETTER
        letter.write_text(
            letter.read_text()
            + f"\n[a]({ours}/gone)\n[b]({ours}/down)\n![c]({ours}/big.jpg)\n[d]({ours}/good)\n"
            + f"[e]({ours}/good)\n[f]({ours}/moved)\n[g]({other}/page)\n"
        )
        start = len(letter.read_text().splitlines()) - 6
        offline = {p.fault.rule for p in faults(folder)}
        assert asked == []
        found = {
            (p.fault.rule, p.fault.severity.value, p.fault.line)
            for p in faults(folder, online=True)
            if p.file == LETTER and "is http" not in p.fault.found
        }
    assert found == {
        ("link", "error", start),
        ("link", "warning", start + 1),
        ("picture-size", "error", start + 2),
    }
    assert offline == {"link"}, "http, which they are here"
    assert sorted(asked) == ["/", "/big.jpg", "/down", "/gone", "/good", "/moved"]
    assert strangers == []
