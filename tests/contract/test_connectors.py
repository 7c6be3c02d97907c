"""Every connector folder keeps the contract."""

from __future__ import annotations

import pytest

from warmline.kit.manifest import FOLDER, manifests
from warmline.testing.contract import Check, Exempt, checks_for, subject_of

WITH_A_CONTRACT = [name for name in manifests() if (FOLDER / name / "contract.py").is_file()]
CASES = [
    pytest.param(name, check, id=f"{name}-{check.name}")
    for name in WITH_A_CONTRACT
    for check in checks_for(subject_of(name))
]


def test_every_connector_says_how_it_is_looked_at() -> None:
    assert list(manifests()) == WITH_A_CONTRACT


@pytest.mark.parametrize(("name", "check"), CASES)
def test_it_keeps_the_contract(name: str, check: Check) -> None:
    try:
        check.run(subject_of(name))
    except Exempt as reason:
        pytest.skip(str(reason))
