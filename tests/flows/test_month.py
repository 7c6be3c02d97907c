"""Two-way sync over days in which everything goes wrong that may: both sides agree at the end."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from django.db import connections

from tests.conftest import SECRETS, House
from tests.month import Month
from warmline.web import site


@pytest.mark.parametrize("seed", [1, 2])
def test_both_sides_agree_after_days_of_losses_and_failures(
    house: House, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.setattr(site, "_serving", [])
    monkeypatch.setitem(connections.settings["default"], "CONN_MAX_AGE", 0)
    server = site.Server(house.runtime, "127.0.0.1", 0, 4)
    server.start()
    url = f"http://127.0.0.1:{server.port}"
    file = house.runtime.project.file.model_copy(update={"public_url": url})
    house.runtime.project = dataclasses.replace(house.runtime.project, file=file)
    try:
        assert house.box.greenhouse.set_webhook(
            f"{url}/in/ats", SECRETS["WARMLINE_ATS_WEBHOOK_SECRET"]
        )["active"]
        house.box.hubspot.set_webhook(f"{url}/in/crm", SECRETS["WARMLINE_CRM_CLIENT_SECRET"])
        month = Month(
            house.runtime, house.worker, house.box,
            lambda seconds: house.clock.move(seconds=seconds), people=40, seed=seed,
        )  # fmt: skip
        month.play(days=4, tick=timedelta(hours=1))
        month.settle()
        found = month.found()
    finally:
        house.box.greenhouse.outbox.close()
        house.box.hubspot.outbox.close()
        server.stop()
    assert found.wrong == []
    assert found.writes_at_rest == 0
    for name in ("ats", "crm"):
        assert found.counts[f"webhooks of {name}: lost"] > 0, found.counts
    assert found.counts["differences found and mended"] > 0
