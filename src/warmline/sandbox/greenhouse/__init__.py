"""A simulator of Greenhouse: Harvest API v3 and the webhooks of its v1 shapes.

The rules are those of card A1 of the vendor facts (public documentation and third-party clients).
"""

from warmline.sandbox.greenhouse.simulator import Greenhouse

__all__ = ["Greenhouse"]
