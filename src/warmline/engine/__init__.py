"""What makes lanes run."""
