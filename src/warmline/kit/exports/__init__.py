"""Exports as files: any usual table read as rows, its columns recognised, its dates read."""
