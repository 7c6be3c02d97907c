"""Actions: done once, however often they are asked for; and the truth about each afterwards."""

from __future__ import annotations

from typing import Any

from warmline.core.actions import Action
from warmline.core.outcomes import Outcome, OutcomeKind
from warmline.testing.contract.between import ANSWERS, Answer, Way
from warmline.testing.contract.suite import (
    TIMEOUT_S,
    Breach,
    Scene,
    Subject,
    check,
    require,
)

DONE = (OutcomeKind.DONE, OutcomeKind.ALREADY_DONE)
TRIES_MAX = 4  # until what was in doubt is settled
BETWEEN_TRIES_S = 7200.0  # whatever was asked to be waited for is over, and tokens are old
_LOST = tuple(answer for answer in ANSWERS if answer.way is not Way.ANSWER)


@check("applies_actions")
def outcomes_are_in_order(subject: Subject) -> None:
    """One an action, each about its own: the second of three cannot be done and is refused."""
    with subject.scene() as scene, scene.connector() as made:
        limit = made.batch_max()
        require(isinstance(limit, int) and limit >= 1, f"batch_max is {limit!r}")
        require(made.apply([]) == [], "apply of nothing gives something")
        if limit < 3:
            return
        one, two = scene.cast(2)
        odd = Action("odd", _undeclared(subject), 999_999)
        found = scene.try_(lambda: made.apply([one, odd, two]))
        require(found.error is None, f"apply raised {found.error!r}")
        kinds = [outcome.kind for outcome in found.value]
        expected = [OutcomeKind.DONE, OutcomeKind.REFUSED, OutcomeKind.DONE]
        require(kinds == expected, f"one, an undeclared kind, another: {kinds}")
        require(scene.holds(one) and scene.holds(two), "done, and the vendor does not have it")
        ids = [outcome.external_id for outcome in found.value]
        again = made.apply([two, one])
        swapped = [outcome.external_id for outcome in again]
        held = not all((*swapped, ids[0], ids[2])) or swapped == [ids[2], ids[0]]
        require(held, "two actions in the other order got each other's record id")


@check("applies_actions")
def the_same_action_twice_changes_the_vendor_once(subject: Subject) -> None:
    """By the same instance, in one batch, and by another instance after a restart."""
    with subject.scene() as scene:
        for kind, sample in scene.place.samples.items():
            (action,) = scene.know([sample.make()])
            with scene.connector() as made:
                scene.try_(lambda: made.apply([action]))  # noqa: B023
                picture = sample.picture(action)
                for _ in range(2):
                    outcome = _only(scene, made, action)
                    held = outcome.kind in DONE and sample.picture(action) == picture
                    require(held, f"{kind} applied again: {outcome.kind}, and the vendor changed")
            with scene.connector() as restarted:
                outcome = _only(scene, restarted, action)
                held = outcome.kind in DONE and sample.picture(action) == picture
                require(held, f"{kind} after a restart: {outcome.kind}, and the vendor changed")
                if restarted.batch_max() > 1:
                    (fresh,) = scene.know([sample.make()])
                    scene.try_(lambda: restarted.apply([fresh, fresh]))  # noqa: B023
                    held = sample.picture(fresh) == picture
                    require(held, f"{kind} twice in one batch stands there twice")


@check("applies_actions")
def find_tells_the_truth(subject: Subject) -> None:
    """None before, done after, None once somebody undid it."""
    with subject.scene() as scene, scene.connector() as made:
        for kind, sample in scene.place.samples.items():
            (action,) = scene.know([sample.make()])
            _agrees(scene, made, action, f"{kind}, before it was tried")
            _only(scene, made, action)
            _agrees(scene, made, action, f"{kind}, after it was done")
            scene.clock.move(BETWEEN_TRIES_S)
            sample.undo(action)
            require(not sample.holds(action), f"contract.py: undo of {kind} undoes nothing")
            _agrees(scene, made, action, f"{kind}, after somebody undid it")


@check("applies_actions")
def a_lost_answer_is_looked_for_and_settled(subject: Subject) -> None:
    """After each call that was lost, done or not, `find` says what is so; and asking again leaves
    what one asking leaves."""
    with subject.scene() as scene:
        for kind, sample in scene.place.samples.items():
            (first,) = scene.know([sample.make()])
            scene.between.play()
            with scene.connector() as made:
                _only(scene, made, first)
            wanted, calls = sample.picture(first), len(scene.between.calls)
            writes = [number for number in range(calls) if scene.writes(number)]
            require(writes, f"{kind} is done, and no call was seen that could have written it")
            for number in writes:
                for answer in _LOST:
                    _settles(scene, kind, number, answer, wanted)


def _settles(scene: Scene, kind: Any, number: int, answer: Answer, wanted: object) -> None:
    sample = scene.place.samples[kind]
    (action,) = scene.know([sample.make()])
    where = f"{kind}, call {number} {answer.name}"
    with scene.connector(TIMEOUT_S) as made:
        scene.between.strike(number, answer)
        scene.try_(lambda: made.apply([action]))
        scene.between.play()
        scene.clock.move(BETWEEN_TRIES_S)
    with scene.connector() as made:
        found = _agrees(scene, made, action, where)
        for _ in range(TRIES_MAX):
            if found is not None:
                break
            outcome = _only(scene, made, action)
            found = outcome if outcome.kind in DONE else None
            scene.clock.move(BETWEEN_TRIES_S)
        require(found is not None, f"{where}: not done after {TRIES_MAX} more tries")
        picture = sample.picture(action)
        require(picture == wanted, f"{where}, then asked again: {picture} there, not {wanted}")


def _agrees(scene: Scene, made: Any, action: Action, where: str) -> Outcome | None:
    """`find` says done where it holds at the vendor, and None where it does not."""
    found = scene.try_(lambda: made.find(action))
    require(found.error is None, f"{where}: find raised {found.error!r}")
    outcome: Outcome | None = found.value
    held = outcome is None or (isinstance(outcome, Outcome) and outcome.kind in DONE)
    require(held, f"{where}: find said {outcome!r}, expected None or done")
    if scene.holds(action):
        require(outcome is not None, f"{where}: find says that it did not happen, and it did")
    else:
        require(outcome is None, f"{where}: find says that it happened, and it did not")
    return outcome


def _only(scene: Scene, made: Any, action: Action) -> Outcome:
    """The outcome of one action, on a road that is clear."""
    found = scene.try_(lambda: made.apply([action]))
    if found.error is not None:
        raise Breach(f"{action.kind} raised {found.error!r} though nothing was wrong")
    require(len(found.value) == 1, f"{len(found.value)} outcomes for one action")
    outcome: Outcome = found.value[0]
    if outcome.kind in DONE:
        require(scene.holds(action), f"{action.kind}: {outcome.kind}, and the vendor has it not")
    return outcome


def _undeclared(subject: Subject) -> Any:
    from warmline.core.actions import ActionKind

    return next(kind for kind in ActionKind if kind.value not in subject.manifest.actions)
