"""Hypothesis for every test of the project: the same examples on every machine, however slow."""

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "warmline",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("warmline")


# Whole files go to the workers in this order: what takes longest first, or it would end alone.
_FIRST = ("tests/test_on_postgres.py", "tests/engine/test_kill.py", "tests/contract/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order of the others stays as it was."""
    order = {prefix: number for number, prefix in enumerate(_FIRST)}

    def place(item: pytest.Item) -> int:
        return next(
            (n for prefix, n in order.items() if item.nodeid.startswith(prefix)), len(order)
        )

    items.sort(key=place)
