"""Every connector folder keeps the contract."""

from __future__ import annotations

import pytest

from warmline.kit.manifest import manifests
from warmline.testing.contract import Check, Exempt, checks_for, subject_of

CASES = [
    pytest.param(name, check, id=f"{name}-{check.name}")
    for name in sorted(manifests())
    for check in checks_for(subject_of(name))
]


@pytest.mark.parametrize(("name", "check"), CASES)
def test_it_keeps_the_contract(name: str, check: Check) -> None:
    try:
        check.run(subject_of(name))
    except Exempt as reason:
        pytest.skip(str(reason))
