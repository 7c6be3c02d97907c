"""The inline engine: what must not go on is ended, and said."""

from __future__ import annotations

import threading

import pytest

from tests.conftest import House
from warmline.core.errors import WarmlineError
from warmline.engine.inline import Inline, _Family
from warmline.engine.work import Worker


def test_a_lane_thread_that_dies_ends_the_engine_and_says_so(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lanes would wait for ever, in a process that looks healthy."""

    def broken(*_: object) -> Worker:
        raise MemoryError

    monkeypatch.setattr("warmline.engine.inline.Worker", broken)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    stop = threading.Event()
    with pytest.raises(WarmlineError, match=r"the thread of .* died"):
        Inline(house.runtime, tick_s=0.01).run(stop)
    assert stop.is_set()


def test_a_lane_is_drained_by_one_thread_at_a_time() -> None:
    family, stop = _Family("mail", threads=2), threading.Event()
    family.poke(range(32))
    first, second = family.take(stop), family.take(stop)
    assert len(first) == len(second) == 16
    assert not first & second
    family.poke(first)
    family.give_back(second, more=False)
    stop.set()
    assert family.take(stop) == set()
    stop.clear()
    family.give_back(first, more=False)
    assert family.take(stop) == first
