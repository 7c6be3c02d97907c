"""Candidates read back, to compare them with what should stand there."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from warmline.connectors.greenhouse import shapes
from warmline.connectors.greenhouse.absent import believable
from warmline.connectors.greenhouse.customfields import standing_values
from warmline.connectors.greenhouse.fates import CANDIDATES
from warmline.connectors.greenhouse.harvest import Harvest, is_id, row_id
from warmline.ports import Standing


def read(
    harvest: Harvest, named: Mapping[str, str], ids: Sequence[str], fields: Collection[str]
) -> list[Standing]:
    """One a given id, in order. `named`: field → name_key of the custom field that holds it; of
    `fields`, those are read.

    Who is not listed was deleted or merged (the listing does not say into whom), and stands as
    nobody. Asked twice: one answer with a hole in it must not bury anybody. Raises Refused where so
    many are absent that the user's rights are the likelier cause."""
    known = set(filter(is_id, ids))
    rows: dict[str, Mapping[str, Any]] = {}
    for _ in range(2):
        if left := known - set(rows):
            rows |= {row_id(row): row for row in harvest.look_up(CANDIDATES, left)}
    believable(CANDIDATES, len(known - set(rows)), len(known))
    kept = {field: named[field] for field in fields if field in named}
    return [_standing(number, rows.get(number), kept) for number in ids]


def _standing(number: str, row: Mapping[str, Any] | None, kept: Mapping[str, str]) -> Standing:
    if row is None:
        return Standing(number)
    values = standing_values(row)
    return Standing(
        number,
        stands_as=number,
        fields={field: _text(values.get(key)) for field, key in kept.items()},
        tags=shapes.words(row.get("tags")),
        opted_out=row.get("can_email") is False,
    )


def _text(value: object) -> str:
    if value is None:
        return ""
    return shapes.clean(value) if isinstance(value, str) else str(value)
