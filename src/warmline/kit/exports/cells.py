"""What stands in a cell: nothing, or a person's whole name."""

from __future__ import annotations

from warmline.kit.exports.columns import plain

# What people and systems write where there is nothing to write, in lower case.
NOTHING = frozenset({"", "-", "n/a", "na", "none", "null", "unknown", "#n/a"})
_SUFFIXES = frozenset(
    {"jr", "sr", "ii", "iii", "iv", "phd", "md", "mba", "cpa", "esq", "pmp", "pe"}
)


def split_name(full: str) -> tuple[str, str]:
    """First and last name: "Ada King Lovelace", "Lovelace, Ada", "Ada Lovelace, PhD"."""
    before, comma, after = (part.strip() for part in full.partition(","))
    if comma and after:
        if all(plain(word) in _SUFFIXES for word in after.replace(",", " ").split()):
            full = before
        else:
            return after, before
    elif comma:
        full = before
    first, _, last = full.partition(" ")
    return first, last.strip()
