"""A simulated Lever account: the Data API (v1) over HTTP, and signed webhooks."""
