"""Hypothesis for every test of the project: the same examples on every machine, however slow."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "warmline",
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("warmline")
