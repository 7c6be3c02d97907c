"""The suite bites: each check catches a connector made to fail it, and passes a good one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.contract.hostile import flaws
from tests.contract.hostile.flaws import FLAWS, MAIL_FLAWS, OpensAnything
from tests.contract.hostile.toy import Toy, subject
from warmline.core.errors import Unreachable
from warmline.ports import CAPABILITIES, Options
from warmline.testing.contract import Breach, Check, Exempt, checks_for, every_check, subject_of

CHECKS = {check.name: check for check in every_check()}


def flawed(flaw: Any) -> Any:
    """The subject that has this flaw."""
    return subject(flaw) if isinstance(flaw, type) and issubclass(flaw, Toy) else flaw()


def named(flaws: list[tuple[str, Any, str]]) -> list[Any]:
    return [
        pytest.param(*flaw, id=f"{flaw[0]}-{getattr(flaw[1], '__name__', number)}")
        for number, flaw in enumerate(flaws)
    ]


@pytest.mark.parametrize("check", [pytest.param(c, id=c.name) for c in checks_for(subject())])
def test_a_connector_that_keeps_the_contract_passes(check: Check) -> None:
    check.run(subject())


@pytest.mark.parametrize(("check", "flaw", "told"), named(FLAWS))
def test_each_flaw_is_caught(check: str, flaw: Any, told: str) -> None:
    with pytest.raises(Breach, match=told):
        CHECKS[check].run(flawed(flaw))


@pytest.mark.parametrize(("check", "flaw", "told"), named(MAIL_FLAWS))
def test_each_flaw_of_a_mail_connector_is_caught(check: str, flaw: Any, told: str) -> None:
    real = subject_of("smtp")

    def build(options: Options, timeout_s: float) -> Any:
        made = real.harness.build(options, timeout_s)
        opened = made.open

        def lying() -> Any:
            try:
                return flaw(opened())
            except Unreachable:
                if flaw is OpensAnything:
                    return flaw()
                raise

        made.open = lying
        return made

    with pytest.raises(Breach, match=told):
        CHECKS[check].run(replace(real, harness=replace(real.harness, build=build)))


def test_each_check_has_somebody_who_must_fail_it() -> None:
    assert {check for check, _, _ in (*FLAWS, *MAIL_FLAWS)} == set(CHECKS)


def test_every_capability_has_a_check() -> None:
    """Otherwise whoever declares a new one would pass by it."""
    assert {check.capability for check in CHECKS.values()} == {"", *CAPABILITIES}


def test_each_flaw_is_somebodys() -> None:
    made = {flaw for flaw in vars(flaws).values() if isinstance(flaw, type)}
    hostile = {flaw for flaw in made if issubclass(flaw, Toy | flaws.Session) and flaw is not Toy}
    named_there = {flaw for _, flaw, _ in (*FLAWS, *MAIL_FLAWS)}
    assert hostile - {flaws.Session} <= named_there


def test_a_declared_capability_needs_its_part_of_the_harness() -> None:
    """A folder cannot pass by saying nothing."""
    silent = subject(signing=None, parsing=None, place=None)
    for check in checks_for(silent):
        if check.capability:
            with pytest.raises(Breach, match=r"contract\.py: found no"):
                check.run(silent)


def test_an_exemption_is_told_with_its_reason() -> None:
    one = subject(exempt={"an_old_delivery_is_refused": "the vendor signs no time at all"})
    with pytest.raises(Exempt, match="signs no time"):
        CHECKS["an_old_delivery_is_refused"].run(one)
