"""`warmline demo`: a seeded week of applicants on the simulators, and whether the numbers hold."""

from warmline.cli.demo.verb import demo

__all__ = ["demo"]
