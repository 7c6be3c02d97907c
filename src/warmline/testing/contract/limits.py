"""The vendor's rate limit, on a virtual clock: who reads its headers is never told to wait."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from warmline.core.actions import Action
from warmline.core.errors import Throttled, WarmlineError
from warmline.core.outcomes import OutcomeKind
from warmline.testing.contract.suite import Breach, Scene, Subject, check, require

ACTIONS = 30
BATCH = 5  # of one apply, so that a small window has room for it
ROUNDS_MAX = 400  # of waiting
DONE = (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE)


@check("applies_actions")
def the_rate_limit_is_kept(subject: Subject) -> None:
    """Many actions, and the listing, in windows of few calls."""
    with subject.scene() as scene:
        limit: Callable[[int], None] = subject.part(scene.place.limit, "limit")
        actions = scene.cast(ACTIONS)
        limit(scene.place.limit_calls)
        scene.between.play()
        with scene.connector() as made:
            _all_done(scene, made, actions)
            if scene.place.listing is not None:
                scene.place.listing.fill(scene.place.listing.many)
                for stream in scene.place.listing.streams:
                    _read_whole(scene, made, stream)
        reached = len(scene.between.calls) > scene.place.limit_calls
        require(reached, "contract.py: limit_calls is never reached, so nothing was seen")
        throttled = sum(call.status == 429 for call in scene.between.calls)
        held = throttled <= scene.place.throttled_max
        require(held, f"429 came {throttled} times, expected {scene.place.throttled_max} at most")


def _all_done(scene: Scene, made: Any, actions: list[Action]) -> None:
    left = actions
    for _ in range(ROUNDS_MAX):
        batch = left[: min(BATCH, made.batch_max())]
        found = scene.try_(lambda: made.apply(batch))  # noqa: B023
        if found.error is not None:
            _wait(scene, found.error)
            continue
        done = [a for a, o in zip(batch, found.value, strict=True) if o.kind in DONE]
        left = [action for action in left if action not in done]
        if not left:
            return
        waits = [o.after_s for o in found.value if o.kind is OutcomeKind.LATER]
        others = {o.kind for o in found.value if o.kind not in (*DONE, OutcomeKind.LATER)}
        require(not others, f"under a rate limit: {sorted(others)}")
        scene.clock.move(max((s for s in waits if s is not None), default=0.0))
    raise Breach(f"under a rate limit, {len(left)} actions are not done after {ROUNDS_MAX} rounds")


def _read_whole(scene: Scene, made: Any, stream: str) -> None:
    cursor = ""
    for _ in range(ROUNDS_MAX):
        try:
            for page in made.changes(stream, cursor, now=scene.clock()):
                cursor = page.cursor
                if page.last:
                    return
        except WarmlineError as error:
            _wait(scene, error)
    raise Breach(f"{stream}: under a rate limit, no end after {ROUNDS_MAX} rounds")


def _wait(scene: Scene, error: Exception) -> None:
    if not isinstance(error, Throttled):
        raise Breach(f"under a rate limit: raised {error!r}, expected Throttled") from error
    scene.clock.move(error.after_s)
