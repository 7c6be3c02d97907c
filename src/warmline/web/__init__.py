"""The doors: webhooks, the public unsubscribe address, and the operator's pages."""
