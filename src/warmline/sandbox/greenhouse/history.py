"""Candidates with a past, in every state that a company's records hold, made without webhooks."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from warmline.sandbox.greenhouse.tables import Row

if TYPE_CHECKING:
    from warmline.sandbox.greenhouse.simulator import Greenhouse

NUMBER_MAX = 100_000
FINAL = "Final Interview"  # every job of the sandbox has it
# What became of them → days since the last thing that happened to them, from and to.
PASTS: dict[str, tuple[int, int]] = {
    "in_pipeline": (0, 60),  # applied, and moved once
    "at_final": (0, 30),  # in a pipeline, at the last interview
    "rejected_at_final": (30, 600),
    "rejected_early": (30, 600),  # before anybody spoke to them
    "prospect": (10, 600),  # sourced, never applied
    "hired": (30, 600),
    "came_back": (0, 30),  # rejected at the last interview, applied again three weeks later
    "rejected_at_final_long_ago": (800, 1800),
    "prospect_long_ago": (800, 1800),
}


def fill(gh: Greenhouse, number: int, rng: random.Random) -> list[Row]:
    """So many candidates, the pasts in turn; `candidate_id` and `past` of each. The caller holds
    the lock and keeps the webhooks back."""
    if not 0 <= number <= NUMBER_MAX:
        raise ValueError(f"number: found {number}, expected 0 to {NUMBER_MAX}")
    pasts = list(PASTS)
    made = []
    for index in range(number):
        past = pasts[index % len(pasts)]
        candidate_id = _one(gh, past, timedelta(days=rng.uniform(*PASTS[past])))
        made.append({"candidate_id": candidate_id, "past": past})
    return made


def _one(gh: Greenhouse, past: str, ago: timedelta) -> int:
    """Whose last change was so long `ago`."""
    last = gh.now() - ago
    if past.startswith("prospect"):
        with gh.world.at(last):
            return int(gh.add_prospect()["candidate_id"])
    application = _apply(gh, last - timedelta(days=40))
    stands = past in ("in_pipeline", "at_final")
    with gh.world.at(last if stands else last - timedelta(days=30)):
        match past:
            case "rejected_early":
                pass
            case "in_pipeline":
                stages = gh.world.job_interview_stages.where("job_id", application["job_id"])
                gh.move(application["id"], stages[1]["id"])
            case _:
                gh.move(application["id"], FINAL)
    with gh.world.at(last):
        if past == "hired":
            gh.hire(application["id"])
        elif past.startswith("rejected"):
            gh.reject(application["id"])
    if past == "came_back":
        with gh.world.at(last - timedelta(days=20)):
            gh.reject(application["id"])
        _apply(gh, last, candidate_id=application["candidate_id"])
    return int(application["candidate_id"])


def _apply(gh: Greenhouse, moment: datetime, **who: Any) -> Row:
    with gh.world.at(moment):
        return gh.apply(**who)
