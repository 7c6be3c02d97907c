"""What the pages' templates may call."""
