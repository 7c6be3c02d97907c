"""A simulator of HubSpot: contacts, search, properties, owners, subscriptions, webhooks.

The rules are those of card B1 of the vendor facts (public documentation, specs and recordings).
"""

from warmline.sandbox.hubspot.simulator import HubSpot

__all__ = ["HubSpot"]
