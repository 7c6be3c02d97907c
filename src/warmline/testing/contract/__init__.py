"""What every connector must do, as checks that its author gets for free.

    from warmline.testing.contract import checks_for, subject_of

    @pytest.mark.parametrize("check", checks_for(subject_of("acme")), ids=lambda check: check.name)
    def test_acme_keeps_the_contract(check):
        check.run(subject_of("acme"))

A connector's folder says in `contract.py` how it is made and where its simulator is
(`warmline.testing.contract.harness`).
"""

from __future__ import annotations

import importlib

from warmline.core.errors import ConfigError
from warmline.kit.manifest import FOLDER, manifests
from warmline.testing.contract import (
    acting,
    answers,
    declared,
    limits,
    mailing,
    parsing,
    reading,
    signing,
)
from warmline.testing.contract.harness import (
    Clock,
    Harness,
    Listing,
    MailPlace,
    Parsing,
    Place,
    Sample,
    Signing,
    fixtures,
    webhook,
)
from warmline.testing.contract.suite import (
    Breach,
    Check,
    Exempt,
    Leak,
    Subject,
    checks_for,
    every_check,
)


def subject_of(name: str) -> Subject:
    """The connector of this folder, with what its `contract.py` tells. Raises ConfigError."""
    if name not in manifests():
        raise ConfigError(f"there is no connector {name!r}; there are {', '.join(manifests())}")
    if not (FOLDER / name / "contract.py").is_file():
        raise ConfigError(f"connectors/{name} has no contract.py with a function harness()")
    module = importlib.import_module(f"warmline.connectors.{name}.contract")
    return Subject(manifests()[name], FOLDER / name, module.harness())


# Each of these modules adds its checks to the suite when it is imported.
_WITH_CHECKS = (declared, signing, parsing, acting, answers, reading, limits, mailing)

__all__ = [
    "Breach",
    "Check",
    "Clock",
    "Exempt",
    "Harness",
    "Leak",
    "Listing",
    "MailPlace",
    "Parsing",
    "Place",
    "Sample",
    "Signing",
    "Subject",
    "checks_for",
    "every_check",
    "fixtures",
    "subject_of",
    "webhook",
]
