"""Lever: webhooks as hints, and the Data API (v1) for what they are about."""
