"""Greenhouse: webhooks, and the Harvest v3 API for what webhooks do not tell."""
