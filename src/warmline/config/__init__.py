"""The project folder and the process settings, read and checked."""
