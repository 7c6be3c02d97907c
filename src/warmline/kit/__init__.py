"""What connectors are made of: the one HTTP door, signatures, the manifest."""
