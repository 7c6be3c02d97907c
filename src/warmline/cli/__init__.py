"""The verbs people type; thin."""
