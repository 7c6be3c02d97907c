"""Half a year of the program: each mail is the one that the story asks for, on its day and hour."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.db import connections

from tests.conftest import SECRETS
from tests.year_stage import MAIL_SECRETS, staged
from warmline.cli.starter import copy_starter
from warmline.web import site

# The clocks of New York go on six days later; of Berlin, Santiago and Sydney within five weeks.
BEGINS = datetime(2026, 3, 2, 6, 10, tzinfo=UTC)


@pytest.mark.parametrize("seed", [1, 2])
def test_each_mail_of_half_a_year_is_the_one_that_the_story_asks_for(
    ledger: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for name, value in {**SECRETS, **MAIL_SECRETS}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(site, "_serving", [])
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    folder = tmp_path / "project"
    copy_starter(folder)
    secret = SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"]
    with staged(folder, BEGINS, secret, people=32, days=160, seed=seed, grid_hours=3) as year:
        year.play()
        found = year.found()
    assert found.wrong == []
    for what in ("rejected", "scanner bursts", "clicked", "kept posted"):
        assert found.counts[what] > 0, found.counts
