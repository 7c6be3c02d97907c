"""Every call of a connector answered in every way: statuses, timeouts, and nothing at all."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from warmline.core.actions import Action
from warmline.core.errors import AuthFailed, Throttled, Unreachable, Unsure
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.testing.contract.between import (
    ANSWERS,
    FEW,
    LOST,
    RETRY_AFTER_S,
    Answer,
    Call,
    Way,
    cases,
)
from warmline.testing.contract.suite import (
    PATIENT_S,
    TIMEOUT_S,
    Breach,
    Result,
    Scene,
    Subject,
    check,
    require,
)

ALLOWED = (AuthFailed, Throttled, Unreachable, Unsure)
DONE = (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE)
NOT_DONE = (OutcomeKind.LATER, OutcomeKind.REFUSED, OutcomeKind.SKIPPED)
CALLS_MAX = 20  # of one apply, struck one by one
NEXT_CASE_S = 7200.0  # whatever was asked to be waited for is over


@dataclass(frozen=True)
class Case:
    """One apply with one call struck, and what came of it. `genuine`: what the vendor answers to
    that call when nobody strikes it; `before`: whether an earlier call had written something."""

    scene: Scene
    answer: Answer
    number: int
    genuine: Call
    actions: Sequence[Action]
    result: Result
    is_write: bool
    before: bool

    @property
    def where(self) -> str:
        path = self.genuine.path.partition("?")[0]
        kinds = ", ".join(sorted({action.kind for action in self.actions}))
        return f"{kinds}: call {self.number} ({self.genuine.method} {path}) {self.answer.name}"

    @property
    def outcomes(self) -> list[Outcome]:
        return [] if self.result.error else self.result.value


@check("applies_actions")
def every_answer_is_told_truly(subject: Subject) -> None:
    """The whole table, at every call of an apply, for each kind of action."""
    with subject.scene() as scene:
        seen: set[tuple[str, str]] = set()
        for kind in scene.place.samples:
            calls = _clear_run(scene, kind)
            writes = {number for number in range(len(calls)) if scene.writes(number)}
            for number, answer in cases(calls, CALLS_MAX, seen):
                if number not in writes:
                    _strike(scene, kind, number, calls[number], answer)
            done: set[tuple[str, str]] = set()
            for number in sorted(writes):
                # The second of two actions makes the same writes as the first.
                again = _like(calls[number]) in done
                done.add(_like(calls[number]))
                for answer in (*FEW, *LOST) if again else ANSWERS:
                    _strike(scene, kind, number, calls[number], answer)


def _clear_run(scene: Scene, kind: object) -> list[Call]:
    """The calls of an apply where nothing is struck."""
    scene.between.play()
    with scene.connector() as made:
        made.apply(_two(scene, kind, made.batch_max()))
    calls = list(scene.between.calls)
    require(0 < len(calls) <= CALLS_MAX, f"{kind}: {len(calls)} calls for two actions")
    return calls


def _two(scene: Scene, kind: object, limit: int) -> list[Action]:
    sample = scene.place.samples[kind]  # type: ignore[index]
    return scene.know([sample.make() for _ in range(min(2, limit))])


def _strike(scene: Scene, kind: object, number: int, genuine: Call, answer: Answer) -> None:
    hangs = answer.way in (Way.HANG, Way.HANG_AFTER)
    with scene.connector(TIMEOUT_S if hangs else PATIENT_S) as made:
        actions = _two(scene, kind, made.batch_max())
        scene.between.strike(number, answer, ever_after=answer.status == 401)
        result = scene.try_(lambda: made.apply(actions))
        seen = scene.between.calls
        reached = number < len(seen) and _like(seen[number]) == _like(genuine)
        is_write = reached and scene.writes(number)
        before = any(scene.writes(earlier) for earlier in range(min(number, len(seen))))
    scene.clock.move(NEXT_CASE_S)
    if reached:
        _judge(Case(scene, answer, number, genuine, actions, result, is_write, before))


def _judge(case: Case) -> None:
    error = case.result.error
    if error is not None:
        if not isinstance(error, ALLOWED):
            raise Breach(f"{case.where}: raised {type(error).__name__}: {error}") from error
    else:
        _one_each(case)
    _nothing_unconfirmed(case)
    if case.answer.lost:
        _doubt(case)
    if case.answer.status == 429:
        _waits(case)
    if case.answer.status == 401:
        _credentials(case)


def _one_each(case: Case) -> None:
    found = case.result.value
    held = isinstance(found, list) and all(isinstance(one, Outcome) for one in found)
    require(held, f"{case.where}: apply gave {type(found).__name__}, expected a list of outcomes")
    require(
        len(found) == len(case.actions),
        f"{case.where}: {len(found)} outcomes for {len(case.actions)} actions",
    )


def _nothing_unconfirmed(case: Case) -> None:
    """Done is what the vendor has. Where the struck answer is the very one that the vendor gives,
    nobody could tell; and what is to be deleted and is not there is deleted."""
    status = case.answer.status
    if status == case.genuine.status and not case.genuine.body:
        return
    if case.genuine.method == "DELETE" and status in (404, 410):
        return
    for action, outcome in zip(case.actions, case.outcomes, strict=bool(case.outcomes)):
        if outcome.kind in DONE:
            require(case.scene.holds(action), f"{case.where}: {outcome.kind}, and it is not so")


def _doubt(case: Case) -> None:
    """A write without an answer may have happened; a read without one has changed nothing."""
    kinds = [outcome.kind for outcome in case.outcomes]
    unsure = isinstance(case.result.error, Unsure) or OutcomeKind.UNKNOWN in kinds
    if not case.is_write:
        held = case.before or not unsure
        require(held, f"{case.where}: in doubt, though nothing was written")
        return
    told = {case.result.error.__class__.__name__} if case.result.error else set(kinds)
    # Whoever looked and found it there may say done: that was held against the vendor above.
    held = unsure or (bool(kinds) and all(kind in DONE for kind in kinds))
    require(held, f"{case.where}: {sorted(told)}, expected Unsure or unknown")
    for action, outcome in zip(case.actions, case.outcomes, strict=False):
        if outcome.kind in NOT_DONE:
            happened = case.scene.holds(action)
            require(not happened, f"{case.where}: {outcome.kind}, and it has happened")


def _waits(case: Case) -> None:
    error = case.result.error
    if error is not None:
        held = isinstance(error, Throttled)
        require(held, f"{case.where}: raised {type(error).__name__}, expected Throttled")
        waits = [error.after_s] if isinstance(error, Throttled) else []
    else:
        later = [one for one in case.outcomes if one.kind is OutcomeKind.LATER]
        done = all(outcome.kind in DONE for outcome in case.outcomes)
        require(later or done, f"{case.where}: expected Throttled, or some outcome `later`")
        require(
            all(one.after_s is not None for one in later),
            f"{case.where}: `later` without the seconds to wait",
        )
        waits = [one.after_s for one in later if one.after_s is not None]
    for after_s in waits:
        require(after_s > 0, f"{case.where}: to wait {after_s:g} s")
        if "retry-after" in case.answer.headers:
            held = RETRY_AFTER_S - 0.01 < after_s < 10 * RETRY_AFTER_S
            require(held, f"{case.where}: to wait {after_s:g} s, the vendor said {RETRY_AFTER_S:g}")


def _credentials(case: Case) -> None:
    """AuthFailed where that hits the whole call; else an outcome that says so."""
    error = case.result.error
    if error is not None:
        held = isinstance(error, AuthFailed) or (isinstance(error, Unsure) and case.before)
        require(held, f"{case.where}: raised {type(error).__name__}, expected AuthFailed")
    for outcome in case.outcomes:
        told = outcome.detail.get("scope") == "credentials" or "401" in outcome.reason
        held = outcome.kind in DONE or (outcome.kind is OutcomeKind.LATER and told)
        require(held, f"{case.where}: {outcome.kind}, {outcome.reason!r}: expected AuthFailed")


def _like(call: Call) -> tuple[str, str]:
    """Method and path without ids: these are others each time."""
    return call.method, re.sub(r"/[^/]*\d[^/]*", "/#", call.path.partition("?")[0])
