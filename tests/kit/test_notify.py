"""Apprise behind one door: what it accepts, what it says of a failure, and what it never says."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.hook import Hook
from warmline.core.errors import ConfigError, Refused
from warmline.kit.notify import Notifier

CANARY = "canary-4711-token"


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


def test_a_message_arrives_as_it_was_written(hook: Hook) -> None:
    Notifier(hook.url()).send("It broke", "candidate 7\n<b>what & why</b>")
    (came,) = hook.came
    assert (came["title"], came["type"]) == ("It broke", "warning")
    assert came["message"] == "candidate 7\n<b>what & why</b>"


@pytest.mark.parametrize(
    "url",
    [
        "",
        CANARY,
        f"https//{CANARY}",
        f"nonsense://{CANARY}",
        f"slack://{CANARY}/x",
        f"json://user:{CANARY}@",
        f"mailto://{CANARY}",
        f"json://127.0.0.1/?method={CANARY}",
        f"json://127.0.0.1/{CANARY} and more",
    ],
)
def test_what_apprise_cannot_use_is_said_without_the_url(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1)
    with pytest.raises(ConfigError, match="no URL that Apprise can use") as caught:
        Notifier(url)
    assert CANARY not in f"{caught.value} {caught.value.hint}"
    assert "canary" not in caplog.text.lower()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 429, 500, 503])
def test_any_answer_but_2xx_is_a_failure_with_its_number(hook: Hook, status: int) -> None:
    hook.status = status
    with pytest.raises(Refused, match=rf"json: .*{status}"):
        Notifier(hook.url(CANARY)).send("a", "b")


def test_a_failure_names_no_piece_of_the_url(hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1)
    for url in (
        f"json://{CANARY}:{CANARY}@127.0.0.1:9/{CANARY}?+X-Key={CANARY}",
        f"json://{CANARY}.invalid/path",
        hook.url(CANARY),
    ):
        hook.hang_up = True
        with pytest.raises(Refused) as caught:
            Notifier(url).send("a", "b")
        assert "canary" not in str(caught.value).lower()
        assert "127.0.0.1" not in str(caught.value)
    told = [r for r in caplog.records if r.name.split(".")[0] not in ("tests", "asyncio")]
    assert not [r for r in told if CANARY in r.getMessage()]


def test_apprise_and_what_it_uses_write_nothing_into_our_log(hook: Hook) -> None:
    heard: list[str] = []

    class Heard(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            heard.append(record.getMessage())

    handler, root = Heard(level=1), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(1)
    try:
        notifier = Notifier(hook.url(CANARY))
        notifier.send("a", "b")
        hook.status = 500
        with pytest.raises(Refused):
            notifier.send("a", "b")
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    assert heard == []
